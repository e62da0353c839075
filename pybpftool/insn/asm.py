"""One function for each form of instruction: a small assembler.

    encode([mov64_imm(0, 2), exit_()])

Registers are numbers 0..10, sizes and operations the constants of ``code``; jumps count slots
from the next instruction on.  For the tiny programs that ask the kernel what it can do.
"""

from __future__ import annotations

from . import code as c
from .code import Insn


def _signed(bits: int) -> int:
    """The low 32 bits as the signed number that a slot holds."""
    return (bits & 0xFFFFFFFF ^ 0x80000000) - 0x80000000


# ------------------------------------------------------------------ arithmetic


def alu64_imm(op: int, dst: int, imm: int, off: int = 0) -> Insn:
    """``rD OP= imm``; ``off`` 1 makes DIV and MOD signed."""
    return Insn(c.ALU64 | op | c.K, dst, 0, off, imm)


def alu64_reg(op: int, dst: int, src: int, off: int = 0) -> Insn:
    """``rD OP= rS``; ``off``: as above, and of MOV the bits to extend the sign from."""
    return Insn(c.ALU64 | op | c.X, dst, src, off)


def alu32_imm(op: int, dst: int, imm: int, off: int = 0) -> Insn:
    """``wD OP= imm``."""
    return Insn(c.ALU | op | c.K, dst, 0, off, imm)


def alu32_reg(op: int, dst: int, src: int, off: int = 0) -> Insn:
    """``wD OP= wS``."""
    return Insn(c.ALU | op | c.X, dst, src, off)


def mov64_imm(dst: int, imm: int) -> Insn:
    """``rD = imm``, its sign extended."""
    return alu64_imm(c.MOV, dst, imm)


def mov64_reg(dst: int, src: int) -> Insn:
    """``rD = rS``."""
    return alu64_reg(c.MOV, dst, src)


def mov32_imm(dst: int, imm: int) -> Insn:
    """``wD = imm``."""
    return alu32_imm(c.MOV, dst, imm)


def mov32_reg(dst: int, src: int) -> Insn:
    """``wD = wS``."""
    return alu32_reg(c.MOV, dst, src)


def endian(dst: int, bits: int, *, big: bool) -> Insn:
    """``rD = be16 rD`` and so on: from the machine's byte order to the one named."""
    return Insn(c.ALU | c.END | (c.X if big else c.K), dst, imm=bits)


def bswap(dst: int, bits: int) -> Insn:
    """``rD = bswap16 rD`` and so on.  Since Linux 6.6."""
    return Insn(c.ALU64 | c.END, dst, imm=bits)


# ------------------------------------------------------------------ memory


def ldx(size: int, dst: int, src: int, off: int, *, signed: bool = False) -> Insn:
    """``rD = *(uSIZE *)(rS + off)``; ``signed``: its sign extended, since Linux 6.6."""
    return Insn(c.LDX | (c.MEMSX if signed else c.MEM) | size, dst, src, off)


def stx(size: int, dst: int, src: int, off: int) -> Insn:
    """``*(uSIZE *)(rD + off) = rS``."""
    return Insn(c.STX | c.MEM | size, dst, src, off)


def st(size: int, dst: int, off: int, imm: int) -> Insn:
    """``*(uSIZE *)(rD + off) = imm``."""
    return Insn(c.ST | c.MEM | size, dst, 0, off, imm)


def atomic(size: int, op: int, dst: int, src: int, off: int) -> Insn:
    """``lock *(uSIZE *)(rD + off) OP= rS``; ``op``: ADD, OR, AND, XOR, FETCH forms, XCHG, …"""
    return Insn(c.STX | c.ATOMIC | size, dst, src, off, op)


def ld_abs(size: int, imm: int) -> Insn:
    """``r0 = *(uSIZE *)skb[imm]``, of the packet whose context is in r6."""
    return Insn(c.LD | c.ABS | size, imm=imm)


def ld_ind(size: int, src: int, imm: int) -> Insn:
    """``r0 = *(uSIZE *)skb[rS + imm]``."""
    return Insn(c.LD | c.IND | size, 0, src, imm=imm)


def ld_imm64(dst: int, value: int, kind: int = 0) -> Insn:
    """``rD = value``, of 64 bits; ``kind``: what it stands for (MAP_FD, …, 0: itself)."""
    return Insn(c.WIDE, dst, kind, 0, _signed(value), _signed(value >> 32))


def ld_map_fd(dst: int, fd: int) -> Insn:
    """``rD =`` the map with this descriptor."""
    return ld_imm64(dst, fd, c.MAP_FD)


def ld_map_value(dst: int, fd: int, offset: int = 0) -> Insn:
    """``rD =`` the address of a byte in the value of an array map.  Since Linux 5.2."""
    return ld_imm64(dst, offset << 32 | fd, c.MAP_VALUE)


# ------------------------------------------------------------------ control


def jump(off: int) -> Insn:
    """``goto pc+off``."""
    return Insn(c.JMP | c.JA, off=off)


def jump_long(imm: int) -> Insn:
    """``gotol pc+imm``.  Since Linux 6.6."""
    return Insn(c.JMP32 | c.JA, imm=imm)


def jump_imm(op: int, dst: int, imm: int, off: int) -> Insn:
    """``if rD OP imm goto pc+off``."""
    return Insn(c.JMP | op | c.K, dst, 0, off, imm)


def jump_reg(op: int, dst: int, src: int, off: int) -> Insn:
    """``if rD OP rS goto pc+off``."""
    return Insn(c.JMP | op | c.X, dst, src, off)


def jump32_imm(op: int, dst: int, imm: int, off: int) -> Insn:
    """``if wD OP imm goto pc+off``.  Since Linux 5.1."""
    return Insn(c.JMP32 | op | c.K, dst, 0, off, imm)


def jump32_reg(op: int, dst: int, src: int, off: int) -> Insn:
    """``if wD OP wS goto pc+off``."""
    return Insn(c.JMP32 | op | c.X, dst, src, off)


def may_goto(off: int) -> Insn:
    """``may_goto pc+off``.  Since Linux 6.10."""
    return Insn(c.JMP | c.JCOND, off=off)


def call(helper: int) -> Insn:
    """Call a helper by its number."""
    return Insn(c.JMP | c.CALL, imm=helper)


def call_function(distance: int) -> Insn:
    """Call the function of this program that begins ``distance`` slots after the next."""
    return Insn(c.JMP | c.CALL, 0, c.PSEUDO_CALL, 0, distance)


def call_kernel(btf_id: int) -> Insn:
    """Call the kernel function whose BTF type of the kernel this is.  Since Linux 5.13."""
    return Insn(c.JMP | c.CALL, 0, c.KFUNC_CALL, 0, btf_id)


def exit_() -> Insn:
    """``exit``."""
    return Insn(c.JMP | c.EXIT)
