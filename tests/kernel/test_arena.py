"""Arenas: their address, and what is put into them."""

from __future__ import annotations

import errno
import mmap
from collections.abc import Iterator
from typing import Any

import pytest

from pybpftool.errors import KernelError
from pybpftool.kernel import arena, calls
from pybpftool.kernel._abi import ffi
from pybpftool.kernel.syscall import Fd, lib
from pybpftool.kernel.words import MAP_TYPES
from tests.support.live import needs_kernel
from tests.support.need import kernel_lacks

MMAPABLE, SEGV_ON_FAULT = 1 << 10, 1 << 17
ADDRESS, PAGES = 1 << 44, 4
SIZE = PAGES * mmap.PAGESIZE


def made(flags: int = 0, address: int = ADDRESS) -> Fd:
    try:
        number = MAP_TYPES.index("arena")
        return calls.map_create(number, 0, 0, PAGES, "a", MMAPABLE | flags, map_extra=address)
    except KernelError as error:
        kernel_lacks("arenas", error)


@pytest.fixture
def taken() -> Iterator[int]:
    """An address where something else is."""
    where: Any = lib.mmap(ffi.NULL, SIZE, 3, 0x22, -1, 0)
    yield int(ffi.cast("intptr_t", where))
    lib.munmap(where, SIZE)


@needs_kernel
def test_contents_outlive_the_mapping() -> None:
    with made() as fd:
        arena.place(fd, ADDRESS, SIZE, b"contents", mmap.PAGESIZE)
        where: Any = lib.mmap(ffi.cast("void *", ADDRESS), SIZE, 3, 0x100001, fd.fileno(), 0)
        assert int(ffi.cast("intptr_t", where)) == ADDRESS
        assert ffi.buffer(ffi.cast("char *", where) + mmap.PAGESIZE, 9)[:] == b"contents\0"
        lib.munmap(where, SIZE)


@needs_kernel
def test_any_address() -> None:
    with made(address=0) as fd:
        arena.place(fd, 0, SIZE, b"", 0)


@needs_kernel
def test_nothing_is_mapped_over(taken: int) -> None:
    with made(address=taken) as fd, pytest.raises(KernelError) as refused:
        arena.place(fd, taken, SIZE, b"", 0)
    assert refused.value.errno == errno.EEXIST


@needs_kernel
def test_memory_that_is_not_there_is_an_error() -> None:
    with made(SEGV_ON_FAULT) as fd, pytest.raises(KernelError, match="the contents: Bad address"):
        arena.place(fd, ADDRESS, SIZE, b"contents", 0)
