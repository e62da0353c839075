"""DATA words -> bytes (spec 3.3)."""

from __future__ import annotations

import pytest

from pybpftool.command import Words
from pybpftool.entries.words import read_bytes
from pybpftool.errors import PybpftoolError


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("1 2 0x10 010", b"\x01\x02\x10\x08"),
        ("hex 1 a 0xff 10", b"\x01\x0a\xff\x10"),
        ("h 1 2 3 4", b"\x01\x02\x03\x04"),
        ("he f f f f", b"\x0f\x0f\x0f\x0f"),
        ("300 -1 256 0", b"\x2c\xff\x00\x00"),
        ("1 2 3 4 value", b"\x01\x02\x03\x04"),
    ],
)
def test_bytes(words: str, expected: bytes) -> None:
    assert read_bytes(Words(words.split()), "key", 4) == expected


def test_an_empty_word_is_the_shortest_hex() -> None:
    assert read_bytes(Words(["", "10"]), "key", 1) == b"\x10"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("1 2", "key expected 4 bytes got 2"),
        ("", "key expected 4 bytes got 0"),
        ("hex", "key expected 4 bytes got 0"),
        ("1 2 value 3", "error parsing byte: value"),
        ("1 4x", "error parsing byte: 4x"),
        ("08 1 1 1", "error parsing byte: 08"),
        ("hex 1 g", "error parsing byte: g"),
    ],
)
def test_refused(words: str, message: str) -> None:
    with pytest.raises(PybpftoolError) as caught:
        read_bytes(Words(words.split()), "key", 4)
    assert caught.value.message == message
