"""A verb may end at any moment, with the power: the store then holds the old or the new, whole, and something to sweep."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from tests.support.random_machines import (
    DISK,
    MEMORY,
    STATE,
    base_of,
    changed,
    image,
    kept,
    overlay_of,
)

from skerry.cloudlet.overlay.store import Store
from skerry.cloudlet.session import overlay_maker


def test_what_a_killed_verb_left_is_swept_away_and_a_live_ones_is_not(store: Store) -> None:
    left = store.root / "work/tmpleft"
    left.mkdir()
    (left / "disk").write_bytes(b"half")
    with store.work() as alive:
        (alive / "disk").write_bytes(b"half")
        assert not left.exists()
        store.sweep()
        assert (alive / "disk").exists()
    assert list((store.root / "work").iterdir()) == []


# What changes files, as Python's audit events name it. Each of them may be the last thing that a verb does.
EVENTS = {"open", "os.rename", "os.mkdir", "os.remove", "os.rmdir", "os.chmod", "os.chown", "os.truncate"}
CUT = 77


def cut_at(number: int, verb: Callable[[], object]) -> bool:
    """Run a verb in a process that ends when it touches files for the ``number``-th time. False: it got through."""
    pid = os.fork()
    if not pid:
        left = [number]

        def end(event: str, _: object) -> None:
            if event in EVENTS:
                left[0] -= 1
                if not left[0]:
                    os._exit(CUT)

        try:
            sys.addaudithook(end)
            verb()
            os._exit(0)
        except BaseException:
            os._exit(1)
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    assert code in (0, CUT)
    return code == CUT


def contents(store: Store) -> tuple[set[str], set[str]]:
    """Ids of bases and overlays, all read and checked."""
    bases, kept_overlays = store.bases(), store.overlays()
    for base in bases:
        base.verify()
    for overlay in kept_overlays:
        opened = store.open_overlay(overlay.manifest.id)
        (base,) = (each for each in bases if each.id == opened.manifest.base)
        opened.state(base.state)
    return {base.id for base in bases}, {overlay.manifest.id for overlay in kept_overlays}


@pytest.mark.parametrize(
    "verb", ["keep base", "keep overlay", "import overlay", "remove overlay", "remove base"]
)
def test_a_power_cut_at_any_moment_leaves_a_whole_store(tmp_path: Path, verb: str) -> None:
    random = np.random.default_rng(9)
    memory, disk = image(random, MEMORY), image(random, DISK)
    store = Store(tmp_path / "store")
    base = base_of(store, memory, disk)
    store.keys.own()
    overlay = kept(store, overlay_of(store, base, changed(random, memory, disk), disk))
    other = overlay_of(store, base, changed(random, memory, disk), disk)
    third = base_of(store, disk[:MEMORY], disk, "third")
    before = contents(store)
    id = overlay.manifest.id
    new_base = changed(random, memory, disk)

    def keep_overlay() -> None:
        with store.work() as folder:
            store.keep_overlay(other.parts, other.manifest.id, folder)

    file = tmp_path / "file"
    file.write_bytes(b"".join(other.parts))
    verbs: dict[str, tuple[Callable[[], object], set[str]]] = {
        "keep base": (lambda: base_of(store, new_base, disk, "new"), set()),
        "keep overlay": (keep_overlay, {other.manifest.id}),
        "import overlay": (lambda: overlay_maker.import_(store, file), {other.manifest.id}),
        "remove overlay": (lambda: store.remove(store.overlay_path(id)), {id}),
        "remove base": (lambda: store.remove(third.folder), {third.id}),
    }
    work, differs = verbs[verb]
    number, changes = 1, 0
    while cut_at(number, work):
        again = Store(store.root)
        again.sweep()
        after = contents(again)
        assert [path.name for path in (store.root / "work").iterdir()] == []
        changed_ids = (before[0] ^ after[0]) | (before[1] ^ after[1])
        assert changed_ids <= differs or (verb == "keep base" and len(changed_ids) == 1)
        if changed_ids:
            changes += 1
            break  # the rest of the verb is cleaning up
        number += 1
        assert number < 200
    assert number > 3
    assert Store(store.root).base("base").state == STATE


def test_what_is_kept_is_on_the_disk_before_it_is_in_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A power cut takes what was not flushed: so files come first, then their folder, then the name, then its folder."""
    random = np.random.default_rng(10)
    memory, disk = image(random, MEMORY), image(random, DISK)
    store = Store(tmp_path / "store")
    done: list[tuple[str, int]] = []
    flush, rename = os.fsync, os.rename

    def fsync(handle: int) -> None:
        flush(handle)
        done.append(("flush", os.fstat(handle).st_ino))

    def renamed(source: Path, target: Path) -> None:
        parts = [*source.iterdir(), source] if source.is_dir() else [source]
        flushed = {number for what, number in done if what == "flush"}
        kept = Path(target).parent.name in ("bases", "overlays")
        assert not kept or {path.stat().st_ino for path in parts} <= flushed
        rename(source, target)
        done.append((Path(target).parent.name, Path(target).parent.stat().st_ino))

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(os, "rename", renamed)
    base = base_of(store, memory, disk)
    kept(store, overlay_of(store, base, changed(random, memory, disk), disk))
    for place in ("bases", "overlays"):
        (at,) = (number for number, (what, _) in enumerate(done) if what == place)
        assert ("flush", done[at][1]) in done[at:]
