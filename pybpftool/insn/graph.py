"""The control flow of a program: functions, their blocks, and where each block leads.

As bpftool draws it (spec 2.6): a function begins at slot 0 and wherever one of the program's own
calls leads; a block begins where a function begins, where a jump leads and behind a conditional
jump.  Calls and exits do not end a block.
"""

from __future__ import annotations

from bisect import bisect_left
from itertools import pairwise

from ..errors import BadData

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Mapping, Sequence

    from .code import Insn

ENTRY, EXIT = 0, 1
"""Numbers of the blocks before the first and after the last; real ones follow from 2 on."""
_FIRST = 2
_NOT_FOUND, _WRAP = -2, 1 << 16
"""What the kernel says of a call (-ENOENT, in the immediate) of whose distance it lost the upper
bits, and by how many slots the rest may be off."""


class Block:
    """Slots ``start`` up to ``end`` (not included), which run one after the other.

    ``index``: its number in the function.  ``successors``: numbers of the blocks that may come
    next, the one behind it first; the same one twice when a jump leads there as well.
    """

    __slots__ = ("end", "index", "start", "successors")

    def __init__(self, index: int, start: int, end: int, successors: list[int]) -> None:
        self.index = index
        self.start = start
        self.end = end
        self.successors = successors


class Function:
    """Slots ``start`` up to ``end``; ``index``: its number, in the order of the calls."""

    __slots__ = ("blocks", "end", "index", "start")

    def __init__(self, index: int, start: int, end: int, blocks: list[Block]) -> None:
        self.index = index
        self.start = start
        self.end = end
        self.blocks = blocks


def functions(insns: Iterable[Insn], known: Container[int] = ()) -> list[Function]:
    """The functions of a program by address; none for a program without instructions.

    ``known``: slots at which functions begin, as the kernel tells them; empty where it does not.
    BadData when a call or jump leads out of the program or function, or into the middle of an
    instruction, or when a function's last instruction may go on behind it.
    """
    code: dict[int, Insn] = {}
    end = 0
    for insn in insns:
        code[end] = insn
        end += insn.slots
    numbers = {0: 0} if code else {}
    for at, insn in code.items():
        if insn.is_pseudo_call:
            numbers.setdefault(_called(code, at, end, known), len(numbers))
    slots = list(code)
    heads = [*sorted(numbers), end]
    return [
        Function(
            numbers[start],
            start,
            stop,
            _blocks(code, slots[bisect_left(slots, start) : bisect_left(slots, stop)], stop),
        )
        for start, stop in pairwise(heads)
    ]


def _called(code: Mapping[int, Insn], at: int, end: int, known: Container[int]) -> int:
    """The slot of the function that the call in slot ``at`` leads to.

    Of a far one the kernel keeps the low 16 bits of the distance.  Then the function is one of
    those that are as many slots off: a known one, or else what stands behind an end.
    """
    near = at + 1 + code[at].distance
    if near not in code or code[at].imm == _NOT_FOUND or (known and near not in known):
        possible = [
            slot
            for slot in range(near % _WRAP, end, _WRAP)
            if slot in code and (slot in known if known else _ends(code.get(slot - 1)))
        ]
        if len(possible) == 1:
            return possible[0]
    return _target(code, at, 0, end)


def _ends(insn: Insn | None) -> bool:
    """Whether an instruction can be the last of a function."""
    return insn is not None and (
        insn.is_exit or (insn.is_jump and not insn.is_conditional and not insn.is_indirect)
    )


def _target(code: Mapping[int, Insn], at: int, start: int, end: int) -> int:
    """The slot that the jump or call in slot ``at`` leads to, within ``start`` and ``end``."""
    target = at + 1 + code[at].distance
    if not start <= target < end or target not in code:
        raise BadData(f"BPF code: instruction {at} leads to {target}, where none begins")
    return target


def _blocks(code: Mapping[int, Insn], slots: Sequence[int], end: int) -> list[Block]:
    """The blocks of the function whose instructions begin in ``slots`` and end before ``end``."""
    start = slots[0]
    targets = {
        at: _target(code, at, start, end)
        for at in slots
        if code[at].is_jump and not code[at].is_indirect
    }
    behind = {at + 1 for at in slots if code[at].is_conditional or code[at].is_indirect}
    if end in behind and code[slots[-1]].is_conditional:
        raise BadData(f"BPF code: instruction {slots[-1]} may go on behind its function")
    heads = sorted({start, *targets.values(), *behind} - {end})
    numbers = {head: number for number, head in enumerate(heads, _FIRST)}
    blocks = []
    for head, stop in pairwise([*heads, end]):
        last = slots[bisect_left(slots, stop) - 1]
        following = []
        if not code[last].is_jump or code[last].is_conditional:
            following.append(numbers.get(stop, EXIT))
        if last in targets:
            following.append(numbers[targets[last]])
        blocks.append(Block(numbers[head], head, stop, following))
    return blocks
