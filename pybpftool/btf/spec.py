"""The types of one BTF blob and the questions asked of them.

A Btf keeps the blob's words as they came and the place of each type; a type becomes an object
only when asked for.  A split Btf continues the ids and string offsets of its base.
"""

from __future__ import annotations

import sys

from ..errors import BadData
from . import types
from .types import decode, kind_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Final

POINTER_SIZE = 8
"""Bytes of a pointer: BPF is a 64-bit machine, whatever the kernel under it."""

MAX_DEPTH = 32
"""Types in a row (references, or one inside the other) before it is held to be a cycle.

The kernel and libbpf draw the line at the same number.
"""

MAX_NAME = 4096
"""Bytes of the longest name; the kernel stops at 512, but tags in files may be sentences.

Without a limit a small blob could name each of its many members by one huge string.
"""


class Btf:
    """One BTF: made by ``read_btf``.

    ``name``: what to call it in errors.  ``base``: the Btf it continues, or None.
    ``own_start``: first id of its own; ``type_count``: one past the last (void counts).
    For bulk readers: ``words`` (u32 memoryview of the type section), ``starts`` (index in
    ``words`` of own type ``own_start + i``), ``strings`` (own string section, as bytes) and
    ``strings_start`` (offset of its first byte, 0 without a base).
    """

    __slots__ = (
        "_aligns",
        "_names",
        "_types_at",
        "base",
        "name",
        "own_start",
        "starts",
        "strings",
        "strings_start",
        "type_count",
        "words",
    )

    def __init__(
        self,
        words: memoryview,
        starts: memoryview,
        strings: bytes,
        *,
        types_at: int,
        base: Btf | None = None,
        name: str = "",
    ) -> None:
        self.words: Final = words
        self.starts: Final = starts
        self.strings: Final = strings
        self.base: Final = base
        self.name: Final = name
        self.own_start: Final[int] = base.type_count if base else 1
        self.type_count: Final[int] = self.own_start + len(starts)
        self.strings_start: Final = base.strings_end if base else 0
        self._types_at = types_at
        self._names: bytes | None = None
        self._aligns: dict[int, int] = {}

    @property
    def strings_end(self) -> int:
        """One past the last string offset; a split Btf on this one starts its strings here."""
        return self.strings_start + len(self.strings)

    def bad(self, id: int, what: str) -> BadData:
        """The error that something is wrong with type ``id`` (``what``, without the subject)."""
        btf = self._owner(id)
        place = ""
        if 0 < id < btf.type_count:
            place = f" at byte {btf._types_at + 4 * btf.starts[id - btf.own_start]}"
        return BadData(f"{btf.label}: type [{id}]{place} {what}")

    @property
    def label(self) -> str:
        """``BTF``, and its name if it has one."""
        return f"BTF '{self.name}'" if self.name else "BTF"

    # -------------------------------------------------------------- by id

    def type(self, id: int) -> types.Type:
        """The type with this id; 0 is void.  BadData if there is none, or it refers to none."""
        if id == 0:
            return types.Type()
        btf = self._owner(id)

        def string(offset: int) -> str:
            text = btf._string(offset)
            if text is None:
                raise btf.bad(id, f"has a name at string offset {offset}, where none is")
            return text

        def known(other: int) -> int:
            if other >= btf.type_count:
                raise btf.bad(id, f"refers to type [{other}] of {btf.type_count}")
            return other

        return decode(id, btf.words, btf._at(id), string, known)

    def kind(self, id: int) -> int:
        """Kind number of a type; 0 for void."""
        if id == 0:
            return types.VOID
        btf = self._owner(id)
        return kind_of(btf.words[btf._at(id) + 1])

    def target(self, id: int) -> int:
        """The id that a type of a referring kind (PTR, TYPEDEF, VAR…) refers to."""
        btf = self._owner(id)
        other: int = btf.words[btf._at(id) + 2]
        if other >= btf.type_count:
            raise btf.bad(id, f"refers to type [{other}] of {btf.type_count}")
        return other

    def string(self, offset: int) -> str:
        """The string at an offset; bytes that are no UTF-8 become lone surrogates.

        BadData outside the strings, and for more than MAX_NAME bytes.
        """
        text = self._string(offset)
        if text is None:
            raise BadData(f"{self.label}: there is no string at offset {offset}")
        return text

    def all_strings(self) -> dict[int, str]:
        """Every string by its offset, the base's included: for whoever needs most of them.

        An offset into the middle of a string is not among them (``string`` knows it).
        """
        found = self.base.all_strings() if self.base else {}
        at = self.strings_start
        for raw in self.strings.split(b"\0")[:-1]:
            found[at] = raw.decode("utf-8", "surrogateescape")
            at += len(raw) + 1
        return found

    def skip_modifiers(self, id: int, *, typedefs: bool = False) -> int:
        """The type under const, volatile, restrict and type tags (and typedefs, if asked)."""
        at = id
        for _ in range(MAX_DEPTH):
            kind = self.kind(at)
            if kind not in types.MODIFIERS and not (typedefs and kind == types.TYPEDEF):
                return at
            at = self.target(at)
        raise self.bad(id, "refers to itself, or to too many types in a row")

    def size_of(self, id: int) -> int:
        """Size in bytes of a value of this type; BadData for void, FWD and functions."""
        at = id
        count = 1
        for _ in range(MAX_DEPTH):
            at = self.skip_modifiers(at, typedefs=True)
            kind = self.kind(at)
            if kind == types.PTR:
                return count * POINTER_SIZE
            if kind == types.VAR:
                at = self.target(at)
            elif kind == types.ARRAY:
                array = self.type(at)
                assert isinstance(array, types.Array)
                count *= array.nr_elems
                at = array.type_id
            elif kind in _SIZED:
                btf = self._owner(at)
                size: int = btf.words[btf._at(at) + 2]
                return count * size
            else:
                raise self.bad(id, f"has no size, being {types.KIND_NAMES[kind]} in the end")
        raise self.bad(id, "refers to itself, or to too many types in a row")

    def align_of(self, id: int) -> int:
        """Alignment in bytes of a type; a struct whose layout needs less is packed: 1.

        Source: spec 4.6.
        """
        return self._align(id, 0)

    def _align(self, id: int, depth: int) -> int:
        if depth > MAX_DEPTH:
            raise self.bad(id, "is nested too deeply, or in itself")
        at = self.skip_modifiers(id, typedefs=True)
        kind = self.kind(at)
        if kind == types.PTR:
            return POINTER_SIZE
        if kind in (types.INT, types.ENUM, types.ENUM64, types.FLOAT):
            return min(self.size_of(at), POINTER_SIZE) or 1
        if kind not in (types.ARRAY, types.VAR, types.STRUCT, types.UNION):
            return 1
        if at not in self._aligns:
            # Kept, for a type that many others hold would be worked out again for each of them.
            self._aligns[at] = self._align_parts(self.type(at), depth + 1)
        return self._aligns[at]

    def _align_parts(self, type: types.Type, depth: int) -> int:
        if isinstance(type, (types.Array, types.Var)):
            return self._align(type.type_id, depth)
        assert isinstance(type, types.Composite)
        most = 1
        packed = False
        for member in type.members:
            align = self._align(member.type_id, depth)
            packed |= not member.bitfield_size and member.bits_offset % (8 * align) != 0
            most = max(most, align)
        return 1 if type.kind == types.STRUCT and (packed or type.size % most) else most

    # -------------------------------------------------------------- by name

    def find(self, name: str, *kinds: int) -> int | None:
        """Id of the first type with this name (of one of the kinds, if given), or None."""
        return next(self.find_all(name, *kinds), None)

    def find_all(self, name: str, *kinds: int, own: bool = False) -> Iterator[int]:
        """Ids of all types with this name, ascending; ``own``: without the base's."""
        if self.base and not own:
            yield from self.base.find_all(name, *kinds)
        if self._names is None:
            from array import array

            self._names = array("I", [self.words[at] for at in self.starts]).tobytes()
        raw = name.encode("utf-8", "surrogateescape")
        if not raw or b"\0" in raw:
            return  # no name is no name to be found by
        for index in _places(self._names, set(self._offsets(raw + b"\0"))):
            if not kinds or self.kind(self.own_start + index) in kinds:
                yield self.own_start + index

    def _offsets(self, ended: bytes) -> Iterator[int]:
        """Where in the strings this one stands, be it as the tail of a longer one."""
        if self.base:
            yield from self.base._offsets(ended)
        at = self.strings.find(ended)
        while at >= 0:
            yield self.strings_start + at
            at = self.strings.find(ended, at + 1)

    # -------------------------------------------------------------- the whole

    def check(self) -> None:
        """Read every own type and hold its references against its kind; BadData if one is wrong.

        For BTF from files: what the kernel hands out has been through this.
        """
        for at in range(self.own_start, self.type_count):
            found = self.type(at)
            if isinstance(found, types.Func):
                self._expect(at, found.type_id, types.FUNC_PROTO)
            elif isinstance(found, types.Datasec):
                for var in found.vars:
                    self._expect(at, var.type_id, types.VAR)
            elif isinstance(found, (types.Reference, types.Array, types.Var)):
                self._follow(at)

    def _expect(self, id: int, other: int, kind: int) -> None:
        if self.kind(other) != kind:
            what = f"refers to [{other}], which is no {types.KIND_NAMES[kind]}"
            raise self.bad(id, what)

    def _follow(self, id: int) -> None:
        """Refuse chains of modifiers, typedefs and arrays that never end."""
        at = self.skip_modifiers(id, typedefs=True)
        for _ in range(MAX_DEPTH):
            kind = self.kind(at)
            if kind == types.ARRAY:
                array = self.type(at)
                assert isinstance(array, types.Array)
                at = array.type_id
            elif kind == types.VAR:
                at = self.target(at)
            else:
                return
            at = self.skip_modifiers(at, typedefs=True)
        raise self.bad(id, "refers to itself, or to too many types in a row")

    # -------------------------------------------------------------- the raw words

    def _owner(self, id: int) -> Btf:
        """The Btf in this line of bases that holds the type."""
        btf = self
        while btf.base and id < btf.own_start:
            btf = btf.base
        return btf

    def _at(self, id: int) -> int:
        index = id - self.own_start
        if not 0 <= index < len(self.starts):
            raise BadData(f"{self.label}: there is no type [{id}], only {self.type_count}")
        at: int = self.starts[index]
        return at

    def _string(self, offset: int) -> str | None:
        btf = self
        while btf.base and offset < btf.strings_start:
            btf = btf.base
        at = offset - btf.strings_start
        if not 0 <= at < len(btf.strings):
            # Offset 0 is the empty name even where there are no strings at all.
            return None if offset else ""
        end = btf.strings.find(0, at, at + MAX_NAME + 1)
        return None if end < 0 else btf.strings[at:end].decode("utf-8", "surrogateescape")


_SIZED = frozenset(
    (
        types.INT,
        types.STRUCT,
        types.UNION,
        types.ENUM,
        types.ENUM64,
        types.FLOAT,
        types.DATASEC,
    )
)


def _places(names: bytes, wanted: set[int]) -> list[int]:
    """Indices at which one of the wanted numbers stands among these u32, ascending."""
    words = memoryview(names).cast("I")
    if len(wanted) > 2:
        return [index for index, word in enumerate(words) if word in wanted]
    found = []
    for word in wanted:
        pattern = word.to_bytes(4, sys.byteorder)
        at = names.find(pattern)
        while at >= 0:
            if at % 4 == 0:
                found.append(at // 4)
            at = names.find(pattern, at + 1)
    return sorted(found)
