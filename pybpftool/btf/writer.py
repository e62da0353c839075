"""Types to the bytes of a BTF: what ``reader`` reads, written in this machine's byte order.

Source: linux/btf.h.
"""

from __future__ import annotations

import struct
from array import array

from . import types
from .reader import MAGIC, VERSION

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from .spec import Btf

_HEADER = struct.Struct("=HBBIIIII")
_WORD = 0xFFFFFFFF


class BtfWriter:
    """A BTF in the making.

    ``base``: the Btf that it continues: ids and string offsets go on where those of the base end,
    and its strings are used again.
    """

    __slots__ = ("_offsets", "_strings", "_strings_start", "_words", "next_id")

    def __init__(self, base: Btf | None = None) -> None:
        self.next_id = base.type_count if base else 1
        self._words = array("I")
        self._strings = bytearray(b"" if base else b"\0")
        self._strings_start = base.strings_end if base else 0
        self._offsets = {"": 0}
        if base:
            for offset, text in base.all_strings().items():
                self._offsets.setdefault(text, offset)

    def string(self, text: str) -> int:
        """Offset of a string (without NUL in it), added if it is new."""
        offset = self._offsets.get(text)
        if offset is None:
            offset = self._offsets[text] = self._strings_start + len(self._strings)
            self._strings += text.encode("utf-8", "surrogateescape") + b"\0"
        return offset

    def add(self, type: types.Type) -> int:
        """Id of a type added at the end; its own ``id`` is not looked at."""
        return self.add_words(encode(type, self.string))

    def add_words(self, words: Iterable[int]) -> int:
        """Id of a type added as its words, whose names are offsets of this BTF."""
        self._words.extend(words)
        self.next_id += 1
        return self.next_id - 1

    def blob(self) -> bytes:
        """The whole as raw BTF."""
        body = self._words.tobytes()
        sections = 0, len(body), len(body), len(self._strings)
        header = _HEADER.pack(MAGIC, VERSION, 0, _HEADER.size, *sections)
        return b"".join((header, body, self._strings))


def encode(type: types.Type, string: Callable[[str], int]) -> list[int]:
    """The words of a type: the reverse of ``types.decode``.

    ``string``: gives the offset of a name.  Numbers must fit where they belong: an id or size into
    32 bits and, in a struct or union whose ``kind_flag`` is set, a bit offset into 24.
    """
    vlen, size = 0, 0
    rest: list[int] = []
    if isinstance(type, types.Int):
        size = type.size
        rest = [type.encoding << 24 | type.bits_offset << 16 | type.nr_bits]
    elif isinstance(type, types.Float):
        size = type.size
    elif isinstance(type, types.Array):
        rest = [type.type_id, type.index_type_id, type.nr_elems]
    elif isinstance(type, types.Composite):
        vlen, size = len(type.members), type.size
        for member in type.members:
            place = member.bits_offset | member.bitfield_size << 24
            rest += string(member.name), member.type_id, place
    elif isinstance(type, types.Enum):
        vlen, size = len(type.values), type.size
        wide = type.kind == types.ENUM64
        for value in type.values:
            rest += string(value.name), value.val & _WORD
            if wide:
                rest.append(value.val >> 32 & _WORD)
    elif isinstance(type, types.FuncProto):
        vlen, size = len(type.params), type.type_id
        for param in type.params:
            rest += string(param.name), param.type_id
    elif isinstance(type, types.Datasec):
        vlen, size = len(type.vars), type.size
        for var in type.vars:
            rest += var.type_id, var.offset, var.size
    elif isinstance(type, types.Func):
        vlen, size = type.linkage, type.type_id
    elif isinstance(type, types.Var):
        size = type.type_id
        rest = [type.linkage]
    elif isinstance(type, types.DeclTag):
        size = type.type_id
        rest = [type.component_idx & _WORD]
    elif isinstance(type, types.Reference):
        size = type.type_id
    info = type.kind_flag << 31 | type.kind << 24 | vlen
    return [string(type.name), info, size, *rest]
