"""Images: what is in their files is what was uploaded."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from skerry.cloud.doctor.base import Check, Finding, Patient
from skerry.cloud.steps.database import connect
from skerry.common import interrupt
from skerry.common.files import write_atomically

SECONDS = 12.0  # for reading images; those that were read longest ago come first, and the rest next time
QUERY = """
select i.id, i.name, i.size, i.os_hash_algo, i.os_hash_value, i.checksum, l.value
from images i join image_locations l on l.image_id = i.id
where i.deleted = 0 and l.deleted = 0 and i.status in ('active', 'deactivated') and l.value like 'file://%'
"""


@dataclass(frozen=True)
class ImageRecord:
    """What glance has on record of an image, and the file of its content."""

    id: str
    name: str
    size: int
    algorithm: str  # as hashlib calls it
    digest: str  # hexadecimal; empty when there is none
    path: Path

    @classmethod
    def of_row(cls, row: Sequence[object]) -> ImageRecord:
        """From a row of ``QUERY``. Images of old have an MD5 only."""
        id, name, size, algorithm, digest, md5, location = row
        known = digest and str(algorithm) in hashlib.algorithms_available
        path = Path(unquote(urlsplit(str(location)).path))
        words = (str(algorithm), str(digest)) if known else ("md5", str(md5 or ""))
        return cls(str(id), str(name or id), int(str(size or 0)), *words, path)


class ImageContents(Check):
    """Every image's file is there, and has the content that its record names."""

    name = "images"
    message = "Servers of such an image do not start, or break while they run; nova refuses it as corrupt."
    remedy = (
        "Upload the image again, under a new name; servers that run keep their disks. When nobody needs this one any more:"
        " 'skerry openstack image delete ID'; of the cloud's own images 'skerry up' makes another then."
    )
    needs = ("mariadb",)
    of = ("glance-api",)
    seconds = 60.0

    def findings(self, patient: Patient) -> Iterable[Finding]:
        with connect(patient.ctx, database="glance") as root, root.cursor() as cursor:
            cursor.execute(QUERY)
            records = [ImageRecord.of_row(row) for row in cursor.fetchall()]
        yield from different(records, patient.ctx.layout.state / "images-read.json")


def different(records: Iterable[ImageRecord], noted: Path, seconds: float = SECONDS) -> Iterable[Finding]:
    """Findings for images whose files are not what they should be.

    Sizes are compared each time. Contents are read for ``seconds`` at most: of changed files first, then of those that were
    read longest ago, which ``noted`` has (JSON).
    """
    before, now = _noted(noted), {}
    readable = []
    for record in records:
        try:
            found = record.path.stat()
        except OSError as error:
            yield _finding(record, f"its file cannot be read ({error.strerror})")
            continue
        if found.st_size != record.size:
            yield _finding(record, f"its file has {found.st_size} bytes, its record {record.size}")
            continue
        state, last = f"{found.st_size} {found.st_mtime_ns} {record.digest}", before.get(record.id)
        read_at = last[1] if last and last[0] == state else 0.0
        now[record.id] = (state, read_at)
        readable.append((read_at, record))
    until = time.monotonic() + seconds
    for _, record in sorted(readable, key=lambda each: (each[0], each[1].size)):
        if not record.digest or time.monotonic() > until:
            continue
        try:
            digest = _digest(record, until)
        except OSError as error:
            digest = f"unreadable: {error.strerror}"
        if digest is None:
            continue  # there was no time for all of it
        if digest == record.digest:
            now[record.id] = (now[record.id][0], time.time())
        else:
            now.pop(record.id)  # it is looked at again the next time, before others
            yield _finding(
                record,
                f"its content is another: {record.algorithm} {digest[:16]}..., not {record.digest[:16]}...",
            )
    with suppress(OSError):
        write_atomically(noted, json.dumps(now, indent=1) + "\n", mode=0o600)


def _finding(record: ImageRecord, what: str) -> Finding:
    return Finding(
        "error",
        f"image {record.name} does not match its record: {what}",
        (f"image {record.id}", str(record.path)),
    )


def _digest(record: ImageRecord, until: float) -> str | None:
    """The digest of a file's content; None when the time is over before its end. Raises OSError."""
    found = hashlib.new(record.algorithm, usedforsecurity=False)
    with record.path.open("rb") as file:
        while block := file.read(1 << 20):
            if time.monotonic() > until:
                return None
            interrupt.check()
            found.update(block)
    return found.hexdigest()


def _noted(path: Path) -> dict[str, tuple[str, float]]:
    try:
        return {str(id): (str(state), float(at)) for id, (state, at) in json.loads(path.read_text()).items()}
    except (OSError, ValueError, AttributeError, TypeError):
        return {}
