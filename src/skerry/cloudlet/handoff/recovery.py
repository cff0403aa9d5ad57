"""After a handoff that did not end well: the VM continues at its source, unless it runs at the destination."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

from skerry.cloudlet.errors import HandoffError, PeerRefusedError, UnsettledError
from skerry.cloudlet.handoff import destination
from skerry.cloudlet.overlay.store import Store
from skerry.cloudlet.peer import wire
from skerry.cloudlet.peer.identity import Identity
from skerry.cloudlet.peer.wire import BadFrameError, Kind, Named
from skerry.cloudlet.session import session as sessions
from skerry.cloudlet.session.session import Session
from skerry.cloudlet.session.synthesis import sweep_mounts
from skerry.cloudlet.vm import intake, layers
from skerry.cloudlet.vm.process import Vm, started

NOTE = "handoff.json"  # in the folder of a session that is being handed over


def ask(store: Store, where: str, id: str, timeout: float) -> bool | None:
    """Whether the VM of a handoff runs there; None when nobody can be asked. A no is for good."""
    end = time.monotonic() + timeout
    while True:
        try:
            link = wire.connect(Identity(store.root / "keys"), where)
            try:
                link.send(Kind.STATUS, Named(id=id))
                link.receive(Kind.RUNNING)
                return True
            finally:
                link.close()
        except PeerRefusedError:
            return False
        except (HandoffError, OSError, BadFrameError):
            pass
        if time.monotonic() > end:
            return None
        time.sleep(0.5)


def go_on(vm: Vm) -> None:
    """Let a VM run on that a handoff has left in whatever state, with one disk file as before."""
    if vm.alive():
        status = vm.qmp("query-migrate").get("status", "none")
        if status in ("setup", "active", "pre-switchover", "device"):
            vm.qmp("migrate_cancel")
            end = time.monotonic() + 30
            while vm.qmp("query-migrate").get("status") == "cancelling" and time.monotonic() < end:
                time.sleep(0.005)
        if vm.qmp("query-status")["status"] in ("postmigrate", "finish-migrate"):
            intake.go_on(vm)
        layers.settle(vm)
    (vm.folder / NOTE).unlink(missing_ok=True)


def recover(store: Store, session: Session, vm: Vm) -> None:
    """Resume a VM whose handoff was killed. Raises UnsettledError when it is unknown whether it runs there."""
    try:
        left = json.loads((vm.folder / NOTE).read_text())
        pid, start_time = left["owner"].split()
    except (FileNotFoundError, ValueError, KeyError):
        return
    if started(int(pid)) == start_time and int(pid) != os.getpid():
        return  # it is at work
    running = ask(store, left["where"], left["id"], 2.0) if left["committed"] else False
    if running:
        sessions.stop(store, session.name)
        return
    go_on(vm)
    vm.let_go()
    if running is None:
        raise UnsettledError(left["where"], "it does not answer")


def open_store(folder: Path) -> Store:
    """The store in ``folder``, after what killed commands have left in it is settled. Raises as ``recover`` does."""
    store = Store(folder)
    sweep_mounts(store)
    store.sweep()
    if any((store.root / "sessions").iterdir()):
        destination.sweep(store)
        recover_all(store)
    return store


def recover_all(store: Store) -> None:
    """Let all VMs run on whose handoffs were killed; raises as ``recover`` does."""
    for note in (store.root / "sessions").glob(f"*/{NOTE}"):
        vm = Vm.find(note.parent)
        if vm is not None:
            recover(store, Session.load(note.parent), vm)
