"""Builds the option schema of a release: ``python -m skerry.cloud.config.build_schema``.

An option counts when its service lists it (``oslo.config.opts`` entry points) or registers it while its
modules are imported: per-context privsep groups and the sections of os-vif plug-ins are listed nowhere. Each
service is read in a process of its own, because they share one global registry and change each other's
defaults.
"""

from __future__ import annotations

import argparse
import contextlib
import gzip
import importlib
import importlib.abc
import importlib.machinery
import json
import multiprocessing
import os
import pkgutil
import re
import socket
import subprocess
import sys
import types as python_types
import warnings
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

from skerry.cloud.components import registry
from skerry.cloud.config.option_source import COMMON, DAEMONS, VOLUMES, OptionSource

RELEASE = "2026.2"
TARGET = Path(__file__).parent / "schema" / f"{RELEASE}.json.gz"

# cinder is in the lock, and not yet a component.
NOT_COMPONENTS = {
    "cinder": OptionSource(("cinder", *VOLUMES, *DAEMONS, *COMMON), ("cinder", "os_brick", "cotyledon"))
}


LIBRARIES = ("keystoneauth1", "neutron-lib", "os-vif", "oslo.config", "glance-store")

# Libraries of optional drivers which the lock leaves out, but whose absence would hide options of the
# service.
OPTIONAL = {"googleapiclient", "kmip", "ldap", "nvmet", "pyroute2", "zvmconnector"}
SKIPPED_MODULES = re.compile(
    r"\.(tests?|functional|cmd|wsgi|hacking|locale|__main__|alembic|migrations?)(\.|$)|\.test$"
)
# Sections of OpenFlow examples that importing os-ken registers.
FOREIGN_GROUPS = {"bgp-app", "test-switch", "zapi"}
# os-vif gives its list the name of another library's, so that every service seems to have it.
ONLY_NOVA = {"os_vif_ovs", "vif_plug_ovs_privileged"}

# Sections whose names the operator chooses: `names` is the option that names them ("*" any section; a dict
# option maps the name to a kind), `like` the sections whose options they take. No `names`: any section of
# that shape.
DYNAMIC: dict[str, list[dict[str, Any]]] = {
    "cinder": [
        {"names": "DEFAULT/enabled_backends", "like": ["backend_defaults", "backend"]},
        {"names": "fc-zone-manager/fc_fabric_names", "like": ["brcd_fabric_example", "cisco_fabric_example"]},
    ],
    "glance": [{"names": "DEFAULT/enabled_backends", "kinds": "store:"}],
    "keystone": [
        {"names": "auth/methods", "into": "auth"},
        {"like": ["protocol:"]},
    ],
    "nova": [{"names": "devices/enabled_mdev_types", "prefix": "mdev_", "like": ["mdev:"]}],
}
# Options that the service stops reading as soon as another option is set.
IDLE: dict[str, list[dict[str, Any]]] = {
    "glance": [{"group": "glance_store", "when": "DEFAULT/enabled_backends", "keep": ["default_backend"]}],
}

# Stand-ins for what a machine would answer: a default that holds one of them is worked out at run time.
HOST, PROCESSORS = "host-of-the-builder", 7919

Groups = dict[str, dict[str, Any]]


def sources() -> dict[str, OptionSource]:
    """Where the options of each service are listed."""
    declared = {part.name: part.options for part in registry.components() if part.options}
    return {**NOT_COMPONENTS, **declared}


class _Optional(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Stand-in for the libraries in OPTIONAL that are not installed."""

    def find_spec(self, name: str, path: Any, target: Any = None) -> importlib.machinery.ModuleSpec | None:
        if name.split(".")[0] not in OPTIONAL:
            return None
        return importlib.machinery.ModuleSpec(name, self, is_package=True)

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> python_types.ModuleType:
        return _Stub(spec.name)

    def exec_module(self, module: python_types.ModuleType) -> None:
        """Nothing to run."""


class _Stub(python_types.ModuleType):
    __path__: list[str] = []

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        value = MagicMock(name=name)
        setattr(self, name, value)
        return value


def collect(service: str) -> dict[str, Any]:
    """The groups of one service with all their options, as data. Call it in a process of its own."""
    _disguise_machine()
    sys.meta_path.append(_Optional())
    from oslo_config import cfg, generator

    registered: Groups = defaultdict(dict)
    register = cfg.ConfigOpts.register_opt

    def note(self: Any, opt: Any, group: Any = None, *args: Any, **kwargs: Any) -> Any:
        registered[_group_name(group)].setdefault(opt.dest, opt)
        return register(self, opt, group, *args, **kwargs)

    cfg.ConfigOpts.register_opt = note  # type: ignore[method-assign]
    source = sources()[service]
    entry_points, packages = source.namespaces, source.packages
    groups: Groups = defaultdict(dict)
    for _namespace, listing in generator._list_opts(_expand(entry_points)):
        for group, opts in listing:
            _add(groups[_group_name(group)], opts)
    for module in _modules(packages):
        # A module of a driver that cannot be imported here cannot run here either.
        with contextlib.suppress(Exception, SystemExit):
            importlib.import_module(module)
    for name, options in registered.items():
        _add(groups[name], options.values())
    for name in FOREIGN_GROUPS if service == "nova" else FOREIGN_GROUPS | ONLY_NOVA:
        groups.pop(name, None)
    _add_unregistered(service, groups)
    found = {
        g: {n: described for n, o in opts.items() if (described := _describe(o))}
        for g, opts in groups.items()
    }
    return {
        "groups": {name: options for name, options in found.items() if options},
        "dynamic": [*DYNAMIC.get(service, ()), {"names": "*/auth_section", "like": ["auth:"]}],
        "idle": IDLE.get(service, []),
    }


def _disguise_machine() -> None:
    from oslo_utils import netutils

    for place, name, answer in (
        (socket, "gethostname", HOST),
        (socket, "getfqdn", HOST),
        (netutils, "get_my_ipv4", HOST),
        (os, "cpu_count", PROCESSORS),
        (multiprocessing, "cpu_count", PROCESSORS),
    ):
        setattr(place, name, MagicMock(return_value=answer))


def _expand(patterns: Iterable[str]) -> list[str]:
    known = {point.name for point in metadata.entry_points(group="oslo.config.opts")}
    chosen = set()
    for pattern in patterns:
        if pattern.endswith("*"):
            chosen |= {name for name in known if name.startswith(pattern[:-1])}
        elif pattern in known:
            chosen.add(pattern)
        else:
            raise LookupError(f"the environment has no option list '{pattern}': has a release renamed it?")
    return sorted(chosen)


def _modules(packages: Iterable[str]) -> Iterable[str]:
    for name in packages:
        package = importlib.import_module(name)
        for found in pkgutil.walk_packages(package.__path__, name + ".", onerror=lambda _name: None):
            if not SKIPPED_MODULES.search(found.name):
                yield found.name


def _group_name(group: Any) -> str:
    name = str(getattr(group, "name", group) or "DEFAULT")
    return name if name == "DEFAULT" else name.lower()  # oslo.config compares sections so


def _add(options: dict[str, Any], more: Iterable[Any]) -> None:
    for option in more:
        options.setdefault(option.dest, option)


def _add_unregistered(service: str, groups: Groups) -> None:
    """What services register only after reading their files: auth plug-ins, sections named by operators."""
    from keystoneauth1 import loading
    from oslo_config import cfg, types

    plugins = sorted(loading.get_available_plugin_names())
    usual = ["password", "v3password", "v3applicationcredential"]
    auth: dict[str, Any] = {}
    for plugin in [*usual, *(p for p in plugins if p not in usual)]:
        # A plug-in whose library is missing cannot be chosen.
        with contextlib.suppress(Exception):
            _add(auth, loading.get_auth_plugin_conf_options(plugin))
    for options in groups.values():
        # castellan has an auth_type of its own, which chooses something else
        if any(d.name == "auth_plugin" for d in getattr(options.get("auth_type"), "deprecated_opts", ())):
            _add(options, loading.get_auth_common_conf_options())
            _add(options, auth.values())
            options["auth_type"].type = types.String(choices=[*plugins, ""])
    groups["auth:"] = auth | {o.dest: o for o in loading.get_auth_common_conf_options()}
    if service == "keystone":
        groups["protocol:"] = {
            "remote_id_attribute": cfg.StrOpt("remote_id_attribute", help="As in [federation].")
        }
    elif service == "nova":
        from nova.conf import devices

        conf = cfg.ConfigOpts()
        devices.register_opts(conf)
        conf([], default_config_files=[], default_config_dirs=[])
        conf.set_override("enabled_mdev_types", ["x"], group="devices")
        devices.register_dynamic_opts(conf)
        _add(groups["mdev:"], (info["opt"] for info in conf._groups["mdev_x"]._opts.values()))
        groups.pop("mdev_x", None)
        for option in groups["mdev:"].values():
            option.deprecated_opts = []
    elif service == "glance":
        from glance_store import multi_backend

        # A driver has several names and is listed under one of them; upstream matches by the part that is
        # alike.
        listed = multi_backend._list_driver_opts()
        for point in metadata.entry_points(group="glance_store.drivers"):
            if "." not in point.name and point.name != "no_conf":
                _add(
                    groups[f"store:{point.name}"], next((o for n, o in listed.items() if point.name in n), [])
                )
        _add(groups["glance_store"], multi_backend._STORE_OPTS)
        for reserved in ("os_glance_staging_store", "os_glance_tasks_store"):
            _add(groups[reserved], groups["store:file"].values())


def _describe(option: Any) -> dict[str, Any] | None:
    """One option as data, without what is empty; None for what a file cannot have."""
    from oslo_config import cfg

    if option.positional or isinstance(option, cfg.SubCommandOpt | cfg._ConfigFileOpt | cfg._ConfigDirOpt):
        return None
    kind = _type(option.type)
    if kind is None:
        return None
    # oslo.config never finds a name with a dash in a file
    former = {(d.group or "", d.name or option.dest) for d in option.deprecated_opts}
    renamed = sorted((group, name) for group, name in former if "-" not in name)
    default, computed = _default(option)
    data = {
        "name": option.dest,
        "type": kind,
        "multi": bool(option.multi),
        "default": default,
        "computed": computed,
        "help": _short(option.help or ""),
        "was": [[g if g in ("", "DEFAULT") else g.lower(), n] for g, n in renamed],
        "removal": (_short(option.deprecated_reason or "") or "no reason given")
        if option.deprecated_for_removal
        else "",
        "since": str(option.deprecated_since or "") if option.deprecated_for_removal else "",
        "secret": bool(option.secret),
        "mutable": bool(option.mutable),
        "required": bool(option.required),
    }
    return {key: value for key, value in data.items() if value not in (None, False, "", [])} | (
        {"default": default} if default is not None else {}
    )


def _type(kind: Any) -> dict[str, Any] | None:
    """An oslo_config type as constructor arguments; None for the placeholder of an option that is ignored."""
    from oslo_config import types

    if kind in (str, int, float, bool):
        kind = {str: types.String, int: types.Integer, float: types.Float, bool: types.Boolean}[kind]()
    if not isinstance(kind, types.ConfigType):
        return None if getattr(kind, "__name__", "") == "<lambda>" else {"kind": "opaque"}
    base = next(c for c in type(kind).__mro__ if c.__module__ == "oslo_config.types")
    if base is not type(kind) and type(kind).__call__ is not base.__call__:
        return {"kind": "opaque"}  # it parses in a way of its own, and only its service knows it
    data: dict[str, Any] = {"kind": base.__name__}
    for key in ("min", "max", "max_length", "min_length", "ignore_case", "quotes", "bounds"):
        value = getattr(kind, key, None)
        if (value or (value == 0 and key in ("min", "max"))) and value not in (PROCESSORS, float("inf")):
            data[key] = value
    if base is types.Port and (data.get("min"), data.get("max")) == (0, 65535):
        del data["min"], data["max"]
    if choices := getattr(kind, "choices", None):
        data["choices"] = list(choices)
    if pattern := getattr(kind, "regex", None):
        data["regex"] = pattern.pattern
        data["ignore_case"] = bool(pattern.flags & re.IGNORECASE)
    if schemes := getattr(kind, "schemes", None):
        data["schemes"] = list(schemes)
    if isinstance(kind, types.IPAddress | types.HostAddress):
        address = kind if isinstance(kind, types.IPAddress) else kind.ip_address
        version = {"_check_ipv4": 4, "_check_ipv6": 6}.get(address.version_checker.__name__)
        data |= {"version": version} if version else {}
    if isinstance(kind, types.Range):
        data["inclusive"] = kind.inclusive
    if isinstance(kind, types.List):
        data["item"] = _type(kind.item_type)
    if isinstance(kind, types.Dict):
        data["item"] = _type(kind.value_type)
        if kind.key_value_separator != ":":
            data["separator"] = kind.key_value_separator
    return data


def _default(option: Any) -> tuple[Any, bool]:
    """The default to show (a sample default goes first), and whether it is worked out on each machine."""
    value = option.default if option.sample_default is None else option.sample_default
    text = json.dumps(value, default=str)
    if HOST in text or str(PROCESSORS) in text or sys.prefix in text or str(Path.home()) in text:
        return None, True
    return json.loads(text), False


def _short(text: str) -> str:
    """The first paragraph of a help text as one line of at most 240 characters, without markup."""
    lines = text.strip().removeprefix("DEPRECATED:").strip()
    first = " ".join(re.split(r"\n\s*\n", lines)[0].split())
    first = re.sub(r":[a-z:-]+:`([^`<]+?)(?: *<[^`>]*>)?`", r"\1", first).replace("``", "")
    if first.endswith(":") and ". " in first:  # a list follows, which is left out
        first = first[: first.rindex(". ") + 1]
    return first if len(first) <= 240 else first[:240].rsplit(" ", 1)[0] + " …"


def compact(services: Mapping[str, Any], versions: Mapping[str, str]) -> bytes:
    """The schema file: options that sections share are kept once, and equal input gives equal bytes."""

    def key(option: Mapping[str, Any]) -> str:
        return json.dumps(option, sort_keys=True)

    unique = {key(o): o for s in services.values() for g in s["groups"].values() for o in g.values()}
    ordered = sorted(unique, key=lambda text: (unique[text]["name"], text))
    place = {text: number for number, text in enumerate(ordered)}
    document = {
        "release": RELEASE,
        "versions": dict(versions),
        "options": [unique[text] for text in ordered],
        "services": {
            name: {
                **data,
                "groups": {g: sorted(place[key(o)] for o in os.values()) for g, os in data["groups"].items()},
            }
            for name, data in services.items()
        },
    }
    text = json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return gzip.compress(text.encode(), 9, mtime=0)


def versions() -> dict[str, str]:
    """The versions of every distribution that the schema is read from."""
    wanted = set(_expand(point for source in sources().values() for point in source.namespaces))
    names = {source.distribution or service for service, source in sources().items()} | set(LIBRARIES)
    for point in metadata.entry_points(group="oslo.config.opts"):
        if point.name in wanted and point.dist is not None:
            names.add(point.dist.name)
    return {
        name.lower().replace("_", "-").replace(".", "-"): metadata.version(name) for name in sorted(names)
    }


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Build the option schema of the locked release.")
    parser.add_argument(
        "--service", choices=sorted(sources()), help="print the options of one service as JSON"
    )
    parser.add_argument("--output", type=Path, default=TARGET)
    arguments = parser.parse_args(argv)
    warnings.simplefilter("ignore")
    if arguments.service:
        print(json.dumps(collect(arguments.service)))
        return 0
    found = {}
    for service in sorted(sources()):
        command = [
            sys.executable,
            "-W",
            "ignore",
            "-m",
            "skerry.cloud.config.build_schema",
            "--service",
            service,
        ]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        found[service] = json.loads(done.stdout.splitlines()[-1])
        options = sum(map(len, found[service]["groups"].values()))
        print(f"{service}: {len(found[service]['groups'])} sections, {options} options", file=sys.stderr)
    arguments.output.parent.mkdir(exist_ok=True)
    arguments.output.write_bytes(compact(found, versions()))
    print(f"{arguments.output.name}: {arguments.output.stat().st_size} bytes", file=sys.stderr)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
