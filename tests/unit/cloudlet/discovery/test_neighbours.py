"""Engines in the LAN: who is asked, and who is believed."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from skerry.cli.main import execute
from skerry.cloudlet.discovery import mdns, neighbours
from skerry.cloudlet.discovery.discovery import Cloudlet
from skerry.cloudlet.discovery.mdns import Heard
from skerry.cloudlet.errors import NeighbourError, PeerRefusedError
from skerry.cloudlet.handoff.daemon import HandoffServer
from skerry.cloudlet.overlay.store import Store
from skerry.cloudlet.peer import wire
from skerry.cloudlet.peer.identity import Identity
from skerry.cloudlet.peer.wire import Kind
from skerry.common.errors import UsageError

ENGINE, BASE = "ab" * 32, "cd" * 32


class Engine:
    """An engine that serves on loopback, as one in the LAN would."""

    def __init__(self, root: Path, name: str) -> None:
        store = Store(root / name)
        self.identity, self.name = Identity(store.root / "keys"), name
        self.said: list[str] = []
        self.server = HandoffServer(store, "127.0.0.1", 0, report=self.said.append)
        self.server.about = self.about
        self.where = f"127.0.0.1:{self.server.port}"
        self.speaks_for = self.identity.fingerprint
        self.asked = 0
        self.thread = threading.Thread(target=self.server.run, daemon=True)
        self.thread.start()

    def about(self) -> Cloudlet:
        self.asked += 1
        return Cloudlet(
            name=self.name, engine=self.speaks_for, where="0.0.0.0:8022", features=[], bases=[BASE],
            overlays=[f"{number:064x}" for number in range(512)], cpus=4, load=0.0, memory_mib=8000, sessions=0,
        )  # fmt: skip

    def heard(self, engine: str = "", *before: str) -> Heard:
        return Heard(engine or self.identity.fingerprint, (*before, self.where))

    def pair(self, other: Identity) -> None:
        self.identity.pair(other.certificate())
        other.pair(self.identity.certificate())


@pytest.fixture
def engines(tmp_path: Path) -> Iterator[tuple[Engine, Engine]]:
    made = Engine(tmp_path, "paired"), Engine(tmp_path, "stranger")
    yield made
    for each in made:
        each.server.stop()
        each.thread.join(30)


@pytest.fixture
def own(tmp_path: Path, engines: tuple[Engine, Engine]) -> Identity:
    """Who asks; the first engine is paired with it."""
    identity = Identity(tmp_path / "own/keys")
    engines[0].pair(identity)
    return identity


def test_paired_engines_are_asked_and_others_only_named(
    engines: tuple[Engine, Engine], own: Identity
) -> None:
    paired, stranger = engines
    said: list[str] = []
    heard = [stranger.heard(), paired.heard("", "127.0.0.1:1"), Heard(own.fingerprint, ("127.0.0.1:1",))]
    found, others = neighbours.tell_apart(own, heard, said.append)
    assert [(each.name, each.where, len(each.overlays)) for each in found] == [("paired", paired.where, 512)]
    assert others == [stranger.heard()] and said == []
    assert (paired.asked, stranger.asked) == (1, 0)


def test_who_claims_to_be_paired_has_to_prove_it(engines: tuple[Engine, Engine], own: Identity) -> None:
    paired, stranger = engines
    liar = stranger.heard(paired.identity.fingerprint)
    said: list[str] = []
    assert neighbours.tell_apart(own, [liar], said.append) == ([], [liar])
    assert len(said) == 1 and "not counted as paired" in said[0]
    # One paired engine is not another one either, nor speaks for it.
    stranger.pair(own)
    with pytest.raises(NeighbourError, match="claims to be"):
        neighbours.ask(own, stranger.where, paired.identity.fingerprint)
    stranger.speaks_for = paired.identity.fingerprint
    with pytest.raises(NeighbourError, match="speaks for another"):
        neighbours.ask(own, stranger.where, stranger.identity.fingerprint)


def test_an_engine_answers_only_whom_it_is_paired_with(engines: tuple[Engine, Engine], own: Identity) -> None:
    paired = engines[0]
    paired.identity.part(own.fingerprint)
    with pytest.raises(NeighbourError, match="does not believe"):
        neighbours.ask(own, paired.where, paired.identity.fingerprint)
    assert paired.asked == 0


def test_a_question_has_no_body_and_an_engine_may_be_silent(
    engines: tuple[Engine, Engine], own: Identity
) -> None:
    paired = engines[0]
    link = wire.connect(own, paired.where)
    link.send(Kind.ASK, b"x")
    with pytest.raises(PeerRefusedError, match="0 are allowed"):
        link.receive(Kind.CLOUDLET)
    link.close()
    paired.server.about = None
    with pytest.raises(NeighbourError, match="does not report"):
        neighbours.ask(own, paired.where, paired.identity.fingerprint)


def test_discover_ranks_the_paired_and_lists_the_others(
    engines: tuple[Engine, Engine],
    own: Identity,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    paired, stranger = engines
    monkeypatch.setattr(mdns, "browse", lambda seconds: [stranger.heard(), paired.heard()])
    words = ["cloudlet", "--store", str(tmp_path / "own"), "discover"]
    assert execute([*words, "--json"]) == 0
    first, second = json.loads(capsys.readouterr().out)
    assert first["cloudlet"]["name"] == "paired" and first["paired"] is True and first["rtt"] < 2
    told = {"engine": stranger.identity.fingerprint, "where": stranger.where}
    assert second["cloudlet"] == told and second["paired"] is False and second["seconds"] is None
    execute(words)
    lines = capsys.readouterr().out.splitlines()
    assert lines[1].split()[0] == "paired" and lines[1].endswith("yes")
    assert lines[2].split()[0] == f"{stranger.identity.fingerprint[:16]}?" and lines[2].endswith("no")
    with pytest.raises(UsageError):
        execute([*words, "--seconds", "nan"])
