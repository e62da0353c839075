"""Machine code as text: LLVM's spelling by Capstone, and bytes that are no instruction."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pybpftool.errors import PybpftoolError
from pybpftool.insn.native import Disassembler

pytest.importorskip("capstone")

AT = 0xFFFFFFFFC0001000

FORMS = """
    0f 1f 44 00 00                | nopl (%rax,%rax)
    f3 0f 1e fa                   | endbr64
    48 89 e5                      | movq %rsp, %rbp
    48 81 ec 18 00 00 00          | subq $24, %rsp
    8b 73 70                      | movl 112(%rbx), %esi
    25 ff 00 00 00                | andl $255, %eax
    48 83 c0 fd                   | addq $-3, %rax
    83 f0 80                      | xorl $-128, %eax
    83 c8 ff                      | orl $-1, %eax
    b8 f9 ff ff ff                | movl $4294967289, %eax
    f7 c0 80 ff ff ff             | testl $4294967168, %eax
    66 c7 45 f0 fe ff             | movw $65534, -16(%rbp)
    c6 85 78 ff ff ff 80          | movb $-128, -136(%rbp)
    88 85 60 ff ff ff             | movb %al, -160(%rbp)
    48 ba 88 77 66 55 44 33 22 11 | movabsq $1234605616436508552, %rdx
    48 bf 00 00 00 00 80 88 ff ff | movabsq $-131391639519232, %rdi
    48 c7 c6 d0 5d 02 c0          | movq $-1073586736, %rsi
    48 d1 ef                      | shrq %rdi
    48 c1 e0 08                   | shlq $8, %rax
    48 01 14 c8                   | addq %rdx, (%rax,%rcx,8)
    77 07                         | ja 0xffffffffc0001009
    e8 fb 00 00 00                | callq 0xffffffffc0001100
    ff e0                         | jmpq *%rax
    c9                            | leave
    c3                            | retq
"""


@pytest.mark.parametrize("form", FORMS.strip().splitlines(), ids=str.strip)
def test_spelling(form: str) -> None:
    code, _, text = (part.strip() for part in form.partition("|"))
    [insn] = Disassembler("x86_64")(bytes.fromhex(code), AT)
    operation, _, operands = text.partition(" ")
    assert (insn.operation, insn.operands) == (operation, operands)
    assert (insn.at, insn.size) == (0, len(bytes.fromhex(code)))
    assert str(insn) == (f"\t{operation}\t{operands}" if operands else f"\t{operation}")


def test_a_lock_stands_by_itself() -> None:
    insns = list(Disassembler("x86_64")(bytes.fromhex("f0 48 0f c1 7d e8 c9"), AT))
    assert [(insn.at, insn.size, str(insn)) for insn in insns] == [
        (0, 1, "\tlock"),
        (1, 5, "\txaddq\t%rdi, -24(%rbp)"),
        (6, 1, "\tleave"),
    ]


def test_bytes_that_are_no_instruction() -> None:
    insns = list(Disassembler("x86_64")(bytes.fromhex("c9 06 06 c3 48"), AT))
    assert [str(insn) for insn in insns] == [
        "\tleave",
        "\t.byte\t0x06",
        "\t.byte\t0x06",
        "\tretq",
        "\t.byte\t0x48",
    ]


@given(st.binary(max_size=64))
def test_every_byte_is_in_one_instruction(code: bytes) -> None:
    at = 0
    for insn in Disassembler("x86_64")(code, AT):
        assert insn.at == at
        at += insn.size
    assert at == len(code)


@pytest.mark.parametrize(
    ("machine", "code", "text"),
    [
        ("aarch64", "fd 7b bf a9", "\tstp\tx29, x30, [sp, #-0x10]!"),
        ("riscv64", "13 05 70 00", "\taddi\ta0, zero, 7"),
        ("ppc64le", "07 00 60 38", "\tli\tr3, 7"),
        ("s390x", "07 fe", "\tbr\t%r14"),
    ],
)
def test_other_machines(machine: str, code: str, text: str) -> None:
    assert [str(insn) for insn in Disassembler(machine)(bytes.fromhex(code))] == [text]


def test_an_unknown_machine() -> None:
    with pytest.raises(PybpftoolError, match="No JIT disassembly support") as refused:
        Disassembler("vax")
    assert refused.value.hint == "Capstone does not know the machine vax"
