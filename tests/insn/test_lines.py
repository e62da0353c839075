"""Which line of source is printed before which instruction (spec 2.5)."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pybpftool.errors import BadData
from pybpftool.insn.lines import Line, in_force, read_functions, read_lines, shown


def lines_at(*offsets: int) -> list[Line]:
    """A line for each offset; they are told apart by ``line_num``."""
    return [Line(off, "x", "f.c", number, 1) for number, off in enumerate(offsets)]


CASES = {
    # offsets of the records, starts of the instructions: (slot, number of the line) shown; in force
    "none": ([], [0, 1], [], []),
    "one": ([0], [0, 1, 2], [(0, 0)], [(0, 0), (1, 0), (2, 0)]),
    "each": ([0, 1], [0, 1, 2], [(0, 0), (1, 1)], [(0, 0), (1, 1), (2, 1)]),
    "late": ([2], [0, 1, 2, 3], [(2, 0)], [(2, 0), (3, 0)]),
    "second slot": ([0, 2], [0, 1, 3], [(0, 0), (3, 1)], [(0, 0), (1, 0), (3, 1)]),
    "two at one": ([0, 0], [0, 1, 2], [(0, 1), (1, 1)], [(0, 1), (1, 1), (2, 1)]),
    "three by the third": ([1, 1, 2], [0, 2, 3, 4], [(2, 2), (3, 2), (4, 2)],
                           [(2, 2), (3, 2), (4, 2)]),
    "behind": ([9], [0, 1], [], []),
    "falling": ([0, 5, 1], [0, 1, 2, 5, 6], [(0, 0), (5, 2), (6, 2)],
                [(0, 0), (1, 0), (2, 0), (5, 2), (6, 2)]),
    "first is late": ([3, 0], [0, 1, 3, 4], [(3, 1), (4, 1)], [(3, 1), (4, 1)]),
}  # fmt: skip


@pytest.mark.parametrize(("offsets", "starts", "printed", "forced"), CASES.values(), ids=CASES)
def test_rules(
    offsets: list[int],
    starts: list[int],
    printed: list[tuple[int, int]],
    forced: list[tuple[int, int]],
) -> None:
    lines = lines_at(*offsets)
    assert [(at, line.line_num) for at, line in shown(lines, starts)] == printed
    assert [(at, line.line_num) for at, line in in_force(lines, starts)] == forced


def slowly(lines: list[Line], start: int, skipped: int) -> int | None:
    """Number of the line for an instruction, every record looked at anew."""
    found = None
    for number in range(skipped, len(lines)):
        if lines[number].insn_off > start:
            break
        found = number
    return found


@given(st.lists(st.integers(0, 12), max_size=12), st.sets(st.integers(0, 14)).map(sorted))
def test_as_the_slow_way(offsets: list[int], starts: list[int]) -> None:
    lines = lines_at(*offsets)
    printed, forced, used = [], [], 0
    for start in starts:
        number = slowly(lines, start, used)
        if number is not None:
            used += 1
            printed.append((start, number))
        number = slowly(lines, start, 0)
        if number is not None:
            forced.append((start, number))
    assert [(at, line.line_num) for at, line in shown(lines, starts)] == printed
    assert [(at, line.line_num) for at, line in in_force(lines, starts)] == forced


def test_source() -> None:
    assert Line(0, " \t\v\f\r\n  int x; ", None, 0, 0).source == "int x; "
    assert Line(0, "  ", None, 0, 0).source == ""
    assert Line(0, None, None, 0, 0).source is None


STRINGS = {0: "", 1: "int x;", 8: "main.c"}


@pytest.mark.parametrize("rec_size", [16, 20])
def test_read_lines(rec_size: int) -> None:
    more = bytes(rec_size - 16)
    data = struct.pack("=IIII", 0, 8, 1, 7 << 10 | 5) + more
    data += struct.pack("=IIII", 3, 99, 99, 0xFFFFFFFF) + more
    found = read_lines(data, rec_size, STRINGS.get)
    assert [[getattr(line, name) for name in Line.__slots__] for line in found] == [
        ["main.c", 0, "int x;", 5, 7],
        [None, 3, None, 1023, (1 << 22) - 1],
    ]


@pytest.mark.parametrize("rec_size", [8, 12])
def test_read_functions(rec_size: int) -> None:
    more = bytes(rec_size - 8)
    data = struct.pack("=II", 0, 5) + more + struct.pack("=II", 70_000, 6) + more
    assert read_functions(data, rec_size) == {0: 5, 70_000: 6}


@pytest.mark.parametrize(("size", "rec_size"), [(16, 0), (16, 15), (16, 4), (17, 16), (30, 16)])
def test_no_records(size: int, rec_size: int) -> None:
    with pytest.raises(BadData, match=f"line_info: {size} bytes are not records of {rec_size}"):
        read_lines(bytes(size), rec_size, STRINGS.get)
    with pytest.raises(BadData, match=r"func_info: 9 bytes are not records of 8"):
        read_functions(bytes(9), 8)


def test_nothing_recorded() -> None:
    """What a kernel without such records leaves: nothing, of size 0."""
    assert read_lines(b"", 0, STRINGS.get) == []
    assert read_functions(b"", 0) == {}
