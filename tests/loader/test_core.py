"""CO-RE: what each kind of relocation makes of an instruction."""

from __future__ import annotations

import struct

import pytest

from pybpftool.btf.reader import read_btf
from pybpftool.btf.spec import Btf
from pybpftool.errors import BadData
from pybpftool.loader import core
from pybpftool.loader.compare import essential
from pybpftool.loader.core import Core
from pybpftool.loader.ext import CoreRelo
from pybpftool.loader.patch import POISON
from tests.support.btf_builder import BtfBuilder

MOV, LDX_W, WIDE, CALL = 0xB7, 0x61, 0x18, 0x85


def local() -> Btf:
    b = BtfBuilder()
    number = b.int("int", 4, signed=True)
    word = b.int("unsigned int", 4)
    array = b.array(number, 4)
    b.struct("s___mine", 24, [("a", word, 0), ("b", number, 32), ("c", array, 64)])  # 4
    b.enum("e", [("ONE", 1), ("TWO", 2)])  # 5
    b.struct("gone", 4, [("a", number, 0)])  # 6
    return read_btf(b.blob())


def target(*, again: int = 0) -> Btf:
    b = BtfBuilder()
    number = b.int("int", 4, signed=True)
    wide = b.int("unsigned long", 8)
    array = b.array(number, 2)
    inner = b.struct("", 16, [("b", number, 64)])
    b.struct("s", 40, [("a", wide, 64), ("", inner, 128), ("c", array, 256)])  # 5
    b.enum("e", [("ONE", 7)])  # 6
    if again:
        b.struct("s___2", 40, [("a", wide, again)])
    return read_btf(b.blob())


def done(
    kind: int, access: str, type_id: int, value: int, *, op: int = MOV, kernel: Btf | None = None
) -> tuple[int, int, int, str | None]:
    """(opcode, offset, immediate, reason) of an instruction that held ``value``."""
    insn = (op, 0, value, 0) if op == LDX_W else (op, 0, 0, value)
    code = bytearray(struct.pack("=BBhi", *insn) + bytes(8))
    kernel = kernel or target()
    why = Core(local(), lambda: [kernel]).relocate(code, 0, CoreRelo(0, type_id, access, kind))
    op, _, off, imm = struct.unpack_from("=BBhi", code)
    return op, off, imm, why


@pytest.mark.parametrize(
    ("kind", "access", "type_id", "old", "new"),
    [
        (core.BYTE_OFFSET, "0:1", 4, 4, 24),
        (core.BYTE_OFFSET, "0:2:1", 4, 12, 36),
        (core.BYTE_SIZE, "0:0", 4, 4, 8),
        (core.BYTE_SIZE, "0:2", 4, 16, 8),
        (core.FIELD_EXISTS, "0:1", 4, 1, 1),
        (core.FIELD_EXISTS, "0:0", 6, 1, 0),
        (core.FIELD_EXISTS, "0:2:3", 4, 1, 0),
        (core.SIGNED, "0:1", 4, 1, 1),
        (core.SIGNED, "0:0", 4, 0, 0),
        (core.LSHIFT, "0:0", 4, 32, 0),
        (core.RSHIFT, "0:0", 4, 32, 0),
        (core.ID_LOCAL, "0", 4, 99, 4),
        (core.ID_TARGET, "0", 4, 99, 5),
        (core.ID_TARGET, "0", 6, 99, 0),
        (core.TYPE_EXISTS, "0", 4, 1, 1),
        (core.TYPE_EXISTS, "0", 6, 1, 0),
        (core.TYPE_SIZE, "0", 4, 24, 40),
        (core.TYPE_MATCHES, "0", 4, 1, 0),
        (core.ENUMVAL_EXISTS, "0", 5, 1, 1),
        (core.ENUMVAL_EXISTS, "1", 5, 1, 0),
        (core.ENUMVAL, "0", 5, 1, 7),
    ],
)
def test_each_kind_in_an_immediate(
    kind: int, access: str, type_id: int, old: int, new: int
) -> None:
    assert done(kind, access, type_id, old) == (MOV, 0, new, None)


def test_a_load_becomes_as_wide_as_the_field() -> None:
    assert done(core.BYTE_OFFSET, "0:0", 4, 0, op=LDX_W) == (0x79, 8, 0, None)


@pytest.mark.parametrize(
    ("kind", "access", "type_id", "value", "why"),
    [
        (core.BYTE_OFFSET, "0:0", 6, 0, "struct gone.a: the kernel has no type gone"),
        (core.ENUMVAL, "1", 5, 2, "enum e.TWO: not in any type e of the kernel ([6] of BTF)"),
    ],
)
def test_without_an_answer_the_instruction_is_poison(
    kind: int, access: str, type_id: int, value: int, why: str
) -> None:
    assert done(kind, access, type_id, value) == (CALL, 0, POISON, why)
    assert done(kind, access, type_id, value, op=WIDE) == (CALL, 0, POISON, why)


@pytest.mark.parametrize(
    ("kind", "access", "value", "error"),
    [
        (core.BYTE_OFFSET, "0:1", 5, "holds 5, but its CO-RE relocation says 4"),
        (core.BYTE_OFFSET, "0:9", 4, "leads nowhere"),
        (core.BYTE_OFFSET, "0:x", 4, "is no CO-RE access"),
        (core.TYPE_SIZE, "1", 4, "into a type as a whole"),
        (13, "0", 4, "unknown kind 13"),
    ],
)
def test_nonsense_is_refused(kind: int, access: str, value: int, error: str) -> None:
    with pytest.raises(BadData, match=error):
        done(kind, access, 4, value)


def test_candidates_must_agree() -> None:
    assert done(core.BYTE_OFFSET, "0:0", 4, 0, kernel=target(again=64))[2] == 8
    with pytest.raises(BadData, match=r"s___mine\.a is ambiguous: 8 by .* 16 by"):
        done(core.BYTE_OFFSET, "0:0", 4, 0, kernel=target(again=128))


def test_what_was_no_candidate_once_is_none_later() -> None:
    """Of two types with the field asked for, one alone had the field that was asked for before."""
    relocations = Core(local(), lambda: [target(again=128)])
    for access, held, becomes in (("0:1", 4, 24), ("0:0", 0, 8)):
        code = bytearray(struct.pack("=BBhi", MOV, 0, 0, held))
        assert relocations.relocate(code, 0, CoreRelo(0, 4, access, core.BYTE_OFFSET)) is None
        assert struct.unpack_from("=i", code, 4) == (becomes,)


@pytest.mark.parametrize(
    ("name", "short"),
    [("a", "a"), ("a___b", "a"), ("a___b___c", "a___b"), ("___b", "___b"), ("a____b", "a____b")],
)
def test_essential(name: str, short: str) -> None:
    assert essential(name) == short
