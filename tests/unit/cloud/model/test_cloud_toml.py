"""cloud.toml: what is wrong is named, and the documented file is the defaults."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from tests.support.samples.three_hosts import TOML

from skerry.cloud.model.cloud_toml import Cloud, Host, documented_toml, load
from skerry.cloud.model.provider import Provider
from skerry.common.errors import ConfigError


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("nmae = 'x'", ["unknown option 'nmae'", "name"]),
        ("[sizes]\napi_workers = 0", ["sizes.api_workers", "greater than or equal to 1"]),
        ("[sizes]\nworker = 1", ["unknown option 'sizes.worker'", "workers"]),
        ("hypervisor = 'xen'", ["hypervisor", "'auto', 'kvm' or 'qemu'"]),
        ("listen = '0.0.0.0'", ["without TLS", "loopback"]),
        ("[external]\ncidr = '10.20.0.0/16'", ["overlap"]),
        ("[external]\ncidr = '10.0.0.0/30'", ["too small"]),
        ("[[host]]\nname = 'a'\n[[host]]\nname = 'a'", ["same name"]),
        ("nmae = 'x'", ["Did you mean 'name'?"]),
        ("[external]\ncdir = '10.0.0.0/24'", ["unknown option 'external.cdir'", "Did you mean 'cidr'?"]),
        ("features = ['haet']", ["there is no feature 'haet'", "Did you mean 'heat'?"]),
        ("hypervisor = 'kmv'", ["Did you mean 'kvm'?"]),
        ("[[host]]\nroles = ['contrl']", ["Did you mean 'control'?"]),
        ("[external]\ncidr = '127.0.0.0/24'", ["external.cidr", "loopback", "'172.24.4.0/24' works"]),
        ("[external]\ncidr = '10.1.2.3/24'", ["the network is '10.1.2.0/24'"]),
        ("[external]\ncidr = '10.20.0.0/16'", ["private.cidr = '172.24.4.0/24' does not"]),
        ("[private]\npool = '10.20.0.0/16'", ["private.pool and private.cidr overlap", "does not"]),
        ("[private]\npool = '10.64.0.0/28'", ["private.pool = '10.64.0.0/28' is smaller", "'10.64.0.0/20'"]),
        ("[external]\ndns = ['127.0.0.53']", ["external.dns", "loopback", "guest"]),
        ("[private]\ncidr = '169.254.0.0/16'", ["private.cidr", "link-local"]),
        ("name = 'my cloud'", ["option 'name'", "'my-cloud'"]),
        ("name = 'envvars'", ["meaning of its own"]),
        ("region = '-'", ["option 'region'"]),
        ("listen = '::1'", ["IPv6", "'127.0.0.1'"]),
        ("[[host]]\nname = 'my_host'", ["host[my_host].name", "'my-host'"]),
        ("[[host]]\nname = '10.0.0.1'", ["taken for an address"]),
        ("[[host]]\naddress = '0.0.0.0'", ["address = '0.0.0.0' means every address"]),
        ("[[host]]\nexternal_interface = 'eth 0'", ["no interface's name"]),
        ("name = [\n1 2]", ["not TOML", "line 2"]),
    ],
)
def test_a_wrong_cloud_toml_names_file_option_and_what_is_allowed(
    tmp_path: Path, text: str, says: list[str]
) -> None:
    path = tmp_path / "cloud.toml"
    path.write_text(text)
    with pytest.raises(ConfigError) as error:
        load(path)
    assert error.value.exit_code == 3
    for words in (str(path), *says):
        assert words in str(error.value)


def test_the_documented_cloud_toml_is_the_defaults(tmp_path: Path) -> None:
    path = tmp_path / "cloud.toml"
    path.write_text(documented_toml())
    assert load(path) == Cloud()
    wanted = [
        line[1:]
        for line in documented_toml().splitlines()
        if line.startswith("#") and not line.startswith("# ")
    ]
    path.write_text("\n".join(wanted))
    shown = load(path)
    assert shown.provider == (Provider(name="office", interface="eth2", cidr="192.0.2.0/24"),), "an example"
    assert shown.model_copy(update={"provider": ()}) == Cloud()


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


def test_where_tunnels_end() -> None:
    assert Host(name="a").tunnel_address == "127.0.0.1"
    assert Host(name="a", tunnel="192.0.2.7/24").tunnel_address == "192.0.2.7"


SITE = """
[[host]]
name = "one"
external_interface = "eth1"
[external]
cidr = "192.0.2.0/24"
gateway = "192.0.2.1"
pool = ["192.0.2.100", "192.0.2.199"]
"""


def test_an_external_network_that_has_a_router(tmp_path: Path) -> None:
    path = tmp_path / "cloud.toml"
    path.write_text(SITE)
    assert not load(path).external.translates and Cloud().external.translates
    for before, after, why in (
        ('"192.0.2.1"', '"192.0.3.1"', "external: gateway = '192.0.3.1' is no address of a machine"),
        ('"192.0.2.1"', '"192.0.2.110"', "the gateway 192.0.2.110 is in the pool"),
        ('external_interface = "eth1"', "", "no host has one that leads there: external_interface = 'eth1'"),
    ):
        path.write_text(SITE.replace(before, after))
        with pytest.raises(ConfigError, match=re.escape(why)):
            load(path)
