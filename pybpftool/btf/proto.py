"""The prototype of a function on one line: ``int prog(struct __sk_buff * skb)``.

Not C as a compiler wants it: types are written from left to right, as bpftool shows them above
the instructions of a function (spec 2.5).
"""

from __future__ import annotations

from ..errors import BadData
from . import types

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .spec import Btf

_MOST = 1023
"""Bytes of the longest prototype that is shown."""
_MOST_DEPTH = 64
"""Types one inside the other; no honest declaration comes near."""

_QUALIFIERS = {types.CONST: "const ", types.VOLATILE: "volatile ", types.RESTRICT: "restrict "}
_TAGGED = {
    types.STRUCT: "struct ",
    types.UNION: "union ",
    types.ENUM: "enum ",
    types.ENUM64: "enum ",
}
_NAMED = frozenset((types.INT, types.TYPEDEF, types.FLOAT))


def prototype(btf: Btf, id: int) -> str | None:
    """The text of a FUNC.

    None where bpftool shows none: a type tag in it, more than 1,023 bytes, or no such type.
    """
    try:
        pieces: list[str] = []
        _Text(btf, pieces).type(id, 0)
    except (BadData, _Unshown):
        return None
    text = "".join(pieces)
    return text if text and len(text.encode("utf-8", "surrogateescape")) <= _MOST else None


class _Unshown(Exception):
    """A type that has no text, or has too much of it."""


class _Text:
    """Writes types into ``pieces``."""

    __slots__ = ("_btf", "_pieces", "_room")

    def __init__(self, btf: Btf, pieces: list[str]) -> None:
        self._btf = btf
        self._pieces = pieces
        self._room = _MOST

    def _add(self, text: str) -> None:
        self._room -= len(text)
        if self._room < 0:
            raise _Unshown
        self._pieces.append(text)

    def type(self, id: int, depth: int) -> None:
        """The text of a type, a blank behind it where a name may follow."""
        btf = self._btf
        kind = btf.kind(id)
        if depth > _MOST_DEPTH:
            raise _Unshown
        if kind == types.VOID:
            self._add("void ")
        elif kind in _NAMED:
            self._add(f"{btf.name_of(id)} ")
        elif kind in _TAGGED:
            self._add(f"{_TAGGED[kind]}{btf.name_of(id)} ")
        elif kind == types.FWD:
            self._add(f"{'union' if btf.flag(id) else 'struct'} {btf.name_of(id)} ")
        elif kind in _QUALIFIERS:
            self._add(_QUALIFIERS[kind])
            self.type(btf.target(id), depth + 1)
        elif kind == types.PTR:
            self.type(btf.target(id), depth + 1)
            self._add("* ")
        elif kind == types.ARRAY:
            [element], _, [count] = btf.items(id)
            self.type(element, depth + 1)
            self._add(f"[{count}]")
        elif kind == types.FUNC:
            proto = btf.target(id)
            self._function(proto, btf.name_of(id), depth + 1)
        elif kind == types.FUNC_PROTO:
            self._function(id, "", depth + 1)
        else:
            raise _Unshown

    def _function(self, proto: int, name: str, depth: int) -> None:
        btf = self._btf
        if btf.kind(proto) != types.FUNC_PROTO:
            raise _Unshown
        self.type(btf.parts(proto)[0], depth)
        self._add(f"{name}(")
        names, ids = btf.items(proto)
        for place, (named, id) in enumerate(zip(names, ids, strict=True)):
            self._add(", " if place else "")
            if not id:
                self._add("...")
                continue
            self.type(id, depth)
            if named:
                self._add(btf.text[named])
            elif self._pieces[-1].endswith(" "):
                self._pieces[-1] = self._pieces[-1][:-1]
                self._room += 1
        self._add(")")
