"""A file system of read-only files whose content comes when it comes: the kernel's FUSE protocol, spoken directly.

There is no library in between: a read is answered whenever its pages are there, by whoever brings them. After
the kernel's include/uapi/linux/fuse.h, protocol 7.31; only what a few files in one folder need.
"""

from __future__ import annotations

import array
import ctypes
import errno
import os
import shutil
import socket
import stat
import struct
import subprocess
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from skerry.common import log
from skerry.common.errors import PreflightError
from skerry.common.proc import run

_IN, _OUT = struct.Struct("<IIQQIIII"), struct.Struct("<IiQ")
_ATTR = struct.Struct("<QQQQQQIIIIIIIIII")
_READ = struct.Struct("<QQIIQII")
_LOOKUP, _FORGET, _GETATTR, _OPEN, _READ_OP, _STATFS = 1, 2, 3, 14, 15, 17
_RELEASE, _FLUSH, _INIT, _OPENDIR, _READDIR, _RELEASEDIR = 18, 25, 26, 27, 28, 29
_INTERRUPT, _DESTROY, _BATCH_FORGET = 36, 38, 42
_KEEP_CACHE, _ASYNC_READ = 2, 1
_FOREVER = 1 << 30
_MOST = 1 << 17  # bytes of a read

Reply = Callable[[bytes], None]


@dataclass(frozen=True)
class VirtualFile:
    """A file of ``size`` bytes; ``read(offset, size, reply)`` answers now or later, from any thread."""

    size: int
    read: Callable[[int, int, Reply], None]


class Mount:
    """A mount on ``folder``; ``serve`` answers the kernel until it is unmounted.

    Raises PreflightError where FUSE cannot be used.
    """

    def __init__(self, folder: Path, files: dict[str, VirtualFile]) -> None:
        self.folder = folder
        self._names = list(files)
        self._files = list(files.values())
        self._device = self._root() if os.geteuid() == 0 else self._helper()
        self._closed = False

    def _root(self) -> int:
        try:
            device = os.open("/dev/fuse", os.O_RDWR | os.O_CLOEXEC)
        except OSError as error:
            raise PreflightError(f"Cannot use FUSE: /dev/fuse: {error.strerror}.") from None
        options = f"fd={device},rootmode=40000,user_id=0,group_id=0,allow_other,max_read={_MOST}"
        libc = ctypes.CDLL(None, use_errno=True)
        # No set-user-id, no devices, no programs. Not read-only: QEMU 7.2 opens private memory for writing. Writes fail.
        flags = 2 | 4 | 8
        where = os.fsencode(self.folder)
        if libc.mount(b"skerry-cloudlet", where, b"fuse.skerry", ctypes.c_ulong(flags), options.encode()):
            os.close(device)
            raise PreflightError(f"Cannot mount a FUSE file system: {os.strerror(ctypes.get_errno())}.")
        return device

    def _helper(self) -> int:
        program = shutil.which("fusermount3") or shutil.which("fusermount")
        if not program:
            raise PreflightError("fusermount3 is not installed.", remedy="Run 'apt-get install fuse3'.")
        ours, theirs = socket.socketpair()
        with ours, theirs:
            argv = [program, "-o", f"nosuid,nodev,max_read={_MOST}", "--", str(self.folder)]
            with log.command(argv) as running:
                done = subprocess.run(
                    argv,
                    env={**os.environ, "_FUSE_COMMFD": str(theirs.fileno())},
                    pass_fds=[theirs.fileno()],
                    capture_output=True,
                    text=True,
                )
                running.ended(done.returncode, done.stderr)
            if done.returncode:
                raise PreflightError(f"Cannot mount a FUSE file system: {done.stderr.strip()}.")
            _, rights, _, _ = ours.recvmsg(16, socket.CMSG_SPACE(4))
            return array.array("i", rights[0][2])[0]

    def serve(self, threads: int = 1) -> None:
        """Answer the kernel in ``threads`` threads, until the file system is unmounted."""
        others = [threading.Thread(target=self._loop, daemon=True) for _ in range(threads - 1)]
        for thread in others:
            thread.start()
        self._loop()

    def close(self) -> None:
        """Unmount. Open files answer with errors from now on."""
        if self._closed:
            return
        self._closed = True
        unmount(self.folder)
        os.close(self._device)

    def _loop(self) -> None:
        while True:
            try:
                request = os.read(self._device, _MOST + 4096)
            except OSError as error:
                if error.errno in (errno.ENOENT, errno.EINTR, errno.EAGAIN):
                    continue
                return  # unmounted
            _, code, unique, node, _, _, _, _ = _IN.unpack_from(request)
            body = request[_IN.size :]
            try:
                self._answer(code, unique, node, body)
            except OSError as error:
                self._send(unique, b"", -(error.errno or errno.EIO))

    def _answer(self, code: int, unique: int, node: int, body: bytes) -> None:
        if code == _READ_OP:
            _, offset, size, *_ = _READ.unpack_from(body)
            file = self._file(node)
            size = max(0, min(size, file.size - offset))
            file.read(offset, size, lambda data: self._send(unique, data))
        elif code in (_FORGET, _BATCH_FORGET, _INTERRUPT):
            pass
        elif code == _INIT:
            # No reading ahead: what comes next in the file is not what the guest touches next.
            reply = struct.pack(
                "<IIIIHHIIHHI", 7, 31, 0, _ASYNC_READ, 64, 48, 4096, 1, _MOST // 4096, 0, 0
            ) + bytes(28)
            self._send(unique, reply)
        elif code == _LOOKUP:
            name = body.rstrip(b"\0").decode()
            if node != 1 or name not in self._names:
                raise OSError(errno.ENOENT, name)
            number = self._names.index(name) + 2
            self._send(
                unique, struct.pack("<QQQQII", number, 0, _FOREVER, _FOREVER, 0, 0) + self._attributes(number)
            )
        elif code == _GETATTR:
            self._send(unique, struct.pack("<QII", _FOREVER, 0, 0) + self._attributes(node))
        elif code in (_OPEN, _OPENDIR):
            self._send(unique, struct.pack("<QII", node, _KEEP_CACHE if code == _OPEN else 0, 0))
        elif code == _STATFS:
            self._send(unique, struct.pack("<QQQQQIIII", 0, 0, 0, 0, 0, 4096, 255, 4096, 0) + bytes(24))
        elif code in (_RELEASE, _FLUSH, _RELEASEDIR, _READDIR, _DESTROY):
            self._send(unique, b"")
        else:
            raise OSError(errno.ENOSYS, "not implemented")

    def _attributes(self, node: int) -> bytes:
        size = 0 if node == 1 else self._file(node).size
        mode = stat.S_IFDIR | 0o755 if node == 1 else stat.S_IFREG | 0o444
        owner = os.geteuid()
        return _ATTR.pack(node, size, -(-size // 512), 0, 0, 0, 0, 0, 0, mode, 1, owner, owner, 0, 4096, 0)

    def _file(self, node: int) -> VirtualFile:
        if not 2 <= node < len(self._files) + 2:
            raise OSError(errno.ENOENT, "no such file")
        return self._files[node - 2]

    def _send(self, unique: int, data: bytes, error: int = 0) -> None:
        try:
            os.writev(self._device, [_OUT.pack(_OUT.size + len(data), error, unique), data])
        except OSError as trouble:
            # The asker was interrupted, or the file system is gone.
            if trouble.errno not in (errno.ENOENT, errno.EBADF, errno.ENODEV):
                raise


def unmount(folder: Path) -> None:
    """Unmount whatever is on ``folder``, also when its server is gone."""
    if os.geteuid() == 0:
        libc = ctypes.CDLL(None, use_errno=True)
        libc.umount2(os.fsencode(folder), 2)  # lazily: QEMU may still hold a file
        return
    program = shutil.which("fusermount3") or shutil.which("fusermount")
    if program:
        run([program, "-u", "-z", "--", str(folder)], check=False)
