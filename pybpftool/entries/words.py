"""DATA words of the command line -> the bytes of a key or value (spec 3.3), or what JSON says."""

from __future__ import annotations

from ..errors import PybpftoolError
from ..number import strtoul

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ..command import Words

_NEXT = ("key", "value", "any", "exist", "noexist")
"""The words that may follow a key or value."""


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


def is_typed(words: Words, size: int, has_types: bool) -> bool:
    """Whether the next words are a key or value by its type rather than bytes.

    JSON is known by its first character.  A word by itself is a number, a name or a text where the
    map has types and ``size`` bytes could not be a single word.
    """
    word = words.next or ""
    if word.startswith(("{", "[", '"')):
        return True
    if not has_types or size < 2 or not word or "hex".startswith(word):
        return False
    following = words.after
    return following is None or (
        following != "" and any(each.startswith(following) for each in _NEXT)
    )


def read_typed(words: Words, what: str) -> Any:
    """The next word as JSON, or as the text that it is.

    PybpftoolError for broken JSON, and for an object that names a field twice.
    """
    word = words.take()
    if not word.startswith(("{", "[", '"')):
        return word
    import json

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) < len(pairs):
            names = [name for name, _ in pairs]
            twice = next(name for name in names if names.count(name) > 1)
            raise PybpftoolError(f"{what}: {twice!a} is given twice")
        return found

    try:
        return json.loads(word, object_pairs_hook=once)
    except json.JSONDecodeError as error:
        raise PybpftoolError(
            f"{what}: no JSON at character {error.pos + 1}: {error.msg}"
        ) from error
    except (ValueError, RecursionError) as error:
        raise PybpftoolError(f"{what}: no JSON that can be read: {error}") from error
