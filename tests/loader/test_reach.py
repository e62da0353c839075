"""Which instructions the verifier comes to: branches on constants, and nothing else, decide."""

from __future__ import annotations

import pytest

from pybpftool.insn import asm, code
from pybpftool.insn.code import Insn, encode
from pybpftool.loader.reach import PRESENT, reached

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pybpftool.loader.reach import Value

EXIT = asm.exit_()
CALL = asm.call(5)
ZERO = asm.mov64_imm(0, 0)
CTX = asm.ldx(code.W, 1, 1, 0)


def found(
    *insns: Insn,
    values: dict[int, Value] | None = None,
    contents: dict[int, bytes | None] | None = None,
    alone: set[int] | None = None,
    tables: dict[int, list[int]] | None = None,
) -> str:
    """A letter for each slot: reached for sure (Y), perhaps (?), never (-)."""
    text = encode(insns)
    slots = reached(bytearray(text), values or {}, contents or {}, alone or set(), tables or {})
    return "".join(
        {True: "Y", False: "?", None: "-"}[slots.get(at)] for at in range(len(text) // 8)
    )


def test_a_table_of_jumps_leads_to_all_its_places() -> None:
    """A number that nobody knows decides; what follows the jump is not come to from it."""
    jump = Insn(code.JMP | code.JA | code.X, 1, 0, 0, 0)
    program = asm.ld_map_value(1, 3, 0), CTX, jump, CALL, EXIT, ZERO, EXIT, CALL, EXIT
    assert found(*program, tables={0: [4, 6]}) == "Y-YY????--"
    assert found(*program) == "Y-YY------"


def guarded(*before: Insn) -> list[Insn]:
    """A call that is jumped over where r1 is 0."""
    return [*before, asm.jump_imm(code.JEQ, 1, 0, 1), CALL, ZERO, EXIT]


@pytest.mark.parametrize(
    ("before", "answer"),
    [
        ([asm.mov64_imm(1, 0)], "-"),
        ([asm.mov64_imm(1, 1)], "Y"),
        ([asm.mov32_imm(1, -1), asm.alu64_imm(code.RSH, 1, 32)], "-"),
        ([asm.mov64_imm(1, -1), asm.alu64_imm(code.RSH, 1, 32)], "Y"),
        (
            [asm.mov64_imm(1, -1), asm.alu64_imm(code.ARSH, 1, 63), asm.alu64_imm(code.ADD, 1, 1)],
            "-",
        ),
        ([asm.mov64_imm(2, 6), asm.mov64_reg(1, 2), asm.alu64_imm(code.AND, 1, 9)], "-"),
        ([asm.mov64_imm(2, 6), asm.mov64_reg(1, 2), asm.alu64_imm(code.XOR, 1, 6)], "-"),
        ([asm.mov64_imm(2, 6), asm.mov64_reg(1, 2), asm.alu64_reg(code.SUB, 1, 2)], "-"),
        ([asm.mov64_imm(1, 4), asm.alu32_imm(code.MUL, 1, 1 << 30)], "-"),
        ([asm.mov64_imm(1, 6), asm.alu64_imm(code.DIV, 1, 7)], "?"),
        ([CTX], "Y"),  # whatever the context holds, both ways are looked at
        ([asm.mov64_imm(1, 0), CTX], "Y"),
        ([asm.mov64_imm(1, 0), asm.call(7), asm.mov64_reg(1, 0)], "Y"),
        ([asm.st(code.DW, 10, -8, 0), asm.ldx(code.DW, 1, 10, -8)], "-"),
        ([asm.mov64_imm(2, 3), asm.stx(code.W, 10, 2, -8), asm.ldx(code.W, 1, 10, -8)], "Y"),
        (
            [asm.st(code.DW, 10, -8, 0), asm.stx(code.B, 10, 1, -5), asm.ldx(code.DW, 1, 10, -8)],
            "Y",
        ),
        (
            [
                asm.mov64_reg(2, 10),
                asm.alu64_imm(code.ADD, 2, -8),
                asm.st(code.DW, 10, -8, 0),
                asm.ldx(code.DW, 1, 10, -8),
            ],
            "?",  # a helper may have written there
        ),
    ],
)
def test_what_is_constant(before: list[Insn], answer: str) -> None:
    assert found(*guarded(*before))[len(before) + 1] == answer


@pytest.mark.parametrize(
    ("jump", "taken"),
    [
        (asm.jump_imm(code.JGT, 1, -3, 1), True),
        (asm.jump_imm(code.JSGT, 1, -1, 1), False),
        (asm.jump_imm(code.JSGE, 1, -2, 1), True),
        (asm.jump_imm(code.JSLT, 1, 0, 1), True),
        (asm.jump_imm(code.JSLE, 1, -3, 1), False),
        (asm.jump_imm(code.JLT, 1, 5, 1), False),
        (asm.jump_imm(code.JLE, 1, -2, 1), True),
        (asm.jump_imm(code.JGE, 1, -1, 1), False),
        (asm.jump_imm(code.JSET, 1, 1, 1), False),
        (asm.jump_imm(code.JNE, 1, -2, 1), False),
        (asm.jump32_imm(code.JEQ, 1, -2, 1), True),
        (asm.jump_reg(code.JEQ, 1, 1, 1), True),
    ],
)
def test_comparisons(jump: Insn, taken: bool) -> None:
    before = asm.mov64_imm(1, -2)
    assert found(before, jump, CALL, ZERO, EXIT) == ("YY-YY" if taken else "YYYYY")


def test_constants_of_frozen_maps() -> None:
    address = asm.ld_imm64(1, 0)
    load = [address, asm.ldx(code.W, 1, 1, 4)]

    def of(contents: dict[int, bytes | None], offset: int = 8) -> str:
        return found(*guarded(*load), values={0: (3, offset)}, contents=contents)[4]

    assert of({3: bytes(16)}) == "-"
    assert of({3: bytes(12) + b"\1\1\1\1"}) == "Y"
    assert of({3: None}) == "?"
    assert of({}) == "Y"
    assert of({3: bytes(16)}, 16) == "Y"  # beyond the end: the verifier will say so
    moved = [address, asm.alu64_imm(code.ADD, 1, 4), asm.ldx(code.W, 1, 1, 0)]
    assert found(*guarded(*moved), values={0: (3, 0)}, contents={3: bytes(16)})[5] == "-"


@pytest.mark.parametrize(
    ("value", "answer"), [(0, "-"), (PRESENT, "Y"), (None, "?"), ((0, 0), "Y")]
)
def test_addresses(value: Value, answer: str) -> None:
    assert found(*guarded(asm.ld_imm64(1, 0)), values={0: value})[3] == answer


def test_functions_get_what_is_passed_unless_verified_alone() -> None:
    insns = [asm.mov64_imm(1, 0), asm.call_function(1), EXIT, *guarded()]
    assert found(*insns) == "YYYY-YY"
    assert found(*insns, alone={3}) == "YYYYYYY"
    twice = [asm.mov64_imm(1, 0), asm.call_function(3), asm.mov64_imm(1, 1), asm.call_function(1)]
    assert found(*twice, EXIT, *guarded())[-3] == "Y"


def test_callbacks_and_jumps() -> None:
    callback = Insn(code.WIDE, 2, code.FUNC, 0, 2)
    assert found(callback, EXIT, ZERO, EXIT, CALL)[:6] == "Y-YYY-"
    assert found(asm.jump(1), CALL, ZERO, EXIT) == "Y-YY"
    assert found(asm.jump_long(1), CALL, ZERO, EXIT) == "Y-YY"
    assert found(asm.may_goto(1), CALL, EXIT) == "YYY"
    assert found(asm.jump(7)) == "Y"
    assert found(asm.jump(-3)) == "Y"


def test_loops_end() -> None:
    """And what only an enemy writes is given up, not gone through."""
    spills = [asm.st(code.DW, 10, -8 * at, at) for at in range(1, 64)]
    back = [asm.jump_imm(code.JEQ, 9, 0, -2) for at in range(4000)]
    assert "-" not in found(*spills, *back, EXIT)
    step = asm.alu64_imm(code.ADD, 1, 1)
    assert found(asm.mov64_imm(1, 0), step, asm.jump_imm(code.JLT, 1, 9, -2), CALL, EXIT) == "YYYYY"
    assert found(asm.jump(-1), CALL) == "Y-"


def test_jumps_and_calls_over_many_instructions() -> None:
    """Distances of 32 bits: of gotol, and of a call before the kernel has it."""
    far = 70_000
    to = Insn(code.JMP | code.CALL, 0, code.PSEUDO_CALL, 0, far + 2)
    skipped = found(asm.jump_long(far), *[ZERO] * far, EXIT)
    assert skipped == "Y" + "-" * far + "Y"
    called = found(to, asm.jump_long(far), *[CALL] * far, EXIT, ZERO, EXIT)
    assert called == "YY" + "-" * far + "YYY"
