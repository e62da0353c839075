"""Bytes as text: blocks, JSON arrays, and whole batches by strides (spec 3.6)."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pybpftool.output.hexdump import Strides, array, block, listing

ROW = "00 01 02 03 04 05 06 07  08 09 0a 0b 0c 0d 0e 0f"


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        (0, ""),
        (1, "00"),
        (8, ROW[:23]),
        (9, ROW[:27]),
        (16, ROW),
        (17, f"{ROW}\n10"),
        (25, f"{ROW}\n10 11 12 13 14 15 16 17  18"),
    ],
)
def test_block(size: int, expected: str) -> None:
    assert block(bytes(range(size))) == expected


@given(st.binary(max_size=100))
def test_block_holds_every_byte_in_rows_of_sixteen(data: bytes) -> None:
    rows = block(data).split("\n")
    assert bytes.fromhex(block(data)) == data
    assert all(len(row) == len(ROW) for row in rows[:-1])


@given(st.binary(max_size=40))
def test_array(data: bytes) -> None:
    assert json.loads(array(data)) == [f"0x{byte:02x}" for byte in data]


def test_array_closes_where_it_is_told() -> None:
    assert array(b"\x0f", "\n  ") == '["0x0f"\n  ]'
    assert array(b"", "\n  ") == "[]"


@given(st.lists(st.tuples(st.binary(min_size=2, max_size=2), st.binary(min_size=4, max_size=4))))
def test_strides_set_each_entry(entries: list[tuple[bytes, bytes]]) -> None:
    strides = Strides("k !! !!: ?? ??;", [("!", range(2)), ("?", [3, 0])])
    keys = b"".join(key for key, _ in entries)
    values = b"".join(value for _, value in entries)
    assert strides.fill(len(entries), (keys, 2), (values, 4)) == "".join(
        f"k {key[0]:02x} {key[1]:02x}: {value[3]:02x} {value[0]:02x};" for key, value in entries
    )
    assert strides.fill_each(len(entries), (2, 1), (keys, 2), (values, 4)) == [
        f"{key[0]:02x} {key[1]:02x}: {value[3]:02x} {value[0]:02x}" for key, value in entries
    ]


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"", ""),
        (b"a", "0000000\t61                                      | a\n"),
        (b"a\x7f\x1f", "0000000\t617f 1f                                 | a..\n"),
        (b"01234567", "0000000\t3031 3233 3435 3637                     | 01234567 \n"),
        (
            b"0123456789ABCDEF ~",
            "0000000\t3031 3233 3435 3637 3839 4142 4344 4546 | 01234567 89ABCDEF\n"
            "0000010\t207e                                    |  ~\n",
        ),
    ],
)
def test_listing(data: bytes, expected: str) -> None:
    assert listing(data) == expected
