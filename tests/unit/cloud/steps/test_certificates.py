"""Certificates of hosts, and whom they are believed by."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest
from cryptography import x509
from tests.support.samples.three_hosts import TOML, at

from skerry.cloud.components import registry
from skerry.cloud.steps.certificates import Certificates, authority, issue


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
    assert names.get_values_for_type(x509.DNSName) == [
        "two",
        *(f"{name}.two" for name in registry.shared_ports()),
    ]


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
