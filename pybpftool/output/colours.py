"""What only people at a terminal see: colours, and arrows from jumps to where they lead.

It is laid over the plain text once that is made, so whatever goes into a pipe or a file is as it
would be without.
"""

from __future__ import annotations

import re
import sys

from .paint import BOLD, CYAN, DIM, GREEN, MAGENTA, YELLOW

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from .paint import Paint

_MOST_LINES = 256
"""Lines that an arrow may span: a longer one cannot be followed with the eye."""
_MOST_LANES = 8
"""Arrows side by side; those that find no room are left out."""

_TOP, _BOTTOM, _PASS, _ALONG, _CROSS, _HEAD = "╭╰│─┼▸"
_OVER = {" ": _ALONG, _PASS: _CROSS}
"""What becomes of a place that an arrow's level part goes over."""
_ASCII = str.maketrans("╭╰│─┼▸", ",`|-+>")

_INSN = re.compile(r" *(\d+): ")
_JUMP = re.compile(r"(?:goto|gotol|may_goto) pc([+-]\d+)$")

_WORDS = re.compile(
    r"""
      (?P<source> ^;.* )
    | (?P<place> ^\ *[0-9a-f]+:(?=[ \t]) | ^\ {7}[0-9a-f]{2}(?:\ [0-9a-f]{2})*$ | \([0-9a-f]{2}\) )
    | (?P<head> ^\S.*:$ )
    | (?P<jump> (?:\bgoto|\bgotol|\bmay_goto)\ pc[+-]\d+ | \tj[a-z]+\t.* )
    | (?P<call> (?<=call\ )\S+ | (?<=callq\t).* )
    | (?P<map> map\[[^\]]*\] )
    """,
    re.VERBOSE,
)
_COLOURS = {
    "source": GREEN,
    "place": DIM,
    "head": BOLD,
    "jump": YELLOW,
    "call": CYAN,
    "map": MAGENTA,
}


def code(pieces: Iterable[str], paint: Paint) -> Iterator[str]:
    """The dump of a program, its instructions coloured and its jumps drawn."""

    def coloured(found: re.Match[str]) -> str:
        return paint(found[0], _COLOURS[found.lastgroup or ""])

    ascii_only = not (sys.stdout.encoding or "utf-8").lower().startswith("utf")
    lines = "".join(pieces).splitlines(keepends=True)
    for gutter, line in zip(_gutters(lines), lines, strict=True):
        yield (gutter.translate(_ASCII) if ascii_only else gutter) + _WORDS.sub(coloured, line)


DRESSES = {"code": code}
"""The functions that results may ask for (``Bulk.terminal``)."""


# ------------------------------------------------------------------ arrows


def _gutters(lines: Sequence[str]) -> list[str]:
    """What to write before each line: the arrows that begin, end or pass there."""
    jumps = sorted(_jumps(lines), key=lambda jump: abs(jump[0] - jump[1]))
    lanes: list[bytearray] = []
    drawn = []
    for start, end in jumps:
        first, last = sorted((start, end))
        lane = _lane(lanes, first, last, len(lines))
        if lane is not None:
            drawn.append((start, end, lane))
    if not drawn:
        return [""] * len(lines)
    width = len(lanes) + 1
    rows = [[" "] * width for _ in lines]
    for start, end, lane in drawn:
        column = len(lanes) - 1 - lane  # the first lane is the one beside the text
        first, last = sorted((start, end))
        for row in rows[first + 1 : last]:
            row[column] = _CROSS if row[column] == _ALONG else _PASS
        for at, corner in ((first, _TOP), (last, _BOTTOM)):
            row = rows[at]
            row[column] = corner
            for right in range(column + 1, width - 1):
                row[right] = _OVER.get(row[right], row[right])  # corners stay
            if row[-1] != _HEAD:
                row[-1] = _HEAD if at == end else _ALONG
    return ["".join(row) + " " for row in rows]


def _jumps(lines: Sequence[str]) -> Iterator[tuple[int, int]]:
    """The jumps: the numbers of their line and of the one they lead to."""
    places: dict[int, int] = {}
    found: list[tuple[int, int]] = []
    last = -1
    for number, line in enumerate(lines):
        insn = _INSN.match(line)
        if insn is None:
            continue
        at = int(insn[1])
        if at <= last:  # the next program
            yield from _known(found, places)
            places, found = {}, []
        last = at
        places[at] = number
        jump = _JUMP.search(line)
        if jump is not None:
            found.append((number, at + 1 + int(jump[1])))
    yield from _known(found, places)


def _known(found: list[tuple[int, int]], places: dict[int, int]) -> Iterator[tuple[int, int]]:
    for number, target in found:
        end = places.get(target, number)
        if 0 < abs(end - number) <= _MOST_LINES:
            yield number, end


def _lane(lanes: list[bytearray], first: int, last: int, count: int) -> int | None:
    """The lane of an arrow from line ``first`` to ``last``, which it occupies; None if all are
    taken.  ``count``: lines in all."""
    free = (number for number, lane in enumerate(lanes) if not any(lane[first : last + 1]))
    number = next(free, len(lanes))
    if number == _MOST_LANES:
        return None
    if number == len(lanes):
        lanes.append(bytearray(count))
    lanes[number][first : last + 1] = b"\1" * (last + 1 - first)
    return number
