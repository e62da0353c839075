"""Slots to instructions and back (RFC 9669)."""

from __future__ import annotations

import struct
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pybpftool.errors import BadData
from pybpftool.insn import code as c
from pybpftool.insn.asm import (
    call,
    call_function,
    exit_,
    jump,
    jump_imm,
    jump_long,
    ld_imm64,
    may_goto,
    mov64_imm,
)
from pybpftool.insn.code import Insn, decode, encode, registers, starts

S16 = st.integers(-(2**15), 2**15 - 1)
S32 = st.integers(-(2**31), 2**31 - 1)
REGISTER = st.integers(0, 15)

narrow = st.builds(
    Insn, st.integers(0, 255).filter(lambda code: code != c.WIDE), REGISTER, REGISTER, S16, S32
)
wide = st.builds(Insn, st.just(c.WIDE), REGISTER, REGISTER, S16, S32, S32)


@given(st.lists(narrow | wide))
def test_round_trip(insns: list[Insn]) -> None:
    data = encode(insns)
    assert decode(data) == insns
    assert len(data) == 8 * sum(insn.slots for insn in insns)
    at, expected = 0, []
    for insn in insns:
        expected.append(at)
        at += insn.slots
    assert list(starts(data)) == expected


def test_layout() -> None:
    """As the kernel's struct bpf_insn: a byte, two halves of a byte, 16 bits, 32 bits."""
    data = encode([Insn(0x7B, dst=10, src=3, off=-8, imm=0x01020304)])
    halves = 0x3A if sys.byteorder == "little" else 0xA3
    assert data == struct.pack("=BBhi", 0x7B, halves, -8, 0x01020304)
    assert registers(halves) == (10, 3)


def test_an_opcode_in_a_second_slot_is_none() -> None:
    """Only where an instruction may begin is 0x18 one."""
    data = bytes([0x18, 0] + [0] * 6) * 3 + bytes([0x95] + [0] * 7)
    assert list(starts(data)) == [0, 2]
    assert list(starts(bytes(24))) == [0, 1, 2]
    assert list(starts(b"")) == []


@pytest.mark.parametrize("form", [bytes, bytearray, memoryview])
def test_any_buffer(form: type) -> None:
    data = encode([mov64_imm(0, 1), ld_imm64(1, 2**64 - 2), exit_()])
    assert decode(form(data)) == decode(data)
    assert list(starts(form(data))) == [0, 1, 3]


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (bytes(7), "7 bytes are not whole instructions of 8"),
        (bytes(12), "12 bytes are not whole instructions of 8"),
        (encode([exit_(), ld_imm64(1, 5)])[:-8], "the 64-bit load at 1 lacks its second half"),
        (encode([ld_imm64(1, 5)])[:8] * 2, "the 64-bit load at 0 lacks its second half"),
        (encode([ld_imm64(1, 5)])[:8] + encode([exit_()]), "load at 0 lacks its second half"),
        (encode([ld_imm64(1, 5)])[:8] + encode([Insn(0, src=1)]), "load at 0 lacks"),
        (encode([ld_imm64(1, 5)])[:8] + encode([Insn(0, off=1)]), "load at 0 lacks"),
    ],
)
def test_bad_data(data: bytes, error: str) -> None:
    with pytest.raises(BadData, match=error):
        decode(data)


@given(st.binary(max_size=200))
def test_whatever_decodes_is_whole(data: bytes) -> None:
    try:
        insns = decode(data)
    except BadData:
        return
    assert encode(insns) == data


@pytest.mark.parametrize(
    "fields",
    [{"dst": 16}, {"off": 1 << 15}, {"imm": 1 << 31}, {"imm": -(1 << 31) - 1}, {"src": -1}],
    ids=str,
)
def test_fields_out_of_range(fields: dict[str, int]) -> None:
    with pytest.raises(struct.error):
        encode([Insn(0xB7, **fields)])


QUALITIES = {
    # instruction: the qualities that it has
    mov64_imm: (mov64_imm(0, 1), ""),
    ld_imm64: (ld_imm64(0, 1), "is_wide"),
    call: (call(1), "is_call"),
    call_function: (call_function(4), "is_call is_pseudo_call"),
    exit_: (exit_(), "is_exit"),
    jump: (jump(4), "is_jump"),
    jump_long: (jump_long(4), "is_jump"),
    jump_imm: (jump_imm(c.JEQ, 1, 0, 4), "is_jump is_conditional"),
    may_goto: (may_goto(4), "is_jump is_conditional"),
    "gotox": (Insn(c.JMP | c.JA | c.X, 3), "is_jump is_indirect"),
    "kfunc": (Insn(c.JMP | c.CALL, 0, c.KFUNC_CALL), "is_call"),
}


@pytest.mark.parametrize(("insn", "qualities"), QUALITIES.values(), ids=lambda part: str(part)[:12])
def test_qualities(insn: Insn, qualities: str) -> None:
    names = [name for name in dir(Insn) if name.startswith("is_")]
    assert len(names) == 7
    assert {name for name in names if getattr(insn, name)} == set(qualities.split())


def test_numbers_of_an_instruction() -> None:
    assert ld_imm64(0, 0x8000000080000000).imm64 == 0x8000000080000000
    assert (jump(-3).distance, jump_long(70_000).distance) == (-3, 70_000)
    assert Insn(c.JMP | c.CALL, 0, c.PSEUDO_CALL, 7, 1).distance == 7
    assert repr(jump(-3)) == "Insn(0x05, dst=0, imm=0, imm_high=0, off=-3, src=0)"
