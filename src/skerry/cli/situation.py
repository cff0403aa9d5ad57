"""What must be so before a verb runs: a root folder that can be one, root, and a cloud that is there.

The bootstrap asks this, too, before it installs anything: it takes nothing but Python itself.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path

from skerry.cli.parser import parser, split
from skerry.cli.verbs import VERBS, Verb
from skerry.common.errors import UsageError

CONTINUE = 99  # exit code: nothing is known that would stop the verb


def demand(root: str, words: Sequence[str]) -> None:
    """Raise UsageError, PreflightError or NotFoundError when the verb of these words cannot do its work."""
    demand_folder(root)
    verb = verb_of(words)
    if verb.root:
        from skerry.common.privilege import require_root

        require_root(f"'skerry {' '.join(words)}' must be root.")
    if verb.cloud:
        from skerry.cloud.model.layout import Layout

        Layout.at(root).demand_cloud()


def verb_of(words: Sequence[str]) -> Verb:
    """The entry of the table for a verb, or for the part of a group."""
    verb = next(verb for verb in VERBS if verb.name == words[0])
    return next((part for part in verb.parts if part.name in words[1:2]), verb)


def demand_folder(root: str) -> None:
    """Raise UsageError when nothing can be under this root folder."""
    if not root:
        raise UsageError("--root is empty.", remedy="Name a folder; without --root it is /.")
    for place in (Path(root), *Path(root).absolute().parents):
        if os.path.lexists(place):
            if not place.is_dir():
                raise UsageError(f"--root {root}: {place} is not a folder.", remedy="Name a folder.")
            return


def main() -> None:
    """End with 0 when the command line was answered here, CONTINUE when it is for the verb, else with the error's code."""
    from skerry.cli.failure import explained, show
    from skerry.cli.main import json_wanted, named

    words = sys.argv[1:]
    try:
        args, _ = parser(light=True).parse_known_args(split(words)[0])
        if "-h" not in words and "--help" not in words:
            demand(args.root, named(args))
    except Exception as error:
        failure = explained(error)
        show(failure, to_program=json_wanted(words))
        sys.exit(failure.exit_code)
    sys.exit(CONTINUE)


if __name__ == "__main__":
    main()
