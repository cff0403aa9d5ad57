"""Who an engine is to other engines: a certificate of its own, and those of the engines that it is paired with.

Nobody else vouches for anybody: a certificate is believed because it was brought here (``pair``), and for no
other reason. Whoever is paired may hand VMs over.
"""

from __future__ import annotations

import hashlib
import os
import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from skerry.common.errors import UsageError
from skerry.common.files import write_atomically

_VALID = timedelta(days=3650)
_MOST = 1 << 16  # bytes of a certificate


def fingerprint(der: bytes) -> str:
    """A certificate's name for people and machines: the SHA-256 of its DER form, 64 hexadecimal digits."""
    return hashlib.sha256(der).hexdigest()


class Identity:
    """The files ``tls.pem`` (key and certificate, mode 0600) and ``peers/FINGERPRINT.pem`` in a store's ``keys``."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def certificate(self) -> str:
        """The engine's certificate in PEM, made when it is first needed."""
        text = self._own().read_text()
        return text[text.index("-----BEGIN CERTIFICATE") :]

    @property
    def fingerprint(self) -> str:
        return fingerprint(ssl.PEM_cert_to_DER_cert(self.certificate()))

    def pair(self, text: str) -> str:
        """Believe the engine with this certificate (PEM); returns its fingerprint. Raises UsageError."""
        try:
            if len(text) > _MOST:
                raise ValueError("too long")
            read = x509.load_pem_x509_certificate(text.encode())
        except ValueError:
            raise UsageError(
                "That is not a certificate: one in PEM is expected, as 'pair' prints it."
            ) from None
        name = fingerprint(read.public_bytes(Encoding.DER))
        write_atomically(self._peers() / f"{name}.pem", read.public_bytes(Encoding.PEM).decode())
        return name

    def part(self, word: str) -> str:
        """Believe an engine no longer; ``word`` is the begin of its fingerprint. Raises UsageError."""
        found = [
            path for path in self._peers().glob("*.pem") if len(word) >= 6 and path.stem.startswith(word)
        ]
        if len(found) != 1:
            have = ", ".join(name[:16] for name in self.peers()) or "none"
            raise UsageError(f"'{word}' is not one paired engine.", remedy=f"There are: {have}.")
        found[0].unlink()
        return found[0].stem

    def peers(self) -> list[str]:
        """Fingerprints of the paired engines."""
        return sorted(path.stem for path in self._peers().glob("*.pem"))

    def context(self, *, server: bool) -> ssl.SSLContext:
        """TLS 1.3 with certificates on both sides, none believed but the paired ones'. Read again at each call."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER if server else ssl.PROTOCOL_TLS_CLIENT)
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        context.check_hostname = False  # engines move between addresses; the certificate is the identity
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_cert_chain(self._own())
        if server:
            context.num_tickets = 0  # a resumed session would be one that was verified earlier
        for path in self._peers().glob("*.pem"):
            context.load_verify_locations(path)
        return context

    def known(self, connection: ssl.SSLSocket) -> str:
        """The fingerprint of who is at the other end. Raises ssl.SSLError when it is none of the paired."""
        name = fingerprint(connection.getpeercert(True) or b"")
        if name not in self.peers():
            raise ssl.SSLError("its certificate is none of the paired ones")
        return name

    def _peers(self) -> Path:
        return self._folder / "peers"

    def _own(self) -> Path:
        path = self._folder / "tls.pem"
        if not path.exists():
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            half = path.with_name(f"tls.{os.getpid()}")
            write_atomically(half, _made(), mode=0o600)
            try:
                os.link(half, path)  # another run's stays
            except FileExistsError:
                pass
            half.unlink()
        return path


def _made() -> str:
    """A new key and its certificate, in PEM."""
    key = Ed25519PrivateKey.generate()
    # A name of its own: OpenSSL finds a trusted certificate by its name, and takes the first one that it finds.
    own = hashlib.sha256(key.public_key().public_bytes_raw()).hexdigest()[:32]
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"skerry cloudlet {own}")])
    now = datetime.now(UTC)
    usage = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))  # clocks of two hosts differ
        .not_valid_after(now + _VALID)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(usage, critical=False)
        .sign(key, None)
    )
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return private.decode() + certificate.public_bytes(Encoding.PEM).decode()
