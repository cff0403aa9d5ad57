"""What a component does for itself now and then, so that it lasts: old rows, keys, files that only grow."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class UpkeepTask:
    """A task that may run at any time while the cloud works, as often as one likes: it does what is due, and no more.

    ``work`` returns what it did, in words; nothing, when nothing was due. ``needs`` are services that must run.
    A task that finds what it must not change by itself raises AttentionError.
    """

    name: str  # COMPONENT-WHAT
    title: str
    work: Callable[[], str]
    needs: tuple[str, ...] = ()


class AttentionError(Exception):
    """Something that an operator should look at; its text is what, and what to do."""
