"""Taking an overlay out of a file: all of it is right and stays, or nothing of it does."""

from __future__ import annotations

import hashlib
import json
import shutil
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
from tests.support.random_machines import DISK, MEMORY, base_of, changed, image, kept, overlay_of, rebuilt

from skerry.cli.main import execute
from skerry.cloudlet.errors import BadOverlayError, BadStreamError, UntrustedError
from skerry.cloudlet.overlay import manifest as manifests
from skerry.cloudlet.overlay.encoder import Made
from skerry.cloudlet.overlay.pages import Pages
from skerry.cloudlet.overlay.reader import FileSource
from skerry.cloudlet.overlay.segments import compress
from skerry.cloudlet.overlay.store import Store
from skerry.cloudlet.session import overlay_maker
from skerry.common.errors import NotFoundError, PreflightError, SkerryError


class Two:
    """A maker's store, and a user's that holds the same base and trusts the maker."""

    def __init__(self, folder: Path) -> None:
        random = np.random.default_rng(11)
        disk = image(random, DISK)
        self.maker, self.user = Store(folder / "maker"), Store(folder / "user")
        self.base = base_of(self.maker, image(random, MEMORY), disk)
        shutil.copytree(self.base.folder, self.user.root / "bases" / self.base.id)
        self.user.keys.trust(self.maker.keys.public().hex())
        self.memory: Pages = changed(random, self.base.memory, disk)
        self.disk: Pages = changed(random, disk, self.base.memory)
        self.made: Made = overlay_of(self.maker, self.base, self.memory, self.disk)
        self.file = folder / "app.overlay"
        self.file.write_bytes(b"".join(self.made.parts))

    def left(self) -> list[str]:
        """What is in the user's store besides the base and keys."""
        return [path.name for part in ("overlays", "work") for path in (self.user.root / part).iterdir()]

    def signed(self, parts: list[bytes], **change: object) -> None:
        """Write the file with other parts, and their description signed by someone whom the user trusts."""
        data = {**json.loads(self.made.manifest.pack()), **change}
        packed = json.dumps(data, sort_keys=True, separators=(",", ":")).encode()
        head = manifests.HEAD.pack(manifests.MAGIC, len(packed)) + packed
        self.file.write_bytes(b"".join([head, self.maker.keys.sign(manifests.message(packed)), *parts]))


@pytest.fixture
def two(tmp_path: Path) -> Two:
    return Two(tmp_path)


def test_what_was_exported_is_the_same_where_it_is_imported(
    two: Two, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kept(two.maker, two.made)
    overlay_maker.export(two.maker, "app", tmp_path / "exported")
    words = ["cloudlet", "--store", str(two.user.root), "overlay", "import", str(tmp_path / "exported")]
    for _ in range(2):  # a second time changes nothing
        assert execute([*words, "--json"]) == 0
        assert json.loads(capsys.readouterr().out)["id"] == two.made.manifest.id
        assert two.left() == [two.made.manifest.id]
    memory, disk = rebuilt(two.user, two.user.open_overlay("app"))
    assert np.array_equal(memory, two.memory) and np.array_equal(disk, two.disk)


def test_no_flipped_bit_is_kept(two: Two) -> None:
    good = two.file.read_bytes()
    random = np.random.default_rng(12)
    for at in [*range(0, len(two.made.parts[0]), 29), *random.integers(0, len(good), 60).tolist()]:
        data = bytearray(good)
        data[at] ^= 1 << int(random.integers(0, 8))
        two.file.write_bytes(data)
        with pytest.raises((BadOverlayError, UntrustedError)):
            overlay_maker.import_(two.user, two.file)
        assert two.left() == []


@pytest.mark.parametrize("share", [0, 0.01, 0.5, 0.999, 1.5])
def test_a_length_other_than_the_manifests_is_refused(two: Two, share: float) -> None:
    good = two.file.read_bytes()
    two.file.write_bytes((good + good)[: int(len(good) * share)])
    with pytest.raises(BadOverlayError, match=r"app\.overlay"):
        overlay_maker.import_(two.user, two.file)
    assert two.left() == []


def test_a_file_that_changes_while_it_is_read_is_refused(two: Two, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was checked before the copy is checked again in it."""
    good = two.file.read_bytes()
    reads = FileSource.read

    def read(self: FileSource, offset: int, size: int) -> bytes:
        data = reads(self, offset, size)
        if offset == 0 and size >= len(good):  # the copy, in one piece
            two.file.write_bytes(good[:-1] + bytes([good[-1] ^ 1]))
            return reads(self, offset, size)
        return data

    monkeypatch.setattr(FileSource, "read", read)
    monkeypatch.setattr(overlay_maker, "_PIECE", 1 << 30)
    with pytest.raises(BadOverlayError, match="segment"):
        overlay_maker.import_(two.user, two.file)
    assert two.left() == []


def test_a_state_that_is_not_qemus_is_refused_whoever_signed_it(two: Two) -> None:
    state = compress(b"x" * 500)
    about = {"size": len(state), "raw": 500, "sha256": hashlib.sha256(state).hexdigest()}
    two.signed([two.made.parts[1], state, *two.made.parts[3:]], format=1, state=about)
    with pytest.raises(BadStreamError):
        overlay_maker.import_(two.user, two.file)
    assert two.left() == []


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"name": "../../etc/passwd"}, BadOverlayError),
        ({"segments": 1 << 45}, BadOverlayError),
        ({"index": {"size": 1, "raw": 1 << 40, "sha256": "0" * 64}}, BadOverlayError),
        ({"disk_pages": DISK + 1}, BadOverlayError),
        ({"base": "0" * 64}, NotFoundError),
        ({"parents": ["0" * 64]}, NotFoundError),
    ],
    ids=str,
)
def test_hostile_manifests_are_refused_whoever_signed_them(
    two: Two, change: dict[str, object], error: type[SkerryError]
) -> None:
    two.signed(list(two.made.parts[1:]), **change)
    with pytest.raises(error):
        overlay_maker.import_(two.user, two.file)
    assert two.left() == []


def test_an_index_that_points_beyond_a_source_is_refused_whoever_signed_it(two: Two) -> None:
    # No pages of the memory, one of the disk, far away: two columns of four bytes and a kind.
    raw = np.array([0, 0, 1], "<u4").tobytes() + b"\xff\xff\0\0" + b"\1" + b"\0\0\0\0"
    index = compress(raw)
    about = {"size": len(index), "raw": len(raw), "sha256": hashlib.sha256(index).hexdigest()}
    state = asdict(two.made.manifest)["state"]
    two.signed([index, two.made.parts[2]], index=about, state=state, segments=0)
    with pytest.raises(BadOverlayError, match="outside of the VM"):
        overlay_maker.import_(two.user, two.file)
    assert two.left() == []


def test_a_stranger_a_large_one_and_a_full_disk_leave_nothing(
    two: Two, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(BadOverlayError, match="are allowed"):
        overlay_maker.import_(two.user, two.file, most=100)
    (trusted,) = (two.user.root / "keys/trusted").iterdir()
    key = trusted.read_bytes()
    trusted.unlink()
    with pytest.raises(UntrustedError):
        overlay_maker.import_(two.user, two.file)
    trusted.write_bytes(key)

    def full(*_: object) -> bytes:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(overlay_maker, "range", lambda *_: full(), raising=False)
    with pytest.raises(PreflightError, match="No space left"):
        overlay_maker.import_(two.user, two.file)
    assert two.left() == []
