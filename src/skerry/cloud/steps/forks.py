"""Runs several commands of one program, importing it once: each command in a fork.

Usage: python forks.py MODULE:FUNCTION -- PROGRAM ARGUMENT... [-- PROGRAM ARGUMENT...]

The management programs of the services spend 3-5 s of CPU on imports and well under one on most of their work.
A child that fails ends the series with its exit status.
"""

import importlib
import os
import sys


def main() -> None:
    target, *words = sys.argv[1:]
    module, function = target.split(":")
    commands: list[list[str]] = []
    for word in words:
        if word == "--":
            commands.append([])
        else:
            commands[-1].append(word)
    entry = getattr(importlib.import_module(module), function)
    for command in commands:
        pid = os.fork()
        if pid == 0:
            sys.argv = command
            sys.exit(entry())
        status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        if status:
            sys.exit(f"'{' '.join(command[:4])}' ended with {status}")


if __name__ == "__main__":
    main()
