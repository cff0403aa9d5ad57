"""Handoff on real QEMU: two engines with stores of their own on this machine."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.support.deadlines import at_most, within

from skerry.cloudlet.errors import HandoffError, PeerRefusedError
from skerry.cloudlet.handoff import recovery
from skerry.cloudlet.handoff import source as handoffs
from skerry.cloudlet.handoff.daemon import HandoffServer
from skerry.cloudlet.handoff.source import handoff
from skerry.cloudlet.overlay.base import Base
from skerry.cloudlet.overlay.reader import FileSource
from skerry.cloudlet.overlay.store import Store
from skerry.cloudlet.peer import wire
from skerry.cloudlet.peer.identity import Identity
from skerry.cloudlet.peer.wire import Accept, Begin, Card, Kind, Named, Offer
from skerry.cloudlet.session import overlay_maker, residue
from skerry.cloudlet.session import session as sessions
from skerry.cloudlet.session.session import GuestNetwork, Session
from skerry.cloudlet.session.synthesis import synthesize
from skerry.cloudlet.vm import layers
from skerry.cloudlet.vm.process import Vm
from skerry.cloudlet.vm.stream import StreamState
from skerry.common.proc import run

# Something on the disk, something in memory, and a program that counts.
INSTALL = """
dd if=/dev/urandom of=/root/data bs=1M count=6 2>/dev/null
head -c 1000000 /dev/urandom >/dev/shm/secret
sync
cat >/root/count <<'EOS'
number=0
while :; do number=$((number + 1)); echo $number >/dev/shm/number; sleep 0.02; done
EOS
setsid sh /root/count >/dev/null 2>&1 &
"""
SUMS = "sha256sum /root/data /dev/shm/secret; hostname; cat /etc/machine-id"


@dataclass
class Engine:
    """An engine that serves in this process, as another host's would."""

    store: Store
    server: HandoffServer
    said: list[str]
    thread: threading.Thread

    @property
    def where(self) -> str:
        return f"127.0.0.1:{self.server.port}"

    def stop(self) -> None:
        self.server.stop()
        self.thread.join(at_most(30))
        assert not self.thread.is_alive()


def serve(store: Store) -> Engine:
    said: list[str] = []
    server = HandoffServer(store, "127.0.0.1", 0, report=said.append)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    return Engine(store, server, said, thread)


@pytest.fixture(scope="module")
def other(store: Store, base: Base) -> Iterator[Store]:
    """The other host's store, which holds the base, and is paired with this one."""
    root = store.root.parent / "other"
    if root.exists():
        clear(Store(root))
    made = Store(root)
    shutil.copytree(base.folder, root / "bases" / base.id, copy_function=os.link)
    one, two = Identity(store.root / "keys"), Identity(root / "keys")
    one.pair(two.certificate())
    two.pair(one.certificate())
    yield made
    clear(made)


def clear(store: Store) -> None:
    for folder in (store.root / "sessions").iterdir():
        vm = Vm.find(folder)
        if vm:
            vm.kill()
    shutil.rmtree(store.root)


@pytest.fixture
def engine(other: Store) -> Iterator[Engine]:
    made = serve(other)
    yield made
    made.stop()
    for session in sessions.listed(other):
        sessions.stop(other, session.name)
    assert list((other.root / "sessions").iterdir()) == []


@pytest.fixture(scope="module")
def moving_app(store: Store, base: Base) -> Iterator[overlay_maker.Created]:
    made = overlay_maker.create(store, "deb", "moving", INSTALL)
    yield made
    store.remove(made.path)


@pytest.fixture
def moving(store: Store, moving_app: overlay_maker.Created) -> Iterator[Session]:
    running = synthesize(store, FileSource(moving_app.path), "moving", GuestNetwork((8080,)))
    running.vm.let_go()
    yield running.session
    if sessions.folder_of(store, "moving").exists():
        sessions.stop(store, "moving")


def ask(vm: Vm, script: str) -> str:
    agent = vm.agent()
    try:
        return agent.run(script, timeout=at_most(20))
    finally:
        agent.close()
        vm.let_go()


def memory_of(vm: Vm, size: int) -> str:
    path = vm.folder / "dump"
    vm.qmp("pmemsave", val=0, size=size, filename=str(path))
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    finally:
        path.unlink()


def goes_on(vm: Vm, seconds: float = 10.0) -> None:
    """The guest's program counts on within that time, and its disk is one file again and can be written to."""

    def number() -> int:
        # The shell empties the file before it writes.
        return int(within(seconds, "there is a number", lambda: ask(vm, "cat /dev/shm/number").strip(), 0.01))

    before = number()
    within(seconds, "the guest continues", lambda: number() > before, 0.01)
    assert sorted(path.name for path in vm.folder.glob("*.qcow2")) == ["disk.qcow2"]
    ask(vm, "dd if=/dev/zero of=/root/more bs=64k count=4 2>/dev/null; sync; sha256sum /root/data")


def test_a_handoff_keeps_memory_and_disk_bit_by_bit(
    store: Store, base: Base, engine: Engine, moving: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both VMs are paused before the last word: then all of them is compared."""
    _, vm = sessions.find(store, "moving")
    ask(vm, "echo new >/root/new; head -c 3000000 /dev/urandom >/root/more; sync")
    before = ask(vm, SUMS)
    arrived: list[Vm] = []
    compared: list[tuple[str, str]] = []
    note, resume = handoffs._Handoff._note, sessions.resume

    def resumed(*words: object, **more: object) -> Vm:
        arrived.append(resume(*words, **more))  # type: ignore[arg-type]
        return arrived[-1]

    def look(self: handoffs._Handoff) -> None:
        note(self)
        if self.committed:
            size = base.machine.memory_mib << 20
            compared.append((memory_of(self.vm, size), memory_of(arrived[0], size)))
            pair = (self.files, [arrived[0].folder / "disk.qcow2"])
            disks = ["json:" + json.dumps(layers.described(files, base.path("disk"))) for files in pair]
            run(["qemu-img", "compare", "-q", "-U", *disks])

    monkeypatch.setattr(handoffs._Handoff, "_note", look)
    monkeypatch.setattr(sessions, "resume", resumed)
    handoff(store, "moving", engine.where)
    ((here, there),) = compared
    assert here == there
    assert not sessions.folder_of(store, "moving").exists()
    session, there_now = sessions.find(engine.store, "moving")
    assert ask(there_now, SUMS) == before
    assert session.mac == moving.mac and list(session.ports.values()) == [8080]
    run(["qemu-img", "check", "-q", "-U", str(there_now.folder / "disk.qcow2")])
    goes_on(there_now)


def test_an_overlay_that_is_held_is_not_sent(
    store: Store, engine: Engine, moving: Session, moving_app: overlay_maker.Created
) -> None:
    size, id = moving_app.manifest.size, moving_app.manifest.id
    shutil.copyfile(moving_app.path, engine.store.root / "overlays" / id)
    engine.store.keys.trust(store.keys.public().hex())
    before = ask(sessions.find(store, "moving")[1], SUMS)
    done = handoff(store, "moving", engine.where, rename="moved")
    session, arrived = sessions.find(engine.store, "moved")
    assert session.overlay == id and done.sent < size / 2
    assert ask(arrived, SUMS) == before
    # And back again: the base and the overlay are here, too.
    back = serve(store)
    try:
        assert handoff(engine.store, "moved", back.where).sent < size / 2
    finally:
        back.stop()
    _, vm = sessions.find(store, "moved")
    assert ask(vm, SUMS) == before
    goes_on(vm)
    sessions.stop(store, "moved")
    (engine.store.root / "overlays" / id).unlink()


def test_a_vm_that_began_early_is_moved_as_any_other(
    store: Store, engine: Engine, moving_app: overlay_maker.Created
) -> None:
    running = synthesize(store, FileSource(moving_app.path), "moving", GuestNetwork(), early=True)
    running.vm.let_go()
    before = ask(running.vm, SUMS)
    ask(running.vm, "echo new >/root/new; sync")
    handoff(store, "moving", engine.where)
    running.close()
    session, arrived = sessions.find(engine.store, "moving")
    assert session.mode == "full" and ask(arrived, SUMS + "; cat /root/new") == before + "new\n"
    goes_on(arrived)


def test_the_residue_of_a_session_with_a_card_is_an_overlay_upon_its_own(
    store: Store, moving: Session, moving_app: overlay_maker.Created
) -> None:
    session, vm = sessions.find(store, "moving")
    ask(vm, "echo new >/root/new; sync")
    made = residue.keep(store, session, vm, "later", lambda text: None)
    assert made.manifest.parents == (moving_app.manifest.id,)
    assert made.manifest.size < moving_app.manifest.size / 2
    assert session.address in ask(vm, "ip -o -4 address")
    goes_on(vm)
    running = synthesize(store, FileSource(made.path), "again", GuestNetwork())
    assert ask(running.vm, "cat /root/new") == "new\n"
    sessions.stop(store, "again")
    store.remove(made.path)


@contextlib.contextmanager
def cut(where: str, after: int) -> Iterator[str]:
    """A way to an engine that breaks off after so many bytes."""
    host, port = where.split(":")
    listener = socket.create_server(("127.0.0.1", 0))

    def copy(source: socket.socket, target: socket.socket, most: int) -> None:
        with contextlib.suppress(OSError):
            while most > 0 and (data := source.recv(min(65536, most))):
                target.sendall(data)
                most -= len(data)

    def carry() -> None:
        with contextlib.suppress(OSError):
            near, _ = listener.accept()
            with near, socket.create_connection((host, int(port))) as far:
                back = threading.Thread(target=copy, args=(far, near, 1 << 60), daemon=True)
                back.start()
                copy(near, far, after)
                for sock in (near, far):
                    sock.shutdown(socket.SHUT_RDWR)
                back.join(10)

    thread = threading.Thread(target=carry, daemon=True)
    thread.start()
    try:
        yield f"127.0.0.1:{listener.getsockname()[1]}"
    finally:
        with contextlib.suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(10)


def gone_within(folder: Path, seconds: float) -> None:
    within(seconds, f"{folder.name} is gone", lambda: not folder.exists(), 0.02)


def test_the_source_goes_on_when_the_link_breaks(store: Store, engine: Engine, moving: Session) -> None:
    for after in (20_000, 3_000_000):
        with cut(engine.where, after) as where, pytest.raises(HandoffError):
            handoff(store, "moving", where)
        _, vm = sessions.find(store, "moving")
        goes_on(vm)
        gone_within(sessions.folder_of(engine.store, "moving"), 10)
        assert not (vm.folder / recovery.NOTE).exists()
    # And then it works.
    handoff(store, "moving", engine.where)
    goes_on(sessions.find(engine.store, "moving")[1])


def test_the_source_goes_on_when_the_destination_fails_at_the_last_step(
    store: Store, engine: Engine, moving: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = ask(sessions.find(store, "moving")[1], SUMS)

    def died(self: Vm, timeout: float = 60.0) -> None:
        self.kill()
        raise ValueError("it died")

    with monkeypatch.context() as patched:
        patched.setattr(Vm, "restored", died)
        with pytest.raises(PeerRefusedError, match="it died"):
            handoff(store, "moving", engine.where)
    _, vm = sessions.find(store, "moving")
    assert ask(vm, SUMS) == before
    goes_on(vm)
    gone_within(sessions.folder_of(engine.store, "moving"), 10)


def test_a_vm_whose_last_word_is_lost_runs_once(
    store: Store, engine: Engine, moving: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    send = wire.PeerConnection.send
    lost: list[Kind] = []

    def sent(self: wire.PeerConnection, kind: Kind, body: bytes | wire.Message = b"") -> None:
        if kind is Kind.RUNNING and not lost:
            lost.append(kind)
            raise OSError("lost")
        send(self, kind, body)

    monkeypatch.setattr(wire.PeerConnection, "send", sent)
    with pytest.raises(HandoffError, match="last word"):
        handoff(store, "moving", engine.where)
    assert lost and not sessions.folder_of(store, "moving").exists()
    goes_on(sessions.find(engine.store, "moving")[1])


def test_a_killed_handoff_is_put_right_by_the_next_verb(
    store: Store, engine: Engine, moving: Session
) -> None:
    command = [sys.executable, "-m", "skerry.cli.main", "cloudlet", "--store", str(store.root)]
    process = subprocess.Popen([*command, "handoff", "moving", engine.where], stderr=subprocess.DEVNULL)
    folder = sessions.folder_of(store, "moving")

    def started() -> bool:
        assert process.poll() is None
        return sessions.folder_of(engine.store, "moving").exists()

    within(20, "the handoff has started", started, 0.005)
    assert (folder / recovery.NOTE).exists()
    process.send_signal(signal.SIGKILL)
    process.wait()
    run([*command, "sessions"])
    goes_on(sessions.find(store, "moving")[1])
    gone_within(sessions.folder_of(engine.store, "moving"), 10)


def offer_of(of: Base, **fields: object) -> Offer:
    given: dict[str, object] = {
        "name": "hostile", "base": of.id, "overlays": [], "machine": of.machine.to_json(),
        "disk_pages": of.disk_pages, "card": None, "generation": "0123abcd-0000-0000-0000-0123456789ab",
    }  # fmt: skip
    return Offer(**{**given, **fields})  # type: ignore[arg-type]


def test_an_id_is_good_for_one_handoff(store: Store, base: Base, engine: Engine) -> None:
    identity = Identity(store.root / "keys")
    state = StreamState.unpack(base.state)
    link, second = wire.connect(identity, engine.where), wire.connect(identity, engine.where)
    link.send(Kind.OFFER, offer_of(base))
    accept = wire.read(Accept, link.receive(Kind.ACCEPT)[1])
    begin = Begin(id=accept.id, section=state.section, head=state.head.hex())
    link.send(Kind.BEGIN, begin)
    within(10, "it has started", lambda: sessions.folder_of(engine.store, "hostile").exists(), 0.01)
    second.send(Kind.BEGIN, begin)
    with pytest.raises(PeerRefusedError, match="used already"):
        second.receive(Kind.READY)
    second.close()
    # Nonsense ends it, with the reason, and nothing stays.
    link.send(Kind.BATCH, b"\xff" * 100)
    with pytest.raises(PeerRefusedError, match="batch"):
        link.receive(Kind.READY)
    link.close()
    gone_within(sessions.folder_of(engine.store, "hostile"), 10)
    third = wire.connect(identity, engine.where)
    third.send(Kind.STATUS, Named(id=accept.id))
    with pytest.raises(PeerRefusedError, match="does not run"):
        third.receive(Kind.RUNNING)
    third.close()


def test_what_cannot_be_taken_is_refused_before_anything_is_sent(
    store: Store, base: Base, engine: Engine
) -> None:
    identity = Identity(store.root / "keys")
    outbound = Card(mac="52:54:00:00:00:01", address="10.0.2.15", ports=[], outbound=True)
    for fields, why in (
        ({"base": "0" * 64}, "base"),
        ({"disk_pages": 5}, "another machine or disk"),
        ({"machine": {**base.machine.to_json(), "memory_mib": 512}}, "another machine"),
        ({"card": outbound}, "--outbound"),
    ):
        link = wire.connect(identity, engine.where)
        link.send(Kind.OFFER, offer_of(base, **fields))
        with pytest.raises(PeerRefusedError, match=why):
            link.receive(Kind.ACCEPT)
        link.close()


def test_an_engine_that_is_not_paired_is_refused(
    store: Store, other: Store, engine: Engine, tmp_path: Path
) -> None:
    stranger = Identity(tmp_path / "keys")
    with pytest.raises(HandoffError, match="paired"):
        wire.connect(stranger, engine.where)
    # It believes the engine, but is not believed: TLS 1.3 shows that with the first answer.
    stranger.pair(Identity(other.root / "keys").certificate())
    link = wire.connect(stranger, engine.where)
    with pytest.raises(OSError):
        link.send(Kind.STATUS, Named(id="0" * 64))
        link.receive(Kind.RUNNING)
    link.close()
