"""Cloudlets: how soon a prepared server answers, by VM synthesis and by other ways, over the same link.

Prints a JSON list of figures; what it prepares is kept in FOLDER for the next run. Needs root, QEMU, mmdebstrap,
xdelta3 and xz. ``SKERRY_BENCH_ROUNDS`` is how often each of ours is measured (5), ``SKERRY_BENCH_PEER_ROUNDS`` the
same for peers, each of which takes minutes (1), ``SKERRY_BENCH_PLOT`` a file that the plots are written to (HTML).
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import statistics
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.support.plots import plot
from benchmarks.support.workloads import WORKLOADS, Workload, payload
from skerry.cloudlet.overlay.base import Base
from skerry.cloudlet.overlay.machine import Machine
from skerry.cloudlet.overlay.pages import write_sparse
from skerry.cloudlet.overlay.store import Store
from skerry.cloudlet.session import overlay_maker
from skerry.cloudlet.session import session as sessions
from skerry.cloudlet.session.session import GuestNetwork
from skerry.cloudlet.session.synthesis import source_of, synthesize
from skerry.cloudlet.vm import create, qemu, recipe, snapshot
from skerry.cloudlet.vm.process import Vm, qcow2_on
from skerry.cloudlet.vm.stream import StreamState

FOLDER = Path("/var/tmp/skerry-bench-cloudlet")
ROUNDS = int(os.environ.get("SKERRY_BENCH_ROUNDS", "5"))
PEER_ROUNDS = int(os.environ.get("SKERRY_BENCH_PEER_ROUNDS", "1"))
RATE = 38.0  # Mbit/s, the wireless network of the 2013 paper
MUST_FIRST = {38.0: (7.0, 2.5), 100.0: (3.5, 1.0), 10.0: (27.0, 10.0)}

Row = dict[str, object]


def report(text: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)


def figure(
    name: str, values: list[float], unit: str, must: float | None, aim: float | None, how: str, **peer: object
) -> Row:
    value = round(statistics.median(values), 3)
    row: Row = {"name": name, "value": value, "unit": unit, "must": must, "aim": aim}
    row |= {"peer": None, "peer_value": None, "ratio": None, **peer, "rounds": len(values)}
    row["how"] = f"{how}; each: {[round(each, 3) for each in values]}"
    if isinstance(row["peer_value"], int | float):
        row["ratio"] = round(value / float(row["peer_value"]), 3)
    report(f"{name}: {value} {unit} (peer {row['peer_value']}, ratio {row['ratio']})")
    return row


class Link:
    """The folder behind a link of so many Mbit/s."""

    def __init__(self, folder: Path, mbit: float) -> None:
        program = Path(__file__).with_name("support") / "link.py"
        self._server = subprocess.Popen(
            [sys.executable, str(program), str(folder), str(mbit)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert self._server.stdout
        self.url = f"http://127.0.0.1:{int(self._server.stdout.readline())}"

    def __enter__(self) -> Link:
        return self

    def __exit__(self, *trouble: object) -> None:
        assert self._server.stdin
        self._server.stdin.close()
        self._server.wait()

    def fetch(self, name: str, target: Path) -> None:
        with urllib.request.urlopen(f"{self.url}/{name}") as answer, target.open("wb") as file:
            shutil.copyfileobj(answer, file, 1 << 16)


def timed(work: Callable[[], object]) -> float:
    started = time.monotonic()
    work()
    return time.monotonic() - started


class Bench:
    def __init__(self) -> None:
        FOLDER.mkdir(parents=True, exist_ok=True)
        self.served = FOLDER / "served"
        self.served.mkdir(exist_ok=True)
        self.store = Store(FOLDER / "store")
        self.rows: list[Row] = []
        self.base = self._base()

    def _base(self) -> Base:
        guest = FOLDER / f"guest-{recipe.version()}"
        built = recipe.Guest(guest / "disk.raw", guest / "vmlinuz", guest / "initrd")
        if not built.disk.exists():
            recipe.build(guest, report)
        name = f"deb-{recipe.version()}"
        for base in self.store.bases():
            if base.name == name:
                return base
        return create.from_recipe(self.store, name, Machine(memory_mib=1024), report, built)

    def run(self) -> None:
        self.base.verify()
        self.resumes()
        for workload in WORKLOADS:
            self.workload(workload)

    def resumes(self) -> None:
        def once() -> float:
            started = time.monotonic()
            _, vm = sessions.run_base(self.store, self.base, "bench", GuestNetwork(), prepare=False)
            agent = vm.agent()
            agent.ask("hello")
            seconds = time.monotonic() - started
            agent.close()
            sessions.stop(self.store, "bench")
            return seconds

        once()
        how = "a base of 1 GiB that is here, from the call to the first answer of a program in the guest"
        self.rows.append(
            figure("local resume of a base", [once() for _ in range(ROUNDS)], "s", 1.5, 0.6, how)
        )

    def workload(self, workload: Workload) -> None:
        archive = payload(workload, FOLDER, report)
        for overlay in self.store.overlays():
            self.store.remove(self.store.overlay_path(overlay.manifest.id))
        label = workload.name
        # One VM has the server; all methods bring up what it is at one moment.
        report(f"{label}: installing the server in a copy of the base")
        session, vm = sessions.run_base(self.store, self.base, "bench-launch", GuestNetwork())
        agent = vm.agent()
        overlay_maker.offer(vm, agent, archive)
        agent.run(workload.install)
        agent.run(overlay_maker.SETTLE)
        vm.remove_files()
        agent.close()
        made = []
        for number in range(ROUNDS):
            name = f"{label}-{number}"
            fresh = sessions.Session(session.name, session.base)
            made.append(
                overlay_maker.keep(self.store, fresh, vm, name, warm=workload.warm, report=lambda text: None)
            )
        how = "1 GiB guest that runs on: from the begin of the snapshot to the overlay in the store, but for the recording"
        seconds, pauses = [m.seconds for m in made], [m.pause for m in made]
        self.rows.append(figure(f"{label}: overlay creation", seconds, "s", 15, 4, how))
        self.rows.append(
            figure(f"{label}: pause of the guest meanwhile", pauses, "s", None, 0.1, "QEMU's own clock")
        )
        final = overlay_maker.keep(self.store, fresh, vm, label, warm=workload.warm, report=report)
        report(f"{label}: pages {final.pages}")
        taken = snapshot.take(vm, self.base.machine.memory_pages, go_on=False)
        overlay_maker.export(self.store, label, self.served / f"{label}.overlay")
        self._delta(label, taken, vm)
        self._full_image(label)
        sessions.stop(self.store, session.name)
        self._compare(workload, final.manifest.size)

    # -- what the peers send -----------------------------------------------------------------------------

    def _delta(self, label: str, taken: snapshot.Snapshot, vm: Vm) -> None:
        """The paper's baseline: xdelta3 of all of memory and disk against the base, then LZMA, both at their best.

        These levels are those of the paper's authors' own published program.
        """
        work = FOLDER / "delta"
        shutil.rmtree(work, ignore_errors=True)
        work.mkdir()
        write_sparse(work / "memory", taken.memory)
        subprocess.run(
            [
                "qemu-img",
                "convert",
                "-O",
                "raw",
                snapshot.image_name(taken.disk, self.base),
                str(work / "disk"),
            ],
            check=True,
        )
        (self.served / f"{label}.state").write_bytes(taken.state.pack())
        started = time.monotonic()
        for part in ("memory", "disk"):
            source = self.base.path(part)
            packed = self.served / f"{label}.{part}.xz"
            command = (
                f"xdelta3 -e -9 -S none -B 1073741824 -c -s {source} {work / part} | xz -9 -T1 > {packed}"
            )
            subprocess.run(["sh", "-c", command], check=True)
        self.delta_seconds = time.monotonic() - started

    def _full_image(self, label: str) -> None:
        target = self.served / f"{label}.qcow2"
        target.unlink(missing_ok=True)
        words = ["qemu-img", "convert", "-c", "-O", "qcow2", "-o", "compression_type=zstd"]
        subprocess.run([*words, str(FOLDER / "delta/disk"), str(target)], check=True)

    # -- measuring ----------------------------------------------------------------------------------------

    def _compare(self, workload: Workload, size: int) -> None:
        label = workload.name
        delta = sum((self.served / f"{label}.{part}.xz").stat().st_size for part in ("memory", "disk"))
        image = (self.served / f"{label}.qcow2").stat().st_size
        smaller, smallest = round(delta * 0.55 / 1e6, 1), round(delta * 0.4 / 1e6, 1)
        peer: dict[str, Any] = {"peer": "xdelta3 + LZMA", "peer_value": round(delta / 1e6, 2)}
        self.rows.append(
            figure(f"{label}: overlay size", [size / 1e6], "MB", smaller, smallest, "the whole file", **peer)
        )
        peer = {"peer": "full image, qcow2 with zstd", "peer_value": round(image / 1e6, 2)}
        self.rows.append(
            figure(
                f"{label}: overlay size against the image",
                [size / 1e6],
                "MB",
                None,
                None,
                "the whole file",
                **peer,
            )
        )
        with Link(self.served, RATE) as link:
            peers = {
                "xdelta3 + LZMA, serial": [self._by_delta(link, workload) for _ in range(PEER_ROUNDS)],
                "full image and boot": [self._by_image(link, workload) for _ in range(PEER_ROUNDS)],
                "installation in a base": [self._by_install(link, workload) for _ in range(PEER_ROUNDS)],
            }
            how = f"at {RATE:.0f} Mbit/s"
            for name, values in peers.items():
                self.rows.append(figure(f"{label}: first reply, peer: {name}", values, "s", None, None, how))
            baseline = statistics.median(peers["xdelta3 + LZMA, serial"])
            peer = {"peer": "xdelta3 + LZMA, serial", "peer_value": round(baseline, 2)}
            full = [self._synthesis(link, workload, early=False) for _ in range(ROUNDS)]
            how = f"at {RATE:.0f} Mbit/s: all fetched and rebuilt, then run, to the first reply"
            third = (round(baseline / 3, 2), round(baseline / 3.5, 2))
            self.rows.append(figure(f"{label}: full synthesis", full, "s", *third, how, **peer))
        for rate, (must, aim) in MUST_FIRST.items():
            with Link(self.served, rate) as link:
                early = [self._synthesis(link, workload, early=True) for _ in range(ROUNDS)]
            peer = (
                {"peer": "xdelta3 + LZMA, serial", "peer_value": round(baseline, 2)} if rate == RATE else {}
            )
            how = f"at {rate:.0f} Mbit/s: early start, to the reply to a query that was not recorded"
            self.rows.append(
                figure(f"{label}: first reply at {rate:.0f} Mbit/s", early, "s", must, aim, how, **peer)
            )
            if workload.other:
                with Link(self.served, rate) as link:
                    far = [
                        self._synthesis(link, workload, early=True, ask=workload.other) for _ in range(ROUNDS)
                    ]
                how = f"at {rate:.0f} Mbit/s: early start, to the reply to a query of another kind than the recorded one"
                name = f"{label}: first reply at {rate:.0f} Mbit/s, another kind of query"
                self.rows.append(figure(name, far, "s", must, aim, how))

    def _synthesis(
        self, link: Link, workload: Workload, early: bool, ask: Callable[[int], None] | None = None
    ) -> float:
        started = time.monotonic()
        source = source_of(f"{link.url}/{workload.name}.overlay", self.store)
        running = synthesize(self.store, source, "bench", GuestNetwork((workload.port,)), early=early)
        (port,) = running.session.ports
        workload.first_reply(port, ask=ask)
        seconds = time.monotonic() - started
        if early:
            assert running.lazy and running.transfer
            mb = running.transfer.received / 1e6
            times = {key: round(value, 2) for key, value in running.times.items()}
            report(f"  {seconds:.2f} s, {times}, misses {running.lazy.misses}, {mb:.1f} MB")
        running.close()
        sessions.stop(self.store, "bench")
        return seconds

    def _by_delta(self, link: Link, workload: Workload) -> float:
        label, work = workload.name, FOLDER / "apply"
        shutil.rmtree(work, ignore_errors=True)
        work.mkdir()
        started = time.monotonic()
        for part in ("memory.xz", "disk.xz", "state"):
            link.fetch(f"{label}.{part}", work / part)
        for part in ("memory", "disk"):
            command = f"xz -dc {work}/{part}.xz | xdelta3 -d -B 1073741824 -c -s {self.base.path(part)} > {work}/{part}"
            subprocess.run(["sh", "-c", command], check=True)
        folder = sessions.new_folder(self.store, "bench")
        shutil.move(work / "memory", folder / "memory")
        shutil.move(work / "disk", folder / "disk")
        vm = self._start(folder, StreamState.unpack((work / "state").read_bytes()))
        session = sessions.Session("bench", self.base.id)
        sessions.connect(session, vm, GuestNetwork((workload.port,)))
        workload.first_reply(next(iter(session.ports)))
        seconds = time.monotonic() - started
        vm.quit()
        sessions.stop(self.store, "bench")
        return seconds

    def _start(self, folder: Path, state: StreamState) -> Vm:
        size = self.base.disk_pages * 4096
        subprocess.run(
            ["qemu-img", "create", "-q", "-u", "-f", "qcow2", str(folder / "disk.qcow2"), str(size)],
            check=True,
        )
        ours, theirs = socket.socketpair()
        with theirs:
            disk = qcow2_on(folder / "disk.qcow2", folder / "disk")
            boot = sessions.boot_of(self.base)
            vm = Vm.start(folder, self.base.machine, disk, folder / "memory", boot, incoming=theirs)
        with ours:
            ours.sendall(state.head + state.tail)
        vm.restored()
        return vm

    def _by_image(self, link: Link, workload: Workload) -> float:
        started = time.monotonic()
        folder = sessions.new_folder(self.store, "bench")
        link.fetch(f"{workload.name}.qcow2", folder / "disk.qcow2")
        disk = qcow2_on(folder / "disk.qcow2", None)
        vm = Vm.start(folder, self.base.machine, disk, None, sessions.boot_of(self.base))
        session = sessions.Session("bench", self.base.id)
        agent = vm.agent()
        agent.ready(120)
        agent.close()
        sessions.connect(session, vm, GuestNetwork((workload.port,)))
        workload.first_reply(next(iter(session.ports)))
        seconds = time.monotonic() - started
        vm.quit()
        sessions.stop(self.store, "bench")
        return seconds

    def _by_install(self, link: Link, workload: Workload) -> float:
        shutil.copyfile(FOLDER / f"{workload.name}.tar.xz", self.served / f"{workload.name}.tar.xz")
        started = time.monotonic()
        session, vm = sessions.run_base(self.store, self.base, "bench", GuestNetwork((workload.port,)))
        link.fetch(f"{workload.name}.tar.xz", FOLDER / "fetched")
        agent = vm.agent()
        overlay_maker.offer(vm, agent, FOLDER / "fetched")
        agent.run(workload.install)
        agent.close()
        workload.first_reply(next(iter(session.ports)))
        seconds = time.monotonic() - started
        sessions.stop(self.store, "bench")
        return seconds


def main() -> None:
    if missing := [tool for tool in ("xdelta3", "xz", "mmdebstrap", qemu.PROGRAM) if not shutil.which(tool)]:
        sys.exit(f"not installed: {', '.join(missing)}")
    bench = Bench()
    try:
        bench.run()
    finally:
        for session in sessions.listed(bench.store):
            sessions.stop(bench.store, session.name)
    if path := os.environ.get("SKERRY_BENCH_PLOT"):
        Path(path).write_text(plot(bench.rows))
    print(json.dumps(bench.rows, indent=1))


if __name__ == "__main__":
    main()
