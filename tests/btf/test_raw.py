"""Rows of ``btf dump``: every kind in plain, compact and pretty."""

from __future__ import annotations

import json
import struct

import pytest

from pybpftool.btf.raw import rows
from pybpftool.btf.reader import read_btf
from pybpftool.btf.spec import Btf
from pybpftool.command import COMPACT, PLAIN, PRETTY
from pybpftool.errors import BadData
from tests.support.btf_builder import BOOL, CHAR, EXTERN, STATIC, BtfBuilder


def every_kind(order: str = "little") -> BtfBuilder:
    b = BtfBuilder(order)
    b.int("int", 4, signed=True)  # 1
    b.ptr(0)  # 2
    b.array(1, 3)  # 3
    b.struct("s", 12, [("a", 1, 0), ("", 2, 32)])  # 4
    b.union("u", 4, [("bits", 1, 0, 3), ("whole", 1, 0, 0)])  # 5
    b.enum("e", [("LOW", -1), ("HIGH", 1)], signed=True)  # 6
    b.fwd("f")  # 7
    b.fwd("g", union=True)  # 8
    b.typedef("t", 4)  # 9
    b.volatile(1)  # 10
    b.const(1)  # 11
    b.restrict(2)  # 12
    b.func_proto(1, [("x", 2), ("", 0)])  # 13
    b.func("go", 13, linkage=EXTERN)  # 14
    b.var("v", 1, linkage=STATIC)  # 15
    b.datasec(".data", 4, [(15, 0, 4)])  # 16
    b.float("double", 8)  # 17
    b.decl_tag("tag", 4, component=1)  # 18
    b.decl_tag("all", 4)  # 19
    b.type_tag("user", 1)  # 20
    b.enum64("wide", [("A", 1 << 40)])  # 21
    b.enum64("deep", [("B", -1)], signed=True)  # 22
    b.int("bool", 1, encoding=BOOL)  # 23
    b.int("char", 1, encoding=CHAR)  # 24
    b.int("odd", 4, encoding=8, bits=24, bits_offset=8)  # 25
    b.enum("big", [("TOP", 0xFFFFFFFF)])  # 26
    b.struct("", 0, [])  # 27
    return b


PLAIN_ROWS = """\
[1] INT 'int' size=4 bits_offset=0 nr_bits=32 encoding=SIGNED
[2] PTR '(anon)' type_id=0
[3] ARRAY '(anon)' type_id=1 index_type_id=1 nr_elems=3
[4] STRUCT 's' size=12 vlen=2
	'a' type_id=1 bits_offset=0
	'(anon)' type_id=2 bits_offset=32
[5] UNION 'u' size=4 vlen=2
	'bits' type_id=1 bits_offset=0 bitfield_size=3
	'whole' type_id=1 bits_offset=0
[6] ENUM 'e' encoding=SIGNED size=4 vlen=2
	'LOW' val=-1
	'HIGH' val=1
[7] FWD 'f' fwd_kind=struct
[8] FWD 'g' fwd_kind=union
[9] TYPEDEF 't' type_id=4
[10] VOLATILE '(anon)' type_id=1
[11] CONST '(anon)' type_id=1
[12] RESTRICT '(anon)' type_id=2
[13] FUNC_PROTO '(anon)' ret_type_id=1 vlen=2
	'x' type_id=2
	'(anon)' type_id=0
[14] FUNC 'go' type_id=13 linkage=extern
[15] VAR 'v' type_id=1, linkage=static
[16] DATASEC '.data' size=4 vlen=1
	type_id=15 offset=0 size=4 (VAR 'v')
[17] FLOAT 'double' size=8
[18] DECL_TAG 'tag' type_id=4 component_idx=1
[19] DECL_TAG 'all' type_id=4 component_idx=-1
[20] TYPE_TAG 'user' type_id=1
[21] ENUM64 'wide' encoding=UNSIGNED size=8 vlen=1
	'A' val=1099511627776ULL
[22] ENUM64 'deep' encoding=SIGNED size=8 vlen=1
	'B' val=-1LL
[23] INT 'bool' size=1 bits_offset=0 nr_bits=8 encoding=BOOL
[24] INT 'char' size=1 bits_offset=0 nr_bits=8 encoding=CHAR
[25] INT 'odd' size=4 bits_offset=8 nr_bits=24 encoding=UNKN
[26] ENUM 'big' encoding=UNSIGNED size=4 vlen=1
	'TOP' val=4294967295
[27] STRUCT '(anon)' size=0 vlen=0
"""

RECORDS = [
    {"id": 1, "kind": "INT", "name": "int", "size": 4, "bits_offset": 0, "nr_bits": 32}
    | {"encoding": "SIGNED"},
    {"id": 2, "kind": "PTR", "name": "(anon)", "type_id": 0},
    {"id": 3, "kind": "ARRAY", "name": "(anon)", "type_id": 1, "index_type_id": 1, "nr_elems": 3},
    {"id": 4, "kind": "STRUCT", "name": "s", "size": 12, "vlen": 2}
    | {
        "members": [
            {"name": "a", "type_id": 1, "bits_offset": 0},
            {"name": "(anon)", "type_id": 2, "bits_offset": 32},
        ]
    },
    {"id": 5, "kind": "UNION", "name": "u", "size": 4, "vlen": 2}
    | {
        "members": [
            {"name": "bits", "type_id": 1, "bits_offset": 0, "bitfield_size": 3},
            {"name": "whole", "type_id": 1, "bits_offset": 0},
        ]
    },
    {"id": 6, "kind": "ENUM", "name": "e", "encoding": "SIGNED", "size": 4, "vlen": 2}
    | {"values": [{"name": "LOW", "val": -1}, {"name": "HIGH", "val": 1}]},
    {"id": 7, "kind": "FWD", "name": "f", "fwd_kind": "struct"},
    {"id": 8, "kind": "FWD", "name": "g", "fwd_kind": "union"},
    {"id": 9, "kind": "TYPEDEF", "name": "t", "type_id": 4},
    {"id": 10, "kind": "VOLATILE", "name": "(anon)", "type_id": 1},
    {"id": 11, "kind": "CONST", "name": "(anon)", "type_id": 1},
    {"id": 12, "kind": "RESTRICT", "name": "(anon)", "type_id": 2},
    {"id": 13, "kind": "FUNC_PROTO", "name": "(anon)", "ret_type_id": 1, "vlen": 2}
    | {"params": [{"name": "x", "type_id": 2}, {"name": "(anon)", "type_id": 0}]},
    {"id": 14, "kind": "FUNC", "name": "go", "type_id": 13, "linkage": "extern"},
    {"id": 15, "kind": "VAR", "name": "v", "type_id": 1, "linkage": "static"},
    {"id": 16, "kind": "DATASEC", "name": ".data", "size": 4, "vlen": 1}
    | {"vars": [{"type_id": 15, "offset": 0, "size": 4}]},
    {"id": 17, "kind": "FLOAT", "name": "double", "size": 8},
    {"id": 18, "kind": "DECL_TAG", "name": "tag", "type_id": 4, "component_idx": 1},
    {"id": 19, "kind": "DECL_TAG", "name": "all", "type_id": 4, "component_idx": -1},
    {"id": 20, "kind": "TYPE_TAG", "name": "user", "type_id": 1},
    {"id": 21, "kind": "ENUM64", "name": "wide", "encoding": "UNSIGNED", "size": 8, "vlen": 1}
    | {"values": [{"name": "A", "val": 1 << 40}]},
    {"id": 22, "kind": "ENUM64", "name": "deep", "encoding": "SIGNED", "size": 8, "vlen": 1}
    | {"values": [{"name": "B", "val": -1}]},
    {"id": 23, "kind": "INT", "name": "bool", "size": 1, "bits_offset": 0, "nr_bits": 8}
    | {"encoding": "BOOL"},
    {"id": 24, "kind": "INT", "name": "char", "size": 1, "bits_offset": 0, "nr_bits": 8}
    | {"encoding": "CHAR"},
    {"id": 25, "kind": "INT", "name": "odd", "size": 4, "bits_offset": 8, "nr_bits": 24}
    | {"encoding": "UNKN"},
    {"id": 26, "kind": "ENUM", "name": "big", "encoding": "UNSIGNED", "size": 4, "vlen": 1}
    | {"values": [{"name": "TOP", "val": 0xFFFFFFFF}]},
    {"id": 27, "kind": "STRUCT", "name": "(anon)", "size": 0, "vlen": 0, "members": []},
]


def text(btf: Btf, form: str, ids: list[int] | None = None) -> str:
    return "".join(rows(btf, form, 2, ids))


@pytest.mark.parametrize("order", ["little", "big"])
def test_every_kind_in_plain(order: str) -> None:
    assert text(read_btf(every_kind(order).blob()), PLAIN) == PLAIN_ROWS


@pytest.mark.parametrize("form", [COMPACT, PRETTY])
def test_every_kind_in_json(form: str) -> None:
    found = json.loads(f"[{text(read_btf(every_kind().blob()), form)}]")
    assert found == RECORDS
    assert [list(each) for each in found] == [list(each) for each in RECORDS]  # keys in order


def test_layout_of_json() -> None:
    btf = read_btf(every_kind().blob())
    assert text(btf, COMPACT, [5, 27]) == (
        '{"id":5,"kind":"UNION","name":"u","size":4,"vlen":2,"members":['
        '{"name":"bits","type_id":1,"bits_offset":0,"bitfield_size":3},'
        '{"name":"whole","type_id":1,"bits_offset":0}]},'
        '{"id":27,"kind":"STRUCT","name":"(anon)","size":0,"vlen":0,"members":[]}'
    )
    assert (
        text(btf, PRETTY, [16])
        == """\
{
            "id": 16,
            "kind": "DATASEC",
            "name": ".data",
            "size": 4,
            "vlen": 1,
            "vars": [{
                    "type_id": 15,
                    "offset": 0,
                    "size": 4
                }
            ]
        }"""
    )


def test_void_can_be_asked_for() -> None:
    btf = read_btf(every_kind().blob())
    assert text(btf, PLAIN, [0, 2]) == "[0] UNKNOWN '(anon)'\n[2] PTR '(anon)' type_id=0\n"
    assert json.loads(text(btf, COMPACT, [0])) == {"id": 0, "kind": "UNKNOWN", "name": "(anon)"}


def test_split_btf_shows_its_own_types_only() -> None:
    lower = every_kind()
    upper = BtfBuilder(base=lower)
    upper.typedef("mine", 4)
    upper.add(8, b"s", 1)  # shares a name with the base
    btf = read_btf(upper.blob(), read_btf(lower.blob()))
    assert text(btf, PLAIN) == "[28] TYPEDEF 'mine' type_id=4\n[29] TYPEDEF 's' type_id=1\n"
    assert text(btf, PLAIN, [7]) == "[7] FWD 'f' fwd_kind=struct\n"


def test_odd_names() -> None:
    b = BtfBuilder()
    b.typedef('quote"and\\', 0)
    b.typedef(b"tab\tand\xff", 0)
    blob = b.blob()
    btf = read_btf(blob)
    assert text(btf, PLAIN).encode("utf-8", "surrogateescape") == (
        b"[1] TYPEDEF 'quote\"and\\' type_id=0\n[2] TYPEDEF 'tab\tand\xff' type_id=0\n"
    )
    first, second = json.loads(f"[{text(btf, COMPACT)}]")
    assert (first["name"], second["name"]) == ('quote"and\\', "tab\tand\udcff")


def test_a_name_may_be_the_tail_of_another() -> None:
    b = BtfBuilder()
    b.typedef("long_name", 0)
    blob = bytearray(b.blob())
    [start] = [at for at in range(24, len(blob)) if blob[at : at + 9] == b"long_name"][:1]
    strings = len(blob) - len(b.strings)
    struct.pack_into("=I", blob, 24, start - strings + 5)
    assert text(read_btf(bytes(blob)), PLAIN) == "[1] TYPEDEF 'name' type_id=0\n"
    struct.pack_into("=I", blob, 24, 4000)
    with pytest.raises(BadData, match="no string at offset 4000"):
        text(read_btf(bytes(blob)), PLAIN)


def test_unknown_linkages() -> None:
    b = BtfBuilder()
    b.int()
    b.func_proto(0)
    b.func("f", 2, linkage=9)
    b.var("v", 1, linkage=9)
    assert text(read_btf(b.blob()), PLAIN, [3, 4]) == (
        "[3] FUNC 'f' type_id=2 linkage=(unknown)\n[4] VAR 'v' type_id=1, linkage=(unknown)\n"
    )


def test_more_types_than_are_read_at_a_time() -> None:
    b = BtfBuilder()
    b.int()
    for number in range(5000):
        b.typedef(f"t{number}", 1)
    found = text(read_btf(b.blob()), PLAIN).splitlines()
    assert len(found) == 5001
    assert found[-1] == "[5001] TYPEDEF 't4999' type_id=1"
    assert len(json.loads(f"[{text(read_btf(b.blob()), COMPACT)}]")) == 5001
