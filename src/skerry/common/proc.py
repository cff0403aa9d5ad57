"""Running programs, with errors that show what the program printed."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from types import FrameType
from typing import IO, NoReturn

from skerry.common import interrupt, log
from skerry.common.errors import CommandError, InterruptError

LOOK = 0.3  # seconds between two looks whether the verb was interrupted
SECONDS_TO_END = 10.0  # for a program that is asked to


def run(
    argv: Sequence[str],
    *,
    env: Mapping[str, str] | None = None,
    input: str | None = None,
    cwd: str | None = None,
    timeout: float | None = 300,
    check: bool = True,
    disposable: bool = False,
) -> subprocess.CompletedProcess[str]:
    """Run a program to its end and return what it printed.

    ``env`` is added to the current environment; ``timeout`` is in seconds. What a ``disposable`` program makes is of no use
    unless it is whole: it is ended when the verb is interrupted, while others come to their own end.

    Raises CommandError (with the last lines of the output) when the program cannot be started, fails, or
    takes too long; with ``check=False`` a non-zero exit status is left to the caller.
    """
    shown = _shown(argv)
    with log.command(argv) as running:
        try:
            process = subprocess.Popen(
                list(argv),
                env={**os.environ, **env} if env else None,
                stdin=subprocess.DEVNULL if input is None else subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                cwd=cwd,
                text=True,
                errors="replace",
                # A Ctrl-C at the terminal is for us: what an interrupted verb runs (apt-get!) comes to its own end.
                process_group=0 if interrupt.noting() else None,
            )
            done = _ended(process, input, timeout, disposable=disposable and interrupt.noting())
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


def _ended(
    process: subprocess.Popen[str], input: str | None, timeout: float | None, *, disposable: bool
) -> subprocess.CompletedProcess[str]:
    """The end of a program, and what it printed. Raises TimeoutExpired, and InterruptError for one that is disposable."""
    deadline = None if timeout is None else time.monotonic() + timeout
    with process:
        try:
            while True:
                left = None if deadline is None else max(0.0, deadline - time.monotonic())
                try:
                    out, err = process.communicate(input, min(left or LOOK, LOOK) if disposable else left)
                    return subprocess.CompletedProcess(process.args, process.returncode, out, err)
                except subprocess.TimeoutExpired:
                    if not disposable or (deadline is not None and time.monotonic() >= deadline):
                        raise
                input = None  # it is on its way
                if interrupt.asked():
                    os.killpg(process.pid, signal.SIGTERM)
                    with suppress(subprocess.TimeoutExpired):
                        process.communicate(timeout=SECONDS_TO_END)
                    interrupt.check()
        except BaseException:
            process.kill()
            raise


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
