"""The options that the services of a release know, as data: loaded in milliseconds, without their code."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any

from skerry.cloud.config.ini import IniFile, normal
from skerry.common.errors import NotFoundError

RELEASE = "2026.2"
_FOLDER = Path(__file__).parent / "schema"


@dataclass(frozen=True)
class Option:
    """One option of one section.

    ``type`` holds the name (``kind``) of an oslo_config type and its constructor's arguments; ``was`` the
    former names as (section, option), an empty section meaning the same one; ``removal`` the reason why the
    option is going away; ``computed`` means that the default is worked out on each machine.
    """

    group: str
    name: str
    type: Mapping[str, Any]
    default: Any = None
    computed: bool = False
    multi: bool = False
    help: str = ""
    was: tuple[tuple[str, str], ...] = ()
    removal: str = ""
    since: str = ""
    secret: bool = False
    mutable: bool = False
    required: bool = False

    @property
    def allowed(self) -> tuple[str, ...]:
        """The values it can have, when they are few and known; of a list: of its items."""
        kind = self.type.get("item") or self.type
        choices = kind.get("choices") or (("true", "false") if kind["kind"] == "Boolean" else ())
        return tuple(str(choice) or "''" for choice in choices)

    @property
    def type_text(self) -> str:
        """The type in words: "an integer from 1 to 10", "a list of ports"."""
        return _in_words(self.type)

    def former_names(self) -> Iterator[tuple[str, str]]:
        """The deprecated (section, option) pairs that still set this option."""
        for group, name in self.was:
            yield group or self.group, name

    def check(self, value: str) -> str | None:
        """What is wrong with a value as read from a file, in words; None when it is good.

        A value that refers to another option (``$x``) cannot be judged alone and passes.
        """
        if self.type["kind"] == "opaque":
            return None
        try:
            _checker(json.dumps(self.type))(value)
        except (ValueError, TypeError):
            shown = (
                "this secret" if self.secret else repr(value) if len(value) < 80 else repr(value[:77] + "...")
            )
            return f"{shown} is not {self.type_text}"
        return None


class ServiceSchema:
    """All sections and options of one service. Section names are compared as oslo.config does."""

    def __init__(self, service: str, document: Mapping[str, Any]) -> None:
        self.service = service
        self.release: str = document["release"]
        self._options: Sequence[Mapping[str, Any]] = document["options"]
        data = document["services"][service]
        self._groups: Mapping[str, Sequence[int]] = data["groups"]
        self.dynamic: Sequence[Mapping[str, Any]] = data["dynamic"]
        self.idle: Sequence[Mapping[str, Any]] = data["idle"]
        self._made: dict[str, dict[str, Option]] = {}

    @property
    def groups(self) -> list[str]:
        """The names of the sections that are known beforehand, sorted."""
        return [name for name in sorted(self._groups) if not _is_template(name)]

    def options(self, group: str) -> dict[str, Option]:
        """The options of a section by name; empty when there is no such section."""
        return self._options_of(normal(group)) if not _is_template(group) else {}

    def group(self, name: str, files: Iterable[IniFile] = ()) -> dict[str, Option] | None:
        """The options of a section, also of one that an operator named in ``files``; None when it is unknown.

        The names come from options such as cinder's enabled_backends, wherever the files set them.
        """
        files = list(files)
        known = self._options_of(normal(name))
        found = dict(known)
        for rule in self.dynamic:
            if "into" in rule and normal(name) == rule["into"]:
                for method in self._names(rule, files):
                    found.setdefault(method, Option(rule["into"], method, {"kind": "String"}))
            kind = self._names(rule, files).get(normal(name)) if "names" in rule else None
            if kind is not None and "into" not in rule:
                templates = [rule["kinds"] + kind] if "kinds" in rule else rule["like"]
                for template in templates:
                    found |= {
                        n: _moved(o, name) for n, o in self._options_of(template).items() if n not in found
                    }
        return found or None

    def shaped_like(self, options: Iterable[str]) -> tuple[str, bool] | None:
        """Where a section that nobody named could belong, judged by its options.

        (the option that would have to name it, False); ("", True) when such a section may have any name; None
        when no operator-named section has such options.
        """
        wanted = set(options)
        for rule in self.dynamic:
            if "into" in rule or rule.get("names", "").startswith("*"):
                continue
            likes = rule.get("like") or [g for g in self._groups if g.startswith(rule["kinds"])]
            if wanted and wanted <= {name for like in likes for name in self._options_of(like)}:
                return rule.get("names", ""), "names" not in rule
        return None

    def where(self, option: str) -> list[str]:
        """The sections that have an option of this name, sorted."""
        return [group for group in self.groups if option in self._options_of(group)]

    @cached_property
    def renamed(self) -> Mapping[tuple[str, str], Option]:
        """Former (section, option) -> the option it sets today."""
        return {
            (normal(group), name): option
            for section in self.groups
            for option in self._options_of(section).values()
            for group, name in option.former_names()
        }

    def _options_of(self, group: str) -> dict[str, Option]:
        if group not in self._made:
            self._made[group] = {
                o.name: o for o in (self._option(group, n) for n in self._groups.get(group, ()))
            }
        return self._made[group]

    def _option(self, group: str, number: int) -> Option:
        data = dict(self._options[number])
        return Option(group=group, was=tuple((g, n) for g, n in data.pop("was", ())), **data)

    def _names(self, rule: Mapping[str, Any], files: Sequence[IniFile]) -> dict[str, str]:
        """The sections that the option of a dynamic rule names: section -> kind ("" without kinds)."""
        if "names" not in rule:
            return {}
        group, _, option = rule["names"].partition("/")
        entries = [
            [entry for g in (file.sections if group == "*" else [group]) for entry in file.get(g, option)]
            for file in files
        ]
        set_in = [found for found in entries if found]
        values = (
            [e.value for found in set_in for e in found]
            if group == "*"
            else [set_in[-1][-1].value]
            if set_in
            else []
        )
        if not set_in and group != "*" and (known := self._options_of(normal(group)).get(option)):
            values = [",".join(known.default)] if isinstance(known.default, list) else []
        names: dict[str, str] = {}
        for item in ",".join(values).split(","):
            name, _, kind = item.strip().partition(":")
            if name:
                names[normal(rule.get("prefix", "") + name)] = kind.strip()
        return names


@cache
def document(release: str = RELEASE) -> Mapping[str, Any]:
    """The schema file of a release as it is. Raises NotFoundError when there is none."""
    path = _FOLDER / f"{release}.json.gz"
    if not path.exists():
        known = ", ".join(sorted(p.name.removesuffix(".json.gz") for p in _FOLDER.glob("*.json.gz")))
        raise NotFoundError(f"there is no option schema of release {release}; there is one of: {known}")
    found: Mapping[str, Any] = json.loads(gzip.decompress(path.read_bytes()))
    return found


@cache
def load(service: str, release: str = RELEASE) -> ServiceSchema:
    """The schema of one service. Raises NotFoundError for a service or a release without one."""
    found = document(release)
    if service not in found["services"]:
        raise NotFoundError(
            f"there is no option schema of '{service}'; there is one of: {', '.join(services())}"
        )
    return ServiceSchema(service, found)


def services() -> list[str]:
    """The services that have a schema, sorted."""
    return sorted(document()["services"])


def _is_template(group: str) -> bool:
    return ":" in group


def _moved(option: Option, group: str) -> Option:
    """An option of a template in a section that an operator named, where no former sections exist."""
    data = {**option.__dict__, "group": group, "was": tuple(w for w in option.was if not w[0])}
    return Option(**data)


@cache
def _checker(described: str) -> Any:
    """The oslo_config type that judges values; imported late, because it pulls in libraries."""
    from oslo_config import types

    data = json.loads(described)

    def build(data: dict[str, Any]) -> Any:
        arguments = dict(data)
        kind = arguments.pop("kind")
        if kind == "opaque":
            return types.String()
        item = arguments.pop("item", None)
        if item is not None:
            arguments["value_type" if kind == "Dict" else "item_type"] = build(item)
        if "separator" in arguments:
            arguments["key_value_separator"] = arguments.pop("separator")
        return getattr(types, kind)(**arguments)

    return build(data)


_NOUNS = {
    "Boolean": ("true or false", "booleans"),
    "Float": ("a number", "numbers"),
    "HostAddress": ("a host name or IP address", "host names or IP addresses"),
    "HostDomain": ("a host name or IP address", "host names or IP addresses"),
    "Hostname": ("a host name", "host names"),
    "Integer": ("an integer", "integers"),
    "MultiString": ("text", "texts"),
    "Port": ("a port", "ports"),
    "Range": ("a range such as 1-5", "ranges such as 1-5"),
    "String": ("text", "texts"),
    "URI": ("a URI (scheme://host…)", "URIs (scheme://host…)"),
    "opaque": ("text in a form of its own", "texts in a form of their own"),
}


def _in_words(data: Mapping[str, Any], plural: bool = False) -> str:
    kind, item = data["kind"], data.get("item")
    if kind == "List":
        words = ("lists of " if plural else "a list of ") + _in_words(item or {"kind": "String"}, plural=True)
        return words + (" in [brackets]" if data.get("bounds") else "")
    if kind == "Dict":
        separator = data.get("separator", ":")
        words = f"name{separator}value pairs"
        return (
            words
            if not item or item["kind"] == "String"
            else f"{words} (values: {_in_words(item, plural=True)})"
        )
    if kind == "IPAddress":
        version = f"IPv{data['version']}" if "version" in data else "IP"
        return f"{version} addresses" if plural else f"an {version} address"
    if choices := data.get("choices"):
        shown = [str(choice) or "''" for choice in choices]
        return "one of " + ", ".join(shown if len(shown) <= 12 else [*shown[:10], f"… ({len(shown)} values)"])
    words = _NOUNS[kind][plural]
    low, high = data.get("min"), data.get("max")
    if kind == "Port":
        low, high = (low or 0), (high or 65535)
    if low is not None and high is not None:
        words += f" from {low} to {high}"
    elif low is not None or high is not None:
        words += f" of at least {low}" if low is not None else f" of at most {high}"
    if "regex" in data:
        words += f" {'matching' if plural else 'that matches'} {data['regex']}"
    if "schemes" in data:
        words += f" with one of the schemes {', '.join(data['schemes'])}"
    if "max_length" in data:
        words += f" of at most {data['max_length']} characters"
    return words
