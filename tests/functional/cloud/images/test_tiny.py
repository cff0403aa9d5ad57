"""The tiny guest, booted for real (emulated): what a server of it does from its first second to its last."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from skerry.cloud.images import tiny

if TYPE_CHECKING:
    from tests.functional.cloud.images.conftest import Guest, Yard

FIRST = "0a6f5f1e-31c5-4a0c-9d43-6f5a1c1b0001"
SECOND = "0a6f5f1e-31c5-4a0c-9d43-6f5a1c1b0002"
COUNT = "#!/bin/sh\necho run >>/var/lib/count\necho user data printed $((6 * 7))\n"


@pytest.fixture
def kernel(image: tiny.TinyImageFiles) -> list[str]:
    return ["-kernel", str(image.kernel), "-initrd", str(image.initrd), "-append", tiny.KERNEL_ARGS]


def test_size_and_version(image: tiny.TinyImageFiles, work: Path) -> None:
    assert sum(path.stat().st_size for path in (image.kernel, image.initrd, image.disk)) < 25_000_000
    assert tiny.build(work / "out", work, print) == image


def test_life_with_a_config_drive(yard: Yard, image: tiny.TinyImageFiles, kernel: list[str]) -> None:
    disk = yard.disk("one", image.disk, "1G")
    facts = yard.metadata(FIRST, "one.example.org", COUNT, admin_pass="sea|rock")
    drive = yard.config_drive("drive-one", facts)
    guest = yard.boot(disk, [*kernel, "-uuid", FIRST, *drive])
    seconds = guest.seconds_to_ssh()
    print(f"SSH answered {seconds:.2f} s after QEMU started")
    assert seconds < 30, "ten times what an idle machine takes"
    guest.wait_login(30)
    guest.wait_console(20, "skerry-tiny: user data ended with status 0")
    assert "user data printed 42" in guest.console()
    assert "skerry-tiny: ready, SSH on 22 after" in guest.console()
    assert guest.ssh("hostname") == "one"
    assert guest.ssh("sudo id -u; sudo cat /var/lib/count") == "0\nrun"
    assert guest.ssh("sudo grep -c '^root:.6.' /etc/shadow") == "1", "the admin password is root's"
    assert guest.try_ssh("true", "root").returncode != 0
    wait_grown(guest)
    first_key = guest.host_key()
    guest.power_off(20)

    again = yard.boot(disk, [*kernel, "-uuid", FIRST, *drive])
    again.wait_login(60)
    assert again.host_key() == first_key
    assert again.ssh("cat /var/lib/count") == "run", "user data runs once"
    again.power_off(20)

    # A snapshot, booted as a new server: by its machine UUID it is another one from the first second.
    facts = yard.metadata(SECOND, "two", COUNT)
    copy = yard.disk("two", disk, "2G")
    snapshot = yard.boot(copy, [*kernel, "-uuid", SECOND, *yard.config_drive("drive-two", facts)])
    snapshot.wait_login(60)
    assert snapshot.host_key() != first_key
    snapshot.wait_console(20, "skerry-tiny: user data ended with status 0")
    assert snapshot.ssh("hostname; cat /var/lib/count") == "two\nrun\nrun"
    wait_grown(snapshot, 1_900_000)


def test_life_with_the_metadata_service(yard: Yard, image: tiny.TinyImageFiles, kernel: list[str]) -> None:
    disk = yard.disk("one", image.disk, "1G")
    service = yard.metadata_service("service", yard.metadata(FIRST, "one", COUNT))
    guest = yard.boot(disk, kernel, service)
    guest.wait_login(60)
    guest.wait_console(20, "skerry-tiny: user data ended with status 0")
    assert guest.ssh("hostname; cat /var/lib/count") == "one\nrun"
    first_key = guest.host_key()
    guest.power_off(20)

    # Without a UUID of the machine only the metadata shows that this is another server.
    yard.folder("service", yard.metadata(SECOND, "two", COUNT))
    snapshot = yard.boot(disk, kernel, service)
    snapshot.wait_console(60, f"skerry-tiny: this is server {SECOND}, two, from the metadata service")
    snapshot.wait_login(20)
    assert snapshot.host_key() != first_key


def test_metadata_that_comes_late(yard: Yard, image: tiny.TinyImageFiles, kernel: list[str]) -> None:
    service = yard.metadata_service("service", {})
    yard.folder("service", {}).mkdir(exist_ok=True)
    guest = yard.boot(yard.disk("one", image.disk, "1G"), kernel, service)
    guest.wait_console(150, "no key, no user data so far")
    assert guest.try_ssh("true").returncode == 255
    yard.folder("service", yard.metadata(FIRST, "one"))
    guest.wait_console(30, f"skerry-tiny: this is server {FIRST}, one, from the metadata service")
    guest.wait_login(10)


def test_user_data_is_not_lost_while_the_service_is_busy(
    yard: Yard, image: tiny.TinyImageFiles, kernel: list[str]
) -> None:
    files = {**yard.metadata(FIRST, "one", COUNT), "openstack/latest/user_data.busy": ""}
    guest = yard.boot(yard.disk("one", image.disk, "1G"), kernel, yard.metadata_service("service", files))
    guest.wait_login(60)  # its key does not wait for the user data
    guest.wait_ssh("grep -q 503 /run/skerry/wget.log")
    assert "user data printed 42" not in guest.console()
    (yard.place / "service/openstack/latest/user_data.busy").unlink()
    guest.wait_console(20, "user data printed 42")


@pytest.mark.long
def test_a_key_is_not_lost_while_the_service_is_busy(
    yard: Yard, image: tiny.TinyImageFiles, kernel: list[str]
) -> None:
    key = "latest/meta-data/public-keys/0/openssh-key"
    service = yard.metadata_service("service", {**amazons(yard), f"{key}.busy": ""})
    guest = yard.boot(yard.disk("one", image.disk, "1G"), kernel, service)
    guest.wait_console(150, "no key, no user data so far")
    (yard.place / "service" / f"{key}.busy").unlink()
    guest.wait_login(60)
    guest.wait_console(20, "user data printed 42")


def amazons(yard: Yard) -> dict[str, str]:
    return {
        "latest/meta-data/instance-id": "i-00000001",
        "latest/meta-data/hostname": "amazon.example.org",
        "latest/meta-data/public-keys/0/openssh-key": yard.public_key + "\n",
        "latest/user-data": COUNT,
    }


def test_metadata_in_amazons_form_only(yard: Yard, image: tiny.TinyImageFiles, kernel: list[str]) -> None:
    guest = yard.boot(
        yard.disk("one", image.disk, "1G"), kernel, yard.metadata_service("service", amazons(yard))
    )
    guest.wait_login(60)
    guest.wait_console(20, "user data printed 42")
    assert guest.ssh("hostname") == "amazon"


def test_what_test_suites_call(yard: Yard, image: tiny.TinyImageFiles, kernel: list[str]) -> None:
    """The commands that tempest runs on a guest, and devices that come while it runs."""
    facts = yard.metadata(FIRST, "one")
    guest = yard.boot(
        yard.disk("one", image.disk, "1G"), [*kernel, *yard.config_drive("drive", facts, "scsi")]
    )
    guest.wait_login(60)
    strict = "set -eu -o pipefail; PATH=$PATH:/sbin:/usr/sbin; "
    assert "inet 10.0.2.15/24" in guest.ssh(f"{strict} sudo ip address show dev eth0")
    assert "default via 10.0.2.2" in guest.ssh(f"{strict} ip route")
    assert "nameserver 10.0.2.3" in guest.ssh("cat /etc/resolv.conf")
    assert "vda" in guest.ssh(f"{strict} lsblk -lb --nodeps")
    assert guest.ssh(f"{strict} blkid | grep -i config-2 | cut -d : -f 1").startswith("/dev/sr")
    guest.ssh(
        f"{strict} sudo mount /dev/sr0 /mnt; sudo cat /mnt/openstack/latest/meta_data.json; sudo umount /mnt"
    )
    guest.ssh(f"{strict} ping -c1 -w5 10.0.2.2; which nc httpd wget ip curl")

    disk = yard.place / "volume.qcow2"
    yard.disk("volume", image.disk, "64M")
    guest.qmp(
        "blockdev-add",
        **{"driver": "qcow2", "node-name": "vol", "file": {"driver": "file", "filename": str(disk)}},
    )
    guest.qmp("device_add", driver="virtio-blk-pci", drive="vol", id="vol")
    guest.wait_ssh("[ -b /dev/vdb ]")
    guest.ssh(f"{strict} sudo mkfs.ext4 -q -F /dev/vdb; sudo mount /dev/vdb /mnt")

    guest.qmp("netdev_add", type="user", id="net1", net="10.0.9.0/24")
    guest.qmp("device_add", driver="virtio-net-pci", netdev="net1", id="nic1")
    guest.wait_ssh("ip addr show dev eth1 | grep -q 10.0.9.15")
    guest.qmp("device_del", id="nic1")
    guest.wait_ssh("[ ! -e /sys/class/net/eth1 ]")


def wait_grown(guest: Guest, kilobytes: int = 950_000) -> None:
    """The root file system has at least this size within 20 s."""
    guest.wait_ssh(f"[ $(df -k / | awk 'NR == 2 {{print $2}}') -gt {kilobytes} ]")


DHCP_SERVER = r"""#!/bin/sh
kill "$(cat /run/skerry/dhcp-eth1.pid)"
ip addr add 192.0.2.1/24 dev eth1
cat >/tmp/udhcpd.conf <<CONF
interface eth1
start 192.0.2.50
end 192.0.2.50
lease_file /tmp/leases
option subnet 255.255.255.0
option router 192.0.2.254
option dns 192.0.2.3
option domain example.org
option mtu 1442
option lease 30
option staticroutes 169.254.169.254/32 192.0.2.2, 0.0.0.0/0 192.0.2.1
CONF
touch /tmp/leases
udhcpd /tmp/udhcpd.conf && echo DHCP server runs
"""


def test_what_dhcp_says_is_done(yard: Yard, image: tiny.TinyImageFiles, kernel: list[str]) -> None:
    """The options that Neutron sends: MTU (26), classless routes (121), which outweigh the router (3)."""
    address = f"addr.type=unix,addr.path={yard.place}/cable"
    card = ["-device", "virtio-net-pci,netdev=net1,mac=52:54:00:00:00:0"]
    drive = yard.config_drive("server", yard.metadata(FIRST, "server", DHCP_SERVER))
    cable = ["-netdev", f"stream,id=net1,server=on,{address}", card[0], f"{card[1]}1"]
    yard.boot(yard.disk("server", image.disk, "1G"), [*kernel, *drive, *cable]).wait_console(
        60, "DHCP server runs"
    )
    drive = yard.config_drive("client", yard.metadata(SECOND, "client"))
    cable = ["-netdev", f"stream,id=net1,server=off,{address}", card[0], f"{card[1]}2"]
    client = yard.boot(yard.disk("client", image.disk, "1G"), [*kernel, *drive, *cable])
    client.wait_login(60)
    client.wait_ssh("ip addr show dev eth1 | grep -q 192.0.2.50/24")
    for _ in range(2):
        assert client.ssh("cat /sys/class/net/eth1/mtu") == "1442"
        routes = client.ssh("ip route show dev eth1").splitlines()
        assert len(routes) == 3, routes
        assert routes[0].startswith("default via 192.0.2.1 ")
        assert routes[1].startswith("169.254.169.254 via 192.0.2.2 ")
        assert "nameserver 192.0.2.3" in client.ssh("cat /etc/resolv.conf")
        # Long enough that the lease, of 30 s, is renewed.
        client.ssh("sleep 17")
