"""Takes a lab down when its owner ends without having done so: ``python -m skerry.lab.reaper ROOT LAB``.

The owner holds the other end of its standard input, and writes ``DOWN`` there when the lab is down.
"""

from __future__ import annotations

import sys
from contextlib import suppress
from pathlib import Path

DOWN = "down"


def main(root: str, name: str) -> None:
    if sys.stdin.read() == DOWN:
        return
    # Most never come here: this is what takes time to import.
    from skerry.lab.lab import take_down
    from skerry.lab.state import NoSuchLabError, Places

    with suppress(NoSuchLabError):
        take_down(Places(name, Path(root)))


if __name__ == "__main__":
    main(*sys.argv[1:])
