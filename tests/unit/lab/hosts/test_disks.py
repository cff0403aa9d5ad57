"""Names in the files of hosts."""

from __future__ import annotations

from pathlib import Path

from skerry.lab.hosts import disks
from skerry.lab.model import HostPart, LabFile, parse


def test_names_of_hosts(lab: LabFile) -> None:
    text = disks.hosts_file(lab, "h2", "")
    assert "10.77.0.1 h1\n10.77.0.2 h2\n" in text
    again = disks.hosts_file(lab, "h2", text + "192.0.2.1 mine\n")
    assert again == text + "192.0.2.1 mine\n"


def test_a_host_without_an_address_knows_itself() -> None:
    lonely = parse('name = "x"\nhost = [{name = "h1"}, {name = "h2"}]', "lab.toml")
    assert "127.0.1.1 h1\n" in disks.hosts_file(lonely, "h1", "")
    assert "h2" not in disks.hosts_file(lonely, "h1", "")


def test_folders_of_this_machine_lie_over_the_hosts_own() -> None:
    host = HostPart(name="h1", shared=("/tmp/tree",))
    mounts = disks.mounts(host, Path("/kept"), overlay=False)
    assert mounts[-1] == ["shared", "/tmp/tree", "/tmp/tree"]
    assert ["bind", "/kept/etc", "/etc"] in mounts and ["tmpfs", "/tmp", "mode=1777"] in mounts


def test_a_system_of_its_own_has_only_devices_of_this_machine() -> None:
    host = HostPart(name="h1", root="/system", shared=("/tmp/tree",))
    mounts = disks.mounts(host, Path("/system"), overlay=True)
    assert mounts[0] == ["bind", "/dev", "/system/dev"]
    assert mounts[-1] == ["shared", "/tmp/tree", "/system/tmp/tree"]
    assert {kind for kind, *_ in mounts} == {"bind", "tmpfs", "folder", "shared"}
    assert all(words[-1 if words[0] in ("bind", "shared") else 1].startswith("/system/") for words in mounts)
