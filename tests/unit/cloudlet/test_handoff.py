"""The protocol of handoffs: what is sent comes out as it was, and what is not allowed is refused; without a QEMU."""

from __future__ import annotations

import json
import socket
import ssl
import threading
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skerry.cloudlet.errors import PeerRefusedError
from skerry.cloudlet.handoff import batches
from skerry.cloudlet.handoff.adapt import Adapt
from skerry.cloudlet.handoff.batches import NO_PAGES, Batch
from skerry.cloudlet.handoff.literals import Literals
from skerry.cloudlet.handoff.outbox import _cut
from skerry.cloudlet.handoff.source import against
from skerry.cloudlet.overlay.encode import Changes
from skerry.cloudlet.overlay.index import LITERAL, PARENT, ZERO, Limits, PageMap
from skerry.cloudlet.overlay.machine import Machine
from skerry.cloudlet.overlay.pages import PAGE
from skerry.cloudlet.peer import wire
from skerry.cloudlet.peer.identity import Identity
from skerry.cloudlet.peer.tickets import Tickets
from skerry.cloudlet.peer.wire import BadFrameError, Kind, Named, Offer, Wire
from skerry.cloudlet.vm.spool import Spool
from skerry.common.errors import RefusedError, UsageError

PAGES, SENT = 64, 10
LIMITS = Limits(PAGES, PAGES, PAGES, PAGES, (SENT,))
IDS = "ab" * 32


def offer(**fields: object) -> Offer:
    given: dict[str, object] = {
        "name": "one", "base": IDS, "overlays": [], "machine": Machine().to_json(), "disk_pages": 5,
        "card": None, "generation": "0123abcd-0000-0000-0000-0123456789ab",
    }  # fmt: skip
    return Offer(**{**given, **fields})  # type: ignore[arg-type]


def page_map(random: np.random.Generator, literals: int) -> PageMap:
    count = int(random.integers(0, PAGES))
    pages = np.sort(random.permutation(PAGES)[:count]).astype(np.uint32)
    tops = [1, PAGES, PAGES, literals, SENT]
    kinds = random.choice([kind for kind, top in enumerate(tops) if top], count).astype(np.uint8)
    refs = random.integers(0, np.array(tops)[kinds], count).astype(np.uint32) if count else pages
    return PageMap(pages, kinds, refs)


def batch(seed: int) -> Batch:
    random = np.random.default_rng(seed)
    literals = random.integers(0, 256, (int(random.integers(0, 9)), PAGE), np.uint8)
    return Batch(page_map(random, len(literals)), page_map(random, len(literals)), literals)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 1 << 30), st.sampled_from([1, 9, 19]))
def test_batches_come_out_as_they_went_in(seed: int, level: int) -> None:
    made = batch(seed)
    read = batches.unpack(batches.pack(made, level), LIMITS)
    assert np.array_equal(read.literals, made.literals)
    for one, other in ((read.memory, made.memory), (read.disk, made.disk)):
        assert all(
            np.array_equal(getattr(one, name), getattr(other, name)) for name in ("pages", "kinds", "refs")
        )


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 1 << 30), st.data())
def test_damaged_batches_are_refused_or_within_bounds(seed: int, data: st.DataObject) -> None:
    body = bytearray(batches.pack(batch(seed), 1))
    for _ in range(data.draw(st.integers(1, 4))):
        body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    if data.draw(st.booleans()):
        del body[data.draw(st.integers(0, len(body))) :]
    try:
        read = batches.unpack(bytes(body), LIMITS)
    except ValueError:
        return
    tops = np.array([1, PAGES, PAGES, len(read.literals), SENT])
    for where in (read.memory, read.disk):
        assert not len(where) or (
            int(where.pages.max()) < PAGES and bool((where.refs < tops[where.kinds]).all())
        )


@pytest.mark.parametrize("size", [(1 << 32) - 1, 1 << 24, 5000])
def test_a_batch_that_claims_to_be_large_is_refused_before_it_is_unpacked(size: int) -> None:
    body = batches._HEAD.pack(4, size, 0) + b"\0\0\0\0"
    with pytest.raises(ValueError, match="more pages"):
        batches.unpack(body, LIMITS)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 1 << 30))
def test_a_round_is_cut_into_batches_without_loss(seed: int) -> None:
    random = np.random.default_rng(seed)
    total = int(random.integers(0, 3000))
    count = int(random.integers(0, 4000))
    kinds = random.choice([ZERO, LITERAL] if total else [ZERO], count).astype(np.uint8)
    refs = np.where(kinds == LITERAL, random.integers(0, max(total, 1), count), 0).astype(np.uint32)
    whole = PageMap(np.arange(count, dtype=np.uint32), kinds, refs)
    nothing = PageMap(*(np.empty(0, kind) for kind in (np.uint32, np.uint8, np.uint32)))
    found: dict[int, tuple[int, int]] = {}
    at = 0
    for (first, end), memory, disk in _cut(whole, nothing, total, int(random.integers(1, 600))):
        assert first == at and len(disk) == 0 and bool((np.diff(memory.pages.astype(int)) > 0).all())
        at = end
        for page, kind, ref in zip(memory.pages, memory.kinds, memory.refs, strict=True):
            assert kind == ZERO or ref < end - first
            found[int(page)] = (int(kind), int(ref) + (first if kind == LITERAL else 0))
    assert at == total
    assert found == {n: (int(k), int(r)) for n, k, r in zip(range(count), kinds, refs, strict=True)}


# -- what is sent, and what is not ------------------------------------------------------------------------


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 1 << 30))
def test_changes_against_an_overlay_make_the_same_disk(seed: int) -> None:
    random = np.random.default_rng(seed)

    def changed() -> Changes:
        numbers = np.sort(random.permutation(PAGES)[: random.integers(0, PAGES)]).astype(np.uint32)
        return Changes(numbers, random.integers(3, 6, (len(numbers), 1), np.uint8).repeat(PAGE, axis=1))

    base = random.integers(0, 3, (PAGES, 1), np.uint8).repeat(PAGE, axis=1)
    begin, now = changed(), changed()
    wanted, there = base.copy(), base.copy()
    wanted[now.numbers], there[begin.numbers] = now.content, begin.content
    differ = int((wanted != there).any(axis=1).sum())
    sent = against(now, begin, base)
    there[sent.numbers] = sent.content
    assert np.array_equal(there, wanted)
    assert len(sent.numbers) == differ  # nothing is sent that is there already
    assert bool((np.diff(sent.numbers.astype(int)) > 0).all())


def test_a_page_that_changes_while_it_waits_is_taken_once_and_a_later_change_again() -> None:
    spool = Spool(4)
    for value in (1, 2, 3):
        spool.memory[2] = value
        spool.dirty[2] = 1
    taken = spool.take()
    assert taken.numbers.tolist() == [2] and taken.content[0, 0] == 3 and spool.waiting() == 0
    spool.dirty[2] = 1
    assert spool.take().numbers.tolist() == [2]


def test_more_pages_than_are_allowed_are_refused(tmp_path: Path) -> None:
    kept = Literals(tmp_path, 3)
    kept.add(np.full((2, PAGE), 7, np.uint8))
    assert kept.pages()[1, 5] == 7
    with pytest.raises(ValueError, match="more than 3"):
        kept.add(np.zeros((2, PAGE), np.uint8))
    kept.add(NO_PAGES)
    assert kept.count == 2 and list(tmp_path.iterdir()) == []


def test_the_level_follows_link_and_processors() -> None:
    levels = []
    for bandwidth in (1e5, 1e6, 1e7, 1e8, 1e9):
        levels.append(Adapt(2, bandwidth).level())
    assert levels == sorted(levels, reverse=True) and levels[0] == 19 and levels[-1] == 1
    slow = Adapt(2, 3e6)
    before = slow.level()
    for _ in range(10):
        slow.packed(before, 1 << 20, 300_000, 10.0)  # a hundred times slower than it was thought
    assert slow.level() < before


# -- frames ----------------------------------------------------------------------------------------------


def pair() -> tuple[Wire, socket.socket]:
    one, other = socket.socketpair()
    return Wire(one, "there"), other


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes_are_a_frame_or_an_error(data: bytes) -> None:
    link, other = pair()
    with other:
        other.sendall(data)
        other.shutdown(socket.SHUT_WR)
        try:
            while True:
                link.receive(Kind.OFFER, Kind.BATCH)
        except (BadFrameError, OSError, PeerRefusedError):
            pass
    link.close()


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (wire._HEAD.pack(99, 0), "out of turn"),
        (wire._HEAD.pack(Kind.READY, 0), "out of turn"),
        (wire._HEAD.pack(Kind.OFFER, (1 << 16) + 1), "allowed"),
        (wire._HEAD.pack(Kind.BATCH, 0xFFFFFFFF), "allowed"),
    ],
)
def test_frames_out_of_turn_or_bounds_are_refused(data: bytes, why: str) -> None:
    link, other = pair()
    with other:
        other.sendall(data)
        with pytest.raises(BadFrameError, match=why):
            link.receive(Kind.OFFER, Kind.BATCH)
    link.close()


@pytest.mark.parametrize(
    "fields",
    [
        {"name": "../x"},
        {"name": ""},
        {"base": "x"},
        {"overlays": [IDS] * 10},
        {"overlays": [IDS + "\n"]},
        {"disk_pages": -1},
        {"disk_pages": True},
        {"disk_pages": 1 << 40},
        {"machine": {**Machine().to_json(), "cpu": "host,+x"}},
        {"machine": {}},
        {"generation": "auto,x=y"},
        {"card": {"mac": "52:54:00:00:00:01,x=y", "address": "10.0.2.15", "ports": [], "outbound": False}},
        {"card": {"mac": "52:54:00:00:00:01", "address": "10.0.2.2", "ports": [], "outbound": False}},
        {"card": {"mac": "52:54:00:00:00:01", "address": "10.0.2.15", "ports": [0], "outbound": False}},
        {"card": {"mac": "52:54:00:00:00:01", "address": "10.0.2.15", "ports": [1] * 65, "outbound": False}},
        {"format": 2},
        {"more": 1},
    ],
    ids=str,
)
def test_offers_that_are_none_are_refused(fields: dict[str, object]) -> None:
    good = json.loads(offer().model_dump_json())
    assert wire.read(Offer, json.dumps(good).encode()) == offer()
    with pytest.raises(BadFrameError):
        wire.read(Offer, json.dumps({**good, **fields}).encode())


# -- one-time ids ----------------------------------------------------------------------------------------


def test_an_id_is_used_once_by_whom_it_was_given_to(monkeypatch: pytest.MonkeyPatch) -> None:
    tickets = Tickets()
    one = tickets.new("a", offer(), [])
    with pytest.raises(RefusedError, match="no handoff"):
        tickets.begin(one.id, "b")
    with pytest.raises(RefusedError, match="no handoff"):
        tickets.begin(IDS, "a")
    assert tickets.begin(one.id, "a") is one
    with pytest.raises(RefusedError, match="used already"):
        tickets.begin(one.id, "a")
    late = tickets.new("a", offer(), [])
    late.made -= 100
    with pytest.raises(RefusedError, match="older"):
        tickets.begin(late.id, "a")


def test_after_a_no_a_vm_never_runs() -> None:
    tickets = Tickets()
    asked, ran = (tickets.begin(tickets.new("a", offer(), []).id, "a") for _ in range(2))
    assert not tickets.runs(asked.id, "a")
    with pytest.raises(RefusedError), asked.settled():
        raise AssertionError("it runs")
    with ran.settled():
        pass
    ran.end()
    assert tickets.runs(ran.id, "a") and not tickets.runs(ran.id, "b") and tickets.runs(ran.id, "a")


def test_offers_are_bounded() -> None:
    tickets = Tickets()
    with pytest.raises(RefusedError, match="too many"):
        for _ in range(1000):
            tickets.new("a", offer(), [])


# -- certificates ----------------------------------------------------------------------------------------


def shaken(server: Identity, client: Identity) -> None:
    """A handshake of both, to the first byte."""
    one, other = socket.socketpair()
    trouble: list[Exception] = []

    def serve() -> None:
        try:
            with server.context(server=True).wrap_socket(one, server_side=True) as secure:
                server.known(secure)
                secure.sendall(b"x")
        except OSError as error:
            trouble.append(error)
            one.close()

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        with client.context(server=False).wrap_socket(other) as secure:
            client.known(secure)
            if secure.recv(1) != b"x":
                raise ssl.SSLError("refused")
    finally:
        other.close()
        thread.join(10)
    if trouble:
        raise trouble[0]


def test_engines_believe_those_that_they_are_paired_with(tmp_path: Path) -> None:
    one, two, three = (Identity(tmp_path / name) for name in ("one", "two", "three"))
    with pytest.raises(OSError):
        shaken(one, two)
    two.pair(one.certificate())
    with pytest.raises(OSError):
        shaken(one, two)
    assert one.pair(two.certificate()) == two.fingerprint
    shaken(one, two)
    with pytest.raises(OSError):
        shaken(one, three)
    # Any of several, in both directions.
    for other in (two, three):
        for each in (Identity(tmp_path / f"more{number}") for number in range(3)):
            other.pair(each.certificate())
            one.pair(each.certificate())
    three.pair(one.certificate())
    one.pair(three.certificate())
    for client in (two, three):
        shaken(one, client)
        shaken(client, one)
    assert (tmp_path / "one/tls.pem").stat().st_mode & 0o077 == 0
    one.part(two.fingerprint[:8])
    with pytest.raises(OSError):
        shaken(one, two)
    for text in ("", "no certificate", one.certificate()[:200], "x" * 100_000):
        with pytest.raises(UsageError):
            one.pair(text)
    assert PARENT == 4  # the format document says so
    assert Named(id=IDS).id == IDS
