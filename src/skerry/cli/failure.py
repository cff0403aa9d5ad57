"""What is shown when a verb fails: two sentences for people, or one JSON object for programs.

With ``--json`` the standard output holds the verb's result and nothing else, and the last line of the standard error is
``{"error": {"class": ..., "message": ..., "remedy": ..., "exit_code": ...}}``; a defect has its ``traceback``, too.
"""

from __future__ import annotations

import errno
import json
import sys
import traceback

from skerry.common.errors import ApiError, DefectError, InterruptError, PreflightError, SkerryError

# What the machine refuses is no defect of Skerry's; what to do, by the number of the error.
REMEDIES = {
    errno.EACCES: "Run it with sudo; if you are root, look at the permissions of each folder of this path.",
    errno.EPERM: "Run it with sudo; if you are root, this machine (a container?) does not permit it.",
    errno.EROFS: "Mount that file system for writing, or name another folder with --root.",
    errno.ENOSPC: "Free some space there: 'df -h' shows what is full.",
    errno.EDQUOT: "Free some space there: the quota of its user is used up.",
    errno.ENOTDIR: "Something on this path is a file where a folder is needed: move it, or name another folder.",
    errno.EISDIR: "There is a folder where a file is needed: move it.",
    errno.ELOOP: "A symbolic link on this path leads back to itself: remove it.",
    errno.ENAMETOOLONG: "Name a shorter path.",
    errno.EIO: "The disk fails: look at the kernel's log (dmesg).",
}
# What the client library raises, by name: to import it takes half a second, and it was imported if it raised.
API_ERRORS = {"keystoneauth1.exceptions.base.ClientException", "openstack.exceptions.SDKException"}


def explained(error: BaseException) -> SkerryError:
    """The error as one of Skerry's own; what no class of Skerry describes is a defect."""
    if isinstance(error, SkerryError):
        return error
    if isinstance(error, KeyboardInterrupt):
        return InterruptError()
    names = {f"{kind.__module__}.{kind.__qualname__}" for kind in type(error).__mro__}
    failure: SkerryError
    if names & API_ERRORS:
        failure = ApiError(error)
    elif isinstance(error, OSError) and error.errno in REMEDIES:
        remedy = REMEDIES[error.errno]
        what = f"{error.filename}: " if error.filename else "The machine refuses: "
        failure = PreflightError(f"{what}{error.strerror}.", remedy=remedy)
    else:
        failure = DefectError(type(error).__name__, error)
    failure.__cause__ = error
    return failure


def show(failure: SkerryError, *, to_program: bool) -> None:
    """Print it to the standard error: for a program as JSON, else as sentences."""
    if to_program:
        print(as_json(failure), file=sys.stderr)
        return
    text = "\n".join(f"skerry: {line}" for line in (str(failure), failure.remedy) if line)
    print(f"{_trace(failure)}{text}", file=sys.stderr)


def as_json(failure: SkerryError) -> str:
    """The error as one line of JSON."""
    told: dict[str, object] = {
        "class": type(failure).__name__,
        "message": str(failure),
        "remedy": failure.remedy,
        "exit_code": failure.exit_code,
    }
    if trace := _trace(failure):
        told["traceback"] = trace
    return json.dumps({"error": told})


def _trace(failure: SkerryError) -> str:
    if not isinstance(failure, DefectError) or failure.__cause__ is None:
        return ""
    return "".join(traceback.format_exception(failure.__cause__))
