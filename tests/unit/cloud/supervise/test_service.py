"""A service as data."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from skerry.cloud.supervise.probes import TcpProbe, clients_of
from skerry.cloud.supervise.service import File, Service


def service(**facts: Any) -> Service:
    return Service("x", ("/bin/x",), TcpProbe(1), **({"user": "nobody"} | facts))


def test_a_changed_file_is_another_fingerprint(tmp_path: Path) -> None:
    def with_file(content: str) -> Service:
        return service(files=(File(tmp_path / "x", content),))

    assert with_file("a").fingerprint == with_file("a").fingerprint != with_file("b").fingerprint
    assert json.loads(with_file("a").spec())["fingerprint"] == with_file("a").fingerprint


def test_no_service_gains_rights_but_those_with_helpers() -> None:
    plain, able = service(), service(capabilities=("NET_ADMIN",))
    assert (plain.bounding, plain.gains_nothing) == ((), True)
    assert (able.bounding, able.gains_nothing) == (("NET_ADMIN",), True)
    starts = service(capabilities=("SETUID",), helpers=("SYS_ADMIN",))
    assert (starts.bounding, starts.gains_nothing) == (("SETUID", "SYS_ADMIN"), False)
    assert (service(user="root").bounding, service(user="root").gains_nothing) == (None, False)
    limited = service(user="root", capabilities=("DAC_OVERRIDE",))
    assert (limited.bounding, limited.gains_nothing) == (("DAC_OVERRIDE",), True)
    spec = json.loads(limited.spec())
    assert (spec["bounding"], spec["no_new_privs"], spec["umask"]) == (["DAC_OVERRIDE"], True, 0o027)


def test_clients_of_a_socket() -> None:
    listed = """u_str LISTEN 0 10 /run/x.sock 100 * 0
u_str ESTAB 0 0 /run/x.sock 101 * 201
u_str ESTAB 0 0 /run/other.sock 102 * 202
u_str ESTAB 0 0 * 201 * 101
"""
    assert clients_of(listed, Path("/run/x.sock")) == {"201"}
    renamed = "u_str ESTAB 0 0 /run/x.sock.2530.tmp 300 * 301\nu_str ESTAB 0 0 /run/x.sock.tmp 302 * 303\n"
    assert clients_of(renamed, Path("/run/x.sock")) == {"301"}, "HAProxy's"
