"""The words in capitals: how what a user types becomes a value.

One Place for each name of the usage lines that more than one object may use.  Reading is eager
and from left to right: a MAP is opened while the line is still being read, so that the words
behind it can be held against its sizes, and errors come in the order of the words (spec 1.3).
"""

from __future__ import annotations

from .command import Place
from .errors import PybpftoolError
from .number import strtoul32

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .command import Call, Words
    from .kernel.handles import Map, Prog

MAP_NAME_MAX, PROG_NAME_MAX = 15, 127
"""Bytes of a name that may be asked for: a map's as the kernel keeps it, a program's whole one."""

_RDONLY = 1 << 3
"""BPF_F_RDONLY (uapi/linux/bpf.h)."""


# ------------------------------------------------------------------ words and numbers


def read_word(words: Words, call: Call) -> str:
    """The next word as it is."""
    return words.take()


def read_number(words: Words, what: str) -> int:
    """The next word as an unsigned 32-bit number; ``what`` names it in ``can't parse W as …``."""
    word = words.take()
    number = strtoul32(word)
    if number is None:
        raise PybpftoolError(f"can't parse {word} as {what}")
    return number


# ------------------------------------------------------------------ handles


def _keyword(words: Words, keywords: tuple[str, ...], spoken: str) -> str:
    """The keyword that opens a handle; ``spoken``: how the error lists them."""
    word = words.next
    for keyword in keywords:
        if word is not None and keyword.startswith(word):
            words.take()
            return keyword
    got = "(null)" if word is None else word
    raise PybpftoolError(f"expected {spoken}, got: '{got}'?")


def _name(words: Words, longest: int) -> str:
    import os

    name = words.take()
    if len(os.fsencode(name)) > longest:
        raise PybpftoolError("can't parse name")
    return name


def _maps(words: Words, flags: int) -> list[Map]:
    from .kernel.handles import Map

    keyword = _keyword(words, ("id", "name", "pinned"), "'id', 'name' or 'pinned'")
    if keyword == "id":
        return [Map.by_id(read_number(words, "ID"), flags)]
    if keyword == "pinned":
        return [Map.pinned(words.take(), flags)]
    name = _name(words, MAP_NAME_MAX)
    found = Map.named(name, flags)
    if not found:
        raise PybpftoolError(f"no map has the name '{name}'")
    return found


def _read_map(words: Words, call: Call) -> Map | list[Map]:
    found = _maps(words, 0 if call.row.access == "write" else _RDONLY)
    if call.row.access == "read each":
        return found
    if len(found) > 1:
        raise PybpftoolError("several maps match this handle")
    return found[0]


def _progs(words: Words) -> list[Prog]:
    from .kernel.handles import Prog

    spoken = "'id', 'tag', 'name' or 'pinned'"
    keyword = _keyword(words, ("id", "tag", "name", "pinned"), spoken)
    if keyword == "id":
        return [Prog.by_id(read_number(words, "ID"))]
    if keyword == "pinned":
        return [Prog.pinned(words.take())]
    if keyword == "tag":
        word = words.take()
        found = Prog.tagged(_tag(word))
    else:
        from .identity import FullNames

        word = _name(words, PROG_NAME_MAX)
        found = Prog.named(word, FullNames())
    if not found:
        raise PybpftoolError(f"no program has the {keyword} '{word}'")
    return found


def _tag(word: str) -> bytes:
    """A program's tag: eight bytes of one or two hexadecimal digits; what follows is ignored."""
    tag = bytearray()
    at = 0
    while len(tag) < 8:
        end = at
        while end < min(at + 2, len(word)) and word[end] in "0123456789abcdefABCDEF":
            end += 1
        if end == at:
            raise PybpftoolError("can't parse tag")
        tag.append(int(word[at:end], 16))
        at = end
    return bytes(tag)


def _read_prog(words: Words, call: Call) -> Prog | list[Prog]:
    found = _progs(words)
    if call.row.access == "read each":
        return found
    if len(found) > 1:
        raise PybpftoolError("several programs match this handle")
    return found[0]


FILE = Place("FILE", read_word)
MAP = Place("MAP", _read_map, definition="{ id MAP_ID | pinned FILE | name MAP_NAME }")
PROG = Place(
    "PROG",
    _read_prog,
    definition="{ id PROG_ID | pinned FILE | tag PROG_TAG | name PROG_NAME }",
)
