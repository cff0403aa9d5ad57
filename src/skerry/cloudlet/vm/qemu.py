"""The QEMU of this host: what it can be, and whether it can run a given machine."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import subprocess
import tempfile
from functools import cache
from pathlib import Path

from skerry.cloudlet.overlay.machine import Machine
from skerry.cloudlet.vm.qmp import Qmp
from skerry.common import log
from skerry.common.accelerator import KVM, boot
from skerry.common.errors import PreflightError
from skerry.common.proc import run

PROGRAM = "qemu-system-x86_64"


def program() -> str:
    """Raises PreflightError when there is none."""
    found = shutil.which(PROGRAM)
    if not found:
        raise PreflightError(
            f"{PROGRAM} is not installed.", remedy="Run 'apt-get install qemu-system-x86 qemu-utils'."
        )
    return found


@cache
def version() -> tuple[int, int]:
    """Raises PreflightError for a QEMU older than 7.2."""
    said = run([program(), "--version"]).stdout
    found = re.search(r"version (\d+)\.(\d+)", said)
    number = (int(found[1]), int(found[2])) if found else (0, 0)
    if number < (7, 2):
        raise PreflightError(f"QEMU 7.2 or newer is needed, this is {said.splitlines()[0]}.")
    return number


@cache
def accelerator() -> str:
    """``kvm`` where a guest really runs with it, else ``tcg``. Found out once in each run of the host."""
    if not KVM.exists():
        return "tcg"
    folder = Path(
        "/run/skerry-cloudlet" if os.geteuid() == 0 else os.environ.get("XDG_RUNTIME_DIR", "/nowhere")
    )
    note = folder / "accelerator"
    if note.is_file():
        return "kvm" if note.read_text() == "kvm" else "tcg"
    found = _probe()
    with contextlib.suppress(OSError):
        if os.geteuid() == 0:
            folder.mkdir(mode=0o700, exist_ok=True)
        note.write_text(found)
    return found


def _probe() -> str:
    """KVM must boot a guest, and not be the slower one."""
    return "kvm" if boot(program(), "kvm").keeps_up_with(boot(program(), "tcg")) else "tcg"


def preflight(machine: Machine, notes: Path) -> None:
    """Raise PreflightError when this host's QEMU does not have the machine type, or the host a feature of the CPU model.

    What was found right is noted in the file ``notes``, so that it is asked once for each QEMU.
    """
    path = program()
    stat = Path(path).stat()
    note = f"{path} {stat.st_mtime_ns} {stat.st_size} {machine.type} {machine.cpu} {accelerator()}"
    if notes.exists() and note in notes.read_text().splitlines():
        return
    with tempfile.TemporaryDirectory() as folder:
        argv = [
            path,
            "-nodefaults",
            "-display",
            "none",
            "-S",
            "-machine",
            "none" if accelerator() == "tcg" else "q35",
        ]
        argv += ["-accel", accelerator(), "-qmp", f"unix:{folder}/qmp,server=on,wait=off"]
        process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        log.started(argv, process.pid)
        try:
            qmp = Qmp(Path(folder) / "qmp")
            types = {each["name"] for each in qmp("query-machines")}
            models = {each["name"]: each for each in qmp("query-cpu-definitions")}
            qmp("quit")
            qmp.close()
        finally:
            process.kill()
            process.wait()
    if machine.type not in types:
        raise PreflightError(
            f"The QEMU of this host does not know the machine type {machine.type}.",
            remedy="Take a newer QEMU.",
        )
    missing = models.get(machine.cpu, {}).get("unavailable-features", ["the model itself"])
    if missing:
        raise PreflightError(
            f"This host cannot be a {machine.cpu}: it does not have {', '.join(missing)}.",
            remedy="Use a host that has it, or a base with an older CPU model.",
        )
    notes.write_text((notes.read_text() if notes.exists() else "") + note + "\n")


def image_info(path: Path) -> dict[str, object]:
    """What qemu-img reports of an image: format, virtual-size and more."""
    read: dict[str, object] = json.loads(run(["qemu-img", "info", "--output=json", str(path)]).stdout)
    return read
