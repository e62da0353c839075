"""The compiled reader: by hand for each kind, and against a slow one that walks type and bytes."""

from __future__ import annotations

import math
import struct
import sys
import time
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from pybpftool.btf import types
from pybpftool.btf.decode import compile_reader
from pybpftool.btf.encode import encode_value
from pybpftool.btf.reader import read_btf
from pybpftool.btf.spec import Btf
from pybpftool.errors import BadData
from tests.btf.test_values import LIES, liar, models, nested, some_bytes
from tests.support.btf_builder import BOOL, CHAR, BtfBuilder


def read(b: BtfBuilder, type_id: int, data: bytes) -> Any:
    return compile_reader(read_btf(b.blob()), type_id).one(data)


def big_enum(b: BtfBuilder) -> int:
    return b.enum64("huge", [("LARGE", 1 << 40), ("ALL", (1 << 64) - 1)])


CASES: dict[str, tuple[Callable[[BtfBuilder], int], bytes, Any]] = {
    # name of the case: (how to build it, bytes, value); numbers in the order of x86
    "u8": (lambda b: b.int("u8", 1), b"\xff", 255),
    "s32": (lambda b: b.int("s32", 4, signed=True), b"\xfe\xff\xff\xff", -2),
    "u64": (lambda b: b.int("u64", 8), b"\xff" * 8, 2**64 - 1),
    "u128": (lambda b: b.int("u128", 16), b"\x2a" + bytes(14) + b"\x80", 0x2A | 1 << 127),
    "s128": (lambda b: b.int("s128", 16, signed=True), b"\xfe" + b"\xff" * 15, -2),
    "24 bits": (lambda b: b.int("i24", 4, bits=24), b"\x01\x02\x03\xff", 0x30201),
    "signed 5 bits": (lambda b: b.int("i5", 4, bits=5, signed=True), b"\x1e\0\0\0", -2),
    "bool": (lambda b: b.int("_Bool", 1, encoding=BOOL), b"\2", True),
    "CHAR": (lambda b: b.int("c", 1, encoding=CHAR), b"\xe9", "é"),
    "enum": (lambda b: b.enum("e", [("ONE", 1), ("UNO", 1)]), b"\1\0\0\0", "ONE"),
    "enum without that": (lambda b: b.enum("e", [("ONE", 1)]), b"\xff" * 4, 2**32 - 1),
    "signed enum": (lambda b: b.enum("e", [("NO", -1)], signed=True), b"\xff" * 4, "NO"),
    "small enum": (lambda b: b.enum("e", [("ONE", 1)], size=1), b"\xc8", 200),
    "enum64": (big_enum, b"\xff" * 8, "ALL"),
    "enum64 without that": (big_enum, b"\0\0\0\0\1\0\0\0", 1 << 32),
    "pointer": (lambda b: b.ptr(0), bytes(7) + b"\x80", 1 << 63),
    "float": (lambda b: b.float("f", 4), struct.pack("<f", 1.5), 1.5),
    "double": (lambda b: b.float("d", 8), struct.pack("<d", -math.inf), -math.inf),
    "long double": (lambda b: b.float("ld", 16), b"\x0a" + bytes(15), "0xa"),
    "void": (lambda b: b.const(0), b"", None),
    "array": (lambda b: b.array(b.int("u16", 2), 3), b"\1\0\2\0\3\0", [1, 2, 3]),
    "array of nothing": (lambda b: b.array(b.int("u16", 2), 0), b"", []),
    "array of empty structs": (lambda b: b.array(b.struct("e", 0, []), 20), b"", [{}] * 20),
    "long array": (
        lambda b: b.array(b.int("u8", 1), 300),
        bytes(range(100)) * 3,
        [*range(100)] * 3,
    ),
    "string": (lambda b: b.array(b.char(), 8), b'a "b"\0\xff\xff', 'a "b"'),
    "no string": (lambda b: b.array(b.char(), 3), b"ab\xff", [97, 98, -1]),
    "CHARs": (lambda b: b.array(b.int("c", 1, encoding=CHAR), 3), b"ab\xff", ["a", "b", "ÿ"]),
    "variable": (lambda b: b.var("v", b.int("u8", 1)), b"\7", 7),
    "section": (
        lambda b: b.datasec(
            ".bss", 5, [(b.var("v", b.int("u32", 4)), 0, 4), (b.var("w", b.int("u8", 1)), 4, 1)]
        ),
        b"\1\0\0\0\2",
        {"v": 1, "w": 2},
    ),
}

little = pytest.mark.skipif(sys.byteorder == "big", reason="its cases are in little-endian order")


@little
@pytest.mark.parametrize(("build", "data", "value"), CASES.values(), ids=CASES)
def test_each_kind(build: Callable[[BtfBuilder], int], data: bytes, value: Any) -> None:
    b = BtfBuilder()
    found = read(b, build(b), data)
    assert (found, type(found)) == (value, type(value))


@little
def test_structs_unions_and_their_members_without_names() -> None:
    b = BtfBuilder()
    u8, u16, s16 = b.int("u8", 1), b.int("u16", 2), b.int("s16", 2, signed=True)
    pair = b.struct("", 2, [("low", u8, 0), ("high", u8, 8)])
    either = b.typedef("either", b.union("", 2, [("whole", s16, 0), ("", pair, 0)]))
    outer = b.struct("outer", 6, [("first", u16, 0), ("", either, 16), ("pair", pair, 32)])
    assert read(b, outer, b"\1\0\xfe\xff\3\4") == {
        "first": 1,
        "whole": -2,
        "low": 0xFE,
        "high": 0xFF,
        "pair": {"low": 3, "high": 4},
    }


@little
def test_bit_fields() -> None:
    b = BtfBuilder()
    u32, s32 = b.int("u32", 4), b.int("s32", 4, signed=True)
    flag = b.int("_Bool", 1, encoding=BOOL)
    color = b.enum("color", [("RED", 0), ("BLUE", 5)])
    fields = [("a", u32, 0, 3), ("b", s32, 3, 5), ("c", color, 8, 3), ("d", flag, 11, 1)]
    bits = b.struct("bits", 4, [*fields, ("e", u32, 12, 0)])
    with pytest.raises(BadData):  # its last member is no bit-field and reaches beyond the struct
        read(b, bits, bytes(4))
    bits = b.struct("bits", 4, fields)
    assert read(b, bits, b"\xf7\x0d\0\0") == {"a": 7, "b": -2, "c": "BLUE", "d": True}


def test_each_value_is_an_object_of_its_own() -> None:
    b = BtfBuilder()
    empty = b.struct("outer", 0, [("inner", b.struct("inner", 0, []), 0)])
    first, second = compile_reader(read_btf(b.blob()), empty).many(b"", 2)
    first["inner"]["more"] = 1
    assert second == {"inner": {}}


@pytest.mark.parametrize(
    "name", ["'}}]", '"""', "\\", "\n", "{0}%s$", "__import__('os')", "\udc80", "日本", "a\r\nb"]
)
def test_names_from_outside_stay_names(name: str) -> None:
    b = BtfBuilder()
    raw = name.encode("utf-8", "surrogateescape")
    enum = b.enum("e", [(raw, 1)])
    outer = b.struct("outer", 8, [(raw, enum, 0), ("last", enum, 32)])
    assert read(b, outer, bytes(8)) == {name: 0, "last": 0}
    assert read(b, outer, struct.pack("=II", 1, 1)) == {name: name, "last": name}


def test_many_and_strides() -> None:
    b = BtfBuilder()
    u16 = b.int("u16", 2)
    reader = compile_reader(read_btf(b.blob()), u16)
    data = struct.pack("=HHHH", 1, 0, 2, 0)
    assert reader.many(memoryview(data), 2, 4) == [1, 2]
    assert reader.many(b"", 0) == []
    with pytest.raises(BadData):
        reader.many(data, 5)
    with pytest.raises(BadData):
        reader.many(data, 2, 1)


def test_a_struct_of_many_members() -> None:
    b = BtfBuilder()
    u8 = b.int("u8", 1)
    wide = b.struct("wide", 3000, [(f"m{n}", u8, 8 * n) for n in range(3000)])
    found = read(b, wide, bytes(n % 256 for n in range(3000)))
    assert found == {f"m{n}": n % 256 for n in range(3000)}


# ------------------------------------------------------------------ hostile types


@pytest.mark.parametrize("kind", ["struct", "array", "nameless"])
def test_depth_is_bounded(kind: str) -> None:
    if kind == "nameless":
        b = BtfBuilder()
        last = b.int("u8", 1)
        for _ in range(40):
            last = b.struct("", 1, [("", last, 0)])
    else:
        b, last = nested(40, kind)
    with pytest.raises(BadData):
        read(b, last, bytes(64))


@pytest.mark.parametrize("what", LIES)
def test_lies_are_refused_quickly(what: str) -> None:
    b, type_id = liar(what)
    btf = read_btf(b.blob())
    start = time.process_time()
    with pytest.raises(BadData):
        compile_reader(btf, type_id)
    assert time.process_time() - start < 10


@pytest.mark.parametrize("what", ["cycle", "fan"])
def test_structs_of_nameless_structs_that_never_end(what: str) -> None:
    b = BtfBuilder()
    if what == "cycle":
        itself = b.next_id
        b.struct("", 4, [("", itself, 0)])
    else:
        itself = b.int("u8", 1)
        for _ in range(25):
            itself = b.struct("", 1, [("", itself, 0), ("", itself, 0)])
    with pytest.raises(BadData):
        read(b, itself, bytes(4))


# ------------------------------------------------------------------ against the slow reader


def slow(btf: Btf, id: int, data: bytes) -> Any:
    """The value at the start of ``data``, one part after the other (little-endian)."""
    found = btf.type(btf.skip_modifiers(id, typedefs=True))
    size = getattr(found, "size", 8)
    number = int.from_bytes(data[:size], "little")
    if isinstance(found, types.Int):
        return _int(found, number >> found.bits_offset, found.nr_bits)
    if isinstance(found, types.Enum):
        return _enum(found, number, 8 * found.size)
    if isinstance(found, types.Float):
        code = {2: "<e", 4: "<f", 8: "<d"}.get(found.size)
        return struct.unpack_from(code, data)[0] if code else hex(number)
    if isinstance(found, types.Array):
        element = btf.type(btf.skip_modifiers(found.type_id))
        step = btf.size_of(found.type_id)
        values = [slow(btf, found.type_id, data[at * step :]) for at in range(found.nr_elems)]
        if isinstance(element, types.Int) and (element.encoding == CHAR or element.name == "char"):
            text, end, _ = data[: found.nr_elems].partition(b"\0")
            if end and all(0x20 <= byte < 0x7F for byte in text):
                return text.decode()
        return values
    if isinstance(found, types.Composite):
        values = {}
        for member in found.members:
            inner = btf.type(btf.skip_modifiers(member.type_id, typedefs=True))
            rest = int.from_bytes(data[: found.size], "little") >> member.bits_offset
            if member.bitfield_size and isinstance(inner, types.Int):
                value = _int(inner, rest, member.bitfield_size)
            elif member.bitfield_size and isinstance(inner, types.Enum):
                value = _enum(inner, rest, member.bitfield_size)
            else:
                value = slow(btf, member.type_id, rest.to_bytes(found.size + 16, "little"))
            if member.name or not isinstance(inner, types.Composite):
                values[member.name] = value
            else:
                values.update(value)
        return values
    assert found.kind == types.PTR
    return number


def _int(type: types.Int, number: int, bits: int) -> Any:
    number %= 1 << bits
    if type.encoding & types.SIGNED:
        return types.signed(number, bits)
    if type.encoding == BOOL:
        return number != 0
    return chr(number) if type.encoding == CHAR and bits == 8 else number


def _enum(type: types.Enum, number: int, bits: int) -> Any:
    number %= 1 << bits
    if type.signed:
        number = types.signed(number, bits)
    return next((each.name for each in type.values if each.val == number), number)


@little
@settings(max_examples=400, deadline=None)
@given(st.data())
def test_like_the_slow_reader(data: st.DataObject) -> None:
    b = BtfBuilder()
    model = data.draw(models(b))
    btf = read_btf(b.blob())
    pad, count = data.draw(st.integers(0, 8)), data.draw(st.integers(1, 3))
    stride = model.size + pad
    blob = some_bytes(data.draw(st.integers(0, 2**32)), count * stride)
    found = compile_reader(btf, model.type_id).many(blob, count, stride)
    expected = [slow(btf, model.type_id, blob[at * stride :] + bytes(16)) for at in range(count)]
    assert repr(found) == repr(expected)  # a nan is like another, and 1 is not True


@little
@settings(max_examples=400, deadline=None)
@given(st.data())
def test_what_was_read_can_be_written(data: st.DataObject) -> None:
    """Of structs whose members have names and bytes of their own; a union is written by one."""
    b = BtfBuilder()
    model = data.draw(models(b))
    btf = read_btf(b.blob())
    for id in range(1, btf.type_count):
        found = btf.type(id)
        if isinstance(found, types.Composite):
            names = {member.name for member in found.members}
            assume(found.kind == types.STRUCT and len(names) == len(found.members))
            assume("" not in names)
            whole = [each for each in found.members if not each.bitfield_size]
            assume(
                all(
                    one.bits_offset + 8 * btf.size_of(one.type_id) <= other.bits_offset
                    for one, other in pairwise(whole)
                )
            )
    reader = compile_reader(btf, model.type_id)
    value = reader.one(some_bytes(data.draw(st.integers(0, 2**32)), model.size))
    written = encode_value(btf, model.type_id, value)
    assert len(written) == model.size
    assert repr(reader.one(written)) == repr(value)
