"""Types of options: what is wrong with a value, and one that works."""

from __future__ import annotations

import argparse
from collections.abc import Callable


def whole(least: int, most: int) -> Callable[[str], int]:
    """The type of an option that takes whole numbers of a range."""

    def number(text: str) -> int:
        try:
            found = int(text)
        except ValueError:
            found = least - 1
        if not least <= found <= most:
            raise argparse.ArgumentTypeError(f"'{text}' is not a whole number from {least} to {most}")
        return found

    return number


def memory_mib(text: str) -> int:
    """The type of an option for a guest's memory: at least 32 MiB, at most what the machine has."""
    import psutil

    return whole(32, int(psutil.virtual_memory().total / 2**20))(text)


def port(text: str) -> int:
    """The type of an option for a TCP port of a guest or a server."""
    return whole(1, 65535)(text)
