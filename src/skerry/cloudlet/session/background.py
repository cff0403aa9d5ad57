"""A process of its own for a VM whose pages come from it: the command that started it ends, the VM continues."""

from __future__ import annotations

import os
import pickle
import signal
import tempfile
from collections.abc import Callable
from typing import IO, Any

from skerry.cloudlet.session.synthesis import SynthesisedVm
from skerry.common.errors import DefectError, SkerryError


def in_background(work: Callable[[], tuple[SynthesisedVm, Any]]) -> Any:
    """Do the work in a process that lives as long as the VM does, and return the second of what it returns.

    Raises what the work raises; DefectError when that is no error of Skerry, or when the process was killed.
    """
    with tempfile.TemporaryFile() as report:
        child = os.fork()
        if child == 0:
            _serve(work, report)
        _, status = os.waitpid(child, os.WUNTRACED)
        if os.WIFSTOPPED(status):
            os.kill(child, signal.SIGCONT)
        report.seek(0)
        told = report.read()
    if not told:
        raise DefectError(
            "The process that serves the VM", f"ended with wait status {status}, without a result"
        )
    result = pickle.loads(told)
    if isinstance(result, SkerryError):
        raise result
    return result


def _serve(work: Callable[[], tuple[SynthesisedVm, Any]], report: IO[bytes]) -> None:
    """The other process: reports, stops itself for a moment as the sign that it did, and serves."""
    os.setsid()
    code = 0
    try:
        running, result = work()
        _report(report, result)
        quiet = os.open(os.devnull, os.O_RDWR)
        for standard in (0, 1, 2):
            os.dup2(quiet, standard)
        os.kill(os.getpid(), signal.SIGSTOP)
        running.serve()
    except SkerryError as error:
        code = error.exit_code
        _report(report, error)
    except BaseException as error:
        code = DefectError.exit_code
        _report(report, DefectError(type(error).__name__, str(error)))
    finally:
        os._exit(code)


def _report(report: IO[bytes], result: object) -> None:
    report.write(pickle.dumps(result))
    report.flush()
