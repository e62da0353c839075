"""Instructions as text: ``(b7) r0 = 0``.

A program of a hundred thousand instructions is to be written in a blink.  So there is no object
per instruction: every pair of opcode and registers that occurs gets, the first time, a small
function of its offset and immediate, which has everything else already in it.

What the kernel never hands out (opcodes that mean nothing) begins with ``BUG_``.
Source: RFC 9669, spec 2.5.
"""

from __future__ import annotations

import struct
import sys

from . import code as c

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from typing import TypeAlias

    Row: TypeAlias = tuple[int, int, int]
    """A slot: its first two bytes as one number, offset, immediate."""
    Text: TypeAlias = Callable[[int, int], str]
    """The text of an instruction with this offset and immediate."""


class Names:
    """What the numbers in calls stand for.

    ``helper(number)``: the helper's name with its ``bpf_``, None for an unknown one.
    ``symbol(address)``: the kernel's name for exactly this address, or None.
    ``call_base()``: the address that calls are relative to (of ``__bpf_call_base``), 0 if unknown.
    ``jited_ksyms``: addresses of the program's functions, by number; empty where the kernel keeps
    them to itself, None when the program is interpreted.
    """

    __slots__ = ("call_base", "helper", "jited_ksyms", "symbol")

    def __init__(
        self,
        helper: Callable[[int], str | None] = lambda number: None,
        symbol: Callable[[int], str | None] = lambda address: None,
        call_base: Callable[[], int] = lambda: 0,
        jited_ksyms: Sequence[int] | None = None,
    ) -> None:
        self.helper = helper
        self.symbol = symbol
        self.call_base = call_base
        self.jited_ksyms = jited_ksyms

    def at(self, address: int) -> str:
        """The symbol at an address, or the address itself in hexadecimal."""
        return self.symbol(address) or f"0x{address:x}"

    def relative(self, imm: int) -> int:
        """The address that a call's immediate stands for."""
        return self.call_base() + imm & 0xFFFFFFFFFFFFFFFF


def texts(data: c.Data, names: Names) -> Iterator[tuple[int, str]]:
    """Each instruction in ``data``: the number of its (first) slot, and its text.

    BadData when ``data`` is not whole slots, or ends within an instruction.
    """
    begin = c.starts(data)
    if begin and begin[-1] == len(data) // c.SLOT - 1 and data[-c.SLOT] == c.WIDE:
        raise c.half(begin[-1])
    rows = struct.iter_unpack("=Hhi", data)
    known = _Texts(names, rows)
    return zip(begin, (known[head](off, imm) for head, off, imm in rows), strict=True)


class _Texts(dict[int, "Text"]):
    """The function for each pair of opcode and registers, made when it is first asked for.

    ``rows``: the slots being written; what a second slot holds is taken from there.
    """

    def __init__(self, names: Names, rows: Iterator[Row]) -> None:
        super().__init__()
        self.names = names
        self.rows = rows

    def __missing__(self, head: int) -> Text:
        code, byte = head.to_bytes(2, sys.byteorder)
        dst, src = c.registers(byte)
        lead = f"({code:02x}) "
        kind = code & 7
        if kind in (c.ALU, c.ALU64):
            text = _alu(lead, code, dst, src)
        elif kind == c.STX:
            text = _stx(lead, code, dst, src)
        elif kind == c.ST:
            text = _st(lead, code, dst)
        elif kind == c.LDX:
            text = _ldx(lead, code, dst, src)
        elif code == c.WIDE:
            text = _wide(lead, dst, src, self.rows)
        elif kind == c.LD:
            text = _ld(lead, code, src)
        elif code & 0xF0 == c.CALL:
            text = _call(lead, src, self.names)
        else:
            text = _jump(lead, code, dst, src)
        self[head] = text
        return text


def _always(text: str) -> Text:
    return lambda off, imm: text


# ------------------------------------------------------------------ arithmetic

_ALU = {
    c.ADD: "+=",
    c.SUB: "-=",
    c.MUL: "*=",
    c.DIV: "/=",
    c.OR: "|=",
    c.AND: "&=",
    c.LSH: "<<=",
    c.RSH: ">>=",
    c.MOD: "%=",
    c.XOR: "^=",
    c.MOV: "=",
    c.ARSH: "s>>=",
}
_SIGNED_DIVISION = 1
"""The offset of a signed DIV or MOD."""
_SIGN_EXTENSIONS = (8, 16, 32)
"""Offsets of a MOV that extends the sign: from that many bits."""
_ADDRESS_SPACES, _PERCPU = 1, -1
"""Offsets of a MOV between address spaces, and to this CPU's copy; the latter the kernel's own."""


def _alu(lead: str, code: int, dst: int, src: int) -> Text:
    op = code & 0xF0
    wide = code & 7 == c.ALU64
    letter = "r" if wide else "w"
    if op == c.END:
        change = "bswap" if wide else "be" if code & c.X else "le"
        return lambda off, imm: f"{lead}r{dst} = {change}{imm} r{dst}"
    if op == c.NEG:
        return _always(f"{lead}{letter}{dst} = -{letter}{dst}")
    if op not in _ALU:
        return _always(f"BUG_alu{'64' if wide else ''}_{code:02x}")
    lead = f"{lead}{letter}{dst} "
    begin = f"{lead}{_ALU[op]} "
    if code & c.X:
        if op == c.MOV:
            return _move(begin, letter, src, wide)
        begin += f"{letter}{src}"
    if op in (c.DIV, c.MOD):
        signed = f"{lead}s{begin[len(lead) :]}"
        if code & c.X:
            return lambda off, imm: signed if off == _SIGNED_DIVISION else begin
        return lambda off, imm: f"{signed if off == _SIGNED_DIVISION else begin}{imm}"
    return _always(begin) if code & c.X else lambda off, imm: f"{begin}{imm}"


def _move(begin: str, letter: str, src: int, wide: bool) -> Text:
    plain = f"{begin}{letter}{src}"
    special = {bits: f"{begin}(s{bits}){letter}{src}" for bits in _SIGN_EXTENSIONS}
    if wide:
        special[_PERCPU] = f"{begin}&(void __percpu *)(r{src})"

    def text(off: int, imm: int) -> str:
        if not off:
            return plain
        if wide and off == _ADDRESS_SPACES:
            return f"{begin}addr_space_cast(r{src}, {imm >> 16 & 0xFFFF}, {imm & 0xFFFF})"
        return special.get(off, plain)

    return text


# ------------------------------------------------------------------ memory

_BITS = {c.B: 8, c.H: 16, c.W: 32, c.DW: 64}
_ATOMIC = {c.ADD: "add", c.AND: "and", c.OR: "or", c.XOR: "xor"}


def _ldx(lead: str, code: int, dst: int, src: int) -> Text:
    mode, bits = code & 0xE0, _BITS[code & 0x18]
    if mode == c.MEM or (mode == c.MEMSX and bits < 64):
        sign = "u" if mode == c.MEM else "s"
        begin = f"{lead}r{dst} = *({sign}{bits} *)(r{src} "
        return lambda off, imm: f"{begin}{off:+})"
    return _always(f"BUG_ldx_{code:02x}")


def _st(lead: str, code: int, dst: int) -> Text:
    mode = code & 0xE0
    if mode == c.MEM:
        begin = f"{lead}*(u{_BITS[code & 0x18]} *)(r{dst} "
        return lambda off, imm: f"{begin}{off:+}) = {imm}"
    return _always(f"{lead}nospec" if mode == c.NOSPEC else f"BUG_st_{code:02x}")


def _stx(lead: str, code: int, dst: int, src: int) -> Text:
    mode, bits = code & 0xE0, _BITS[code & 0x18]
    place = f"(u{bits} *)(r{dst} "
    if mode == c.MEM:
        return lambda off, imm: f"{lead}*{place}{off:+}) = r{src}"
    bug = f"BUG_{code:02x}"
    if mode != c.ATOMIC:
        return _always(bug)
    name = "atomic64" if bits == 64 else "atomic"
    around = {
        c.XCHG: (f"r{src} = {name}_xchg({place}", f"), r{src})"),
        c.CMPXCHG: (f"r0 = {name}_cmpxchg({place}", f"), r0, r{src})"),
        c.LOAD_ACQ: (f"r{dst} = load_acquire((u{bits} *)(r{src} ", "))"),
        c.STORE_REL: (f"store_release({place}", f"), r{src})"),
    }
    for op, word in _ATOMIC.items():
        around[op] = f"lock *{place}", f") {_ALU[op]} r{src}"
        around[op | c.FETCH] = f"r{src} = {name}_fetch_{word}({place}", f"), r{src})"

    def text(off: int, imm: int) -> str:
        if imm not in around:
            return bug
        begin, end = around[imm]
        return f"{lead}{begin}{off:+}{end}"

    return text


def _ld(lead: str, code: int, src: int) -> Text:
    begin = f"{lead}r0 = *(u{_BITS[code & 0x18]} *)skb["
    if code & 0xE0 == c.ABS:
        return lambda off, imm: f"{begin}{imm}]"
    if code & 0xE0 == c.IND:
        return lambda off, imm: f"{begin}r{src} + {imm}]"
    return _always(f"BUG_ld_{code:02x}")


def _wide(lead: str, dst: int, src: int, rows: Iterator[Row]) -> Text:
    begin = f"{lead}r{dst} = "

    def text(off: int, imm: int) -> str:
        high = next(rows)[2]
        if src == c.MAP_FD:
            return f"{begin}map[id:{imm}]"
        if src == c.MAP_VALUE:
            return f"{begin}map[id:{imm}][0]+{high}"
        if src == c.MAP_IDX_VALUE:
            return f"{begin}map[idx:{imm}]+{high}"
        if src == c.FUNC:
            return f"{begin}subprog[{imm:+}]"
        return f"{begin}0x{(high & 0xFFFFFFFF) << 32 | imm & 0xFFFFFFFF:x}"

    return text


# ------------------------------------------------------------------ control

_JUMPS = {
    c.JA: "jmp",  # and EXIT: only where a bit too many makes them comparisons
    c.JEQ: "==",
    c.JGT: ">",
    c.JGE: ">=",
    c.JSET: "&",
    c.JNE: "!=",
    c.JSGT: "s>",
    c.JSGE: "s>=",
    c.EXIT: "exit",
    c.JLT: "<",
    c.JLE: "<=",
    c.JSLT: "s<",
    c.JSLE: "s<=",
}


def _jump(lead: str, code: int, dst: int, src: int) -> Text:
    op = code & 0xF0
    wide = code & 7 == c.JMP
    if code == c.JMP | c.JA:
        return lambda off, imm: f"{lead}goto pc{off:+}"
    if code == c.JMP32 | c.JA:
        return lambda off, imm: f"{lead}gotol pc{imm:+}"
    if code == c.JMP | c.JA | c.X:
        return _always(f"{lead}gotox r{dst}")
    if code == c.JMP | c.JCOND and not src:
        return lambda off, imm: f"{lead}may_goto pc{off:+}"
    if code == c.JMP | c.EXIT:
        return _always(f"{lead}exit")
    if op not in _JUMPS:
        return _always(f"BUG_jmp{'' if wide else '32'}_{code:02x}")
    letter = "r" if wide else "w"
    begin = f"{lead}if {letter}{dst} {_JUMPS[op]} "
    if code & c.X:
        begin += f"{letter}{src} goto pc"
        return lambda off, imm: f"{begin}{off:+}"
    return lambda off, imm: f"{begin}0x{imm & 0xFFFFFFFF:x} goto pc{off:+}"


def _call(lead: str, src: int, names: Names) -> Text:
    lead += "call "
    ksyms = names.jited_ksyms

    def function(off: int, imm: int) -> str:
        if ksyms is None:
            return f"{lead}pc{off:+}"
        address = ksyms[imm] if 0 <= imm < len(ksyms) else names.relative(imm)
        return f"{lead}pc{off:+}#{names.at(address)}"

    def other(off: int, imm: int) -> str:
        name = names.helper(imm) if not src and imm >= 0 else None
        return f"{lead}{name or names.at(names.relative(imm))}#{imm}"

    return function if src == c.PSEUDO_CALL else other
