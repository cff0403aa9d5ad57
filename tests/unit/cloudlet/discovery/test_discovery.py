"""Which cloudlet comes first."""

from __future__ import annotations

import pytest

from skerry.cloudlet.discovery.discovery import Cloudlet, Wanted, rank
from skerry.cloudlet.peer import wire

BASE, OVERLAY = "ab" * 32, "cd" * 32


def cloudlet(name: str = "one", engine: str = BASE, **fields: object) -> Cloudlet:
    given: dict[str, object] = {
        "name": name, "engine": engine, "where": "127.0.0.1:9", "features": [], "bases": [BASE],
        "overlays": [], "cpus": 4, "load": 0.0, "memory_mib": 8000, "sessions": 0,
    }  # fmt: skip
    return Cloudlet(**{**given, **fields})  # type: ignore[arg-type]


def test_what_is_held_near_and_free_comes_first() -> None:
    every = [
        (cloudlet("far-with-overlay", overlays=[OVERLAY]), 0.2),
        (cloudlet("near-with-overlay", overlays=[OVERLAY]), 0.01),
        (cloudlet("near-with-base"), 0.001),
        (cloudlet("busy-with-overlay", overlays=[OVERLAY], load=40.0), 0.01),
        (cloudlet("silent", overlays=[OVERLAY]), None),
        (cloudlet("without-base", bases=[]), 0.001),
        (cloudlet("overlay-without-base", bases=[], overlays=[OVERLAY]), 0.001),
        (cloudlet("no-memory", overlays=[OVERLAY], memory_mib=100), 0.001),
    ]
    found = rank([each for each, _ in every], Wanted(BASE, [OVERLAY], 1024), [rtt for _, rtt in every])
    names = [one.cloudlet.name for one in found]
    assert names[:4] == ["near-with-overlay", "far-with-overlay", "busy-with-overlay", "near-with-base"]
    assert names[-1] == "silent" and set(names[4:7]) == {"without-base", "overlay-without-base", "no-memory"}
    assert [found[0].held, found[3].held, found[-2].held] == ["overlay", "base", found[-2].held]
    # Without a wish, the distance counts.
    near = rank([each for each, _ in every], Wanted(), [rtt for _, rtt in every])
    assert near[-1].rtt is None and near[0].rtt == 0.001


@pytest.mark.parametrize(
    "fields",
    [
        {"where": "a b:1"}, {"where": "host"}, {"engine": "x"}, {"cpus": 0}, {"load": -1.0}, {"bases": ["x"]},
        {"bases": [BASE] * 513}, {"location": {"latitude": 91.0, "longitude": 0.0}}, {"more": 1},
    ],
    ids=str,
)  # fmt: skip
def test_cloudlets_that_are_none_are_refused(fields: dict[str, object]) -> None:
    import json

    good = json.loads(cloudlet().model_dump_json())
    assert wire.read(Cloudlet, json.dumps(good).encode()) == cloudlet()
    with pytest.raises(wire.BadFrameError):
        wire.read(Cloudlet, json.dumps({**good, **fields}).encode())
