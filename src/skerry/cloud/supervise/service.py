"""A service is data: what runs, as whom, with which files, after what, and how one knows that it is ready."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from skerry.cloud.model.users import ROOT
from skerry.cloud.supervise.probes import Probe

# Shares of all memory, in thousandths, by which a process counts as smaller or larger when memory has run out (proc(5),
# oom_score_adj): guests go first, then what can be started again with little harm.
OOM_SUPERVISOR, OOM_PROTECTED, OOM_UPKEEP, OOM_GUEST = -950, -800, 300, 500


@dataclass(frozen=True)
class Folder:
    """A folder of the cloud. Without a ``group`` it has its owner's; root's are for the members of one that is named."""

    path: Path
    owner: str = ROOT
    group: str = ""
    mode: int = 0o750

    @property
    def owners(self) -> str:
        """Owner and group, as chown(1) has them."""
        return f"{self.owner}:{self.group or self.owner}"


@dataclass(frozen=True)
class File:
    """A generated file. ``secret`` files are 0600, and their content is never shown by ``plan``.

    Without an ``owner`` it is root's, and a secret one the component's user's.
    """

    path: Path
    content: str
    secret: bool = False
    roots: bool = False  # for nobody but root
    owner: str = ""
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

    ``helpers`` are capabilities of what it starts as root. Only a service with such gains any by starting a program
    (no_new_privs), and no service can ever have others than its own and its helpers' (the bounding set). One of root's
    has all, unless it names those that it needs. Others connect to what it listens on as its ``umask`` lets them.
    """

    name: str
    argv: tuple[str, ...]
    ready: Probe
    title: str = ""
    user: str = field(kw_only=True)
    env: Mapping[str, str] = field(default_factory=dict)
    files: tuple[File, ...] = ()
    after: tuple[str, ...] = ()
    capabilities: tuple[str, ...] = ()
    helpers: tuple[str, ...] = ()
    umask: int = 0o027
    binds: tuple[tuple[Path, Path], ...] = ()
    devices: tuple[tuple[Path, str], ...] = ()
    hostname: str = ""
    keeps_children: bool = False
    stop_seconds: int = 20
    ready_seconds: int = 90
    nofile: int = 65536
    oom_score: int = (
        0  # -1000 (never) to 1000 (first): how soon the kernel ends it for want of memory, beside its size
    )
    cost: float = 4.0  # seconds of CPU to start, for the schedule and the progress bar

    @property
    def bounding(self) -> tuple[str, ...] | None:
        """The capabilities that it and what it starts can have at most; None: all."""
        return None if self.user == ROOT and not self.capabilities else (*self.capabilities, *self.helpers)

    @property
    def gains_nothing(self) -> bool:
        """Whether no program that it starts has more rights than itself."""
        return self.bounding is not None and not self.helpers

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
            "oom_score": self.oom_score,
            "capabilities": self.capabilities,
            "bounding": self.bounding,
            "no_new_privs": self.gains_nothing,
            "umask": self.umask,
        }
        files = [(str(file.path), file.content) for file in self.files]
        digest = hashlib.sha256(json.dumps([data, files], sort_keys=True).encode()).hexdigest()[:16]
        return json.dumps({**data, "fingerprint": digest}, indent=1) + "\n"

    @property
    def fingerprint(self) -> str:
        return str(json.loads(self.spec())["fingerprint"])
