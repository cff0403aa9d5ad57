"""Keystone's keys: those of tokens and those of credentials, new ones now and then, and none gone that is still needed."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from skerry.cloud.config import ini
from skerry.cloud.engine.upkeep import AttentionError, UpkeepTask

DAY = 86400.0
TOKENS_EVERY, CREDENTIALS_EVERY = 7 * DAY, 30 * DAY
# keystone's own values, for what no layer sets (keystone.conf.token, keystone.conf.fernet_tokens).
EXPIRATION, EXPIRED_WINDOW, MOST_KEYS = 3600, 172800, 3

Run = Callable[[Sequence[Sequence[str]]], object]


def tasks(layers: Sequence[Path], state: Path, owner: Sequence[str], run: Run) -> list[UpkeepTask]:
    """Rotation of both folders of keys below ``state`` by keystone's own program (``run``); ``owner`` are its options."""
    return [
        UpkeepTask(
            "keystone-tokens",
            "a new key for tokens",
            lambda: _rotated(state / "fernet-keys", token_interval(layers), run, [["fernet_rotate", *owner]]),
        ),
        UpkeepTask(
            "keystone-credentials",
            "a new key for stored credentials",
            # All are encrypted with the newest key before there is a newer one, and after it: the rotation removes the
            # oldest, and what only that opens would be lost.
            lambda: _rotated(
                state / "credential-keys",
                CREDENTIALS_EVERY,
                run,
                [[f"credential_{what}", *owner] for what in ("migrate", "rotate", "migrate")],
            ),
            needs=("mariadb",),
        ),
    ]


def token_interval(layers: Sequence[Path]) -> float:
    """Seconds between two rotations that no token notices which is still of use; a week at least.

    A key that was the newest opens tokens for another ``max_active_keys - 2`` rotations. A token is of use for as long
    as it is valid, and services may use one that has expired for a while longer (``allow_expired_window``).

    Raises AttentionError when the keys are so few that each rotation makes tokens void.
    """
    files = [ini.read(path) for path in layers if path.exists()]

    def value(group: str, option: str, otherwise: int) -> int:
        entries = [entry for file in files for entry in file.get(group, option)]
        return int(entries[-1].value) if entries else otherwise

    outlived = value("fernet_tokens", "max_active_keys", MOST_KEYS) - 2
    if outlived < 1:
        raise AttentionError(
            "[fernet_tokens] max_active_keys is less than 3: a rotation would make every token void at once;"
            " set it to 3 or more, or rotate by hand: skerry secrets rotate fernet"
        )
    of_use = value("token", "expiration", EXPIRATION) + value("token", "allow_expired_window", EXPIRED_WINDOW)
    return max(TOKENS_EVERY, math.ceil(of_use / outlived))


def _rotated(folder: Path, every: float, run: Run, commands: Sequence[Sequence[str]]) -> str:
    # The key that is to be the next one is made by a rotation, and keeps its time when it becomes another number.
    newest = folder / "0"
    if not newest.exists():
        raise AttentionError(f"{folder} has no key 0; 'skerry up' makes the keys")
    age = time.time() - newest.stat().st_mtime
    if age < every:
        return ""
    run(commands)
    return f"rotated; the last time was {age / DAY:.0f} days ago"
