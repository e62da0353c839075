"""The kinds of BTF and one small class for each shape they come in.

Objects are made only for types that are asked for (``Btf.type``); ids refer to the Btf they came
from.  Source: linux/btf.h; field names are those of ``btf dump`` (spec 4.3).
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

VOID, INT, PTR, ARRAY, STRUCT, UNION, ENUM, FWD, TYPEDEF, VOLATILE = range(10)
CONST, RESTRICT, FUNC, FUNC_PROTO, VAR, DATASEC, FLOAT, DECL_TAG, TYPE_TAG, ENUM64 = range(10, 20)

KIND_NAMES = (
    *("UNKNOWN", "INT", "PTR", "ARRAY", "STRUCT", "UNION", "ENUM", "FWD", "TYPEDEF", "VOLATILE"),
    *("CONST", "RESTRICT", "FUNC", "FUNC_PROTO", "VAR", "DATASEC", "FLOAT", "DECL_TAG"),
    *("TYPE_TAG", "ENUM64"),
)
"""The word for each kind number."""

MODIFIERS = frozenset((VOLATILE, CONST, RESTRICT, TYPE_TAG))
"""Kinds that only qualify the type they refer to."""

REFERENCES = MODIFIERS | {PTR, TYPEDEF, FUNC, VAR, DECL_TAG}
"""Kinds that refer to one other type, by the word after the info."""

NAMED_ITEMS = frozenset((STRUCT, UNION, ENUM, ENUM64, FUNC_PROTO))
"""Kinds whose items have names."""

SIGNED, CHAR, BOOL = 1, 2, 4
"""Bits of an INT's encoding."""


class Type:
    """What every kind has: its id, kind number, name ("" if none) and the kind_flag bit.

    As it stands: id 0, void.
    """

    __slots__ = ("id", "kind", "kind_flag", "name")

    def __init__(self, id: int = 0, kind: int = VOID, name: str = "", kind_flag: int = 0) -> None:
        self.id = id
        self.kind = kind
        self.name = name
        self.kind_flag = kind_flag


class Int(Type):
    """INT: ``size`` in bytes, of which ``nr_bits`` from ``bits_offset`` on are the number."""

    __slots__ = ("bits_offset", "encoding", "nr_bits", "size")

    size: int
    encoding: int
    bits_offset: int
    nr_bits: int


class Float(Type):
    """FLOAT: ``size`` in bytes."""

    __slots__ = ("size",)

    size: int


class Reference(Type):
    """PTR, TYPEDEF, VOLATILE, CONST, RESTRICT and TYPE_TAG: ``type_id`` is what they refer to."""

    __slots__ = ("type_id",)

    type_id: int


class Array(Type):
    """ARRAY of ``nr_elems`` of ``type_id``."""

    __slots__ = ("index_type_id", "nr_elems", "type_id")

    type_id: int
    index_type_id: int
    nr_elems: int


class Composite(Type):
    """STRUCT and UNION: ``size`` in bytes and the members in order."""

    __slots__ = ("members", "size")

    size: int
    members: list[Member]


class Member:
    """A member of a struct or union; ``bitfield_size`` is 0 for an ordinary one."""

    __slots__ = ("bitfield_size", "bits_offset", "name", "type_id")

    def __init__(self, name: str, type_id: int, bits_offset: int, bitfield_size: int) -> None:
        self.name = name
        self.type_id = type_id
        self.bits_offset = bits_offset
        self.bitfield_size = bitfield_size


class Enum(Type):
    """ENUM and ENUM64: ``size`` in bytes; ``signed`` says how ``values`` are to be read."""

    __slots__ = ("signed", "size", "values")

    size: int
    signed: bool
    values: list[Enumerator]


class Enumerator:
    """A name of an enum; ``val`` is negative only in a signed one."""

    __slots__ = ("name", "val")

    def __init__(self, name: str, val: int) -> None:
        self.name = name
        self.val = val


class Fwd(Type):
    """FWD: a struct or union declared but not defined here."""

    __slots__ = ()

    @property
    def fwd_kind(self) -> str:
        """``struct`` or ``union``."""
        return "union" if self.kind_flag else "struct"


class Func(Type):
    """FUNC: ``type_id`` is its FUNC_PROTO."""

    __slots__ = ("linkage", "type_id")

    type_id: int
    linkage: int


class FuncProto(Type):
    """FUNC_PROTO: returns ``type_id``; a last parameter of type 0 without a name means ``...``."""

    __slots__ = ("params", "type_id")

    type_id: int
    params: list[Param]


class Param:
    """A parameter of a FUNC_PROTO."""

    __slots__ = ("name", "type_id")

    def __init__(self, name: str, type_id: int) -> None:
        self.name = name
        self.type_id = type_id


class Var(Type):
    """VAR: a variable of ``type_id``."""

    __slots__ = ("linkage", "type_id")

    type_id: int
    linkage: int


class Datasec(Type):
    """DATASEC: an ELF section of ``size`` bytes and the variables in it."""

    __slots__ = ("size", "vars")

    size: int
    vars: list[SectionVar]


class SectionVar:
    """A variable's place in its DATASEC: ``type_id`` is a VAR; offset and size in bytes."""

    __slots__ = ("offset", "size", "type_id")

    def __init__(self, type_id: int, offset: int, size: int) -> None:
        self.type_id = type_id
        self.offset = offset
        self.size = size


class DeclTag(Type):
    """DECL_TAG on ``type_id``, or on its member or parameter ``component_idx`` (-1: on itself)."""

    __slots__ = ("component_idx", "type_id")

    type_id: int
    component_idx: int


# ------------------------------------------------------------------ the words of a type

FIXED_WORDS = (0, 1, 0, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 1, 0, 0)
"""Words after the three common ones, by kind; and, below, words for each of its vlen items."""
ITEM_WORDS = (0, 0, 0, 0, 3, 3, 2, 0, 0, 0, 0, 0, 0, 2, 0, 3, 0, 0, 0, 3)

ID_WORDS = {
    **dict.fromkeys((PTR, TYPEDEF, VOLATILE, CONST, RESTRICT), slice(2, 3)),
    **dict.fromkeys((FUNC, VAR, DECL_TAG, TYPE_TAG), slice(2, 3)),
    **dict.fromkeys((STRUCT, UNION), slice(4, None, 3)),
    ARRAY: slice(3, 5),
    FUNC_PROTO: slice(2, None, 2),
    DATASEC: slice(3, None, 3),
}
"""Which of a type's words are ids of others, by kind; none if it is not here.  And, below, which
are names of its items; the first word always is its own."""
ITEM_NAME_WORDS = {
    **dict.fromkeys((STRUCT, UNION, ENUM64), slice(3, None, 3)),
    **dict.fromkeys((ENUM, FUNC_PROTO), slice(3, None, 2)),
}


def kind_of(info: int) -> int:
    """Kind number in the info word: bits 24-30."""
    return info >> 24 & 0x7F


def vlen_of(info: int) -> int:
    """Number of items in the info word: bits 0-23."""
    return info & 0xFFFFFF


def words_in(info: int) -> int:
    """Number of words of a type, its items included, by its info word."""
    kind = kind_of(info)
    return 3 + FIXED_WORDS[kind] + ITEM_WORDS[kind] * vlen_of(info)


def decode(
    id: int,
    words: memoryview,
    at: int,
    string: Callable[[int], str],
    known: Callable[[int], int],
) -> Type:
    """The type whose first word is ``words[at]``; its words must all be there.

    ``string``: the name at an offset; ``known``: gives back a type id that exists.  Both raise
    BadData otherwise.
    """
    name_off, info, size = words[at : at + 3].tolist()
    kind = kind_of(info)
    common = id, kind, string(name_off), info >> 31
    at += 3
    if kind == INT:
        bits = words[at]
        number = Int(*common)
        number.size = size
        number.encoding = bits >> 24 & 15
        number.bits_offset = bits >> 16 & 255
        number.nr_bits = bits & 255
        return number
    if kind == FLOAT:
        real = Float(*common)
        real.size = size
        return real
    if kind == ARRAY:
        array = Array(*common)
        array.type_id = known(words[at])
        array.index_type_id = known(words[at + 1])
        array.nr_elems = words[at + 2]
        return array
    if kind == FWD:
        return Fwd(*common)
    if kind == FUNC:
        func = Func(*common)
        func.type_id = known(size)
        func.linkage = vlen_of(info)
        return func
    if kind == VAR:
        var = Var(*common)
        var.type_id = known(size)
        var.linkage = words[at]
        return var
    if kind == DECL_TAG:
        tag = DeclTag(*common)
        tag.type_id = known(size)
        tag.component_idx = signed(words[at], 32)
        return tag

    width = ITEM_WORDS[kind]
    items = words[at : at + width * vlen_of(info)].tolist()
    first, second = items[0::width] if width else [], items[1::width] if width else []
    if kind in (STRUCT, UNION):
        composite = Composite(*common)
        composite.size = size
        mask, shift = (0xFFFFFF, 24) if common[3] else (0xFFFFFFFF, 32)
        composite.members = [
            Member(string(name), known(type_id), offset & mask, offset >> shift)
            for name, type_id, offset in zip(first, second, items[2::3], strict=True)
        ]
        return composite
    if kind in (ENUM, ENUM64):
        enum = Enum(*common)
        enum.size = size
        enum.signed = bool(common[3])
        width = 32
        if kind == ENUM64:
            width = 64
            second = [high << 32 | low for low, high in zip(second, items[2::3], strict=True)]
        # Without the flag an ENUM's numbers are unsigned; compilers before it never said signed.
        enum.values = [
            Enumerator(string(name), signed(val, width) if enum.signed else val)
            for name, val in zip(first, second, strict=True)
        ]
        return enum
    if kind == FUNC_PROTO:
        proto = FuncProto(*common)
        proto.type_id = known(size)
        proto.params = [
            Param(string(name), known(type_id)) for name, type_id in zip(first, second, strict=True)
        ]
        return proto
    if kind == DATASEC:
        section = Datasec(*common)
        section.size = size
        section.vars = [
            SectionVar(known(type_id), offset, length)
            for type_id, offset, length in zip(first, second, items[2::3], strict=True)
        ]
        return section
    reference = Reference(*common)
    reference.type_id = known(size)
    return reference


def signed(value: int, bits: int) -> int:
    """A number of so many bits read as two's complement."""
    return value - (1 << bits) if value >> (bits - 1) else value
