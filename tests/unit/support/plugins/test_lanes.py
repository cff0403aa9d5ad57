"""Which tests share a process, and in which order lanes start."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from tests.support import CHECKOUT
from tests.support.plugins import lanes


@pytest.mark.parametrize(
    ("module", "lane"),
    [
        ("tests/cloud/test_10_up.py", "cloud"),
        ("tests/cloud/test_35_upstream.py", "cloud"),
        ("tests/cloud/test_90_end.py", "cloud"),
        ("tests/cloud/test_95_hosts.py", "hosts"),
        ("tests/functional/cloudlet/test_versions.py", "cloudlet"),
        ("tests/functional/cloudlet/test_mdns.py", "labs"),
        ("tests/functional/lab/test_life.py", "labs"),
        ("tests/functional/cloud/test_probe.py", "tests/functional/cloud/test_probe.py"),
        ("tests/unit/lab/test_model.py", "tests/unit/lab/test_model.py"),
    ],
)
def test_what_shares_something_shares_a_lane(module: str, lane: str) -> None:
    assert lanes.lane(f"{module}::test_it[a::b]") == lane


def test_no_lane_is_empty() -> None:
    modules = [path.relative_to(CHECKOUT).as_posix() for path in (CHECKOUT / "tests").rglob("test_*.py")]
    for name, pattern in lanes.LANES.items():
        assert [module for module in modules if re.match(pattern, module)], name


NOTE = """
import os
import pytest

@pytest.mark.parametrize("number", range(3))
def test_it(number):
    with open({log!r}, "a") as log:
        print({name!r}, number, os.environ["PYTEST_XDIST_WORKER"], file=log)
"""


def test_a_lane_runs_in_one_process_in_order_and_the_first_begin_first(tmp_path: Path) -> None:
    log = tmp_path / "log"
    for name in ("unit/test_a", "cloud/test_90_end", "cloud/test_10_up", "cloud/test_95_hosts"):
        path = tmp_path / f"tests/{name}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(NOTE.format(log=str(log), name=name))
    (tmp_path / "pytest.ini").write_text("[pytest]\naddopts = --import-mode=importlib\n")
    argv = [
        sys.executable,
        "-m",
        "pytest",
        "-p",
        "no:cacheprovider",
        "-p",
        "tests.support.plugins.lanes",
        "-n2",
    ]
    environment = {**os.environ, "PYTHONPATH": f"{CHECKOUT}:{CHECKOUT / 'src'}"}
    done = subprocess.run(argv, cwd=tmp_path, capture_output=True, text=True, env=environment, check=False)
    assert "12 passed" in done.stdout.splitlines()[-1], done.stdout + done.stderr
    rows = [line.split() for line in log.read_text().splitlines()]
    cloud = [row for row in rows if row[0] in ("cloud/test_10_up", "cloud/test_90_end")]
    assert len({worker for _, _, worker in cloud}) == 1
    assert [row[:2] for row in cloud] == [
        [name, number] for name in ("cloud/test_10_up", "cloud/test_90_end") for number in "012"
    ]
    first = {worker: name for name, _, worker in reversed(rows)}
    assert sorted(first.values()) == ["cloud/test_10_up", "cloud/test_95_hosts"]
