"""Bytes as hexadecimal text."""

from __future__ import annotations

from binascii import hexlify

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import TypeAlias

    Data: TypeAlias = bytes | bytearray | memoryview


def block(data: Data) -> str:
    """Bytes in rows of sixteen: one space between bytes, two in the middle, no last newline.

    Source: spec 3.6.
    """
    text = bytes(data).hex(" ")
    if len(data) <= 8:
        return text
    return "\n".join(
        text[at : at + 23] + "  " + text[at + 24 : at + 47] if at + 24 < len(text) else text[at:]
        for at in range(0, len(text), 48)
    )


def listing(data: Data) -> str:
    """Bytes as lines of offset, sixteen bytes in pairs, and their characters (spec 2.11)."""
    raw = bytes(data)
    lines = []
    for at in range(0, len(raw), 16):
        row = raw[at : at + 16]
        digits = "".join(row[pair : pair + 2].hex().ljust(4) + " " for pair in range(0, 16, 2))
        text = "".join(chr(byte) if 0x20 <= byte < 0x7F else "." for byte in row)
        gap = " " if len(row) >= 8 else ""
        lines.append(f"{at:07x}\t{digits}| {text[:8]}{gap}{text[8:]}\n")
    return "".join(lines)


def array(data: Data, pretty_end: str = "") -> str:
    """Bytes as the JSON array of strings ``["0x0f","0x00"]``.

    ``pretty_end``: the break before the closing bracket, which an empty array has not.
    """
    if not data:
        return "[]"
    return '["0x' + bytes(data).hex(",").replace(",", '","0x') + f'"{pretty_end}]'


class Strides:
    """A fixed text repeated for many entries, their hex digits set in column by column.

    A map of fixed-size entries prints lines of fixed width.  So a whole batch is one text in
    which each digit column is a stride: one slice assignment fills it for all entries at once,
    at the speed of memory rather than of the interpreter.

    ``text``: one entry, with a pair of marker characters where a byte's digits belong.
    ``fields``: the markers and where their bytes come from: (marker, offsets of the bytes in an
    entry's source, source number), in the order the pairs stand in the text.
    """

    __slots__ = ("_columns", "_text", "width")

    def __init__(self, text: str, fields: Iterable[tuple[str, Iterable[int]]]) -> None:
        self._text = text.encode("latin-1")
        self.width = len(self._text)
        self._columns: list[list[tuple[int, int]]] = []
        for marker, offsets in fields:
            columns: list[tuple[int, int]] = []
            at = -1
            for offset in offsets:
                at = text.index(marker, at + 1)
                columns.append((at, 2 * offset))
                at += 1
                columns.append((at, 2 * offset + 1))
            self._columns.append(columns)

    def fill(self, count: int, *sources: tuple[Data, int]) -> str:
        """The text of ``count`` entries.

        ``sources``: for each field the bytes of all entries and the size of one entry in them.
        """
        out = bytearray(self._text * count)
        width = self.width
        for columns, (data, size) in zip(self._columns, sources, strict=True):
            digits = hexlify(memoryview(data)[: count * size])
            for column, digit in columns:
                out[column::width] = digits[digit :: 2 * size]
        return out.decode("latin-1")

    def fill_each(self, count: int, cut: tuple[int, int], *sources: tuple[Data, int]) -> list[str]:
        """The text of each entry by itself, without the first and last ``cut`` characters."""
        text = self.fill(count, *sources)
        first, last = cut
        width = self.width
        end = width - last
        return [text[at + first : at + end] for at in range(0, count * width, width)]
