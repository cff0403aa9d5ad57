"""What an option means, what it may be, and what it is here: the schema and the layers of a cloud, joined."""

from __future__ import annotations

import difflib
import re
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from skerry.cloud.config import ini, schema
from skerry.cloud.config.schema import Option
from skerry.common.errors import NotFoundError

HIDDEN = "(secret, not shown)"


@dataclass(frozen=True, slots=True)
class OptionAssignment:
    """One assignment in a layer (the file's name); ``name`` is set when a deprecated name was used."""

    value: str
    layer: str
    path: str
    line: int
    in_force: bool
    name: str | None = None


@dataclass(frozen=True, slots=True)
class Explanation:
    """One option explained, or, when a name fits several, only ``candidates`` ("service/section/option").

    ``value`` is the text in force (of a repeated option: a list), the default when nothing sets it.
    ``settings`` lists every assignment in the order in which the layers are read.
    """

    name: str
    candidates: tuple[str, ...] = ()
    service: str = ""
    group: str = ""
    option: str = ""
    help: str = ""
    type: str = ""
    allowed: tuple[str, ...] = ()
    default: Any = None
    default_computed: bool = False
    value: Any = None
    settings: tuple[OptionAssignment, ...] = ()
    deprecated_names: tuple[str, ...] = ()
    removal: str = ""
    secret: bool = False
    needs_restart: bool = True

    def to_dict(self) -> dict[str, Any]:
        """For JSON; the keys are the fields."""
        return asdict(self)

    def render(self) -> str:
        """Plain text for people, without a newline at the end."""
        if self.candidates:
            return "\n".join(
                [f"'{self.name}' is the name of {len(self.candidates)} options:"]
                + [f"  {candidate}" for candidate in self.candidates]
            )
        rows = [
            ("type", self.type),
            (
                "allowed",
                ", ".join(self.allowed) if self.allowed and not self.type.startswith("one of") else "",
            ),
            ("default", "(worked out on each machine)" if self.default_computed else _shown(self.default)),
            ("value", _shown(self.value)),
        ]
        for setting in self.settings:
            note = "in force" if setting.in_force else "overridden"
            old = f", by its deprecated name {setting.name}" if setting.name else ""
            rows.append(("set in", f"{setting.path}:{setting.line} to {_shown(setting.value)} ({note}{old})"))
        rows += [
            ("former names", ", ".join(self.deprecated_names)),
            ("going away", self.removal),
            (
                "takes effect",
                "after a restart of the service" if self.needs_restart else "without a restart (SIGHUP)",
            ),
        ]
        lines = [f"[{self.group}] {self.option} of {self.service}"]
        lines += textwrap.wrap(self.help, 100, initial_indent="  ", subsequent_indent="  ")
        return "\n".join(lines + [f"  {label + ':':<14}{text}" for label, text in rows if text])


def explain(name: str, layers: Mapping[str, Sequence[Path]]) -> Explanation:
    """Explain an option by its name.

    ``name`` is ``service/section/option``, ``section/option``, ``service/option`` or just ``option``; dots
    do as well as slashes, and without a section DEFAULT is preferred when the service is given. ``layers``
    has the configuration files of each service in the order in which they are read; missing files are passed
    over.

    Raises NotFoundError, with the nearest names, when no option has this name, and ConfigError when a file
    cannot be parsed.
    """
    parts = [part for part in re.split(r"[/.]", name.strip()) if part]
    if not 1 <= len(parts) <= 3:
        raise NotFoundError(f"'{name}' is not the name of an option: write service/section/option")
    files = {
        service: [ini.read(path) for path in layers.get(service, ()) if path.exists()]
        for service in schema.services()
    }
    found = _matches(parts, files)
    if not found:
        near = _near(parts, files)
        hint = f"; did you mean {', '.join(near)}?" if near else ""
        raise NotFoundError(f"there is no option '{name}'{hint}")
    if len(found) > 1:
        return Explanation(
            name, candidates=tuple(sorted(f"{service}/{o.group}/{o.name}" for service, o in found))
        )
    service, option = found[0]
    return _explained(name, service, option, files[service])


def _matches(parts: Sequence[str], files: Mapping[str, Sequence[ini.IniFile]]) -> list[tuple[str, Option]]:
    *place, wanted = parts
    wanted = wanted.replace("-", "_")
    if not place:
        return [match for service in files for match in _in_service(service, wanted, files[service])]
    services = [s for s in files if s == place[0]] if len(place) == 2 else list(files)
    group = "DEFAULT" if place[-1].lower() == "default" else place[-1]
    found = [
        (service, option)
        for service in services
        if (option := (schema.load(service).group(group, files[service]) or {}).get(wanted))
    ]
    if len(place) == 1 and place[0] in files:
        # "placement" is a service, and a section of nova
        found += [m for m in _in_service(place[0], wanted, files[place[0]]) if m not in found]
    return found


def _in_service(service: str, wanted: str, files: Iterable[ini.IniFile]) -> list[tuple[str, Option]]:
    known = schema.load(service)
    named = {group for file in files for group in file.sections}
    options = {
        ini.normal(group): option
        for group in [*known.groups, *sorted(named)]
        if (option := (known.group(group, files) or {}).get(wanted))
    }
    return (
        [(service, options["DEFAULT"])] if "DEFAULT" in options else [(service, o) for o in options.values()]
    )


def _near(parts: Sequence[str], files: Mapping[str, Sequence[ini.IniFile]]) -> list[str]:
    """The nearest full names: within the service and section if these exist, else anywhere."""
    everything = {
        f"{service}/{group}/{name}": name
        for service in files
        for group in schema.load(service).groups
        for name in schema.load(service).options(group)
    }
    for depth in range(len(parts) - 1, -1, -1):
        head = [part.lower() for part in parts[:depth]]
        pool = {
            full: name for full, name in everything.items() if set(head) <= set(full.lower().split("/")[:2])
        }
        close = difflib.get_close_matches(parts[-1], sorted(set(pool.values())), 3, 0.7)
        if close:
            return [full for name in close for full in sorted(pool) if pool[full] == name][:5]
    return []


def _explained(name: str, service: str, option: Option, files: Sequence[ini.IniFile]) -> Explanation:
    settings: list[OptionAssignment] = []
    values: list[str] = []
    for file in files:
        entries = _entries(file, option)
        if not entries:
            continue
        if not option.multi:
            # a later file wins, and within a file the last line of the first name that is there
            settings = [OptionAssignment(**{**asdict(s), "in_force": False}) for s in settings]
            values = []
        for position, (former, entry) in enumerate(entries):
            counts = option.multi or position == len(entries) - 1
            value = HIDDEN if option.secret else entry.value
            settings.append(
                OptionAssignment(value, Path(file.path).name, file.path, entry.line, counts, former)
            )
            values += [value] if counts else []
    return Explanation(
        name=name,
        service=service,
        group=option.group,
        option=option.name,
        help=option.help,
        type=option.type_text + (", may be repeated" if option.multi else ""),
        allowed=option.allowed,
        default=option.default,
        default_computed=option.computed,
        value=(values if option.multi else values[0]) if values else option.default,
        settings=tuple(settings),
        deprecated_names=tuple(f"[{group}] {former}" for group, former in option.former_names()),
        removal=option.removal,
        secret=option.secret,
        needs_restart=not option.mutable,
    )


def _entries(file: ini.IniFile, option: Option) -> list[tuple[str | None, ini.Entry]]:
    """The assignments of an option in one file, with the former name used; today's name goes first."""
    if current := file.get(option.group, option.name):
        return [(None, entry) for entry in current]
    for group, name in option.former_names():
        if entries := file.get(group, name):
            return [(f"[{group}] {name}", entry) for entry in entries]
    return []


def _shown(value: Any) -> str:
    if value is None:
        return "(none)"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Mapping):
        return ",".join(f"{key}:{value[key]}" for key in value) or "(empty)"
    if isinstance(value, list | tuple):
        return ",".join(map(_shown, value)) or "(empty)"
    return str(value) if value != "" else "(empty)"
