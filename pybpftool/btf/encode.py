"""Values by field name to the bytes of a BTF type: the way back from ``values``.

What ``json.loads`` makes of a printed value is taken, and more (docs/typed-data.md).  Two ways
lead there.  A walk over type and value side by side knows every spelling, changes only what is
named, and tells by its path what does not fit.  Where values come by the million in the spelling
that ``values`` prints, a function generated from the type packs them; whatever it does not know it
leaves to the walk, so that both give the same bytes and the same errors.
"""

from __future__ import annotations

import sys
from struct import Struct
from struct import error as unpackable

from ..errors import PybpftoolError
from . import types
from .spec import MAX_DEPTH
from .walk import NO_VALUE, UNSUPPORTED, is_character, size_of_value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from .spec import Btf

_ORDER = sys.byteorder
_MARK = "<" if _ORDER == "little" else ">"
_INT_CODES = {8: "B", 16: "H", 32: "I", 64: "Q"}
_FLOAT_CODES = {2: "e", 4: "f", 8: "d"}
_FLOAT_SIZES = (2, 4, 8, 10, 12, 16)
_ENUM_SIZES = (1, 2, 4, 8)
_MOST_BYTES = 1 << 30
"""Bytes of the largest value: no map takes more."""
_MOST_FIELDS = 1 << 14
_MOST_PACKED, _MOST_ELEMENTS = 256, 16
"""Numbers that one generated function packs, and elements of an array that it unrolls."""
_SHOWN = 40


def encode_value(
    btf: Btf, type_id: int, value: Any, *, path: str = "value", start: bytes | None = None
) -> bytes:
    """The bytes of a value given by field names.

    ``value``: dict, list, str, int, float, bool or None, as ``json.loads`` makes them.
    ``path``: what the value is called in errors.  ``start``: the bytes it had so far, of which
    only what is named changes; without it the rest is zero.
    PybpftoolError, one sentence that begins with the path, for what does not fit the type;
    BadData where the type itself is broken.
    """
    return Encoder(btf, type_id).one(value, path, start)


class Encoder:
    """Encodes values of one type; ``size``: their bytes."""

    __slots__ = ("_begun", "_packed", "_walk", "size")

    def __init__(self, btf: Btf, type_id: int) -> None:
        self.size = size_of_value(btf, type_id)
        if self.size > _MOST_BYTES:
            raise btf.bad(type_id, f"has values of {self.size} bytes")
        self._walk = _Walk(btf, type_id)
        self._packed: Callable[[Any], bytes] | None = None
        self._begun = False

    def one(self, value: Any, path: str = "value", start: bytes | None = None) -> bytes:
        """``encode_value`` of this type."""
        if start is None:
            if self._packed is not None:
                try:
                    return self._packed(value)
                except _NOT_PACKED:
                    pass
            elif self._begun:  # there are several: from the second on it pays
                self._packed = _compiled(self._walk, self.size)
            self._begun = True
        elif len(start) != self.size:
            raise PybpftoolError(f"{path}: {len(start)} bytes are no value of {self.size}")
        area = bytearray(self.size) if start is None else bytearray(start)
        self._walk.put(area, value, path)
        return bytes(area)


# ------------------------------------------------------------------ the walk


class _Field:
    """Where a named part of a struct, union or section lies.

    ``bits_offset``: from the start of what it is part of.  ``bits``: of a bit-field, else 0.
    """

    __slots__ = ("bits", "bits_offset", "type_id")

    def __init__(self, type_id: int, bits_offset: int, bits: int = 0) -> None:
        self.type_id = type_id
        self.bits_offset = bits_offset
        self.bits = bits


class _Walk:
    """Type and value side by side, for all values of one type.

    ``put`` writes a value into its bytes; what a type needs is worked out once.
    """

    __slots__ = ("_enums", "_fields", "_types", "btf", "type_id")

    def __init__(self, btf: Btf, type_id: int) -> None:
        self.btf = btf
        self.type_id = type_id
        self._types: dict[int, types.Type] = {}
        self._fields: dict[int, tuple[dict[str, _Field], bool]] = {}
        self._enums: dict[int, dict[str, int]] = {}

    def put(self, area: bytearray, value: Any, path: str) -> None:
        """Write the whole value."""
        self._put(area, self.type_id, 0, 8 * len(area), value, path, 0)

    def type(self, id: int) -> types.Type:
        """The type under modifiers and typedefs."""
        found = self._types.get(id)
        if found is None:
            found = self._types[id] = self.btf.type(self.btf.skip_modifiers(id, typedefs=True))
        return found

    def fields(self, type: types.Type) -> tuple[dict[str, _Field], bool]:
        """The parts that may be named, and whether some of them lie in the same place.

        Members of members without a name are among them, as in C, beside ``""`` for the first of
        these themselves, as the dump shows them.
        """
        found = self._fields.get(type.id)
        if found is None:
            names: dict[str, _Field] = {}
            shared = self._collect(type, 0, names, 0)
            found = self._fields[type.id] = names, shared
        return found

    def _collect(self, type: types.Type, at: int, names: dict[str, _Field], level: int) -> bool:
        if level > MAX_DEPTH or len(names) > _MOST_FIELDS:
            raise self.btf.bad(type.id, "is nested too deeply, or in itself")
        if isinstance(type, types.Datasec):
            for var in type.vars:
                name = self.btf.name_of(var.type_id)
                names.setdefault(name, _Field(self.btf.target(var.type_id), 8 * var.offset))
            return False
        assert isinstance(type, types.Composite)
        shared = type.kind == types.UNION
        for member in type.members:
            place = at + member.bits_offset
            names.setdefault(member.name, _Field(member.type_id, place, member.bitfield_size))
            inner = None if member.name else self.type(member.type_id)
            if isinstance(inner, types.Composite):
                self._collect(inner, place, names, level + 1)
                shared = True  # the nameless one and its members
        return shared

    def enum(self, type: types.Enum) -> dict[str, int]:
        """Name -> number as it is stored, unsigned; the first of a name counts."""
        found = self._enums.get(type.id)
        if found is None:
            found = self._enums[type.id] = {}
            for each in type.values:
                found.setdefault(each.name, each.val & (1 << 8 * type.size) - 1)
        return found

    # -------------------------------------------------------------- by kind

    def _put(
        self, area: bytearray, id: int, at: int, end: int, value: Any, path: str, level: int
    ) -> None:
        """A value at bit ``at``, which must not reach beyond bit ``end``."""
        if level > MAX_DEPTH:
            raise self.btf.bad(id, "is nested too deeply, or in itself")
        type = self.type(id)
        if isinstance(type, types.Int):
            self._int(area, type, at, end, value, path)
        elif isinstance(type, (types.Composite, types.Datasec)):
            self._composite(area, type, at, end, value, path, level)
        elif isinstance(type, types.Array):
            self._array(area, type, at, end, value, path, level)
        elif isinstance(type, types.Enum):
            self._enum(area, type, at, end, value, path)
        elif isinstance(type, types.Float):
            self._float(area, type, at, end, value, path)
        elif isinstance(type, types.Var):
            inner = value
            if isinstance(value, dict) and list(value) == [type.name]:
                inner = value[type.name]
            self._put(area, type.type_id, at, end, inner, path, level + 1)
        elif type.kind in NO_VALUE:
            if value is not None and value != NO_VALUE[type.kind]:
                raise _wrong(path, value, "no value: its type has none")
        else:
            if value == "(nil)":  # so the dump shows a null pointer
                value = 0
            self._number(area, at, end, 64, False, value, path)

    def _int(
        self, area: bytearray, type: types.Int, at: int, end: int, value: Any, path: str
    ) -> None:
        if is_character(type) and isinstance(value, str) and len(value) == 1:
            value = ord(value)
            if value > 0xFF:
                raise _wrong(path, chr(value), "a character of one byte")
            value = types.signed(value, 8) if type.encoding & types.SIGNED else value
        elif type.encoding == types.BOOL and value in ("true", "false"):
            value = value == "true"
        signed = bool(type.encoding & types.SIGNED)
        if type.nr_bits in (32, 128) and _is_address(value):
            self._address(area, at, end, type.nr_bits // 8, value, path)
            return
        bits = type.nr_bits
        if signed and (type.bits_offset or bits % 8 or bits not in _INT_CODES):
            signed = False  # the dump shows these without a sign
            value = _unsigned(value, bits, path)
        self._number(area, at + type.bits_offset, end, bits, signed, value, path)

    def _number(
        self, area: bytearray, at: int, end: int, bits: int, signed: bool, value: Any, path: str
    ) -> None:
        number = _whole(value, path)
        least, most = (-(1 << bits - 1), (1 << bits - 1) - 1) if signed else (0, (1 << bits) - 1)
        if not least <= number <= most:
            raise _misfit(path, value, f"{'s' if signed else 'u'}{bits}")
        _store(area, at, bits, end, number & (1 << bits) - 1, path)

    def _enum(
        self, area: bytearray, type: types.Enum, at: int, end: int, value: Any, path: str
    ) -> None:
        if type.size not in _ENUM_SIZES:
            if value != UNSUPPORTED:
                raise _wrong(path, value, f"writable: an enum of {type.size} bytes")
            return
        number = self.enum(type).get(value) if isinstance(value, str) else None
        if number is None:
            if isinstance(value, str) and _number_in(value) is None:
                names = ", ".join(list(self.enum(type))[:8])
                more = ", ..." if len(type.values) > 8 else ""
                raise PybpftoolError(f"{path}: {_shown(value)} is none of {names}{more}")
            number = _unsigned(value, 8 * type.size, path)
        _store(area, at, 8 * type.size, end, number, path)

    def _float(
        self, area: bytearray, type: types.Float, at: int, end: int, value: Any, path: str
    ) -> None:
        bits = 8 * type.size
        if type.size not in _FLOAT_SIZES:
            if value != UNSUPPORTED:
                raise _wrong(path, value, f"writable: a number of {type.size} bytes")
            return
        if isinstance(value, str) and value[:2] in ("0x", "0X"):  # the bits themselves
            self._number(area, at, end, bits, False, value, path)
            return
        if type.size not in _FLOAT_CODES:
            raise _wrong(path, value, f'the {type.size} bytes of a wide number, as "0x..."')
        try:
            number = float(value)
            data = Struct(_MARK + _FLOAT_CODES[type.size]).pack(number)
        except OverflowError:
            raise _misfit(path, value, f"a float of {bits} bits") from None
        except (TypeError, ValueError):
            raise _wrong(path, value, "a number") from None
        _store(area, at, bits, end, int.from_bytes(data, _ORDER), path)

    def _composite(
        self,
        area: bytearray,
        type: types.Composite | types.Datasec,
        at: int,
        end: int,
        value: Any,
        path: str,
        level: int,
    ) -> None:
        if type.size in (4, 16) and _is_address(value):
            self._address(area, at, end, type.size, value, path)
            return
        if isinstance(type, types.Datasec):
            value = _variables(type.name, value)
        if not isinstance(value, dict):
            raise _wrong(path, value, "an object with fields")
        fields, shared = self.fields(type)
        inner_end = min(end, at + 8 * type.size)
        for name, each in value.items():
            field = fields.get(name)
            if field is None:
                known = ", ".join(name for name in list(fields)[:12] if name) or "none"
                more = ", ..." if len(fields) > 12 else ""
                raise PybpftoolError(f"{path}: there is no field {_shown(name)}; {known}{more}")
            self._field(area, field, at, inner_end, each, f"{path}.{name}", level)
        if shared and len(value) > 1:
            self._agree(area, fields, at, inner_end, value, path, level)

    def _field(
        self,
        area: bytearray,
        field: _Field,
        at: int,
        end: int,
        value: Any,
        path: str,
        level: int,
    ) -> None:
        place = at + field.bits_offset
        if not field.bits:
            self._put(area, field.type_id, place, end, value, path, level + 1)
            return
        type = self.type(field.type_id)
        number = None
        if isinstance(type, types.Enum) and isinstance(value, str):
            number = next((each.val for each in type.values if each.name == value), None)
        if number is None:
            number = value
        _store(area, place, field.bits, end, _unsigned(number, field.bits, path), path)

    def _agree(
        self,
        area: bytearray,
        fields: dict[str, _Field],
        at: int,
        end: int,
        value: dict[str, Any],
        path: str,
        level: int,
    ) -> None:
        """Refuse members that lie in one place and want different bytes there."""
        first, last = at // 8, (end + 7) // 8
        before = bytes(area[first:last])
        for name, each in value.items():
            self._field(area, fields[name], at, end, each, f"{path}.{name}", level)
            if area[first:last] != before:
                raise PybpftoolError(
                    f"{path}: {_shown(name)} lies in the same place as another field and differs; "
                    "name one of them"
                )

    def _array(
        self,
        area: bytearray,
        type: types.Array,
        at: int,
        end: int,
        value: Any,
        path: str,
        level: int,
    ) -> None:
        element = self.type(type.type_id)
        count = type.nr_elems
        size = size_of_value(self.btf, type.type_id)
        if isinstance(value, str):
            if is_character(element):
                data = _text(value, count, path)
                _store_bytes(area, at, end, data, path)
                return
            if size * count in (4, 16) and _is_address(value):
                self._address(area, at, end, size * count, value, path)
                return
        if not isinstance(value, list):
            what = (
                f"a list of {count}, or a text" if is_character(element) else f"a list of {count}"
            )
            raise _wrong(path, value, what)
        if len(value) != count:
            raise PybpftoolError(f"{path}: {len(value)} elements where {count} belong")
        for number, each in enumerate(value):
            place = at + 8 * size * number
            self._put(area, type.type_id, place, end, each, f"{path}[{number}]", level + 1)

    def _address(
        self, area: bytearray, at: int, end: int, size: int, value: str, path: str
    ) -> None:
        """``10.0.0.1`` or ``fe80::1``, in the order of the network."""
        import socket

        try:
            family = socket.AF_INET if size == 4 else socket.AF_INET6
            data = socket.inet_pton(family, value)
        except (OSError, ValueError):
            what = "an IPv4 address" if size == 4 else "an IPv6 address"
            raise _wrong(path, value, what) from None
        _store_bytes(area, at, end, data, path)


def _variables(name: str, value: Any) -> Any:
    """A section as an object of its variables, be it given so or as the dump shows it."""
    if isinstance(value, dict) and list(value) == [name]:
        value = value[name]
    if isinstance(value, list) and all(isinstance(each, dict) for each in value):
        return {name: inner for each in value for name, inner in each.items()}
    return value


# ------------------------------------------------------------------ numbers, texts, bytes


def _number_in(text: str) -> int | None:
    """The whole number that a text is, decimal or hexadecimal, None if it is none."""
    digits = text[1:] if text[:1] in ("-", "+") else text
    base = 16 if digits[:2] in ("0x", "0X") else 10
    if len(digits) > 80 or not digits.isascii() or not digits[:1].isdigit():
        return None  # 80 digits are more than any type holds
    try:
        return int(text, base)
    except ValueError:
        return None


def _whole(value: Any, path: str) -> int:
    number = _number_in(value) if isinstance(value, str) else value
    if not isinstance(number, int):
        raise _wrong(path, value, "a whole number")
    return number


def _unsigned(value: Any, bits: int, path: str) -> int:
    """A number of so many bits as it is stored, be it given with a sign or without."""
    number = _whole(value, path)
    if not -(1 << bits) >> 1 <= number < 1 << bits:
        raise _misfit(path, value, f"{bits} bits")
    return number & (1 << bits) - 1


def _text(value: str, size: int, path: str) -> bytes:
    try:
        data = value.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:  # half of a surrogate pair, which JSON can spell
        raise _wrong(path, value, "text") from None
    if len(data) > size:
        raise PybpftoolError(f"{path}: {len(data)} bytes of text do not fit char[{size}]")
    return data.ljust(size, b"\0")


def _is_address(value: Any) -> bool:
    return isinstance(value, str) and (":" in value or value.count(".") == 3)


def _store(area: bytearray, at: int, bits: int, end: int, number: int, path: str) -> None:
    """Put ``bits`` bits of a number at bit ``at``."""
    if at + bits > end:
        raise PybpftoolError(f"{path}: the BTF places it outside of what it is part of")
    first, last = at // 8, (at + bits + 7) // 8
    if at % 8 or bits % 8:
        shift = at - 8 * first if _MARK == "<" else 8 * last - at - bits
        mask = (1 << bits) - 1 << shift
        number = int.from_bytes(area[first:last], _ORDER) & ~mask | number << shift
    area[first:last] = number.to_bytes(last - first, _ORDER)


def _store_bytes(area: bytearray, at: int, end: int, data: bytes, path: str) -> None:
    if at + 8 * len(data) > end:
        raise PybpftoolError(f"{path}: the BTF places it outside of what it is part of")
    area[at // 8 : at // 8 + len(data)] = data


def _shown(value: object) -> str:
    """A value in an error: short, and on one line."""
    if isinstance(value, (dict, list)):
        return "an object" if isinstance(value, dict) else "a list"
    if isinstance(value, str):
        text = ascii(value[:_SHOWN])
        return text if len(value) <= _SHOWN else f"{text[:-1]}...'"
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, int) and value.bit_length() > 256:
        return "a number of many digits"
    return str(value)[:_SHOWN]


def _wrong(path: str, value: object, what: str) -> PybpftoolError:
    return PybpftoolError(f"{path}: {_shown(value)} is not {what}")


def _misfit(path: str, value: object, what: str) -> PybpftoolError:
    number = _number_in(value) if isinstance(value, str) else None
    shown = _shown(value if number is None else number)
    return PybpftoolError(f"{path}: {shown} does not fit {what}")


# ------------------------------------------------------------------ the generated function

_NOT_PACKED = (LookupError, TypeError, ValueError, ArithmeticError, AttributeError, unpackable)
"""What a generated function says to a value that the walk has to look at."""


class _Packing:
    """The source of a function that packs values of a type spelled as they are printed."""

    __slots__ = ("_bound", "_counts", "_walk", "at", "checks", "form", "items")

    def __init__(self, walk: _Walk, bound: dict[str, Any]) -> None:
        self._walk = walk
        self._bound = bound
        self._counts = 0
        self.at = 0
        self.form = ""
        self.items: list[str] = []
        self.checks: list[str] = []

    def add(self, id: int, at: int, expression: str, level: int) -> None:
        """The value that ``expression`` gives, at byte ``at``."""
        type = self._walk.type(id)
        if isinstance(type, types.Int) and not type.bits_offset and type.nr_bits in _INT_CODES:
            code = _INT_CODES[type.nr_bits]
            if type.encoding == types.CHAR:
                self._delegate(id, at, expression)
            else:
                code = code.lower() if type.encoding & types.SIGNED else code
                self._item(at, code, expression)
        elif isinstance(type, types.Enum) and type.size in _ENUM_SIZES:
            names = self._bind(self._walk.enum(type))
            self._item(at, _INT_CODES[8 * type.size], f"{names}[{expression}]")
        elif isinstance(type, types.Float) and type.size in _FLOAT_CODES:
            self._item(at, _FLOAT_CODES[type.size], expression)
        elif isinstance(type, types.Reference):
            self._item(at, "Q", expression)
        elif isinstance(type, types.Composite) and level < MAX_DEPTH and self._plain(type):
            name = self._local(expression, "dict", len(type.members))
            for member in type.members:
                inner = f"{name}[{member.name!a}]"
                self.add(member.type_id, at + member.bits_offset // 8, inner, level + 1)
        elif isinstance(type, types.Array) and is_character(self._walk.type(type.type_id)):
            text = self._bind(_texts(type.nr_elems))
            self._item(at, f"{type.nr_elems}s", f"{text}({expression})")
        elif isinstance(type, types.Array) and 0 < type.nr_elems <= _MOST_ELEMENTS:
            name = self._local(expression, "list", type.nr_elems)
            size = size_of_value(self._walk.btf, type.type_id)
            for number in range(type.nr_elems):
                self.add(type.type_id, at + size * number, f"{name}[{number}]", level + 1)
        else:
            self._delegate(id, at, expression)

    def _plain(self, type: types.Composite) -> bool:
        """Whether a struct is one value after the other, each with a name of its own."""
        names = {member.name for member in type.members}
        aligned = not any(member.bitfield_size or member.bits_offset % 8 for member in type.members)
        alone = len(names) == len(type.members) and "" not in names
        return type.kind == types.STRUCT and bool(names) and aligned and alone

    def _delegate(self, id: int, at: int, expression: str) -> None:
        """A part that the walk encodes."""
        size = size_of_value(self._walk.btf, id)
        walk = _Walk(self._walk.btf, id)

        def encode(value: Any) -> bytes:
            area = bytearray(size)
            try:
                walk.put(area, value, "")
            except PybpftoolError as error:
                raise ValueError from error  # told anew, with the whole path
            return bytes(area)

        self._item(at, f"{size}s", f"{self._bind(encode)}({expression})")

    def _item(self, at: int, code: str, expression: str) -> None:
        if at < self.at or len(self.items) >= _MOST_PACKED:
            raise ValueError("this type is not one value after the other")
        self.form += f"{at - self.at}x{code}"
        self.items.append(expression)
        self.at = at + Struct(_MARK + code).size

    def _local(self, expression: str, kind: str, count: int) -> str:
        """A name for an object or list that must be whole."""
        self._counts += 1
        name = f"d{self._counts}"
        whole = f"{name}.__class__ is {kind} and len({name}) == {count}"
        self.checks += [f"{name} = {expression}", f"if not ({whole}): raise LookupError"]
        return name

    def _bind(self, thing: object) -> str:
        name = f"o{len(self._bound)}"
        self._bound[name] = thing
        return name


def _texts(size: int) -> Callable[[str], bytes]:
    def text(value: str) -> bytes:
        data = value.encode("utf-8", "surrogateescape")
        if len(data) > size:
            raise ValueError
        return data

    return text


def _compiled(walk: _Walk, size: int) -> Callable[[Any], bytes] | None:
    """The function for values of a type; None where it would not help."""
    bound: dict[str, Any] = {}
    packing = _Packing(walk, bound)
    try:
        packing.add(walk.type_id, 0, "value", 0)
        bound["pack"] = Struct(f"{_MARK}{packing.form}{size - packing.at}x").pack
    except (ValueError, unpackable, PybpftoolError):
        return None
    lines = [*packing.checks, f"return pack({','.join(packing.items)})"]
    source = "def encode(value):\n " + "\n ".join(lines)
    exec(source, bound)  # noqa: S102 - made of ascii() literals and names made here
    encode: Callable[[Any], bytes] = bound["encode"]
    return encode
