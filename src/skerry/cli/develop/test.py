"""run the tests: all, or 'unit', 'functional', 'cloud', or paths; never touches a cloud that is up"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path

from skerry.cloud.components.nova.novnc import NoVNC
from skerry.cloud.context import Context
from skerry.cloud.engine.step import Step
from skerry.cloud.model.layout import Layout
from skerry.cloud.operations.graph import roles
from skerry.cloud.resources.image import TinyImage
from skerry.cloud.steps.machine import LibvirtBinding
from skerry.cloud.steps.packages import Packages
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
KEEPS = Path("/var/cache/skerry-test")  # guest images and downloads, from run to run
NO_TESTS = 5  # pytest's exit code for it


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.usage = "skerry test [unit|functional|cloud|PATH...] [PYTEST OPTION...]"


def run(args: argparse.Namespace) -> int:
    checkout = Path(os.environ.get("SKERRY_CHECKOUT", Path(__file__).resolve().parents[4]))
    words = list(args.passed)
    wanted = [word for word in words if word in PARTS]
    chosen = [str(checkout / "tests" / part) for part in PARTS if part in wanted]
    for folder in chosen:
        if not Path(folder).is_dir():
            raise NotFoundError(f"There is no folder {folder}.")
    others = [word for word in words if word not in PARTS]
    if not chosen and not any(is_path(word) for word in others):
        chosen = [str(path) for part in PARTS if (path := checkout / "tests" / part).is_dir()]
    paths = [*chosen, *(word for word in others if is_path(word))]
    if os.geteuid() == 0 and not only_units(paths, checkout):
        prepare()
    argv = [
        sys.executable,
        "-m",
        "pytest",
        f"--rootdir={checkout}",
        f"--config-file={checkout / 'pyproject.toml'}",
    ]
    environment = {**os.environ, "SKERRY_CHECKOUT": str(checkout)}
    cache = Layout.at(KEEPS).cache
    environment.setdefault("SKERRY_TEST_CACHE", str(cache))
    environment.setdefault("SKERRY_TEST_IMAGES", str(KEEPS / "images"))
    code = subprocess.run([*argv, *chosen, *others], env=environment, check=False).returncode
    return 1 if code == NO_TESTS else code


def is_path(word: str) -> bool:
    return not word.startswith("-") and Path(word.split("::")[0]).exists()


def only_units(paths: list[str], checkout: Path) -> bool:
    units = (checkout / "tests/unit").resolve()
    return all(Path(path.split("::")[0]).resolve().is_relative_to(units) for path in paths)


def say(text: str) -> None:
    print(f"skerry test: {text}", file=sys.stderr)


def prepare() -> None:
    """Install and download what the tests need; where that fails, tests that miss it skip or say so."""
    # Not a cloud: packages are the machine's, and its cache is what the tests' clouds are given.
    ctx = Context.at(KEEPS)
    parts = roles(ctx)
    packages = [*PACKAGES, *(name for role in parts for name in role.packages)]
    steps: list[Step] = [
        Packages(ctx, packages, [name for role in parts for name in role.backports]),
        LibvirtBinding(ctx),
    ]
    try:
        for step in steps:
            changes = step.check()
            if changes:
                say(f"{step.title}: {', '.join(str(change) for change in changes)}")
                step.apply(say)
        if not any(ctx.layout.cache.glob("novnc_*.deb")):
            say("download the pages of noVNC")
            NoVNC(ctx).download()
        folder = ctx.layout.cache / "images"
        folder.mkdir(parents=True, exist_ok=True)
        TinyImage(ctx).apply(lambda text: None)
    except SkerryError as error:
        say(f"{error} Tests that need it are skipped or fail.")
