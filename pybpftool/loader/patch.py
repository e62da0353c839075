"""Instructions as CO-RE changes them: to hold another value, or to be taken by no verifier."""

from __future__ import annotations

import struct

from ..btf import types
from ..errors import BadData
from ..insn.code import ALU, ALU64, CALL, DW, JMP, LD, LDX, SLOT, ST, STX, WIDE, B, H, W, X

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..btf.spec import Btf

POISON = 195896080
"""The helper that a program calls where a relocation has no answer: 0xbad2310, as libbpf has it."""

_INSN = "=BBhi"
_WIDTHS = {1: B, 2: H, 4: W, 8: DW}
_BYTES = {code: size for size, code in _WIDTHS.items()}


class NoAnswer(Exception):
    """The relocation has no answer: the sentence saying why."""


class Value:
    """What an instruction should hold: ``value``; for the offset of a field also its ``size``
    in bytes and ``type_id``.  ``sure``: whether compilers cannot differ about it.  ``bit``: where
    the field begins.
    """

    __slots__ = ("bit", "size", "sure", "type_id", "value")

    def __init__(self, value: int, *, bit: int = 0, sure: bool = True) -> None:
        self.value = value
        self.bit = bit
        self.sure = sure
        self.size = self.type_id = 0


def poison(code: bytearray, slot: int, number: int = POISON) -> None:
    """Make the instruction in ``slot`` a call of a helper ``number``, which no verifier accepts."""
    call = struct.pack(_INSN, JMP | CALL, 0, 0, number)
    for at in (slot, slot + 1) if code[slot * SLOT] == WIDE else (slot,):
        code[at * SLOT : (at + 1) * SLOT] = call


def patch(
    code: bytearray,
    slot: int,
    kind: int,
    local: Value,
    found: tuple[Btf | None, Value],
    btf: Btf,
) -> None:
    """Put a target's value where the instruction in ``slot`` has the object's own.

    ``local``, ``btf``: what the object has; ``found``: the target's BTF, None where it lacks that,
    and what is there.  ``kind``: of the relocation, for errors.  NoAnswer for a field that cannot
    be loaded there as here, BadData for an instruction that is not what the relocation says.
    """
    other, target = found
    at = slot * SLOT
    op, regs, off, imm = struct.unpack_from(_INSN, code, at)
    value = target.value
    group = op & 7
    if group in (ALU, ALU64) and not op & X:
        _expect(local, imm & 0xFFFFFFFFFFFFFFFF)
        imm = value & 0xFFFFFFFF
        struct.pack_into("=I", code, at + 4, imm)
    elif group in (LDX, ST, STX):
        _expect(local, off & 0xFFFFFFFFFFFFFFFF)
        if value > 0x7FFF:
            raise BadData(f"an offset of {value} is more than an instruction can hold")
        if local.size != target.size:
            if not (other and _adjustable(btf, local.type_id, other, target.type_id)):
                raise NoAnswer(
                    f"a field of {local.size} bytes is one of {target.size} in the kernel, and"
                    f" only pointers and unsigned integers may differ"
                )
            if _BYTES[op & 0x18] != local.size or target.size not in _WIDTHS:
                raise BadData(f"a load or store cannot go from {local.size} bytes to {target.size}")
            code[at] = op & ~0x18 | _WIDTHS[target.size]
        struct.pack_into("=h", code, at + 2, value)
    elif group == LD:
        if op != WIDE or len(code) < at + 16 or regs >> 4 or off or any(code[at + 8 : at + 12]):
            raise BadData("a 64-bit load of unexpected form has a CO-RE relocation")
        (high,) = struct.unpack_from("=I", code, at + 12)
        _expect(local, high << 32 | imm & 0xFFFFFFFF)
        struct.pack_into("=I", code, at + 4, value & 0xFFFFFFFF)
        struct.pack_into("=I", code, at + 12, value >> 32)
    else:
        raise BadData(f"CO-RE relocation {kind} of an instruction {op:#04x} that has no value")


def _expect(local: Value, there: int) -> None:
    if local.sure and there != local.value & 0xFFFFFFFFFFFFFFFF:
        raise BadData(f"the instruction holds {there}, but its CO-RE relocation says {local.value}")


def _adjustable(one: Btf, a: int, two: Btf, b: int) -> bool:
    """Whether a load of one type may become one of the other: it extends with zeroes."""
    x, y = one.type(a), two.type(b)
    if x.kind == y.kind == types.PTR:
        return True
    return (
        isinstance(x, types.Int)
        and isinstance(y, types.Int)
        and types.SIGNED not in (x.encoding, y.encoding)
    )
