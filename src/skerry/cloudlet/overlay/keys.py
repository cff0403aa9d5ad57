"""Who made an overlay: Ed25519 keys, one that the store signs with and those that it trusts."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from skerry.common.errors import UsageError

KEY = 32  # bytes of a public key
SIGNATURE = 64


def fingerprint(public: bytes) -> str:
    """A short name of a public key, for people: 16 hexadecimal digits of its SHA-256."""
    return hashlib.sha256(public).hexdigest()[:16]


def valid(public: bytes, signature: bytes, message: bytes) -> bool:
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True


class Keys:
    """The folder ``keys`` of a store: ``own`` (secret, mode 0600), ``own.pub``, and ``trusted/NAME.pub``."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def own(self) -> Ed25519PrivateKey:
        """The store's own key, made when it is first needed."""
        path = self._folder / "own"
        if not path.exists():
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            new = Ed25519PrivateKey.generate()
            half = path.with_name(f"own.{os.getpid()}")
            handle = os.open(half, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with os.fdopen(handle, "wb") as file:
                file.write(new.private_bytes_raw())
                file.flush()
                os.fsync(file.fileno())
            try:
                os.link(half, path)  # another run's key stays
            except FileExistsError:
                pass
            half.unlink()
        return Ed25519PrivateKey.from_private_bytes(path.read_bytes())

    def public(self) -> bytes:
        return self.own().public_key().public_bytes_raw()

    def sign(self, message: bytes) -> bytes:
        return self.own().sign(message)

    def trusted(self) -> set[bytes]:
        """The public keys that overlays may be signed with: one's own, and those that were added."""
        lines = [path.read_text().strip() for path in (self._folder / "trusted").glob("*.pub")]
        return {self.public(), *(bytes.fromhex(line) for line in lines)}

    def trust(self, text: str) -> str:
        """Trust a public key (64 hexadecimal digits); returns its fingerprint. Raises UsageError."""
        try:
            public = bytes.fromhex(text.strip())
        except ValueError:
            public = b""
        if len(public) != KEY:
            raise UsageError("That is not a public key: 64 hexadecimal digits are expected.")
        folder = self._folder / "trusted"
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        (folder / f"{fingerprint(public)}.pub").write_text(public.hex() + "\n")
        return fingerprint(public)
