"""A service is data: what runs, as whom, with which files, after what, and how one knows that it is ready."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from skerry.cloud.supervise.probes import Probe

SERVICE_USER = "skerry"


@dataclass(frozen=True)
class File:
    """A generated file. ``secret`` files are 0600, the service user's, and their content is never shown by ``plan``."""

    path: Path
    content: str
    secret: bool = False
    roots: bool = False  # for nobody but root
    owner: str = "root"
    executable: bool = False

    @property
    def mode(self) -> int:
        return 0o600 if self.secret or self.roots else 0o755 if self.executable else 0o644


@dataclass(frozen=True)
class Service:
    """One supervised process.

    ``files`` are those whose change means a restart. ``binds`` are (source, target) folders that the process
    sees in place of the machine's own, in a mount namespace of its own. ``keeps_children`` means that the
    processes it leaves behind when it dies (guests, proxies) must live on. ``capabilities`` are what an
    unprivileged user keeps, by their names in capabilities(7) without CAP_. ``devices`` are (path, user): devices that
    this user may open, in the mount namespace of ``binds`` alone. ``hostname`` is what it takes the machine to be called.
    """

    name: str
    argv: tuple[str, ...]
    ready: Probe
    title: str = ""
    user: str = SERVICE_USER
    env: Mapping[str, str] = field(default_factory=dict)
    files: tuple[File, ...] = ()
    after: tuple[str, ...] = ()
    capabilities: tuple[str, ...] = ()
    binds: tuple[tuple[Path, Path], ...] = ()
    devices: tuple[tuple[Path, str], ...] = ()
    hostname: str = ""
    keeps_children: bool = False
    stop_seconds: int = 20
    ready_seconds: int = 90
    nofile: int = 65536
    cost: float = 4.0  # seconds of CPU to start, for the schedule and the progress bar

    def spec(self) -> str:
        """What the launcher reads: JSON. It holds the fingerprint by which a running process is recognised."""
        data = {
            "name": self.name,
            "argv": self.argv,
            "user": self.user,
            "env": dict(self.env),
            "binds": [[str(source), str(target)] for source, target in self.binds],
            "devices": [[str(path), user] for path, user in self.devices],
            **({"hostname": self.hostname} if self.hostname else {}),
            "keeps_children": self.keeps_children,
            "nofile": self.nofile,
            "capabilities": self.capabilities,
        }
        files = [(str(file.path), file.content) for file in self.files]
        digest = hashlib.sha256(json.dumps([data, files], sort_keys=True).encode()).hexdigest()[:16]
        return json.dumps({**data, "fingerprint": digest}, indent=1) + "\n"

    @property
    def fingerprint(self) -> str:
        return str(json.loads(self.spec())["fingerprint"])
