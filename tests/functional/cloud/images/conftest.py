"""Guests in QEMU without KVM, with a user-mode network, for the tests of the guest images."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from tests.support import CHECKOUT
from tests.support.deadlines import at_most, clock, within

from skerry.cloud.images import tiny
from skerry.common.proc import run

SERVICE = CHECKOUT / "tests/support/metadata_service.py"
TOOLS = ("apt-get", "dpkg-deb", "mke2fs", "qemu-img", "qemu-system-x86_64", "xorriso", "ssh", "ssh-keygen")


class Guest:
    """One QEMU process; ``arguments`` are what it boots and which metadata it sees."""

    def __init__(self, place: Path, disk: Path, key: Path, arguments: list[str], network: str) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        self._key = key
        self._log = place / f"{self.port}.log"
        self._monitor = place / f"{self.port}.sock"
        self._log.unlink(missing_ok=True)
        forward = f"user,id=net0,hostfwd=tcp:127.0.0.1:{self.port}-:22{network}"
        self.started = clock().now()
        self.process = subprocess.Popen(
            [
                *("setpriv", "--pdeathsig", "KILL"),  # it ends with the tests
                *("qemu-system-x86_64", "-machine", "pc", "-accel", "tcg", "-cpu", "max", "-m", "256"),
                *("-nodefaults", "-display", "none", "-vga", "std", "-serial", f"file:{self._log}"),
                *("-qmp", f"unix:{self._monitor},server=on,wait=off"),
                *("-drive", f"file={disk},if=virtio,format=qcow2"),
                *("-netdev", forward, "-device", "virtio-net-pci,netdev=net0", *arguments),
            ]
        )

    def console(self) -> str:
        return self._log.read_text(errors="replace") if self._log.exists() else ""

    def wait_console(self, deadline: float, text: str) -> str:
        try:
            return within(
                deadline, f"'{text}' on the console", lambda: self.console() if text in self.console() else ""
            )
        except AssertionError as late:
            raise AssertionError(f"{late}; the console: {self.console()[-2000:]}") from None

    def answers(self) -> bool:
        """Whether an SSH server greets."""
        try:
            with socket.create_connection(("127.0.0.1", self.port), 2) as link:
                link.settimeout(2)
                return link.recv(4) == b"SSH-"
        except OSError:
            return False

    def seconds_to_ssh(self, deadline: float = 60) -> float:
        within(deadline, "SSH answers", self.answers)
        return clock().now() - self.started

    def try_ssh(self, command: str, user: str = "skerry") -> subprocess.CompletedProcess[str]:
        options = [
            "StrictHostKeyChecking=no",
            "UserKnownHostsFile=/dev/null",
            "BatchMode=yes",
            "ConnectTimeout=10",
        ]
        flags = [flag for option in options for flag in ("-o", option)]
        target = ["-i", str(self._key), "-p", str(self.port), f"{user}@127.0.0.1"]
        return run(["ssh", "-F", "none", "-q", *flags, *target, command], timeout=at_most(60), check=False)

    def ssh(self, command: str, user: str = "skerry") -> str:
        done = self.try_ssh(command, user)
        assert done.returncode == 0, f"'{command}' on the guest: {done.stderr}{done.stdout}"
        return done.stdout.strip()

    def wait_ssh(self, command: str, deadline: float = 20) -> None:
        """Until the command succeeds on the guest."""
        self.ssh(
            f"for i in $(seq {at_most(deadline) * 5:.0f}); do {command} && exit 0; sleep 0.2; done; exit 1"
        )

    def wait_login(self, deadline: float = 60, user: str = "skerry") -> None:
        within(deadline, f"login as {user}", lambda: self.try_ssh("true", user).returncode == 0)

    def wait_down(self, deadline: float) -> None:
        within(deadline, "SSH stops", lambda: not self.answers())

    def host_key(self) -> str:
        said = run(
            ["ssh-keyscan", "-t", "ed25519", "-p", str(self.port), "127.0.0.1"], timeout=at_most(30)
        ).stdout
        return said.split()[-1]

    def qmp(self, command: str, **arguments: object) -> None:
        with socket.socket(socket.AF_UNIX) as link:
            link.settimeout(at_most(10))
            link.connect(str(self._monitor))
            stream = link.makefile("rw")
            stream.readline()
            for name, values in (("qmp_capabilities", {}), (command, arguments)):
                stream.write(json.dumps({"execute": name, "arguments": values}) + "\n")
                stream.flush()
                while "return" not in (answer := json.loads(stream.readline())):
                    assert "error" not in answer, answer

    def power_off(self, deadline: float = 30) -> None:
        """Press the power button, and wait for the guest to stop by itself.

        A guest that has just booted may not hear it yet: as nova does, press again until it stops.
        """

        def stopped() -> bool:
            with suppress(OSError):  # it stops this moment
                self.qmp("system_powerdown")
            return self.process.poll() is not None

        within(deadline, "the guest stops", stopped, every=2)
        assert self.process.returncode == 0

    def kill(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait(10)


class Yard:
    """Makes disks, metadata and guests in one folder; ends every guest that it started."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self.key = place / "key"
        run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(self.key)])
        self.guests: list[Guest] = []

    @property
    def public_key(self) -> str:
        return self.key.with_suffix(".pub").read_text().strip()

    def metadata(self, identity: str, hostname: str, user_data: str = "", **more: object) -> dict[str, str]:
        """The files of OpenStack's metadata, by their path."""
        facts = {"uuid": identity, "hostname": hostname, "public_keys": {"mine": self.public_key}, **more}
        files = {"openstack/latest/meta_data.json": json.dumps(facts)}
        if user_data:
            files["openstack/latest/user_data"] = user_data
        return files

    def folder(self, name: str, files: dict[str, str]) -> Path:
        for path, text in files.items():
            (self.place / name / path).parent.mkdir(parents=True, exist_ok=True)
            (self.place / name / path).write_text(text)
        return self.place / name

    def config_drive(self, name: str, files: dict[str, str], bus: str = "ide") -> list[str]:
        image = self.place / f"{name}.iso"
        source = str(self.folder(name, files))
        run(["xorriso", "-as", "mkisofs", "-quiet", "-r", "-J", "-V", "config-2", "-o", str(image), source])
        if bus == "ide":
            return ["-drive", f"file={image},media=cdrom,if=ide,readonly=on"]
        drive = ["-drive", f"file={image},media=cdrom,if=none,id=cd,readonly=on"]
        return ["-device", "virtio-scsi-pci", *drive, "-device", "scsi-cd,drive=cd"]

    def metadata_service(self, name: str, files: dict[str, str]) -> str:
        command = f"{sys.executable} -I {SERVICE} {self.folder(name, files)}"
        return f",net=169.254.0.0/16,guestfwd=tcp:169.254.169.254:80-cmd:{command}"

    def disk(self, name: str, base: Path, size: str) -> Path:
        disk = self.place / f"{name}.qcow2"
        run(["qemu-img", "create", "-q", "-f", "qcow2", "-b", str(base), "-F", "qcow2", str(disk), size])
        return disk

    def boot(self, disk: Path, arguments: list[str], network: str = "") -> Guest:
        guest = Guest(self.place, disk, self.key, arguments, network)
        self.guests.append(guest)
        return guest


@pytest.fixture(scope="session")
def work() -> Path:
    """Where builds and downloads are kept from run to run."""
    if os.geteuid() != 0:
        pytest.skip("building a guest image needs root")
    if missing := [tool for tool in TOOLS if not shutil.which(tool)]:
        pytest.skip(f"not installed: {', '.join(missing)}")
    default = Path(tempfile.gettempdir()) / "skerry-test-images"
    place = Path(os.environ.get("SKERRY_TEST_IMAGES", default))
    place.mkdir(parents=True, exist_ok=True)
    return place


@pytest.fixture(scope="session")
def image(work: Path) -> tiny.TinyImageFiles:
    return tiny.build(work / "out", work, print)


@pytest.fixture
def yard() -> Iterator[Yard]:
    # Not tmp_path: sockets have short names, and disks are not worth keeping.
    with tempfile.TemporaryDirectory(prefix="skerry-") as place:
        yard = Yard(Path(place))
        try:
            yield yard
        finally:
            for guest in yard.guests:
                guest.kill()
