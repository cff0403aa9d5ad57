"""Reading base VMs of elijah-provisioning: a zip of disk, memory and the hashes of both.

Their memory was written by a modified QEMU in a form that no other resumes. The disk is taken, checked, and
booted again: the base that comes out runs on a QEMU as it is.
"""

from __future__ import annotations

import hashlib
import shutil
import xml.etree.ElementTree as ET
import zipfile
from pathlib import Path

from skerry.cloudlet.errors import BadBaseError

MANIFEST = "basevm-package.xml"
_SPACE = "{http://opencloudlet.org/xmlns/vmsynthesis/package}"
_MOST = 1 << 40


def is_package(path: Path) -> bool:
    if not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as package:
        return MANIFEST in package.namelist()


def extract_disk(path: Path, target: Path) -> None:
    """Write the disk of a package to ``target``. Raises BadBaseError when its hash is not the manifest's."""
    try:
        with zipfile.ZipFile(path) as package:
            if package.getinfo(MANIFEST).file_size > 1 << 20:
                raise ValueError("its manifest is larger than 1 MiB")
            text = package.read(MANIFEST)
            if b"<!" in text.replace(b"<!--", b""):
                raise ValueError("its manifest declares entities")
            image = ET.fromstring(text).find(f"{_SPACE}image")
            disk = image.find(f"{_SPACE}disk") if image is not None else None
            if image is None or disk is None:
                raise ValueError("its manifest names no disk")
            member = package.getinfo(disk.get("path", ""))
            if member.file_size > _MOST:
                raise ValueError("its disk is larger than 1 TiB")
            with package.open(member) as packed, target.open("wb") as out:
                shutil.copyfileobj(packed, out, 1 << 20)
    except (KeyError, ValueError, ET.ParseError, zipfile.BadZipFile) as reason:
        raise BadBaseError(path.name, reason) from None
    with target.open("rb") as file:
        if hashlib.file_digest(file, "sha256").hexdigest() != image.get("hash_value", "").lower():
            raise BadBaseError(path.name, "its disk has another hash than its manifest states")
