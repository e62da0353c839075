"""The one value printer: bytes of a BTF type to text, by a function compiled from the type.

The type is walked once; the walk leaves literals and *holes* (places in the bytes with a rule how
they are written).  Both become one Python function, an f-string over ``struct.iter_unpack``, which
then serves one value as well as a million.  The source of that function holds nothing but
``ascii()`` of the literals and names made here; whatever else it needs is bound to such names.

Two sets of rules (spec 3.9): *plain*, and *json*, whose text is always valid JSON.  Two layouts
(spec 1.4): compact and pretty.  What bpftool leaves out with the rest of the entry (floating
point, forward declarations, functions, void) is written here.

The json rules are made *exact* where a text must give the same bytes again (``encode``): members
without a name are laid open, of a union one member stands for all where one can, and what no field
covers is told beside the text (``Printer.loose``).
"""

from __future__ import annotations

import sys
from struct import Struct

from ..errors import BadData
from ..output.json_writer import closing, newline, quote
from . import types
from .spec import MAX_DEPTH

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from ..output.hexdump import Data
    from .spec import Btf

    Pointer = Callable[[Btf, int, int], str | None]
    """What to write for a function pointer: (btf, id of its FUNC_PROTO, value) -> text or None."""

_ORDER = sys.byteorder
_MARK = "<" if _ORDER == "little" else ">"
_SIGNED_CODES = {1: "b", 2: "h", 4: "i", 8: "q"}
_UNSIGNED_CODES = {1: "B", 2: "H", 4: "I", 8: "Q"}

_KEY, _VALUE, _TEXTS = 0, 1, 2  # numbers of the columns; those of texts come last
_HOLES_PER_FUNCTION = 200
_INLINE_ELEMENTS = 16  # longer arrays get a function of their own,
_INLINE_BYTES = 128  # and so do larger ones of structs and arrays
_MOST_NODES = 1 << 14
_MOST_COMPARED = 1 << 24  # bytes of masks of a union's members
_ROOM, _ROOM_PER_BYTE = 1 << 16, 1 << 12
"""Characters that a value may need: far above any honest type, far below what nested unions and
arrays of nothing could ask for."""


# ------------------------------------------------------------------ what is handed out


class Printer:
    """Writes values of one type; made by ``compile_value``.

    ``size``: bytes of one value.  ``loose``: a mask of as many, with the bits that the text does
    not tell of (padding).
    """

    __slots__ = ("_pieces", "_rows", "size")

    def __init__(self, pieces: Sequence[str | _Hole], size: int) -> None:
        self._pieces = pieces
        self._rows = _Rows(pieces)
        self.size = size

    @property
    def loose(self) -> bytes:
        return bytes(byte ^ 0xFF for byte in _covered(self._pieces, self.size))

    def one(self, data: Data) -> str:
        """The text of the value at the start of ``data``; BadData if it is too short."""
        return self._rows.texts(1, ((data, self.size),))[0]

    def many(self, data: Data, count: int, stride: int | None = None) -> list[str]:
        """The texts of ``count`` values, one every ``stride`` bytes (``size`` if not given)."""
        return self._rows.texts(count, ((data, self.size if stride is None else stride),))


class Entries:
    """Writes map entries of one type; made by ``compile_entries``.

    ``key_size``, ``value_size``: bytes of one key, and of one entry's value (of all CPUs').
    """

    __slots__ = ("_rows", "key_size", "value_size")

    def __init__(self, rows: _Rows, key_size: int, value_size: int) -> None:
        self._rows = rows
        self.key_size = key_size
        self.value_size = value_size

    def many(
        self,
        keys: Data,
        values: Data,
        count: int,
        texts: Sequence[Sequence[str]] = (),
        *,
        key_stride: int | None = None,
        value_stride: int | None = None,
    ) -> list[str]:
        """The texts of ``count`` entries.

        ``keys``, ``values``: one after the other, every ``…_stride`` bytes (``…_size`` if not
        given).  ``texts``: for each gap between the pieces of ``head``, one text per entry.
        """
        key = (keys, self.key_size if key_stride is None else key_stride)
        value = (values, self.value_size if value_stride is None else value_stride)
        return self._rows.texts(count, (key, value), texts)


def compile_value(
    btf: Btf,
    type_id: int,
    *,
    json: bool,
    pretty: bool,
    depth: int = 0,
    pointer: Pointer | None = None,
    exact: bool = False,
) -> Printer:
    """The printer of a type's values.

    ``json``: the json rules, else the plain ones; ``pretty``: the layout (spec 1.4).
    ``depth``: JSON brackets already open around the value, which sets its indentation.
    ``pointer``: asked about pointers to functions (struct_ops).
    ``exact``: the text must give the same bytes again (with ``json``).
    BadData when the type contains itself, reaches beyond its own size, or is absurdly large; an
    exact text also needs names that tell its fields apart.
    """
    size = size_of_value(btf, type_id)
    text = _Text(json=json, pretty=pretty, pointer=pointer, exact=exact)
    text.typed(0, btf, type_id, size, depth)
    return Printer(text.pieces, size)


def compile_entries(
    key: tuple[Btf, int] | None,
    value: tuple[Btf, int] | None,
    *,
    json: bool,
    pretty: bool,
    depth: int = 0,
    cpus: int = 0,
    head: Sequence[str] | None = None,
    pointer: Pointer | None = None,
) -> Entries:
    """The printer of map entries ``{"key": …, "value": …}`` (spec 3.8), for ``depth`` brackets.

    ``key``, ``value``: their Btf and type id; None leaves the part out.
    ``cpus``: of a per-CPU map, the number of values in each entry, each padded to eight bytes.
    ``head``: the entry is the object of spec 3.6 and this one its ``formatted``; what stands
    before that comes as pieces, each gap between two of them to be filled by a column of texts:
    ``['"key":["0x', '"],"value":["0x', '"]']`` has two gaps.
    """
    text = _Text(json=json, pretty=pretty, pointer=pointer)
    text.say("{")
    if head is not None:
        text.say(head[0])
        for gap, piece in enumerate(head[1:]):
            text.hole(_Hole(_TEXTS + gap))
            text.say(piece)
        text.say(",")
        text.name("formatted", depth + 1)
        text.say("{")
    inner = depth + 1 if head is None else depth + 2
    key_size = value_size = 0
    if key:
        key_size = size_of_value(*key)
        text.name("key", inner)
        text.typed(_KEY, *key, key_size, inner)
    if key and value:
        text.say(",")
    if value:
        value_size = size_of_value(*value)
        text.name("values" if cpus else "value", inner)
        if cpus:
            value_size = text.per_cpu(_VALUE, *value, value_size, cpus, inner)
        else:
            text.typed(_VALUE, *value, value_size, inner)
    text.say(closing("}", bool(key or value), pretty, inner - 1))
    if head is not None:
        text.say(closing("}", True, pretty, depth))
    return Entries(_Rows(text.pieces), key_size, value_size)


def size_of_value(btf: Btf, id: int) -> int:
    """Bytes of a value; 0 for what has no values.  BadData for a type made of itself."""
    at = id
    for _ in range(MAX_DEPTH):
        at = btf.skip_modifiers(at, typedefs=True)
        kind = btf.kind(at)
        if kind == types.ARRAY or kind == types.VAR:
            holder = btf.type(at)
            assert isinstance(holder, (types.Array, types.Var))
            at = holder.type_id
        else:
            return 0 if kind in NO_VALUE else btf.size_of(id)
    raise btf.bad(id, "refers to itself, or to too many types in a row")


# ------------------------------------------------------------------ from a type to text with holes


class _Hole:
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


class _Text:
    """The text of one value as it is laid out: literals and holes, in order."""

    __slots__ = (
        "_arrays",
        "_btf",
        "_column",
        "_enums",
        "_exact",
        "_json",
        "_nodes",
        "_pointer",
        "_pretty",
        "_room",
        "_types",
        "pieces",
        "weight",
    )

    def __init__(
        self, *, json: bool, pretty: bool, pointer: Pointer | None, exact: bool = False
    ) -> None:
        self.pieces: list[str | _Hole] = []
        self.weight = 0
        self._exact = exact
        self._json = json
        self._pretty = pretty
        self._pointer = pointer
        self._room = _ROOM
        self._nodes = 0
        # What was made once for a type, by the identity of its Btf and its id.
        self._types: dict[tuple[int, int], types.Type] = {}
        self._enums: dict[tuple[int, int], dict[int, str]] = {}
        self._arrays: dict[tuple[int, int, int], tuple[_Rows, int, bytes]] = {}
        self._btf: Btf
        self._column = 0

    def _weigh(self, characters: int) -> None:
        self.weight += characters
        if self.weight > self._room:
            raise BadData(
                f"{self._btf.label}: a value would need more than {self._room} characters"
            )

    def say(self, literal: str) -> None:
        """Text that is the same for each value."""
        self.pieces.append(literal)

    def hole(self, hole: _Hole) -> None:
        """Text that each value has its own of."""
        self.pieces.append(hole)

    def name(self, name: str, depth: int) -> None:
        """A key, on a line of its own where the layout is pretty."""
        literal = f"{newline(depth)}{quote(name)}: " if self._pretty else f"{quote(name)}:"
        self.say(literal)

    def compiled(self) -> _Rows:
        """The function that writes it."""
        return _Rows(self.pieces)

    def typed(self, column: int, btf: Btf, id: int, size: int, depth: int) -> None:
        """A value of this type, read from the column."""
        self._btf = btf
        self._column = column
        self._room += _ROOM_PER_BYTE * size
        self._value(id, 0, 8 * size, depth, 0)

    def per_cpu(self, column: int, btf: Btf, id: int, size: int, cpus: int, depth: int) -> int:
        """One object for each CPU; gives the bytes that all their values take."""
        stride = (size + 7) // 8 * 8
        inner = _Text(json=self._json, pretty=self._pretty, pointer=self._pointer)
        inner.name("value", depth + 2)
        inner.typed(0, btf, id, size, depth + 2)
        inner.say(closing("}", True, self._pretty, depth + 1))
        rows = _Rows(inner.pieces)
        start = _Text(json=self._json, pretty=self._pretty, pointer=None)
        start.say("{")
        start.name("cpu", depth + 2)
        opening = "".join(str(piece) for piece in start.pieces)
        openings = [f"{opening}{cpu}," for cpu in range(cpus)]

        def texts(data: bytes) -> str:
            values = rows.texts(cpus, ((data, stride),))
            return ",".join([a + b for a, b in zip(openings, values, strict=True)])

        self.say("[")
        total = stride * cpus
        if total:
            self.hole(_Hole(column, code="s", size=total, form="%s($)", objects=(texts,)))
        else:
            self.say(texts(b""))
        self.say(closing("]", True, self._pretty, depth))
        return total

    # -------------------------------------------------------------- by kind

    def _value(self, id: int, at: int, end: int, depth: int, level: int) -> None:
        """The value at bit ``at``, which must not reach beyond bit ``end``.

        ``depth``: brackets open around it; ``level``: types it is nested in.
        """
        self._enter(id, level)
        btf = self._btf
        found = self._type(btf.skip_modifiers(id, typedefs=True))
        whole = at // 8 * 8  # only an INT can begin inside a byte
        if found.kind in NO_VALUE:
            self._nothing(NO_VALUE[found.kind])
        elif isinstance(found, types.Int):
            self._int(found, at, end)
        elif isinstance(found, types.Composite):
            self._composite(found, whole, end, depth, level)
        elif isinstance(found, types.Array):
            self._array(found, whole, end, depth, level)
        elif isinstance(found, types.Enum):
            self._enum(found, whole, end)
        elif isinstance(found, types.Float):
            self._float(found, whole, end)
        elif isinstance(found, types.Var):
            self._var(found, whole, end, depth, level)
        elif isinstance(found, types.Datasec):
            self._datasec(found, whole, end, depth, level)
        else:
            assert isinstance(found, types.Reference)
            self._ptr(found, whole, end)

    def _enter(self, id: int, level: int) -> None:
        """Count a part of the value; BadData where there are too many, or too many in a row."""
        if level > MAX_DEPTH:
            raise self._btf.bad(id, "is nested too deeply, or in itself")
        self._nodes += 1
        if self._nodes > _MOST_NODES:
            raise self._btf.bad(id, f"is part of a value with more than {_MOST_NODES} parts")

    def _type(self, type_id: int) -> types.Type:
        key = (id(self._btf), type_id)
        if key not in self._types:
            self._types[key] = self._btf.type(type_id)
        return self._types[key]

    def _literal(self, text: str) -> None:
        self._weigh(len(text))
        self.say(text)

    def _nothing(self, instead: str) -> None:
        """What stands where no value can be."""
        self._literal(quote(instead))

    def _key(self, name: str, depth: int) -> None:
        self._weigh(len(name) + (4 * depth if self._pretty else 0) + 4)
        self.name(name, depth)

    def _scalar(
        self,
        type: types.Type,
        at: int,
        end: int,
        code: str,
        size: int,
        form: str = "$",
        *objects: object,
    ) -> None:
        """A hole for ``size`` bytes at bit ``at``."""
        self._within(type, at + 8 * size, end)
        self._weigh(3 * size)
        hole = _Hole(self._column, at // 8, code=code, size=size, form=form, objects=objects)
        self.hole(hole)

    def _bits(
        self, type: types.Type, at: int, bits: int, end: int, *, quoted: bool = False
    ) -> None:
        """An unsigned number of any width, in hex."""
        self._within(type, at + bits, end)
        quoted = quoted or self._json
        self._literal('"0x' if quoted else "0x")
        if bits:
            self._weigh(bits // 4)
            self.hole(_Hole(self._column, at, bits=bits, form="$:x"))
        else:
            self._literal("0")
        if quoted:
            self._literal('"')

    def _within(self, type: types.Type, reach: int, end: int) -> None:
        if reach > end:
            raise self._btf.bad(
                type.id, f"needs {(reach - end + 7) // 8} bytes more than what it is part of"
            )

    def _int(self, type: types.Int, at: int, end: int) -> None:
        bits = type.nr_bits
        if type.bits_offset or at % 8 or bits % 8 or bits == 128:
            self._bits(type, at + type.bits_offset, bits, end)
        elif type.encoding == types.CHAR:
            self._scalar(type, at, end, "B", 1, "%s[$]", _character_texts(self._json))
        elif type.encoding == types.BOOL:
            others = [str(code) for code in range(2, 256)] if self._exact else ["true"] * 254
            self._scalar(type, at, end, "B", 1, "%s[$]", ("false", "true", *others))
        elif bits // 8 in _SIGNED_CODES:
            codes = _SIGNED_CODES if type.encoding & types.SIGNED else _UNSIGNED_CODES
            self._scalar(type, at, end, codes[bits // 8], bits // 8)
        else:
            self._bits(type, at, bits, end)

    def _enum(self, type: types.Enum, at: int, end: int) -> None:
        if type.size not in _SIGNED_CODES:
            self._nothing(UNSUPPORTED)
            return
        texts = self._enums.get((id(self._btf), type.id))
        if texts is None:
            # Enumerators are compared as signed numbers of their own width, the first one wins.
            half = 1 << (63 if type.kind == types.ENUM64 else 31)
            texts = self._enums[id(self._btf), type.id] = {}
            for value in type.values:
                texts.setdefault((value.val + half) % (2 * half) - half, quote(value.name))
        code = _SIGNED_CODES[type.size]
        self._scalar(type, at, end, code, type.size, "%s($,$)", texts.get)

    def _ptr(self, type: types.Reference, at: int, end: int) -> None:
        btf = self._btf
        target = btf.skip_modifiers(type.type_id, typedefs=True)
        if self._pointer and btf.kind(target) == types.FUNC_PROTO:
            ask = self._pointer
            otherwise = str if self._json else _pointer_text

            def text(value: int) -> str:
                told = ask(btf, target, value)
                return otherwise(value) if told is None else quote(told)

            self._scalar(type, at, end, "Q", 8, "%s($)", text)
        elif self._json:
            self._scalar(type, at, end, "Q", 8)
        else:
            self._scalar(type, at, end, "Q", 8, "%s%%$ if $ else %s", '"0x%x"', '"(nil)"')

    def _float(self, type: types.Float, at: int, end: int) -> None:
        code = {2: "e", 4: "f", 8: "d"}.get(type.size)
        if code and self._exact:
            whole = _UNSIGNED_CODES[type.size]
            self._scalar(type, at, end, whole, type.size, "%s($)", _float_of_bits(code, whole))
        elif code:
            self._scalar(type, at, end, code, type.size, "%s($)", _float_text(code))
        elif type.size in (10, 12, 16):  # which of the wide formats it is, BTF does not say
            self._bits(type, at, 8 * type.size, end, quoted=True)
        else:
            self._nothing(UNSUPPORTED)

    def _composite(self, type: types.Composite, at: int, end: int, depth: int, level: int) -> None:
        inner_end = at + 8 * type.size
        self._within(type, inner_end, end)
        self._literal("{")
        if self._exact:
            self._members(type, at, inner_end, depth, level, set())
        else:
            for number, member in enumerate(type.members):
                if number:
                    self._literal(",")
                self._member(type, member, at, inner_end, depth, level)
        self._literal(closing("}", bool(type.members), self._pretty, depth))

    def _member(
        self,
        type: types.Composite,
        member: types.Member,
        at: int,
        end: int,
        depth: int,
        level: int,
    ) -> None:
        """A member of what begins at bit ``at``."""
        self._key(member.name, depth + 1)
        start = at + member.bits_offset
        if member.bitfield_size:
            self._bits(type, start, member.bitfield_size, end)
        else:
            self._value(member.type_id, start, end, depth + 1, level + 1)

    def _members(
        self, type: types.Composite, at: int, end: int, depth: int, level: int, names: set[str]
    ) -> None:
        """The members by exact rules; ``names``: those that stand in the same braces so far."""
        if level > MAX_DEPTH:
            raise self._btf.bad(type.id, "is nested too deeply, or in itself")
        outer, self.pieces = self.pieces, []
        texts: list[list[str | _Hole]] = []
        for member in type.members:
            start = at + member.bits_offset
            inner = self._type(self._btf.skip_modifiers(member.type_id, typedefs=True))
            if member.name or not isinstance(inner, types.Composite):
                if member.name in names:
                    raise self._btf.bad(type.id, f"has two members '{member.name}'")
                names.add(member.name)
                self._member(type, member, at, end, depth, level)
            else:
                self._within(inner, start + 8 * inner.size, end)
                self._members(inner, start, end, depth, level + 1, names)
            if self.pieces:
                texts.append(self.pieces)
            self.pieces = []
        if type.kind == types.UNION and len(texts) > 1:
            texts = self._chosen(type, texts, end // 8)
        self.pieces = outer
        for number, text in enumerate(texts):
            if number:
                self.say(",")
            self.pieces += text

    def _chosen(
        self, type: types.Composite, texts: list[list[str | _Hole]], size: int
    ) -> list[list[str | _Hole]]:
        """The first member of a union that tells of all bits of all, or else all of them."""
        if len(texts) * size > _MOST_COMPARED:
            raise self._btf.bad(type.id, "has more members than can be compared")
        masks = [int.from_bytes(_covered(text, size), "little") for text in texts]
        whole = 0
        for mask in masks:
            whole |= mask
        full = [text for text, mask in zip(texts, masks, strict=True) if mask == whole]
        return full[:1] or texts

    def _var(self, type: types.Var, at: int, end: int, depth: int, level: int) -> None:
        self._literal("{")
        self._key(type.name, depth + 1)
        self._value(type.type_id, at, end, depth + 1, level + 1)
        self._literal(closing("}", True, self._pretty, depth))

    def _datasec(self, type: types.Datasec, at: int, end: int, depth: int, level: int) -> None:
        inner_end = at + 8 * type.size
        self._within(type, inner_end, end)
        self._literal("{")
        self._key(type.name, depth + 1)
        self._literal("[")
        for number, var in enumerate(type.vars):
            if number:
                self._literal(",")
            self._value(var.type_id, at + 8 * var.offset, inner_end, depth + 2, level + 1)
        self._literal(closing("]", bool(type.vars), self._pretty, depth + 1))
        self._literal(closing("}", True, self._pretty, depth))

    def _array(self, type: types.Array, at: int, end: int, depth: int, level: int) -> None:
        btf = self._btf
        count = type.nr_elems
        size = size_of_value(btf, type.type_id)
        self._within(type, at + 8 * size * count, end)
        if not count:
            self._literal("[]")
            return
        ending = closing("]", True, self._pretty, depth)
        element = btf.type(btf.skip_modifiers(type.type_id))
        if is_character(element):
            self._characters(element, at, count, ending)
            return
        self._literal("[")
        small = size * count <= _INLINE_BYTES or not self._nests(type.type_id)
        if count <= _INLINE_ELEMENTS and small:
            for number in range(count):
                if number:
                    self._literal(",")
                self._value(type.type_id, at + 8 * size * number, end, depth + 1, level + 1)
        else:
            rows, mask = self._elements(type, count, size, depth, level)
            self._repeated(rows, at // 8, count, size, mask)
        self._literal(ending)

    def _repeated(self, rows: _Rows, at: int, count: int, size: int, mask: bytes) -> None:
        """Elements of ``size`` bytes from byte ``at`` on, written by a function of their own.

        ``mask``: which bits of one element its text covers.
        """

        def texts(data: bytes) -> str:
            return ",".join(rows.texts(count, ((data, size),)))

        if size:
            self.hole(
                _Hole(
                    self._column,
                    at,
                    code="s",
                    size=size * count,
                    form="%s($)",
                    objects=(texts,),
                    mask=mask * count,
                )
            )
        else:
            self.say(texts(b""))

    def _nests(self, element: int) -> bool:
        btf = self._btf
        kind = btf.kind(btf.skip_modifiers(element, typedefs=True))
        return kind in (types.ARRAY, types.STRUCT, types.UNION, types.VAR, types.DATASEC)

    def _elements(
        self, type: types.Array, count: int, size: int, depth: int, level: int
    ) -> tuple[_Rows, bytes]:
        """The compiled text of an array's elements, weighed ``count`` times, and its mask."""
        key = (id(self._btf), type.id, depth)
        if key not in self._arrays:
            inner = self.__class__(
                json=self._json, pretty=self._pretty, pointer=self._pointer, exact=self._exact
            )
            inner._types, inner._enums, inner._arrays = self._types, self._enums, self._arrays
            inner._btf = self._btf
            inner._nodes = self._nodes
            inner._room += _ROOM_PER_BYTE * size
            inner._value(type.type_id, 0, 8 * size, depth + 1, level + 1)
            self._nodes = inner._nodes
            mask = _covered(inner.pieces, size) if self._exact else b""
            self._arrays[key] = inner.compiled(), inner.weight, mask
        rows, weight, mask = self._arrays[key]
        self._weigh(count * (weight + 1))
        return rows, mask

    def _characters(self, element: types.Type, at: int, count: int, ending: str) -> None:
        """An array of characters: a string if it holds one, else its elements."""
        self._weigh(9 * count)
        btf, json, exact = self._btf, self._json, self._exact
        printers: list[Printer] = []  # one, made when the first value is no string

        def text(data: bytes) -> str:
            string = None if exact and data.rstrip(b"\0").find(0) >= 0 else c_string(data)
            if string is not None:
                return quote(string) if '"' in string or "\\" in string else f'"{string}"'
            if not printers:
                printers.append(compile_value(btf, element.id, json=json, pretty=False))
            return f"[{','.join(printers[0].many(data, count))}{ending}"

        hole = _Hole(self._column, at // 8, code="s", size=count, form="%s($)", objects=(text,))
        self.hole(hole)


UNSUPPORTED = "(unsupported-kind)"
NO_VALUE = {
    types.VOID: "(unknown)",
    types.FWD: "(fwd-kind-invalid)",
    types.FUNC: UNSUPPORTED,
    types.FUNC_PROTO: UNSUPPORTED,
    types.DECL_TAG: UNSUPPORTED,
}
"""What stands where a value of such a type should."""


def is_character(type: types.Type) -> bool:
    return (
        isinstance(type, types.Int)
        and type.size == 1
        and (type.encoding == types.CHAR or type.name == "char")
    )


def _character_texts(json: bool) -> tuple[str, ...]:
    """The text of each of the 256 CHARs."""
    return tuple(
        quote(chr(code)) if 0x20 <= code < 0x7F else f'"\\u{code:04x}"' if json else f"{code:#x}"
        for code in range(256)
    )


def c_string(data: bytes) -> str | None:
    """The C string in a char array; None unless it ends and is printable ASCII throughout."""
    end = data.find(0)
    if end < 0:
        return None
    text = data[:end].decode("latin-1")
    return text if text.isascii() and text.isprintable() else None


def _pointer_text(value: int) -> str:
    return f'"{value:#x}"' if value else '"(nil)"'


def _float_of_bits(code: str, whole: str) -> Callable[[int], str]:
    """Floats from their bits; a NaN that is not the usual one shows these."""
    text, pack, unpack = _float_text(code), Struct(_MARK + whole).pack, Struct(_MARK + code).unpack
    usual = Struct(_MARK + code).pack(float("nan"))

    def exact(bits: int) -> str:
        data = pack(bits)
        (value,) = unpack(data)
        return text(value) if value == value or data == usual else f'"{bits:#x}"'

    return exact


def _float_text(code: str) -> Callable[[float], str]:
    """Floats as the shortest number that reads back the same in their width."""
    if code == "d":
        return lambda value: repr(value) if value - value == 0 else f'"{value}"'
    pack = Struct(code).pack

    def text(value: float) -> str:
        if value - value != 0:
            return f'"{value}"'
        exact = pack(value)
        for digits in range(1, 9):
            short = float(f"{value:.{digits}g}")
            try:
                if pack(short) == exact:
                    return repr(short)
            except OverflowError:  # rounded up beyond the largest
                continue
        return repr(float(f"{value:.9g}"))

    return text


def _covered(pieces: Sequence[str | _Hole], size: int) -> bytes:
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


# ------------------------------------------------------------------ from holes to functions


class _Rows:
    """Compiled text: one string for each row of the columns."""

    __slots__ = ("_parts",)

    def __init__(self, pieces: Sequence[str | _Hole]) -> None:
        self._parts = [_Part(part) for part in _parts(pieces)]

    def texts(
        self,
        count: int,
        columns: Sequence[tuple[Data, int]],
        texts: Sequence[Sequence[str]] = (),
    ) -> list[str]:
        """``columns``: bytes and stride of each; ``texts``: the columns that follow them."""
        if not count:
            return []
        parts = [part.texts(count, columns, texts) for part in self._parts]
        return parts[0] if len(parts) == 1 else ["".join(row) for row in zip(*parts, strict=True)]


def _parts(pieces: Sequence[str | _Hole]) -> Iterator[list[str | _Hole]]:
    """The pieces in portions that a function can hold, literals in a row as one."""
    part: list[str | _Hole] = []
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

    def __init__(self, pieces: Sequence[str | _Hole]) -> None:
        self._formats: dict[int, str] = {}
        self._structs: dict[tuple[int, int], Struct] = {}
        self._texts: list[int] = []
        bound: dict[str, object] = {"number": int.from_bytes, "order": _ORDER}
        fetched: dict[_Hole, str] = {}
        targets = []
        steps: list[str] = []
        holes = [piece for piece in pieces if isinstance(piece, _Hole)]
        for column in sorted({hole.column for hole in holes}):
            own = [hole for hole in holes if hole.column == column]
            if column >= _TEXTS:
                self._texts.append(column - _TEXTS)
                fetched.update((hole, f"t{column}") for hole in own)
                targets.append(f"t{column}")
                continue
            reads = _reads(own)
            self._formats[column] = _format(reads)
            names = [f"v{column}_{number}" for number in range(len(reads))]
            targets.append(f"({','.join(names)},)")
            for name, read in zip(names, reads, strict=True):
                steps += read.take(name, fetched, bound)
        row = self._row(
            [
                piece if isinstance(piece, str) else (_expression(piece, fetched[piece], bound),)
                for piece in pieces
            ]
        )
        source = (
            f"def texts(rows):\n return [{row} for {','.join(targets)} in rows {' '.join(steps)}]"
            if targets
            else f"def texts(rows):\n return [{row} for _ in range(rows)]"
        )
        exec(source, bound)  # noqa: S102 - made of ascii() literals and names made here
        self._function: Callable[[object], list[str]] = bound["texts"]  # type: ignore[assignment]  # the function just defined

    @staticmethod
    def _row(pieces: Iterable[str | tuple[str]]) -> str:
        """The expression of a whole row: ``pieces`` are literals and, in tuples, expressions."""
        return " ".join(
            ascii(piece) if isinstance(piece, str) else f"f'{{{piece[0]}}}'" for piece in pieces
        )

    def texts(
        self, count: int, columns: Sequence[tuple[Data, int]], texts: Sequence[Sequence[str]]
    ) -> list[str]:
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

    def __init__(self, holes: Sequence[_Hole]) -> None:
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
        elif self._bits and size in _UNSIGNED_CODES:
            self.code = _UNSIGNED_CODES[size]

    def take(self, name: str, fetched: dict[_Hole, str], bound: dict[str, object]) -> list[str]:
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
                    bound[f"read_{hole.code}"] = Struct(_MARK + hole.code).unpack
                    steps.append(f"for {own}, in (read_{hole.code}({piece}),)")
                else:
                    steps.append(f"for {own} in (number({piece},order),)")
            fetched[hole] = own if hole.code else _shifted(hole, own, start, end)
        return steps


def _reads(holes: Iterable[_Hole]) -> list[_Read]:
    """The holes grouped by the bytes they share, in the order of the bytes."""
    groups: list[list[_Hole]] = []
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
    form = _MARK
    at = 0
    for read in reads:
        form += f"{read.start - at}x{read.code}"
        at = read.end
    return form


def _shifted(hole: _Hole, name: str, start: int, end: int) -> str:
    """The bits of a hole out of the number that the bytes ``start`` to ``end`` are."""
    return f"{name}>>{_shift(hole, start, end)}&{(1 << hole.bits) - 1:#x}"


def _shift(hole: _Hole, start: int, end: int) -> int:
    """How far its bits are from the low end of the number that those bytes are."""
    return hole.at - 8 * start if _MARK == "<" else 8 * end - hole.at - hole.bits


def _expression(hole: _Hole, name: str, bound: dict[str, object]) -> str:
    """What stands in the braces of the f-string."""
    names = []
    for thing in hole.objects:
        names.append(f"o{len(bound)}")
        bound[names[-1]] = thing
    return (hole.form % tuple(names)).replace("$", name)
