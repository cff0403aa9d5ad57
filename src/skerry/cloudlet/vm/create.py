"""Making bases: boot a machine without a screen, wait until it is ready, and keep what it is at that moment."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path

from skerry.cloudlet.errors import GuestError
from skerry.cloudlet.overlay import elijah
from skerry.cloudlet.overlay.base import Base, seal
from skerry.cloudlet.overlay.machine import Machine
from skerry.cloudlet.overlay.manifest import good_name
from skerry.cloudlet.overlay.pages import PAGE, write_sparse
from skerry.cloudlet.overlay.store import Store
from skerry.cloudlet.vm import recipe, snapshot
from skerry.cloudlet.vm.process import KernelBoot, Vm, own_to, qcow2_on
from skerry.cloudlet.vm.qemu import image_info, preflight
from skerry.common.errors import NotFoundError, UsageError
from skerry.common.proc import run

Say = Callable[[str], None]


def from_recipe(
    store: Store, name: str, machine: Machine, report: Say, guest: recipe.Guest | None = None
) -> Base:
    """A base of the small Debian; ``guest`` is one that was built before.

    Raises PreflightError, PackageError, GuestError, QemuError.
    """
    _check(store, name, machine)
    with store.work() as folder:
        built = guest or recipe.build(folder / "guest", report)
        target = folder / "base"
        target.mkdir()
        shutil.copyfile(built.kernel, target / "kernel")
        shutil.copyfile(built.initrd, target / "initrd")
        boot = KernelBoot(target / "kernel", target / "initrd", built.append)
        return _boot_and_keep(store, folder, name, machine, built.disk, "raw", boot, "", 300, report)


def from_zip(
    store: Store, package: Path, name: str, machine: Machine, ready: str, timeout: float, report: Say
) -> Base:
    """A base of a zip of elijah-provisioning, which is booted again; raises as ``from_image`` does."""
    with store.work() as folder:
        report("extracting the disk from the zip")
        elijah.extract_disk(package, folder / "disk")
        return from_image(store, name, machine, folder / "disk", ready, timeout, report)


def from_image(
    store: Store, name: str, machine: Machine, image: Path, ready: str, timeout: float, report: Say
) -> Base:
    """A base of a raw or qcow2 image that boots by itself.

    ``ready`` is what the guest writes to its first serial port when it is ready, for instance ``login:``.
    Raises NotFoundError, UsageError (another format), PreflightError, GuestError (not ready in time).
    """
    _check(store, name, machine)
    if not image.is_file():
        raise NotFoundError(f"There is no image {image}.")
    info = image_info(image)
    if info["format"] not in ("raw", "qcow2") or info.get("backing-filename") or info.get("data-file"):
        raise UsageError(
            f"{image} is not a raw or qcow2 image without a backing file: it is {info['format']}."
        )
    with store.work() as folder:
        (folder / "base").mkdir()
        return _boot_and_keep(
            store, folder, name, machine, image.resolve(), str(info["format"]), None, ready, timeout, report
        )


def _check(store: Store, name: str, machine: Machine) -> None:
    if not good_name(name):
        raise UsageError(f"'{name}' is not a name: letters, digits, dots and dashes, 63 at most.")
    if any(base.name == name for base in store.bases()):
        raise UsageError(f"There is a base '{name}' already.", remedy="Take another name, or remove it.")
    preflight(machine, store.root / "qemu")


def _boot_and_keep(
    store: Store,
    folder: Path,
    name: str,
    machine: Machine,
    image: Path,
    format: str,
    boot: KernelBoot | None,
    ready: str,
    timeout: float,
    report: Say,
) -> Base:
    place, target = folder / "vm", folder / "base"
    place.mkdir()
    raw = place / "image.raw"
    # A copy: the image may be someone's who changes it, and QEMU runs as a user who may not read it.
    run(["qemu-img", "convert", "-f", format, "-O", "raw", str(image), str(raw)], timeout=1800)
    size = -(-raw.stat().st_size // PAGE) * PAGE
    os.truncate(raw, size)
    run(["qemu-img", "create", "-q", "-u", "-f", "qcow2", str(place / "disk.qcow2"), str(size)])
    if boot:
        for path in (boot.kernel, boot.initrd):
            shutil.copyfile(path, place / path.name)
        boot = KernelBoot(place / boot.kernel.name, place / boot.initrd.name, boot.append)
    report("booting it")
    vm = Vm.start(place, machine, qcow2_on(place / "disk.qcow2", raw), None, boot)
    try:
        _wait_ready(vm, ready, timeout)
        report("taking its memory and disk")
        taken = snapshot.take(vm, machine.memory_pages, go_on=False)
        own_to(folder, taken.disk)
        run(["qemu-img", "rebase", "-u", "-b", str(raw), "-F", "raw", str(taken.disk)])
        run(
            ["qemu-img", "convert", "-O", "raw", "-S", "4k", str(taken.disk), str(target / "disk")],
            timeout=1800,
        )
    finally:
        vm.kill()
    write_sparse(target / "memory", taken.memory)
    report("hashing its pages")
    seal(target, name, machine, taken.state.pack(), boot.append if boot else "")
    return store.keep_base(target)


def _wait_ready(vm: Vm, ready: str, timeout: float) -> None:
    if not ready:
        agent = vm.agent()
        agent.ready(timeout)
        # What booting has left in the kernel's caches settles first.
        agent.run("sync; echo 3 >/proc/sys/vm/drop_caches; fstrim / 2>/dev/null; sync; sleep 1")
        agent.close()
        return
    console, end = vm.folder / "console", time.monotonic() + timeout
    while ready not in (console.read_text(errors="replace") if console.exists() else ""):
        if not vm.alive():
            raise GuestError("it ended before it was ready", vm.last_words())
        if time.monotonic() > end:
            text = console.read_text(errors="replace")[-300:].strip() if console.exists() else ""
            raise GuestError(
                f"'{ready}' did not appear on its console within {timeout:.0f} s", text or "nothing did"
            )
        time.sleep(0.1)
