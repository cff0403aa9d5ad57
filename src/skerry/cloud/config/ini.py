"""oslo.config ini files: writing ours, reading ours and the operators', with line numbers for errors.

oslo.config reads a folder of files in order, later files win. Skerry writes ``00-skerry.conf``; the
operator's settings are in ``50-site.conf`` beside it and are never touched.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from oslo_config import iniparser

from skerry.common.errors import ConfigError

OURS = "00-skerry.conf"
SITE = "50-site.conf"
HEADER = f"""\
# Written by Skerry, which overwrites it: changes made here are lost.
# Your own settings belong in {SITE} beside this file; they win over these.
"""


class Multi(tuple[str, ...]):
    """The values of an option that is repeated, one line each (oslo.config: MultiOpt)."""


class SecretValue(str):
    """A text that is taken literally: its ``$`` are escaped, and it does not show in a repr.

    A plain ``str`` may refer to another option (``$state_path/instances``), as oslo.config allows.
    """

    def __repr__(self) -> str:
        return "SecretValue(...)"


Value = str | int | float | bool | Multi | Sequence[str | int | float] | Mapping[str, str | int | float]
Sections = Mapping[str, Mapping[str, Value]]


@dataclass(frozen=True, slots=True)
class Entry:
    """One assignment: the value as oslo.config sees it before interpolation, and its line (from 1)."""

    value: str
    line: int


@dataclass(slots=True)
class IniFile:
    """A parsed file: section -> option -> its assignments in order.

    ``headings`` has the first line of each section. Names are kept as written. oslo.config ignores the
    case of section names, except that of DEFAULT.
    """

    path: str
    sections: dict[str, dict[str, list[Entry]]] = field(default_factory=dict)
    headings: dict[str, int] = field(default_factory=dict)

    def get(self, group: str, option: str) -> list[Entry]:
        """The assignments of an option in all sections that oslo.config takes for ``group``; may be empty."""
        wanted = normal(group)
        return [e for g, opts in self.sections.items() if normal(g) == wanted for e in opts.get(option, ())]

    def values(self) -> dict[str, dict[str, str | Multi]]:
        """The shape that ``render`` takes: repeated options as Multi."""
        return {
            group: {
                n: es[0].value if len(es) == 1 else Multi(e.value for e in es) for n, es in options.items()
            }
            for group, options in self.sections.items()
        }


def normal(group: str) -> str:
    """A section name as oslo.config compares it."""
    return group if group == "DEFAULT" else group.lower()


def render(sections: Sections, header: str = HEADER) -> str:
    """The text of an ini file; equal input gives equal text, DEFAULT first, the rest sorted.

    Booleans become true/false, sequences ``a,b``, mappings ``k:v,k:v``, Multi repeated lines. Raises
    ConfigError for what the format cannot hold (a comma within a list item, an empty line within a value).
    """
    parts = [header]
    for group in sorted(sections, key=lambda name: (name != "DEFAULT", name)):
        lines = [f"[{group}]"]
        for option in sorted(sections[group]):
            lines += _assignments(f"[{group}] {option}", option, sections[group][option])
        parts.append("\n".join(lines) + "\n")
    return "\n".join(parts)


def _assignments(where: str, option: str, value: Value) -> Iterable[str]:
    for text in value if isinstance(value, Multi) else (value,):
        written = _quoted(where, _text(where, text))
        yield f"{option} = {written}" if written else f"{option} ="


def _text(where: str, value: Value) -> str:
    if isinstance(value, SecretValue):
        if r"\$" in value:
            raise ConfigError(
                where, "oslo.config cannot hold a backslash before a dollar: choose another secret"
            )
        return value.replace("$", "$$")
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str | int | float):
        return str(value)
    if isinstance(value, Mapping):
        return ",".join(f"{_item(where, key)}:{_item(where, value[key])}" for key in sorted(value))
    return ",".join(_item(where, item) for item in value)


def _item(where: str, value: str | int | float) -> str:
    text = _text(where, value)
    if "," in text:
        raise ConfigError(where, f"the item {text!r} holds a comma, which would make two items of it")
    return text


def _quoted(where: str, text: str) -> str:
    """Protects what the reader would strip: outer spaces, outer quotes. Further lines are indented."""
    lines = text.split("\n")
    if len(lines) > 1 and any(line != line.strip() or not line for line in lines):
        raise ConfigError(
            where, "a value of several lines cannot hold empty lines or lines with outer spaces"
        )
    if "\r" in text or "\0" in text:
        raise ConfigError(where, "a value cannot hold control characters")
    first = lines[0]
    if first != first.strip() or (first and first[0] in "\"'" and first[0] == first[-1]):
        first = f'"{first}"'
    return "\n    ".join([first, *lines[1:]])


def read(path: Path) -> IniFile:
    """Parse a file. Raises ConfigError with its line when oslo.config could not read it."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as trouble:
        raise ConfigError(path, f"cannot be read: {trouble}") from None
    return parse(text, str(path))


def parse(text: str, path: str) -> IniFile:
    """Parse the text of a file; ``path`` is for messages. Raises ConfigError("path:line", what)."""
    parser = _Parser(path)
    try:
        parser.parse(text.split("\n"))
    except iniparser.ParseError as trouble:
        # The line itself may be part of a secret, so it is not shown.
        raise ConfigError(f"{path}:{trouble.lineno}", trouble.msg) from None
    return parser.file


class _Parser(iniparser.BaseParser):
    """Gives each assignment the line it begins on; oslo.config's own parser forgets it."""

    def __init__(self, path: str) -> None:
        super().__init__()
        self.file = IniFile(path)
        self._options: dict[str, list[Entry]] | None = None
        self._began = 0

    def _split_key_value(self, line: str) -> tuple[str, list[str]]:
        self._began = self.lineno
        if self._options is None:
            raise iniparser.ParseError("there is an option before the first [section]", self.lineno, line)
        key: tuple[str, list[str]] = super()._split_key_value(line)
        return key

    def new_section(self, section: str) -> None:
        self.file.headings.setdefault(section, self.lineno)
        self._options = self.file.sections.setdefault(section, {})

    def assignment(self, key: str, value: list[str]) -> None:
        assert self._options is not None  # _split_key_value ensures it
        self._options.setdefault(key, []).append(Entry("\n".join(value), self._began))
