"""Handing a running server over a slow link: by Skerry, and by QEMU's own live migration, in one run.

The server is the Python and numpy one of benchmarks/cloudlet.py, in a guest of 1 GiB. Both engines are on this
machine, with stores of their own; between them is one token bucket of 25 Mbit/s and 5 ms. QEMU's migration moves
memory only, over a disk that both sides share: it is spared the disk that a handoff moves.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks.cloudlet import FOLDER, PEER_ROUNDS, ROUNDS, Bench, Row, figure, report
from benchmarks.support.workloads import WORKLOADS, payload
from skerry.cloudlet.handoff.source import Done, handoff
from skerry.cloudlet.overlay.machine import DISK_NODE
from skerry.cloudlet.overlay.reader import FileSource
from skerry.cloudlet.overlay.store import Store
from skerry.cloudlet.peer.identity import Identity
from skerry.cloudlet.session import overlay_maker
from skerry.cloudlet.session import session as sessions
from skerry.cloudlet.session.session import GuestNetwork, Session
from skerry.cloudlet.session.synthesis import synthesize
from skerry.cloudlet.vm.process import Vm, nic, qcow2_on

RATE = 25.0  # Mbit/s
OVERLAY = "handoff-numpy"
RELAY = Path(__file__).with_name("support") / "relay.py"


@contextlib.contextmanager
def process(*words: str) -> Iterator[int]:
    """A program of this benchmark that prints its port in its first line, and ends with us."""
    started = subprocess.Popen(
        [sys.executable, *words], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert started.stdout and started.stdin
    try:
        yield int(started.stdout.readline().split("port")[-1].split(",")[0])
    finally:
        started.stdin.close()
        started.terminate()
        started.wait()


@contextlib.contextmanager
def link(port: int) -> Iterator[str]:
    with process(str(RELAY), f"127.0.0.1:{port}", str(RATE)) as near:
        yield f"127.0.0.1:{near}"


@dataclass(frozen=True)
class Migrated:
    """By QEMU: seconds, those of the memory alone, of downtime as it reports it, and megabytes of memory."""

    seconds: float
    memory: float
    pause: float
    sent: float


def until(reached: Callable[[], bool], timeout: float = 900.0) -> None:
    end = time.monotonic() + timeout
    while not reached():
        if time.monotonic() > end:
            raise TimeoutError("QEMU is not there yet")
        time.sleep(0.02)


def listens(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)):
        return True
    return False


@contextlib.contextmanager
def mirrored(vm: Vm, disk: Path) -> Iterator[Callable[[], None]]:
    """The VM's disk is copied to ``disk`` over the link, and kept equal until its value is called."""
    near = sessions.free_port()
    export = ["qemu-nbd", "-t", "-b", "127.0.0.1", "-p", str(near), "-x", "disk", "-f", "qcow2", str(disk)]
    server = subprocess.Popen(export)
    try:
        with link(near) as where:
            host, _, port = where.rpartition(":")
            there = {"type": "inet", "host": host, "port": port}
            until(lambda: listens(near), 30)
            vm.qmp("blockdev-add", driver="nbd", node_name="peer", server=there, export="disk")
            vm.qmp("blockdev-mirror", job_id="mirror", device=DISK_NODE, target="peer", sync="top")
            until(lambda: all(job["ready"] for job in vm.qmp("query-block-jobs")))

            def settle() -> None:
                vm.qmp("block-job-cancel", device="mirror")
                until(lambda: not vm.qmp("query-block-jobs"))
                vm.qmp("blockdev-del", node_name="peer")
                server.terminate()
                server.wait()

            yield settle
    finally:
        server.kill()
        server.wait()


class Handoffs:
    def __init__(self) -> None:
        bench = Bench()
        self.base, self.store, self.workload = bench.base, bench.store, WORKLOADS[0]
        self.overlay = self._overlay()
        self.other = Store(FOLDER / "other")
        there = self.other.root / "bases" / self.base.id
        if not there.exists():
            shutil.copytree(self.base.folder, there, copy_function=os.link)
        one, two = (Identity(store.root / "keys") for store in (self.store, self.other))
        one.pair(two.certificate())
        two.pair(one.certificate())
        self.other.keys.trust(self.store.keys.public().hex())
        self.clear()

    def _overlay(self) -> Path:
        """The server as an overlay; kept for the next run."""
        for overlay in self.store.overlays():
            if overlay.manifest.name == OVERLAY:
                return self.store.overlay_path(overlay.manifest.id)
        archive = payload(self.workload, FOLDER, report)
        install = self.workload.install
        return overlay_maker.create(
            self.store, self.base.id, OVERLAY, install, files=archive, report=report
        ).path

    def clear(self) -> None:
        for store in (self.store, self.other):
            for session in sessions.listed(store):
                sessions.stop(store, session.name)

    def running(self) -> Session:
        """A server that has been at work for a moment."""
        running = synthesize(
            self.store, FileSource(self.overlay), "bench", GuestNetwork((self.workload.port,))
        )
        running.vm.let_go()
        self.used(running.session)
        return running.session

    def used(self, session: Session) -> None:
        for _ in range(20):
            self.workload.first_reply(next(iter(session.ports)))

    def holds(self, overlay: bool) -> None:
        """Whether the other engine has the overlay."""
        there = self.other.root / "overlays" / self.overlay.name
        if overlay and not there.exists():
            shutil.copyfile(self.overlay, there)
        elif not overlay:
            there.unlink(missing_ok=True)

    def by_skerry(self) -> Done:
        self.running()
        command = [
            "-m",
            "skerry.cli.main",
            "cloudlet",
            "--store",
            str(self.other.root),
            "serve",
            "--port",
            "0",
        ]
        with process(*command) as port, link(port) as where:
            done = handoff(self.store, "bench", where)
        session, _ = sessions.find(self.other, "bench")
        self.used(session)
        sessions.stop(self.other, "bench")
        report(f"  {done}")
        return done

    def by_qemu(self) -> Migrated:
        session = self.running()
        _, vm = sessions.find(self.store, "bench")
        folder = FOLDER / "peer"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(mode=0o711)
        disk = folder / "disk.qcow2"
        lower = ["-F", "raw", "-b", str(self.base.path("disk"))]
        subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", *lower, str(disk)], check=True)
        disk.chmod(0o666)
        got: list[socket.socket] = []
        started = time.monotonic()
        with (
            mirrored(vm, disk) as settle,
            socket.create_server(("127.0.0.1", 0)) as listener,
            link(listener.getsockname()[1]) as where,
        ):
            after = time.monotonic()
            thread = threading.Thread(target=lambda: got.append(listener.accept()[0]), daemon=True)
            thread.start()
            pause = {"capability": "pause-before-switchover", "state": True}
            vm.qmp("migrate-set-capabilities", capabilities=[pause])
            vm.qmp("migrate-set-parameters", max_bandwidth=1 << 40)
            vm.qmp("migrate", uri=f"tcp:{where}")
            thread.join(30)
            ports = {sessions.free_port(): self.workload.port}
            there = Vm.start(
                folder, self.base.machine, qcow2_on(disk, self.base.path("disk")), None,
                sessions.boot_of(self.base), incoming=got[0],
                devices=nic(session.mac, session.address, ports, False),
            )  # fmt: skip
            got[0].close()
            try:
                until(lambda: vm.qmp("query-migrate")["status"] == "pre-switchover")
                settle()
                vm.qmp("migrate-continue", state="pre-switchover")
                there.restored(timeout=900)
                ended = time.monotonic()
                told = vm.qmp("query-migrate")
                self.used(Session("peer", self.base.id, ports=ports))
            finally:
                there.quit()
        vm.let_go()
        sessions.stop(self.store, "bench")
        shutil.rmtree(folder)
        done = Migrated(
            ended - started, ended - after, told.get("downtime", 0) / 1e3, told["ram"]["transferred"] / 1e6
        )
        report(f"  {done}")
        return done

    def run(self) -> list[Row]:
        cases = {"base present": (False, 30, 15), "overlay present too": (True, 5, 2)}
        done: dict[str, list[Done]] = {case: [] for case in cases}
        peer: list[Migrated] = []
        for number in range(ROUNDS):
            for case, (overlay, *_) in cases.items():
                self.holds(overlay)
                done[case].append(self.by_skerry())
            if number < PEER_ROUNDS:
                peer.append(self.by_qemu())
        rows = []
        name = "QEMU live migration"
        theirs = statistics.median(each.seconds for each in peer) if peer else 0.0
        told: Row = {"peer": name, "peer_value": round(theirs, 2)} if peer else {}
        for case, (_, must, aim) in cases.items():
            each = done[case]
            how = f"1 GiB guest with the numpy server at {RATE:.0f} Mbit/s, from the call to the word that it runs there"
            seconds = [one.seconds for one in each]
            rows.append(figure(f"handoff, {case}", seconds, "s", must, aim, how, **told))
            how = "from the guest's stop here to the word that it runs there"
            rows.append(figure(f"handoff, {case}: downtime", [one.pause for one in each], "s", 1, None, how))
            sent = [one.sent / 1e6 for one in each]
            rows.append(figure(f"handoff, {case}: sent", sent, "MB", None, None, "all that went to the peer"))
            if peer:
                how = "how many times faster than QEMU's live migration over the same link"
                faster = [theirs / one for one in seconds]
                rows.append(figure(f"handoff, {case}: against live migration", faster, "x", 5, 10, how))
        for what, unit, mine in (
            ("", "s", [one.seconds for one in peer]),
            (", memory alone", "s", [one.memory for one in peer]),
            (": downtime", "s", [one.pause for one in peer]),
            (", memory alone: sent", "MB", [one.sent for one in peer]),
        ):
            if peer:
                rows.append(figure(f"{name}{what}", mine, unit, None, None, "the peer"))
        return rows


def main() -> None:
    if missing := [tool for tool in ("mmdebstrap", "qemu-system-x86_64") if not shutil.which(tool)]:
        sys.exit(f"not installed: {', '.join(missing)}")
    bench = Handoffs()
    try:
        rows = bench.run()
    finally:
        bench.clear()
    print(json.dumps(rows, indent=1))


if __name__ == "__main__":
    main()
