"""Types to bytes: what was read comes out as it was, whatever the byte order it came in."""

from __future__ import annotations

import sys

import pytest

from pybpftool.btf import types
from pybpftool.btf.reader import read_btf
from pybpftool.btf.writer import BtfWriter
from tests.btf.test_reader import ORDERS, plain, zoo
from tests.support.btf_builder import BtfBuilder


@pytest.mark.parametrize("order", ORDERS)
def test_types_written_read_the_same(order: str) -> None:
    btf = read_btf(zoo(order).blob())
    writer = BtfWriter()
    for number in range(1, btf.type_count):
        assert writer.next_id == number
        assert writer.add(btf.type(number)) == number
    again = read_btf(writer.blob())
    assert [plain(again.type(number)) for number in range(again.type_count)] == [
        plain(btf.type(number)) for number in range(btf.type_count)
    ]
    # the builder adds strings in the same order, so not one byte differs
    assert writer.blob() == zoo(sys.byteorder).blob()


def test_a_type_made_by_hand() -> None:
    number = types.Int(kind=types.INT, name="int")
    number.size, number.encoding, number.bits_offset, number.nr_bits = 4, types.SIGNED, 0, 32
    struct = types.Composite(kind=types.STRUCT, name="s", kind_flag=1)
    struct.size = 4
    struct.members = [types.Member("a", 1, 0, 3), types.Member("b", 1, 3, 29)]
    writer = BtfWriter()
    writer.add(number)
    writer.add(struct)
    b = BtfBuilder(sys.byteorder)
    b.struct("s", 4, [("a", b.int("int", 4, signed=True), 0, 3), ("b", 1, 3, 29)])
    assert plain(read_btf(writer.blob()).type(2)) == plain(read_btf(b.blob()).type(2))


def test_split_continues_its_base() -> None:
    base = read_btf(zoo().blob())
    writer = BtfWriter(base)
    assert writer.next_id == base.type_count
    assert writer.string("double") < base.strings_end  # the base has it
    assert writer.string("new") == writer.string("new") == base.strings_end
    struct = types.Composite(kind=types.STRUCT, name="new")
    struct.size = 8
    struct.members = [types.Member("double", 4, 0, 0)]
    number = writer.add(struct)
    split = read_btf(writer.blob(), base)
    struct.id = number
    assert plain(split.type(number)) == plain(struct)
    assert split.strings == b"new\0"


@pytest.mark.parametrize("name", ["", "naïve", "\udcff\udc80"])
def test_names(name: str) -> None:
    writer = BtfWriter()
    number = writer.add(types.Fwd(kind=types.FWD, name=name))
    assert read_btf(writer.blob()).type(number).name == name


def test_nothing_written_is_a_btf() -> None:
    assert read_btf(BtfWriter().blob()).type_count == 1
    base = read_btf(zoo().blob())
    assert read_btf(BtfWriter(base).blob(), base).type_count == base.type_count
