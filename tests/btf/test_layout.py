"""Where members lie: records, gaps, bit-fields, nesting, and the text over them."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pybpftool.btf import types
from pybpftool.btf.layout import PLACE, layout, plain
from pybpftool.btf.reader import read_btf
from pybpftool.btf.spec import Btf
from pybpftool.btf.spell import spell
from pybpftool.errors import BadData
from tests.support.btf_builder import BtfBuilder

VMLINUX = Path("/sys/kernel/btf/vmlinux")
B = BtfBuilder


def laid(btf: Btf, number: int, **options: Any) -> dict[str, Any]:
    record = layout(btf, number, lambda inner: spell(btf, inner, PLACE), **options)
    assert json.loads(json.dumps(record)) == record
    return record


def built(make: Callable[[BtfBuilder], int], **options: Any) -> dict[str, Any]:
    b = BtfBuilder()
    number = make(b)
    return laid(read_btf(b.blob()), number, **options)


def everything(b: B) -> int:
    i = b.int("int", 4, signed=True)
    char = b.char()
    long = b.int("long", 8, signed=True)
    pair = b.struct("pair", 16, [("x", char, 0), ("y", long, 64)])
    either = b.union("", 8, [("l", long, 0), ("c", char, 0)])
    inner = b.struct("", 16, [("n", char, 0), ("", either, 64)])
    function = b.ptr(b.func_proto(i, [("", i)]))
    return b.struct(
        "everything",
        136,
        [
            ("a", char, 0, 0),
            ("low", i, 8, 3),
            ("high", i, 11, 9),
            ("p", pair, 64, 0),
            ("in", inner, 192, 0),
            ("call", function, 320, 0),
            ("text", b.array(char, 60), 384, 0),
            ("late", i, 896, 0),
            ("bit", i, 960, 1),
        ],
    )


EVERYTHING = """\
struct everything {
    char a;            /*     0        1 */
    int low:3;         /*     0:8      4 */
    int high:9;        /*     0:11     4 */
    /* hole: 12 bits */
    /* hole: 4 bytes */
    struct pair p;     /*     8       16 */
    struct {
        char n;        /*    24        1 */
        /* hole: 7 bytes */
        union {
            long l;    /*    32        8 */
            char c;    /*    32        1 */
        };             /*    32        8 */
    } in;              /*    24       16 */
    int (*call)(int);  /*    40        8 */
    char text[60];     /*    48       60 */
    /* hole: 4 bytes */
    /* --- cacheline 1 from byte 64, 48 bytes back --- */
    int late;          /*   112        4 */
    /* hole: 4 bytes */
    int bit:1;         /*   120:0      4 */
    /* padding: 31 bits */
    /* padding: 12 bytes */

    /* size 136: 105 bytes in 6 members, 13 bits in 3 bit-fields */
    /* unused: 12 bytes in 3 holes, 12 bits in 1 hole, 12 bytes of padding, 31 bits of padding */
    /* 3 cachelines of 64, 8 in the last */
};
"""


def test_plain() -> None:
    assert plain(built(everything)) == EVERYTHING


EXPANDED = """\
    struct pair {
        char x;        /*     8        1 */
        /* hole: 7 bytes */
        long y;        /*    16        8 */
    } p;               /*     8       16 */
    struct {
        char n;        /*    24        1 */
        /* hole: 7 bytes */
        /* --- cacheline 1 from byte 32 --- */
        union {
            long l;    /*    32        8 */
            char c;    /*    32        1 */
        };             /*    32        8 */
    } in;              /*    24       16 */
    int (*call)(int);  /*    40        8 */
    char text[60];     /*    48       60 */
    /* hole: 4 bytes */
    /* --- cacheline 3 from byte 96, 16 bytes back --- */
    int late;          /*   112        4 */
"""


def test_expanded() -> None:
    text = plain(built(everything, expand=True, cacheline=32))
    assert EXPANDED in text
    assert "5 cachelines of 32, 8 in the last" in text


def test_record() -> None:
    record = built(everything)
    assert list(record) == ["name", "kind", "size", "members", "summary"]
    assert (record["name"], record["kind"], record["size"]) == ("everything", "struct", 136)
    entries = record["members"]
    assert entries[0] == {
        "name": "a",
        "type": "char",
        "declaration": "char a",
        "offset": 0,
        "size": 1,
    }
    assert entries[2:5] == [
        {
            "name": "high",
            "type": "int",
            "declaration": "int high:9",
            "offset": 0,
            "size": 4,
            "bit_offset": 11,
            "bit_size": 9,
        },
        {"offset": 2, "bit_offset": 4, "bit_hole": 12},
        {"offset": 4, "hole": 4},
    ]
    assert entries[7]["type"] == "int (*)(int)"
    assert entries[6]["members"][1] == {"offset": 25, "hole": 7}
    assert entries[6]["members"][2]["members"][1]["offset"] == 32
    assert entries[-2:] == [
        {"offset": 120, "bit_offset": 1, "bit_padding": 31},
        {"offset": 124, "padding": 12},
    ]
    assert record["summary"] == {
        "size": 136,
        "members": 9,
        "sum_members": 105,
        "bit_fields": 3,
        "sum_bit_fields": 13,
        "holes": 3,
        "sum_holes": 12,
        "bit_holes": 1,
        "sum_bit_holes": 12,
        "padding": 12,
        "bit_padding": 31,
        "cacheline_size": 64,
        "cachelines": 3,
        "last_cacheline": 8,
    }


def bits(b: B, size: int, *places: tuple[int, int]) -> int:
    """A struct of bit-fields of an int (or of char members: no width)."""
    i = b.int("int", 4, signed=True)
    char = b.char()
    members = [(f"m{n}", i if bits else char, at, bits) for n, (at, bits) in enumerate(places)]
    return b.struct("s", size, members)


@pytest.mark.parametrize(
    ("size", "places", "gaps"),
    [
        (4, [(0, 32)], []),
        (4, [(0, 8), (16, 8)], [(1, "hole", 1), (3, "bit_padding", 8)]),
        (4, [(0, 3), (8, 0)], [(0, "bit_hole", 5), (2, "padding", 2)]),
        (8, [(0, 3), (56, 0)], [(0, "bit_hole", 29), (4, "hole", 3)]),
        (4, [(5, 3)], [(0, "bit_hole", 5), (1, "bit_padding", 24)]),
        (12, [(0, 0), (77, 3)], [(1, "hole", 8), (9, "bit_hole", 5), (10, "bit_padding", 16)]),
        (9, [(0, 0), (24, 30)], [(1, "hole", 2), (6, "bit_padding", 2), (7, "padding", 2)]),
    ],
    ids=str,
)
def test_gaps(size: int, places: list[tuple[int, int]], gaps: list[tuple[int, str, int]]) -> None:
    entries = built(lambda b: bits(b, size, *places))["members"]
    assert [
        (entry["offset"], *list(entry.items())[-1]) for entry in entries if "name" not in entry
    ] == gaps


def test_packed_bit_field_across_units() -> None:
    entries = built(lambda b: bits(b, 9, (0, 0), (24, 30)))["members"]
    assert (entries[2]["offset"], entries[2]["bit_offset"], entries[2]["size"]) == (3, 0, 4)


def test_union() -> None:
    def make(b: B) -> int:
        i = b.int("int", 4, signed=True)
        return b.union("u", 12, [("a", i, 0), ("text", b.array(b.char(), 10), 0)])

    assert (
        plain(built(make))
        == """\
union u {
    int a;          /*     0        4 */
    char text[10];  /*     0       10 */
    /* padding: 2 bytes */

    /* size 12: 2 members */
    /* unused: 2 bytes of padding */
    /* 1 cacheline of 64, 12 in the last */
};
"""
    )


def test_empty() -> None:
    text = plain(built(lambda b: b.struct("e", 0, [])))
    assert text == "struct e {\n    /* size 0: nothing */\n};\n"


def test_long_nameless_types_are_cut_in_the_text_only() -> None:
    def make(b: B) -> int:
        i = b.int("int", 4, signed=True)
        inner = b.struct("", 80, [(f"member{n}", i, 32 * n) for n in range(20)])
        return b.struct("s", 8, [("p", b.ptr(inner), 0)])

    record = built(make)
    assert "    struct { ... } *p;" in plain(record)
    assert "member19" in record["members"][0]["type"]


def test_through_typedef_and_qualifiers() -> None:
    def make(b: B) -> int:
        i = b.int("int", 4, signed=True)
        return b.const(b.typedef("t", b.struct("s", 4, [("a", i, 0)])))

    assert built(make)["name"] == "s"


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda b: b.int(), "is no struct or union"),
        (lambda b: b.ptr(b.struct("s", 0, [])), "is no struct or union"),
        (lambda b: b.fwd("s"), "is no struct or union that is defined"),
        (lambda b: b.struct("s", 8, [("a", b.fwd("f"), 0)]), "has no size"),
        (lambda b: b.struct("s", 8, [("a", 9, 0)]), r"refers to type \[9\]"),
    ],
)
def test_no_layout(make: Callable[[B], int], message: str) -> None:
    with pytest.raises(BadData, match=message):
        built(make)


def test_members_that_lie() -> None:
    """Beyond the end, overlapping, backwards: told as they are."""

    def make(b: B) -> int:
        i = b.int("int", 4, signed=True)
        return b.struct("s", 4, [("far", i, 320), ("near", i, 0), ("bit", i, 1, 64)])

    entries = built(make)["members"]
    assert [entry.get("name") for entry in entries] == [None, "far", "near", "bit"]


@pytest.mark.parametrize("expand", [False, True])
def test_nests_made_to_be_large(expand: bool) -> None:
    b = BtfBuilder()
    inner = b.struct("", 4, [("x", b.int(), 0)])
    for _ in range(40):
        inner = b.struct("", 4, [("a", inner, 0), ("b", inner, 0)])
    b.struct("", 4, [("me", b.next_id, 0), ("too", b.next_id, 0)])
    btf = read_btf(b.blob())
    started = time.process_time()
    for number in (inner, b.next_id - 1):
        plain(laid(btf, number, expand=expand))
    assert time.process_time() - started < 20


@pytest.mark.skipif(not VMLINUX.exists(), reason="the kernel shows no BTF")
def test_every_bit_of_a_kernel_is_accounted_for() -> None:
    btf = read_btf(VMLINUX.read_bytes())
    structs = [n for n in range(1, btf.type_count) if btf.kind(n) == types.STRUCT]
    for number in structs[::10]:
        summary = laid(btf, number)["summary"]
        whole = sum(summary[key] for key in ("sum_members", "sum_holes", "padding"))
        parts = sum(summary[key] for key in ("sum_bit_fields", "sum_bit_holes", "bit_padding"))
        assert 8 * whole + parts == 8 * summary["size"], spell(btf, number)
