"""The directory: who may register, who gets an answer, how long an entry lives."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.deadlines import at_most

from skerry.cloudlet.discovery import directory, discovery
from skerry.cloudlet.discovery.directory import Directory, Entries, ask, register
from skerry.cloudlet.discovery.discovery import Cloudlet, Wanted, measure
from skerry.cloudlet.errors import DirectoryError
from skerry.cloudlet.peer.identity import Identity

BASE, OVERLAY = "ab" * 32, "cd" * 32


def cloudlet(name: str = "one", engine: str = BASE, **fields: object) -> Cloudlet:
    given: dict[str, object] = {
        "name": name, "engine": engine, "where": "127.0.0.1:9", "features": [], "bases": [BASE],
        "overlays": [], "cpus": 4, "load": 0.0, "memory_mib": 8000, "sessions": 0,
    }  # fmt: skip
    return Cloudlet(**{**given, **fields})  # type: ignore[arg-type]


def test_an_entry_lives_as_long_as_three_heartbeats() -> None:
    now = [0.0]
    entries = Entries(lambda: now[0])
    assert entries.put(cloudlet())
    now[0] = 3 * directory.HEARTBEAT
    assert len(entries.all()) == 1
    now[0] += 1
    assert entries.all() == []


def test_the_number_of_entries_is_bounded() -> None:
    entries = Entries(lambda: 0.0)
    taken = [entries.put(cloudlet(engine=f"{number:064x}")) for number in range(directory._MOST + 1)]
    assert taken == [True] * directory._MOST + [False]
    assert entries.put(cloudlet(engine=f"{0:064x}"))


@pytest.fixture
def served(tmp_path: Path) -> Iterator[tuple[str, Identity]]:
    identity = Identity(tmp_path / "directory")
    server = Directory(identity, "127.0.0.1", 0)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield f"127.0.0.1:{server.server_address[1]}", identity
    server.shutdown()
    server.server_close()
    thread.join(10)


def test_paired_engines_register_themselves_and_ask(tmp_path: Path, served: tuple[str, Identity]) -> None:
    where, identity = served
    one, stranger = Identity(tmp_path / "one"), Identity(tmp_path / "two")
    for each in (one, stranger):
        each.pair(identity.certificate())
    identity.pair(one.certificate())
    register(one, where, cloudlet(engine=one.fingerprint, where="0.0.0.0:8022"))
    (told,) = ask(one, where)
    assert told.where == "127.0.0.1:8022" and told.bases == [BASE]
    with pytest.raises(DirectoryError, match="no other"):
        register(one, where, cloudlet(engine=BASE))
    with pytest.raises(DirectoryError, match="400"):
        many = [f"{number:064x}" for number in range(512)]
        big = cloudlet(engine=one.fingerprint).model_copy(update={"bases": many * 5})
        register(one, where, big)
    with pytest.raises(DirectoryError):
        ask(stranger, where)
    assert measure(where) is not None and measure("127.0.0.1:1") is None


def test_a_heartbeat_goes_on_when_the_directory_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(directory, "HEARTBEAT", 0.001)
    beats: list[int] = []
    enough, said = threading.Event(), list[str]()

    def beat() -> None:
        beats.append(1)
        if len(beats) > 5:
            enough.set()
        raise DirectoryError("there", "gone")

    heartbeat = directory.Heartbeat(beat, said.append)
    assert enough.wait(at_most(5))
    heartbeat.close()
    assert said == ["The directory at there cannot be asked: gone"]
    assert discovery.Wanted() == Wanted()
