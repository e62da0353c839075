"""Which line of source, and which function, belongs to an instruction.

Source: linux/bpf.h (struct bpf_line_info, struct bpf_func_info), spec 2.5.
"""

from __future__ import annotations

import struct

from ..errors import BadData

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from typing import Any

    from .code import Data

_BLANKS = " \t\n\v\f\r"


class Line:
    """From slot ``insn_off`` on, the code comes from this line of source.

    ``line``: its text, ``file``: the file's name, None where BTF has none.  ``line_num`` and
    ``line_col`` count from 1, 0 is unknown.
    """

    __slots__ = ("file", "insn_off", "line", "line_col", "line_num")

    def __init__(
        self, insn_off: int, line: str | None, file: str | None, line_num: int, line_col: int
    ) -> None:
        self.insn_off = insn_off
        self.line = line
        self.file = file
        self.line_num = line_num
        self.line_col = line_col

    @property
    def source(self) -> str | None:
        """The text without the blanks it begins with."""
        return self.line and self.line.lstrip(_BLANKS)


def read_lines(data: Data, rec_size: int, string: Callable[[int], str | None]) -> list[Line]:
    """The records of a program's ``line_info``, of ``rec_size`` bytes each.

    ``string(offset)``: the BTF's string there, None where there is none.
    BadData when they are not whole records.
    """
    return [
        Line(insn_off, string(line_off), string(file_off), line_col >> 10, line_col & 0x3FF)
        for insn_off, file_off, line_off, line_col in _records(data, rec_size, "=IIII", "line")
    ]


def read_functions(data: Data, rec_size: int) -> dict[int, int]:
    """The ``func_info`` of a program: BTF id of the FUNC by the slot that it begins at.

    BadData when they are not whole records.
    """
    return dict(_records(data, rec_size, "=II", "func"))


def _records(data: Data, rec_size: int, layout: str, what: str) -> Iterator[Any]:
    known = struct.Struct(layout)
    if not data:
        return iter(())
    if rec_size < known.size or len(data) % rec_size:
        raise BadData(f"{what}_info: {len(data)} bytes are not records of {rec_size}")
    # what newer kernels add behind is not looked at
    return struct.iter_unpack(f"{layout}{rec_size - known.size}x", data)


def shown(lines: Sequence[Line], starts: Iterable[int]) -> Iterator[tuple[int, Line]]:
    """The line to print before an instruction: (its slot, the line), for those that have one.

    ``starts``: slots of the instructions, ascending.  Every instruction at or behind the next
    record takes one record off, but shows the last that has begun: so no instruction shows two
    lines, and where several records begin at one, those after it show the same line again.
    """
    used = at = 0
    for start in starts:
        if used == len(lines):
            return
        if lines[used].insn_off <= start:
            at = _last(lines, max(used, at), start)
            used += 1
            yield start, lines[at]


def in_force(lines: Sequence[Line], starts: Iterable[int]) -> Iterator[tuple[int, Line]]:
    """The line that an instruction comes from: (its slot, the line), for those that have one."""
    at = 0
    for start in starts:
        if lines and lines[0].insn_off <= start:
            at = _last(lines, at, start)
            yield start, lines[at]


def _last(lines: Sequence[Line], at: int, start: int) -> int:
    """The last of the records from ``at`` on that begin, one after the other, up to ``start``."""
    while at + 1 < len(lines) and lines[at + 1].insn_off <= start:
        at += 1
    return at
