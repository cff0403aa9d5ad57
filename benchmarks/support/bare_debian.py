"""A bare Debian machine on this one: a host of a lab with a fresh minimal system of its own and a way to the registries.

The machine is real in what counts for the figures (nothing is installed, every package comes over the network) and
shares this machine's processors and kernel.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from skerry.common import debian
from skerry.common.errors import NotFoundError
from skerry.common.proc import run
from skerry.lab.lab import Lab, LabHost, take_down
from skerry.lab.model import parse
from skerry.lab.state import Places

CERTIFICATES = "etc/ssl/certs/ca-certificates.crt"
ENVIRONMENT = {
    "HOME": "/root",
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "SSL_CERT_FILE": f"/{CERTIFICATES}",
    "LANG": "C.UTF-8",
}


@dataclass(frozen=True)
class BareDebian:
    """The machine, which has this checkout in ``/root/skerry``."""

    host: LabHost

    @property
    def root(self) -> Path:
        """Its file system."""
        return self.host.folder

    def run(self, command: str, timeout: float = 1200) -> str:
        """Run a shell command on the machine as root and return what it printed; its stderr is shown.

        Raises subprocess.SubprocessError when it fails or takes longer than ``timeout`` seconds.
        """
        argv = self.host.enter(["sh", "-c", command])
        done = subprocess.run(
            argv,
            env=ENVIRONMENT,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=sys.stderr,
            timeout=timeout,
            text=True,
            check=True,
        )
        return done.stdout


@contextmanager
def bare_debian(folder: Path, checkout: Path) -> Iterator[BareDebian]:
    """A machine that runs while the block does; ``folder`` keeps the minimal system for the next run.

    Raises PreflightError (not root, a tool is missing), CommandError.
    """
    debian.demand("git", "tar")
    folder = folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    with suppress(NotFoundError):
        take_down(Places("bare", folder))  # of a run that was killed
    archive, new, root = folder / "minimal.tar", folder / "minimal.new.tar", folder / "root"
    if not archive.exists():
        debian.bootstrap(new, ["ca-certificates"])
        new.replace(archive)
    shutil.rmtree(root, ignore_errors=True)
    root.mkdir()
    run(["tar", "-xf", str(archive), "-C", str(root), "--exclude=./dev/*"])
    shutil.copy(f"/{CERTIFICATES}", root / CERTIFICATES)
    run(["git", "clone", "-q", str(checkout), str(root / "root/skerry")])
    text = f'name = "bare"\noutside = true\n[[host]]\nname = "bare"\nroot = "{root}"\n'
    with Lab(parse(text, "the benchmark's lab file"), folder) as lab:
        yield BareDebian(lab.host("bare"))
    shutil.rmtree(root)
