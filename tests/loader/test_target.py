"""Types of the kernel that programs are for."""

from __future__ import annotations

import pytest

from pybpftool.btf.reader import read_btf
from pybpftool.errors import PybpftoolError
from pybpftool.loader.target import attach_target, traceable, where_to_trace
from tests.support.btf_builder import BtfBuilder


def functions() -> BtfBuilder:
    b = BtfBuilder()
    number, real = b.int(), b.add(16, "float", 4)
    small, large = b.struct("small", 16, []), b.struct("large", 17, [])
    empty = b.struct("empty", 0, [])
    for name, result, arguments in [
        ("plain", number, [number, b.ptr(), small]),
        ("nothing", 0, []),
        ("typedefs", b.typedef("t", number), [b.const(number)]),
        ("gives_struct", small, []),
        ("takes_large", number, [large]),
        ("takes_empty", number, [empty]),
        ("takes_real", number, [real]),
        ("takes_more", number, [number, 0]),
        ("takes_many", number, [number] * 13),
    ]:
        b.func(name, b.func_proto(result, [("", each) for each in arguments]))
    b.typedef("btf_trace_event", b.ptr())
    return b


def test_functions_that_can_be_traced() -> None:
    btf = read_btf(functions().blob())
    names = [btf.name_of(id) for id in traceable(btf, lambda name: name != "nothing")]
    assert names == ["plain", "typedefs"]


def test_a_module_has_functions_of_its_own() -> None:
    below = functions()
    b = BtfBuilder(base=below)
    own = b.func("own", b.func_proto(0))
    kernel = read_btf(below.blob())
    module = read_btf(b.blob(), kernel, name="some")
    assert where_to_trace("o*", kernel, [(7, module)]) == (0, kernel, "o*")
    assert where_to_trace("some:o*", kernel, [(7, module)]) == (7, module, "o*")
    assert traceable(module, lambda name: True) == [own]
    with pytest.raises(PybpftoolError, match="there is no module other with BTF"):
        where_to_trace("other:o*", kernel, [(7, module)])
    assert attach_target(24, "own", kernel, [(7, module)]) == (7, own)
    assert attach_target(24, "some:own", kernel, [(7, module)]) == (7, own)
    assert attach_target(24, "vmlinux:plain", kernel, []) == (0, kernel.find("plain", 12))
    assert attach_target(23, "event", kernel, []) == (0, kernel.find("btf_trace_event", 8))
    for name, says in [
        ("none", "this kernel has no none to attach to"),
        ("vmlinux:own", "module vmlinux has no own"),
        ("some:plain", "module some has no plain"),
    ]:
        with pytest.raises(PybpftoolError, match=says):
            attach_target(24, name, kernel, [(7, module)])
