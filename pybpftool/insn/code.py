"""The instructions of BPF: their numbers, and slots of eight bytes to ``Insn`` and back.

A slot holds an opcode, two registers in one byte, a signed 16-bit offset and a signed 32-bit
immediate, all in the machine's byte order.  An instruction is one slot; only the load of a 64-bit
immediate has a second one, for the upper half.  Jumps count slots.
Source: RFC 9669; linux/bpf.h, linux/bpf_common.h.
"""

from __future__ import annotations

import struct
import sys

from ..errors import BadData

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import TypeAlias

    Data: TypeAlias = bytes | bytearray | memoryview

LD, LDX, ST, STX, ALU, JMP, JMP32, ALU64 = range(8)
"""Classes: the low three bits of an opcode."""

W, H, B, DW = 0x00, 0x08, 0x10, 0x18
IMM, ABS, IND, MEM, MEMSX, ATOMIC = 0x00, 0x20, 0x40, 0x60, 0x80, 0xC0
"""Sizes and modes of loads and stores."""

NOSPEC = 0xC0
"""Mode of a barrier against speculation, which the kernel alone writes, in class ST."""

K, X = 0x00, 0x08
"""Whether the second operand is the immediate or the source register."""

ADD, SUB, MUL, DIV, OR, AND, LSH, RSH, NEG, MOD, XOR, MOV, ARSH, END = range(0x00, 0xE0, 0x10)
"""Operations of ALU and ALU64."""

JA, JEQ, JGT, JGE, JSET, JNE, JSGT, JSGE, CALL, EXIT = range(0x00, 0xA0, 0x10)
JLT, JLE, JSLT, JSLE, JCOND = range(0xA0, 0xF0, 0x10)
"""Operations of JMP and JMP32."""

FETCH = 0x01
XCHG, CMPXCHG = 0xE0 | FETCH, 0xF0 | FETCH
LOAD_ACQ, STORE_REL = 0x100, 0x110
"""Atomic operations besides ADD, OR, AND, XOR and their FETCH forms: the immediate of ATOMIC."""

MAP_FD, MAP_VALUE, BTF_ID, FUNC, MAP_IDX, MAP_IDX_VALUE = range(1, 7)
"""What a 64-bit immediate stands for, in its source register."""

PSEUDO_CALL, KFUNC_CALL = 1, 2
"""What a call calls, in its source register: a function of the program, or of the kernel."""

SLOT = 8
"""Bytes of a slot."""

WIDE = LD | IMM | DW
"""The opcode with two slots."""

_FORMAT = "=BBhi"
_LITTLE = sys.byteorder == "little"


def registers(byte: int) -> tuple[int, int]:
    """Destination and source register of a slot's second byte (0..15 both)."""
    return (byte & 15, byte >> 4) if _LITTLE else (byte >> 4, byte & 15)


class Insn:
    """One instruction.

    ``off``, ``imm``: signed, of 16 and 32 bits.  ``imm_high``: the immediate of the second slot,
    0 where there is none.
    """

    __slots__ = ("code", "dst", "imm", "imm_high", "off", "src")

    def __init__(
        self, code: int, dst: int = 0, src: int = 0, off: int = 0, imm: int = 0, imm_high: int = 0
    ) -> None:
        self.code = code
        self.dst = dst
        self.src = src
        self.off = off
        self.imm = imm
        self.imm_high = imm_high

    def __repr__(self) -> str:
        fields = ", ".join(f"{name}={getattr(self, name)}" for name in self.__slots__[1:])
        return f"Insn({self.code:#04x}, {fields})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Insn) and repr(self) == repr(other)

    __hash__ = None  # type: ignore[assignment]  # it can be changed, so it is no key

    @property
    def is_wide(self) -> bool:
        """Whether it takes two slots."""
        return self.code == WIDE

    @property
    def slots(self) -> int:
        """How many slots it takes: 1 or 2."""
        return 2 if self.code == WIDE else 1

    @property
    def imm64(self) -> int:
        """The unsigned 64-bit immediate of a wide instruction."""
        return (self.imm_high & 0xFFFFFFFF) << 32 | self.imm & 0xFFFFFFFF

    @property
    def is_call(self) -> bool:
        """Whether it calls something: a helper, a kernel function or one of the program's."""
        return self.code == JMP | CALL

    @property
    def is_pseudo_call(self) -> bool:
        """Whether it calls a function of the program itself."""
        return self.code == JMP | CALL and self.src == PSEUDO_CALL

    @property
    def is_exit(self) -> bool:
        """Whether it ends the function."""
        return self.code == JMP | EXIT

    @property
    def is_jump(self) -> bool:
        """Whether it may go on elsewhere in the same function."""
        return self.code & 7 in (JMP, JMP32) and self.code & 0xF0 not in (CALL, EXIT)

    @property
    def is_conditional(self) -> bool:
        """Whether it is a jump that may as well go on with the next instruction."""
        return self.is_jump and self.code & 0xF0 != JA

    @property
    def is_indirect(self) -> bool:
        """Whether it jumps to where a register says (gotox)."""
        return self.code == JMP | JA | X

    @property
    def distance(self) -> int:
        """Slots from the next instruction to where a jump, or a call in the program, leads.

        gotol keeps it in the immediate, everything else in the offset: so do calls in programs
        that the kernel hands out.
        """
        return self.imm if self.code == JMP32 | JA else self.off


def starts(data: Data) -> Sequence[int]:
    """The numbers of the slots that begin an instruction, ascending.

    BadData when ``data`` is not whole slots.
    """
    _whole(data)
    codes = bytes(data[::SLOT])
    wide = codes.find(WIDE)
    if wide < 0:
        return range(len(codes))
    found: list[int] = []
    at = 0
    while wide >= 0:
        found += range(at, wide + 1)
        at = wide + 2
        wide = codes.find(WIDE, at)
    found += range(at, len(codes))
    return found


def decode(data: Data) -> list[Insn]:
    """The instructions in ``data``.

    BadData when it is not whole slots, or when a second slot is missing or holds more than the
    upper half of an immediate.
    """
    _whole(data)
    found = []
    slots = enumerate(struct.iter_unpack(_FORMAT, data))
    for at, (code, byte, off, imm) in slots:
        dst, src = registers(byte)
        insn = Insn(code, dst, src, off, imm)
        if code == WIDE:
            _, (*rest, insn.imm_high) = next(slots, (at, (WIDE, 0, 0, 0)))
            if rest != [0, 0, 0]:
                raise half(at)
        found.append(insn)
    return found


def encode(insns: Iterable[Insn]) -> bytes:
    """The bytes of the instructions; struct.error for a field out of its range."""
    parts = []
    for insn in insns:
        if not (0 <= insn.dst <= 15 and 0 <= insn.src <= 15):
            raise struct.error(f"no such register: {insn}")
        byte = insn.dst | insn.src << 4 if _LITTLE else insn.dst << 4 | insn.src
        parts.append(struct.pack(_FORMAT, insn.code, byte, insn.off, insn.imm))
        if insn.code == WIDE:
            parts.append(struct.pack(_FORMAT, 0, 0, 0, insn.imm_high))
    return b"".join(parts)


def _whole(data: Data) -> None:
    if len(data) % SLOT:
        raise BadData(f"BPF code: {len(data)} bytes are not whole instructions of {SLOT}")


def half(at: int) -> BadData:
    """That the wide instruction in slot ``at`` has no proper second slot."""
    return BadData(f"BPF code: the 64-bit load at {at} lacks its second half")
