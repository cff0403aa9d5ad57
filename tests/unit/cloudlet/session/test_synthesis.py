"""A hundred random machines go through all that is between two VMs, and come out bit by bit.

In full synthesis that is the migration stream which QEMU loads and the qcow2 file which it opens; with an early start
the files that are read while segments still come. All but QEMU itself is real; tests/functional has that.
"""

from __future__ import annotations

import hashlib
import queue
import socket
import struct
import threading
from pathlib import Path

import numpy as np
import pytest
from tests.support.deadlines import at_most
from tests.support.random_machines import DISK, MEMORY, base_of, changed, image, kept, overlay_of

from skerry.cloudlet.overlay import encoder, segments
from skerry.cloudlet.overlay.index import LZMA, PLAIN, SHUFFLED
from skerry.cloudlet.overlay.pages import PAGE, Pages
from skerry.cloudlet.overlay.rebuild import Rebuild
from skerry.cloudlet.overlay.store import Store
from skerry.cloudlet.overlay.transfer import Transfer
from skerry.cloudlet.session.lazy_pages import LazyPages
from skerry.cloudlet.session.session import feed
from skerry.cloudlet.vm.qcow2 import Writer
from skerry.cloudlet.vm.spool import Spool
from skerry.cloudlet.vm.stream import MAGIC, Parser, StreamState

ROUNDS = 100
FOOTER = b"\x7e" + struct.pack(">I", 3)
EOS = struct.pack(">Q", 0x10)


def state() -> StreamState:
    """A stream as QEMU's, of a machine with nothing but its memory."""
    blocks = b"\x03ram" + struct.pack(">Q", MEMORY * PAGE)
    head = MAGIC + b"\x07" + struct.pack(">I", 3) + b"pc1" + b"\x01" + struct.pack(">I", 3) + b"\x03ram"
    head += bytes(8) + struct.pack(">Q", MEMORY * PAGE | 4) + blocks + EOS + FOOTER
    return StreamState(3, head, b"\x03" + struct.pack(">I", 3) + EOS + FOOTER + b"\x04devices")


def disk_of(path: Path, base: Pages) -> Pages:
    """What a guest sees of a qcow2 file on a base, after the description of the format."""
    data = path.read_bytes()
    (tables,) = struct.unpack_from(">I", data, 36)
    (at,) = struct.unpack_from(">Q", data, 40)
    disk = base.copy()
    for number, table in enumerate(np.frombuffer(data, ">u8", tables, at)):
        place = int(table) & 0x00FF_FFFF_FFFF_FE00
        if not place:
            continue
        for slot, entry in enumerate(np.frombuffer(data, ">u8", PAGE // 8, place)):
            page, cluster = number * (PAGE // 8) + slot, int(entry) & 0x00FF_FFFF_FFFF_FE00
            if cluster:
                disk[page] = np.frombuffer(data, np.uint8, PAGE, cluster)
            elif entry & 1:
                disk[page] = 0
    return disk


def synthesised(rebuild: Rebuild, folder: Path) -> tuple[bytes, bytes]:
    """Hashes of memory and disk after full synthesis."""
    spool = Spool(MEMORY)
    spool.memory[:] = rebuild.base.memory  # what QEMU maps
    ours, theirs = socket.socketpair()
    reader = threading.Thread(target=Parser(spool).read, args=(theirs,))
    reader.start()
    (folder / "disk").unlink(missing_ok=True)
    feed(ours, state(), rebuild.pieces(), Writer(folder / "disk", DISK))
    reader.join(20)
    theirs.close()
    return sha(spool.memory), sha(disk_of(folder / "disk", rebuild.base.disk))


def started_early(rebuild: Rebuild, random: np.random.Generator) -> tuple[bytes, bytes]:
    """The same with an early start: pages are read here and there while segments come, then all of them."""
    transfers: list[Transfer] = []
    trouble: list[Exception] = []
    lazy = LazyPages(rebuild, lambda number: transfers[0].want(number))
    transfer = Transfer(rebuild.overlay, rebuild.index, lazy.arrived, trouble.append)
    transfers.append(transfer)
    seen = np.zeros((MEMORY, PAGE), np.uint8), np.zeros((DISK, PAGE), np.uint8)
    files = list(lazy.files().values())
    answers: queue.Queue[tuple[int, int, bytes]] = queue.Queue()

    def ask(which: int, first: int, count: int) -> None:
        files[which].read(first * PAGE, count * PAGE, lambda data: answers.put((which, first, data)))

    asked = 30
    for _ in range(asked):
        which = int(random.integers(0, 2))
        first = int(random.integers(0, len(seen[which]) - 3))
        ask(which, first, int(random.integers(1, 4)))
        if _ == 10:
            transfer.start()
    for which, pages in enumerate(seen):
        for first in range(0, len(pages), 32):
            ask(which, first, min(32, len(pages) - first))
            asked += 1
    for _ in range(asked):
        which, first, data = answers.get(timeout=at_most(20))
        part = np.frombuffer(data, np.uint8).reshape(-1, PAGE)
        seen[which][first : first + len(part)] = part
    assert transfer.done.wait(at_most(20)) and not trouble and lazy.complete
    return sha(seen[0]), sha(seen[1])


def sha(pages: Pages) -> bytes:
    return hashlib.sha256(np.ascontiguousarray(pages).data).digest()


def test_a_hundred_random_machines_come_back_bit_by_bit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Everything smaller, so that machines of a megabyte have segments of all kinds.
    for name, pages in {"WARM": 4, "COLD": 8, "NEAR": 8, "SEGMENT": 16}.items():
        monkeypatch.setattr(segments, f"{name}_PAGES", pages)
    monkeypatch.setattr(segments, "MOST_DICTIONARY", 24)
    monkeypatch.setattr(encoder, "CLOSE", 1)
    monkeypatch.setattr(encoder, "NEAR", 6)
    store, random = Store(tmp_path / "store"), np.random.default_rng(1)
    memory, disk = image(random, MEMORY), image(random, DISK)
    base = base_of(store, memory, disk)
    kinds: set[tuple[int, bool]] = set()
    for number in range(ROUNDS):
        new_memory, new_disk = changed(random, memory, disk), changed(random, disk, memory)
        # A part of the disk is in memory, as files are.
        first, count = random.integers(0, 200), random.integers(0, 56)
        new_memory[first : first + count] = new_disk[first : first + count]
        touched = [random.permutation(pages)[: random.integers(0, 30)] for pages in (MEMORY, DISK)]
        made = overlay_of(
            store, base, new_memory, new_disk, level=1 if number % 4 else 9,
            warm_memory=touched[0].astype(np.uint32), warm_disk=touched[1].astype(np.uint32),
        )  # fmt: skip
        rebuild = Rebuild(kept(store, made), store)
        wanted = sha(new_memory), sha(new_disk)
        assert synthesised(rebuild, tmp_path) == wanted, number
        assert started_early(rebuild, random) == wanted, number
        table = rebuild.index.segments
        kinds |= set(zip(table.kinds.tolist(), (table.lengths > 0).tolist(), strict=True))
        store.remove(store.overlay_path(made.manifest.id))
    alone = {(kind, False) for kind in (PLAIN, SHUFFLED, LZMA, SHUFFLED | LZMA)}
    assert kinds == {*alone, (PLAIN, True)}
