"""BTF bytes to types: every kind, both byte orders, split BTF, and bytes that lie."""

from __future__ import annotations

import os
import random
import struct
import time
import tracemalloc
from contextlib import suppress

import pytest

from pybpftool.btf import types
from pybpftool.btf.reader import read_btf
from pybpftool.errors import BadData
from tests.support.btf_builder import EXTERN, BtfBuilder

VMLINUX = "/sys/kernel/btf/vmlinux"
ORDERS = ["little", "big"]


def zoo(order: str = "little") -> BtfBuilder:
    """One type of every kind."""
    b = BtfBuilder(order)
    i = b.int("int", 4, signed=True)  # 1
    p = b.ptr(i)  # 2
    b.array(i, 5, index=i)  # 3
    s = b.struct("s", 8, [("a", i, 0), ("b", i, 32)])  # 4
    b.union("u", 8, [("p", p, 0), ("s", s, 0)])  # 5
    b.enum("e", [("A", 0), ("B", 0xFFFFFFFF)])  # 6
    b.fwd("f", union=True)  # 7
    b.typedef("t", s)  # 8
    b.volatile(i)  # 9
    b.const(9)  # 10
    b.restrict(p)  # 11
    proto = b.func_proto(i, [("x", p), ("", 0)])  # 12
    b.func("fn", proto, linkage=2)  # 13
    v = b.var("v", i, linkage=1)  # 14
    b.datasec(".data", 16, [(v, 4, 4)])  # 15
    b.float("double", 8)  # 16
    b.decl_tag("tag", s, 1)  # 17
    b.type_tag("user", i)  # 18
    b.enum64("e64", [("M", -1), ("N", 1 << 40)], signed=True)  # 19
    b.struct("bits", 4, [("x", i, 0, 3), ("y", i, 3, 29)])  # 20
    b.decl_tag("whole", s)  # 21
    return b


def plain(thing: object) -> object:
    """Any type, member… as a dict, for comparison."""
    if isinstance(thing, list):
        return [plain(item) for item in thing]
    if isinstance(thing, (int, str)):
        return thing
    slots = [slot for cls in type(thing).__mro__ for slot in getattr(cls, "__slots__", ())]
    return {slot: plain(getattr(thing, slot)) for slot in sorted(slots)}


EXPECTED = {
    1: (types.Int, {"name": "int", "size": 4, "encoding": 1, "bits_offset": 0, "nr_bits": 32}),
    2: (types.Reference, {"kind": types.PTR, "type_id": 1}),
    3: (types.Array, {"type_id": 1, "index_type_id": 1, "nr_elems": 5}),
    5: (types.Composite, {"kind": types.UNION, "size": 8, "name": "u"}),
    7: (types.Fwd, {"name": "f", "fwd_kind": "union"}),
    8: (types.Reference, {"kind": types.TYPEDEF, "name": "t", "type_id": 4}),
    9: (types.Reference, {"kind": types.VOLATILE, "type_id": 1}),
    10: (types.Reference, {"kind": types.CONST, "type_id": 9}),
    11: (types.Reference, {"kind": types.RESTRICT, "type_id": 2}),
    13: (types.Func, {"name": "fn", "type_id": 12, "linkage": 2}),
    14: (types.Var, {"name": "v", "type_id": 1, "linkage": 1}),
    16: (types.Float, {"name": "double", "size": 8}),
    17: (types.DeclTag, {"name": "tag", "type_id": 4, "component_idx": 1}),
    18: (types.Reference, {"kind": types.TYPE_TAG, "name": "user", "type_id": 1}),
    21: (types.DeclTag, {"component_idx": -1}),
}


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("header", [24, 32, 40])
def test_every_kind(order: str, header: int) -> None:
    btf = read_btf(zoo(order).blob(header=header, gap=8))
    assert btf.type_count == 22
    for number, (cls, fields) in EXPECTED.items():
        found = btf.type(number)
        assert type(found) is cls
        assert found.id == number
        assert {key: getattr(found, key) for key in fields} == fields
    assert {btf.kind(number) for number in range(22)} == set(range(20))
    btf.check()


@pytest.mark.parametrize("order", ORDERS)
def test_lists_inside_types(order: str) -> None:
    btf = read_btf(zoo(order).blob())
    assert [(m.name, m.type_id, m.bits_offset, m.bitfield_size) for m in btf.type(4).members] == [
        ("a", 1, 0, 0),
        ("b", 1, 32, 0),
    ]
    assert [(m.bits_offset, m.bitfield_size) for m in btf.type(20).members] == [(0, 3), (3, 29)]
    assert [(v.name, v.val) for v in btf.type(6).values] == [("A", 0), ("B", 0xFFFFFFFF)]
    assert not btf.type(6).signed
    assert [(v.name, v.val) for v in btf.type(19).values] == [("M", -1), ("N", 1 << 40)]
    assert [(p.name, p.type_id) for p in btf.type(12).params] == [("x", 2), ("", 0)]
    assert btf.type(12).type_id == 1
    assert [(v.type_id, v.offset, v.size) for v in btf.type(15).vars] == [(14, 4, 4)]
    assert btf.type(0).kind == types.VOID


def test_byte_orders_say_the_same() -> None:
    one, other = (read_btf(zoo(order).blob()) for order in ORDERS)
    for number in range(one.type_count):
        assert plain(one.type(number)) == plain(other.type(number))


def test_memory_other_than_bytes() -> None:
    blob = zoo().blob()
    for kind in (bytearray, memoryview):
        assert read_btf(kind(blob)).type(4).name == "s"


@pytest.mark.parametrize("order", ORDERS)
def test_split(order: str) -> None:
    lower = zoo(order)
    upper = BtfBuilder(order, base=lower)
    own = upper.struct("module_thing", 8, [("s", 4, 0)])
    twin = upper.struct("s", 4, [("a", 1, 0)])
    base = read_btf(lower.blob())
    btf = read_btf(upper.blob(), base)
    assert (btf.own_start, btf.type_count, own) == (22, 24, 22)
    assert btf.type(own).name == "module_thing"
    assert btf.type(own).members[0].name == "s"  # a string of the base
    assert btf.type(4).members[1].name == "b"
    assert btf.size_of(own) == 8
    assert list(btf.find_all("s", types.STRUCT)) == [4, twin]
    assert list(btf.find_all("s", types.STRUCT, own=True)) == [twin]
    assert btf.find("module_thing") == own
    assert base.find("module_thing") is None
    assert btf.all_strings() == {**base.all_strings(), base.strings_end: "module_thing"}
    with pytest.raises(BadData):
        base.type(own)


def test_split_on_split_and_without_strings() -> None:
    lower = zoo()
    middle = BtfBuilder(base=lower)
    const = middle.const(1)
    upper = BtfBuilder(base=middle)
    ptr = upper.ptr(const)
    base = read_btf(lower.blob())
    btf = read_btf(upper.blob(), read_btf(middle.blob(), base))
    assert btf.skip_modifiers(btf.target(ptr)) == 1
    assert btf.type(1).name == "int"


def test_find() -> None:
    b = BtfBuilder()
    b.struct("hlist_head", 8, [])
    b.struct("list_head", 16, [])
    b.fwd("list_head")
    tail = b.add(4, b.string("hlist_head") + 6, 4)  # a name inside another name
    btf = read_btf(b.blob())
    assert list(btf.find_all("list_head")) == [2, 3]
    assert list(btf.find_all("head")) == [tail]
    assert btf.find("list_head", types.FWD) == 3
    assert btf.find("list_head", types.FWD, types.STRUCT) == 2
    assert btf.find("ead") is None
    assert btf.find("") is None
    assert btf.find("list_head\0") is None


def test_names_that_are_no_utf8() -> None:
    b = BtfBuilder()
    b.struct(b"\xff\x80", 0, [])
    btf = read_btf(b.blob())
    assert btf.type(1).name.encode("utf-8", "surrogateescape") == b"\xff\x80"
    assert btf.find("\udcff\udc80") == 1


def test_sizes() -> None:
    btf = read_btf(zoo().blob())
    sizes = {1: 4, 2: 8, 3: 20, 4: 8, 5: 8, 6: 4, 8: 8, 10: 4, 11: 8, 14: 4, 15: 16, 16: 8, 19: 8}
    for number, size in sizes.items():
        assert btf.size_of(number) == size
    for number in (0, 7, 12, 13, 17):
        with pytest.raises(BadData, match="has no size"):
            btf.size_of(number)


def test_alignment() -> None:
    b = BtfBuilder()
    char, int_, long = b.int("char", 1), b.int("int", 4), b.int("long", 8)
    wide = b.int("wide", 16)
    plain_struct = b.struct("s", 16, [("a", char, 0), ("b", long, 64)])
    packed = b.struct("p", 9, [("a", char, 0), ("b", long, 8)])
    odd_size = b.struct("o", 6, [("a", int_, 0)])
    union = b.union("u", 8, [("a", int_, 0), ("p", packed, 0)])
    array = b.array(b.const(int_), 3)
    holder = b.struct("h", 24, [("a", packed, 0), ("s", plain_struct, 128)])
    btf = read_btf(b.blob())
    expected = {
        **{char: 1, int_: 4, wide: 8, plain_struct: 8, packed: 1, odd_size: 1},
        **{union: 4, array: 4, holder: 8, 0: 1},
    }
    for number, align in expected.items():
        assert btf.align_of(number) == align


# ------------------------------------------------------------------ bytes that lie


def header(**changed: int) -> bytes:
    b = BtfBuilder()
    b.int()
    blob = b.blob()
    names = ["magic", "version", "flags", "hdr_len", "type_off", "type_len", "str_off", "str_len"]
    fields = dict(zip(names, struct.unpack_from("<HBBIIIII", blob), strict=True))
    fields.update(changed)
    return struct.pack("<HBBIIIII", *fields.values()) + blob[24:]


BROKEN = {
    "empty": (b"", "0 bytes are less than a header"),
    "magic": (header(magic=0x1234), "no BTF magic at byte 0"),
    "version": (header(version=2), "version 2 at byte 2"),
    "short header": (header(hdr_len=20), "header length 20 at byte 4"),
    "long header": (header(hdr_len=4096), "header length 4096 at byte 4"),
    "types past the end": (header(type_len=4096), "type section at byte 24 needs 4096 bytes"),
    "far types": (header(type_off=0xFFFFFFF0), "type section"),
    "strings past the end": (header(str_len=4096), "string section at byte 40 needs"),
    "odd types": (header(type_len=15), "whole words"),
    "overlap": (header(str_off=12), "overlap at byte 36"),
    "no strings": (header(str_len=0), "string section at byte 40 does not end in NUL"),
    "unended strings": (header(str_len=3), "does not end in NUL"),
    "no empty string": (header()[:40] + b"xnt\0\0", "starts with no NUL"),
}


@pytest.mark.parametrize(("blob", "message"), BROKEN.values(), ids=BROKEN)
def test_broken_headers(blob: bytes, message: str) -> None:
    with pytest.raises(BadData, match=message):
        read_btf(blob)


def test_errors_name_the_blob() -> None:
    with pytest.raises(BadData, match=r"^BTF 'my\.o': "):
        read_btf(b"", name="my.o")


def test_layout_section_is_checked_and_skipped() -> None:
    blob = bytearray(zoo().blob(header=32, gap=8))
    types_len, strings_off = struct.unpack_from("<II", blob, 12)
    struct.pack_into("<II", blob, 24, types_len, 8)
    assert read_btf(bytes(blob)).type_count == 22
    struct.pack_into("<II", blob, 24, strings_off, 8)
    with pytest.raises(BadData, match="overlap"):
        read_btf(bytes(blob))
    struct.pack_into("<II", blob, 24, 1 << 30, 8)
    with pytest.raises(BadData, match="layout section"):
        read_btf(bytes(blob))


def test_broken_types() -> None:
    for kind in (0, 20, 127):
        b = BtfBuilder()
        b.int()
        b.add(kind, "", 0)
        with pytest.raises(BadData, match=rf"type \[2\] at byte 40 is of unknown kind {kind}"):
            read_btf(b.blob())
    for vlen in (1, 0xFFFF, 0xFFFFFF):
        b = BtfBuilder()
        b.int()
        b.add(4, "s", 4, vlen=vlen)
        with pytest.raises(BadData, match=r"type \[2\] at byte 40 does not end within"):
            read_btf(b.blob())
    for cut in (4, 8, 12):
        b = BtfBuilder()
        b.int()
        b.types[-1] = b.types[-1][:-cut]
        with pytest.raises(BadData, match=r"type \[1\] at byte 24 does not end within"):
            read_btf(b.blob())


def lies(what: str) -> tuple[BtfBuilder, str]:
    b = BtfBuilder()
    i = b.int()
    if what == "type id":
        b.ptr(77)
        return b, r"type \[2\] at byte 40 refers to type \[77\] of 3"
    if what == "member type":
        b.struct("s", 4, [("a", 1 << 31, 0)])
        return b, r"type \[2\] at byte 40 refers to type \[2147483648\]"
    if what == "name":
        b.add(8, 4000, i)
        return b, r"type \[2\] at byte 40 has a name at string offset 4000"
    if what == "func":
        b.func("f", i)
        return b, r"type \[2\] at byte 40 refers to \[1\], which is no FUNC_PROTO"
    if what == "datasec":
        b.datasec(".bss", 4, [(i, 0, 4)])
        return b, r"which is no VAR"
    if what == "itself":
        b.const(2)
        return b, r"type \[2\] at byte 40 refers to itself"
    if what == "typedef circle":
        b.typedef("a", 3)
        b.typedef("b", 2)
        return b, r"refers to itself"
    if what == "array of itself":
        b.array(2, 4)
        return b, r"refers to itself"
    assert what == "var of itself"
    b.var("v", 2)
    return b, r"refers to itself"


@pytest.mark.parametrize(
    "what",
    [
        *("type id", "member type", "name", "func", "datasec"),
        *("itself", "typedef circle", "array of itself", "var of itself"),
    ],
)
def test_lies_are_found(what: str) -> None:
    b, message = lies(what)
    with pytest.raises(BadData, match=message):
        read_btf(b.blob()).check()


def test_one_huge_name_for_many() -> None:
    b = BtfBuilder()
    huge = b.string("x" * 1_000_000)
    b.struct("fits", 1, [("y" * 4096, 0, 0)])
    b.add(4, "s", 1, *(huge, 0, 0) * 50_000, vlen=50_000)
    btf = read_btf(b.blob())
    assert len(btf.type(1).members[0].name) == 4096
    with pytest.raises(BadData, match="where none is"):
        btf.type(2)


@pytest.mark.parametrize("what", ["itself", "typedef circle", "array of itself", "var of itself"])
def test_circles_end(what: str) -> None:
    btf = read_btf(lies(what)[0].blob())
    for question in (btf.size_of, btf.align_of):
        with pytest.raises(BadData):
            question(2)


def test_struct_in_itself_has_no_alignment() -> None:
    b = BtfBuilder()
    b.struct("s", 4, [("s", 1, 0)])
    with pytest.raises(BadData, match="nested too deeply"):
        read_btf(b.blob()).align_of(1)


def test_no_such_id_or_string() -> None:
    btf = read_btf(zoo().blob())
    for number in (-1, 22, 1 << 32):
        with pytest.raises(BadData, match="there is no type"):
            btf.type(number)
    with pytest.raises(BadData, match="no string at offset 100000"):
        btf.string(100000)
    with pytest.raises(BadData, match="no string at offset -1"):
        btf.string(-1)


def survey(blob: bytes) -> None:
    """Everything one may ask; only BadData may come of it."""
    try:
        btf = read_btf(blob)
    except BadData:
        return
    questions = [btf.type, btf.kind, btf.size_of, btf.align_of, btf.skip_modifiers]
    for number in range(btf.type_count + 1):
        for question in questions:
            with suppress(BadData):
                question(number)
    for question in (btf.check, btf.all_strings, lambda: btf.find("s")):
        with suppress(BadData):
            question()


@pytest.mark.parametrize("order", ORDERS)
def test_truncated_anywhere(order: str) -> None:
    blob = zoo(order).blob(header=32)
    for length in range(len(blob)):
        with pytest.raises(BadData):
            read_btf(blob[:length])


@pytest.mark.parametrize("order", ORDERS)
def test_flipped_anywhere(order: str) -> None:
    blob = zoo(order).blob()
    random_ = random.Random(order)
    start = time.process_time()
    for at in range(len(blob)):
        for value in (0, 1, 0xFF, random_.randrange(256), blob[at] ^ 0x80):
            survey(blob[:at] + bytes([value]) + blob[at + 1 :])
    for _ in range(500):
        worse = bytearray(blob)
        for _ in range(random_.randrange(1, 8)):
            worse[random_.randrange(24, len(blob))] = random_.randrange(256)
        survey(bytes(worse))
    assert time.process_time() - start < 60


def test_alignment_of_many_nested_structs_is_quick() -> None:
    b = BtfBuilder()
    last = b.int()
    for level in range(25):  # 8 to the power of 25 members, if each were looked at again
        last = b.struct(f"s{level}", 4, [("m", last, 0)] * 8)
    start = time.process_time()
    assert read_btf(b.blob()).align_of(last) == 4
    assert time.process_time() - start < 5


# ------------------------------------------------------------------ the kernel's own


@pytest.fixture(scope="module")
def vmlinux() -> bytes:
    if not os.path.exists(VMLINUX):
        pytest.skip("the kernel has no BTF")
    with open(VMLINUX, "rb") as file:
        return file.read()


def test_vmlinux(vmlinux: bytes) -> None:
    btf = read_btf(vmlinux, name="vmlinux")
    assert btf.type_count > 10_000
    btf.check()
    list_head = btf.find("list_head", types.STRUCT)
    assert list_head is not None
    assert [m.name for m in btf.type(list_head).members] == ["next", "prev"]
    assert btf.size_of(list_head) == 16
    assert btf.align_of(btf.find("task_struct", types.STRUCT)) >= 8
    strings = btf.all_strings()
    for number in range(1, btf.type_count, 997):
        word = btf.words[btf.at[number]]
        assert strings[word] == btf.type(number).name


def test_vmlinux_is_indexed_in_little_memory(vmlinux: bytes) -> None:
    tracemalloc.start()
    try:
        read_btf(vmlinux)
        assert (
            tracemalloc.get_traced_memory()[1] < 12 << 20
        )  # its words and strings, and a number a type
    finally:
        tracemalloc.stop()


def test_vmlinux_flipped(vmlinux: bytes) -> None:
    random_ = random.Random(1)
    for _ in range(20):
        worse = bytearray(vmlinux)
        for _ in range(5):
            worse[random_.randrange(len(worse))] = random_.randrange(256)
        with suppress(BadData):
            btf = read_btf(bytes(worse))
            btf.find("task_struct")
            btf.type(random_.randrange(btf.type_count))


def test_functions_stand_in_a_section_too() -> None:
    """Those that a program wants of the kernel."""
    b = BtfBuilder()
    wanted = b.func("wanted", b.func_proto(0), linkage=EXTERN)
    section = b.datasec(".ksyms", 0, [(wanted, 0, 0)])
    btf = read_btf(b.blob())
    btf.check()
    assert btf.items(section)[0] == [wanted]
