"""The walk over a type that leaves literals and holes: text of values, or source of Python's.

What stands where is the same for whoever writes values; how it looks is each one's own: ``values``
and ``decode`` say it in methods that are only named here.  Types that refer to themselves, reach
beyond their size or would need absurdly much are refused on the way.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

from ..errors import BadData
from . import types
from .compiled import Compiled, Hole, covered
from .spec import MAX_DEPTH

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .spec import Btf

_INLINE_ELEMENTS = 16  # longer arrays get a function of their own,
_INLINE_BYTES = 128  # and so do larger ones of structs and arrays
_MOST_NODES = 1 << 14
_ROOM, _ROOM_PER_BYTE = 1 << 16, 1 << 12
"""Characters that a value may need: far above any honest type, far below what nested unions and
arrays of nothing could ask for."""

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
    """Whether an array of such is taken for text."""
    return (
        isinstance(type, types.Int)
        and type.size == 1
        and (type.encoding == types.CHAR or type.name == "char")
    )


def c_string(data: bytes) -> str | None:
    """The C string in a char array; None unless it ends and is printable ASCII throughout."""
    end = data.find(0)
    if end < 0:
        return None
    text = data[:end].decode("latin-1")
    return text if text.isascii() and text.isprintable() else None


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


class Walk(ABC):
    """What is left of one value, in order: ``pieces``, of ``weight`` characters.

    ``exact``: for which bits of a value they tell of is kept.  ``is_source``: literals are Python
    source, else text.  ``enums``: what was made for an enum, by the identity of its Btf and its id.
    """

    __slots__ = (
        "_arrays",
        "_nodes",
        "_room",
        "_types",
        "btf",
        "column",
        "enums",
        "exact",
        "pieces",
        "weight",
    )

    is_source = False

    def __init__(self, *, exact: bool = False) -> None:
        self.pieces: list[str | Hole] = []
        self.weight = 0
        self.exact = exact
        self._room = _ROOM
        self._nodes = 0
        self._types: dict[tuple[int, int], types.Type] = {}
        self.enums: dict[tuple[int, int], dict[int, str]] = {}
        self._arrays: dict[tuple[int, int, int], tuple[Compiled, int, bytes]] = {}
        self.btf: Btf
        self.column = 0

    def typed(self, column: int, btf: Btf, id: int, size: int, depth: int) -> None:
        """Leave a value of this type, read from the column, for ``depth`` brackets around it."""
        self.btf = btf
        self.column = column
        self._room += _ROOM_PER_BYTE * size
        self.put_value(id, 0, 8 * size, depth, 0)

    def say(self, literal: str) -> None:
        """Leave what is the same for each value."""
        self.pieces.append(literal)

    def hole(self, hole: Hole) -> None:
        """Leave what each value has its own of."""
        self.pieces.append(hole)

    def literal(self, text: str) -> None:
        """Leave a literal, and count it."""
        self.weigh(len(text))
        self.say(text)

    def weigh(self, characters: int) -> None:
        """Count so many characters; BadData where a value would need too many."""
        self.weight += characters
        if self.weight > self._room:
            raise BadData(f"{self.btf.label}: a value would need more than {self._room} characters")

    def within(self, type: types.Type, reach: int, end: int) -> None:
        """BadData if a type reaches to bit ``reach``, beyond bit ``end``."""
        if reach > end:
            raise self.btf.bad(
                type.id, f"needs {(reach - end + 7) // 8} bytes more than what it is part of"
            )

    def scalar(
        self,
        type: types.Type,
        at: int,
        end: int,
        code: str,
        size: int,
        form: str = "$",
        *objects: object,
    ) -> None:
        """Leave a hole for ``size`` bytes at bit ``at``; the rest is that of ``Hole``."""
        self.within(type, at + 8 * size, end)
        self.weigh(3 * size)
        hole = Hole(self.column, at // 8, code=code, size=size, form=form, objects=objects)
        self.hole(hole)

    def type_of(self, type_id: int) -> types.Type:
        """The type of an id, made once."""
        key = (id(self.btf), type_id)
        if key not in self._types:
            self._types[key] = self.btf.type(type_id)
        return self._types[key]

    def compiled(self) -> Compiled:
        """The function that the pieces become."""
        return Compiled(self.pieces, source=self.is_source)

    # -------------------------------------------------------------- by kind

    def put_value(self, id: int, at: int, end: int, depth: int, level: int) -> None:
        """Leave the value at bit ``at``, which must not reach beyond bit ``end``.

        ``depth``: brackets open around it; ``level``: types it is nested in.
        """
        self.enter(id, level)
        btf = self.btf
        found = self.type_of(btf.skip_modifiers(id, typedefs=True))
        whole = at // 8 * 8  # only an INT can begin inside a byte
        if found.kind in NO_VALUE:
            self.put_nothing(NO_VALUE[found.kind])
        elif isinstance(found, types.Int):
            self.put_int(found, at, end)
        elif isinstance(found, types.Composite):
            self.put_composite(found, whole, end, depth, level)
        elif isinstance(found, types.Array):
            self.put_array(found, whole, end, depth, level)
        elif isinstance(found, types.Enum):
            self.put_enum(found, whole, end)
        elif isinstance(found, types.Float):
            self.put_float(found, whole, end)
        elif isinstance(found, types.Var):
            self.put_var(found, whole, end, depth, level)
        elif isinstance(found, types.Datasec):
            self.put_datasec(found, whole, end, depth, level)
        else:
            assert isinstance(found, types.Reference)
            self.put_ptr(found, whole, end)

    def enter(self, id: int, level: int) -> None:
        """Count a part of the value; BadData where there are too many, or too many in a row."""
        if level > MAX_DEPTH:
            raise self.btf.bad(id, "is nested too deeply, or in itself")
        self._nodes += 1
        if self._nodes > _MOST_NODES:
            raise self.btf.bad(id, f"is part of a value with more than {_MOST_NODES} parts")

    def put_array(self, type: types.Array, at: int, end: int, depth: int, level: int) -> None:
        """Leave the elements, one by one where they are few, else by a function of their own."""
        btf = self.btf
        count = type.nr_elems
        size = size_of_value(btf, type.type_id)
        self.within(type, at + 8 * size * count, end)
        if not count:
            self.literal("[]")
            return
        ending = self.ending("]", depth)
        element = btf.type(btf.skip_modifiers(type.type_id))
        if is_character(element):
            self.put_characters(element, at, count, ending)
            return
        self.literal("[")
        small = size * count <= _INLINE_BYTES or not self._nests(type.type_id)
        if count <= _INLINE_ELEMENTS and small:
            for number in range(count):
                if number:
                    self.literal(",")
                self.put_value(type.type_id, at + 8 * size * number, end, depth + 1, level + 1)
        else:
            elements, mask = self._elements(type, count, size, depth, level)
            self.put_repeated(elements, at // 8, count, size, mask)
        self.literal(ending)

    def _nests(self, element: int) -> bool:
        btf = self.btf
        kind = btf.kind(btf.skip_modifiers(element, typedefs=True))
        return kind in (types.ARRAY, types.STRUCT, types.UNION, types.VAR, types.DATASEC)

    def _elements(
        self, type: types.Array, count: int, size: int, depth: int, level: int
    ) -> tuple[Compiled, bytes]:
        """What an array's element becomes, weighed ``count`` times, and its mask."""
        key = (id(self.btf), type.id, depth)
        if key not in self._arrays:
            inner = self.another()
            inner._types, inner.enums, inner._arrays = self._types, self.enums, self._arrays
            inner.btf = self.btf
            inner._nodes = self._nodes
            inner._room += _ROOM_PER_BYTE * size
            inner.put_value(type.type_id, 0, 8 * size, depth + 1, level + 1)
            self._nodes = inner._nodes
            mask = covered(inner.pieces, size) if self.exact else b""
            self._arrays[key] = inner.compiled(), inner.weight, mask
        elements, weight, mask = self._arrays[key]
        self.weigh(count * (weight + 1))
        return elements, mask

    # -------------------------------------------------------------- each one's own

    @abstractmethod
    def another(self) -> Walk:
        """A walk by the same rules that has nothing yet."""

    def ending(self, bracket: str, depth: int) -> str:
        """The end of what holds something; ``depth``: brackets open around it."""
        return bracket

    @abstractmethod
    def put_nothing(self, instead: str) -> None:
        """Leave what stands where no value can be."""

    @abstractmethod
    def put_int(self, type: types.Int, at: int, end: int) -> None:
        """Leave a number."""

    @abstractmethod
    def put_enum(self, type: types.Enum, at: int, end: int) -> None:
        """Leave an enumerator."""

    def put_ptr(self, type: types.Reference, at: int, end: int) -> None:
        """Leave an address: a number, if it is nothing else to somebody."""
        self.scalar(type, at, end, "Q", 8)

    @abstractmethod
    def put_float(self, type: types.Float, at: int, end: int) -> None:
        """Leave a floating point number."""

    @abstractmethod
    def put_composite(
        self, type: types.Composite, at: int, end: int, depth: int, level: int
    ) -> None:
        """Leave a struct or union."""

    @abstractmethod
    def put_var(self, type: types.Var, at: int, end: int, depth: int, level: int) -> None:
        """Leave a variable."""

    @abstractmethod
    def put_datasec(self, type: types.Datasec, at: int, end: int, depth: int, level: int) -> None:
        """Leave the variables of a section."""

    @abstractmethod
    def put_characters(self, element: types.Type, at: int, count: int, ending: str) -> None:
        """Leave an array of characters: a string if it holds one, else its elements."""

    @abstractmethod
    def put_repeated(self, elements: Compiled, at: int, count: int, size: int, mask: bytes) -> None:
        """Leave elements of ``size`` bytes from byte ``at`` on, which have a function of their own.

        ``mask``: which bits of one element are told of.
        """
