"""Certificates of hosts, and whom they are believed by."""

from __future__ import annotations

import datetime
import ssl
from pathlib import Path

import pytest
from cryptography import x509
from tests.support.samples.three_hosts import TOML, at

from skerry.cloud.components import registry
from skerry.cloud.steps import certificates
from skerry.cloud.steps.certificates import (
    BOTH,
    CA,
    REVOKED,
    YEAR,
    Certificates,
    authority,
    issue,
    renewed_authority,
)


def test_certificates_are_the_hosts_own_and_stay(tmp_path: Path) -> None:
    ctx = at(tmp_path)
    step = Certificates(ctx)
    assert len(step.check()) == 4  # and the list of those that are revoked
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


def shake(folder: Path, trusted: str, both: str, revoked: str = "") -> None:
    """A handshake with a server that has a key and a certificate; raises when the client does not believe it."""
    place = folder / "both.pem"
    place.write_text(both)
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(place)
    client = ssl.create_default_context(cadata=trusted)
    if revoked:
        (folder / "revoked.pem").write_text(revoked)
        client.load_verify_locations(folder / "revoked.pem")
        client.verify_flags |= ssl.VERIFY_CRL_CHECK_CHAIN
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


def test_a_certificate_is_taken_by_its_own_authority_only(tmp_path: Path) -> None:
    key, root = authority("isle")
    mine = "".join(issue(key, root, "two", "198.51.100.12"))
    shake(tmp_path, root, mine)
    with pytest.raises(ssl.SSLCertVerificationError):
        shake(tmp_path, authority("other")[1], mine)


def test_that_of_a_host_which_left_is_revoked_and_the_next_of_its_name_is_not(tmp_path: Path) -> None:
    ctx = at(tmp_path)
    step = Certificates(ctx)
    step.apply(print)
    two, three = ctx.cloud.others
    before = step.parts(two)
    shake(tmp_path, before[CA], before[BOTH], before[REVOKED])
    step.revoke("two")
    assert step.parts(two)[BOTH] == "" and step.parts(three)[BOTH] != ""
    step.revoke("two")  # a run that broke does it again
    revoked = step.parts(three)[REVOKED]
    with pytest.raises(ssl.SSLCertVerificationError, match="revoked"):
        shake(tmp_path, before[CA], before[BOTH], revoked)
    step.apply(print)
    shake(tmp_path, before[CA], step.parts(two)[BOTH], revoked)
    step.revoke("three")
    numbers = x509.load_pem_x509_crl(step.parts(two)[REVOKED].encode())
    assert len(numbers) == 2 and step.check() != []


def test_a_certificate_is_good_for_a_year_and_a_longer_one_is_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ctx = at(tmp_path)
    step = Certificates(ctx)
    monkeypatch.setattr(certificates, "YEAR", 10 * YEAR)
    step.apply(print)
    monkeypatch.undo()
    assert [change.before for change in step.check()] == ["good for longer than a year"] * 3
    step.apply(print)
    assert step.check() == []
    monkeypatch.setattr(certificates, "RENEW", YEAR)
    assert [str(change.before)[:8] for change in step.check()] == ["ends at "] * 3


def days_before_the_end(monkeypatch: pytest.MonkeyPatch, days: int) -> None:
    """Let certificates that are issued from now on end so soon."""
    for name in ("YEAR", "DECADE"):
        monkeypatch.setattr(certificates, name, datetime.timedelta(days=days))


@pytest.mark.parametrize(("days", "ending"), [(61, []), (59, ["one", "two", "three", "the authority"])])
def test_what_ends_soon_is_renewed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, days: int, ending: list[str]
) -> None:
    ctx = at(tmp_path)
    step = Certificates(ctx)
    days_before_the_end(monkeypatch, days)
    step.apply(print)
    assert step.ending() == ending and bool(step.check()) == bool(ending)
    before = step.parts(ctx.cloud.others[0])
    days_before_the_end(monkeypatch, 365)
    step.apply(print)
    assert step.ending() == [] and step.check() == []
    after = step.parts(ctx.cloud.others[0])
    changed = {name for name in before if before[name] != after[name]}
    assert changed == ({CA, REVOKED, "host.pem", "host.key", BOTH} if ending else set())


def test_an_authority_that_is_renewed_believes_what_it_has_issued() -> None:
    key, root = authority("isle")
    renewed = renewed_authority(key, root)
    old, new = (x509.load_pem_x509_certificate(text.encode()) for text in (root, renewed))
    assert old.serial_number != new.serial_number
    certificate = x509.load_pem_x509_certificate(issue(key, root, "two", "198.51.100.12")[1].encode())
    for each in (old, new):
        certificate.verify_directly_issued_by(each)
        each.verify_directly_issued_by(new)
