"""Bytes of a BTF type to Python values, by a function compiled from the type.

The walk over the type is that of ``values`` too; only what it leaves differs: the literals are
Python source in place of text, and a hole holds what was read.  So a struct comes out as a dict
display, filled from one ``struct.iter_unpack``.

What becomes of each kind: a struct or union a dict of its members, those of a member without a name
among them as in C; an array a list; an array of characters a str where it holds a printable C
string; an enum its name, or the number where it has none; a bool, a float and an int of any width
as such; a float wider than 64 bits its bits in hex (BTF does not tell the format); a pointer its
address; one CHAR a str; a DATASEC a dict of its variables; what has no values (void, functions)
None.
"""

from __future__ import annotations

from . import types
from .compiled import SIGNED_CODES, UNSIGNED_CODES, Compiled, Hole
from .walk import Walk, c_string, size_of_value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ..output.hexdump import Data
    from .spec import Btf


class Reader:
    """Reads values of one type; made by ``compile_reader``.  ``size``: bytes of one value."""

    __slots__ = ("_compiled", "size")

    def __init__(self, compiled: Compiled, size: int) -> None:
        self._compiled = compiled
        self.size = size

    def one(self, data: Data) -> Any:
        """The value at the start of ``data``; BadData if it is too short."""
        return self._compiled.rows(1, ((data, self.size),))[0]

    def many(self, data: Data, count: int, stride: int | None = None) -> list[Any]:
        """``count`` values, one every ``stride`` bytes (``size`` if not given)."""
        return self._compiled.rows(count, ((data, self.size if stride is None else stride),))


def compile_reader(btf: Btf, type_id: int) -> Reader:
    """The reader of a type's values.

    BadData when the type contains itself, reaches beyond its own size, or is absurdly large.
    """
    size = size_of_value(btf, type_id)
    source = _Source()
    source.typed(0, btf, type_id, size, 0)
    return Reader(source.compiled(), size)


class _Source(Walk):
    """The walk that leaves Python source; of names in the BTF only their ``ascii()``."""

    __slots__ = ()
    is_source = True

    def another(self) -> _Source:
        return _Source()

    def key(self, name: str) -> None:
        """The name of a member."""
        self.weigh(len(name) + 4)
        self.say(f"{name!a}:")

    def put_nothing(self, instead: str) -> None:
        self.literal("None")

    # -------------------------------------------------------------- numbers

    def _number(self, owner: types.Type, number: types.Type, at: int, bits: int, end: int) -> None:
        """``bits`` bits of a ``number`` (INT, ENUM) that ``owner`` has at bit ``at``."""
        self.within(owner, at + bits, end)
        self.weigh(bits // 4 + 1)
        form = "$"
        if not bits:
            self.say("0")
            return
        if isinstance(number, types.Int) and number.encoding & types.BOOL:
            form = "($)!=0"
        elif isinstance(number, types.Int):
            form = _signed(bits) if number.encoding & types.SIGNED else form
        elif isinstance(number, types.Enum):
            form = "%s({0},{0})".format(_signed(bits) if number.signed else form)
        objects = (self._names(number),) if isinstance(number, types.Enum) else ()
        self.hole(Hole(self.column, at, bits=bits, form=form, objects=objects))

    def _names(self, type: types.Enum) -> object:
        """The function that looks up the name of a value; of several the first."""
        key = (id(self.btf), type.id)
        if key not in self.enums:
            self.enums[key] = {each.val: each.name for each in reversed(type.values)}
        return self.enums[key].get

    def put_int(self, type: types.Int, at: int, end: int) -> None:
        bits = type.nr_bits
        codes = SIGNED_CODES if type.encoding & types.SIGNED else UNSIGNED_CODES
        if type.bits_offset or at % 8 or bits % 8 or bits // 8 not in codes:
            self._number(type, type, at + type.bits_offset, bits, end)
        elif type.encoding == types.CHAR:
            self.scalar(type, at, end, "B", 1, "chr($)")
        elif type.encoding == types.BOOL:
            self.scalar(type, at, end, "B", 1, "$!=0")
        else:
            self.scalar(type, at, end, codes[bits // 8], bits // 8)

    def put_enum(self, type: types.Enum, at: int, end: int) -> None:
        codes = SIGNED_CODES if type.signed else UNSIGNED_CODES
        if type.size in codes:
            self.scalar(type, at, end, codes[type.size], type.size, "%s($,$)", self._names(type))
        else:
            self.put_nothing("")

    def put_float(self, type: types.Float, at: int, end: int) -> None:
        code = {2: "e", 4: "f", 8: "d"}.get(type.size)
        if code:
            self.scalar(type, at, end, code, type.size)
        elif type.size in (10, 12, 16):  # which of the wide formats it is, BTF does not say
            self.within(type, at + 8 * type.size, end)
            self.weigh(2 * type.size)
            self.hole(Hole(self.column, at, bits=8 * type.size, form="hex($)"))
        else:
            self.put_nothing("")

    # -------------------------------------------------------------- what holds others

    def put_composite(
        self, type: types.Composite, at: int, end: int, depth: int, level: int
    ) -> None:
        self.literal("{")
        self._named(type, at, end, depth, level)
        self.literal("}")

    def _named(self, type: types.Composite, at: int, end: int, depth: int, level: int) -> None:
        inner_end = at + 8 * type.size
        self.within(type, inner_end, end)
        for member in type.members:
            start = at + member.bits_offset
            found = self.type_of(self.btf.skip_modifiers(member.type_id, typedefs=True))
            if not member.name and isinstance(found, types.Composite):
                self.enter(found.id, level + 1)
                self._named(found, start // 8 * 8, inner_end, depth, level + 1)
                continue
            self.key(member.name)
            if member.bitfield_size:
                self._number(type, found, start, member.bitfield_size, inner_end)
            else:
                self.put_value(member.type_id, start, inner_end, depth + 1, level + 1)
            self.literal(",")

    def put_var(self, type: types.Var, at: int, end: int, depth: int, level: int) -> None:
        self.put_value(type.type_id, at, end, depth, level + 1)

    def put_datasec(self, type: types.Datasec, at: int, end: int, depth: int, level: int) -> None:
        inner_end = at + 8 * type.size
        self.within(type, inner_end, end)
        self.literal("{")
        for var in type.vars:
            self.key(self.type_of(var.type_id).name)
            self.put_value(var.type_id, at + 8 * var.offset, inner_end, depth + 1, level + 1)
            self.literal(",")
        self.literal("}")

    def put_repeated(self, elements: Compiled, at: int, count: int, size: int, mask: bytes) -> None:
        def values(data: bytes) -> list[Any]:
            return elements.rows(count, ((data, size),))

        if size:
            self.hole(
                Hole(
                    self.column,
                    at,
                    code="s",
                    size=size * count,
                    form="*%s($)",
                    objects=(values,),
                )
            )
        else:
            self.say(ascii(values(b""))[1:-1])

    def put_characters(self, element: types.Type, at: int, count: int, ending: str) -> None:
        self.weigh(9 * count)
        btf = self.btf
        readers: list[Reader] = []  # one, made when the first value is no string

        def value(data: bytes) -> str | list[Any]:
            string = c_string(data)
            if string is not None:
                return string
            if not readers:
                readers.append(compile_reader(btf, element.id))
            return readers[0].many(data, count)

        self.hole(Hole(self.column, at // 8, code="s", size=count, form="%s($)", objects=(value,)))


def _signed(bits: int) -> str:
    """The form that reads ``bits`` bits as two's complement."""
    half = 1 << bits - 1
    return f"(($)^{half:#x})-{half:#x}"
