"""Functions, blocks and edges (spec 2.6), and jumps that lead nowhere."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pybpftool.errors import BadData
from pybpftool.insn import code as c
from pybpftool.insn.asm import (
    call,
    call_kernel,
    exit_,
    jump,
    jump32_reg,
    jump_imm,
    jump_long,
    ld_imm64,
    may_goto,
    mov64_imm,
)
from pybpftool.insn.code import Insn, decode
from pybpftool.insn.graph import EXIT, functions

MOV = mov64_imm(0, 0)
OUT = exit_()


def sub(off: int) -> Insn:
    """A call of one of the program's functions as the kernel hands it out."""
    return Insn(c.JMP | c.CALL, 0, c.PSEUDO_CALL, off, 0)


def gotox() -> Insn:
    return Insn(c.JMP | c.JA | c.X, 1)


def when(off: int) -> Insn:
    return jump_imm(c.JEQ, 1, 0, off)


def drawn(insns: list[Insn]) -> str:
    """Functions by address, ``number start-end``, and their blocks with their successors."""
    return "; ".join(
        f"{function.index} {function.start}-{function.end}: "
        + ", ".join(
            f"{block.index} {block.start}-{block.end}>"
            + "+".join("X" if to == EXIT else str(to) for to in block.successors)
            for block in function.blocks
        )
        for function in functions(insns)
    )


CASES = {
    "nothing": ([], ""),
    "straight": ([MOV, OUT], "0 0-2: 2 0-2>X"),
    "a branch": ([when(1), MOV, OUT], "0 0-3: 2 0-1>3+4, 3 1-2>4, 4 2-3>X"),
    "to the next": ([when(0), OUT], "0 0-2: 2 0-1>3+3, 3 1-2>X"),
    "a loop": ([MOV, when(-2), OUT], "0 0-3: 2 0-2>3+2, 3 2-3>X"),
    "to itself": ([jump(-1)], "0 0-1: 2 0-1>2"),
    "over": ([jump(1), MOV, OUT], "0 0-3: 2 0-2>3, 3 2-3>X"),
    "either way": (
        [when(2), MOV, jump(1), MOV, OUT],
        "0 0-5: 2 0-1>3+4, 3 1-3>5, 4 3-4>5, 5 4-5>X",
    ),
    "in 32 bits": ([jump32_reg(c.JLT, 1, 2, 1), MOV, OUT], "0 0-3: 2 0-1>3+4, 3 1-2>4, 4 2-3>X"),
    "may_goto": ([MOV, may_goto(-2), OUT], "0 0-3: 2 0-2>3+2, 3 2-3>X"),
    # gotol keeps the distance in the immediate
    "gotol": ([when(1), jump_long(1), MOV, OUT], "0 0-4: 2 0-1>3+4, 3 1-2>5, 4 2-3>5, 5 3-4>X"),
    "gotol backwards": ([MOV, jump_long(-2)], "0 0-2: 2 0-2>2"),
    "gotox": ([when(1), gotox(), MOV, OUT], "0 0-4: 2 0-1>3+4, 3 1-2>, 4 2-4>X"),
    "gotox behind": ([gotox(), MOV, OUT, gotox()], "0 0-4: 2 0-1>, 3 1-4>"),
    "calls and exits go on": (
        [call(1), call_kernel(9), when(1), OUT, OUT],
        "0 0-5: 2 0-3>3+4, 3 3-4>4, 4 4-5>X",
    ),
    "wide": (
        [when(2), ld_imm64(0, 1), ld_imm64(0, 2), OUT],
        "0 0-6: 2 0-1>3+4, 3 1-3>4, 4 3-6>X",
    ),
    "wide at the end of a block": ([ld_imm64(0, 1), when(-3), OUT], "0 0-4: 2 0-3>3+2, 3 3-4>X"),
    "an opcode in a second slot": ([Insn(c.WIDE, imm_high=5), OUT], "0 0-3: 2 0-3>X"),
    "a function": ([sub(1), OUT, MOV, OUT], "0 0-2: 2 0-2>X; 1 2-4: 2 2-4>X"),
    "in the order of the calls": (
        [sub(3), sub(1), OUT, MOV, OUT],
        # one that runs into the next ends at the exit, as every last block does
        "0 0-3: 2 0-3>X; 2 3-4: 2 3-4>X; 1 4-5: 2 4-5>X",
    ),
    "called twice, and by another": (
        [sub(3), sub(2), sub(3), OUT, sub(1), OUT, MOV, OUT],
        "0 0-4: 2 0-4>X; 1 4-6: 2 4-6>X; 2 6-8: 2 6-8>X",
    ),
    "itself": ([sub(-1), OUT], "0 0-2: 2 0-2>X"),
    "branches of the second": (
        [sub(1), OUT, when(1), MOV, OUT],
        "0 0-2: 2 0-2>X; 1 2-5: 2 2-3>3+4, 3 3-4>4, 4 4-5>X",
    ),
}


@pytest.mark.parametrize(("insns", "expected"), CASES.values(), ids=CASES)
def test_graph(insns: list[Insn], expected: str) -> None:
    assert drawn(insns) == expected


FAR = 70_000


def far(imm: int = -2) -> list[Insn]:
    """Calls of functions in slots FAR and FAR + 2, with what the kernel leaves of the distance."""
    lost = [Insn(c.JMP | c.CALL, 0, c.PSEUDO_CALL, FAR - 1 + at - 0x10000, imm) for at in (0, 1)]
    return [*lost, *[MOV] * (FAR - 3), OUT, MOV, OUT, MOV, OUT]


KNOWN = {0: None, FAR: None, FAR + 2: None}


@pytest.mark.parametrize(
    ("insns", "known"),
    [(far(), ()), (far(), KNOWN), (far(imm=77), KNOWN)],
    ids=["the kernel says so", "it tells of the functions", "an interpreted one"],
)
def test_calls_whose_distance_was_cut(insns: list[Insn], known: dict[int, None]) -> None:
    found = [(each.start, each.end, each.index) for each in functions(insns, known)]
    assert found == [(0, FAR, 0), (FAR, FAR + 2, 1), (FAR + 2, FAR + 4, 2)]


def test_a_call_that_may_lead_to_two_functions() -> None:
    """What the kernel left of the distance is taken as it is."""
    insns, near = far(), FAR - 0x10000
    insns[near - 1] = OUT  # so that one may begin behind it
    assert [each.start for each in functions(insns)] == [0, near, FAR + 2]


def test_far_jumps() -> None:
    insns = [when(1), jump_long(FAR), *[MOV] * FAR, when(1), jump_long(-FAR - 2), OUT]
    [found] = functions(insns)
    heads = [(block.start, block.successors) for block in found.blocks]
    last = FAR + 2
    assert heads == [
        (0, [3, 4]),
        (1, [5]),
        (2, [5]),
        (last, [6, 7]),
        (last + 1, [4]),
        (last + 2, [EXIT]),
    ]


ASTRAY = {
    "before the first": ([jump(-2)], "instruction 0 leads to -1,"),
    "behind the last": ([jump(2), MOV, OUT], "instruction 0 leads to 3,"),
    "far behind": ([jump(32767), OUT], "instruction 0 leads to 32768,"),
    "gotol far before": ([MOV, jump_long(-(2**31))], "instruction 1 leads to -2147483646,"),
    "gotol far behind": ([jump_long(2**31 - 1)], "instruction 0 leads to 2147483648,"),
    "into a wide one": ([when(1), ld_imm64(0, 0), OUT], "instruction 0 leads to 2,"),
    "back into a wide one": ([ld_imm64(0, 0), when(-2), OUT], "instruction 2 leads to 1,"),
    "call before": ([sub(-2), OUT], "instruction 0 leads to -1,"),
    "call behind": ([sub(1), OUT], "instruction 0 leads to 2,"),
    "call into a wide one": ([sub(1), ld_imm64(0, 0), OUT], "instruction 0 leads to 2,"),
    "into another function": ([sub(2), when(1), OUT, MOV, OUT], "instruction 1 leads to 3,"),
    "back into another": ([sub(1), OUT, when(-2), OUT], "instruction 2 leads to 1,"),
    "behind its function": ([sub(1), when(-1), OUT], "instruction 1 may go on behind"),
    "behind the program": ([MOV, when(-2)], "instruction 1 may go on behind"),
}


@pytest.mark.parametrize(("insns", "error"), ASTRAY.values(), ids=ASTRAY)
def test_astray(insns: list[Insn], error: str) -> None:
    with pytest.raises(BadData, match=error):
        functions(insns)


SOME = st.sampled_from([MOV, OUT, ld_imm64(0, 0), call(1), gotox()])
JUMPS = st.integers(-12, 12).flatmap(
    lambda off: st.sampled_from([when(off), jump(off), jump_long(off), sub(off), may_goto(off)])
)


@given(st.lists(SOME | JUMPS, max_size=24))
def test_any_program(insns: list[Insn]) -> None:
    """Blocks cover the program without a gap, and every edge leads to one of the function."""
    try:
        found = functions(insns)
    except BadData:
        return
    at = 0
    for function in found:
        assert function.start == at
        numbers = [block.index for block in function.blocks]
        assert numbers == list(range(2, 2 + len(numbers)))
        for block in function.blocks:
            assert block.start == at < block.end
            at = block.end
            assert set(block.successors) <= {EXIT, *numbers}
        assert function.end == at
    assert at == sum(insn.slots for insn in insns)
    assert sorted(function.index for function in found) == list(range(len(found)))


@given(st.binary(max_size=30 * 8))
def test_any_bytes(data: bytes) -> None:
    try:
        functions(decode(data[: len(data) // 8 * 8]))
    except BadData as error:
        assert str(error).startswith("BPF code: ")


@pytest.mark.parametrize(
    "insns",
    [[when(-1)] * 50_000 + [OUT], [when(0)] * 50_000 + [OUT], [sub(0)] * 50_000 + [OUT]],
    ids=["to themselves", "blocks", "functions"],
)
def test_time_in_proportion(insns: list[Insn]) -> None:
    begun = time.perf_counter()
    assert functions(insns)
    assert time.perf_counter() - begun < 5
