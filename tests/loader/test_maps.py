"""Sizes and places of maps, as an object wants them."""

from __future__ import annotations

import errno
import mmap
import struct
from typing import Any

import pytest

from pybpftool.errors import KernelError
from pybpftool.loader.maps import ARENA, arena_offset, jump_table, ring_size
from pybpftool.loader.spec import MapSpec
from tests.support.tape import Tape, memory, new_fd

PAGE = mmap.PAGESIZE


@pytest.mark.parametrize(
    ("length", "far", "pages"), [(0, True, 0), (5, False, 0), (5, True, 9), (PAGE + 1, True, 8)]
)
def test_variables_are_in_the_last_pages_of_an_arena(length: int, far: bool, pages: int) -> None:
    wanted = MapSpec("memory", ".maps", ARENA)
    wanted.max_entries = 10
    wanted.contents = bytes(length)
    assert arena_offset(wanted, lambda word: far) == pages * PAGE


@pytest.mark.parametrize(
    ("wanted", "size"),
    [
        *((1, PAGE), (PAGE, PAGE), (PAGE + 1, 2 * PAGE), (3 * PAGE, 4 * PAGE)),
        *((0, 0), ((1 << 31) - 1, 1 << 31), ((1 << 31) + PAGE, (1 << 31) + PAGE)),
    ],
)
def test_ring_buffers_are_powers_of_two(wanted: int, size: int) -> None:
    assert ring_size(wanted) == size


def test_a_table_of_jumps_is_filled_and_frozen() -> None:
    entries = []

    def update(arm: Any) -> int:
        entries.append(struct.unpack("=I", bytes(memory(arm.key, 4))))
        entries.append(struct.unpack("=4I", bytes(memory(arm.value, 16))))
        return 0

    with Tape(MAP_CREATE=lambda arm: new_fd(), MAP_UPDATE_ELEM=update, MAP_FREEZE=0) as tape:
        jump_table([7, 9]).close()
    assert entries == [(0,), (7, 0, 0, 0), (1,), (9, 0, 0, 0)]
    assert tape.calls[-1] == "MAP_FREEZE"


def test_a_kernel_without_tables_of_jumps() -> None:
    with Tape(MAP_CREATE=-errno.EINVAL), pytest.raises(KernelError, match="jumptables"):
        jump_table([7])
