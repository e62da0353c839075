"""What is made of the logs that this kernel writes about broken programs."""

from __future__ import annotations

import pytest

from pybpftool.insn import code as c
from pybpftool.insn.asm import (
    alu64_imm,
    alu64_reg,
    call,
    exit_,
    jump,
    jump_imm,
    ld_map_fd,
    ldx,
    mov64_imm,
    mov64_reg,
    st,
)
from pybpftool.insn.code import Insn, encode
from pybpftool.kernel import calls, words
from pybpftool.loader.explain import explain
from pybpftool.loader.patch import POISON

LOOKUP = [st(c.W, 10, -4, 0), mov64_reg(2, 10), alu64_imm(c.ADD, 2, -4), ld_map_fd(1, 0), call(1)]
READ_KERNEL = [mov64_reg(1, 10), alu64_imm(c.ADD, 1, -8), mov64_imm(2, 8), mov64_imm(3, 0)]

BROKEN = [
    ("socket_filter", [call(POISON), exit_()], 0, "CO-RE relocation"),
    ("socket_filter", [call(9999), exit_()], 0, "helper number 9999"),
    ("socket_filter", [call(51), mov64_imm(0, 0), exit_()], 0, "not for programs of this type"),
    ("socket_filter", [*LOOKUP, ldx(c.DW, 0, 0, 0), exit_()], 6, "with NULL"),
    (
        "socket_filter",
        [*LOOKUP, jump_imm(c.JEQ, 0, 0, 1), ldx(c.DW, 0, 0, 8), mov64_imm(0, 0), exit_()],
        7,
        "size of the map's value",
    ),
    ("xdp", [ldx(c.W, 2, 1, 0), ldx(c.B, 0, 2, 0), exit_()], 1, "data_end"),
    ("tracepoint", [*READ_KERNEL, call(113), mov64_imm(0, 0), exit_()], 4, "license"),
    ("socket_filter", [mov64_imm(0, 0), jump(-1), exit_()], 2, "never be reached"),
    ("socket_filter", [st(c.DW, 10, -520, 0), mov64_imm(0, 0), exit_()], 0, "512 bytes"),
    ("socket_filter", [mov64_reg(0, 3), exit_()], 0, "the register holds nothing"),
    ("socket_filter", [exit_()], 0, "without a result"),
    ("xdp", [ldx(c.W, 2, 1, 0), mov64_reg(3, 2), alu64_reg(c.ADD, 2, 3), exit_()], 2, "two point"),
    ("socket_filter", [mov64_imm(1, 0), mov64_reg(2, 10), call(1), exit_()], 2, "where it takes"),
    ("socket_filter", [ldx(c.DW, 0, 1, 4000), exit_()], 0, "no such field"),
    ("socket_filter", [mov64_imm(0, 0)], None, "without a return"),
    ("socket_filter", [mov64_imm(1, 8), ldx(c.DW, 0, 1, 0), exit_()], 1, "number and no pointer"),
]


@pytest.mark.parametrize(("prog_type", "insns", "slot", "hint"), BROKEN)
def test_the_hint_of_a_broken_program(
    prog_type: str, insns: list[Insn], slot: int | None, hint: str
) -> None:
    license = "Proprietary" if hint == "license" else "GPL"
    with calls.map_create(words.MAP_TYPES.index("hash"), 4, 8, 1) as map:
        given = [
            ld_map_fd(each.dst, map.fileno()) if each.code == c.WIDE else each for each in insns
        ]
        log = bytearray(1 << 16)
        number = words.PROG_TYPES.index(prog_type)
        prog, errno = calls.try_prog_load(number, encode(given), license, log=log, log_level=1)
    assert prog is None
    record = explain(log.decode(errors="replace"), errno=errno)
    assert hint in record.get("hint", ""), record
    if slot is not None and hint != "never be reached":
        assert record.get("insn") == slot, record
