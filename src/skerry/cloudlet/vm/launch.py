"""Becomes QEMU: as a user of its own, and without huge pages. ``launch.py UID GROUPS LAZY PROGRAM ARGUMENT...``

QEMU asks for huge pages on all guest memory. On a file that is fetched while the guest runs, Linux then reads
far more than what was touched. There is no option against it, so a system call filter answers that request
with "invalid", which QEMU takes for a kernel without huge pages.

Runs on the standard library alone, at every start of a VM.
"""

from __future__ import annotations

import ctypes
import os
import struct
import sys

_PR_SET_SECCOMP, _PR_SET_NO_NEW_PRIVS = 22, 38
_MADVISE, _MADV_HUGEPAGE, _X86_64 = 28, 14, 0xC000003E
_LOAD, _EQUAL, _RETURN = 0x20, 0x15, 0x06
_ALLOW, _EINVAL = 0x7FFF0000, 0x00050000 | 22

# Offsets are those of struct seccomp_data: number, architecture, instruction pointer, six arguments.
_FILTER = (
    (_LOAD, 0, 0, 4),
    (_EQUAL, 0, 5, _X86_64),
    (_LOAD, 0, 0, 0),
    (_EQUAL, 0, 3, _MADVISE),
    (_LOAD, 0, 0, 32),
    (_EQUAL, 0, 1, _MADV_HUGEPAGE),
    (_RETURN, 0, 0, _EINVAL),
    (_RETURN, 0, 0, _ALLOW),
)


def refuse_huge_pages() -> None:
    code = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *step) for step in _FILTER))
    program = struct.pack("@HP", len(_FILTER), ctypes.addressof(code))
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) or libc.prctl(_PR_SET_SECCOMP, 2, program, 0, 0):
        raise OSError(ctypes.get_errno(), "the system call filter was not taken")


def main() -> None:
    uid, groups, lazy, *argv = sys.argv[1:]
    if int(uid):
        os.setgroups([int(group) for group in groups.split(",")])
        os.setgid(int(uid))
        os.setuid(int(uid))
    if int(lazy):
        refuse_huge_pages()
    os.execvp(argv[0], argv)


if __name__ == "__main__":
    main()
