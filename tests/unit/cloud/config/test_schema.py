from __future__ import annotations

import json
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
from tests.support.deadlines import Stopwatch, at_most

from skerry.cloud.config import schema
from skerry.cloud.config.ini import parse
from skerry.common.errors import NotFoundError

LOCKS = Path(__file__).parents[4] / "locks"
SERVICES = ["barbican", "cinder", "glance", "heat", "keystone", "neutron", "nova", "placement"]

TYPES = [
    ("nova", "libvirt", "virt_type", "one of kvm, lxc, qemu, parallels"),
    ("nova", "DEFAULT", "debug", "true or false"),
    ("nova", "vnc", "novncproxy_port", "a port from 0 to 65535"),
    ("nova", "libvirt", "num_pcie_ports", "an integer from 0 to 28"),
    ("nova", "keystone_authtoken", "auth_url", "text"),
    ("nova", "os_vif_ovs", "ovsdb_connection", "text"),
    ("nova", "vif_plug_ovs_privileged", "helper_command", "text"),
    ("neutron", "privsep_dhcp_release", "helper_command", "text"),
    ("neutron", "ovn", "ovn_nb_connection", "a list of texts matching ^(tcp|ssl|unix):.+"),
    ("neutron", "nova", "user_domain_name", "text"),
    ("neutron", "ml2_type_vlan", "network_vlan_ranges", "a list of texts"),
    ("neutron", "service_providers", "service_provider", "text"),
    ("cinder", "backend_defaults", "target_port", "a port from 0 to 65535"),
    ("cinder", "cinder_sys_admin", "helper_command", "text"),
    ("glance", "glance_store", "default_backend", "text"),
    ("glance", "os_glance_staging_store", "filesystem_store_datadir", "text"),
    ("heat", "trustee", "password", "text"),
    ("heat", "clients_keystone", "auth_uri", "a URI (scheme://host…) with one of the schemes http, https"),
    ("keystone", "token", "provider", "text"),
    ("placement", "placement_database", "connection", "text"),
]


@pytest.mark.parametrize(("service", "group", "option", "words"), TYPES)
def test_options_of_services(service: str, group: str, option: str, words: str) -> None:
    assert schema.load(service).options(group)[option].type_text == words


def test_there_is_a_schema_of_each_service() -> None:
    assert schema.services() == SERVICES
    with pytest.raises(NotFoundError, match="nova, placement"):
        schema.load("swft")
    with pytest.raises(NotFoundError, match=re.escape("2026.2")):
        schema.load("nova", "1999.1")


def test_sections_that_belong_to_another_service_are_absent() -> None:
    assert not schema.load("keystone").options("os_vif_ovs")
    assert not schema.load("neutron").options("bgp-app")
    assert not [group for service in SERVICES for group in schema.load(service).groups if ":" in group]


def test_auth_types_are_those_of_keystoneauth_only_where_it_loads_them() -> None:
    assert "password" in schema.load("nova").options("placement")["auth_type"].allowed
    assert "v3password" not in schema.load("nova").options("key_manager")["auth_type"].allowed
    assert "auth_url" not in schema.load("cinder").options("DEFAULT")


def test_operators_name_sections() -> None:
    cinder, glance, nova = map(schema.load, ("cinder", "glance", "nova"))
    file = parse("[DEFAULT]\nenabled_backends = LVM-1, ceph\n", "f")
    assert "volume_driver" in (cinder.group("lvm-1", [file]) or {})
    assert cinder.group("lvm-1") is None
    file = parse("[DEFAULT]\nenabled_backends = fast:file, web:http\n", "f")
    fast = glance.group("fast", [file]) or {}
    assert "filesystem_store_datadir" in fast and "rbd_store_pool" not in fast
    file = parse("[devices]\nenabled_mdev_types = nvidia-35\n", "f")
    assert "mdev_class" in (nova.group("mdev_nvidia-35", [file]) or {})
    later = parse("[DEFAULT]\nenabled_backends = ssd\n", "g")
    assert cinder.group("ceph", [file, later]) is None and cinder.group("ssd", [file, later])


def test_a_machine_leaves_no_trace() -> None:
    text = json.dumps(schema.document())
    for trace in (
        sys.prefix,
        "site-packages",
        "host-of-the-builder",
        "7919",
        str(Path.home()) + "/",
        "MagicMock",
    ):
        assert trace not in text


def test_loading_is_quick_and_imports_no_service() -> None:
    code = (
        "import sys, time; from skerry.cloud.config import schema; before = time.process_time();"
        "schema.load('nova').options('libvirt'); took = time.process_time() - before;"
        "print(took, sorted({'nova', 'oslo_config.types', 'oslo_config.cfg'} & set(sys.modules)))"
    )
    took, imported = subprocess.check_output([sys.executable, "-c", code], text=True).split(maxsplit=1)
    assert imported.strip() == "[]"
    assert float(took) < 0.1


@pytest.mark.parametrize("lock", sorted(LOCKS.glob(f"{schema.RELEASE}-*.txt")), ids=lambda lock: lock.stem)
def test_the_schema_is_of_the_locked_versions(lock: Path) -> None:
    locked = dict(re.findall(r"^([a-z0-9._-]+)==(\S+)", lock.read_text(), re.MULTILINE))
    locked = {name.replace(".", "-").replace("_", "-"): version for name, version in locked.items()}
    recorded = schema.document()["versions"]
    assert len(recorded) > 20
    different = {
        name: (version, locked.get(name)) for name, version in recorded.items() if locked.get(name) != version
    }
    assert not different, "run python -m skerry.cloud.config.build_schema"


# Asked of the live option and of ours: which of these values does it take?
PROBES = [
    "",
    "true",
    "maybe",
    "0",
    "-1",
    "5",
    "70000",
    "1.5",
    "x",
    "10.0.0.1",
    "::1",
    "http://h/x",
    "h:1",
    "a,b",
    "kvm",
]
LIVE = """
import json, sys
from oslo_config import generator
for namespace, listing in generator._list_opts(sys.argv[2:]):
    for group, opts in listing:
        for opt in opts:
            taken = []
            for probe in json.loads(sys.argv[1]):
                try:
                    opt.type(probe)
                    taken.append(probe)
                except ValueError:
                    pass
            names = [d.name for d in opt.deprecated_opts if d.name and "-" not in d.name]
            flags = [bool(opt.multi), bool(opt.secret), bool(opt.mutable), bool(opt.deprecated_for_removal)]
            print(json.dumps([getattr(group, "name", group) or "DEFAULT", opt.dest, taken, names, flags]))
"""


@pytest.mark.parametrize(
    ("service", "namespaces"),
    [
        ("nova", ["nova.conf", "oslo.messaging", "oslo.db", "oslo.log"]),
        ("keystone", ["keystone", "oslo.policy"]),
        ("neutron", ["neutron.ml2.ovn", "neutron.ovn.metadata.agent"]),
        ("placement", ["placement.conf", "keystonemiddleware.auth_token"]),
    ],
)
def test_the_schema_agrees_with_the_live_options(service: str, namespaces: list[str]) -> None:
    """A few seconds: the services' own option lists are imported, in another process."""
    if not find_spec(service):
        pytest.skip(f"{service} is not installed (./skerry test has it)")
    command = [sys.executable, "-W", "ignore", "-c", LIVE, json.dumps(PROBES), *namespaces]
    with Stopwatch() as watch:
        done = subprocess.run(command, capture_output=True, text=True, timeout=at_most(60))
    assert done.returncode == 0, done.stderr[-500:]
    known, compared, different = schema.load(service), 0, []
    for line in done.stdout.splitlines():
        group, name, taken, former, flags = json.loads(line)
        option = known.options(group).get(name)
        if option is None or option.type["kind"] == "opaque" or name == "auth_type":
            if option is None and name not in ("config_file", "config_dir"):
                different.append((group, name, "is missing"))
            continue
        compared += 1
        ours = [probe for probe in PROBES if option.check(probe) is None]
        if ours != taken and "opaque" not in str(option.type):
            different.append((group, name, f"{ours} instead of {taken}"))
        if set(former) - {n for _, n in option.was}:
            different.append((group, name, f"former names {option.was} instead of {former}"))
        if flags != [option.multi, option.secret, option.mutable, bool(option.removal)]:
            different.append((group, name, f"flags {flags}"))
    assert not different
    assert compared > 20
    assert watch.seconds < 20
