"""Cloudlets in the LAN: what is announced, what is believed of what is heard, and who is asked."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from ipaddress import ip_interface
from pathlib import Path

import pytest
from zeroconf import ServiceInfo

from skerry.cli.main import execute
from skerry.cloudlet.discovery import mdns, neighbours
from skerry.cloudlet.discovery.discovery import Cloudlet
from skerry.cloudlet.discovery.mdns import Heard
from skerry.cloudlet.errors import MulticastError, NeighbourError, PeerRefusedError
from skerry.cloudlet.handoff import service
from skerry.cloudlet.handoff.daemon import Server
from skerry.cloudlet.overlay.store import Store
from skerry.cloudlet.peer import wire
from skerry.cloudlet.peer.identity import Identity
from skerry.cloudlet.peer.wire import Kind
from skerry.common.errors import UsageError

ENGINE, BASE = "ab" * 32, "cd" * 32
OWN = [ip_interface(text) for text in ("192.0.2.7/24", "169.254.3.4/16", "fd00::7/64", "fe80::7/64")]


@pytest.mark.parametrize(
    ("listen", "addresses"),
    [
        ("127.0.0.1", []),
        ("127.8.0.1", []),
        ("::1", []),
        ("192.0.2.7", ["192.0.2.7"]),
        ("192.0.2.8", []),
        ("0.0.0.0", ["192.0.2.7", "169.254.3.4"]),
        ("::", ["fd00::7"]),
        ("fd00::7", ["fd00::7"]),
        ("fe80::7%eth0", []),
    ],
)
def test_only_addresses_that_others_reach_are_announced(listen: str, addresses: list[str]) -> None:
    assert mdns.announced(listen, OWN) == addresses


def test_loopback_is_no_network_of_a_host() -> None:
    assert not any(each.is_loopback for each in mdns.own_interfaces())


def info(engine: object = ENGINE, format: object = "1", port: int = 8022, *addresses: str) -> ServiceInfo:
    said = {key: value for key, value in (("engine", engine), ("format", format)) if value is not None}
    name = f"one.{mdns.SERVICE}"
    return ServiceInfo(mdns.SERVICE, name, port=port, properties=said, parsed_addresses=list(addresses))


def test_an_announcement_is_read() -> None:
    heard = mdns.read(info(ENGINE, "1", 8022, "192.0.2.9", "fd00::9"), OWN)
    assert heard == Heard(ENGINE, ("192.0.2.9:8022", "[fd00::9]:8022"))
    # An address that this host has, too, comes last.
    heard = mdns.read(info(ENGINE, "1", 8022, "192.0.2.7", "fd00::9"), OWN)
    assert heard == Heard(ENGINE, ("[fd00::9]:8022", "192.0.2.7:8022"))


@pytest.mark.parametrize(
    "said",
    [
        info(ENGINE, "1", 8022),
        info(ENGINE, "2", 8022, "192.0.2.9"),
        info(ENGINE, None, 8022, "192.0.2.9"),
        info(ENGINE, "1", 0, "192.0.2.9"),
        info("AB" * 32, "1", 8022, "192.0.2.9"),
        info(ENGINE + "0", "1", 8022, "192.0.2.9"),
        info(b"\xff" * 64, "1", 8022, "192.0.2.9"),
        info(None, "1", 8022, "192.0.2.9"),
        # Not of this LAN: whoever looks is not sent elsewhere.
        info(ENGINE, "1", 8022, "203.0.113.1", "127.0.0.1", "::1", "0.0.0.0", "fd01::1", "fe80::9", "224.0.0.251"),
    ],
)  # fmt: skip
def test_what_is_no_announcement_is_left_out(said: ServiceInfo) -> None:
    assert mdns.read(said, OWN) is None


@pytest.mark.parametrize(
    "name",
    ["", ".", "other._tcp.local.", f"x\0y.{mdns.SERVICE}", f"{'x' * 200}.{mdns.SERVICE}", "\ud800" * 9],
)
def test_odd_names_do_no_harm(name: str) -> None:
    made = mdns.named(name)
    assert made is None or mdns.read(made, OWN) is None


def test_the_number_of_addresses_is_bounded() -> None:
    heard = mdns.read(info(ENGINE, "1", 1, *(f"192.0.2.{number}" for number in range(20, 60))), OWN)
    assert heard is not None and len(heard.addresses) == 4


def test_a_host_without_networks_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mdns, "own_interfaces", lambda: [])
    with pytest.raises(MulticastError, match="no network but loopback"):
        mdns.browse(0)


def test_an_engine_on_loopback_is_silent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mdns, "Announcement", lambda *_: pytest.fail("it is announced"))
    server = Server(Store(tmp_path), "127.0.0.1", 0)
    assert service.announce(server, ENGINE, print) is None
    server.stop()


def test_an_engine_that_cannot_be_announced_serves_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fails(*_: object) -> None:
        raise MulticastError("no such device")

    monkeypatch.setattr(mdns, "Announcement", fails)
    monkeypatch.setattr(mdns, "own_interfaces", lambda: OWN)
    server = Server(Store(tmp_path), "127.0.0.1", 0)
    server.address = "0.0.0.0"
    assert service.announce(server, ENGINE, print) is None
    assert "no such device" in capsys.readouterr().out
    server.stop()


# -- who is asked -------------------------------------------------------------------------------------------


class Engine:
    """An engine that serves on loopback, as one in the LAN would."""

    def __init__(self, root: Path, name: str) -> None:
        store = Store(root / name)
        self.identity, self.name = Identity(store.root / "keys"), name
        self.said: list[str] = []
        self.server = Server(store, "127.0.0.1", 0, say=self.said.append)
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
    with pytest.raises(NeighbourError, match="says to be"):
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
    with pytest.raises(NeighbourError, match="does not say"):
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
