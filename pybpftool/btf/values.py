"""The one value printer: bytes of a BTF type to text, by a function compiled from the type.

The type is walked once (``walk``), and what that leaves becomes an f-string (``compiled``), which
serves one value as well as a million.

Two sets of rules (spec 3.9): *plain*, and *json*, whose text is always valid JSON.  Two layouts
(spec 1.4): compact and pretty.  What bpftool leaves out with the rest of the entry (floating
point, forward declarations, functions, void) is written here.

The json rules are made *exact* where a text must give the same bytes again (``encode``): members
without a name are laid open, of a union one member stands for all where one can, and what no field
covers is told beside the text (``Printer.loose``).
"""

from __future__ import annotations

from struct import Struct

from ..output.json_writer import closing, newline, quote
from . import types
from .compiled import MARK, SIGNED_CODES, TEXTS, UNSIGNED_CODES, Compiled, Hole, covered
from .spec import MAX_DEPTH
from .walk import UNSUPPORTED, Walk, c_string, size_of_value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ..output.hexdump import Data
    from .spec import Btf

    Pointer = Callable[[Btf, int, int], str | None]
    """What to write for a function pointer: (btf, id of its FUNC_PROTO, value) -> text or None."""

_KEY, _VALUE = 0, 1
"""The columns of an entry's bytes."""
_MOST_COMPARED = 1 << 24  # bytes of masks of a union's members


# ------------------------------------------------------------------ what is handed out


class Printer:
    """Writes values of one type; made by ``compile_value``.

    ``size``: bytes of one value.  ``loose``: a mask of as many, with the bits that the text does
    not tell of (padding).
    """

    __slots__ = ("_compiled", "_pieces", "size")

    def __init__(self, pieces: Sequence[str | Hole], size: int) -> None:
        self._pieces = pieces
        self._compiled = Compiled(pieces)
        self.size = size

    @property
    def loose(self) -> bytes:
        return bytes(byte ^ 0xFF for byte in covered(self._pieces, self.size))

    def one(self, data: Data) -> str:
        """The text of the value at the start of ``data``; BadData if it is too short."""
        text: str = self._compiled.rows(1, ((data, self.size),))[0]
        return text

    def many(self, data: Data, count: int, stride: int | None = None) -> list[str]:
        """The texts of ``count`` values, one every ``stride`` bytes (``size`` if not given)."""
        return self._compiled.rows(count, ((data, self.size if stride is None else stride),))


class Entries:
    """Writes map entries of one type; made by ``compile_entries``.

    ``key_size``, ``value_size``: bytes of one key, and of one entry's value (of all CPUs').
    """

    __slots__ = ("_compiled", "key_size", "value_size")

    def __init__(self, compiled: Compiled, key_size: int, value_size: int) -> None:
        self._compiled = compiled
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
        return self._compiled.rows(count, (key, value), texts)


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
            text.hole(Hole(TEXTS + gap))
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
    return Entries(text.compiled(), key_size, value_size)


# ------------------------------------------------------------------ how each kind looks


class _Text(Walk):
    """The walk that leaves text."""

    __slots__ = ("_json", "_pointer", "_pretty")

    def __init__(
        self, *, json: bool, pretty: bool, pointer: Pointer | None, exact: bool = False
    ) -> None:
        super().__init__(exact=exact)
        self._json = json
        self._pretty = pretty
        self._pointer = pointer

    def another(self) -> _Text:
        return _Text(json=self._json, pretty=self._pretty, pointer=self._pointer, exact=self.exact)

    def ending(self, bracket: str, depth: int) -> str:
        return closing(bracket, True, self._pretty, depth)

    def name(self, name: str, depth: int) -> None:
        """A key, on a line of its own where the layout is pretty."""
        literal = f"{newline(depth)}{quote(name)}: " if self._pretty else f"{quote(name)}:"
        self.say(literal)

    def key(self, name: str, depth: int) -> None:
        """The same, counted."""
        self.weigh(len(name) + (4 * depth if self._pretty else 0) + 4)
        self.name(name, depth)

    def per_cpu(self, column: int, btf: Btf, id: int, size: int, cpus: int, depth: int) -> int:
        """One object for each CPU; gives the bytes that all their values take."""
        stride = (size + 7) // 8 * 8
        inner = _Text(json=self._json, pretty=self._pretty, pointer=self._pointer)
        inner.name("value", depth + 2)
        inner.typed(0, btf, id, size, depth + 2)
        inner.say(closing("}", True, self._pretty, depth + 1))
        compiled = inner.compiled()
        start = _Text(json=self._json, pretty=self._pretty, pointer=None)
        start.say("{")
        start.name("cpu", depth + 2)
        opening = "".join(str(piece) for piece in start.pieces)
        openings = [f"{opening}{cpu}," for cpu in range(cpus)]

        def texts(data: bytes) -> str:
            values = compiled.rows(cpus, ((data, stride),))
            return ",".join([a + b for a, b in zip(openings, values, strict=True)])

        self.say("[")
        total = stride * cpus
        if total:
            self.hole(Hole(column, code="s", size=total, form="%s($)", objects=(texts,)))
        else:
            self.say(texts(b""))
        self.say(closing("]", True, self._pretty, depth))
        return total

    # -------------------------------------------------------------- by kind

    def put_nothing(self, instead: str) -> None:
        self.literal(quote(instead))

    def _bits(
        self, type: types.Type, at: int, bits: int, end: int, *, quoted: bool = False
    ) -> None:
        """An unsigned number of any width, in hex."""
        self.within(type, at + bits, end)
        quoted = quoted or self._json
        self.literal('"0x' if quoted else "0x")
        if bits:
            self.weigh(bits // 4)
            self.hole(Hole(self.column, at, bits=bits, form="$:x"))
        else:
            self.literal("0")
        if quoted:
            self.literal('"')

    def put_int(self, type: types.Int, at: int, end: int) -> None:
        bits = type.nr_bits
        if type.bits_offset or at % 8 or bits % 8 or bits == 128:
            self._bits(type, at + type.bits_offset, bits, end)
        elif type.encoding == types.CHAR:
            self.scalar(type, at, end, "B", 1, "%s[$]", _character_texts(self._json))
        elif type.encoding == types.BOOL:
            others = [str(code) for code in range(2, 256)] if self.exact else ["true"] * 254
            self.scalar(type, at, end, "B", 1, "%s[$]", ("false", "true", *others))
        elif bits // 8 in SIGNED_CODES:
            codes = SIGNED_CODES if type.encoding & types.SIGNED else UNSIGNED_CODES
            self.scalar(type, at, end, codes[bits // 8], bits // 8)
        else:
            self._bits(type, at, bits, end)

    def put_enum(self, type: types.Enum, at: int, end: int) -> None:
        if type.size not in SIGNED_CODES:
            self.put_nothing(UNSUPPORTED)
            return
        texts = self.enums.get((id(self.btf), type.id))
        if texts is None:
            # Enumerators are compared as signed numbers of their own width, the first one wins.
            half = 1 << (63 if type.kind == types.ENUM64 else 31)
            texts = self.enums[id(self.btf), type.id] = {}
            for value in type.values:
                texts.setdefault((value.val + half) % (2 * half) - half, quote(value.name))
        code = SIGNED_CODES[type.size]
        self.scalar(type, at, end, code, type.size, "%s($,$)", texts.get)

    def put_ptr(self, type: types.Reference, at: int, end: int) -> None:
        btf = self.btf
        target = btf.skip_modifiers(type.type_id, typedefs=True)
        if self._pointer and btf.kind(target) == types.FUNC_PROTO:
            ask = self._pointer
            otherwise = str if self._json else _pointer_text

            def text(value: int) -> str:
                told = ask(btf, target, value)
                return otherwise(value) if told is None else quote(told)

            self.scalar(type, at, end, "Q", 8, "%s($)", text)
        elif self._json:
            super().put_ptr(type, at, end)
        else:
            self.scalar(type, at, end, "Q", 8, "%s%%$ if $ else %s", '"0x%x"', '"(nil)"')

    def put_float(self, type: types.Float, at: int, end: int) -> None:
        code = {2: "e", 4: "f", 8: "d"}.get(type.size)
        if code and self.exact:
            whole = UNSIGNED_CODES[type.size]
            self.scalar(type, at, end, whole, type.size, "%s($)", _float_of_bits(code, whole))
        elif code:
            self.scalar(type, at, end, code, type.size, "%s($)", _float_text(code))
        elif type.size in (10, 12, 16):  # which of the wide formats it is, BTF does not say
            self._bits(type, at, 8 * type.size, end, quoted=True)
        else:
            self.put_nothing(UNSUPPORTED)

    def put_composite(
        self, type: types.Composite, at: int, end: int, depth: int, level: int
    ) -> None:
        inner_end = at + 8 * type.size
        self.within(type, inner_end, end)
        self.literal("{")
        if self.exact:
            self._members(type, at, inner_end, depth, level, set())
        else:
            for number, member in enumerate(type.members):
                if number:
                    self.literal(",")
                self._member(type, member, at, inner_end, depth, level)
        self.literal(closing("}", bool(type.members), self._pretty, depth))

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
        self.key(member.name, depth + 1)
        start = at + member.bits_offset
        if member.bitfield_size:
            self._bits(type, start, member.bitfield_size, end)
        else:
            self.put_value(member.type_id, start, end, depth + 1, level + 1)

    def _members(
        self, type: types.Composite, at: int, end: int, depth: int, level: int, names: set[str]
    ) -> None:
        """The members by exact rules; ``names``: those that stand in the same braces so far."""
        if level > MAX_DEPTH:
            raise self.btf.bad(type.id, "is nested too deeply, or in itself")
        outer, self.pieces = self.pieces, []
        texts: list[list[str | Hole]] = []
        for member in type.members:
            start = at + member.bits_offset
            inner = self.type_of(self.btf.skip_modifiers(member.type_id, typedefs=True))
            if member.name or not isinstance(inner, types.Composite):
                if member.name in names:
                    raise self.btf.bad(type.id, f"has two members '{member.name}'")
                names.add(member.name)
                self._member(type, member, at, end, depth, level)
            else:
                self.within(inner, start + 8 * inner.size, end)
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
        self, type: types.Composite, texts: list[list[str | Hole]], size: int
    ) -> list[list[str | Hole]]:
        """The first member of a union that tells of all bits of all, or else all of them."""
        if len(texts) * size > _MOST_COMPARED:
            raise self.btf.bad(type.id, "has more members than can be compared")
        masks = [int.from_bytes(covered(text, size), "little") for text in texts]
        whole = 0
        for mask in masks:
            whole |= mask
        full = [text for text, mask in zip(texts, masks, strict=True) if mask == whole]
        return full[:1] or texts

    def put_var(self, type: types.Var, at: int, end: int, depth: int, level: int) -> None:
        self.literal("{")
        self.key(type.name, depth + 1)
        self.put_value(type.type_id, at, end, depth + 1, level + 1)
        self.literal(closing("}", True, self._pretty, depth))

    def put_datasec(self, type: types.Datasec, at: int, end: int, depth: int, level: int) -> None:
        inner_end = at + 8 * type.size
        self.within(type, inner_end, end)
        self.literal("{")
        self.key(type.name, depth + 1)
        self.literal("[")
        for number, var in enumerate(type.vars):
            if number:
                self.literal(",")
            self.put_value(var.type_id, at + 8 * var.offset, inner_end, depth + 2, level + 1)
        self.literal(closing("]", bool(type.vars), self._pretty, depth + 1))
        self.literal(closing("}", True, self._pretty, depth))

    def put_repeated(self, elements: Compiled, at: int, count: int, size: int, mask: bytes) -> None:
        def texts(data: bytes) -> str:
            return ",".join(elements.rows(count, ((data, size),)))

        if size:
            self.hole(
                Hole(
                    self.column,
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

    def put_characters(self, element: types.Type, at: int, count: int, ending: str) -> None:
        self.weigh(9 * count)
        btf, json, exact = self.btf, self._json, self.exact
        printers: list[Printer] = []  # one, made when the first value is no string

        def text(data: bytes) -> str:
            string = None if exact and data.rstrip(b"\0").find(0) >= 0 else c_string(data)
            if string is not None:
                return quote(string) if '"' in string or "\\" in string else f'"{string}"'
            if not printers:
                printers.append(compile_value(btf, element.id, json=json, pretty=False))
            return f"[{','.join(printers[0].many(data, count))}{ending}"

        hole = Hole(self.column, at // 8, code="s", size=count, form="%s($)", objects=(text,))
        self.hole(hole)


def _character_texts(json: bool) -> tuple[str, ...]:
    """The text of each of the 256 CHARs."""
    return tuple(
        quote(chr(code)) if 0x20 <= code < 0x7F else f'"\\u{code:04x}"' if json else f"{code:#x}"
        for code in range(256)
    )


def _pointer_text(value: int) -> str:
    return f'"{value:#x}"' if value else '"(nil)"'


def _float_of_bits(code: str, whole: str) -> Callable[[int], str]:
    """Floats from their bits; a NaN that is not the usual one shows these."""
    text, pack, unpack = _float_text(code), Struct(MARK + whole).pack, Struct(MARK + code).unpack
    usual = Struct(MARK + code).pack(float("nan"))

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
