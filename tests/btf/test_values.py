"""The compiled value printer: by hand for each kind, and against a slow printer of its own.

The slow printer (``Model``) never sees BTF: it knows the type it described to the builder and
takes the bytes apart one by one.
"""

from __future__ import annotations

import json as json_module
import math
import random
import struct
import time
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pybpftool.btf import compiled
from pybpftool.btf.reader import read_btf
from pybpftool.btf.values import compile_entries, compile_value
from pybpftool.errors import BadData
from tests.support.btf_builder import BOOL, CHAR, SIGNED, BtfBuilder


def show(
    b: BtfBuilder, type_id: int, data: bytes, *, json: bool = False, pretty: bool = False
) -> str:
    return compile_value(read_btf(b.blob()), type_id, json=json, pretty=pretty).one(data)


# ------------------------------------------------------------------ each kind by hand

SCALARS = {
    # name of the case: (how to build it, bytes, plain text, JSON text)
    "u8": (lambda b: b.int("u8", 1), b"\xff", "255", "255"),
    "u16": (lambda b: b.int("u16", 2), b"\xfe\xff", "65534", "65534"),
    "u32": (lambda b: b.int("u32", 4), b"\xff" * 4, "4294967295", "4294967295"),
    "u64": (lambda b: b.int("u64", 8), b"\xff" * 8, str(2**64 - 1), str(2**64 - 1)),
    "s8": (lambda b: b.char(), b"\xff", "-1", "-1"),
    "s16": (lambda b: b.int("s16", 2, signed=True), b"\xfe\xff", "-2", "-2"),
    "s32": (lambda b: b.int("s32", 4, signed=True), b"\0\0\0\x80", str(-(2**31)), str(-(2**31))),
    "s64": (lambda b: b.int("s64", 8, signed=True), b"\xff" * 8, "-1", "-1"),
    "u128 small": (lambda b: b.int("u128", 16), b"\x2a" + bytes(15), "0x2a", '"0x2a"'),
    "u128 zero": (lambda b: b.int("u128", 16), bytes(16), "0x0", '"0x0"'),
    "s128": (
        lambda b: b.int("s128", 16, signed=True),
        bytes(8) + b"\xff" * 8,
        "0x" + "f" * 16 + "0" * 16,
        '"0x' + "f" * 16 + "0" * 16 + '"',
    ),
    "24 bits": (lambda b: b.int("i24", 4, bits=24), b"\x01\x02\x03\xff", "0x30201", '"0x30201"'),
    "5 bits": (lambda b: b.int("i5", 4, bits=5), b"\xff" * 4, "0x1f", '"0x1f"'),
    "8 bits at 4": (
        lambda b: b.int("i8", 4, bits=8, bits_offset=4),
        b"\xf1\x0e\0\0",
        "0xef",
        '"0xef"',
    ),
    "0 bits": (lambda b: b.int("i0", 4, bits=0), b"\xff" * 4, "0x0", '"0x0"'),
    "u8 in u32": (lambda b: b.int("narrow", 4, bits=8), b"\x07\xff\xff\xff", "7", "7"),
    "char": (lambda b: b.int("c", 1, encoding=CHAR), b"x", '"x"', '"x"'),
    "char quote": (lambda b: b.int("c", 1, encoding=CHAR), b'"', r'"\""', r'"\""'),
    "char backslash": (lambda b: b.int("c", 1, encoding=CHAR), b"\\", r'"\\"', r'"\\"'),
    "char tab": (lambda b: b.int("c", 1, encoding=CHAR), b"\t", "0x9", r'"\u0009"'),
    "char high": (lambda b: b.int("c", 1, encoding=CHAR), b"\x81", "0x81", r'"\u0081"'),
    "char nul": (lambda b: b.int("c", 1, encoding=CHAR), b"\0", "0x0", r'"\u0000"'),
    "bool": (lambda b: b.int("bool", 1, encoding=BOOL), b"\x01", "true", "true"),
    "bool 2": (lambda b: b.int("bool", 1, encoding=BOOL), b"\x02", "true", "true"),
    "not": (lambda b: b.int("bool", 1, encoding=BOOL), b"\x00", "false", "false"),
    "unknown encoding": (lambda b: b.int("odd", 4, encoding=8), b"\x05\0\0\0", "5", "5"),
    "two encodings": (lambda b: b.int("odd", 1, encoding=SIGNED | CHAR), b"\xff", "-1", "-1"),
    "pointer": (lambda b: b.ptr(), b"\xef\xbe" + bytes(6), '"0xbeef"', "48879"),
    "null": (lambda b: b.ptr(), bytes(8), '"(nil)"', "0"),
    "double": (lambda b: b.float("double", 8), struct.pack("<d", 0.1), "0.1", "0.1"),
    "double big": (lambda b: b.float("double", 8), struct.pack("<d", 1e300), "1e+300", "1e+300"),
    "float": (lambda b: b.float("float", 4), struct.pack("<f", 0.1), "0.1", "0.1"),
    "float whole": (lambda b: b.float("float", 4), struct.pack("<f", -3.0), "-3.0", "-3.0"),
    "float most": (
        lambda b: b.float("float", 4),
        b"\xff\xff\x7f\x7f",
        "3.4028235e+38",
        "3.4028235e+38",
    ),
    "float least": (lambda b: b.float("float", 4), b"\x01\0\0\0", "1e-45", "1e-45"),
    "half": (lambda b: b.float("half", 2), struct.pack("<e", 0.1), "0.1", "0.1"),
    "half most": (lambda b: b.float("half", 2), b"\xff\x7b", "65500.0", "65500.0"),
    "nan": (lambda b: b.float("double", 8), struct.pack("<d", math.nan), '"nan"', '"nan"'),
    "inf": (lambda b: b.float("float", 4), struct.pack("<f", math.inf), '"inf"', '"inf"'),
    "-inf": (lambda b: b.float("half", 2), struct.pack("<e", -math.inf), '"-inf"', '"-inf"'),
    "long double": (
        lambda b: b.float("long double", 16),
        b"\x01" + bytes(14) + b"\x02",
        '"0x2' + "0" * 28 + '01"',
        '"0x2' + "0" * 28 + '01"',
    ),
    "huge double": (
        lambda b: b.float("double", 1 << 31),
        bytes(1),
        '"(unsupported-kind)"',
        '"(unsupported-kind)"',
    ),
    "enum": (lambda b: b.enum("e", [("A", 0), ("B", 1)]), b"\1\0\0\0", '"B"', '"B"'),
    "enum first": (lambda b: b.enum("e", [("A", 1), ("B", 1)]), b"\1\0\0\0", '"A"', '"A"'),
    "enum other": (lambda b: b.enum("e", [("A", 0)]), b"\xfe\xff\xff\xff", "-2", "-2"),
    "enum unsigned": (
        lambda b: b.enum("e", [("ALL", 0xFFFFFFFF)]),
        b"\xff" * 4,
        '"ALL"',
        '"ALL"',
    ),
    "enum byte": (lambda b: b.enum("e", [("A", 200)], size=1), b"\xc8", "-56", "-56"),
    "enum byte signed": (
        lambda b: b.enum("e", [("A", -56)], size=1, signed=True),
        b"\xc8",
        '"A"',
        '"A"',
    ),
    "enum wide": (lambda b: b.enum("e", [("A", 7)], size=8), b"\7" + bytes(7), '"A"', '"A"'),
    "enum odd size": (
        lambda b: b.enum("e", [("A", 7)], size=3),
        bytes(3),
        '"(unsupported-kind)"',
        '"(unsupported-kind)"',
    ),
    "enum64": (lambda b: b.enum64("e", [("A", 2**64 - 1)]), b"\xff" * 8, '"A"', '"A"'),
    "enum64 signed": (
        lambda b: b.enum64("e", [("A", -1)], signed=True),
        b"\xff" * 8,
        '"A"',
        '"A"',
    ),
    "enum64 other": (
        lambda b: b.enum64("e", [("A", 1)]),
        bytes(7) + b"\x80",
        str(-(2**63)),
        str(-(2**63)),
    ),
    "enum name": (lambda b: b.enum("e", [('a"\n', 0)]), bytes(4), r'"a\"\n"', r'"a\"\n"'),
    "modifiers": (
        lambda b: b.const(b.volatile(b.restrict(b.typedef("t", b.type_tag("x", b.int()))))),
        b"\1\0\0\0",
        "1",
        "1",
    ),
    "void": (lambda b: b.const(0), b"", '"(unknown)"', '"(unknown)"'),
    "fwd": (lambda b: b.fwd("f"), b"", '"(fwd-kind-invalid)"', '"(fwd-kind-invalid)"'),
    "function": (
        lambda b: b.func_proto(0),
        b"",
        '"(unsupported-kind)"',
        '"(unsupported-kind)"',
    ),
}


@pytest.mark.parametrize(("build", "data", "plain", "json"), SCALARS.values(), ids=SCALARS)
def test_scalars(build: Callable[[BtfBuilder], int], data: bytes, plain: str, json: str) -> None:
    for order in ("little", "big"):  # of the BTF; the data is this machine's
        b = BtfBuilder(order)
        type_id = build(b)
        for pretty in (False, True):
            assert show(b, type_id, data, pretty=pretty) == plain
            assert show(b, type_id, data, json=True, pretty=pretty) == json
    json_module.loads(json)


TEXTS = {
    b"abc\0": '"abc"',
    b"\0abc": '""',
    b" ~\0\xff": '" ~"',
    b'a"\\\0': r'"a\"\\"',
    b"abcd": "[97,98,99,100]",
    b"ab\x1f\0": "[97,98,31,0]",
    b"ab\x7f\0": "[97,98,127,0]",
    b"ab\xe4\0": "[97,98,-28,0]",
}


@pytest.mark.parametrize(("data", "text"), TEXTS.items())
def test_char_arrays(data: bytes, text: str) -> None:
    b = BtfBuilder()
    array = b.array(b.const(b.type_tag("x", b.char())), 4)
    assert show(b, array, data) == show(b, array, data, json=True) == text


def test_what_is_a_char_array() -> None:
    def element(make: Callable[[BtfBuilder], int]) -> str:
        b = BtfBuilder()
        return show(b, b.array(make(b), 2), b"a\0", json=True)

    assert element(lambda b: b.int("anything", 1, encoding=CHAR)) == '"a"'
    assert element(lambda b: b.int("char", 1)) == '"a"'
    assert element(lambda b: b.int("unsigned char", 1)) == "[97,0]"
    assert element(lambda b: b.typedef("mychar", b.char())) == "[97,0]"
    b = BtfBuilder()
    array = b.array(b.int("c", 1, encoding=CHAR), 3)
    assert show(b, array, b"a\x81\x02") == '["a",0x81,0x2]'
    assert show(b, array, b"a\x81\x02", json=True) == r'["a","\u0081","\u0002"]'
    assert show(b, array, b"a\x81\x02", pretty=True) == '["a",0x81,0x2\n]'
    b = BtfBuilder()
    assert show(b, b.array(b.char(), 0), b"") == "[]"


def test_arrays() -> None:
    b = BtfBuilder()
    u16 = b.int("u16", 2)
    small, large = b.array(u16, 3), b.array(u16, 100)
    square = b.array(small, 2)
    empty = b.struct("empty", 0, [])
    cases = {
        small: "[0,1,2]",
        large: f"[{','.join(map(str, range(100)))}]",
        square: "[[0,1,2],[3,4,5]]",
        b.array(small, 0): "[]",
        b.array(b.array(u16, 0), 2): "[[],[]]",
        b.array(empty, 3): "[{},{},{}]",
        b.array(0, 2): '["(unknown)","(unknown)"]',
        b.array(b.ptr(), 1): '["0x3000200010000"]',
    }
    data = struct.pack("<100H", *range(100))
    for array, text in cases.items():
        assert show(b, array, data) == text
    assert show(b, square, data, pretty=True) == "[[0,1,2\n    ],[3,4,5\n    ]\n]"


def test_structs_and_unions() -> None:
    b = BtfBuilder()
    u8, u32 = b.int("u8", 1), b.int("u32", 4)
    union = b.union("", 4, [("word", u32, 0), ("bytes", b.array(u8, 4), 0)])
    outer = b.struct("s", 12, [("a", u8, 0), ("", union, 32), ("e", b.struct("", 0, []), 64)])
    data = b"\x01\xff\xff\xff\x04\x03\x02\x01\xff\xff\xff\xff"
    assert show(b, outer, data) == '{"a":1,"":{"word":16909060,"bytes":[4,3,2,1]},"e":{}}'
    assert (
        show(b, outer, data, json=True, pretty=True)
        == """{
    "a": 1,
    "": {
        "word": 16909060,
        "bytes": [4,3,2,1
        ]
    },
    "e": {}
}"""
    )


def test_bit_fields() -> None:
    b = BtfBuilder()
    s32, long = b.int("int", 4, signed=True), b.int("long", 8)
    enum = b.enum("e", [("A", 0), ("B", 1)])
    new = b.struct(
        "new",
        8,
        [
            ("a", s32, 0, 3),
            ("b", enum, 3, 5),
            ("c", long, 8, 40),
            ("d", u := b.int("u8", 1), 48, 0),
        ],
    )
    i3, i5, i9 = (b.int(f"i{bits}", 4, bits=bits) for bits in (3, 5, 9))
    old = b.struct(
        "old", 4, [("a", i3, 0), ("b", i5, 3), ("c", i9, 8), ("d", b.typedef("t", u), 20)]
    )
    data = bytes([0b10101011, 0x21, 0x43, 0x65, 0x87, 0xA9, 7, 0])
    assert show(b, new, data) == '{"a":0x3,"b":0x15,"c":0xa987654321,"d":7}'
    assert show(b, new, data, json=True) == '{"a":"0x3","b":"0x15","c":"0xa987654321","d":7}'
    # An ordinary INT that begins inside a byte is a bit-field, too.
    assert show(b, old, data) == '{"a":0x3,"b":0x15,"c":0x121,"d":0x54}'


def test_variables_and_sections() -> None:
    b = BtfBuilder()
    u32 = b.int("u32", 4)
    first, second = b.var("first", u32), b.var("second", b.struct("s", 4, [("a", u32, 0)]))
    section = b.datasec(".data", 12, [(second, 4, 4), (first, 0, 4)])
    empty = b.datasec(".bss", 0, [])
    data = struct.pack("<3I", 1, 2, 3)
    assert show(b, first, data) == '{"first":1}'
    assert show(b, section, data, json=True) == '{".data":[{"second":{"a":2}},{"first":1}]}'
    assert show(b, empty, b"") == '{".bss":[]}'
    assert (
        show(b, section, data, pretty=True)
        == """{
    ".data": [{
            "second": {
                "a": 2
            }
        },{
            "first": 1
        }
    ]
}"""
    )


def test_the_rest_stays_after_what_bpftool_cannot_print() -> None:
    b = BtfBuilder()
    u32 = b.int("u32", 4)
    struct_ = b.struct(
        "s", 12, [("f", b.float("float", 4), 0), ("w", b.fwd("w"), 32), ("a", u32, 64)]
    )
    text = show(b, struct_, struct.pack("<fII", 1.5, 0, 7))
    assert text == '{"f":1.5,"w":"(fwd-kind-invalid)","a":7}'


def test_names_from_outside_stay_names() -> None:
    names = [
        '"', "\\", "{0}", "{", "}}", "'", '"""', "%s", "$", "\n", "\x01", "ä", "\udcff", "\u2028",
        "{__import__('os').abort()}", "' + 1 + '",
    ]  # fmt: skip
    b = BtfBuilder()
    u8 = b.int("u8", 1)
    enum = b.enum("e", [(name, number) for number, name in enumerate(names)], size=1)
    members = [(name, u8, 8 * number) for number, name in enumerate(names)]
    struct_ = b.struct("s", len(names), members)
    array = b.array(enum, len(names))
    data = bytes(range(len(names)))
    assert json_module.loads(show(b, array, data, json=True)) == names
    for pretty in (False, True):
        told = json_module.loads(show(b, struct_, data, json=True, pretty=pretty))
        assert told == {name: number for number, name in enumerate(names)}
    var = b.var("{x}", u8)
    assert show(b, var, b"\1") == '{"{x}":1}'


def test_big_endian_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiled, "_ORDER", "big")
    monkeypatch.setattr(compiled, "MARK", ">")
    b = BtfBuilder("big")
    u16 = b.int("u16", 2)
    union = b.union("u", 2, [("w", u16, 0), ("c", b.int("u8", 1), 0)])
    struct_ = b.struct(
        "s", 6, [("w", u16, 0, 0), ("a", u16, 16, 3), ("b", u16, 19, 9), ("u", union, 32, 0)]
    )
    data = bytes([1, 2, 0b101_00000, 0b0011_0000, 3, 4])
    assert show(b, struct_, data) == '{"w":258,"a":0x5,"b":0x3,"u":{"w":772,"c":3}}'
    assert show(b, b.int("u128", 16), bytes(15) + b"\7") == "0x7"


# ------------------------------------------------------------------ many, strides, entries


def test_many_and_strides() -> None:
    b = BtfBuilder()
    u16 = b.int("u16", 2)
    btf = read_btf(b.blob())
    printer = compile_value(btf, u16, json=False, pretty=False)
    assert printer.size == 2
    data = struct.pack("<6H", *range(6))
    assert printer.many(data, 6) == ["0", "1", "2", "3", "4", "5"]
    assert printer.many(data, 2) == ["0", "1"]
    assert printer.many(data, 3, 4) == ["0", "2", "4"]
    assert printer.many(data, 0) == []
    assert printer.one(memoryview(data)[4:]) == "2"
    for bad in (lambda: printer.many(data, 7), lambda: printer.many(data, 4, 4)):
        with pytest.raises(BadData, match="12 bytes are less than"):
            bad()
    with pytest.raises(BadData, match="values of 1 bytes are shorter than their type"):
        printer.many(data, 2, 1)
    with pytest.raises(BadData):
        printer.one(b"\0")


def entries_type() -> tuple[BtfBuilder, int, int]:
    b = BtfBuilder()
    u32 = b.int("u32", 4)
    value = b.struct("v", 12, [("a", u32, 0), ("c", b.array(b.char(), 8), 32)])
    return b, u32, value


KEYS = struct.pack("<2I", 1, 2)
VALUES = struct.pack("<I8sI8s", 3, b"x", 4, b"y")


def test_entries() -> None:
    b, u32, value = entries_type()
    btf = read_btf(b.blob())
    both = compile_entries((btf, u32), (btf, value), json=False, pretty=False)
    assert (both.key_size, both.value_size) == (4, 12)
    assert both.many(KEYS, VALUES, 2) == [
        '{"key":1,"value":{"a":3,"c":"x"}}',
        '{"key":2,"value":{"a":4,"c":"y"}}',
    ]
    assert both.many(KEYS, VALUES, 1, key_stride=8, value_stride=24) == [
        '{"key":1,"value":{"a":3,"c":"x"}}'
    ]
    only = compile_entries(None, (btf, value), json=True, pretty=False)
    assert only.many(b"", VALUES, 2)[1] == '{"value":{"a":4,"c":"y"}}'
    only = compile_entries((btf, u32), None, json=True, pretty=True)
    assert only.many(KEYS, b"", 2)[1] == '{\n    "key": 2\n}'
    none = compile_entries(None, None, json=True, pretty=True)
    assert none.many(b"", b"", 2) == ["{}", "{}"]


def test_pretty_entries_in_an_array() -> None:
    b, u32, value = entries_type()
    btf = read_btf(b.blob())
    entries = compile_entries((btf, u32), (btf, value), json=False, pretty=True, depth=1)
    text = "[" + ",".join(entries.many(KEYS, VALUES, 2)) + "\n]"
    assert (
        text
        == """[{
        "key": 1,
        "value": {
            "a": 3,
            "c": "x"
        }
    },{
        "key": 2,
        "value": {
            "a": 4,
            "c": "y"
        }
    }
]"""
    )


def test_entries_with_their_bytes() -> None:
    b, u32, value = entries_type()
    btf = read_btf(b.blob())
    head = ['"key":["0x', '"],"value":["0x', '"]']
    compact = compile_entries((btf, u32), (btf, value), json=True, pretty=False, head=head)
    texts = [["01", "02"], ["0a", "0b"]]
    assert compact.many(KEYS, VALUES, 2, texts) == [
        '{"key":["0x01"],"value":["0x0a"],"formatted":{"key":1,"value":{"a":3,"c":"x"}}}',
        '{"key":["0x02"],"value":["0x0b"],"formatted":{"key":2,"value":{"a":4,"c":"y"}}}',
    ]
    head = ['\n        "key": [', "\n        ]"]
    pretty = compile_entries((btf, u32), None, json=True, pretty=True, depth=1, head=head)
    assert (
        pretty.many(KEYS, b"", 2, [["1", "2"]])[1]
        == """{
        "key": [2
        ],
        "formatted": {
            "key": 2
        }
    }"""
    )


def test_entries_of_two_btfs() -> None:
    first, second = BtfBuilder(), BtfBuilder()
    first.int("u8", 1)
    second.int("s8", 1, signed=True)
    key, value = read_btf(first.blob()), read_btf(second.blob())
    entries = compile_entries((key, 1), (value, 1), json=True, pretty=False)
    assert entries.many(b"\xff", b"\xff", 1) == ['{"key":255,"value":-1}']


def test_per_cpu_entries() -> None:
    b, u32, value = entries_type()
    btf = read_btf(b.blob())
    entries = compile_entries((btf, u32), (btf, value), json=True, pretty=False, cpus=2)
    assert entries.value_size == 32
    data = b"".join(struct.pack("<I8s4x", number, b"n") for number in range(4))
    assert entries.many(KEYS, data, 2)[1] == (
        '{"key":2,"values":[{"cpu":0,"value":{"a":2,"c":"n"}},{"cpu":1,"value":{"a":3,"c":"n"}}]}'
    )
    entries = compile_entries(None, (btf, value), json=False, pretty=True, depth=1, cpus=1)
    assert (
        entries.many(b"", data, 1)[0]
        == """{
        "values": [{
                "cpu": 0,
                "value": {
                    "a": 0,
                    "c": "n"
                }
            }
        ]
    }"""
    )
    empty = b.struct("empty", 0, [])
    btf = read_btf(b.blob())
    entries = compile_entries(None, (btf, empty), json=True, pretty=False, cpus=2)
    assert entries.many(b"", b"", 1) == ['{"values":[{"cpu":0,"value":{}},{"cpu":1,"value":{}}]}']


def test_function_pointers() -> None:
    b = BtfBuilder()
    proto = b.func_proto(0)
    struct_ = b.struct(
        "ops", 24, [("f", b.ptr(proto), 0), ("g", b.ptr(b.const(proto)), 64), ("p", b.ptr(), 128)]
    )
    btf = read_btf(b.blob())
    data = struct.pack("<3Q", 5, 0, 6)

    def ask(_btf: object, type_id: int, value: int) -> str | None:
        assert type_id == proto
        return f'void ("{value}")' if value else None

    plain = compile_value(btf, struct_, json=False, pretty=False, pointer=ask)
    assert plain.one(data) == r'{"f":"void (\"5\")","g":"(nil)","p":"0x6"}'
    json = compile_value(btf, struct_, json=True, pretty=False, pointer=ask)
    assert json.one(data) == r'{"f":"void (\"5\")","g":0,"p":6}'


# ------------------------------------------------------------------ types that lie


def nested(levels: int, kind: str) -> tuple[BtfBuilder, int]:
    b = BtfBuilder()
    last = b.int("u8", 1)
    for _ in range(levels):
        if kind == "array":
            last = b.array(last, 1)
        elif kind == "typedef":
            last = b.typedef("t", last)
        else:
            last = b.struct("s", 1, [("m", last, 0)])
    return b, last


@pytest.mark.parametrize("kind", ["array", "typedef", "struct"])
def test_depth_is_bounded(kind: str) -> None:
    b, last = nested(25, kind)
    assert "7" in show(b, last, b"\7")
    for levels in (40, 3000):
        b, last = nested(levels, kind)
        with pytest.raises(BadData):
            show(b, last, b"\7")


def liar(what: str) -> tuple[BtfBuilder, int]:
    """A type that must be refused before its text is made."""
    b = BtfBuilder()
    u8, u64 = b.int("u8", 1), b.int("u64", 8)
    if what == "member past the end":
        return b, b.struct("s", 8, [("a", u64, 8)])
    if what == "bits past the end":
        return b, b.struct("s", 1, [("a", u8, 4, 5)])
    if what == "struct past the end":
        return b, b.struct("s", 4, [("a", b.struct("t", 8, []), 0)])
    if what == "array past the end":
        return b, b.struct("s", 4, [("a", b.array(u8, 5), 0)])
    if what == "section past the end":
        return b, b.datasec(".bss", 4, [(b.var("v", u64), 0, 4)])
    if what == "int wider than its size":
        return b, b.array(b.int("odd", 1, bits=64), 4)
    if what == "struct in itself":
        return b, b.struct("s", 8, [("a", b.next_id, 0)])
    if what == "array of itself":
        return b, b.array(b.next_id, 1)
    if what == "many nothings":
        return b, b.array(b.struct("e", 0, []), 0xFFFFFFFF)
    if what == "many arrays of nothings":
        last = b.struct("e", 0, [])
        for _ in range(10):
            last = b.array(last, 60)
        return b, last
    last = b.struct("e", 0, []) if what == "unions of nothing" else u8
    if what == "long names":
        last = b.union("u", 1, [("n" * 500, u8, 0)] * 3000)
    else:
        for _ in range(20):
            last = b.union("u", 1, [("m", last, 0)] * 8)
    return b, last


LIES = [
    *("member past the end", "bits past the end", "struct past the end", "array past the end"),
    *("section past the end", "int wider than its size", "struct in itself", "array of itself"),
    *("many nothings", "many arrays of nothings", "unions of nothing", "unions", "long names"),
]


@pytest.mark.parametrize("what", LIES)
def test_lies_are_refused_quickly(what: str) -> None:
    b, type_id = liar(what)
    btf = read_btf(b.blob())
    start = time.process_time()
    for json in (False, True):
        with pytest.raises(BadData):
            compile_value(btf, type_id, json=json, pretty=True)
    assert time.process_time() - start < 10


def test_one_huge_enum_for_many_members_is_read_once() -> None:
    b = BtfBuilder()
    enum = b.enum("e", [(f"A{number}", number) for number in range(20_000)])
    struct_ = b.struct("s", 4000, [("m", enum, 32 * number) for number in range(1000)])
    start = time.process_time()
    assert show(b, struct_, bytes(4000)).count('"A0"') == 1000
    assert time.process_time() - start < 5


def test_huge_types_need_huge_data() -> None:
    b = BtfBuilder()
    last = b.int("u8", 1)
    for _ in range(10):
        last = b.array(last, 0xFFFFFFFF)
    printer = compile_value(read_btf(b.blob()), last, json=False, pretty=False)
    with pytest.raises(BadData, match="bytes are less than"):
        printer.one(bytes(100))
    assert printer.many(bytes(100), 0) == []


def test_wide_struct() -> None:
    b = BtfBuilder()
    u8 = b.int("u8", 1)
    wide = b.struct("s", 5000, [(f"m{number}", u8, 8 * number) for number in range(5000)])
    btf = read_btf(b.blob())
    data = bytes(number % 256 for number in range(5000))
    told = json_module.loads(compile_value(btf, wide, json=True, pretty=False).one(data))
    assert told == {f"m{number}": number % 256 for number in range(5000)}
    head = ['"x":"', '"']
    entries = compile_entries((btf, u8), (btf, wide), json=True, pretty=False, head=head)
    told = json_module.loads(entries.many(b"\7\x08", data + data, 2, [["p", "q"]])[1])
    assert (told["x"], told["formatted"]["key"]) == ("q", 8)
    assert told["formatted"]["value"]["m4999"] == 4999 % 256


# ------------------------------------------------------------------ against the slow printer

Node = str | list


class Model:
    """A type as the builder was told of it: its id, its size, and the text of a value.

    ``read(number, width, json)``: the node for the value in the low bits of ``number``: a text,
    ``["[", node…]`` or ``["{", (key, node)…]``.
    """

    def __init__(self, type_id: int, size: int, read: Callable[[int, bool], Node]) -> None:
        self.type_id = type_id
        self.size = size
        self.read = read


def lay(node: Node, pretty: bool, depth: int) -> str:
    if isinstance(node, str):
        return node
    opening, *items = node
    closing_ = {"[": "]", "{": "}"}[opening]
    texts = []
    for item in items:
        if opening == "[":
            texts.append(lay(item, pretty, depth + 1))
        else:
            key, inner = item
            start = "\n" + "    " * (depth + 1) if pretty else ""
            between = ": " if pretty else ":"
            texts.append(start + f'"{key}"' + between + lay(inner, pretty, depth + 1))
    end = "\n" + "    " * depth if pretty and items else ""
    return opening + ",".join(texts) + end + closing_


def hexed(number: int, json: bool) -> str:
    return f'"{number:#x}"' if json else f"{number:#x}"


def signed(number: int, bits: int) -> int:
    return number - (1 << bits) if number >> (bits - 1) & 1 else number


def low(number: int, bits: int) -> int:
    return number % (1 << bits)


def an_int(draw: st.DrawFn, b: BtfBuilder) -> Model:
    size = draw(st.sampled_from([1, 2, 4, 8]))
    encoding = draw(st.sampled_from([0, SIGNED]))

    def read(number: int, json: bool) -> Node:
        number = low(number, 8 * size)
        return str(signed(number, 8 * size) if encoding else number)

    return Model(b.int("i", size, encoding=encoding), size, read)


def an_odd_int(draw: st.DrawFn, b: BtfBuilder) -> Model:
    size = draw(st.sampled_from([4, 8, 16]))
    bits = draw(st.integers(1, 8 * size).filter(lambda bits: bits not in (8, 16, 32, 64)))
    return Model(
        b.int("i", size, bits=bits), size, lambda number, json: hexed(low(number, bits), json)
    )


def a_char(draw: st.DrawFn, b: BtfBuilder) -> Model:
    def read(number: int, json: bool) -> Node:
        code = low(number, 8)
        if 0x20 <= code <= 0x7E:
            return json_module.dumps(chr(code))
        return f'"\\u{code:04x}"' if json else hex(code)

    return Model(b.int("c", 1, encoding=CHAR), 1, read)


def a_bool(draw: st.DrawFn, b: BtfBuilder) -> Model:
    return Model(
        b.int("b", 1, encoding=BOOL), 1, lambda number, json: "true" if low(number, 8) else "false"
    )


def an_enum(draw: st.DrawFn, b: BtfBuilder) -> Model:
    size = draw(st.sampled_from([1, 2, 4, 8]))
    vals = draw(st.lists(st.integers(-4, 4), max_size=4))

    def read(number: int, json: bool) -> Node:
        number = signed(low(number, 8 * size), 8 * size)
        for position, val in enumerate(vals):
            if val == number:
                return f'"E{position}"'
        return str(number)

    values = [(f"E{position}", val) for position, val in enumerate(vals)]
    make = draw(st.sampled_from([b.enum, b.enum64]))
    return Model(make("e", values, size=size, signed=draw(st.booleans())), size, read)


def a_ptr(draw: st.DrawFn, b: BtfBuilder) -> Model:
    def read(number: int, json: bool) -> Node:
        number = low(number, 64)
        if json:
            return str(number)
        return f'"{number:#x}"' if number else '"(nil)"'

    return Model(b.ptr(0), 8, read)


def a_float(draw: st.DrawFn, b: BtfBuilder) -> Model:
    size = draw(st.sampled_from([2, 4, 8]))
    code = {2: "<e", 4: "<f", 8: "<d"}[size]

    def read(number: int, json: bool) -> Node:
        (value,) = struct.unpack(code, low(number, 8 * size).to_bytes(size, "little"))
        if not math.isfinite(value):
            return f'"{value}"'
        for digits in range(1, 18):
            short = float(f"{value:.{digits - 1}e}")
            try:
                if struct.unpack(code, struct.pack(code, short))[0] == value:
                    return repr(math.copysign(short, value))
            except OverflowError:
                continue
        raise AssertionError(value)

    return Model(b.float("f", size), size, read)


def an_array(draw: st.DrawFn, b: BtfBuilder, element: Model) -> Model:
    count = draw(st.one_of(st.integers(0, 4), st.integers(15, 20)))

    def read(number: int, json: bool) -> Node:
        step = 8 * element.size
        return ["[", *(element.read(number >> step * at, json) for at in range(count))]

    return Model(b.array(element.type_id, count), count * element.size, read)


def a_char_array(draw: st.DrawFn, b: BtfBuilder) -> Model:
    count = draw(st.integers(1, 20))

    def read(number: int, json: bool) -> Node:
        data = low(number, 8 * count).to_bytes(count, "little")
        start, nul, _ = data.partition(b"\0")
        if nul and all(0x20 <= byte <= 0x7E for byte in start):
            return json_module.dumps(start.decode())
        return ["[", *(str(signed(byte, 8)) for byte in data)]

    return Model(b.array(b.volatile(b.char()), count), count, read)


def a_bit_struct(draw: st.DrawFn, b: BtfBuilder) -> Model:
    u64 = b.int("u64", 8)
    size = draw(st.integers(1, 20))
    fields = []
    for position in range(draw(st.integers(1, 5))):
        at = draw(st.integers(0, 8 * size - 1))
        fields.append((f"b{position}", at, draw(st.integers(1, min(64, 8 * size - at)))))

    def read(number: int, json: bool) -> Node:
        return ["{", *((name, hexed(low(number >> at, bits), json)) for name, at, bits in fields)]

    members = [(name, u64, at, bits) for name, at, bits in fields]
    return Model(b.struct("bits", size, members), size, read)


def a_composite(draw: st.DrawFn, b: BtfBuilder, parts: list[Model]) -> Model:
    union = draw(st.booleans())
    members = []
    at = size = 0
    for position, part in enumerate(parts):
        # Members may even overlap: nothing in BTF says that they do not.
        at = 0 if union else max(0, at + draw(st.integers(-2, 3)))
        members.append((draw(st.sampled_from(["", f"m{position}", "ä{}"])), part, at))
        at += part.size
        size = max(size, at)
    size += draw(st.integers(0, 3))

    def read(number: int, json: bool) -> Node:
        return ["{", *((name, part.read(number >> 8 * at, json)) for name, part, at in members)]

    make = b.union if union else b.struct
    return Model(
        make("c", size, [(n, part.type_id, 8 * at) for n, part, at in members]), size, read
    )


def a_wrapped(draw: st.DrawFn, b: BtfBuilder, inner: Model) -> Model:
    wrap = draw(
        st.sampled_from([b.const, b.volatile, b.restrict, lambda target: b.typedef("t", target)])
    )
    return Model(wrap(inner.type_id), inner.size, inner.read)


LEAVES = [
    *(an_int, an_int, an_odd_int, a_char, a_bool, an_enum, a_ptr, a_float),
    *(a_char_array, a_bit_struct),
]


@st.composite
def models(draw: st.DrawFn, b: BtfBuilder, depth: int = 3) -> Model:
    shape = draw(st.integers(0, 9)) if depth else 0
    if shape <= 4:
        return draw(st.sampled_from(LEAVES))(draw, b)
    inner = models(b, depth - 1)
    if shape <= 6:
        # An array of CHARs would be a text; those have a model of their own.
        element = draw(inner)
        return an_array(draw, b, a_composite(draw, b, [element]))
    if shape == 7:
        return a_wrapped(draw, b, draw(inner))
    return a_composite(draw, b, [draw(inner) for _ in range(draw(st.integers(0, 4)))])


def some_bytes(seed: int, size: int) -> bytes:
    """Stretches of zeroes, of text and of anything: so that strings and enumerators occur."""
    dice = random.Random(seed)
    data = bytearray()
    while len(data) < size:
        least, most = dice.choice([(0, 0), (0, 3), (0x20, 0x7E), (0, 255), (255, 255)])
        data += bytes(dice.randint(least, most) for _ in range(dice.randint(1, 9)))
    return bytes(data[:size])


@settings(max_examples=400, deadline=None)
@given(st.data())
def test_like_the_slow_printer(data: st.DataObject) -> None:
    b = BtfBuilder(data.draw(st.sampled_from(["little", "big"])))
    model = data.draw(models(b))
    btf = read_btf(b.blob())
    btf.check()
    json, pretty = data.draw(st.booleans()), data.draw(st.booleans())
    depth = data.draw(st.integers(0, 3))
    pad = data.draw(st.integers(0, 8))
    count = data.draw(st.integers(1, 3))
    stride = model.size + pad
    blob = some_bytes(data.draw(st.integers(0, 2**32)), count * stride)
    printer = compile_value(btf, model.type_id, json=json, pretty=pretty, depth=depth)
    assert printer.size == model.size
    texts = printer.many(blob, count, stride)
    for position, text in enumerate(texts):
        number = int.from_bytes(blob[position * stride :], "little")
        assert text == lay(model.read(number, json), pretty, depth)
        if json:
            json_module.loads(text)


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_entries_like_the_slow_printer(data: st.DataObject) -> None:
    b = BtfBuilder()
    key, value = data.draw(models(b, 1)), data.draw(models(b, 2))
    btf = read_btf(b.blob())
    json, pretty = data.draw(st.booleans()), data.draw(st.booleans())
    depth = data.draw(st.integers(0, 2))
    cpus = data.draw(st.integers(0, 2))
    stride = (value.size + 7) // 8 * 8
    size = cpus * stride if cpus else value.size
    entries = compile_entries(
        *((btf, key.type_id), (btf, value.type_id)),
        json=json, pretty=pretty, depth=depth, cpus=cpus,
    )  # fmt: skip
    assert (entries.key_size, entries.value_size) == (key.size, size)
    count = data.draw(st.integers(1, 3))
    seed = data.draw(st.integers(0, 2**32))
    keys, blob = some_bytes(seed, count * key.size), some_bytes(~seed, count * size)
    for position, text in enumerate(entries.many(keys, blob, count)):
        number = int.from_bytes(keys[position * key.size :], "little")
        content = int.from_bytes(blob[position * size :], "little")
        told = ("value", value.read(content, json))
        if cpus:
            nodes = [value.read(content >> 8 * stride * cpu, json) for cpu in range(cpus)]
            each = [["{", ("cpu", str(n)), ("value", node)] for n, node in enumerate(nodes)]
            told = ("values", ["[", *each])
        assert text == lay(["{", ("key", key.read(number, json)), told], pretty, depth)


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_wrong_btf_never_hurts(data: st.DataObject) -> None:
    b = BtfBuilder()
    model = data.draw(models(b))
    blob = bytearray(b.blob())
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(24, len(blob) - 1))
        blob[at] = data.draw(st.sampled_from([0, 1, 2, 3, 4, 8, 0x10, 0x80, 0xFF]))
    try:
        btf = read_btf(bytes(blob))
        printer = compile_value(btf, model.type_id, json=True, pretty=False)
        text = printer.one(bytes(min(printer.size, 1 << 16)))
    except BadData:
        return
    json_module.loads(text)
