"""Which instructions of a program the verifier comes to, as far as constants decide it.

Programs ask what the kernel has and jump around what it has not; the verifier follows them, so a
call of a missing helper harms only where it is reached.  Here the same is told without a kernel:
constants are followed through registers and the stack, and only branches on these are decided.
Source: RFC 9669.
"""

from __future__ import annotations

import struct
import sys
from heapq import heappop, heappush

from ..insn import code as insn
from ..insn.code import WIDE, registers

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import TypeAlias

    Value: TypeAlias = int | tuple[int, int] | None
    """What a register is known to hold: an unsigned number, or (a frozen map's index, offset) for
    an address in its contents; None: the verifier may know more than is known here."""

PRESENT = 1 << 63
"""Stands for an address of which only so much is known, that it is not null."""

_FRAME = 10
_U64, _U32 = (1 << 64) - 1, (1 << 32) - 1
_SIZES = {insn.W: 4, insn.H: 2, insn.B: 1, insn.DW: 8}
_MEM, _MODE, _SIZE, _OP = insn.MEM, 0xE0, 0x18, 0xF0
_MOST_VISITS = 32
"""Times an instruction is looked at, on average; enough for all there can be to learn."""


class _State:
    """What is known before an instruction: registers and stack slots ``(offset, bytes)`` without an
    entry may hold anything.  ``certain``: no branch before it was left open for want of knowledge
    that the verifier has."""

    __slots__ = ("certain", "regs", "stack")

    def __init__(
        self,
        regs: dict[int, Value],
        stack: dict[tuple[int, int], Value],
        *,
        certain: bool,
    ) -> None:
        self.regs = regs
        self.stack = stack
        self.certain = certain

    def merged(self, other: _State) -> _State | None:
        """What holds in both; None where that is what holds in this one."""
        regs = {key: value for key, value in self.regs.items() if _same(other.regs, key, value)}
        stack = {key: value for key, value in self.stack.items() if _same(other.stack, key, value)}
        certain = self.certain or other.certain
        if (len(regs), len(stack), certain) == (len(self.regs), len(self.stack), self.certain):
            return None
        return _State(regs, stack, certain=certain)


def _same(known: Mapping, key: object, value: Value) -> bool:  # type: ignore[type-arg]  # of registers, or of slots
    return key in known and known[key] == value


def reached(
    code: bytes | bytearray,
    values: Mapping[int, Value],
    contents: Mapping[int, bytes | None],
    verified_alone: set[int],
    tables: Mapping[int, Iterable[int]],
) -> dict[int, bool]:
    """The slots that are reached -> whether they certainly are.

    ``code``: a linked program.  ``values``: by slot, what a 64-bit immediate that refers to
    something stands for.  ``contents``: of the frozen maps by index, None where the kernel
    will put in what is not known here.  ``verified_alone``: where functions begin that the kernel
    verifies for any arguments.  ``tables``: by slot, where an instruction that refers to a table of
    jumps may lead to.
    """
    return _Walk(code, values, contents, verified_alone, tables).run()


class _Walk:
    """The way through a program, from one place where ways meet to the next.

    What is known is kept for these places alone.  The first of those that wait comes first: so
    code without loops is walked through once.
    """

    def __init__(
        self,
        code: bytes | bytearray,
        values: Mapping[int, Value],
        contents: Mapping[int, bytes | None],
        verified_alone: set[int],
        tables: Mapping[int, Iterable[int]],
    ) -> None:
        self.code = code
        self.insns = list(struct.iter_unpack("=BBhi", code))
        self.values = values
        self.contents = contents
        self.alone = verified_alone
        self.tables = tables
        self.shared = _addresses_taken(self.insns)
        self.meeting = _meeting_places(self.insns)
        self.states: dict[int, _State] = {}
        self.waiting: list[int] = []
        self.queued: set[int] = set()
        self.seen: dict[int, bool] = {}
        self.seen_tables: set[int] = set()

    def run(self) -> dict[int, bool]:
        """The answer of ``reached``."""
        self._come(0, _State({}, {}, certain=True))
        left = _MOST_VISITS * len(self.insns)
        while self.waiting and left > 0:
            slot = heappop(self.waiting)
            self.queued.discard(slot)
            known = self.states[slot]
            state = _State(dict(known.regs), dict(known.stack), certain=known.certain)
            while True:
                left -= 1
                self.seen[slot] = self.seen.get(slot, False) or state.certain
                following = self._step(slot, state)
                if following in self.meeting:
                    self._come(following, state)
                    break
                if not 0 <= following < len(self.insns):
                    break
                slot = following
        if self.waiting:
            return dict.fromkeys(range(len(self.insns)), False)  # made to be hard: who knows
        return self.seen

    def _come(self, slot: int, state: _State) -> None:
        """Learn that a meeting place is reached with this state."""
        if not 0 <= slot < len(self.insns):
            return
        before = self.states.get(slot)
        after = state if before is None else before.merged(state)
        if after is not None:
            self.states[slot] = after
            if slot not in self.queued:
                self.queued.add(slot)
                heappush(self.waiting, slot)

    def _step(self, slot: int, state: _State) -> int:
        """The slot that follows, -1 for none; ``state`` becomes what is known there."""
        op, register, off, imm = self.insns[slot]
        dst, src = registers(register)
        regs = state.regs
        kind = op & 7
        if op == WIDE:
            if src == insn.FUNC:
                regs[dst] = PRESENT
                self._come(slot + 1 + imm, _State({}, {}, certain=state.certain))
            elif slot in self.tables:
                regs[dst] = PRESENT
                if slot not in self.seen_tables:
                    self.seen_tables.add(slot)
                    for to in self.tables[slot]:
                        self._come(to, _State({}, {}, certain=False))
            elif slot in self.values:
                regs[dst] = self.values[slot]
            elif src == 0 and slot + 1 < len(self.insns):
                regs[dst] = (self.insns[slot + 1][3] & _U32) << 32 | imm & _U32
            else:
                regs[dst] = PRESENT
            return slot + 2
        if kind in (insn.ALU, insn.ALU64):
            _set(regs, dst, *_computed(regs, op, dst, src, imm, off))
        elif kind == insn.LDX:
            size = _SIZES[op & _SIZE]
            if op & _MODE != _MEM:
                regs.pop(dst, None)
            elif src == _FRAME:
                there = (off, size) in state.stack
                value = state.stack.get((off, size))
                _set(regs, dst, there, value if off < self.shared else None)
            else:
                _set(regs, dst, *_loaded(regs.get(src), off, size, self.contents))
        elif kind in (insn.ST, insn.STX):
            if dst == _FRAME:
                known = kind == insn.ST or src in regs
                _store(state, op, off, known, imm if kind == insn.ST else regs.get(src))
            if kind == insn.STX and op & _MODE == insn.ATOMIC and imm & insn.FETCH:
                regs.pop(0 if imm == insn.CMPXCHG else src, None)
        elif kind in (insn.JMP, insn.JMP32):
            return self._jump(slot, state, op, dst, src, off, imm)
        else:
            regs.pop(0, None)  # packets read the old way, into r0
        return slot + 1

    def _jump(
        self, slot: int, state: _State, op: int, dst: int, src: int, off: int, imm: int
    ) -> int:
        regs = state.regs
        what, is_long = op & _OP, op & 7 == insn.JMP32
        if what == insn.EXIT or op == insn.JMP | insn.JA | insn.X:  # for the latter see tables
            return -1
        if what == insn.JA:
            return slot + 1 + (imm if is_long else off)
        if what == insn.CALL:
            if src == insn.PSEUDO_CALL:
                to = slot + 1 + imm
                given = () if to in self.alone else range(1, 6)
                passed = {key: regs[key] for key in given if key in regs}
                self._come(to, _State(passed, {}, certain=state.certain))
            for register in range(6):
                regs.pop(register, None)
            return slot + 1
        if what != insn.JCOND and dst in regs and (src in regs or not op & insn.X):
            two: Value = regs[src] if op & insn.X else imm & _U64
            taken = _compared(what, regs[dst], two, 32 if is_long else 64)
            if taken is not None:
                return slot + 1 + off * taken
            state.certain = False
        there = _State(dict(regs), dict(state.stack), certain=state.certain)
        self._come(slot + 1 + off, there)
        return slot + 1


def _meeting_places(insns: list[tuple[int, ...]]) -> set[int]:
    """Where jumps and calls lead to."""
    found = set()
    for slot, (op, register, off, imm) in enumerate(insns):
        if op & 7 in (insn.JMP, insn.JMP32):
            what = op & _OP
            if what == insn.CALL or op == insn.JMP32 | insn.JA:
                found.add(slot + 1 + imm)
            elif what != insn.EXIT:
                found.add(slot + 1 + off)
        elif op == WIDE and registers(register)[1] == insn.FUNC:
            found.add(slot + 1 + imm)
    return found


def _store(state: _State, op: int, off: int, known: bool, value: Value) -> None:
    """Put a value into a slot of the stack, in the place of all that it overlaps."""
    size = _SIZES[op & _SIZE]
    for at, width in [*state.stack]:
        if at < off + size and off < at + width:
            del state.stack[at, width]
    if op & _MODE != _MEM or not known:
        return
    if isinstance(value, int):
        state.stack[off, size] = value & ((1 << 8 * size) - 1)
    elif size == 8 or value is None:
        state.stack[off, size] = value


def _set(regs: dict[int, Value], register: int, known: bool, value: Value) -> None:
    if known:
        regs[register] = value
    else:
        regs.pop(register, None)


def _compared(what: int, one: Value, two: Value, bits: int) -> bool | None:
    if isinstance(one, tuple) and two == 0:
        one = PRESENT
    if not isinstance(one, int) or not isinstance(two, int):
        return None
    if PRESENT in (one, two) and 0 not in (one, two):
        return None  # which address, is not known
    mask = (1 << bits) - 1
    a, b = one & mask, two & mask
    if one == PRESENT:
        a = 1 << bits - 1
    sign = 1 << bits - 1
    c, d = (a ^ sign) - sign, (b ^ sign) - sign
    return {
        insn.JEQ: a == b,
        insn.JNE: a != b,
        insn.JGT: a > b,
        insn.JGE: a >= b,
        insn.JLT: a < b,
        insn.JLE: a <= b,
        insn.JSET: bool(a & b),
        insn.JSGT: c > d,
        insn.JSGE: c >= d,
        insn.JSLT: c < d,
        insn.JSLE: c <= d,
    }.get(what)


def _computed(
    regs: Mapping[int, Value], op: int, dst: int, src: int, imm: int, off: int
) -> tuple[bool, Value]:
    """Whether a register is known after an operation, and what it then holds."""
    what, wide = op & _OP, op & 7 == insn.ALU64
    if what == insn.MOV:
        if op & insn.X and (src not in regs or off):
            return False, None
        value: Value = regs[src] if op & insn.X else imm & _U64
    else:
        if what in (insn.END, insn.NEG) or dst not in regs or (op & insn.X and src not in regs):
            return False, None
        one, two = regs[dst], regs[src] if op & insn.X else imm & _U64
        if one is None or two is None or PRESENT in (one, two):
            return True, None
        if isinstance(one, tuple):
            if what != insn.ADD or not wide or not isinstance(two, int):
                return True, None
            return True, (one[0], (one[1] + two) & _U64)
        if isinstance(two, tuple):
            return True, None
        bits = 64 if wide else 32
        if not wide:
            one, two = one & _U32, two & _U32
        found = _arithmetic(what, one, two, bits)
        if found is None:
            return True, None
        value = found
    if not wide and isinstance(value, int):
        value &= _U32
    elif not wide:
        value = None
    return True, value & _U64 if isinstance(value, int) else value


def _arithmetic(what: int, one: int, two: int, bits: int) -> int | None:
    shift = two & (bits - 1)
    sign = 1 << bits - 1
    if what == insn.ARSH:
        return ((one ^ sign) - sign) >> shift
    return {
        insn.ADD: one + two,
        insn.SUB: one - two,
        insn.AND: one & two,
        insn.OR: one | two,
        insn.XOR: one ^ two,
        insn.LSH: one << shift,
        insn.RSH: one >> shift,
        insn.MUL: one * two,
    }.get(what)


def _loaded(
    address: Value, off: int, size: int, contents: Mapping[int, bytes | None]
) -> tuple[bool, Value]:
    if not isinstance(address, tuple) or address[0] not in contents:
        return False, None
    held = contents[address[0]]
    at = address[1] + off
    if held is None:
        return True, None
    if not 0 <= at <= len(held) - size:
        return False, None
    return True, int.from_bytes(held[at : at + size], sys.byteorder)


def _addresses_taken(insns: list[tuple[int, ...]]) -> int:
    """The lowest stack offset whose address is taken: from there on, others may write."""
    lowest = 0
    for slot, (op, register, _, _) in enumerate(insns):
        dst, src = registers(register)
        if op != insn.ALU64 | insn.MOV | insn.X or src != _FRAME:
            continue
        offset = -512
        if slot + 1 < len(insns):
            op, register, _, imm = insns[slot + 1]
            if op == insn.ALU64 | insn.ADD and registers(register)[0] == dst:
                offset = imm
        lowest = min(lowest, offset)
    return lowest
