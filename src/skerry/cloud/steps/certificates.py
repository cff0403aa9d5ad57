"""The cloud's own certificate authority, and a certificate for each host, by which hosts know each other.

A certificate is good for a year; the next one is issued 60 days before its end. That of a host that has left is revoked.
"""

from __future__ import annotations

import datetime
import ipaddress
from collections.abc import Callable, Iterable
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from skerry.cloud.components import registry
from skerry.cloud.context import Context
from skerry.cloud.engine.step import Change, Step
from skerry.cloud.members import Members
from skerry.cloud.model.cloud_toml import Host
from skerry.cloud.supervise.service import File

DECADE, YEAR, RENEW = (datetime.timedelta(days=days) for days in (3650, 365, 60))
_BEFORE = datetime.timedelta(minutes=10)  # clocks of hosts differ a little
CA, REVOKED, CERTIFICATE, KEY, BOTH = "ca.pem", "revoked.pem", "host.pem", "host.key", "both.pem"
SSH_KEY, KNOWN, AUTHORIZED = "ssh.key", "known_hosts", "authorized_keys"
SECRET = (KEY, BOTH, SSH_KEY)
AUTHORITY = "the authority"


class Certificates(Step):
    """Every host has a certificate of the cloud's own authority, good for another 60 days at least."""

    name = "certificates"
    title = "certificates of the hosts"
    needs = ("machine",)
    cost = 0.3

    def __init__(self, ctx: Context) -> None:
        self.ctx = ctx
        self._folder = ctx.layout.tls

    def _place(self, host: Host) -> Path:
        return self._folder / "issued" / host.name

    def check(self) -> list[Change]:
        changes = []
        if self.ctx.platform.read(self._folder / REVOKED) is None:
            changes.append(Change("list of revoked certificates"))
        for host in self.ctx.cloud.host:
            missing = self._lack(host)
            if missing:
                changes.append(Change(f"certificate of host {host.name}", missing, "issued"))
        if at := _ends(self._read(self._folder / CA)):
            changes.append(Change("certificate of the cloud's authority", f"ends at {at}", "renewed"))
        if not changes:
            changes = [
                Change(f"write {self._folder / name}")
                for name, text in self.parts(self.ctx.host).items()
                if self.ctx.platform.read(self._folder / name) != text
            ]
        return changes

    def ending(self) -> list[str]:
        """Whose certificates end within 60 days: names of hosts, and the authority's own."""
        hosts = [
            host.name for host in self.ctx.cloud.host if _ends(self._read(self._place(host) / CERTIFICATE))
        ]
        return [*hosts, *([AUTHORITY] if _ends(self._read(self._folder / CA)) else [])]

    def _read(self, path: Path) -> str:
        return self.ctx.platform.read(path) or ""

    def _lack(self, host: Host) -> str | None:
        text = self.ctx.platform.read(self._place(host) / CERTIFICATE)
        if text is None:
            return "not there"
        if at := _ends(text):
            return f"ends at {at}"
        found = x509.load_pem_x509_certificate(text.encode())
        if found.not_valid_after_utc - found.not_valid_before_utc > YEAR + _BEFORE:
            return "good for longer than a year"
        names = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        if names != _names(host.name, str(host.address)):
            return "for another name or address"
        return None

    def apply(self, report: Callable[[str], None]) -> None:
        write, folder = self.ctx.platform.write, self._folder
        self.ctx.platform.make_folder(folder)
        if self.ctx.platform.read(folder / "ca.key") is None:
            key, certificate = authority(self.ctx.cloud.name)
            write(folder / CA, certificate)
            write(folder / "ca.key", key, mode=0o600)
        if _ends(self._read(folder / CA)):
            write(folder / CA, renewed_authority(self._read(folder / "ca.key"), self._read(folder / CA)))
            self._list_revoked(self._revoked())  # it is good as long as the authority's certificate
        authority_key, authority_certificate = self._authority()
        if self.ctx.platform.read(folder / REVOKED) is None:
            self._list_revoked(())
        for host in self.ctx.cloud.host:
            if self._lack(host):
                key, certificate = issue(authority_key, authority_certificate, host.name, str(host.address))
                self.ctx.platform.make_folder(self._place(host), mode=0o700)
                write(self._place(host) / KEY, key, mode=0o600)
                write(self._place(host) / CERTIFICATE, certificate)
            if self.ctx.platform.read(self._place(host) / SSH_KEY) is None:
                private, public = ssh_key(host.name)
                write(self._place(host) / f"{SSH_KEY}.pub", public)
                write(self._place(host) / SSH_KEY, private, mode=0o600)
        for name, text in self.parts(self.ctx.host).items():
            if self.ctx.platform.read(folder / name) != text:
                write(folder / name, text, mode=0o600 if name in SECRET else 0o644)

    def revoke(self, name: str) -> None:
        """Let the certificate of a host be nobody's any more, and forget its keys."""
        text = self.ctx.platform.read(self._folder / "issued" / name / CERTIFICATE)
        if text is not None:
            number = x509.load_pem_x509_certificate(text.encode()).serial_number
            self._list_revoked([*self._revoked(), number])
        self.ctx.platform.remove(self._folder / "issued" / name)

    def _revoked(self) -> list[int]:
        text = self._read(self._folder / REVOKED)
        return [entry.serial_number for entry in x509.load_pem_x509_crl(text.encode())] if text else []

    def _list_revoked(self, numbers: Iterable[int]) -> None:
        self.ctx.platform.write(self._folder / REVOKED, revoked(*self._authority(), numbers))

    def _authority(self) -> tuple[str, str]:
        return self._read(self._folder / "ca.key"), self._read(self._folder / CA)

    def parts(self, host: Host) -> dict[str, str]:
        """The files that a host has in its folder of certificates, by name.

        Secret ones are root's until the component that reads one gives it to its user.
        """
        read = self.ctx.platform.read
        certificate, key = read(self._place(host) / CERTIFICATE) or "", read(self._place(host) / KEY) or ""
        return {
            CA: read(self._folder / CA) or "",
            REVOKED: read(self._folder / REVOKED) or "",
            CERTIFICATE: certificate,
            KEY: key,
            BOTH: certificate + key,
            SSH_KEY: read(self._place(host) / SSH_KEY) or "",
            KNOWN: "".join(
                f"[{other.address}]:{self.ctx.port('disk-copies')} {key}" for other, key in self._ssh_keys()
            ),
            AUTHORIZED: "".join(key for _, key in self._ssh_keys()),
        }

    def files(self) -> tuple[File, ...]:
        """What a service reads to speak TLS: a new certificate means a restart."""
        read = self.ctx.platform.read
        return (
            *(File(self._folder / name, read(self._folder / name) or "") for name in (CA, REVOKED)),
            File(self._folder / BOTH, read(self._folder / BOTH) or "", secret=True),
        )

    def _ssh_keys(self) -> list[tuple[Host, str]]:
        """The public keys of the hosts that run servers, or still do: the copies of one that leaves are let in."""
        read = self.ctx.platform.read
        leaving = [host for host in Members(self.ctx).departing() if "compute" in host.roles]
        hosts = (*self.ctx.cloud.computes, *leaving)
        found = [(host, read(self._place(host) / f"{SSH_KEY}.pub")) for host in hosts]
        return [(host, key) for host, key in found if key]


def ssh_key(name: str) -> tuple[str, str]:
    """A new key for SSH: its private and its public half, in OpenSSH's formats."""
    key = ed25519.Ed25519PrivateKey.generate()
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.OpenSSH, serialization.NoEncryption()
    )
    public = key.public_key().public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
    return private.decode(), f"{public.decode()} {name}\n"


def _ends(certificate: str) -> str | None:
    """The day on which a certificate (PEM) ends, when that is soon; None for one that is not there."""
    if not certificate:
        return None
    end = x509.load_pem_x509_certificate(certificate.encode()).not_valid_after_utc
    return f"{end:%Y-%m-%d}" if end - RENEW < datetime.datetime.now(datetime.UTC) else None


def authority(name: str) -> tuple[str, str]:
    """A new authority: its key and its certificate, both PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"hosts of {name}")])
    return _pem(key), _signed_by_itself(key, subject)


def renewed_authority(key: str, certificate: str) -> str:
    """A new certificate (PEM) for an authority that keeps its key: what it has issued is good with both."""
    signer = serialization.load_pem_private_key(key.encode(), None)
    assert isinstance(signer, ec.EllipticCurvePrivateKey)
    return _signed_by_itself(signer, x509.load_pem_x509_certificate(certificate.encode()).subject)


def _signed_by_itself(key: ec.EllipticCurvePrivateKey, subject: x509.Name) -> str:
    builder = _builder(subject, subject, key.public_key(), DECADE).add_extension(
        x509.BasicConstraints(ca=True, path_length=0), critical=True
    )
    builder = builder.add_extension(_usage(signs=True), critical=True)
    identifier = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    builder = builder.add_extension(identifier, critical=False)
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM).decode()


def issue(authority_key: str, authority_certificate: str, name: str, address: str) -> tuple[str, str]:
    """A host's key and certificate (PEM), good for both ends of a connection."""
    signer = serialization.load_pem_private_key(authority_key.encode(), None)
    issuer = x509.load_pem_x509_certificate(authority_certificate.encode())
    assert isinstance(signer, ec.EllipticCurvePrivateKey)
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    both = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH])
    builder = (
        _builder(subject, issuer.subject, key.public_key(), YEAR)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs=False), critical=True)
        .add_extension(_names(name, address), critical=False)
        .add_extension(both, critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False
        )
    )
    return _pem(key), builder.sign(signer, hashes.SHA256()).public_bytes(serialization.Encoding.PEM).decode()


def revoked(authority_key: str, authority_certificate: str, serials: Iterable[int]) -> str:
    """The authority's list (PEM, RFC 5280) of certificates by number that are no longer valid; good as long as itself."""
    signer = serialization.load_pem_private_key(authority_key.encode(), None)
    issuer = x509.load_pem_x509_certificate(authority_certificate.encode())
    assert isinstance(signer, ec.EllipticCurvePrivateKey)
    now, numbers = datetime.datetime.now(datetime.UTC), sorted(set(serials))
    builder = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(issuer.subject)
        .last_update(now - _BEFORE)
        .next_update(issuer.not_valid_after_utc)
        .add_extension(x509.CRLNumber(len(numbers)), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False
        )
    )
    for number in numbers:
        entry = x509.RevokedCertificateBuilder().serial_number(number).revocation_date(now - _BEFORE)
        builder = builder.add_revoked_certificate(entry.build())
    return builder.sign(signer, hashes.SHA256()).public_bytes(serialization.Encoding.PEM).decode()


def _names(name: str, address: str) -> x509.SubjectAlternativeName:
    """The host, and each service that others may ask for: SERVICE.HOST. No ``*.HOST``: OpenSSL wants two dots in those."""
    mine = [x509.DNSName(f"{service}.{name}") for service in registry.shared_ports()]
    return x509.SubjectAlternativeName(
        [x509.DNSName(name), *mine, x509.IPAddress(ipaddress.ip_address(address))]
    )


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, good: datetime.timedelta
) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _BEFORE)
        .not_valid_after(now + good)
    )


def _usage(*, signs: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs,
        key_cert_sign=signs,
        crl_sign=signs,
        content_commitment=False,
        key_encipherment=not signs,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _pem(key: ec.EllipticCurvePrivateKey) -> str:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()
