"""Which instructions of a program the verifier comes to, as far as constants decide it.

Programs ask what the kernel has and jump around what it has not; the verifier follows them, so a
call of a missing helper harms only where it is reached.  Here the same is told without a kernel:
constants are followed through registers and the stack, and only branches on these are decided.
Source: RFC 9669.
"""

from __future__ import annotations

import struct
import sys

from ..insn import code as insn
from ..insn.code import SLOT, WIDE, registers

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
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
) -> dict[int, bool]:
    """The slots that are reached -> whether they certainly are.

    ``code``: a linked program.  ``values``: by slot, what a 64-bit immediate that refers to
    something stands for.  ``contents``: of the frozen maps by index, None where the kernel
    will put in what is not known here.  ``verified_alone``: where functions begin that the kernel
    verifies for any arguments.
    """
    count = len(code) // SLOT
    shared = _addresses_taken(code)
    states: dict[int, _State] = {}
    waiting = [(0, _State({}, {}, certain=True))]
    left = _MOST_VISITS * count
    while waiting and left > 0:
        slot, state = waiting.pop()
        if not 0 <= slot < count:
            continue
        left -= 1
        before = states.get(slot)
        if before is not None:
            after = before.merged(state)
            if after is None:
                continue
            state = after
        states[slot] = state
        following = _State(dict(state.regs), dict(state.stack), certain=state.certain)
        waiting += _step(code, slot, following, values, contents, verified_alone, shared)
    if waiting:
        return dict.fromkeys(range(count), False)  # it is made to be hard, so nothing is known
    return {slot: state.certain for slot, state in states.items()}


def _step(
    code: bytes | bytearray,
    slot: int,
    state: _State,
    values: Mapping[int, Value],
    contents: Mapping[int, bytes | None],
    verified_alone: set[int],
    shared: int,
) -> list[tuple[int, _State]]:
    """The slots that may follow, with what is known there; ``state`` is changed."""
    op, register, off, imm = struct.unpack_from("=BBhi", code, slot * SLOT)
    dst, src = registers(register)
    regs = state.regs
    kind = op & 7
    following = slot + 1
    if op == WIDE:
        following = slot + 2
        if src == insn.FUNC:
            regs[dst] = PRESENT
            other = _State({}, {}, certain=state.certain)
            return [(following, state), (slot + 1 + imm, other)]
        if slot in values:
            regs[dst] = values[slot]
        elif src == 0 and following * SLOT <= len(code):
            high = struct.unpack_from("=I", code, slot * SLOT + 12)[0]
            regs[dst] = high << 32 | imm & _U32
        else:
            regs[dst] = PRESENT
    elif kind in (insn.ALU, insn.ALU64):
        _set(regs, dst, *_computed(regs, op, dst, src, imm, off))
    elif kind == insn.LDX:
        size = _SIZES[op & _SIZE]
        if op & _MODE != _MEM:
            regs.pop(dst, None)
        elif src == _FRAME:
            there = (off, size) in state.stack
            value = state.stack.get((off, size))
            _set(regs, dst, there, value if off < shared else None)
        else:
            _set(regs, dst, *_loaded(regs.get(src), off, size, contents))
    elif kind in (insn.ST, insn.STX):
        if dst == _FRAME:
            size = _SIZES[op & _SIZE]
            for at, width in [*state.stack]:
                if at < off + size and off < at + width:
                    del state.stack[at, width]
            if op & _MODE == _MEM and (kind == insn.ST or src in regs):
                mask = (1 << 8 * size) - 1
                stored = imm & mask if kind == insn.ST else regs[src]
                if size == 8 or not isinstance(stored, tuple):
                    state.stack[off, size] = stored & mask if isinstance(stored, int) else stored
        if kind == insn.STX and op & _MODE == insn.ATOMIC and imm & insn.FETCH:
            regs.pop(0 if imm == insn.CMPXCHG else src, None)
    elif kind in (insn.JMP, insn.JMP32):
        return _jump(state, slot, op, dst, src, off, imm, verified_alone)
    else:
        regs.pop(0, None)  # packets read the old way, into r0
    return [(following, state)]


def _set(regs: dict[int, Value], register: int, known: bool, value: Value) -> None:
    if known:
        regs[register] = value
    else:
        regs.pop(register, None)


def _jump(
    state: _State, slot: int, op: int, dst: int, src: int, off: int, imm: int, alone: set[int]
) -> list[tuple[int, _State]]:
    regs = state.regs
    what, is_long = op & _OP, op & 7 == insn.JMP32
    if what == insn.EXIT:
        return []
    if what == insn.JA:
        return [(slot + 1 + (imm if is_long else off), state)]
    if what == insn.CALL:
        others = []
        if src == insn.PSEUDO_CALL:
            to = slot + 1 + imm
            given = {} if to in alone else {key: regs[key] for key in range(1, 6) if key in regs}
            others = [(to, _State(given, {}, certain=state.certain))]
        for register in range(6):
            regs.pop(register, None)
        return [(slot + 1, state), *others]
    there = _State(dict(regs), dict(state.stack), certain=state.certain)
    both = [(slot + 1, state), (slot + 1 + off, there)]
    if what == insn.JCOND or dst not in regs or (op & insn.X and src not in regs):
        return both
    one = regs[dst]
    two: Value = regs[src] if op & insn.X else imm & _U64
    taken = _compared(what, one, two, 32 if is_long else 64)
    if taken is None:
        state.certain = there.certain = False
        return both
    return [both[taken]]


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


def _addresses_taken(code: bytes | bytearray) -> int:
    """The lowest stack offset whose address is taken: from there on, others may write."""
    lowest = 0
    for slot in range(len(code) // SLOT):
        op, register, _, _ = struct.unpack_from("=BBhi", code, slot * SLOT)
        dst, src = registers(register)
        if op != insn.ALU64 | insn.MOV | insn.X or src != _FRAME:
            continue
        offset = -512
        if (slot + 2) * SLOT <= len(code):
            op, register, _, imm = struct.unpack_from("=BBhi", code, (slot + 1) * SLOT)
            if op == insn.ALU64 | insn.ADD and registers(register)[0] == dst:
                offset = imm
        lowest = min(lowest, offset)
    return lowest
