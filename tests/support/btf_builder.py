"""A BTF blob written type by type, in either byte order.

    b = BtfBuilder()
    i = b.int("int", 4, signed=True)
    s = b.struct("s", 8, [("a", i, 0), ("b", i, 32)])
    blob = b.blob()

Each method gives the id of the type it added.  Nothing is checked: tests also need wrong BTF.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence

SIGNED, CHAR, BOOL = 1, 2, 4
STATIC, GLOBAL, EXTERN = 0, 1, 2


class BtfBuilder:
    """``order``: ``little`` or ``big``.  ``base``: the builder whose types this one continues."""

    def __init__(self, order: str = "little", base: BtfBuilder | None = None) -> None:
        self.order = order
        self.mark = "<" if order == "little" else ">"
        self.first = base.next_id if base else 1
        self.strings_start = base.strings_start + len(base.strings) if base else 0
        self.strings = b"" if base else b"\0"
        self.offsets: dict[bytes, int] = dict(base.offsets) if base else {b"": 0}
        self.types: list[bytes] = []
        self.first_int = base.first_int if base else 0

    @property
    def next_id(self) -> int:
        """The id that the next type will get."""
        return self.first + len(self.types)

    def string(self, text: str | bytes) -> int:
        """Offset of a string, added if it is new."""
        raw = text.encode("utf-8", "surrogateescape") if isinstance(text, str) else text
        if raw not in self.offsets:
            self.offsets[raw] = self.strings_start + len(self.strings)
            self.strings += raw + b"\0"
        return self.offsets[raw]

    def add(
        self,
        kind: int,
        name: str | bytes | int,
        size: int,
        *words: int,
        vlen: int = 0,
        kind_flag: int = 0,
    ) -> int:
        """Any type: its name (or string offset), size or type id, and the words that follow."""
        name_off = name if isinstance(name, int) else self.string(name)
        info = kind_flag << 31 | kind << 24 | vlen
        words = (name_off, info, size, *words)
        self.types.append(
            struct.pack(f"{self.mark}{len(words)}I", *(w & 0xFFFFFFFF for w in words))
        )
        return self.next_id - 1

    def int(
        self,
        name: str | bytes = "int",
        size: int = 4,
        *,
        signed: bool = False,
        encoding: int | None = None,
        bits: int | None = None,
        bits_offset: int = 0,
    ) -> int:
        encoding = int(signed) if encoding is None else encoding
        bits = 8 * size if bits is None else bits
        self.first_int = self.first_int or self.next_id
        return self.add(1, name, size, encoding << 24 | bits_offset << 16 | bits)

    def char(self) -> int:
        """clang's ``char``: a signed INT."""
        return self.int("char", 1, signed=True)

    def ptr(self, target: int = 0) -> int:
        return self.add(2, "", target)

    def array(self, element: int, count: int, index: int | None = None) -> int:
        """The kernel wants an INT as index: the first one, if not told otherwise."""
        return self.add(3, "", 0, element, self.first_int if index is None else index, count)

    def struct(
        self, name: str | bytes, size: int, members: Iterable[Sequence], *, kind: int = 4
    ) -> int:
        """Members are (name, type id, bit offset) or, with kind_flag, (…, bit-field size)."""
        members = [tuple(member) for member in members]
        fields = any(len(member) > 3 for member in members)
        words = []
        for member, type_id, offset, *bits in members:
            words += [self.string(member), type_id, offset | (bits[0] if bits else 0) << 24]
        return self.add(kind, name, size, *words, vlen=len(members), kind_flag=int(fields))

    def union(self, name: str | bytes, size: int, members: Iterable[Sequence]) -> int:
        return self.struct(name, size, members, kind=5)

    def enum(
        self,
        name: str | bytes,
        values: Iterable[tuple[str | bytes, int]],
        *,
        size: int = 4,
        signed: bool = False,
    ) -> int:
        values = list(values)
        words = [word for key, val in values for word in (self.string(key), val)]
        return self.add(6, name, size, *words, vlen=len(values), kind_flag=int(signed))

    def enum64(
        self,
        name: str | bytes,
        values: Iterable[tuple[str | bytes, int]],
        *,
        size: int = 8,
        signed: bool = False,
    ) -> int:
        values = list(values)
        words = [word for key, val in values for word in (self.string(key), val, val >> 32)]
        return self.add(19, name, size, *words, vlen=len(values), kind_flag=int(signed))

    def fwd(self, name: str | bytes, *, union: bool = False) -> int:
        return self.add(7, name, 0, kind_flag=int(union))

    def typedef(self, name: str | bytes, target: int) -> int:
        return self.add(8, name, target)

    def volatile(self, target: int) -> int:
        return self.add(9, "", target)

    def const(self, target: int) -> int:
        return self.add(10, "", target)

    def restrict(self, target: int) -> int:
        return self.add(11, "", target)

    def func(self, name: str | bytes, proto: int, *, linkage: int = GLOBAL) -> int:
        return self.add(12, name, proto, vlen=linkage)

    def func_proto(self, result: int, params: Iterable[tuple[str | bytes, int]] = ()) -> int:
        params = list(params)
        words = [word for key, type_id in params for word in (self.string(key), type_id)]
        return self.add(13, "", result, *words, vlen=len(params))

    def var(self, name: str | bytes, target: int, *, linkage: int = GLOBAL) -> int:
        return self.add(14, name, target, linkage)

    def datasec(self, name: str | bytes, size: int, places: Iterable[tuple[int, int, int]]) -> int:
        """``places``: (VAR id, byte offset, byte size) each."""
        places = list(places)
        words = [word for place in places for word in place]
        return self.add(15, name, size, *words, vlen=len(places))

    def float(self, name: str | bytes, size: int) -> int:
        return self.add(16, name, size)

    def decl_tag(self, name: str | bytes, target: int, component: int = -1) -> int:
        return self.add(17, name, target, component)

    def type_tag(self, name: str | bytes, target: int, *, attribute: bool = False) -> int:
        return self.add(18, name, target, kind_flag=int(attribute))

    def blob(self, *, header: int = 24, gap: int = 0) -> bytes:
        """The whole BTF: ``header`` bytes long, ``gap`` bytes between types and strings."""
        body = b"".join(self.types)
        fixed = struct.pack(
            self.mark + "HBBIIIII",
            *(0xEB9F, 1, 0, header, 0, len(body), len(body) + gap, len(self.strings)),
        )
        return fixed + bytes(header - len(fixed)) + body + bytes(gap) + self.strings
