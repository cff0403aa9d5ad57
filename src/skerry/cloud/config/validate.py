"""Checks of configuration files against the schema: sections, names, values; with the nearest name."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from fnmatch import fnmatch
from typing import Any

from skerry.cloud.config.ini import Entry, IniFile, normal
from skerry.cloud.config.schema import Option, ServiceSchema, load

# As oslo.config finds references: "$$" and "\$" are dollars.
_REFERENCE = re.compile(
    r"\$(?:(?P<escaped>\$)|(?P<name>[_a-z][._a-z0-9]*)|{(?P<braced>[_a-z][._a-z0-9]*)})", re.IGNORECASE
)


@dataclass(frozen=True, slots=True)
class Problem:
    """Something wrong at one line.

    ``level`` is "error" (a service fails on it, or never reads it) or "warning" (it works today, or is
    overridden).
    """

    path: str
    line: int
    group: str
    option: str | None
    message: str
    level: str = "error"
    allowed: tuple[str, ...] = ()
    nearest: str | None = None

    def __str__(self) -> str:
        place = f"[{self.group}] {self.option}" if self.option else f"[{self.group}]"
        hint = f"; did you mean {self.nearest}?" if self.nearest else ""
        return f"{self.path}:{self.line}: {self.level}: {place}: {self.message}{hint}"

    def to_dict(self) -> dict[str, Any]:
        """For JSON; the keys are the fields."""
        return asdict(self)


def validate(
    service: str,
    file: IniFile,
    path: str | None = None,
    *,
    beside: Iterable[IniFile] = (),
    foreign: Sequence[str] = (),
) -> list[Problem]:
    """Everything wrong in one file of a service, in the order of lines.

    ``path`` replaces the file's own in messages. ``beside`` are the other layers (read in the order of their
    names): sections such as cinder's back ends may be named there. ``foreign`` are patterns
    (``genericswitch:*``) of sections that belong to plug-ins outside the release; they are left alone.

    Raises NotFoundError for a service without a schema.
    """
    check = _Check(
        load(service), file, path or file.path, sorted([*beside, file], key=lambda f: f.path), foreign
    )
    return sorted(check.problems(), key=lambda problem: (problem.line, problem.option or ""))


class _Check:
    def __init__(
        self,
        schema: ServiceSchema,
        file: IniFile,
        path: str,
        files: Sequence[IniFile],
        foreign: Sequence[str],
    ) -> None:
        self.schema, self.file, self.path, self.files, self.foreign = schema, file, path, files, foreign

    def problems(self) -> Iterator[Problem]:
        for group, options in self.file.sections.items():
            if any(fnmatch(group, pattern) for pattern in self.foreign):
                continue
            known = self.schema.group(group, self.files)
            if known is None and any((normal(group), name) in self.schema.renamed for name in options):
                known = {}  # a section that has a new name
            if known is None:
                yield from self._unknown_group(group, options)
                continue
            for name, entries in options.items():
                yield from self._option(group, name, entries, known)

    def _option(
        self, group: str, name: str, entries: Sequence[Entry], known: Mapping[str, Option]
    ) -> Iterator[Problem]:
        option = known.get(name)
        if option is None:
            option = self.schema.renamed.get((normal(group), name))
            if option is None:
                yield self._unknown_option(group, name, entries[-1].line, known)
                return
            now = f"[{option.group}] {option.name}"
            yield self._problem(entries[-1], group, name, f"deprecated name of {now}", level="warning")
        if option.removal:
            since = f" since {option.since}" if option.since else ""
            text = f"deprecated for removal{since}: {option.removal}"
            yield self._problem(entries[-1], group, name, text, level="warning")
        if not option.multi:
            for entry in entries[:-1]:
                text = f"line {entries[-1].line} sets it again, and only the last one counts"
                yield self._problem(entry, group, name, text, level="warning")
        for entry in entries if option.multi else entries[-1:]:
            yield from self._value(group, option, name, entry)
        yield from self._idle(group, name, entries[-1])

    def _value(self, group: str, option: Option, name: str, entry: Entry) -> Iterator[Problem]:
        references = list(_references(entry.value))
        for reference in references:
            if not self._exists(option.group, reference):
                what = "a $" if option.secret else f"${reference}"
                text = f"{what} refers to an option that does not exist; write $$ for a dollar"
                yield self._problem(entry, group, name, text)
        if not references and (wrong := option.check(entry.value.replace(r"\$", "$").replace("$$", "$"))):
            nearest = None
            if option.allowed and not option.secret:
                nearest = _nearest(entry.value.split(",")[-1].strip(), option.allowed)
            yield self._problem(entry, group, name, wrong, allowed=option.allowed, nearest=nearest)

    def _exists(self, group: str, reference: str) -> bool:
        first, _, rest = reference.partition(".")
        if rest:
            return rest in (self.schema.group(first, self.files) or {})
        return any(
            reference in (self.schema.group(g, self.files) or {}) for g in (group, "DEFAULT")
        ) or reference in (
            "config_dir",
            "config_file",
        )

    def _idle(self, group: str, name: str, entry: Entry) -> Iterator[Problem]:
        for rule in self.schema.idle:
            when_group, _, when = rule["when"].partition("/")
            in_use = any(file.get(when_group, when) for file in self.files)
            if normal(group) == rule["group"] and name not in rule["keep"] and in_use:
                text = f"does nothing, because [{when_group}] {when} names the sections that count"
                yield self._problem(entry, group, name, text, level="warning")

    def _unknown_group(self, group: str, options: Mapping[str, Sequence[Entry]]) -> Iterator[Problem]:
        line = self.file.headings.get(group, 0)
        shape = self.schema.shaped_like(options)
        if shape == ("", True):
            return
        if shape is not None:
            namer = "[{}] {}".format(*shape[0].split("/"))
            text = f"does nothing: {self.schema.service} knows no such section, and {namer} does not name it"
            yield Problem(self.path, line, group, None, text)
            return
        nearest = _nearest(group, self.schema.groups)
        text = f"{self.schema.service} has no such section"
        yield Problem(self.path, line, group, None, text, nearest=f"[{nearest}]" if nearest else None)

    def _unknown_option(self, group: str, name: str, line: int, known: Mapping[str, Option]) -> Problem:
        elsewhere = [g for g in self.schema.where(name) if g != normal(group)]
        text = f"{self.schema.service} has no such option here"
        nearest = _nearest(name, known)
        if name.replace("-", "_") in known:
            text, nearest = "option names have underscores in files", name.replace("-", "_")
        elif elsewhere:
            places = ", ".join(f"[{g}]" for g in elsewhere[:4]) + (" …" if len(elsewhere) > 4 else "")
            text, nearest = f"does nothing in this section: {name} is an option of {places}", None
        return Problem(self.path, line, group, name, text, nearest=nearest)

    def _problem(self, entry: Entry, group: str, option: str, text: str, **more: Any) -> Problem:
        return Problem(self.path, entry.line, group, option, text, **more)


def _references(value: str) -> Iterator[str]:
    for match in _REFERENCE.finditer(value.replace(r"\$", "$$")):
        if name := match["name"] or match["braced"]:
            yield name


def _nearest(name: str, names: Iterable[str]) -> str | None:
    by_lower = {known.lower(): known for known in names}
    found = difflib.get_close_matches(name.lower(), by_lower, 1, 0.6)
    return by_lower[found[0]] if found else None
