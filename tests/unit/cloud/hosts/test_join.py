"""A cloud across hosts: what each host runs, what it may know, and how hosts know each other."""

from __future__ import annotations

import io
import json
import ssl
import tarfile
from pathlib import Path

import pytest
from cryptography import x509

from skerry.cloud.context import Context
from skerry.cloud.hosts.join import Joined
from skerry.cloud.model import ports
from skerry.cloud.model.cloud_toml import Host, load
from skerry.cloud.model.secrets import NAMES, OF_HOSTS
from skerry.cloud.operations import graph
from skerry.cloud.steps.certificates import Certificates, authority, issue
from skerry.common.errors import ConfigError

TOML = """
[[host]]
name = "one"
address = "198.51.100.11"
roles = ["control", "network"]

[[host]]
name = "two"
address = "198.51.100.12"
roles = ["compute"]
transport = "ssh"
target = "root@198.51.100.12"

[[host]]
name = "three"
address = "198.51.100.13"
roles = ["compute"]
transport = "lab"
target = "isle/three"
"""


def at(root: Path, host: str | None = None, text: str = TOML) -> Context:
    (root / "etc/skerry").mkdir(parents=True, exist_ok=True)
    (root / "etc/skerry/cloud.toml").write_text(text)
    if host:
        (root / "etc/skerry/host").write_text(f"{host}\n")
    return Context.at(root)


def services(ctx: Context) -> set[str]:
    return {service.name for service in graph.services(ctx)}


def test_the_control_plane_is_on_one_host(tmp_path: Path) -> None:
    one, two = services(at(tmp_path / "one")), services(at(tmp_path / "two", "two"))
    assert {"mariadb", "rabbitmq", "nova-api", "neutron-api", "ovn-northd"} <= one
    assert "nova-compute" not in one and "libvirtd" not in one
    assert {
        "link",
        "libvirtd",
        "nova-compute",
        "ovn-controller",
        "ovn-arrivals",
        "neutron-ovn-metadata-agent",
    } <= two
    assert not two & {
        "mariadb",
        "rabbitmq",
        "keystone",
        "nova-conductor",
        "neutron-api",
        "ovn-northd",
        "haproxy",
    }


def test_one_host_alone_has_all_as_before(tmp_path: Path) -> None:
    names = services(at(tmp_path, text=""))
    assert {"mariadb", "nova-compute", "libvirtd", "haproxy", "neutron-ovn-metadata-agent"} <= names
    assert not names & {"link", "ovn-arrivals"}, "no other host, no arrivals"
    assert not [step for step in graph.graph(at(tmp_path, text="")).steps if step.startswith("host:")]


def test_a_host_gets_no_secret_that_it_does_not_need(tmp_path: Path) -> None:
    ctx = at(tmp_path)
    ctx.secrets.save()
    host = next(host for host in ctx.cloud.others if host.name == "two")
    text = Joined(ctx, host).files()[Path("/etc/skerry/secrets.json")][0]
    assert set(json.loads(text)) == set(OF_HOSTS)
    for name in set(NAMES) - set(OF_HOSTS):
        assert ctx.secrets[name] not in text
    joined = at(tmp_path / "two", "two")
    for role in graph.roles(joined):
        role.every_file()  # would raise for a secret that is not there


def test_what_is_on_loopback_there_is_what_the_gateway_lets_in(tmp_path: Path) -> None:
    front = next(role for role in graph.roles(at(tmp_path)) if role.name == "haproxy").every_file()[0].content
    back = next(role for role in graph.roles(at(tmp_path / "2", "two")) if role.name == "link").every_file()[
        0
    ]
    assert front.count("bind 198.51.100.11:") == 1 and "verify required" in front
    for name, port in ports.SHARED.items():
        assert f"server {name} 127.0.0.1:{port}" in front
        assert f"listen {name}\n    bind 127.0.0.1:{port}" in back.content
    assert "bind 0.0.0.0" not in front + back.content


def test_certificates_are_the_hosts_own_and_stay(tmp_path: Path) -> None:
    ctx = at(tmp_path)
    step = Certificates(ctx)
    assert len(step.check()) == 3
    step._own_user = None  # the service user is not on this machine
    step.apply(print)
    assert step.check() == []
    before = step.parts(ctx.cloud.others[0])
    other = TOML.replace('address = "198.51.100.13"', 'address = "198.51.100.14"')
    moved = Certificates(at(tmp_path, text=other))
    assert [change.what for change in moved.check()] == ["certificate of host three"]
    after = moved.parts(ctx.cloud.others[0])
    assert [name for name in before if before[name] != after[name]] == ["known_hosts"]
    certificate = x509.load_pem_x509_certificate(before["host.pem"].encode())
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["two", *(f"{name}.two" for name in ports.SHARED)]


def test_a_certificate_is_taken_by_its_own_authority_only(tmp_path: Path) -> None:
    def shake(trusted: str, key: str, certificate: str) -> None:
        place = tmp_path / "both.pem"
        place.write_text(certificate + key)
        server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        server.load_cert_chain(place)
        client = ssl.create_default_context(cadata=trusted)
        ends = [ssl.MemoryBIO() for _ in range(4)]
        one = client.wrap_bio(ends[0], ends[1], server_hostname="two")
        two = server.wrap_bio(ends[2], ends[3], server_side=True)
        for _ in range(4):
            for end in (one, two):
                try:
                    end.do_handshake()
                except ssl.SSLWantReadError:
                    pass
                ends[2].write(ends[1].read())
                ends[0].write(ends[3].read())

    key, root = authority("isle")
    mine = issue(key, root, "two", "198.51.100.12")
    shake(root, *mine)
    with pytest.raises(ssl.SSLCertVerificationError):
        shake(authority("other")[1], *mine)


def test_the_source_tree_goes_without_what_python_leaves(tmp_path: Path) -> None:
    ctx = at(tmp_path)
    joined = Joined(ctx, ctx.cloud.others[0])
    tree = joined._tree()
    assert tree == joined._tree()
    with tarfile.open(fileobj=io.BytesIO(tree)) as archive:
        names = archive.getnames()
    assert "skerry" in names and "src/skerry/cloud/hosts/join.py" in names
    assert not [name for name in names if "__pycache__" in name or name.startswith((".git", "tests"))]


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ('target = "isle/three"', 'target = "three"', "host 'three': target = 'three' is not LAB/HOST"),
        ('target = "root@198.51.100.12"', 'target = "-oProxyCommand=x"', "is not USER@ADDRESS"),
        ('address = "198.51.100.13"', 'address = "198.51.100.12"', "needs an address of its own"),
        ('address = "198.51.100.13"', "", "host 'three' needs an address of its own"),
        ('roles = ["control", "network"]', 'roles = ["network"]', "no host has the role 'control'"),
        ('transport = "lab"\ntarget = "isle/three"', "", "host 'three' is not this machine"),
        ('transport = "lab"\n', 'transport = "lab"\ntunnel = "x"\n', "tunnel = 'x' is not ADDRESS/LENGTH"),
        ('transport = "ssh"', 'transport = "telnet"', "host[two].transport"),
    ],
)
def test_wrong_hosts_are_named(tmp_path: Path, old: str, new: str, told: str) -> None:
    path = tmp_path / "cloud.toml"
    assert old in TOML
    path.write_text(TOML.replace(old, new))
    with pytest.raises(ConfigError, match=r".*") as error:
        load(path)
    assert told in str(error.value)


def test_a_host_that_cloud_toml_does_not_name(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="there is no host 'nobody'"):
        _ = at(tmp_path, "nobody").host


def test_where_tunnels_end() -> None:
    assert Host(name="a").tunnel_address == "127.0.0.1"
    assert Host(name="a", tunnel="192.0.2.7/24").tunnel_address == "192.0.2.7"
