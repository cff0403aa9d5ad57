"""The command ``skerry``: hands over to the verb, and turns errors into sentences and exit codes."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from skerry.cli.parser import parse, split

# Other modules are imported where they are used: '--help' does without them.


def main() -> None:
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # ends a verb as Ctrl-C does
    sys.exit(guarded(sys.argv[1:]))


def execute(words: Sequence[str]) -> int:
    """Run a command line, and return its exit code. Raises what the verb raises."""
    args = parse(words)
    from skerry.cli.situation import demand
    from skerry.common import log

    demand(args.root, named(args))

    log.open_log(Path(args.root), ["skerry", *split(words)[0]], verbose=args.verbose)
    begun, result = time.monotonic(), ""
    try:
        code: int = args.run(args)
        result = f"exit code {code}"
        return code
    except BaseException as error:
        result = f"{type(error).__name__}: {error}"
        raise
    finally:
        log.close_log(result, time.monotonic() - begun)


def named(args: argparse.Namespace) -> list[str]:
    """The words of the verb: one, or the group's and its part's."""
    return [word for word in (args.verb, getattr(args, "part", "")) if word]


def guarded(words: Sequence[str]) -> int:
    """The same, with errors shown: as sentences, or as JSON where the command line has ``--json``."""
    try:
        return execute(words)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except (Exception, KeyboardInterrupt) as error:
        from skerry.cli.failure import explained, show

        failure = explained(error)
        show(failure, to_program=json_wanted(words))
        return failure.exit_code


def json_wanted(words: Sequence[str]) -> bool:
    """Whether errors are for a program. The command line may be the error: only its words are asked."""
    own, _ = split(words)
    return "--json" in (own[: own.index("--")] if "--" in own else own)


if __name__ == "__main__":
    main()
