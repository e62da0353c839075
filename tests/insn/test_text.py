"""The text of instructions: every form by hand, names in calls, and what cannot be (spec 2.5)."""

from __future__ import annotations

import struct
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pybpftool.errors import BadData
from pybpftool.insn import code as c
from pybpftool.insn.asm import call, call_function, call_kernel, exit_, ld_imm64, mov64_imm
from pybpftool.insn.code import Insn, encode
from pybpftool.insn.text import Names, texts
from tests.insn.conftest import Shown

HELPERS = {0: "bpf_unspec", 1: "bpf_map_lookup_elem", 211: "bpf_cgrp_storage_delete"}
NAMES = Names(HELPERS.get)

FORMS = """
    04  1 0      0              0 | (04) w1 += 0
    0c  1 9      0              0 | (0c) w1 += w9
    14  1 0      0       -1244432 | (14) w1 -= -1244432
    1c  1 9      0              0 | (1c) w1 -= w9
    24  2 0      0              8 | (24) w2 *= 8
    2c  2 8      0              0 | (2c) w2 *= w8
    34  2 0      0       -3733296 | (34) w2 /= -3733296
    3c  2 8      0              0 | (3c) w2 /= w8
    44  3 0      0             16 | (44) w3 |= 16
    4c  3 7      0              0 | (4c) w3 |= w7
    54  3 0      0       -6222160 | (54) w3 &= -6222160
    5c  3 7      0              0 | (5c) w3 &= w7
    64  4 0      0             24 | (64) w4 <<= 24
    6c  4 6      0              0 | (6c) w4 <<= w6
    74  4 0      0       -8711024 | (74) w4 >>= -8711024
    7c  4 6      0              0 | (7c) w4 >>= w6
    84  4 0      0              0 | (84) w4 = -w4
    94  5 0      0      -11199888 | (94) w5 %= -11199888
    9c  5 5      0              0 | (9c) w5 %= w5
    a4  6 0      0             40 | (a4) w6 ^= 40
    ac  6 4      0              0 | (ac) w6 ^= w4
    b4  6 0      0      -13688752 | (b4) w6 = -13688752
    bc  6 4      0              0 | (bc) w6 = w4
    c4  7 0      0             48 | (c4) w7 s>>= 48
    cc  7 3      0              0 | (cc) w7 s>>= w3
    34  3 0      1             -7 | (34) w3 s/= -7
    3c  3 4      1              0 | (3c) w3 s/= w4
    94  3 0      1             -7 | (94) w3 s%= -7
    9c  3 4      1              0 | (9c) w3 s%= w4
    bc  2 5      8              0 | (bc) w2 = (s8)w5
    bc  2 5     16              0 | (bc) w2 = (s16)w5
    bc  2 5     32              0 | (bc) w2 = (s32)w5
    07  1 0      0              0 | (07) r1 += 0
    0f  1 9      0              0 | (0f) r1 += r9
    17  1 0      0       -1244432 | (17) r1 -= -1244432
    1f  1 9      0              0 | (1f) r1 -= r9
    27  2 0      0              8 | (27) r2 *= 8
    2f  2 8      0              0 | (2f) r2 *= r8
    37  2 0      0       -3733296 | (37) r2 /= -3733296
    3f  2 8      0              0 | (3f) r2 /= r8
    47  3 0      0             16 | (47) r3 |= 16
    4f  3 7      0              0 | (4f) r3 |= r7
    57  3 0      0       -6222160 | (57) r3 &= -6222160
    5f  3 7      0              0 | (5f) r3 &= r7
    67  4 0      0             24 | (67) r4 <<= 24
    6f  4 6      0              0 | (6f) r4 <<= r6
    77  4 0      0       -8711024 | (77) r4 >>= -8711024
    7f  4 6      0              0 | (7f) r4 >>= r6
    87  4 0      0              0 | (87) r4 = -r4
    97  5 0      0      -11199888 | (97) r5 %= -11199888
    9f  5 5      0              0 | (9f) r5 %= r5
    a7  6 0      0             40 | (a7) r6 ^= 40
    af  6 4      0              0 | (af) r6 ^= r4
    b7  6 0      0      -13688752 | (b7) r6 = -13688752
    bf  6 4      0              0 | (bf) r6 = r4
    c7  7 0      0             48 | (c7) r7 s>>= 48
    cf  7 3      0              0 | (cf) r7 s>>= r3
    37  3 0      1             -7 | (37) r3 s/= -7
    3f  3 4      1              0 | (3f) r3 s/= r4
    97  3 0      1             -7 | (97) r3 s%= -7
    9f  3 4      1              0 | (9f) r3 s%= r4
    bf  2 5      8              0 | (bf) r2 = (s8)r5
    bf  2 5     16              0 | (bf) r2 = (s16)r5
    bf  2 5     32              0 | (bf) r2 = (s32)r5
    bf  6 7      1          65538 | (bf) r6 = addr_space_cast(r7, 1, 2)
    bf  6 7      1         -65536 | (bf) r6 = addr_space_cast(r7, 65535, 0)
    bf  6 7     -1              0 | (bf) r6 = &(void __percpu *)(r7)
    bc  6 7      1              0 | (bc) w6 = w7
    bf  6 7      2              0 | (bf) r6 = r7
    b7  6 0      8              4 | (b7) r6 = 4
    d4  3 0      0             16 | (d4) r3 = le16 r3
    dc  3 0      0             16 | (dc) r3 = be16 r3
    d7  3 0      0             16 | (d7) r3 = bswap16 r3
    d4  3 0      0             32 | (d4) r3 = le32 r3
    dc  3 0      0             32 | (dc) r3 = be32 r3
    d7  3 0      0             32 | (d7) r3 = bswap32 r3
    d4  3 0      0             64 | (d4) r3 = le64 r3
    dc  3 0      0             64 | (dc) r3 = be64 r3
    d7  3 0      0             64 | (d7) r3 = bswap64 r3
    61  1 10     -8              0 | (61) r1 = *(u32 *)(r10 -8)
    69  1 10     -8              0 | (69) r1 = *(u16 *)(r10 -8)
    71  1 10     -8              0 | (71) r1 = *(u8 *)(r10 -8)
    79  1 10     -8              0 | (79) r1 = *(u64 *)(r10 -8)
    81  2 1      0              0 | (81) r2 = *(s32 *)(r1 +0)
    89  2 1      0              0 | (89) r2 = *(s16 *)(r1 +0)
    91  2 1      0              0 | (91) r2 = *(s8 *)(r1 +0)
    79  0 1  32767              0 | (79) r0 = *(u64 *)(r1 +32767)
    79  9 8 -32768              0 | (79) r9 = *(u64 *)(r8 -32768)
    62 10 0    -16             -1 | (62) *(u32 *)(r10 -16) = -1
    6a 10 0    -16             -1 | (6a) *(u16 *)(r10 -16) = -1
    72 10 0    -16             -1 | (72) *(u8 *)(r10 -16) = -1
    7a 10 0    -16             -1 | (7a) *(u64 *)(r10 -16) = -1
    63 10 7    -24              0 | (63) *(u32 *)(r10 -24) = r7
    6b 10 7    -24              0 | (6b) *(u16 *)(r10 -24) = r7
    73 10 7    -24              0 | (73) *(u8 *)(r10 -24) = r7
    7b 10 7    -24              0 | (7b) *(u64 *)(r10 -24) = r7
    c2  0 0      0              0 | (c2) nospec
    ca  0 0      0              0 | (ca) nospec
    d2  0 0      0              0 | (d2) nospec
    da  0 0      0              0 | (da) nospec
    c3 10 3     -8              0 | (c3) lock *(u32 *)(r10 -8) += r3
    c3 10 3     -8             64 | (c3) lock *(u32 *)(r10 -8) |= r3
    c3 10 3     -8             80 | (c3) lock *(u32 *)(r10 -8) &= r3
    c3 10 3     -8            160 | (c3) lock *(u32 *)(r10 -8) ^= r3
    c3 10 3     -8              1 | (c3) r3 = atomic_fetch_add((u32 *)(r10 -8), r3)
    c3 10 3     -8             65 | (c3) r3 = atomic_fetch_or((u32 *)(r10 -8), r3)
    c3 10 3     -8             81 | (c3) r3 = atomic_fetch_and((u32 *)(r10 -8), r3)
    c3 10 3     -8            161 | (c3) r3 = atomic_fetch_xor((u32 *)(r10 -8), r3)
    c3 10 3     -8            225 | (c3) r3 = atomic_xchg((u32 *)(r10 -8), r3)
    c3 10 3     -8            241 | (c3) r0 = atomic_cmpxchg((u32 *)(r10 -8), r0, r3)
    c3 10 3     -8            256 | (c3) r10 = load_acquire((u32 *)(r3 -8))
    c3 10 3     -8            272 | (c3) store_release((u32 *)(r10 -8), r3)
    db 10 3     -8              0 | (db) lock *(u64 *)(r10 -8) += r3
    db 10 3     -8             64 | (db) lock *(u64 *)(r10 -8) |= r3
    db 10 3     -8             80 | (db) lock *(u64 *)(r10 -8) &= r3
    db 10 3     -8            160 | (db) lock *(u64 *)(r10 -8) ^= r3
    db 10 3     -8              1 | (db) r3 = atomic64_fetch_add((u64 *)(r10 -8), r3)
    db 10 3     -8             65 | (db) r3 = atomic64_fetch_or((u64 *)(r10 -8), r3)
    db 10 3     -8             81 | (db) r3 = atomic64_fetch_and((u64 *)(r10 -8), r3)
    db 10 3     -8            161 | (db) r3 = atomic64_fetch_xor((u64 *)(r10 -8), r3)
    db 10 3     -8            225 | (db) r3 = atomic64_xchg((u64 *)(r10 -8), r3)
    db 10 3     -8            241 | (db) r0 = atomic64_cmpxchg((u64 *)(r10 -8), r0, r3)
    db 10 3     -8            256 | (db) r10 = load_acquire((u64 *)(r3 -8))
    db 10 3     -8            272 | (db) store_release((u64 *)(r10 -8), r3)
    cb  2 3      4            256 | (cb) r2 = load_acquire((u16 *)(r3 +4))
    cb  2 3      4            272 | (cb) store_release((u16 *)(r2 +4), r3)
    d3  2 3      4            256 | (d3) r2 = load_acquire((u8 *)(r3 +4))
    d3  2 3      4            272 | (d3) store_release((u8 *)(r2 +4), r3)
    20  0 0      0             14 | (20) r0 = *(u32 *)skb[14]
    40  0 7      0             -2 | (40) r0 = *(u32 *)skb[r7 + -2]
    28  0 0      0             14 | (28) r0 = *(u16 *)skb[14]
    48  0 7      0             -2 | (48) r0 = *(u16 *)skb[r7 + -2]
    30  0 0      0             14 | (30) r0 = *(u8 *)skb[14]
    50  0 7      0             -2 | (50) r0 = *(u8 *)skb[r7 + -2]
    18  1 0      0           -1 0 | (18) r1 = 0xffffffff
    18  1 0      0   -2 305419896 | (18) r1 = 0x12345678fffffffe
    18  1 0      0            0 0 | (18) r1 = 0x0
    18  1 0      0           5 -1 | (18) r1 = 0xffffffff00000005
    18  1 1      0           42 0 | (18) r1 = map[id:42]
    18  2 2      0          42 16 | (18) r2 = map[id:42][0]+16
    18  2 2      0         42 -16 | (18) r2 = map[id:42][0]+-16
    18  3 3      0     4660 32767 | (18) r3 = 0x7fff00001234
    18  4 4      0           12 0 | (18) r4 = subprog[+12]
    18  4 4      0          -12 0 | (18) r4 = subprog[-12]
    18  5 5      0            3 0 | (18) r5 = 0x3
    18  5 6      0            3 8 | (18) r5 = map[idx:3]+8
    05  0 0      5              0 | (05) goto pc+5
    05  0 0     -1              0 | (05) goto pc-1
    05  0 0      0              0 | (05) goto pc+0
    06  0 0      0          40000 | (06) gotol pc+40000
    06  0 0      0         -40000 | (06) gotol pc-40000
    0d  4 0      0              0 | (0d) gotox r4
    e5  0 0      3              0 | (e5) may_goto pc+3
    e5  0 0     -3              0 | (e5) may_goto pc-3
    95  0 0      0              0 | (95) exit
    15  1 0      6             -1 | (15) if r1 == 0xffffffff goto pc+6
    1d  1 9     -2              0 | (1d) if r1 == r9 goto pc-2
    25  1 0      5           3168 | (25) if r1 > 0xc60 goto pc+5
    2d  1 9     -1              0 | (2d) if r1 > r9 goto pc-1
    35  1 0      4             -3 | (35) if r1 >= 0xfffffffd goto pc+4
    3d  1 9      0              0 | (3d) if r1 >= r9 goto pc+0
    45  2 0      3           6336 | (45) if r2 & 0x18c0 goto pc+3
    4d  2 9      1              0 | (4d) if r2 & r9 goto pc+1
    55  2 0      2             -5 | (55) if r2 != 0xfffffffb goto pc+2
    5d  2 9      2              0 | (5d) if r2 != r9 goto pc+2
    65  2 0      1           9504 | (65) if r2 s> 0x2520 goto pc+1
    6d  2 9      3              0 | (6d) if r2 s> r9 goto pc+3
    75  2 0      0             -7 | (75) if r2 s>= 0xfffffff9 goto pc+0
    7d  2 9      4              0 | (7d) if r2 s>= r9 goto pc+4
    a5  3 0     -3          15840 | (a5) if r3 < 0x3de0 goto pc-3
    ad  3 9      7              0 | (ad) if r3 < r9 goto pc+7
    b5  3 0     -4            -11 | (b5) if r3 <= 0xfffffff5 goto pc-4
    bd  3 9      8              0 | (bd) if r3 <= r9 goto pc+8
    c5  4 0     -5          19008 | (c5) if r4 s< 0x4a40 goto pc-5
    cd  4 9      9              0 | (cd) if r4 s< r9 goto pc+9
    d5  4 0     -6            -13 | (d5) if r4 s<= 0xfffffff3 goto pc-6
    dd  4 9     10              0 | (dd) if r4 s<= r9 goto pc+10
    16  1 0      6             -1 | (16) if w1 == 0xffffffff goto pc+6
    1e  1 9     -2              0 | (1e) if w1 == w9 goto pc-2
    26  1 0      5           3168 | (26) if w1 > 0xc60 goto pc+5
    2e  1 9     -1              0 | (2e) if w1 > w9 goto pc-1
    36  1 0      4             -3 | (36) if w1 >= 0xfffffffd goto pc+4
    3e  1 9      0              0 | (3e) if w1 >= w9 goto pc+0
    46  2 0      3           6336 | (46) if w2 & 0x18c0 goto pc+3
    4e  2 9      1              0 | (4e) if w2 & w9 goto pc+1
    56  2 0      2             -5 | (56) if w2 != 0xfffffffb goto pc+2
    5e  2 9      2              0 | (5e) if w2 != w9 goto pc+2
    66  2 0      1           9504 | (66) if w2 s> 0x2520 goto pc+1
    6e  2 9      3              0 | (6e) if w2 s> w9 goto pc+3
    76  2 0      0             -7 | (76) if w2 s>= 0xfffffff9 goto pc+0
    7e  2 9      4              0 | (7e) if w2 s>= w9 goto pc+4
    a6  3 0     -3          15840 | (a6) if w3 < 0x3de0 goto pc-3
    ae  3 9      7              0 | (ae) if w3 < w9 goto pc+7
    b6  3 0     -4            -11 | (b6) if w3 <= 0xfffffff5 goto pc-4
    be  3 9      8              0 | (be) if w3 <= w9 goto pc+8
    c6  4 0     -5          19008 | (c6) if w4 s< 0x4a40 goto pc-5
    ce  4 9      9              0 | (ce) if w4 s< w9 goto pc+9
    d6  4 0     -6            -13 | (d6) if w4 s<= 0xfffffff3 goto pc-6
    de  4 9     10              0 | (de) if w4 s<= w9 goto pc+10
    85  0 0      0              1 | (85) call bpf_map_lookup_elem#1
    85  0 0      0              0 | (85) call bpf_unspec#0
    85  0 0      0            211 | (85) call bpf_cgrp_storage_delete#211
    9d  1 2      3              4 | (9d) if r1 exit r2 goto pc+3
    0e  1 2      3              4 | (0e) if w1 jmp w2 goto pc+3
    96  1 2      3              4 | (96) if w1 exit 0x4 goto pc+3
    00  1 2      3              4 | BUG_ld_00
    58  1 2      3              4 | (58) r0 = *(u64 *)skb[r2 + 4]
    98  1 2      3              4 | BUG_ld_98
    01  1 2      3              4 | BUG_ldx_01
    19  1 2      3              4 | BUG_ldx_19
    d9  1 2      3              4 | BUG_ldx_d9
    02  1 2      3              4 | BUG_st_02
    82  1 2      3              4 | BUG_st_82
    1a  1 2      3              4 | BUG_st_1a
    03  1 2      3              4 | BUG_03
    83  1 2      3              4 | BUG_83
    5b  1 2      3              4 | BUG_5b
    db  1 2      3              4 | BUG_db
    c3  1 2      3            224 | BUG_c3
"""
"""Opcode (hexadecimal), destination, source, offset, immediate (of two slots: two), text."""


def row(line: str) -> tuple[Insn, str]:
    fields, _, text = line.partition(" | ")
    code, *numbers = fields.split()
    return Insn(int(code, 16), *map(int, numbers)), text


ROWS = [row(line) for line in FORMS.strip().splitlines()]


@pytest.mark.parametrize(
    ("insn", "text"), ROWS, ids=[f"{at} {text}" for at, (_, text) in enumerate(ROWS)]
)
def test_form(shown: Shown, insn: Insn, text: str) -> None:
    assert shown([insn], NAMES) == {0: text}


@pytest.mark.parametrize(
    ("insn", "text"),
    [
        # bpftool says (null) or worse; no such opcode has ever been
        (Insn(0xE4), "BUG_alu_e4"),
        (Insn(0xFF), "BUG_alu64_ff"),
        (Insn(0x99), "BUG_ldx_99"),
        (Insn(0xE5, src=1), "BUG_jmp_e5"),
        (Insn(0xFD), "BUG_jmp_fd"),
        (Insn(0xE6), "BUG_jmp32_e6"),
    ],
    ids=lambda part: part if isinstance(part, str) else "",
)
def test_what_cannot_be(shown: Shown, insn: Insn, text: str) -> None:
    assert shown([insn], NAMES) == {0: text}


def test_slots_are_counted(shown: Shown) -> None:
    assert shown([mov64_imm(0, 1), ld_imm64(1, 2), ld_imm64(2, 3), exit_()], NAMES) == {
        0: "(b7) r0 = 1",
        1: "(18) r1 = 0x2",
        3: "(18) r2 = 0x3",
        5: "(95) exit",
    }
    assert shown([], NAMES) == {}


def test_a_second_slot_is_never_shown() -> None:
    """Whatever it holds."""
    wide = encode([Insn(c.WIDE)])
    assert list(texts(wide[:8] * 2 + encode([exit_()]), NAMES)) == [
        (0, "(18) r0 = 0x0"),
        (2, "(95) exit"),
    ]


# ------------------------------------------------------------------ names in calls

BASE = 0xFFFFFFFF81000000
SYMBOLS = {
    BASE + 330864: "__htab_map_lookup_elem",
    BASE - 61360: "bpf_trace_printk",
    0xFFFFFFFFA0001000: "bpf_prog_6deef7357e7b4530_sub",
}
KSYMS = [0xFFFFFFFFA0000F00, 0xFFFFFFFFA0001000]


def sub(off: int, number: int) -> Insn:
    """A call of one of the program's functions as the kernel hands it out."""
    return Insn(c.JMP | c.CALL, 0, c.PSEUDO_CALL, off, number)


@pytest.mark.parametrize(
    ("insn", "ksyms", "text"),
    [
        (call(330864), KSYMS, "call __htab_map_lookup_elem#330864"),
        (call(-61360), KSYMS, "call bpf_trace_printk#-61360"),
        (call(212), KSYMS, "call 0xffffffff810000d4#212"),
        (call(-1), KSYMS, "call 0xffffffff80ffffff#-1"),
        (call_kernel(1), KSYMS, "call 0xffffffff81000001#1"),
        (call_kernel(-61360), None, "call bpf_trace_printk#-61360"),
        (sub(3, 1), KSYMS, "call pc+3#bpf_prog_6deef7357e7b4530_sub"),
        (sub(-9, 0), KSYMS, "call pc-9#0xffffffffa0000f00"),
        (sub(3, 2), KSYMS, "call pc+3#0xffffffff81000002"),
        (sub(3, -61360), KSYMS, "call pc+3#bpf_trace_printk"),
        (sub(3, 1), [], "call pc+3#0xffffffff81000001"),
        (sub(3, 1), None, "call pc+3"),
    ],
    ids=lambda part: part if isinstance(part, str) else "",
)
def test_names(shown: Shown, insn: Insn, ksyms: list[int] | None, text: str) -> None:
    names = Names(HELPERS.get, SYMBOLS.get, lambda: BASE, ksyms)
    assert shown([insn], names) == {0: f"(85) {text}"}


def test_names_kept_secret(shown: Shown) -> None:
    """Without the rights to see addresses the kernel zeroes them all."""
    program = [call(0), sub(23, 0), call_kernel(0)]
    assert list(shown(program, Names(HELPERS.get, jited_ksyms=[])).values()) == [
        "(85) call bpf_unspec#0",
        "(85) call pc+23#0x0",
        "(85) call 0x0#0",
    ]


def test_an_address_wraps(shown: Shown) -> None:
    names = Names(symbol=SYMBOLS.get, call_base=lambda: 5)
    found = shown([call_function(0), call_kernel(-6)], names)
    assert found[1] == "(85) call 0xffffffffffffffff#-6"


# ------------------------------------------------------------------ hostile


@pytest.mark.parametrize("size", [1, 7, 9, 15])
def test_half_a_slot(size: int) -> None:
    with pytest.raises(BadData, match=f"{size} bytes are not whole instructions"):
        texts(bytes(size), NAMES)


def test_half_a_wide_instruction() -> None:
    with pytest.raises(BadData, match="load at 1 lacks"):
        texts(encode([exit_(), ld_imm64(0, 0)])[:-8], NAMES)


@given(st.binary(max_size=400))
def test_any_bytes_have_a_text(data: bytes) -> None:
    data = data[: len(data) // 8 * 8]
    try:
        found = dict(texts(data, NAMES))
    except BadData:
        assert data[-8] == c.WIDE
        return
    assert list(found) == list(c.starts(data))
    for text in found.values():
        assert text.startswith(("(", "BUG_"))
        assert text.isascii() and text.isprintable()


def test_a_large_program_is_a_blink() -> None:
    """No slower where every instruction is another one: the shapes are few."""
    lead = struct.unpack("=H", encode([mov64_imm(1, 0)])[:2])[0]
    program = b"".join(struct.pack("=Hhi", lead, 0, number) for number in range(100_000))
    begun = time.perf_counter()
    count = sum(1 for _ in texts(program, NAMES))
    assert count == 100_000
    assert time.perf_counter() - begun < 2


def test_every_pair_of_opcode_and_registers() -> None:
    """None is without a text; of the 256 wide ones every other is a second slot."""
    program = b"".join(bytes((code, byte)) + bytes(6) for code in range(256) for byte in range(256))
    assert sum(1 for _ in texts(program, NAMES)) == 256 * 256 - 128
