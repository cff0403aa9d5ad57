"""Names in the files of hosts."""

from __future__ import annotations

from skerry.lab.hosts import disks
from skerry.lab.model import LabFile, parse


def test_names_of_hosts(lab: LabFile) -> None:
    text = disks.hosts_file(lab, "h2", "")
    assert "10.77.0.1 h1\n10.77.0.2 h2\n" in text
    again = disks.hosts_file(lab, "h2", text + "192.0.2.1 mine\n")
    assert again == text + "192.0.2.1 mine\n"


def test_a_host_without_an_address_knows_itself() -> None:
    lonely = parse('name = "x"\nhost = [{name = "h1"}, {name = "h2"}]', "lab.toml")
    assert "127.0.1.1 h1\n" in disks.hosts_file(lonely, "h1", "")
    assert "h2" not in disks.hosts_file(lonely, "h1", "")
