"""Changes of a map's entries, by field."""

from __future__ import annotations

import struct
from typing import Any

import pytest

from pybpftool.btf.reader import read_btf
from pybpftool.entries.changes import Told, plain, same_shape
from pybpftool.entries.shape import Shape
from pybpftool.entries.typed import TypedEntries
from pybpftool.errors import PybpftoolError
from pybpftool.kernel import proc
from tests.support.btf_builder import BtfBuilder

B = BtfBuilder()
U32 = B.int("u32", 4)
F32 = B.float("float", 4)
VALUE = B.struct("v", 16, [("n", U32, 0), ("list", B.array(U32, 2), 32), ("f", F32, 96)])
BTF = read_btf(B.blob())
SHAPE = Shape("hash", 4, 16)
KEY = struct.pack("=I", 7)


def value(n: int, one: int, two: int, real: float = 0.5) -> bytes:
    return struct.pack("=IIIf", n, one, two, real)


CASES: list[tuple[bytes | None, bytes | None, dict[str, Any], str]] = [
    (
        None,
        value(1, 2, 3),
        {"change": "added", "key": 7, "value": {"n": 1, "list": [2, 3], "f": 0.5}},
        '+ 7  {"n":1,"list":[2,3],"f":0.5}',
    ),
    (
        value(1, 2, 3),
        None,
        {"change": "removed", "key": 7, "value": {"n": 1, "list": [2, 3], "f": 0.5}},
        '- 7  {"n":1,"list":[2,3],"f":0.5}',
    ),
    (
        value(1, 2, 3),
        value(9, 2, 4),
        {
            "change": "changed",
            "key": 7,
            "fields": [
                {"field": "value.n", "old": 1, "new": 9},
                {"field": "value.list[1]", "old": 3, "new": 4},
            ],
        },
        "~ 7  value.n: 1 -> 9, value.list[1]: 3 -> 4",
    ),
    (
        value(1, 2, 3, 0.0),
        value(1, 2, 3, -0.0),
        {"change": "changed", "key": 7, "fields": [{"field": "value.f", "old": 0.0, "new": -0.0}]},
        "~ 7  value.f: 0.0 -> -0.0",
    ),
]


@pytest.mark.parametrize(("old", "new", "record", "line"), CASES)
def test_changes(old: bytes | None, new: bytes | None, record: dict[str, Any], line: str) -> None:
    told = Told(SHAPE, TypedEntries((BTF, U32), (BTF, VALUE))).change(KEY, old, new)
    assert told == record
    assert plain(told) == line


def test_changes_of_bytes_and_of_what_has_no_name(monkeypatch: pytest.MonkeyPatch) -> None:
    told = Told(Shape("hash", 4, 1), None).change(KEY, b"\1", b"\2")
    fields = [{"field": "value_hex", "old": "01", "new": "02"}]
    assert told == {"change": "changed", "key_hex": "07000000", "fields": fields}
    assert plain(told) == "~ 07 00 00 00  value: 01 -> 02"
    monkeypatch.setattr(proc, "possible_cpus", lambda: 2)
    shape = Shape("percpu_array", 4, 4)
    told = Told(shape, None).change(KEY, bytes(16), bytes(8) + b"\1" + bytes(7))
    assert plain(told) == "~ 07 00 00 00  values[1]: 00 00 00 00 -> 01 00 00 00"
    told = Told(shape, None).change(KEY, None, bytes(16))
    assert plain(told) == "+ 07 00 00 00  [00 00 00 00, 00 00 00 00]"
    b = BtfBuilder()
    u8 = b.int("u8", 1)
    padded = b.struct("padded", 2, [("x", u8, 0)])
    typed = TypedEntries(None, (read_btf(b.blob()), padded))
    told = Told(Shape("hash", 4, 2), typed).change(KEY, b"\1\0", b"\1\1")
    assert told["fields"] == [{"field": "value", "old": "0100", "new": "0101"}]


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (Shape("hash", 8, 16), "the two have 4 and 8 bytes of key"),
        (Shape("hash", 4, 17), "the two have 16 and 17 bytes of value"),
    ],
)
def test_shapes_that_differ(other: Shape, message: str) -> None:
    with pytest.raises(PybpftoolError) as caught:
        same_shape(SHAPE, other)
    assert str(caught.value) == message
    same_shape(SHAPE, Shape("lru_hash", 4, 16))
