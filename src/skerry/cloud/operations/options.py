"""The options of a cloud: which files each service reads, what is wrong in them, what an option means."""

from __future__ import annotations

import difflib
import json
import re
import tomllib
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel

from skerry.cloud.components import registry
from skerry.cloud.components.base.openstack import OpenStackComponent
from skerry.cloud.components.neutron import Neutron
from skerry.cloud.components.nova.component import Nova
from skerry.cloud.config import explain as services
from skerry.cloud.config.validate import Problem
from skerry.cloud.context import Context
from skerry.cloud.model.cloud_toml import Cloud
from skerry.cloud.steps.valid_options import component_problems, is_layer
from skerry.common.errors import ConfigError, NotFoundError

AGENT = "neutron-ovn-metadata-agent"


def with_layers(ctx: Context) -> list[OpenStackComponent]:
    """The components whose services read layers."""
    found = [part for part in registry.present(ctx) if isinstance(part, OpenStackComponent)]
    return [part for part in found if any(is_layer(file.path) for file in part.every_file())]


def layers(ctx: Context) -> dict[str, list[Path]]:
    """The files of each service in the order in which they are read."""
    found: dict[str, list[Path]] = {}
    for part in with_layers(ctx):
        folders = (part.etc, part.with_database) if isinstance(part, Nova) else ()
        # Of nova those of the control plane, where they are on this host.
        found.setdefault(part.whole, part.config_files(*folders))
    return found


def agent_layers(ctx: Context) -> list[Path]:
    """The files of neutron's metadata agent, which has a layer of its own in place of neutron's."""
    neutron = Neutron(ctx)
    return neutron.config_files(neutron.agent)


def every_problem(ctx: Context) -> Iterator[Problem]:
    """What is wrong in all layers of the cloud; a file that cannot be parsed is one problem."""
    for part in with_layers(ctx):
        try:
            yield from component_problems(part.whole, part.every_file())
        except ConfigError as error:
            path, _, line = str(error.args[0]).rpartition(":")
            if not line.isdigit():  # no line of the file is wrong, but the file
                path, line = str(error.args[0]), "0"
            yield Problem(path, int(line), "", None, str(error.args[1]))


def explain(ctx: Context, name: str) -> list[services.Explanation | CloudOption]:
    """What an option means, may be, and is here. Most have one answer.

    ``name`` is ``cloud.external.cidr`` for an option of cloud.toml, else as ``config.explain`` takes it. What
    neutron's metadata agent reads from a layer of its own is a second answer.

    Raises NotFoundError, with the nearest names, and ConfigError for a file that cannot be parsed.
    """
    parts = [part for part in re.split(r"[/.]", name.strip()) if part]
    if parts[:1] in (["cloud"], ["cloud.toml"]) and len(parts) > 1:
        return [cloud_option(ctx.cloud, ctx.layout.cloud_toml, parts[1:])]
    found = services.explain(name, layers(ctx))
    if found.service != "neutron":
        return [found]
    agents = services.explain(f"neutron/{found.group}/{found.option}", {"neutron": agent_layers(ctx)})
    differ = agents.settings and agents.value != found.value
    if not differ:
        return [found]
    return [agents] if not found.settings else [found, agents]


@dataclass(frozen=True)
class CloudOption:
    """An option of cloud.toml explained; ``line`` is where the file sets it (0: nowhere)."""

    name: str
    help: str
    type: str
    allowed: tuple[str, ...]
    default: Any
    value: Any
    path: str
    line: int

    def to_dict(self) -> dict[str, Any]:
        """For JSON; the keys are the fields."""
        return asdict(self)

    def render(self) -> str:
        """Plain text for people."""
        rows = [
            ("type", self.type),
            ("allowed", ", ".join(self.allowed)),
            ("default", _shown(self.default)),
            ("value", _shown(self.value)),
            ("set in", f"{self.path}:{self.line}" if self.line else f"nowhere; {self.path} is the place"),
            ("takes effect", "with 'skerry up'; 'skerry plan' shows what it would change"),
        ]
        lines = [f"{self.name} of cloud.toml", f"  {self.help}"]
        return "\n".join(lines + [f"  {label + ':':<14}{text}" for label, text in rows if text])


def cloud_option(cloud: Cloud, path: Path, parts: list[str]) -> CloudOption:
    """Explain the option at ``parts`` (section and name, or name) of cloud.toml, from the model itself.

    Of ``host`` the first is shown. Raises NotFoundError with the options that are there.
    """
    model: type[BaseModel] = Cloud
    value: Any = cloud
    for depth, part in enumerate(parts):
        field = model.model_fields.get(part)
        if field is None:
            near = difflib.get_close_matches(part, model.model_fields, 1)
            place = ".".join(["cloud", *parts[:depth]])
            hint = f"did you mean {place}.{near[0]}? " if near else ""
            known = ", ".join(model.model_fields)
            raise NotFoundError(f"There is no option '{part}' in {place}; {hint}It has: {known}.")
        value = getattr(value, part)
        inner = _model_of(field.annotation)
        if depth == len(parts) - 1 or inner is None:
            break
        model = inner
        value = value[0] if isinstance(value, tuple) else value
    if depth < len(parts) - 1:
        raise NotFoundError(f"'{'.'.join(parts[: depth + 1])}' is an option and has none of its own.")
    assert field is not None  # an unknown part was refused
    schema = model.model_json_schema(mode="serialization")["properties"][parts[-1]]
    default = field.get_default(call_default_factory=True)
    section = parts[:-1]
    return CloudOption(
        name=".".join(parts),
        help=field.description or (inner.__doc__ or "").strip() if inner else field.description or "",
        type=_in_words(schema),
        allowed=_choices(schema),
        default=_plain(default),
        value=_plain(value),
        path=str(path),
        line=_line_of(path, section, parts[-1]),
    )


def _model_of(annotation: Any) -> type[BaseModel] | None:
    for candidate in (annotation, *get_args(annotation)):
        if isinstance(candidate, type) and issubclass(candidate, BaseModel):
            return candidate
    return None


def _choices(schema: dict[str, Any]) -> tuple[str, ...]:
    items = schema.get("items", schema)
    if items.get("type") == "boolean":
        return ("true", "false")
    return tuple(str(value) for value in items.get("enum", [items["const"]] if "const" in items else []))


def _in_words(schema: dict[str, Any]) -> str:
    if "anyOf" in schema:
        return " or ".join(dict.fromkeys(_in_words(part) for part in schema["anyOf"]))
    if "$ref" in schema or "allOf" in schema:
        return "a section"
    if schema.get("type") == "array":
        return f"a list; each item is {_in_words(schema.get('items', {}))}"
    limits = [
        f"{word} {schema[key]}" for key, word in (("minimum", "from"), ("maximum", "to")) if key in schema
    ]
    kind = {"integer": "an integer", "boolean": "true or false", "string": "a text"}.get(
        schema.get("type", ""), ""
    )
    formats = {"ipv4network": "an IPv4 network", "ipv6network": "an IPv6 network"}
    formats |= {"ipvanynetwork": "a network", "ipvanyaddress": "an address", "ipv4": "an IPv4 address"}
    return " ".join([formats.get(schema.get("format", ""), kind or "a value"), *limits])


def _plain(value: Any) -> Any:
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    return value if isinstance(value, bool | int | None) else str(value)


def _shown(value: Any) -> str:
    return json.dumps(value) if not isinstance(value, str) else value


def _line_of(path: Path, section: list[str], name: str) -> int:
    """The line on which a TOML file sets an option; 0 when it does not."""
    if not path.exists():
        return 0
    data: Any = tomllib.loads(path.read_text())
    for part in section:
        data = data.get(part, {})
        data = data[0] if isinstance(data, list) and data else data
    if not isinstance(data, dict) or name not in data:
        return 0
    here: list[str] = []
    for number, line in enumerate(path.read_text().splitlines(), 1):
        heading = re.match(r"\s*\[{1,2}\s*([\w.-]+)\s*\]{1,2}", line)
        if heading:
            here = heading[1].split(".")
        if here == section and re.match(rf"\s*{re.escape(name)}\s*=", line):
            return number
    return 0
