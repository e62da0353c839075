"""The memory of a map of type arena, which programs share with who maps it.

Source: linux/bpf.h, mmap(2).
"""

from __future__ import annotations

import os
from operator import index

from ..errors import KernelError
from ._abi import ffi
from .syscall import lib

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import SupportsIndex

_READ_WRITE = 1 | 2
_SHARED, _FIXED_NOREPLACE = 1, 0x100000
_FAILED = -1


def place(arena: SupportsIndex, address: int, size: int, contents: bytes, offset: int) -> None:
    """Give an arena its address, which programs are verified against, and some contents.

    ``address``: the one it was created for, or 0 for any; ``size``: of the whole, in bytes;
    ``contents`` go to ``offset``.  Both outlive the mapping made here.  Raises KernelError.
    Since Linux 6.9.
    """
    flags = _SHARED | (_FIXED_NOREPLACE if address else 0)
    where = lib.mmap(ffi.cast("void *", address), size, _READ_WRITE, flags, index(arena), 0)
    if int(ffi.cast("intptr_t", where)) == _FAILED:
        raise KernelError(ffi.errno, f"mmap of {size} bytes")
    try:
        if contents:
            _copy(contents, ffi.buffer(ffi.cast("char *", where) + offset, len(contents)))
    finally:
        lib.munmap(where, size)


def _copy(contents: bytes, room: object) -> None:
    """By way of the kernel: memory that it will not give is then an error, not a dead process."""
    fd = os.memfd_create("contents")
    try:
        with open(fd, "wb", closefd=False) as file:
            file.write(contents)
        done = os.preadv(fd, [room], 0)  # type: ignore[list-item]  # a writable buffer of cffi
    except OSError as error:
        raise KernelError(error.errno or 0, "the contents") from error
    finally:
        os.close(fd)
    if done < len(contents):
        raise KernelError(14, "the contents")
