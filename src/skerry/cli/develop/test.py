"""'skerry test'."""

from __future__ import annotations

import argparse
import os
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

import psutil

from skerry.cloud.components import registry
from skerry.cloud.components.nova.novnc import NoVNC
from skerry.cloud.context import Context
from skerry.cloud.engine.step import Step
from skerry.cloud.model.layout import Layout
from skerry.cloud.operations.verify.environment import client_environment
from skerry.cloud.resources.image import TinyImage
from skerry.cloud.steps.machine import Bytecode, LibvirtBinding
from skerry.cloud.steps.packages import Packages
from skerry.common import proc
from skerry.common.errors import NotFoundError, SkerryError

PARTS = ("unit", "functional", "cloud")
PACKAGES = (
    "chromium",
    "chromium-driver",
    "iproute2",
    "iputils-ping",
    "mmdebstrap",
    "nftables",
    "openssh-server",
    "procps",
    "tcpdump",
    "util-linux",
)  # that only tests need
KEEPS = Path("/var/cache/skerry-test")  # guest images, downloads and caches of tools, from run to run
NO_TESTS = 5  # pytest's exit code for it
LANES = 3  # processes that run tests, where there are no more cores: some compute while others wait
LANE_GIB = 2.5  # memory for each: the largest has a cloud across hosts
ALONE = ("--pdb", "--trace", "-s", "--capture=no", "--collect-only", "--co")  # options for one process


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.usage = "skerry test [unit|functional|cloud|PATH...] [--changed [BASE]] [PYTEST OPTION...]"


def run(args: argparse.Namespace) -> int:
    checkout = Path(os.environ.get("SKERRY_CHECKOUT", Path(__file__).resolve().parents[4]))
    words = with_base(args.passed)
    wanted = [word for word in words if word in PARTS]
    chosen = [str(checkout / "tests" / part) for part in PARTS if part in wanted]
    for folder in chosen:
        if not Path(folder).is_dir():
            raise NotFoundError(f"There is no folder {folder}.")
    others = [word for word in words if word not in PARTS]
    if not chosen and not any(is_path(word) for word in others):
        chosen = [str(path) for part in PARTS if (path := checkout / "tests" / part).is_dir()]
    paths = [*chosen, *(word for word in others if is_path(word))]
    root = os.geteuid() == 0
    if root and not only_units(paths, checkout):
        prepare()
    keeps = KEEPS if root else Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "skerry-test"
    keeps.mkdir(parents=True, exist_ok=True)
    argv = [
        *(("setpriv", "--pdeathsig", "KILL") if shutil.which("setpriv") else ()),  # it ends with this process
        *(sys.executable, "-m", "pytest"),
        f"--rootdir={checkout}",
        f"--config-file={checkout / 'pyproject.toml'}",
        *lanes(paths, others),
        f"--flaky-file={keeps / 'flaky.json'}",
    ]
    environment = {
        "SKERRY_TEST_CACHE": str(Layout.at(KEEPS).cache),
        "SKERRY_TEST_IMAGES": str(KEEPS / "images"),
        "MYPY_CACHE_DIR": str(keeps / "mypy"),
        "RUFF_CACHE_DIR": str(keeps / "ruff"),
        **os.environ,
        "SKERRY_CHECKOUT": str(checkout),
        "PYTHONPATH": os.pathsep.join([str(checkout / "src"), str(checkout)]),
    }
    # The command is run hundreds of times: it is compiled once.
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    code = proc.attended([*argv, *chosen, *others], env=environment)
    if code == NO_TESTS:
        return 0 if any(word.startswith("--changed") for word in words) else 1
    return code


def with_base(words: Sequence[str]) -> list[str]:
    """The words, with '--changed' and the commit that may follow it as one."""
    words = list(words)
    if "--changed" in words:
        place = words.index("--changed") + 1
        base = words[place] if place < len(words) else "-"
        if not base.startswith("-") and base not in PARTS and not is_path(base):
            words[place - 1 : place + 1] = [f"--changed={base}"]
        else:
            words[place - 1] = "--changed="
    return words


def lanes(paths: Sequence[str], options: Sequence[str]) -> list[str]:
    """pytest's options for tests side by side, and for one that fails to be repeated once."""
    if any(option in ALONE or option.startswith(("-n", "--numprocesses")) for option in options):
        return []
    several = any(Path(path.split("::")[0]).is_dir() for path in paths) or len(paths) > 1
    again = ["--reruns=1", "--rerun-show-tracebacks"]
    room = int(psutil.virtual_memory().available / 2**30 / LANE_GIB)
    count = min(max(LANES, os.cpu_count() or 1), max(1, room))
    return [*again, f"--numprocesses={count}"] if several else again


def is_path(word: str) -> bool:
    return not word.startswith("-") and Path(word.split("::")[0]).exists()


def only_units(paths: list[str], checkout: Path) -> bool:
    units = (checkout / "tests/unit").resolve()
    return all(Path(path.split("::")[0]).resolve().is_relative_to(units) for path in paths)


def report(text: str) -> None:
    print(f"skerry test: {text}", file=sys.stderr)


def prepare() -> None:
    """Install and download what the tests need; where that fails, tests without it skip or fail."""
    # Not a cloud: packages are the machine's, and its cache is what the tests' clouds are given.
    ctx = Context.at(KEEPS)
    parts = registry.present(ctx)
    packages = [*PACKAGES, *(name for part in parts for name in part.packages)]
    steps: list[Step] = [
        Packages(ctx, packages),
        LibvirtBinding(ctx),
        Bytecode(ctx),
    ]
    try:
        for step in steps:
            changes = step.check()
            if changes:
                report(f"{step.title}: {', '.join(str(change) for change in changes)}")
                step.apply(report)
        if NoVNC(ctx).downloaded() is None:
            report("download the pages of noVNC")
            NoVNC(ctx).download()
        folder = ctx.layout.cache / "images"
        folder.mkdir(parents=True, exist_ok=True)
        TinyImage(ctx).apply(lambda text: None)
        client_environment(ctx.layout)
    except SkerryError as error:
        report(f"{error} Tests that need it are skipped or fail.")
