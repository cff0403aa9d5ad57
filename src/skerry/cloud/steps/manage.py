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
    argv = [*apart(ctx, program), ctx.layout.bin("python"), "-I", str(forks), entry, *words]
    ctx.platform.run(argv, env=env, timeout=600)


def apart(ctx: Context, program: str) -> list[str]:
    """The words before a command that must not be torn in the middle, as a migration must not.

    It outlives a run that is killed or interrupted (a session of its own), and the next run waits until it has
    ended (the lock).
    """
    return ["setsid", "--wait", "flock", str(ctx.layout.run / f"{program}.lock")]
