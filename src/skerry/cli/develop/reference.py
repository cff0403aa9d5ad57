"""Writes docs/reference out of the code: ``python -m skerry.cli.develop.reference [FOLDER]``.

What it writes is the same on every machine: no host name, no folder of this machine, no present state.
"""

from __future__ import annotations

import argparse
import importlib.util
import pkgutil
import re
import sys
import tempfile
from collections.abc import Iterator, Mapping
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from pydantic import BaseModel

import skerry
from skerry.cli import failure
from skerry.cli.develop.markdown import code, page, table
from skerry.cli.develop.privileges import who_may_what
from skerry.cli.parser import parser
from skerry.cli.verbs import VERBS
from skerry.cloud.components import registry
from skerry.cloud.context import Context
from skerry.cloud.model.cloud_toml import Cloud, Host
from skerry.cloud.model.provider import Provider
from skerry.cloud.operations.graph import services
from skerry.cloud.operations.options import cloud_option
from skerry.cloud.supervise.probes import (
    AllOf,
    AmqpProbe,
    CommandProbe,
    ConnectedProbe,
    ConnectedSocketProbe,
    HttpProbe,
    ListeningProbe,
    Probe,
    TcpProbe,
    UnixProbe,
    WorkersProbe,
)
from skerry.cloud.supervise.service import Service
from skerry.common.errors import EXIT_CODES, NotFoundError, SkerryError
from skerry.common.toml_model import Table

DEFINES_ERROR = re.compile(r"^class \w+\((?:\w*Error)\):", re.M)
FOLDER = Path(__file__).resolve().parents[4] / "docs/reference"


def main() -> None:
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in pages().items():
        (folder / name).write_text(text)


def pages() -> dict[str, str]:
    """The pages by their file names."""
    return {
        "commands.md": commands(),
        "cloud-toml.md": cloud_toml(),
        "exit-codes.md": exit_codes(),
        "services.md": every_service(),
        "users.md": users(),
    }


# -- commands -------------------------------------------------------------------------------------------


def commands() -> str:
    top = parser(everything=True)
    verbs = _verbs(top)
    blocks = [
        "Each verb takes `--help`. What a verb prints with `--json` is meant for programs, and so is the error"
        " when it fails: see [exit codes](exit-codes.md).",
        "Options before the verb:",
        _arguments(top),
    ]
    blocks.append("\n".join(f"- [`{verb.name}`](#skerry-{verb.name}): {verb.help}" for verb in VERBS))
    for verb in VERBS:
        blocks += _command(f"skerry {verb.name}", verbs[verb.name])
    return page("Commands", *blocks)


def _verbs(of: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    for action in of._actions:
        if isinstance(action, argparse._SubParsersAction):
            return dict(action.choices)
    return {}


def _command(name: str, of: argparse.ArgumentParser, level: int = 2) -> Iterator[str]:
    yield f"{'#' * level} {name}"
    if of.description:
        text = of.description.strip()
        yield text[0].upper() + text[1:] + "."
    yield f"    {of.usage or _usage(name, of)}"
    arguments = _arguments(of)
    if arguments:
        yield arguments
    for part, inner in _verbs(of).items():
        yield from _command(f"{name} {part}", inner, level + 1)


def _usage(name: str, of: argparse.ArgumentParser) -> str:
    words = [name]
    for action in _own(of):
        shown = _shown(action)
        if not action.option_strings and action.nargs in ("*", "?"):
            shown = f"[{shown}{'...' if action.nargs == '*' else ''}]"
        elif action.option_strings and not action.required:
            shown = f"[{shown}]"
        words.append(shown)
    if _verbs(of):
        words.append(f"{{{','.join(_verbs(of))}}}")
    return " ".join(words)


def _own(of: argparse.ArgumentParser) -> list[argparse.Action]:
    left_out = (argparse._HelpAction, argparse._SubParsersAction)
    return [
        action
        for action in of._actions
        if not isinstance(action, left_out) and action.help != argparse.SUPPRESS
    ]


def _shown(action: argparse.Action) -> str:
    choices = "{" + ",".join(map(str, action.choices)) + "}" if action.choices else ""
    value = str(action.metavar or choices or action.dest.upper())
    if not action.option_strings:
        return value if action.metavar or choices else action.dest.upper()
    return action.option_strings[-1] + ("" if action.nargs == 0 else f" {value}")


def _arguments(of: argparse.ArgumentParser) -> str:
    rows = []
    for action in _own(of):
        names = ", ".join([*action.option_strings[:-1], _shown(action)])
        rows.append((code(names), action.help or ""))
    return table(("argument", "meaning"), rows) if rows else ""


# -- cloud.toml -----------------------------------------------------------------------------------------


def cloud_toml() -> str:
    blocks = [
        "`/etc/skerry/cloud.toml` describes the cloud. `skerry up` writes it with every option as a comment;"
        " an option that is not set has its default. An unknown option or a wrong value is refused"
        " before anything is touched. `skerry config explain cloud.SECTION.NAME` shows the same of one option.",
        "## At the top of the file",
        _options(Cloud, ()),
    ]
    for name, field in Cloud.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, Table):
            blocks += [
                f"## [{name}]",
                (field.annotation.__doc__ or "").strip(),
                _options(field.annotation, (name,)),
            ]
    blocks += [
        "## [[host]]",
        f"{(Host.__doc__ or '').strip()} Without any, this machine with all roles. One host has the role `control`.",
        _options(Host, ("host",)),
        "## [[provider]]",
        f"{(Provider.__doc__ or '').strip()} `up` makes the network and its subnet; one that is removed from the file"
        " loses its interface, and stays in the cloud until you delete it.",
        _options(Provider, ("provider",)),
    ]
    return page("cloud.toml", *blocks)


def _options(model: type[BaseModel], section: tuple[str, ...]) -> str:
    example = Provider(name="office", interface="eth2", cidr="192.0.2.0/24")
    cloud = Cloud(host=(Host(name="host"),), provider=(example,))
    rows = []
    for name, field in model.model_fields.items():
        annotation = field.annotation
        if name in ("host", "provider") or (isinstance(annotation, type) and issubclass(annotation, Table)):
            continue
        option = cloud_option(cloud, Path("/none"), [*section, name])
        # The default of a host's name is that of the machine, which is no matter for a page.
        default = (
            "the machine's host name" if (model, name) == (Host, "name") else code(_toml(option.default))
        )
        default = "none: required" if field.is_required() else default
        rows.append((code(name), option.type, code(" ".join(option.allowed)), default, option.help))
    return table(("option", "type", "allowed", "default", "meaning"), rows)


def _toml(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return "[" + ", ".join(_toml(item) for item in value) + "]"
    return str(value) if isinstance(value, int) else f'"{value}"'


# -- exit codes -----------------------------------------------------------------------------------------


def exit_codes() -> str:
    rows = [
        (
            str(number),
            meaning,
            " ".join(code(each.__name__) for each in error_classes() if each.exit_code == number),
        )
        for number, meaning in EXIT_CODES.items()
    ]
    intro = (
        "With any code but 0, what was printed last is what is wrong and what to do next. "
        "`skerry status` ends with 8 when a service is not ready, `skerry config validate` with 3 when it finds "
        "errors. `skerry openstack`, `skerry ssh`, `skerry lab exec` and `skerry test` end with the code of the program "
        "that they run. Classes of errors that share a code are of one family, the first; a code never changes its meaning."
    )
    contract = (
        "With `--json` the standard output holds the result of the verb and nothing else; when the verb fails, the last "
        "line of the standard error is one JSON object. That holds for a wrong command line and an interrupt, too, but "
        "not for the bootstrap, which makes the environment that Skerry runs in. `class` is one of the classes above; "
        "`remedy` may be empty; a defect (code 1) also has its `traceback`."
    )
    sample = NotFoundError("There is no service 'nova'.", remedy="'skerry status' lists the services.")
    shown = f"```json\n{failure.as_json(sample)}\n```"
    heads = ("code", "meaning", "classes of errors")
    return page("Exit codes", intro, table(heads, rows), "## Errors as JSON", contract, shown)


def error_classes() -> list[type[SkerryError]]:
    """Every class of error that Skerry raises, families first."""
    for module in pkgutil.walk_packages(skerry.__path__, "skerry."):
        # Only what defines errors is imported: some modules are programs for other environments.
        spec = importlib.util.find_spec(module.name)
        if spec and spec.origin and DEFINES_ERROR.search(Path(spec.origin).read_text()):
            importlib.import_module(module.name)
    found = [SkerryError]
    for each in found:
        found += each.__subclasses__()
    ours = [each for each in found[1:] if each.__module__.startswith("skerry.")]
    return sorted(ours, key=lambda each: (SkerryError not in each.__bases__, each.__name__))


# -- services -------------------------------------------------------------------------------------------


HOSTS = (
    Host(name="control", address=ip_address("192.0.2.11"), roles=("control", "network")),
    Host(
        name="compute",
        address=ip_address("192.0.2.12"),
        roles=("compute",),
        transport="ssh",
        target="root@192.0.2.12",
    ),
)


def every_service() -> str:
    """The services of a cloud with all features: a control and network host, and a compute host."""
    found: dict[str, Service] = {}
    hosts: dict[str, list[str]] = {}
    with tempfile.TemporaryDirectory(prefix="skerry-reference-") as folder:
        cloud = Cloud(host=HOSTS, features=registry.features())
        for host in HOSTS:
            for service in services(_context(folder, cloud, host)):
                found.setdefault(service.name, service)
                hosts.setdefault(service.name, []).append(host.name)
        root = str(Path(folder).resolve())
    rows = [
        (
            code(service.name),
            service.title,
            " and ".join(hosts[service.name]),
            code(service.user),
            " ".join(map(code, service.capabilities)),
            ", ".join(_after(service)),
            _ready(service.ready).replace(root, ""),
        )
        for service in found.values()
    ]
    intro = (
        "Every service of a cloud that has all features and several hosts, in an order in which they can be started. "
        "*On* is the kind of host that runs it: one with the roles `control` and `network`, or one with the role "
        "`compute`; a cloud of one host runs those of both but "
        f"{', '.join(code(name) for name in _only_between_hosts(found))}. "
        "*After* are the services that must be ready first; steps of other kinds (files, databases) are in "
        "italics. *Capabilities* are what an unprivileged service keeps of root's rights; see capabilities(7). "
        "Paths are those of a cloud under `/`; the log of a service is `/var/log/skerry/SERVICE.log`. Components that not "
        "every cloud has: " + ", ".join(code(f"up --with {feature}") for feature in registry.features()) + "."
    )
    return page(
        "Services",
        intro,
        table(("service", "what it is", "on", "user", "capabilities", "after", "ready when"), rows),
        "## Components",
        "What each component declares, and so what `up`, `verify`, `secrets` and the catalogue know of it.",
        table(
            (
                "component",
                "what it is",
                "feature",
                "endpoints",
                "account",
                "databases",
                "secrets",
                "dashboard",
            ),
            _components(),
        ),
        "## Ports",
        "All TCP. They are on loopback, at the address that `listen` in cloud.toml gives; `heat-signals` is at the host's "
        "end of the external network, for guests; those *between hosts* are, in a "
        "cloud of several hosts, at the host's address, with TLS or SSH. *Shared* ones are reached from other hosts "
        "through `gateway`, by TLS with a certificate of the cloud's own authority. Between hosts there are also Geneve "
        "(UDP 6081), QEMU's migrations (TCP 49152 to 49215, TLS) and guests' screens for "
        "the console's proxy (`screens`, TLS). OVN's southbound database has no port, but a Unix socket on each host. Who "
        "may connect on the host itself: [users](users.md).",
        table(("port", "what", "component", "shared", "between hosts"), _ports()),
    )


def users() -> str:
    """The system users of those two hosts, and what they may."""
    with tempfile.TemporaryDirectory(prefix="skerry-reference-") as folder:
        cloud = Cloud(host=HOSTS, features=registry.features())
        hosts = [_context(folder, cloud, host) for host in HOSTS]
        return who_may_what(hosts).replace(str(Path(folder).resolve()), "")


def _context(folder: str, cloud: Cloud, host: Host) -> Context:
    ctx = Context.at(folder)
    ctx.cloud, ctx.host = cloud, host
    return ctx


def _only_between_hosts(every: Mapping[str, Service]) -> list[str]:
    with tempfile.TemporaryDirectory(prefix="skerry-reference-") as folder:
        cloud = Cloud(host=(Host(name="host"),), features=registry.features())
        here = {service.name for service in services(_context(folder, cloud, cloud.leader))}
    return [name for name in every if name not in here]


def _components() -> Iterator[tuple[str, ...]]:
    for part in registry.components():
        yield (
            code(part.name),
            part.title,
            code(part.feature),
            ", ".join(f"{code(point.service)} ({point.type})" for point in part.endpoints),
            code(part.name) if part.account else "",
            ", ".join(code(name) for names in part.databases.values() for name in names),
            ", ".join(code(secret.name) for secret in part.all_secrets()),
            code(part.panel),
        )


def _ports() -> Iterator[tuple[str, ...]]:
    owners = {port.name: part.name for part in registry.components() for port in (*part.apis, *part.ports)}
    for port in sorted(registry.ports().values(), key=lambda port: port.number):
        marks = ("yes" if port.shared else "", "yes" if port.between_hosts else "")
        yield (port.numbers, port.name, code(owners[port.name]), *marks)


def _after(service: Service) -> Iterator[str]:
    for name in dict.fromkeys(service.after):
        yield code(name.removeprefix("start:")) if name.startswith("start:") else f"*{name}*"


def _port_name(number: int) -> str:
    return next(port.name for port in registry.ports().values() if port.number == number)


def _ready(probe: Probe) -> str:
    """What a probe asks, in words."""
    match probe:
        case TcpProbe():
            return f"port {probe.port} accepts connections"
        case AmqpProbe():
            return f"port {probe.port} answers in AMQP"
        case UnixProbe():
            return f"{code(str(probe.path))} accepts connections"
        case ListeningProbe():
            return f"it listens on {code(str(probe.path))}"
        case HttpProbe():
            where = code(str(probe.socket)) if probe.socket else f"port {probe.port}"
            return f"GET {probe.path} on {where} is answered"
        case ConnectedProbe():
            names = " and ".join(f"port {number} ({_port_name(number)})" for number in probe.ports)
            return f"it is connected to {names}"
        case ConnectedSocketProbe():
            return f"it is connected to {code(str(probe.path))}"
        case CommandProbe():
            prints = f" and prints '{probe.expect}'" if probe.expect else ""
            return f"{code(' '.join(probe.argv))} succeeds{prints}"
        case WorkersProbe():
            return f"it has forked its {probe.workers} worker{'s' if probe.workers > 1 else ''}"
        case AllOf():
            return "; ".join(_ready(one) for one in probe.probes)
    raise TypeError(f"no words for a {type(probe).__name__}")


if __name__ == "__main__":
    main()
