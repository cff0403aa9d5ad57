"""What can go wrong with cloudlets, as sentences and exit codes."""

from __future__ import annotations

from skerry.common.errors import PreflightError, RefusedError, StepError


class BadOverlayError(RefusedError):
    """The overlay '{}' is refused: {}."""  # where it came from, what is wrong with it

    remedy = "Nothing of it was kept. Fetch it again, or ask whoever made it."


class UntrustedError(RefusedError):
    """The overlay '{}' is signed by {}, whom this store does not trust."""

    remedy = "Ask its maker for the public key and run 'skerry cloudlet trust KEYFILE'."


class BadBaseError(RefusedError):
    """The base '{}' is refused: {}."""

    remedy = "Import or create it again: 'skerry cloudlet base verify' shows which bases are whole."


class BadStreamError(RefusedError):
    """The migration stream is refused: {}."""

    remedy = "Was it made by QEMU 7.2 to 10.0, without compression, XBZRLE or multifd?"


class NotRestoredError(StepError):
    """The memory of '{}' was not restored: {}"""

    remedy = "Nothing runs, and nothing was booted instead. 'skerry cloudlet base verify' checks the base."


class GuestError(StepError):
    """In the guest, {}: {}"""

    remedy = "The guest's console is in the session's folder, in the file 'console'."


class QemuError(StepError):
    """QEMU: {}: {}"""

    remedy = "Is it QEMU 7.2 or newer, for x86-64? 'qemu-system-x86_64 --version' shows it."


class LinkError(StepError):
    """Cannot fetch from {}: {}"""

    remedy = "Does the address answer, and does its server know range requests? Run it again."


class HandoffError(StepError):
    """The handoff to {} failed: {}"""

    remedy = "The VM continues here. Fix the cause and run 'skerry cloudlet handoff' again."


class PeerRefusedError(RefusedError):
    """The engine at {} refuses: {}"""

    remedy = "The VM continues here, untouched."


class UnsettledError(StepError):
    """The handoff to {} broke off at its last step, and the engine there cannot be asked: {}"""

    remedy = "The VM continues here. It may run there as well: when that engine is in reach again, stop the session there."


class NeighbourError(StepError):
    """The cloudlet at {} is not counted as paired: {}"""

    remedy = "Does 'skerry cloudlet serve' run there, and are both sides paired with one another?"


class MulticastError(PreflightError):
    """Multicast DNS does not work here: {}."""

    remedy = "Is another program alone on UDP port 5353? 'discover --directory HOST' does without multicast."


class DirectoryError(StepError):
    """The directory at {} cannot be asked: {}"""

    remedy = "Does 'skerry cloudlet directory' run there, and are both sides paired with one another?"
