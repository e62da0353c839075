"""Programs assembled here, loaded, and written as text: as ``prog dump xlated`` writes them."""

from __future__ import annotations

import errno
import re
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from pybpftool.errors import KernelError
from pybpftool.insn import code as c
from pybpftool.insn.asm import (
    alu32_imm,
    alu32_reg,
    alu64_imm,
    alu64_reg,
    atomic,
    bswap,
    call,
    call_function,
    endian,
    exit_,
    jump,
    jump32_imm,
    jump32_reg,
    jump_imm,
    jump_long,
    jump_reg,
    ld_abs,
    ld_imm64,
    ld_ind,
    ld_map_fd,
    ld_map_value,
    ldx,
    mov32_imm,
    mov32_reg,
    mov64_imm,
    mov64_reg,
    st,
    stx,
)
from pybpftool.insn.code import SLOT, WIDE, Insn, decode, encode
from pybpftool.insn.dot import dot
from pybpftool.insn.graph import functions
from pybpftool.insn.text import Names, texts
from pybpftool.kernel import calls
from pybpftool.kernel.handles import Prog
from pybpftool.kernel.words import helper_word
from tests.live.compare import Both
from tests.live.normalisers import SPOKEN
from tests.live.zoo import full_name
from tests.support.need import kernel_lacks

SOCKET_FILTER, SCHED_CLS, XDP = 1, 3, 6
RANDOM, MAP_LOOKUP = 7, 1
SIZES = (c.B, c.H, c.W, c.DW)
OPERATIONS = (c.ADD, c.SUB, c.MUL, c.DIV, c.OR, c.AND, c.LSH, c.RSH, c.MOD, c.XOR, c.ARSH)
COMPARISONS = (
    *(c.JEQ, c.JGT, c.JGE, c.JSET, c.JNE, c.JSGT),
    *(c.JSGE, c.JLT, c.JLE, c.JSLT, c.JSLE),
)

FETCHING = [
    call(RANDOM),
    mov64_reg(7, 0),
    mov64_reg(8, 0),
    *(stx(c.DW, 10, 0, -off) for off in (8, 16)),
]
"""Nothing is known of r7, r8 and the stack: so the verifier takes nothing away."""

DONE = [mov64_imm(0, 0), exit_()]


def either_way(jumps: list[Insn]) -> list[Insn]:
    """Each of the jumps, over an instruction of its own."""
    return [insn for each in jumps for insn in (each, alu64_imm(c.ADD, 7, 1))]


PROGRAMS: dict[str, tuple[int, list[Insn]]] = {
    "arithmetic": (
        SCHED_CLS,
        [
            *FETCHING,
            *(alu64_imm(op, 7, 5) for op in OPERATIONS),
            *(alu32_imm(op, 7, 5) for op in OPERATIONS),
            *(alu64_reg(op, 7, 8) for op in OPERATIONS),
            *(alu32_reg(op, 7, 8) for op in OPERATIONS),
            *(alu64_imm(op, 7, -5) for op in (c.ADD, c.AND, c.XOR)),
            *(Insn(kind | c.NEG, 7) for kind in (c.ALU, c.ALU64)),
            mov64_imm(7, -1),
            mov32_imm(7, 2**31 - 1),
            mov32_reg(7, 8),
            mov64_reg(9, 10),
            *(endian(8, bits, big=big) for bits in (16, 32, 64) for big in (True, False)),
            *DONE,
        ],
    ),
    "memory": (
        XDP,
        [
            *FETCHING,
            *(stx(size, 10, 7, -8) for size in SIZES),
            *(st(size, 10, -16, -3) for size in SIZES),
            *(ldx(size, 8, 10, -8) for size in SIZES),
            *(ld_imm64(8, value) for value in (0, 1, 2**31, 2**63, 2**64 - 1)),
            *DONE,
        ],
    ),
    "atomic": (
        SOCKET_FILTER,
        [
            *FETCHING,
            *(
                atomic(size, op, 10, 8, -8)
                for size in (c.W, c.DW)
                for plain in (c.ADD, c.OR, c.AND, c.XOR)
                for op in (plain, plain | c.FETCH)
            ),
            *(atomic(size, op, 10, 8, -8) for size in (c.W, c.DW) for op in (c.XCHG, c.CMPXCHG)),
            *DONE,
        ],
    ),
    "jumps": (
        SCHED_CLS,
        [
            *FETCHING,
            *either_way([jump_imm(op, 7, 3, 1) for op in COMPARISONS]),
            *either_way([jump_reg(op, 7, 8, 1) for op in COMPARISONS]),
            *either_way([jump32_imm(op, 7, -3, 1) for op in COMPARISONS]),
            *either_way([jump32_reg(op, 7, 8, 1) for op in COMPARISONS]),
            jump_imm(c.JEQ, 7, 0, 1),
            jump(1),
            mov64_imm(8, 1),
            *DONE,
        ],
    ),
    "packet": (
        SOCKET_FILTER,
        [
            mov64_reg(6, 1),
            mov64_imm(7, 0),
            *(ld_abs(size, 4) for size in (c.B, c.H, c.W)),
            *(ld_ind(size, 7, 4) for size in (c.B, c.H, c.W)),
            *DONE,
        ],
    ),
    "functions": (
        XDP,
        [
            call_function(3),
            call_function(4),
            call_function(3),
            exit_(),
            call_function(1),
            exit_(),
            call(RANDOM),
            exit_(),
        ],
    ),
    # what a bpftool of the time of 7.1 does not know
    "newer": (
        SCHED_CLS,
        [
            *FETCHING,
            *(alu64_reg(c.MOV, 7, 8, bits) for bits in (8, 16, 32)),
            *(alu32_reg(c.MOV, 7, 8, bits) for bits in (8, 16)),
            *(alu64_imm(op, 7, 5, 1) for op in (c.DIV, c.MOD)),
            *(alu32_reg(op, 7, 8, 1) for op in (c.DIV, c.MOD)),
            *(bswap(7, bits) for bits in (16, 32, 64)),
            *(ldx(size, 7, 10, -8, signed=True) for size in (c.B, c.H, c.W)),
            jump_imm(c.JEQ, 7, 0, 1),
            jump_long(1),
            mov64_imm(8, 1),
            *DONE,
        ],
    ),
    "ordered": (
        SCHED_CLS,
        [
            *FETCHING,
            *(atomic(size, c.LOAD_ACQ, 7, 10, -8) for size in SIZES),
            *(atomic(size, c.STORE_REL, 10, 8, -8) for size in SIZES),
            *DONE,
        ],
    ),
}

NEWER = re.compile(r"\(s\d+\)|s[/%]=|bswap|\*\(s\d|gotol|load_acquire|store_release")
"""Forms that bpftool 7.1 writes as something else, or calls a BUG."""


@contextmanager
def loaded(prog_type: int, insns: list[Insn], name: str) -> Iterator[Prog]:
    try:
        fd = calls.prog_load(prog_type, encode(insns), name=full_name(name))
    except KernelError as error:
        if name in ("newer", "ordered", "atomic") and error.errno == errno.EINVAL:
            kernel_lacks("such instructions", error)
        raise
    with Prog(fd) as prog:
        yield prog


def names_of(prog: Prog) -> Names:
    """What the numbers in the calls of a program stand for."""
    symbols: dict[int, str] = {}
    base = 0
    with open("/proc/kallsyms") as file:
        for line in file:
            address, _, name = line.split()[:3]
            symbols[int(address, 16)] = name
            if name == "__bpf_call_base":
                base = int(address, 16)
    ksyms = memoryview(prog.arrays("jited_ksyms")["jited_ksyms"]).cast("Q")
    jited = list(ksyms) if prog.info.nr_jited_ksyms else None
    return Names(helper_word, symbols.get, lambda: base, jited)


def check(both: Both, prog: Prog) -> None:
    """Hold our text of a program, with and without its bytes, against the reference's."""
    data = prog.arrays("xlated_prog_insns")["xlated_prog_insns"]
    found = dict(texts(data, names_of(prog)))
    for more in ((), ("opcodes",)):
        lines = []
        for at, text in found.items():
            lines.append(f"{at:4}: {text}")
            if more:
                size = 2 * SLOT if data[at * SLOT] == WIDE else SLOT
                lines.append("       " + data[at * SLOT : at * SLOT + size].hex(" "))
        ended = both.reference("prog", "dump", "xlated", "id", str(prog.info.id), *more)
        theirs = ended.out.splitlines()
        assert len(theirs) == len(lines)
        if both.reference.version < SPOKEN:
            new = [NEWER.search(line) for line in lines]
            lines = [line for line, skip in zip(lines, new, strict=True) if not skip]
            theirs = [line for line, skip in zip(theirs, new, strict=True) if not skip]
        assert lines == theirs


@pytest.mark.parametrize("name", PROGRAMS)
def test_same_text(name: str, both: Both) -> None:
    prog_type, insns = PROGRAMS[name]
    with loaded(prog_type, insns, name) as prog:
        check(both, prog)


def test_same_text_of_maps(both: Both) -> None:
    """Their ids in place of the descriptors; helpers the kernel has put others in place of."""
    with (
        calls.map_create(1, 4, 8, 4, full_name("hash")) as hash,
        calls.map_create(2, 4, 24, 1, full_name("array")) as array,
    ):
        program = [
            ld_map_value(6, array.fileno(), 16),
            st(c.W, 10, -4, 0),
            mov64_reg(2, 10),
            alu64_imm(c.ADD, 2, -4),
            ld_map_fd(1, hash.fileno()),
            call(MAP_LOOKUP),
            *DONE,
        ]
        with loaded(SCHED_CLS, program, "maps") as prog:
            check(both, prog)
            data = prog.arrays("xlated_prog_insns")["xlated_prog_insns"]
            ids = [insn.imm for insn in decode(data) if insn.src and insn.is_wide]
            assert ids == [calls.obj_id(array), calls.obj_id(hash)]


def test_what_was_encoded_comes_back(bpf: None) -> None:
    """Code in which the kernel has nothing to change."""
    program = [st(c.DW, 10, -8, 3), ldx(c.DW, 0, 10, -8), ld_imm64(1, 2**63), exit_()]
    with loaded(SOCKET_FILTER, program, "same") as prog:
        assert decode(prog.arrays("xlated_prog_insns")["xlated_prog_insns"]) == program


SLOW_PICTURES = [pytest.param(name, marks=pytest.mark.native) for name in ("jumps", "packet")]
"""Programs of many blocks, before each of which the older reference reads all kernel symbols."""


@pytest.mark.parametrize("name", ["memory", "atomic", "functions", *SLOW_PICTURES])
def test_same_picture(name: str, both: Both) -> None:
    """Of an older reference only the edges, for the labels looked otherwise."""
    prog_type, insns = PROGRAMS[name]
    with loaded(prog_type, insns, name) as prog:
        data = prog.arrays("xlated_prog_insns")["xlated_prog_insns"]
        ended = both.reference("prog", "dump", "xlated", "id", str(prog.info.id), "visual")
        mine = "".join(dot(functions(decode(data)), dict(texts(data, names_of(prog)))))
        theirs = ended.out
        if both.reference.version < SPOKEN:
            mine, theirs = edges(mine), edges(theirs)
        assert mine == theirs


def edges(picture: str) -> str:
    return "".join(line for line in picture.splitlines(keepends=True) if ":s -> " in line)
