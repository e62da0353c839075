"""Literals and holes to a function over rows of bytes: how a type becomes code.

A *hole* is a place in the bytes, with the expression of what is to stand there.  Literals and holes
become one Python function over ``struct.iter_unpack``, which then serves one value as well as a
million.  Its source holds nothing but ``ascii()`` of the literals and names made here; whatever
else it needs is bound to such names.  Literals that are source themselves stand as they are.
"""

from __future__ import annotations

import sys
from struct import Struct

from ..errors import BadData

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from typing import Any

    from ..output.hexdump import Data

TEXTS = 2
"""The number of the first column of texts, which come behind those of bytes."""

SIGNED_CODES = {1: "b", 2: "h", 4: "i", 8: "q"}
UNSIGNED_CODES = {1: "B", 2: "H", 4: "I", 8: "Q"}
"""Codes of struct by the bytes of a number."""

_ORDER = sys.byteorder
MARK = "<" if _ORDER == "little" else ">"
"""How a format of struct begins, in the machine's order."""

_HOLES_PER_FUNCTION = 200


class Hole:
    """A place filled from a column.

    It takes ``size`` bytes from byte ``at`` on, read by the struct ``code`` (``s`` for bytes), or,
    without a code, ``bits`` bits from bit ``at`` on.  In a column of texts it takes no bytes.
    ``form`` is the expression written there: ``$`` what was read, ``%s`` each of the ``objects``.
    ``mask``: which bits of its bytes the text tells of, None for all.
    """

    __slots__ = ("at", "bits", "code", "column", "form", "mask", "objects", "size")

    def __init__(
        self,
        column: int,
        at: int = 0,
        *,
        code: str = "",
        size: int = 0,
        bits: int = 0,
        form: str = "$",
        objects: tuple[object, ...] = (),
        mask: bytes | None = None,
    ) -> None:
        self.column = column
        self.at = at
        self.code = code
        self.size = size
        self.bits = bits
        self.form = form
        self.objects = objects
        self.mask = mask

    @property
    def span(self) -> tuple[int, int]:
        """First byte, and one past the last."""
        if self.code:
            return self.at, self.at + self.size
        return self.at // 8, (self.at + self.bits + 7) // 8


class Compiled:
    """The function that literals and holes become.

    ``source``: the literals are Python source, and all together is one expression; else they are
    text, and so is what becomes of a row.
    """

    __slots__ = ("_parts",)

    def __init__(self, pieces: Sequence[str | Hole], *, source: bool = False) -> None:
        # an expression cannot be cut in two
        self._parts = (
            [_Part(pieces, _joined)]
            if source
            else [_Part(part, _interpolated) for part in _parts(pieces)]
        )

    def rows(
        self,
        count: int,
        columns: Sequence[tuple[Data, int]],
        texts: Sequence[Sequence[str]] = (),
    ) -> list[Any]:
        """What becomes of each of ``count`` rows.

        ``columns``: bytes and stride of each; ``texts``: the columns that follow them.  BadData if
        there are too few bytes.
        """
        if not count:
            return []
        parts = [part.rows(count, columns, texts) for part in self._parts]
        return parts[0] if len(parts) == 1 else ["".join(row) for row in zip(*parts, strict=True)]


def _joined(pieces: Iterable[str | tuple[str]]) -> str:
    """The expression of a row from source; its own are in tuples."""
    return "".join(piece if isinstance(piece, str) else piece[0] for piece in pieces)


def _interpolated(pieces: Iterable[str | tuple[str]]) -> str:
    """The expression of a row from literals and, in tuples, expressions."""
    return " ".join(
        ascii(piece) if isinstance(piece, str) else f"f'{{{piece[0]}}}'" for piece in pieces
    )


def covered(pieces: Sequence[str | Hole], size: int) -> bytes:
    """The bits of a value of ``size`` bytes that its text tells of, as a mask."""
    mask = bytearray(size)
    for hole in pieces:
        if isinstance(hole, str):
            continue
        start, end = hole.span
        if hole.code:
            told = hole.mask if hole.mask is not None else b"\xff" * (end - start)
        else:
            bits = (1 << hole.bits) - 1 << _shift(hole, start, end)
            told = bits.to_bytes(end - start, _ORDER)
        old = int.from_bytes(mask[start:end], _ORDER)
        mask[start:end] = (old | int.from_bytes(told, _ORDER)).to_bytes(end - start, _ORDER)
    return bytes(mask)


def _parts(pieces: Sequence[str | Hole]) -> Iterator[list[str | Hole]]:
    """The pieces in portions that a function can hold, literals in a row as one."""
    part: list[str | Hole] = []
    literals: list[str] = []
    holes = 0
    for piece in pieces:
        if isinstance(piece, str):
            literals.append(piece)
            continue
        part += ["".join(literals), piece]
        literals.clear()
        holes += 1
        if holes == _HOLES_PER_FUNCTION:
            yield part
            part = []
            holes = 0
    yield [*part, "".join(literals)]


class _Part:
    """One generated function, and how it wants each column unpacked."""

    __slots__ = ("_formats", "_function", "_structs", "_texts")

    def __init__(
        self,
        pieces: Sequence[str | Hole],
        expression: Callable[[Iterable[str | tuple[str]]], str],
    ) -> None:
        self._formats: dict[int, str] = {}
        self._structs: dict[tuple[int, int], Struct] = {}
        self._texts: list[int] = []
        bound: dict[str, object] = {"number": int.from_bytes, "order": _ORDER}
        fetched: dict[Hole, str] = {}
        targets = []
        steps: list[str] = []
        holes = [piece for piece in pieces if isinstance(piece, Hole)]
        for column in sorted({hole.column for hole in holes}):
            own = [hole for hole in holes if hole.column == column]
            if column >= TEXTS:
                self._texts.append(column - TEXTS)
                fetched.update((hole, f"t{column}") for hole in own)
                targets.append(f"t{column}")
                continue
            reads = _reads(own)
            self._formats[column] = _format(reads)
            names = [f"v{column}_{number}" for number in range(len(reads))]
            targets.append(f"({','.join(names)},)")
            for name, read in zip(names, reads, strict=True):
                steps += read.take(name, fetched, bound)
        row = expression(
            [
                piece if isinstance(piece, str) else (_expression(piece, fetched[piece], bound),)
                for piece in pieces
            ]
        )
        source = (
            f"def made(rows):\n return [{row} for {','.join(targets)} in rows {' '.join(steps)}]"
            if targets
            else f"def made(rows):\n return [{row} for _ in range(rows)]"
        )
        exec(source, bound)  # noqa: S102 - made of ascii() literals and names made here
        self._function: Callable[[object], list[Any]] = bound["made"]  # type: ignore[assignment]  # the function just defined

    def rows(
        self, count: int, columns: Sequence[tuple[Data, int]], texts: Sequence[Sequence[str]]
    ) -> list[Any]:
        rows: list[Iterable[object]] = [
            self._unpacked(column, *columns[column], count) for column in self._formats
        ]
        rows += [texts[column] for column in self._texts]
        if len(rows) > 1:
            return self._function(zip(*rows, strict=True))
        return self._function(rows[0] if rows else count)

    def _unpacked(
        self, column: int, data: Data, stride: int, count: int
    ) -> Iterator[tuple[object, ...]]:
        length = count * stride
        if len(data) < length:
            raise BadData(f"{len(data)} bytes are less than {count} values of {stride}")
        row = self._structs.get((column, stride))
        if row is None:
            form = self._formats[column]
            rest = stride - Struct(form).size
            if rest < 0:
                raise BadData(f"values of {stride} bytes are shorter than their type")
            row = self._structs[column, stride] = Struct(f"{form}{rest}x")
        return row.iter_unpack(data if len(data) == length else memoryview(data)[:length])


class _Read:
    """The bytes ``start`` to ``end`` of a row, and the holes that share them.

    Most serve a single hole; unions and bit-fields have several.
    """

    __slots__ = ("_bits", "_same", "code", "end", "holes", "start")

    def __init__(self, holes: Sequence[Hole]) -> None:
        first = holes[0]
        self.holes = holes
        self.start = first.span[0]
        self.end = max(hole.span[1] for hole in holes)
        self._bits = not any(hole.code for hole in holes)
        self._same = not self._bits and all(
            hole.code == first.code and hole.span == first.span for hole in holes
        )
        size = self.end - self.start
        self.code = f"{size}s"
        if self._same and first.code != "s":
            self.code = first.code
        elif self._bits and size in UNSIGNED_CODES:
            self.code = UNSIGNED_CODES[size]

    def take(self, name: str, fetched: dict[Hole, str], bound: dict[str, object]) -> list[str]:
        """Put down in ``fetched`` what each hole makes of the variable ``name``.

        Gives the clauses of the comprehension that get it out of there.
        """
        if self._same:
            fetched.update((hole, name) for hole in self.holes)
            return []
        steps = []
        if self._bits:
            number = name
            if self.code.endswith("s"):
                number = f"{name}_n"
                steps.append(f"for {number} in (number({name},order),)")
            for hole in self.holes:
                fetched[hole] = _shifted(hole, number, self.start, self.end)
            return steps
        taken: dict[tuple[int, int, str], str] = {}
        for hole in self.holes:
            start, end = hole.span
            own = taken.get((start, end, hole.code))
            if own is None:
                own = taken[start, end, hole.code] = f"{name}_{len(taken)}"
                piece = f"{name}[{start - self.start}:{end - self.start}]"
                if hole.code == "s":
                    steps.append(f"for {own} in ({piece},)")
                elif hole.code:
                    bound[f"read_{hole.code}"] = Struct(MARK + hole.code).unpack
                    steps.append(f"for {own}, in (read_{hole.code}({piece}),)")
                else:
                    steps.append(f"for {own} in (number({piece},order),)")
            fetched[hole] = own if hole.code else _shifted(hole, own, start, end)
        return steps


def _reads(holes: Iterable[Hole]) -> list[_Read]:
    """The holes grouped by the bytes they share, in the order of the bytes."""
    groups: list[list[Hole]] = []
    reach = 0
    for hole in sorted(holes, key=lambda hole: hole.span):
        start, end = hole.span
        if groups and start < reach:
            groups[-1].append(hole)
            reach = max(reach, end)
        else:
            groups.append([hole])
            reach = end
    return [_Read(group) for group in groups]


def _format(reads: Sequence[_Read]) -> str:
    """The struct format of a row up to the last byte needed."""
    form = MARK
    at = 0
    for read in reads:
        form += f"{read.start - at}x{read.code}"
        at = read.end
    return form


def _shifted(hole: Hole, name: str, start: int, end: int) -> str:
    """The bits of a hole out of the number that the bytes ``start`` to ``end`` are."""
    return f"{name}>>{_shift(hole, start, end)}&{(1 << hole.bits) - 1:#x}"


def _shift(hole: Hole, start: int, end: int) -> int:
    """How far its bits are from the low end of the number that those bytes are."""
    return hole.at - 8 * start if MARK == "<" else 8 * end - hole.at - hole.bits


def _expression(hole: Hole, name: str, bound: dict[str, object]) -> str:
    """What stands in the braces of the f-string."""
    names = []
    for thing in hole.objects:
        names.append(f"o{len(bound)}")
        bound[names[-1]] = thing
    return (hole.form % tuple(names)).replace("$", name)
