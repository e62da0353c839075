"""Maps as lines: what an entry's line is, what a line gives, and every line that is none."""

from __future__ import annotations

import io
import json
import struct
import zlib
from base64 import b64encode
from typing import Any

import pytest

from pybpftool.btf.reader import read_btf
from pybpftool.entries import lines as lines_module
from pybpftool.entries.lines import EntryReader, EntryWriter, Lines, header_of, read_header
from pybpftool.entries.read import Batch
from pybpftool.entries.shape import Shape
from pybpftool.entries.typed import TypedEntries
from pybpftool.errors import BadData, PybpftoolError
from pybpftool.kernel.handles import MapInfo
from tests.support.btf_builder import BtfBuilder


def types() -> tuple[bytes, int, int]:
    """u32 -> struct { u8 a; (three bytes of nothing) u32 b; }: the blob and the two ids."""
    b = BtfBuilder()
    u32, u8 = b.int("u32", 4), b.int("u8", 1)
    padded = b.struct("padded", 8, [("a", u8, 0), ("b", u32, 32)])
    return b.blob(), u32, padded


BLOB, KEY, VALUE = types()
BTF = read_btf(BLOB)
TYPED = TypedEntries((BTF, KEY), (BTF, VALUE))
HASH = Shape("hash", 4, 8, 16)


def per_cpu(shape: Shape, cpus: int = 2) -> Shape:
    shape.cpus = cpus
    shape.step = (shape.value_size + 7) & ~7
    shape.width = cpus * shape.step
    return shape


PERCPU = per_cpu(Shape("hash", 4, 5))
PERCPU_TYPED = per_cpu(Shape("hash", 4, 8))
QUEUE = Shape("queue", 0, 8)
ONE, TEN = "01000000", "0a00000005000000"


@pytest.mark.parametrize(
    ("shape", "typed", "key", "value", "line"),
    [
        (HASH, None, ONE, TEN, '{"key_hex":"01000000","value_hex":"0a00000005000000"}'),
        (HASH, TYPED, ONE, TEN, '{"key":1,"value":{"a":10,"b":5}}'),
        (HASH, TYPED, ONE, "0a01000005000000", '{"key":1,"value_hex":"0a01000005000000"}'),
        (PERCPU, None, ONE, "0102030405ffffff" * 2,
         '{"key_hex":"01000000","values_hex":["0102030405","0102030405"]}'),
        (PERCPU_TYPED, TYPED, ONE, TEN * 2, '{"key":1,"values":[{"a":10,"b":5},{"a":10,"b":5}]}'),
        (PERCPU_TYPED, TYPED, ONE, TEN + "ff" * 8,
         '{"key":1,"values_hex":["0a00000005000000","ffffffffffffffff"]}'),
        (QUEUE, TYPED, "", TEN, '{"value":{"a":10,"b":5}}'),
    ],
)  # fmt: skip
def test_lines_and_back(
    shape: Shape, typed: TypedEntries | None, key: str, value: str, line: str
) -> None:
    data = bytes.fromhex(key), bytes.fromhex(value)
    assert EntryWriter(shape, typed).one(*data) == line
    again = EntryReader(shape, typed).entry(line)
    assert again[0] == data[0]
    assert shape.values(again[1]) == shape.values(data[1])


def test_a_batch_with_one_odd_value() -> None:
    values = bytes(16) + b"\0\xff" + bytes(6)
    found = EntryWriter(HASH, TYPED).lines(Batch(bytes(12), values, 3))
    assert ["value_hex" in line for line in found] == [False, False, True]


def test_types_that_cannot_be_told_apart_are_bytes() -> None:
    b = BtfBuilder()
    u32 = b.int("u32", 4)
    twice = b.struct("twice", 8, [("x", u32, 0), ("x", u32, 32)])
    typed = TypedEntries((read_btf(b.blob()), u32), (read_btf(b.blob()), twice))
    line = EntryWriter(HASH, typed).one(bytes(4), bytes(8))
    assert json.loads(line) == {"key": 0, "value_hex": "0" * 16}


REFUSED = [
    ("nonsense", "no JSON at character 1: Expecting value"),
    ('{"key":1,"value":{}} x', "no JSON at character 22: Extra data"),
    ("[1]", "this is no object with a key and a value"),
    ('{"value":{}}', "there is no key"),
    ('{"key":1}', "there is no value"),
    ('{"key":1,"value":{},"more":1}', "'more' is more than a key and a value"),
    ('{"key":-1,"value":{}}', "key: -1 does not fit u32"),
    ('{"key":1,"value":{"c":1}}', "value: there is no field 'c'; a, b"),
    ('{"key":1,"value_hex":"0"}', "value_hex: this is no hexadecimal text"),
    ('{"key":1,"value_hex":7}', "value_hex: this is no hexadecimal text"),
    ('{"key":1,"value_hex":"00"}', "value_hex: 1 bytes where 8 belong"),
    ("[" * 100_000, "no JSON that can be read: "),
]


@pytest.mark.parametrize(("line", "message"), REFUSED)
def test_refused(line: str, message: str) -> None:
    with pytest.raises(PybpftoolError) as caught:
        EntryReader(HASH, TYPED).entry(line)
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('{"key_hex":"00000000"}', "there are no values"),
        ('{"key_hex":"00000000","values_hex":["0000000000"]}',
         "values_hex: 1 values where 2 CPUs have one each"),
        ('{"key_hex":"00000000","values_hex":["0000000000",5]}',
         "values_hex[1]: this is no hexadecimal text"),
        ('{"key":1,"values":[1,2]}', "the map has no BTF for its key: give it as bytes"),
    ],
)  # fmt: skip
def test_refused_of_per_cpu(line: str, message: str) -> None:
    with pytest.raises(PybpftoolError) as caught:
        EntryReader(PERCPU, None).entry(line)
    assert str(caught.value) == message


# ------------------------------------------------------------------ the header


class Info(MapInfo):
    def __init__(self) -> None:
        self.type, self.name, self.max_entries, self.map_flags, self.map_extra = (
            1,
            "flows",
            16,
            1,
            0,
        )
        self.key_size, self.value_size = 4, 8
        self.btf_key_type_id, self.btf_value_type_id = KEY, VALUE


def test_header() -> None:
    line = header_of(Info(), TYPED, BLOB)
    record = json.loads(line)["map"]
    assert (record["key_type"], record["value_type"]) == ("u32", "struct padded")
    header = read_header(line)
    assert header and header.typed
    assert (header.name, header.flags, header.btf) == ("flows", 1, BLOB)
    assert (header.shape.type, header.shape.key_size, header.shape.max_entries) == ("hash", 4, 16)
    assert EntryReader(header.shape, header.typed).entry('{"key":1,"value":{"a":2}}') == (
        struct.pack("=I", 1),
        b"\2" + bytes(7),
    )


def test_header_without_types() -> None:
    header = read_header(header_of(Info(), None, b""))
    assert header and header.typed is None


def packed(data: bytes) -> str:
    return b64encode(zlib.compress(data)).decode()


@pytest.mark.parametrize(
    ("record", "message"),
    [
        (5, "the header tells nothing of the map"),
        ({"type": 5}, "the header has no sound type"),
        ({"key_size": -1}, "the header has no sound key_size"),
        ({"key_size": 1 << 32}, "the header has no sound key_size"),
        ({"value_size": "8"}, "the header has no sound value_size"),
        ({"flags": True}, "the header has no sound flags"),
        ({"btf": 1}, "the header has no sound btf"),
        ({"btf": "%"}, "the header has no sound btf: "),
        ({"btf": packed(b"")[:-4]}, "the header has no sound btf: "),
        ({"btf": packed(b"no BTF")}, "BTF 'of the header': 6 bytes are less than a header of 24"),
        ({"btf": packed(bytes(2000))}, "the header has a btf of more than 1000 bytes"),
    ],
)  # fmt: skip
def test_hostile_headers(record: Any, message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lines_module, "_MOST_BTF", 1000)
    with pytest.raises(BadData) as caught:
        read_header(json.dumps({"map": record}))
    assert str(caught.value).startswith(message)


# ------------------------------------------------------------------ a file of lines


def test_lines_of_a_file() -> None:
    text = '\n  \n{"key":1,"value":{"a":1}}\r\n\n{"key":2,"value":{"a":2}}\nx\n{"key":3,"value":{}}'
    lines = Lines(io.BytesIO(text.encode()))
    assert lines.header() is None
    lines.of_entries(HASH)
    chunks = lines.entries(EntryReader(HASH, TYPED))
    numbers, keys, values = next(chunks)
    assert (numbers, len(keys), len(values)) == ([3, 5], 2, 2)
    with pytest.raises(PybpftoolError, match=r"^line 6: no JSON at character 1: Expecting value$"):
        next(chunks)
    assert Lines(io.BytesIO(b"")).header() is None


def test_no_line_is_endless(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lines_module, "_LINE", 100)
    lines = Lines(io.BytesIO(b'{"key":1,"value":{}}\n' + b" " * 200_000))
    lines.header()
    lines.of_entries(HASH)
    with pytest.raises(PybpftoolError, match=r"^line 2: it is too long for an entry$"):
        list(lines.entries(EntryReader(HASH, TYPED)))
