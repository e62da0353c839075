"""DATA words of the command line -> the bytes of a key or value (spec 3.3)."""

from __future__ import annotations

from ..errors import PybpftoolError
from ..number import strtoul

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..command import Words


def read_bytes(words: Words, what: str, size: int) -> bytes:
    """``size`` bytes, one word each; an opening ``hex`` (or ``h``, ``he``) sets base sixteen.

    ``what``: ``key`` or ``value``, for the sentences.  A number keeps its low eight bits.
    """
    base = 0
    if words.next is not None and "hex".startswith(words.next):
        words.take()
        base = 16
    found = bytearray()
    while len(found) < size:
        if not len(words):
            raise PybpftoolError(f"{what} expected {size} bytes got {len(found)}")
        word = words.take()
        number = strtoul(word, base)
        if number is None:
            raise PybpftoolError(f"error parsing byte: {word}")
        found.append(number & 0xFF)
    return bytes(found)
