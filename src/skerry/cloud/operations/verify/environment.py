"""The environment of the clients: locked as the cloud's own is, apart from it, made when it is first wanted."""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path

from skerry.cloud.model.layout import Layout
from skerry.common.errors import CommandError, PackageError
from skerry.common.proc import last_lines, run

SIZE = "400 MB"


def client_environment(layout: Layout) -> Path:
    """The folder of the environment, made if need be. Raises PackageError."""
    locks = layout.checkout / "locks"
    lock = locks / f"clients-py{sys.version_info.major}.{sys.version_info.minor}.txt"
    digest = hashlib.sha256(lock.read_bytes() + (locks / "uv.txt").read_bytes()).hexdigest()
    folder = layout.env.parent / digest[:12]
    if not (folder / ".complete").exists():
        python = Path(sys.executable).resolve()  # the system's, of which the cloud's environment is made
        try:
            run(["sh", str(locks / "install"), str(python), str(lock), str(folder), SIZE], timeout=1800)
        except CommandError as error:
            raise PackageError(
                f"The clients could not be installed: {last_lines(str(error.args[2]))}",
                remedy="Is the Python package index in reach? Run it again.",
            ) from None
    return folder
