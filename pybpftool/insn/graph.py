"""The control flow of a program: functions, their blocks, and where each block leads.

As bpftool draws it (spec 2.6): a function begins at slot 0 and wherever one of the program's own
calls leads; a block begins where a function begins, where a jump leads and behind a conditional
jump.  Calls and exits do not end a block.
"""

from __future__ import annotations

from bisect import bisect_left

from ..errors import BadData

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from .code import Insn

ENTRY, EXIT = 0, 1
"""Numbers of the blocks before the first and after the last; real ones follow from 2 on."""
_FIRST = 2


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


def functions(insns: Sequence[Insn]) -> list[Function]:
    """The functions of a program by address; none for a program without instructions.

    BadData when a call, a jump or the end of a function leads out of it or into the middle of an
    instruction.
    """
    if not insns:
        return []
    at = 0
    code: dict[int, Insn] = {}
    for insn in insns:
        code[at] = insn
        at += insn.slots
    found = {0: 0}  # number by slot
    for start, insn in code.items():
        if insn.is_pseudo_call:
            target = start + 1 + insn.distance
            if target not in code:
                raise _astray(start, "calls", target)
            found.setdefault(target, len(found))
    slots = list(code)
    heads = sorted(found)
    parts = zip(heads, [*heads[1:], at], strict=True)
    return [Function(found[start], start, end, _blocks(code, slots, start, end)) for start, end in parts]


def _blocks(code: dict[int, Insn], slots: Sequence[int], start: int, end: int) -> list[Block]:
    """The blocks of the function in slots ``start`` up to ``end``."""
    mine = slots[bisect_left(slots, start) : bisect_left(slots, end)]
    heads = {start}
    for at in mine:
        insn = code[at]
        if insn.is_jump:
            if insn.is_conditional or insn.is_indirect:
                heads.add(at + 1)
            if not insn.is_indirect:
                target = at + 1 + insn.distance
                if not start <= target < end or target not in code:
                    raise _astray(at, "jumps to", target)
                heads.add(target)
    ...
