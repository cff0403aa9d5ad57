"""What a host does not offer to guests: the memory of the control plane, and the disk that is taken already."""

from __future__ import annotations

import os
import shutil
from functools import cache
from pathlib import Path

from skerry.cloud.components import registry
from skerry.cloud.config import ini
from skerry.cloud.context import Context
from skerry.common.errors import ConfigError

# MiB: of a machine with a control plane of one worker each, of one more worker, of a component that not every cloud has,
# and of a host that only runs guests.
CONTROL_MIB, WORKER_MIB, FEATURE_MIB, COMPUTE_MIB = 3072, 100, 300, 768
RPC_SERVICES = 4  # that have workers
GROWTH_PERCENT, GROWTH_MIB = 5, 2048  # of the disk, for databases, logs and the broker: the larger of the two
DRIFT_PERCENT, DRIFT_MIB = 20, 5120  # as long as the disk's use differs by less, the number stays


def memory_mib(ctx: Context) -> int:
    """What the host's own services take, in MiB (``reserved_host_memory_mb``)."""
    if not ctx.has_control_plane:
        return COMPUTE_MIB
    sizes = ctx.cloud.sizes
    apis = sum(len(part.apis) for part in registry.in_cloud(ctx))
    workers = (sizes.api_workers - 1) * apis + (sizes.workers - 1) * RPC_SERVICES
    return CONTROL_MIB + workers * WORKER_MIB + len(ctx.cloud.features) * FEATURE_MIB


def disk_mib(instances: Path, config: Path) -> int:
    """What is not for guests' disks where these are (``instances``), in MiB (``reserved_host_disk_mb``).

    That is all that others have there, and room for the control plane to grow. The number in ``config``, Skerry's layer as
    it is, stays until it is far off: each other number means a restart.
    """
    place = instances
    while not place.exists():
        place = place.parent
    return _disk_mib(place, config)


@cache
def _disk_mib(place: Path, config: Path) -> int:
    usage = shutil.disk_usage(place)
    total, used = usage.total >> 20, (usage.total - usage.free) >> 20
    own = _taken(place) >> 20 if place.name == "instances" else 0
    growth = max(GROWTH_MIB, total * GROWTH_PERCENT // 100)
    now = min(max(0, used - own) + growth, total)
    kept = _kept(config)
    if kept is not None and abs(kept - now) < max(DRIFT_MIB, total * DRIFT_PERCENT // 100) and kept <= total:
        return kept
    return now


def _kept(config: Path) -> int | None:
    try:
        entries = ini.read(config).get("DEFAULT", "reserved_host_disk_mb")
        return int(entries[-1].value)
    except (ConfigError, IndexError, ValueError):
        return None


def _taken(folder: Path) -> int:
    """The bytes that the files below a folder really take."""
    total = 0
    for where, _, names in os.walk(folder):
        for name in names:
            try:
                total += os.lstat(Path(where) / name).st_blocks * 512
            except OSError:
                continue  # a server was deleted meanwhile
    return total
