"""Sizes and places of maps, as an object wants them."""

from __future__ import annotations

import mmap

import pytest

from pybpftool.loader.maps import ARENA, arena_offset, ring_size
from pybpftool.loader.spec import MapSpec

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
