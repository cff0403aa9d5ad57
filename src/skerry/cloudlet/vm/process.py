"""One QEMU process: started, given its memory and devices, controlled, and ended."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from skerry.cloudlet.errors import NotRestoredError, QemuError
from skerry.cloudlet.overlay.machine import DISK_NODE, RAM, Machine
from skerry.cloudlet.overlay.store import GROUP
from skerry.cloudlet.vm import qemu
from skerry.cloudlet.vm.agent import Agent
from skerry.cloudlet.vm.qmp import Qmp
from skerry.common import log
from skerry.common.accelerator import KVM
from skerry.common.proc import last_lines

_LAUNCH = Path(__file__).with_name("launch.py")
_SANDBOX = "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny"
GATEWAY = "10.0.2.2"


@dataclass(frozen=True)
class KernelBoot:
    """A kernel from outside of the guest's disk."""

    kernel: Path
    initrd: Path
    append: str


def qcow2_on(path: Path, base: Path | None, base_format: str = "raw") -> dict[str, Any]:
    """QEMU's description of a disk in a qcow2 file, on a file that is never written to."""
    disk: dict[str, Any] = {
        "driver": "qcow2",
        "node-name": DISK_NODE,
        "discard": "unmap",
        "file": {"driver": "file", "filename": str(path), "discard": "unmap"},
    }
    if base is not None:
        lower = {"driver": "file", "filename": str(base), "read-only": True, "locking": "off"}
        disk["backing"] = {"driver": base_format, "read-only": True, "file": lower}
    return disk


class Vm:
    """A QEMU process whose files are in ``folder``: qmp, agent, console, qemu.log, pid."""

    def __init__(self, folder: Path, pid: int) -> None:
        self.folder, self.pid = folder, pid
        self._qmp: Qmp | None = None
        self._process: subprocess.Popen[bytes] | None = None

    @classmethod
    def start(
        cls,
        folder: Path,
        machine: Machine,
        disk: dict[str, Any],
        memory: Path | None,
        boot: KernelBoot | None = None,
        *,
        incoming: socket.socket | None = None,
        paused: bool = False,
        lazy: bool = False,
        devices: Sequence[str] = (),
    ) -> Vm:
        """Start QEMU. ``memory`` is a file whose pages are the guest's until it writes to them; None is empty memory.

        With ``incoming`` the devices (and perhaps pages) come from that socket, and the guest continues
        when they are there. ``lazy``: the file's pages are expensive to read. ``devices`` are more
        arguments. As root, QEMU runs as a user of its own.
        """
        words: list[str] = []
        backend: dict[str, Any] = {
            "qom-type": "memory-backend-ram",
            "id": RAM,
            "size": machine.memory_mib << 20,
        }
        if memory is not None:
            backend |= {"qom-type": "memory-backend-file", "mem-path": str(memory), "share": False}
            if qemu.version() >= (8, 2):
                backend |= {"readonly": True, "rom": "off"}
            elif os.geteuid() == 0 and not lazy:
                memory.chmod(0o660)  # older ones open the file for writing, though they never write to it
        words += ["-object", json.dumps(backend)]
        words += ["-machine", f"{machine.type},accel={qemu.accelerator()},memory-backend={RAM},vmport=off"]
        words += ["-blockdev", json.dumps(disk)]
        words += ["-chardev", "file,id=console,path=console,append=on"]
        words += ["-chardev", "socket,id=agent,path=agent,server=on,wait=off"]
        words += [*machine.devices(), *devices]
        if boot:
            words += ["-kernel", str(boot.kernel), "-initrd", str(boot.initrd), "-append", boot.append]
        words += ["-qmp", "unix:qmp,server=on,wait=off", "-sandbox", _SANDBOX]
        if incoming:
            words += ["-incoming", f"fd:{incoming.fileno()}"]
        if paused:
            words += ["-S"]
        fixed = ["-nodefaults", "-no-user-config", "-display", "none", "-vga", "none", "-rtc", "base=utc"]
        argv = [qemu.program(), *fixed, *words]
        uid, groups = _user(folder)
        launch = [sys.executable, "-I", "-S", str(_LAUNCH), str(uid), groups, str(int(lazy))]
        with (folder / "qemu.log").open("ab") as out:
            process = subprocess.Popen(
                [*launch, *argv],
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                start_new_session=True,
                pass_fds=[incoming.fileno()] if incoming else [],
            )
        log.started([*launch, *argv], process.pid)
        vm = cls(folder, process.pid)
        vm._process = process
        (folder / "pid").write_text(f"{process.pid} {started(process.pid)}\n")
        return vm

    @classmethod
    def find(cls, folder: Path) -> Vm | None:
        """The VM that runs in this folder, if one does."""
        try:
            pid, start_time = (folder / "pid").read_text().split()
        except (FileNotFoundError, ValueError):
            return None
        return cls(folder, int(pid)) if started(int(pid)) == start_time else None

    @property
    def qmp(self) -> Qmp:
        if self._qmp is None:
            try:
                self._qmp = self._connect()
            except QemuError:
                if self.alive():
                    raise
                raise QemuError("it did not start", self.last_words()) from None
        return self._qmp

    def _connect(self) -> Qmp:
        end = time.monotonic() + 20
        while True:
            try:
                return Qmp(self.folder / "qmp", 0.05)
            except QemuError:
                if not self.alive() or time.monotonic() > end:
                    raise

    def agent(self) -> Agent:
        """A connection to the guest's agent."""
        assert self.qmp  # its sockets are there when this one answers
        return Agent(self.folder / "agent")

    def last_words(self) -> str:
        log = self.folder / "qemu.log"
        text = log.read_text(errors="replace") if log.exists() else ""
        return last_lines(text) or "it printed nothing"

    def restored(self, timeout: float = 60.0) -> None:
        """Wait until the incoming state is loaded. Raises NotRestoredError, and then nothing runs any more."""
        end = time.monotonic() + timeout
        try:
            while True:
                status = self.qmp("query-status")["status"]
                if status in ("running", "prelaunch", "paused"):
                    return
                if status != "inmigrate":
                    raise NotRestoredError(self.folder.name, f"QEMU went to the state '{status}'")
                if time.monotonic() > end:
                    raise NotRestoredError(self.folder.name, "the state did not arrive in time")
                time.sleep(0.004)
        except QemuError as trouble:
            words = self.last_words()
            self.kill()
            raise NotRestoredError(self.folder.name, words if words else trouble) from None
        except NotRestoredError:
            self.kill()
            raise

    def add_nic(self, mac: str, guest: str, ports: dict[int, int], outbound: bool) -> None:
        """Plug in a network card behind a user-mode network of its own.

        ``ports`` maps TCP ports of this host's loopback to the guest's. The guest reaches nothing by itself
        unless ``outbound``: a user-mode network would let it reach the host's loopback.
        """
        forward = [{"str": rule} for rule in _forwards(guest, ports)]
        self.qmp("netdev_add", type="user", id="net0", hostfwd=forward, restrict=not outbound)
        self.qmp(
            "device_add", driver="virtio-net-pci", id="nic0", netdev="net0", bus="port0", mac=mac, romfile=""
        )

    def has_nic(self) -> bool:
        plugged = self.qmp("qom-list", path="/machine/peripheral")
        return any(each["name"] == "nic0" for each in plugged)

    def generation(self) -> str:
        """The generation id that the guest sees: a VM that moves keeps it, a copy has a new one."""
        return str(self.qmp("query-vm-generation-id")["guid"])

    def remove_nic(self) -> None:
        """Take the card out. Raises QemuError when the guest does not let go of it."""
        self.qmp("device_del", id="nic0")
        self.qmp.wait("DEVICE_DELETED", 20, device="nic0")
        self.qmp("netdev_del", id="net0")

    def add_files(self, path: Path) -> None:
        """Plug in a file as a second disk that can only be read (/dev/vdb in Linux)."""
        # QEMU runs as another user: it is handed the open file.
        lower = {"driver": "file", "filename": str(path), "read-only": True, "locking": "off"}
        self.qmp("blockdev-add", node_name="files", driver="raw", read_only=True, file=lower)
        self.qmp("device_add", driver="virtio-blk-pci", id="vdb", drive="files", bus="port1")

    def remove_files(self) -> None:
        self.qmp("device_del", id="vdb")
        self.qmp.wait("DEVICE_DELETED", 20, device="vdb")
        self.qmp("blockdev-del", node_name="files")

    def alive(self) -> bool:
        if self._process is not None:
            return self._process.poll() is None
        return bool(started(self.pid))

    def quit(self) -> None:
        """End it, at once."""
        # A signal, and no command: the control socket may be someone else's at the moment.
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGTERM)
        end = time.monotonic() + 5
        while self.alive() and time.monotonic() < end:
            time.sleep(0.01)
        self.kill()

    def let_go(self) -> None:
        """Close the control connection: QEMU serves one at a time, and others may want it."""
        if self._qmp:
            self._qmp.close()
            self._qmp = None

    def kill(self) -> None:
        self.let_go()
        if self.alive():
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)
        if self._process is not None:
            self._process.wait()


def same_generation(guid: str) -> list[str]:
    """QEMU's arguments for a VM that is no copy."""
    return ["-set", f"device.generation.guid={guid}"]


def nic(mac: str, guest: str, ports: dict[int, int], outbound: bool) -> list[str]:
    """QEMU's arguments for the card that ``add_nic`` plugs in."""
    net = ["user", "id=net0", f"restrict={'off' if outbound else 'on'}"]
    net += [f"hostfwd={rule}" for rule in _forwards(guest, ports)]
    card = f"virtio-net-pci,id=nic0,netdev=net0,bus=port0,mac={mac},romfile="
    return ["-netdev", ",".join(net), "-device", card]


def _forwards(guest: str, ports: dict[int, int]) -> list[str]:
    return [f"tcp:127.0.0.1:{host}-{guest}:{port}" for host, port in ports.items()]


def started(pid: int) -> str:
    """When a process was started, in the kernel's ticks; nothing when it is gone. A pid alone may be another's."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return ""
    return "" if fields[0] in "ZX" else fields[19]


def _user(folder: Path) -> tuple[int, str]:
    """The user that QEMU becomes, and its groups; 0 where we are not root and it stays who we are."""
    if os.geteuid() != 0:
        return 0, ""
    uid = GROUP + 1 + zlib.crc32(str(folder).encode()) % 100_000_000
    for path in (folder, *folder.iterdir()):
        if not path.is_mount():
            os.chown(path, uid, uid)
    folder.chmod(0o700)
    groups = {GROUP}
    if qemu.accelerator() == "kvm":
        groups.add(KVM.stat().st_gid)
    return uid, ",".join(map(str, sorted(groups)))


def own_to(folder: Path, path: Path) -> None:
    """Give a file to the user that the VM of ``folder`` runs as."""
    stat = folder.stat()
    shutil.chown(path, stat.st_uid, stat.st_gid)
