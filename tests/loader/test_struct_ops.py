"""A struct of callbacks laid into the kernel's."""

from __future__ import annotations

import struct

import pytest

from pybpftool.btf.reader import read_btf
from pybpftool.btf.spec import Btf
from pybpftool.errors import BadData
from pybpftool.loader.struct_ops import home, lay
from tests.support.btf_builder import BtfBuilder


def laid_out(name: str = "ops___mine") -> tuple[Btf, int]:
    """The object's BTF and the id of its struct (40 bytes)."""
    b = BtfBuilder()
    number = b.int(signed=True)
    callback = b.ptr(b.func_proto(0, [("", number)]))
    name_type = b.array(b.char(), 4)
    id = b.struct(
        name,
        40,
        [
            ("init", callback, 0),
            ("flags", number, 64),
            ("name", name_type, 96),
            ("fresh", callback, 128),
            ("knob", number, 192),
            ("owner", b.ptr(), 256),
        ],
    )
    return read_btf(b.blob()), id


def kernel(**change: int) -> tuple[Btf, dict[str, int]]:
    """The kernel's BTF: its struct in another order, behind 16 bytes."""
    b = BtfBuilder()
    number = b.int("number", change.get("width", 4), signed=True)
    callback = b.ptr(b.func_proto(0, [("", number)]))
    name_type = b.array(b.char(), change.get("name", 4))
    ids = {
        "ops": b.struct(
            "ops", 24, [("name", name_type, 0), ("flags", number, 64), ("init", callback, 128)]
        )
    }
    ids["value"] = b.struct("bpf_struct_ops_ops", 40, [("data", ids["ops"], 128)])
    return read_btf(b.blob()), ids


def data(flags: int = -2, knob: int = 0) -> bytes:
    return struct.pack("=qi4sqi4xq", 0, flags, b"mine", 0, knob, 0)


def test_members_go_by_name() -> None:
    btf, id = laid_out()
    theirs, ids = kernel()
    laid = lay(btf, id, data(), {0: "my_init"}, theirs, name="mine")
    assert laid.value == bytes(16) + struct.pack("=4s4xi4xq", b"mine", -2, 0)
    assert (laid.type_id, laid.value_type_id) == (ids["ops"], ids["value"])
    found = [(each.program, each.member, each.index, each.offset) for each in laid.callbacks]
    assert found == [("my_init", "init", 2, 32)]


@pytest.mark.parametrize(
    ("content", "programs", "change", "says"),
    [
        (data(knob=1), {}, {}, "'knob' is set, but the kernel's 'struct ops' has none such"),
        (data(), {16: "new"}, {}, "'fresh' is set, but the kernel's 'struct ops' has none such"),
        (data(), {}, {"width": 8}, "'flags' has 4 bytes and 8 in the kernel"),
        (data(), {}, {"name": 8}, "'name' has 4 bytes and 8 in the kernel"),
        (data()[:20], {}, {}, "20 bytes are less than its struct's 40"),
        (data(), {4: "lost"}, {}, "'lost' at byte 4 is in no member"),
        (b"\x01" + data()[1:], {}, {}, "'init' points to what is no program"),
        (data(), {8: "wrong"}, {}, "'flags' is no pointer"),
    ],
)
def test_what_does_not_work_out(
    content: bytes, programs: dict[int, str], change: dict[str, int], says: str
) -> None:
    btf, id = laid_out()
    with pytest.raises(BadData, match=says):
        lay(btf, id, content, programs, kernel(**change)[0], name="mine")


def test_a_struct_the_kernel_does_not_have() -> None:
    btf, id = laid_out("other")
    with pytest.raises(BadData, match="the kernel has no 'struct other'"):
        lay(btf, id, data(), {}, kernel()[0])


def test_a_module_may_have_it() -> None:
    btf, id = laid_out()
    own, module = BtfBuilder(), kernel()[0]
    other = read_btf(own.blob())
    assert home(btf, id, module, [(7, other)]) == (0, module)
    assert home(btf, id, other, [(7, module)]) == (7, module)
    assert home(btf, id, other, [(7, other)]) == (0, other)
