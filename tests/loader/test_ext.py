"""The records of .BTF.ext, and what is no such section."""

from __future__ import annotations

import struct

import pytest

from pybpftool.btf.reader import read_btf
from pybpftool.errors import BadData
from pybpftool.loader.ext import Ext, read_ext
from tests.support.btf_builder import BtfBuilder


def read(*, size: int = 16, byte: int = 16, count: int = 1, cut: int = 0) -> Ext:
    """One CO-RE relocation of section ``tc``."""
    b = BtfBuilder()
    name, access = b.string("tc"), b.string("0:1")
    record = struct.pack("<IIII", byte, 3, access, 2) + bytes(max(size - 16, 0))
    part = struct.pack("<III", size, name, count) + record
    head = struct.pack("<HBBI6I", 0xEB9F, 1, 0, 32, 0, 0, 0, 0, 0, len(part))
    data = head + part
    return read_ext(data[: len(data) - cut], read_btf(b.blob()))


@pytest.mark.parametrize("size", [16, 24])
def test_a_relocation_with_what_may_follow_it(size: int) -> None:
    (relo,) = read(size=size).core_relos["tc"]
    assert (relo.slot, relo.type_id, relo.access, relo.kind) == (2, 3, "0:1", 2)


@pytest.mark.parametrize(
    ("wrong", "error"),
    [
        ({"size": 12}, "records of 12 bytes at byte 32"),
        ({"byte": 9}, "no instruction at its byte 9"),
        ({"count": 2}, "2 records at byte 44"),
        ({"count": 0}, "0 records"),
        ({"cut": 4}, "names a part at 32 to 60 of 56"),
        ({"cut": 40}, "less than a header"),
    ],
)
def test_contradictions(wrong: dict[str, int], error: str) -> None:
    with pytest.raises(BadData, match=error):
        read(**wrong)
