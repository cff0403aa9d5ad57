"""Small random machines, and overlays of them, for the tests of the codec."""

from __future__ import annotations

import numpy as np

from skerry.cloudlet.overlay.base import Base, seal
from skerry.cloudlet.overlay.encoder import Changes, Made, Sources, finder, make, plan
from skerry.cloudlet.overlay.machine import Machine
from skerry.cloudlet.overlay.pages import PAGE, Pages, differing, digests, write_sparse
from skerry.cloudlet.overlay.reader import FileSource, Overlay
from skerry.cloudlet.overlay.rebuild import Rebuild
from skerry.cloudlet.overlay.store import Store
from skerry.cloudlet.vm.stream import MAGIC, StreamState

MACHINE = Machine(memory_mib=1)
MEMORY, DISK = 256, 300  # pages
STATE = StreamState(3, MAGIC + b"head", b"devices" * 100).pack()


def image(random: np.random.Generator, pages: int) -> Pages:
    """Pages of which some are zero, some the same, and the rest of any kind."""
    pool = np.stack([page(random) for _ in range(40)])
    pool[:8] = 0
    return pool[random.integers(0, 40, pages)].copy()


def page(random: np.random.Generator) -> Pages:
    """A page of noise, of numbers that are like each other, or of something like a program."""
    kind = random.integers(0, 3)
    if kind == 0:
        noise: Pages = random.integers(0, 256, PAGE, np.uint8)
        return noise
    if kind == 1:
        numbers: Pages = np.sin(np.arange(PAGE // 4) * random.random()).astype(np.float32).view(np.uint8)
        return numbers
    code = random.integers(0, 20, PAGE, np.uint8)
    code[::9], code[4::9] = 0xE8, 0  # calls: what the filter for machine code changes
    return code


def changed(random: np.random.Generator, old: Pages, other: Pages) -> Pages:
    new = old.copy()
    for number in random.permutation(len(new))[: random.integers(0, len(new))]:
        kind = random.integers(0, 5)
        if kind == 0:
            new[number] = 0
        elif kind == 1:
            new[number] = other[random.integers(0, len(other))]
        elif kind == 2:
            new[number] = new[random.integers(0, len(new))]
        elif kind == 3:
            new[number, random.integers(0, PAGE)] ^= 1
        else:
            new[number] = page(random)
    return new


def base_of(store: Store, memory: Pages, disk: Pages, name: str = "base") -> Base:
    with store.work() as folder:
        built = folder / "base"
        built.mkdir()
        write_sparse(built / "memory", memory)
        write_sparse(built / "disk", disk)
        seal(built, name, MACHINE, STATE)
        return store.keep_base(built)


def changes(old: Pages, new: Pages) -> Changes:
    numbers = np.flatnonzero(differing(old, new)).astype(np.uint32)
    return Changes(numbers, new[numbers])


def overlay_of(
    store: Store, base: Base, memory: Pages, disk: Pages, *parents: Overlay, level: int = 1, **more: object
) -> Made:
    below = [
        finder(digests(Rebuild(parent, store).overlay.literals(Rebuild(parent, store).index)))
        for parent in parents
    ]
    sources = Sources(base.finder("disk"), base.finder("memory"), below)
    chosen = plan(changes(base.memory, memory), changes(base.disk, disk), sources, **more)  # type: ignore[arg-type]
    return make(
        chosen,
        STATE,
        name="app",
        base=base,
        keys=store.keys,
        parents=[parent.manifest.id for parent in parents],
        level=level,
    )


def kept(store: Store, made: Made) -> Overlay:
    with store.work() as folder:
        return Overlay(FileSource(store.keep_overlay(made.parts, made.manifest.id, folder)), store.keys)


def rebuilt(store: Store, overlay: Overlay) -> tuple[Pages, Pages]:
    rebuild = Rebuild(overlay, store)
    memory, disk = rebuild.base.memory.copy(), rebuild.base.disk.copy()
    for piece in rebuild.pieces():
        (disk if piece.disk else memory)[piece.numbers] = piece.content
    return memory, disk
