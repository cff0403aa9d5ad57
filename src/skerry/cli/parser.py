"""The parser of the command line: a verb's module is imported when that verb is parsed, and not before."""

from __future__ import annotations

import argparse
import importlib
from collections.abc import Iterable, Sequence
from typing import Any, NoReturn

from skerry.cli.verbs import VERBS, Verb
from skerry.common.errors import EXIT_CODES, UsageError, did_you_mean

BEFORE = ("--root",)  # options that only come before the verb
DESCRIPTION = "A whole, real OpenStack cloud with one command: skerry up."


class VerbParser(argparse.ArgumentParser):
    """The parser of a verb: it learns its arguments when it is first used. Errors are UsageErrors."""

    def __init__(
        self,
        *,
        verb: Verb | None = None,
        light: bool = False,
        verbose: str = argparse.SUPPRESS,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self._verb, self._light = verb, light
        # Every parser takes it. Without a default, since that would replace what is given before the verb.
        self.add_argument("-v", "--verbose", action="store_true", default=argparse.SUPPRESS, help=verbose)

    def learn(self, *, everything: bool = False) -> None:
        """Import the verb's module and take its arguments, and with ``everything`` those of its parts."""
        verb, self._verb = self._verb, None
        if verb is not None and self._light:
            if verb.parts:
                self.add_verbs(verb.parts, dest="part", metavar="PART")
        elif verb is not None:
            module = importlib.import_module(f"skerry.cli.{verb.module}")
            if hasattr(module, "arguments"):
                module.arguments(self)
            if verb.parts:
                self.add_verbs(verb.parts, dest="part", metavar="PART")
            else:
                self.set_defaults(run=module.run)
        if everything:
            for action in self._actions:
                if isinstance(action, argparse._SubParsersAction):
                    for part in action.choices.values():
                        part.learn(everything=True)

    def add_verbs(self, verbs: Iterable[Verb], *, dest: str, metavar: str) -> None:
        parsers = self.add_subparsers(dest=dest, metavar=metavar, required=True, parser_class=VerbParser)
        for verb in verbs:
            about: dict[str, Any] = {"help": verb.help, "description": verb.help}
            parsers.add_parser(verb.name, verb=verb, light=self._light, add_help=not self._light, **about)

    def parse_known_args(  # type: ignore[override]
        self, args: Sequence[str] | None = None, namespace: argparse.Namespace | None = None
    ) -> tuple[argparse.Namespace, list[str]]:
        self.learn()
        found, left = super().parse_known_args(args, namespace)
        if left and not self._light:
            self.error(f"unrecognized arguments: {' '.join(left)}.{self._hint(left[0])}")
        return found, left

    def _hint(self, word: str) -> str:
        """What may be meant by an option that there is not."""
        name = word.split("=", 1)[0]
        if name in BEFORE:
            return f" '{name}' comes before the verb: skerry {name} FOLDER VERB."
        known = [option for option in self._option_string_actions if option.startswith("--")]
        return did_you_mean(name, known) if name.startswith("-") else ""

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        if action.choices is None or value in action.choices:
            return
        known = list(map(str, action.choices))
        message = f"there is no '{value}'.{did_you_mean(str(value), known)} There are: {', '.join(known)}."
        raise argparse.ArgumentError(action, message)

    def error(self, message: str) -> NoReturn:
        raise UsageError(message, remedy=self.format_usage().strip())


def parser(*, everything: bool = False, light: bool = False) -> VerbParser:
    """The whole command line; with ``everything`` all verbs' arguments are there at once, for pages and completion.

    With ``light`` it knows the verbs and none of their arguments: that takes nothing but Python itself.
    """
    codes = "\n".join(f"  {code:>3}  {meaning}" for code, meaning in EXIT_CODES.items())
    top = VerbParser(
        prog="skerry",
        description=DESCRIPTION,
        epilog=f"exit codes:\n{codes}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        verbose="show every command that is run, on the standard error; also after the verb",
        light=light,
    )
    top.set_defaults(verbose=False)
    top.add_argument(
        "--root", default="/", metavar="FOLDER", help="the root folder of the cloud (default: /)"
    )
    top.add_verbs(VERBS, dest="verb", metavar="VERB")
    if everything:
        top.learn(everything=True)
    return top


def parse(words: Sequence[str]) -> argparse.Namespace:
    """The command line as arguments; ``passed`` has the words for another program. Raises UsageError."""
    own, passed = split(words)
    args = parser().parse_args(own)
    args.passed = passed
    return args


def split(words: Sequence[str]) -> tuple[list[str], list[str]]:
    """Skerry's own words, and those behind a verb that hands all that follows it, options too, to another program."""
    passing = {verb.name for verb in VERBS if verb.passes}
    for at, word in enumerate(words):
        if not word.startswith("-") and (at == 0 or words[at - 1] != "--root"):
            end = at + 1 if word in passing else len(words)
            return list(words[:end]), list(words[end:])
    return list(words), []
