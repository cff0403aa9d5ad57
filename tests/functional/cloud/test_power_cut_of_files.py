"""The power goes right after something was made that later runs take as it is: it is whole, or it is not there."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.support import CHECKOUT
from tests.support.deadlines import at_most
from tests.support.disk import Disk
from tests.support.machines import SimulatedMachine

pytestmark = pytest.mark.timeout(420)
SOME = ("iso8601==2.1.0", "pygments==2.21.0")  # an environment of many small files
UV = Path(sys.prefix).parent.parent / "uv/bin/python"  # where the bootstrap has put pip
# Images, backups, exported cloudlets: files that get their final name at the end.
MAKES_FILES = """
import sys
from pathlib import Path
from skerry.common.files import finish
place = Path(sys.argv[1])
for number in range(20):
    half = place / f"{number}.part"
    half.write_bytes(bytes([number + 1]) * 3_000_000)
    finish(half, place / f"{number}.done")
"""
# Bases and overlays of cloudlets: folders that do.
KEEPS_FOLDERS = """
import sys
from pathlib import Path
from skerry.cloudlet.overlay.store import Store
store = Store(Path(sys.argv[1]))
with store.work() as work:
    for number in range(20):
        built = work / str(number)
        built.mkdir()
        (built / f"{number}.done").write_bytes(bytes([number + 1]) * 3_000_000)
        store.keep(built, "bases", str(number))
"""
READS_FILES = """
import json, sys
from pathlib import Path
found = {path.name: path.read_bytes() for path in Path(sys.argv[1]).rglob("*.done")}
print(json.dumps({name: [len(data), *set(data)] for name, data in found.items()}))
"""
# Every file of an environment is the one that its package names: prints how many there are, and those that are not.
COMPARES = """
import base64, hashlib, json, sys
from pathlib import Path
(packages,) = Path(sys.argv[1]).glob("lib/python3*/site-packages")
seen, wrong = 0, []
for record in packages.glob("*.dist-info/RECORD"):
    for line in record.read_text().splitlines():
        name, digest, _ = line.rsplit(",", 2)
        if digest:
            seen += 1
            found = hashlib.sha256((packages / name).read_bytes()).digest()
            if digest != "sha256=" + base64.urlsafe_b64encode(found).decode().rstrip("="):
                wrong.append(name)
print(json.dumps([seen, wrong]))
"""


@pytest.mark.parametrize("made", [MAKES_FILES, KEEPS_FOLDERS], ids=["a file", "a folder of a store"])
def test_what_has_its_final_name_is_whole(disk: Disk, made: str) -> None:
    disk.host.run([sys.executable, "-c", made, str(disk.root)])
    disk.write_names()
    disk.cut_the_power()
    found = disk.host.run([sys.executable, "-c", READS_FILES, str(disk.root)]).stdout
    assert json.loads(found) == {f"{number}.done": [3_000_000, number + 1] for number in range(20)}


@pytest.fixture(scope="module")
def wheels(cut_host: SimulatedMachine) -> Path:
    """What the bootstrap of a small environment downloads: uv, and some packages."""
    folder = cut_host.folder / "wheels"
    words = ["-Im", "pip", "-q", "--disable-pip-version-check", "download", "--no-deps", "-d", str(folder)]
    for what in (["-r", str(CHECKOUT / "locks/uv.txt")], SOME):
        done = subprocess.run(
            [str(UV), *words, *what], capture_output=True, text=True, timeout=at_most(300), cwd="/"
        )
        if done.returncode:
            pytest.skip(f"the wheels cannot be downloaded: {done.stderr[-300:]}")
    return folder


def test_an_environment_that_is_complete_is_whole(disk: Disk, wheels: Path) -> None:
    lock = wheels / "lock.txt"
    lines = []
    for package in SOME:
        name = package.split("=")[0]
        (wheel,) = wheels.glob(f"{name}-*.whl")
        lines.append(f"{package} --hash=sha256:{hashlib.sha256(wheel.read_bytes()).hexdigest()}")
        page = wheels / "simple" / name / "index.html"
        page.parent.mkdir(parents=True)
        page.write_text(f'<a href="{wheel.as_uri()}">{wheel.name}</a>')
    lock.write_text("\n".join(lines) + "\n")
    environment = disk.root / "env/0123456789ab"
    disk.host.run(["mkdir", str(environment.parent)])
    index = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(wheels)}
    index |= {"UV_DEFAULT_INDEX": (wheels / "simple").as_uri(), "UV_INDEX": ""}
    install = ["sh", str(CHECKOUT / "locks/install"), "/usr/bin/python3", str(lock), str(environment), "1 MB"]
    disk.host.run(install, env={**os.environ, **index}, timeout=at_most(300))
    disk.write_names()
    disk.cut_the_power()
    disk.host.run(["test", "-e", str(environment / ".complete")])
    seen, wrong = json.loads(disk.host.run([sys.executable, "-c", COMPARES, str(environment)]).stdout)
    assert seen > 300 and wrong == []
