"""The keys of a store."""

from __future__ import annotations

from skerry.cloudlet.overlay.store import Store


def test_secrets_are_nobody_elses(store: Store) -> None:
    store.keys.own()
    assert (store.root / "keys/own").stat().st_mode & 0o777 == 0o600
    assert (store.root / "keys").stat().st_mode & 0o777 == 0o700


def test_the_key_stays(store: Store) -> None:
    first = store.keys.public()
    assert store.keys.public() == first
    assert [path.name for path in (store.root / "keys").iterdir()] == ["own"]
