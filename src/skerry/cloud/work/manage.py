"""The services' own management programs (keystone-manage, nova-manage ...)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from skerry.cloud.context import Context


def manage(
    ctx: Context,
    entry: str,
    program: str,
    options: Sequence[str],
    commands: Sequence[Sequence[str]],
    env: Mapping[str, str] | None = None,
) -> None:
    """Run ``commands`` of one management program one after the other, importing it once.

    ``entry`` is MODULE:FUNCTION, ``options`` come before every command. Raises CommandError at the first that fails.
    """
    forks = Path(__file__).with_name("forks.py")
    words = [word for command in commands for word in ("--", program, *options, *command)]
    # A migration that is torn in the middle cannot be repeated. So it outlives a run that is killed or
    # interrupted (a session of its own), and the next run waits until it has ended (the lock).
    lock = ctx.layout.run / f"{entry.split(':')[0]}.lock"
    apart = ["setsid", "--wait", "flock", str(lock)]
    ctx.transport.run(
        [*apart, ctx.layout.bin("python"), "-I", str(forks), entry, *words], env=env, timeout=600
    )
