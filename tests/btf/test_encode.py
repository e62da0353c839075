"""Values by field name to bytes: what is printed reads back the same, and what does not fit."""

from __future__ import annotations

import json
import math
import random
import struct
from collections.abc import Callable
from typing import Any

import pytest

from pybpftool.btf.encode import Encoder, encode_value
from pybpftool.btf.reader import read_btf
from pybpftool.btf.spec import Btf
from pybpftool.btf.values import compile_value
from pybpftool.errors import BadData, PybpftoolError
from tests.support.btf_builder import BOOL, CHAR, BtfBuilder

# ------------------------------------------------------------------ random types and values


class Types:
    """Random types in one BTF."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.b = BtfBuilder()
        self.b.int("int", 4, signed=True)
        self.sizes: dict[int, int] = {}

    def any(self, depth: int) -> int:
        """The id of a new type; its size is in ``sizes``."""
        r = self.random
        kinds = [self.number] * 4 + [self.enum, self.real, self.pointer, self.text]
        if depth:
            kinds += [self.composite] * 4 + [self.array] * 2
        id, size = r.choice(kinds)(depth - 1)
        if r.random() < 0.2:
            id = r.choice((self.b.const, self.b.volatile, lambda t: self.b.typedef("t", t)))(id)
        self.sizes[id] = size
        return id

    def number(self, depth: int) -> tuple[int, int]:
        size = self.random.choice((1, 2, 4, 8, 16))
        encoding = self.random.choice((0, 1, BOOL, CHAR) if size == 1 else (0, 1))
        bits = 8 * size
        if size == 4 and self.random.random() < 0.1:
            bits = self.random.randint(1, 32)
        return self.b.int(f"i{size}", size, encoding=encoding, bits=bits), size

    def enum(self, depth: int) -> tuple[int, int]:
        values = [(f"E{n}", self.random.choice((n, 2**31 + n))) for n in range(3)]
        if self.random.random() < 0.3:
            return self.b.enum64("e64", [("A", 1), ("B", 2**63)]), 8
        return self.b.enum("e", values, size=self.random.choice((1, 2, 4, 8))), 0

    def real(self, depth: int) -> tuple[int, int]:
        size = self.random.choice((2, 4, 8, 16))
        return self.b.float("f", size), size

    def pointer(self, depth: int) -> tuple[int, int]:
        return self.b.ptr(), 8

    def text(self, depth: int) -> tuple[int, int]:
        count = self.random.choice((1, 4, 16, 40))
        return self.b.array(self.b.char(), count), count

    def array(self, depth: int) -> tuple[int, int]:
        element = self.any(depth)
        count = self.random.choice((0, 1, 2, 3, 20))
        return self.b.array(element, count), 0

    def composite(self, depth: int) -> tuple[int, int]:
        union = self.random.random() < 0.25
        members: list[tuple[Any, ...]] = []
        at = end = 0
        for number in range(self.random.randint(0, 5)):
            name = f"m{number}"
            if self.random.random() < 0.2:
                bits = self.random.randint(1, 31)
                holder = self.b.int("u32", 4)
                at = at // 32 * 32 + 32 if at // 32 != (at + bits - 1) // 32 else at
                members.append((name, holder, at, bits))
                width = bits
            else:
                member = self.any(depth)
                if depth and self.random.random() < 0.2:
                    inner = [(f"a{self.b.next_id}_{n}", self.any(0)) for n in range(2)]
                    places, reach = [], 0
                    for inner_name, id in inner:
                        places.append((inner_name, id, reach * 8))
                        reach += self.size(id)
                    kind = self.random.choice((self.b.struct, self.b.union))
                    name, member = "", kind("", reach, places)
                at = (at + 7) // 8 * 8 + 8 * self.random.choice((0, 0, 1))
                members.append((name, member, at, 0))
                width = 8 * self.size(member)
            end = max(end, at + width)
            at = 0 if union else at + width
        if not any(member[3] for member in members):
            members = [member[:3] for member in members]
        size = (end + 7) // 8 + self.random.choice((0, 0, 3))
        kind = self.b.union if union else self.b.struct
        return kind(f"s{self.b.next_id}", size, members), size

    def size(self, id: int) -> int:
        from pybpftool.btf.walk import size_of_value

        return size_of_value(read_btf(self.b.blob()), id)


def bytes_for(r: random.Random, size: int) -> bytes:
    way = r.random()
    if way < 0.3:
        return r.randbytes(size)
    if way < 0.5:
        return bytes(size)
    return bytes(r.choice((0, 0, 1, 65, 66, 255, 0x7F, 34)) for _ in range(size))


def without(data: bytes, loose: bytes) -> bytes:
    return bytes(byte & ~mask & 0xFF for byte, mask in zip(data, loose, strict=True))


CASES, PER_TYPE = 4_000, 25
"""100,000 values in all."""


@pytest.mark.parametrize("part", range(8))
def test_what_is_printed_reads_back_the_same(part: int) -> None:
    for seed in range(part * CASES // 8, (part + 1) * CASES // 8):
        made = Types(seed)
        id = made.any(3)
        btf = read_btf(made.b.blob())
        printer = compile_value(btf, id, json=True, pretty=False, exact=True)
        encoder = Encoder(btf, id)
        for _ in range(PER_TYPE):
            data = bytes_for(made.random, printer.size)
            text = printer.one(data)
            assert encoder.one(json.loads(text)) == without(data, printer.loose), (seed, text)


@pytest.mark.parametrize("part", range(4))
def test_the_walk_and_the_generated_function_agree(part: int) -> None:
    for seed in range(part * 100, part * 100 + 100):
        made = Types(seed)
        id = made.any(3)
        btf = read_btf(made.b.blob())
        printer = compile_value(btf, id, json=True, pretty=False, exact=True)
        encoder = Encoder(btf, id)
        for _ in range(4):
            data = bytes_for(made.random, printer.size)
            value = json.loads(printer.one(data))
            spoilt = spoil(made.random, value)
            for each in (value, spoilt):
                assert outcome(encoder.one, each) == outcome(Encoder(btf, id).one, each), seed


def spoil(r: random.Random, value: Any) -> Any:
    """The same with something wrong in it, as a rule."""
    if isinstance(value, dict) and value and r.random() < 0.8:
        name = r.choice(list(value))
        return {**value, name: spoil(r, value[name])}
    if isinstance(value, list) and value and r.random() < 0.8:
        at = r.randrange(len(value))
        return [*value[:at], spoil(r, value[at]), *value[at + 1 :]]
    odd = (
        None,
        True,
        -1,
        1 << 200,
        1.5,
        "x" * 99,
        "",
        {},
        [],
        {"m0": 0},
        "0x1",
        "1.2.3.4",
        "\ud800",
    )
    return r.choice(odd)


def outcome(encode: Callable[[Any], bytes], value: Any) -> bytes | str:
    try:
        return encode(value)
    except PybpftoolError as error:
        return str(error)


# ------------------------------------------------------------------ every spelling by hand


def sample() -> tuple[Btf, dict[str, int]]:
    b = BtfBuilder()
    ids: dict[str, int] = {}
    ids["s32"] = b.int("int", 4, signed=True)
    ids["u8"], ids["u16"] = b.int("u8", 1), b.int("u16", 2)
    ids["u32"], ids["u64"] = b.int("u32", 4), b.int("u64", 8)
    ids["s16"] = b.int("short", 2, signed=True)
    ids["u128"] = b.int("u128", 16)
    ids["s128"] = b.int("s128", 16, signed=True)
    ids["bool"] = b.int("bool", 1, encoding=BOOL)
    ids["char"] = b.char()
    ids["letter"] = b.int("letter", 1, encoding=CHAR)
    ids["f32"], ids["f64"] = b.float("float", 4), b.float("double", 8)
    ids["wide"] = b.float("long double", 16)
    ids["ptr"] = b.ptr()
    ids["enum"] = b.enum("e", [("RED", 0), ("BLUE", 0xFFFFFFFF)])
    ids["text"] = b.array(ids["char"], 8)
    ids["s16s"] = b.array(ids["s16"], 3)
    ids["ip4"], ids["ip6"] = b.array(ids["u8"], 4), b.array(ids["u8"], 16)
    ids["in_addr"] = b.struct("in_addr", 4, [("s_addr", ids["u32"], 0)])
    ids["bits"] = b.struct(
        "bits", 4, [("a", ids["u32"], 0, 3), ("b", ids["s32"], 3, 13), ("e", ids["enum"], 16, 16)]
    )
    nameless = b.struct("", 4, [("p", ids["u16"], 0), ("q", ids["u16"], 16)])
    either = b.union("", 4, [("r", ids["u32"], 0), ("", nameless, 0)])
    ids["in"] = b.struct("in", 8, [("arr", ids["s16s"], 0)])
    ids["all"] = b.struct(
        "all",
        24,
        [("in", ids["in"], 0), ("", either, 64), ("n", ids["u32"], 96), ("c", ids["text"], 128)],
    )
    ids["union"] = b.union(
        "u", 8, [("l", ids["u64"], 0), ("s", ids["s16"], 0), ("c", ids["text"], 0)]
    )
    ids["odd enum"] = b.enum("odd", [("A", 1)], size=3)
    ids["fwd"] = b.fwd("f")
    ids["section"] = b.datasec(
        ".bss", 8, [(b.var("first", ids["u32"]), 0, 4), (b.var("second", ids["s32"]), 4, 4)]
    )
    own = b.next_id
    ids["itself"] = b.struct("itself", 4, [("x", own, 0)])
    ids["beyond"] = b.struct("beyond", 2, [("x", ids["u32"], 0)])
    return read_btf(b.blob()), ids


BTF, IDS = sample()

TAKEN: list[tuple[str, Any, bytes]] = [
    ("s32", -5, struct.pack("=i", -5)),
    ("s32", "-0x10", struct.pack("=i", -16)),
    ("u32", "0xffffffff", b"\xff" * 4),
    ("u32", "443", struct.pack("=I", 443)),
    ("u32", True, struct.pack("=I", 1)),
    ("u32", "10.0.0.1", bytes([10, 0, 0, 1])),
    ("u128", "0x10", (16).to_bytes(16, "little")),
    ("u128", (1 << 128) - 1, b"\xff" * 16),
    ("s128", -1, b"\xff" * 16),
    ("s128", "0x" + "f" * 32, b"\xff" * 16),
    ("u128", "fe80::1", bytes.fromhex("fe80" + "00" * 13 + "01")),
    ("bool", True, b"\1"),
    ("bool", "false", b"\0"),
    ("bool", 2, b"\2"),
    ("char", "A", b"A"),
    ("char", "-1", b"\xff"),
    ("letter", "\u0081", b"\x81"),
    ("letter", "0x9", b"\x09"),
    ("f32", 0.1, struct.pack("=f", 0.1)),
    ("f64", 7, struct.pack("=d", 7)),
    ("f64", "-inf", struct.pack("=d", -math.inf)),
    ("f64", "1e3", struct.pack("=d", 1000)),
    ("f32", "0x7fc00001", struct.pack("=I", 0x7FC00001)),
    ("wide", "0x1", (1).to_bytes(16, "little")),
    ("ptr", "0xbeef", struct.pack("=Q", 0xBEEF)),
    ("ptr", "(nil)", bytes(8)),
    ("enum", "BLUE", b"\xff" * 4),
    ("enum", -1, b"\xff" * 4),
    ("enum", "7", struct.pack("=I", 7)),
    ("text", "eth0", b"eth0\0\0\0\0"),
    ("text", "12345678", b"12345678"),
    ("text", "é", b"\xc3\xa9\0\0\0\0\0\0"),
    ("text", [1, 2, 3, 4, 5, 6, 7, "A"], b"\1\2\3\4\5\6\7A"),
    ("s16s", [1, -2, "0x3"], struct.pack("=3h", 1, -2, 3)),
    ("ip4", "192.168.1.7", bytes([192, 168, 1, 7])),
    ("ip6", "::1", bytes(15) + b"\1"),
    ("in_addr", "10.0.0.1", bytes([10, 0, 0, 1])),
    ("bits", {"a": 5, "b": -1, "e": "RED"}, struct.pack("=I", 5 | 0x1FFF << 3)),
    ("bits", {"b": "0x1fff"}, struct.pack("=I", 0x1FFF << 3)),
    ("all", {"n": 9}, struct.pack("=12xI8x", 9)),
    ("all", {"in": {"arr": [1, 2, 3]}, "q": 7}, struct.pack("=3hxxHH12x", 1, 2, 3, 0, 7)),
    ("all", {"": {"r": 1}}, struct.pack("=8xI12x", 1)),
    ("all", {"p": 1, "q": 2, "r": 0x20001}, struct.pack("=8xHH12x", 1, 2)),
    ("union", {"s": -1}, b"\xff\xff" + bytes(6)),
    ("union", {"l": 0x4142, "s": 0x4142, "c": "BA"}, b"BA" + bytes(6)),
    ("union", {}, bytes(8)),
    ("odd enum", "(unsupported-kind)", bytes(3)),
    ("fwd", "(fwd-kind-invalid)", b""),
    ("section", {"second": -1}, struct.pack("=Ii", 0, -1)),
    ("section", {".bss": [{"first": 1}, {"second": 2}]}, struct.pack("=Ii", 1, 2)),
]


@pytest.mark.parametrize(("type", "value", "data"), TAKEN, ids=lambda each: str(each)[:30])
def test_taken(type: str, value: Any, data: bytes) -> None:
    encoder = Encoder(BTF, IDS[type])
    assert [encoder.one(value) for _ in range(3)] == [data] * 3  # by walk, and as it is compiled


REFUSED: list[tuple[str, Any, str]] = [
    ("all", {"in": {"arr": [1, 2, 70000]}}, "value.in.arr[2]: 70000 does not fit s16"),
    ("all", {"in": {"arr": [1, 2]}}, "value.in.arr: 2 elements where 3 belong"),
    ("all", {"in": {"arr": "x"}}, "value.in.arr: 'x' is not a list of 3"),
    ("all", {"in": 5}, "value.in: 5 is not an object with fields"),
    ("all", {"inn": {}}, "value: there is no field 'inn'; in, r, p, q, n, c"),
    ("all", {"c": "123456789"}, "value.c: 9 bytes of text do not fit char[8]"),
    ("all", {"c": "\ud800"}, "value.c: '\\ud800' is not text"),
    ("all", {"c": 5}, "value.c: 5 is not a list of 8, or a text"),
    ("all", {"n": 1.0}, "value.n: 1.0 is not a whole number"),
    ("all", {"n": None}, "value.n: null is not a whole number"),
    ("all", {"n": "many"}, "value.n: 'many' is not a whole number"),
    ("all", {"n": -1}, "value.n: -1 does not fit u32"),
    ("all", {"n": 1 << 999}, "value.n: a number of many digits does not fit u32"),
    ("all", {"n": "1" * 99}, f"value.n: '{'1' * 40}...' is not a whole number"),
    ("all", {"n": "10.0.0.256"}, "value.n: '10.0.0.256' is not an IPv4 address"),
    (
        "all",
        {"r": 1, "p": 2},
        "value: 'r' lies in the same place as another field and differs; name one of them",
    ),
    (
        "union",
        {"l": 1, "s": 2},
        "value: 'l' lies in the same place as another field and differs; name one of them",
    ),
    ("u128", ":x", "value: ':x' is not an IPv6 address"),
    ("u128", -1, "value: -1 does not fit u128"),
    ("bool", 256, "value: 256 does not fit u8"),
    ("bool", "yes", "value: 'yes' is not a whole number"),
    ("enum", "GREEN", "value: 'GREEN' is none of RED, BLUE"),
    ("enum", 1 << 32, "value: 4294967296 does not fit 32 bits"),
    ("enum", [], "value: a list is not a whole number"),
    ("odd enum", 1, "value: 1 is not writable: an enum of 3 bytes"),
    ("f32", 1e39, "value: 1e+39 does not fit a float of 32 bits"),
    ("f32", 10**400, "value: a number of many digits does not fit a float of 32 bits"),
    ("f32", "x", "value: 'x' is not a number"),
    ("f32", {}, "value: an object is not a number"),
    ("wide", 1.0, 'value: 1.0 is not the 16 bytes of a wide number, as "0x..."'),
    ("letter", "\u0100", "value: '\\u0100' is not a character of one byte"),
    ("bits", {"a": 8}, "value.a: 8 does not fit 3 bits"),
    ("bits", {"b": -4097}, "value.b: -4097 does not fit 13 bits"),
    ("bits", {"e": "GREEN"}, "value.e: 'GREEN' is not a whole number"),
    ("fwd", 1, "value: 1 is not no value: its type has none"),
    ("section", {"third": 1}, "value: there is no field 'third'; first, second"),
    ("beyond", {"x": 1}, "value.x: the BTF places it outside of what it is part of"),
]


@pytest.mark.parametrize(("type", "value", "message"), REFUSED, ids=lambda each: str(each)[:30])
def test_refused(type: str, value: Any, message: str) -> None:
    encoder = Encoder(BTF, IDS[type])
    for _ in range(3):
        with pytest.raises(PybpftoolError) as error:
            encoder.one(value)
        assert str(error.value) == message


def test_only_what_is_named_changes() -> None:
    start = bytes(range(24))
    value = {"in": {"arr": [9, 9, 9]}, "q": 0}
    changed = encode_value(BTF, IDS["all"], value, start=start)
    assert changed == struct.pack("=3h", 9, 9, 9) + start[6:10] + b"\0\0" + start[12:]
    assert encode_value(BTF, IDS["all"], {}, start=start) == start
    bits = encode_value(BTF, IDS["bits"], {"b": 0}, start=b"\xff" * 4)
    assert bits == struct.pack("=I", 0xFFFFFFFF & ~(0x1FFF << 3))


def test_a_start_of_another_size_is_refused() -> None:
    with pytest.raises(PybpftoolError, match="key: 3 bytes are no value of 4"):
        encode_value(BTF, IDS["u32"], 1, path="key", start=bytes(3))


def test_types_made_of_themselves_end() -> None:
    value: dict[str, Any] = {}
    for _ in range(100):
        value = {"x": value}
    with pytest.raises(BadData, match="nested too deeply"):
        Encoder(BTF, IDS["itself"]).one(value)


def test_an_exact_text_needs_different_names() -> None:
    b = BtfBuilder()
    u8 = b.int("u8", 1)
    twice = b.struct("twice", 2, [("x", u8, 0), ("x", u8, 8)])
    with pytest.raises(BadData, match="has two members 'x'"):
        compile_value(read_btf(b.blob()), twice, json=True, pretty=False, exact=True)


def test_loose_bits_are_those_between_fields() -> None:
    def loose(name: str) -> bytes:
        return compile_value(BTF, IDS[name], json=True, pretty=False, exact=True).loose

    assert loose("in") == bytes(6) + b"\xff\xff"
    assert loose("union") == bytes(8)
    assert loose("odd enum") == b"\xff" * 3
    assert loose("bits") == bytes(4)
