from __future__ import annotations

from typing import Any

import pytest

from skerry.cloud.config.ini import Multi, SecretValue, Sections, parse, render
from skerry.cloud.config.validate import Problem, validate

E, W = "error", "warning"

# line, level, section, option, a part of the message, the nearest name
Found = tuple[int, str, str, str | None, str, str | None]

# service, text of the file, what is found
CASES: list[tuple[str, str, list[Found]]] = [
    ("nova", "[libvirt]\nvirt_type = qemu\n[LibVirt]\ncpu_mode = host-model\n", []),
    ("nova", "[libvrt]\nvirt_type = qemu\n", [(1, E, "libvrt", None, "no such section", "[libvirt]")]),
    ("nova", "[default]\ndebug = true\n", [(1, E, "default", None, "no such section", "[DEFAULT]")]),
    (
        "nova",
        "[libvirt]\nvirt_typ = qemu\n",
        [(2, E, "libvirt", "virt_typ", "no such option", "virt_type")],
    ),
    (
        "nova",
        "[libvirt]\nvirt-type = qemu\n",
        [(2, E, "libvirt", "virt-type", "underscores", "virt_type")],
    ),
    (
        "nova",
        "[DEFAULT]\nvirt_type = qemu\n",
        [
            (
                2,
                E,
                "DEFAULT",
                "virt_type",
                "does nothing in this section: virt_type is an option of [libvirt]",
                None,
            )
        ],
    ),
    (
        "nova",
        "[libvirt]\nvirt_type = kwm\n",
        [(2, E, "libvirt", "virt_type", "'kwm' is not one of kvm, lxc, qemu, parallels", "kvm")],
    ),
    (
        "nova",
        "[DEFAULT]\ndebug = maybe\n",
        [(2, E, "DEFAULT", "debug", "'maybe' is not true or false", None)],
    ),
    (
        "nova",
        "[vnc]\nnovncproxy_port = 70000\n",
        [(2, E, "vnc", "novncproxy_port", "not a port from 0 to 65535", None)],
    ),
    (
        "nova",
        "[libvirt]\nnum_pcie_ports = 29\n",
        [(2, E, "libvirt", "num_pcie_ports", "an integer from 0 to 28", None)],
    ),
    (
        "nova",
        "[libvirt]\nnum_pcie_ports = many\n",
        [(2, E, "libvirt", "num_pcie_ports", "'many' is not", None)],
    ),
    (
        "nova",
        "[placement]\nauth_type = pasword\n",
        [(2, E, "placement", "auth_type", "is not one of", "password")],
    ),
    (
        "nova",
        "[keystone_authtoken]\nauth_type = password\nauth_url = http://h/v3\nusername = nova\npassword = p\n"
        "user_domain_name = Default\nproject_name = service\nproject_domain_id = default\n",
        [],
    ),
    ("nova", "[neutron]\nauth_section = shared\n[shared]\nauth_url = http://h\npassword = p\n", []),
    (
        "nova",
        "[service_user]\nuser_name = nova\n",
        [
            (
                2,
                W,
                "service_user",
                "user_name",
                "deprecated name of [service_user] username",
                None,
            )
        ],
    ),
    (
        "nova",
        "[glance]\napi_servers = http://h\n",
        [(2, W, "glance", "api_servers", "deprecated for removal since 21.0.0", None)],
    ),
    (
        "nova",
        "[libvirt]\nvirt_type = qemu\ncpu_mode = none\nvirt_type = kvm\n",
        [(2, W, "libvirt", "virt_type", "line 4 sets it again", None)],
    ),
    ("nova", '[pci]\ndevice_spec = {"address": "0:1:2.0"}\ndevice_spec = {"address": "0:1:2.1"}\n', []),
    ("nova", "[DEFAULT]\nstate_path = /v\ninstances_path = $state_path/i\n", []),
    ("nova", "[vnc]\nserver_proxyclient_address = $my_ip\n", []),
    ("nova", "[database]\nconnection = mysql+pymysql://nova:a$$b@h/nova\n", []),
    (
        "nova",
        "[database]\nconnection = mysql+pymysql://nova:pa$word@h/nova\n",
        [(2, E, "database", "connection", "write $$ for a dollar", None)],
    ),
    (
        "nova",
        "[devices]\nenabled_mdev_types = n-1\n[mdev_n-1]\nmdev_class = VGPU\n[mdev_n-2]\nmdev_class = VGPU\n",
        [(5, E, "mdev_n-2", None, "[devices] enabled_mdev_types does not name it", None)],
    ),
    (
        "cinder",
        "[DEFAULT]\nenabled_backends = lvm\n[lvm]\nlvm_type = fat\nvolume_driver = d\n"
        "[nfs]\nvolume_driver = d\n",
        [
            (4, E, "lvm", "lvm_type", "not one of default, thin, auto", "default"),
            (6, E, "nfs", None, "[DEFAULT] enabled_backends does not name it", None),
        ],
    ),
    (
        "cinder",
        "[DEFAULT]\nenabled_backends = lvm\nvolume_driver = d\n",
        [(3, E, "DEFAULT", "volume_driver", "is an option of [backend_defaults]", None)],
    ),
    (
        "glance",
        "[DEFAULT]\nenabled_backends = fast:file\n[fast]\nfilesystem_store_datadir = /x\nrbd_store_pool = p\n"
        "[glance_store]\ndefault_backend = fast\nfilesystem_store_datadir = /y\n",
        [
            (5, E, "fast", "rbd_store_pool", "does nothing in this section", None),
            (8, W, "glance_store", "filesystem_store_datadir", "[DEFAULT] enabled_backends names", None),
        ],
    ),
    (
        "keystone",
        "[auth]\nmethods = password,acme\nacme = acme.Plugin\n[acme]\nremote_id_attribute = A\n",
        [],
    ),
    ("keystone", "[acme]\nremote_id = A\n", [(1, E, "acme", None, "no such section", "[cache]")]),
    (
        "neutron",
        "[ml2]\nmechanism_drivers = ovn\n[ovn]\novn_nb_connection = tcp:127.0.0.1:6641,127.0.0.1:6641\n",
        [(4, E, "ovn", "ovn_nb_connection", "is not a list of texts matching", None)],
    ),
    (
        "neutron",
        "[privsep_link]\nhelper_command = h\n[ovs]\novsdb_connection = tcp:127.0.0.1:6640\n"
        "[ml2_type_geneve]\nvni_ranges = 1:65536\n[service_providers]\nservice_provider = a:b:c\n",
        [],
    ),
    (
        "placement",
        "[placement_database]\nconection = x\n",
        [(2, E, "placement_database", "conection", "no", "connection")],
    ),
    (
        "heat",
        "[trustee]\nauth_type = password\nusername = heat\n[clients_keystone]\nauth_uri = http://h\n",
        [],
    ),
]


@pytest.mark.parametrize(("service", "text", "expected"), CASES, ids=[str(n) for n in range(len(CASES))])
def test_what_is_found_in_a_file(service: str, text: str, expected: list[Found]) -> None:
    found = validate(service, parse(text, "50-site.conf"))
    shown = [str(problem) for problem in found]
    assert [(p.line, p.level, p.group, p.option, p.nearest) for p in found] == [
        (line, level, group, option, nearest) for line, level, group, option, _, nearest in expected
    ], shown
    for problem, (*_, part, _nearest) in zip(found, expected, strict=True):
        assert part in problem.message


def test_a_problem_in_one_line() -> None:
    [problem] = validate("nova", parse("[libvirt]\nvirt_type = kwm\n", "x"), "/etc/nova/50-site.conf")
    assert str(problem) == (
        "/etc/nova/50-site.conf:2: error: [libvirt] virt_type: "
        "'kwm' is not one of kvm, lxc, qemu, parallels; did you mean kvm?"
    )
    assert problem.to_dict()["allowed"] == ("kvm", "lxc", "qemu", "parallels")
    assert isinstance(problem, Problem)


def test_sections_may_be_named_in_another_layer() -> None:
    ours = parse("[DEFAULT]\nenabled_backends = lvm\n", "00-skerry.conf")
    site = parse("[nfs]\nvolume_driver = d\n", "50-site.conf")
    assert validate("cinder", site, beside=[ours])
    site = parse("[DEFAULT]\nenabled_backends = nfs\n[nfs]\nvolume_driver = d\n", "50-site.conf")
    assert not validate("cinder", site, beside=[ours])
    lvm = parse("[DEFAULT]\nenabled_backends = lvm\n[lvm]\nvolume_driver = d\n", "00-skerry.conf")
    assert [p.group for p in validate("cinder", lvm, beside=[site])] == ["lvm"]  # the site's list wins


def test_sections_of_foreign_plug_ins_are_left_alone() -> None:
    file = parse("[genericswitch:tor]\ndevice_type = x\n", "f")
    assert validate("neutron", file)
    assert not validate("neutron", file, foreign=["genericswitch:*"])


def test_a_wrong_secret_is_not_shown() -> None:
    file = parse("[DEFAULT]\nmetadata_proxy_shared_secret = pa$hunter\n", "f")
    [problem] = validate("neutron", file)
    assert "hunter" not in str(problem) and "write $$" in problem.message


RABBIT: dict[str, Any] = {
    "rabbit_quorum_queue": True,
    "use_queue_manager": True,
    "hostname": "h",
    "processname": "p",
}
AUTH: dict[str, Any] = {
    "auth_type": "password",
    "auth_url": "http://h/v3",
    "username": "u",
    "password": SecretValue("a$b"),
    "project_name": "service",
    "user_domain_name": "Default",
    "project_domain_name": "Default",
}
SHARED: Sections = {
    "keystone_authtoken": {**AUTH, "memcached_servers": ["h:11211"], "service_token_roles_required": True},
    "oslo_messaging_rabbit": RABBIT,
    "oslo_concurrency": {"lock_path": "$state_path/lock"},
    "database": {"connection": SecretValue("mysql+pymysql://u:a$b@h/d"), "max_pool_size": 5},
}
CLEAN: list[tuple[str, Sections]] = [
    (
        "nova",
        {
            **SHARED,
            "DEFAULT": {"my_ip": "10.0.0.1", "executor_thread_pool_size": 8, "transport_url": "rabbit://h"},
            "libvirt": {"virt_type": "qemu", "cpu_mode": "none", "live_migration_permit_auto_converge": True},
            "neutron": {**AUTH, "service_metadata_proxy": True, "ovs_bridge": "br-int"},
            "placement": AUTH,
            "service_user": {**AUTH, "send_service_user_token": True},
            "nova_sys_admin": {"helper_command": "h"},
            "vif_plug_ovs_privileged": {"helper_command": "h"},
            "privsep_osbrick": {"helper_command": "h"},
            "os_vif_ovs": {"ovsdb_connection": "tcp:127.0.0.1:6640"},
        },
    ),
    (
        "neutron",
        {
            **SHARED,
            "DEFAULT": {"core_plugin": "ml2", "service_plugins": ["ovn-router"], "rpc_workers": 1},
            "nova": AUTH,
            "placement": AUTH,
            "ml2": {"mechanism_drivers": ["ovn"], "type_drivers": ["geneve"], "overlay_ip_version": 4},
            "ml2_type_geneve": {"vni_ranges": "1:65536", "max_header_size": 38},
            "ovn": {"ovn_nb_connection": "tcp:127.0.0.1:6641", "ovn_metadata_enabled": True},
            "ovs": {"ovsdb_connection": "tcp:127.0.0.1:6640"},
            "privsep": {"helper_command": "h"},
            "privsep_ovs_vsctl": {"helper_command": "h"},
        },
    ),
    (
        "cinder",
        {
            **SHARED,
            "DEFAULT": {"enabled_backends": ["lvm"], "glance_api_servers": ["http://h"]},
            "lvm": {
                "volume_driver": "d",
                "volume_group": "g",
                "target_helper": "lioadm",
                "backend_host": "h",
            },
            "nova": AUTH,
            "service_user": {**AUTH, "send_service_user_token": True},
            "cinder_sys_admin": {"helper_command": "h"},
        },
    ),
    (
        "glance",
        {
            "keystone_authtoken": AUTH,
            "DEFAULT": {"enabled_backends": {"local": "file"}, "enabled_import_methods": "[glance-direct]"},
            "glance_store": {"default_backend": "local"},
            "local": {"filesystem_store_datadir": "/d"},
            "os_glance_tasks_store": {"filesystem_store_datadir": "/t"},
            "oslo_limit": {**AUTH, "endpoint_id": "e", "system_scope": "all"},
        },
    ),
    (
        "keystone",
        {
            "DEFAULT": {"public_endpoint": "http://h"},
            "token": {"provider": "fernet"},
            "federation": {"trusted_dashboard": Multi(["http://a", "http://b"])},
        },
    ),
    ("placement", {"keystone_authtoken": AUTH, "placement_database": {"connection": "mysql://h"}}),
    (
        "heat",
        {
            "DEFAULT": {"heat_metadata_server_url": "http://h", "num_engine_workers": 1},
            "trustee": AUTH,
            "clients": {"endpoint_type": "internalURL"},
        },
    ),
]


@pytest.mark.parametrize(("service", "sections"), CLEAN, ids=[service for service, _ in CLEAN])
def test_a_working_configuration_has_no_problem(service: str, sections: Sections) -> None:
    assert [str(p) for p in validate(service, parse(render(sections), "00-skerry.conf"))] == []
