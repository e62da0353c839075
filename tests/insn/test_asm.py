"""What each function of the assembler makes, read back as text."""

from __future__ import annotations

import inspect

import pytest

from pybpftool.insn import asm as a
from pybpftool.insn import code as c
from pybpftool.insn.code import Insn, decode, encode
from pybpftool.insn.text import Names, texts

NAMES = Names({7: "bpf_get_prandom_u32"}.get, call_base=lambda: 0x1000)

CASES = [
    (a.alu64_imm(c.ADD, 1, -5), "(07) r1 += -5"),
    (a.alu64_imm(c.DIV, 1, 5, 1), "(37) r1 s/= 5"),
    (a.alu64_reg(c.ARSH, 1, 2), "(cf) r1 s>>= r2"),
    (a.alu64_reg(c.MOV, 1, 2, 16), "(bf) r1 = (s16)r2"),
    (a.alu32_imm(c.XOR, 9, 7), "(a4) w9 ^= 7"),
    (a.alu32_reg(c.MOD, 9, 8, 1), "(9c) w9 s%= w8"),
    (a.mov64_imm(0, -1), "(b7) r0 = -1"),
    (a.mov64_reg(0, 10), "(bf) r0 = r10"),
    (a.mov32_imm(0, 2**31 - 1), "(b4) w0 = 2147483647"),
    (a.mov32_reg(0, 1), "(bc) w0 = w1"),
    (a.endian(3, 16, big=True), "(dc) r3 = be16 r3"),
    (a.endian(3, 64, big=False), "(d4) r3 = le64 r3"),
    (a.bswap(3, 32), "(d7) r3 = bswap32 r3"),
    (a.ldx(c.DW, 1, 10, -8), "(79) r1 = *(u64 *)(r10 -8)"),
    (a.ldx(c.B, 1, 10, -8, signed=True), "(91) r1 = *(s8 *)(r10 -8)"),
    (a.stx(c.H, 10, 1, -8), "(6b) *(u16 *)(r10 -8) = r1"),
    (a.st(c.W, 10, -8, -3), "(62) *(u32 *)(r10 -8) = -3"),
    (a.atomic(c.DW, c.ADD, 10, 1, -8), "(db) lock *(u64 *)(r10 -8) += r1"),
    (a.atomic(c.W, c.OR | c.FETCH, 10, 1, 0), "(c3) r1 = atomic_fetch_or((u32 *)(r10 +0), r1)"),
    (a.atomic(c.DW, c.XCHG, 10, 1, -8), "(db) r1 = atomic64_xchg((u64 *)(r10 -8), r1)"),
    (a.atomic(c.DW, c.CMPXCHG, 10, 1, -8), "(db) r0 = atomic64_cmpxchg((u64 *)(r10 -8), r0, r1)"),
    (a.atomic(c.B, c.LOAD_ACQ, 1, 10, -8), "(d3) r1 = load_acquire((u8 *)(r10 -8))"),
    (a.atomic(c.H, c.STORE_REL, 10, 1, -8), "(cb) store_release((u16 *)(r10 -8), r1)"),
    (a.ld_abs(c.H, 12), "(28) r0 = *(u16 *)skb[12]"),
    (a.ld_ind(c.B, 7, 12), "(50) r0 = *(u8 *)skb[r7 + 12]"),
    (a.ld_imm64(1, 2**64 - 1), "(18) r1 = 0xffffffffffffffff"),
    (a.ld_imm64(1, -(2**63)), "(18) r1 = 0x8000000000000000"),
    (a.ld_imm64(1, 8, c.FUNC), "(18) r1 = subprog[+8]"),
    (a.ld_map_fd(1, 5), "(18) r1 = map[id:5]"),
    (a.ld_map_value(1, 5, 16), "(18) r1 = map[id:5][0]+16"),
    (a.jump(-1), "(05) goto pc-1"),
    (a.jump_long(100_000), "(06) gotol pc+100000"),
    (a.jump_imm(c.JSGT, 1, -1, 2), "(65) if r1 s> 0xffffffff goto pc+2"),
    (a.jump_reg(c.JSET, 1, 2, 3), "(4d) if r1 & r2 goto pc+3"),
    (a.jump32_imm(c.JLE, 1, 9, -2), "(b6) if w1 <= 0x9 goto pc-2"),
    (a.jump32_reg(c.JNE, 1, 2, 3), "(5e) if w1 != w2 goto pc+3"),
    (a.may_goto(4), "(e5) may_goto pc+4"),
    (a.call(7), "(85) call bpf_get_prandom_u32#7"),
    (a.call_function(6), "(85) call pc+0"),  # the kernel moves the distance when it loads
    (a.call_kernel(16), "(85) call 0x1010#16"),
    (a.exit_(), "(95) exit"),
]


@pytest.mark.parametrize(("insn", "text"), CASES, ids=[text for _, text in CASES])
def test_form(insn: Insn, text: str) -> None:
    data = encode([insn])
    assert decode(data) == [insn]
    assert list(texts(data, NAMES)) == [(0, text)]


def test_a_call_before_it_is_loaded() -> None:
    """The distance stands in the immediate, as the kernel wants it."""
    assert a.call_function(6) == Insn(0x85, src=1, imm=6)


def test_none_is_forgotten() -> None:
    with open(__file__) as file:
        text = file.read()
    names = [name for name, _ in inspect.getmembers(a, inspect.isfunction) if name[0] != "_"]
    assert len(names) >= 30
    assert [name for name in names if f"(a.{name}(" not in text] == []
