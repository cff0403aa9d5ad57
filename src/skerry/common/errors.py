"""Errors that explain themselves: what is wrong, what to do, and an exit code that scripts can rely on.

An error class is a kind of trouble; its docstring is the sentence that a user reads, with ``{}`` fields
filled from the arguments (the manner of borg). ``remedy`` is what to do next.

The direct subclasses of SkerryError are the families of errors, all of them here: each has an exit code of its own, which
never changes, and the classes that a system derives from it have the same.
"""

from __future__ import annotations

from collections.abc import Iterable


class SkerryError(Exception):
    """{}"""

    exit_code = 1
    remedy = ""

    def __init__(self, *args: object, remedy: str | None = None) -> None:
        super().__init__(*args)
        if remedy is not None:
            self.remedy = remedy

    def __str__(self) -> str:
        return (type(self).__doc__ or "{}").format(*self.args)


class UsageError(SkerryError):
    """{}"""

    exit_code = 2


class ConfigError(SkerryError):
    """{}: {}"""  # where (file, option), what is wrong with it

    exit_code = 3
    remedy = "Fix that file and run this again."


class PreflightError(SkerryError):
    """{}"""

    exit_code = 4


class BusyError(SkerryError):
    """Another run works on this cloud: {} (process {}), since {}."""

    exit_code = 5
    remedy = "Wait for it to end, or look at what it does with 'skerry status'."


class PackageError(SkerryError):
    """{}"""

    exit_code = 6


class StepError(SkerryError):
    """The step '{}' failed: {}"""

    exit_code = 7
    remedy = "Fix the cause and run 'skerry up' again: it continues from here."


class NotReadyError(SkerryError):
    """{} is not ready after {} s: {}"""

    exit_code = 8
    remedy = "'skerry doctor' looks for the cause; 'skerry logs SERVICE' shows the service's log."


class FindingsError(SkerryError):
    """{}"""

    exit_code = 9


class VerificationError(SkerryError):
    """{}"""

    exit_code = 10


class RefusedError(SkerryError):
    """{}"""

    exit_code = 11


class NotFoundError(SkerryError):
    """{}"""

    exit_code = 12


class ApiError(SkerryError):
    """The cloud's APIs do not answer as they should: {}"""

    exit_code = 13
    remedy = "'skerry status' shows what runs, 'skerry doctor' looks for the cause."


class CommandError(SkerryError):
    """'{}' ended with {}: {}"""

    exit_code = 14
    remedy = "With -v, each command is shown; run this one by hand to see all that it prints."


class ImageError(SkerryError):
    """{}"""

    exit_code = 15


class InterruptError(SkerryError):
    """Interrupted."""  # by Ctrl-C (SIGINT) or SIGTERM

    exit_code = 130
    remedy = "Run the same command again: it continues from here."


class DefectError(SkerryError):
    """{}: {}"""  # the exception's class, its message

    exit_code = 1
    remedy = "This is a defect in Skerry: please report it with the traceback."


EXIT_CODES: dict[int, str] = {
    0: "all is well",
    1: "a defect in Skerry itself: please report it",
    2: "the command line is wrong",
    3: "cloud.toml or a site configuration file is wrong",
    4: "the machine does not meet a requirement (not root, system, memory, disk, a port taken)",
    5: "another run works on this cloud",
    6: "a package could not be installed (registry out of reach, build failed)",
    7: "a step or an operation failed; run again to continue",
    8: "something did not become ready in time",
    9: "doctor found something wrong",
    10: "verify: upstream's tests failed",
    11: "refused by the user, or for the user's safety",
    12: "no such service, option, file or cloud",
    13: "the cloud's APIs refused a request, or failed",
    14: "a program that Skerry ran failed, outside a step",
    15: "a guest image cannot be built from what was given",
    130: "interrupted by Ctrl-C or SIGTERM; run again to continue",
}


def did_you_mean(word: str, known: Iterable[str], form: str = "{}") -> str:
    """`` Did you mean 'NAME'?``, with the nearest of the known names in ``form``; empty when none is near."""
    import difflib

    found = difflib.get_close_matches(word.lower(), list(known), 1, 0.6)
    return f" Did you mean '{form.format(found[0])}'?" if found else ""
