"""Running programs, with errors that show what the program printed."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from types import FrameType
from typing import IO, NoReturn

from skerry.common import interrupt, log
from skerry.common.errors import CommandError, InterruptError


def run(
    argv: Sequence[str],
    *,
    env: Mapping[str, str] | None = None,
    input: str | None = None,
    cwd: str | None = None,
    timeout: float | None = 300,
    check: bool = True,
) -> subprocess.CompletedProcess[str]:
    """Run a program to its end and return what it printed.

    ``env`` is added to the current environment; ``timeout`` is in seconds.

    Raises CommandError (with the last lines of the output) when the program cannot be started, fails, or
    takes too long; with ``check=False`` a non-zero exit status is left to the caller.
    """
    shown = _shown(argv)
    with log.command(argv) as running:
        try:
            done = subprocess.run(
                list(argv),
                env={**os.environ, **env} if env else None,
                input=input,
                stdin=subprocess.DEVNULL if input is None else None,
                cwd=cwd,
                timeout=timeout,
                capture_output=True,
                text=True,
                errors="replace",
                # A Ctrl-C at the terminal is for us: what an interrupted verb runs (apt-get!) comes to its own end.
                process_group=0 if interrupt.noting() else None,
            )
        except FileNotFoundError as missing:
            running.result = "it is not installed"
            raise CommandError(shown, "an error", f"{missing.filename} is not installed") from None
        except subprocess.TimeoutExpired as late:
            running.result = f"no result after {timeout:.0f} s"
            said = last_lines(_text(late.stderr) or _text(late.stdout))
            raise CommandError(shown, running.result, said or "it printed nothing") from None
        running.ended(done.returncode, done.stderr)
    if check and done.returncode != 0:
        said = last_lines(done.stderr) or last_lines(done.stdout)
        raise CommandError(shown, f"exit status {done.returncode}", said or "it printed nothing")
    return done


def attended(
    argv: Sequence[str], *, env: Mapping[str, str] | None = None, stdout: IO[str] | None = None
) -> int:
    """Run a program in the foreground, which ends by itself when it is interrupted; returns its exit status.

    Both have a Ctrl-C of the terminal. A signal that only this process gets is handed on, as an interrupt. After
    one the result is 130, whatever the program returns.
    """
    got: list[int] = []
    with log.command(argv) as running, subprocess.Popen(argv, env=env, stdout=stdout) as program:

        def hand_on(number: int, frame: FrameType | None) -> None:
            got.append(number)
            if number != signal.SIGINT or not sys.stdin.isatty():
                program.send_signal(signal.SIGINT)

        before = {number: signal.signal(number, hand_on) for number in interrupt.SIGNALS}
        try:
            code = program.wait()
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
        running.ended(code)
    return InterruptError.exit_code if got else code


def become(argv: Sequence[str], *, env: Mapping[str, str] | None = None) -> NoReturn:
    """Replace this process by a program, which has the environment ``env`` (default: this process's).

    Raises CommandError when the program cannot be started.
    """
    log.becomes(argv)
    sys.stdout.flush()
    try:
        os.execvpe(argv[0], list(argv), dict(os.environ if env is None else env))
    except OSError as error:
        raise CommandError(_shown(argv), "an error", error.strerror) from None


def _shown(argv: Sequence[str]) -> str:
    words = shlex.join(argv)
    return words if len(words) < 160 else words[:157] + "..."


def last_lines(text: str, count: int = 3) -> str:
    """The last ``count`` lines of ``text`` that are not empty, joined by a slash: for one-sentence errors."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return " / ".join(lines[-count:])[-600:]


def _text(output: str | bytes | None) -> str:
    return output.decode(errors="replace") if isinstance(output, bytes) else output or ""
