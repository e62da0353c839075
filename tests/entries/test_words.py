"""DATA words -> bytes (spec 3.3), or what JSON says."""

from __future__ import annotations

from typing import Any

import pytest

from pybpftool.command import Words
from pybpftool.entries.words import is_typed, read_bytes, read_typed
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


@pytest.mark.parametrize(
    ("words", "size", "has_types", "typed"),
    [
        (["{}"], 4, False, True),
        (["[1]", "2"], 4, True, True),
        (['"x"'], 1, True, True),
        (["5"], 4, True, True),
        (["RED", "value", "1"], 4, True, True),
        (["RED", "v", "1"], 4, True, True),
        (["RED", "no"], 4, True, True),
        (["5"], 4, False, False),
        (["5"], 1, True, False),
        (["5", "0", "0", "0"], 4, True, False),
        (["", "value"], 4, True, False),
        (["5", ""], 4, True, False),
        (["hex"], 4, True, False),
        (["h", "value"], 4, True, False),
        ([], 4, True, False),
    ],
)
def test_what_is_typed(words: list[str], size: int, has_types: bool, typed: bool) -> None:
    assert is_typed(Words(words), size, has_types) is typed


@pytest.mark.parametrize(
    ("word", "value"),
    [
        ('{"a": [1, -2.5, "x", null, true]}', {"a": [1, -2.5, "x", None, True]}),
        ('"5"', "5"),
        ("5", "5"),
        ("true", "true"),
        ("10.0.0.1", "10.0.0.1"),
    ],
)
def test_typed(word: str, value: Any) -> None:
    assert read_typed(Words([word]), "key") == value


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("{", "key: no JSON at character 2: Expecting property name enclosed in double quotes"),
        ('{"a": 1} x', "key: no JSON at character 10: Extra data"),
        ('{"in": {"a": 1, "b": 2, "a": 1}}', "key: 'a' is given twice"),
        ("[" * 100_000, "key: no JSON that can be read: "),
        ('{"a": ' + "1" * 5000 + "}", "key: no JSON that can be read: "),
    ],
)
def test_no_json(word: str, message: str) -> None:
    with pytest.raises(PybpftoolError) as caught:
        read_typed(Words([word]), "key")
    assert caught.value.message.startswith(message)
