"""The types of one BTF blob and the questions asked of them.

A Btf keeps the blob's words as they came and the place of each type; a type becomes an object
only when asked for.  A split Btf continues the ids and string offsets of its base.
"""

from __future__ import annotations

import struct
import sys

from ..errors import BadData
from . import types
from .types import decode, kind_of, vlen_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from typing import Final

_LONGS = ("long int", "long", "unsigned long", "long unsigned int", "int long", "int long unsigned")
"""What compilers call the number that is as wide as a pointer."""

MAX_DEPTH = 32
"""Types in a row (references, or one inside the other) before it is held to be a cycle.

The kernel and libbpf draw the line at the same number.
"""

_KEPT_NAME = 256
"""Bytes of a name up to which it is kept: many may be tails of one endless string."""

MAX_NAME = 4096
"""Bytes of the longest name; the kernel stops at 512, but tags in files may be sentences.

Without a limit a small blob could name each of its many members by one huge string.
"""

_AT_A_TIME = 4096
"""Types whose names are put into one row together: numbers that are gone soon cost no memory."""

_RECENT = 64
"""Types that are kept as they were last asked for: who looks at one member of a large struct often
looks at the next one, too."""


class Btf:
    """One BTF: made by ``read_btf``.

    ``name``: what to call it in errors.  ``base``: the Btf it continues, or None.
    ``own_start``: first id of its own; ``type_count``: one past the last (void counts).
    ``strings``: its own string section, as bytes; ``strings_start``: the offset of its first byte,
    0 without a base.

    For who reads most of the types, all of them stand in one row, those of the base first:
    ``words``: their u32s.  ``at``: index in them of each type by id; void's are three zeroes.
    Neither is to be changed.
    """

    __slots__ = (
        "_aligns",
        "_kinds",
        "_names",
        "_pointer_size",
        "_recent",
        "_text",
        "_types_at",
        "at",
        "base",
        "name",
        "own_start",
        "strings",
        "strings_start",
        "type_count",
        "words",
    )

    def __init__(
        self,
        words: memoryview,
        at: list[int],
        strings: bytes,
        *,
        types_at: int,
        base: Btf | None = None,
        name: str = "",
    ) -> None:
        self.words: Final = words
        self.at: Final = at
        self.strings: Final = strings
        self.base: Final = base
        self.name: Final = name
        self.own_start: Final[int] = base.type_count if base else 1
        self.type_count: Final[int] = len(at)
        self.strings_start: Final = base.strings_end if base else 0
        self._types_at = types_at
        self._kinds: list[int] | dict[int, int] | None = None
        self._names: bytes | None = None
        self._text: _Text | None = None
        self._aligns: dict[int, int] = {}
        self._recent: dict[int, types.Type] = {}
        self._pointer_size = 0

    @property
    def strings_end(self) -> int:
        """One past the last string offset; a split Btf on this one starts its strings here."""
        return self.strings_start + len(self.strings)

    @property
    def label(self) -> str:
        """``BTF``, and its name if it has one."""
        return f"BTF '{self.name}'" if self.name else "BTF"

    @property
    def pointer_size(self) -> int:
        """Bytes of a pointer: those of a long, or 8 as on the BPF machine where there is none."""
        if not self._pointer_size:
            words = self.words
            ints = (at for at in self.at if words[at + 1] >> 24 == types.INT)
            longs = (words[at + 2] for at in ints if self.text[words[at]] in _LONGS)
            self._pointer_size = next((size for size in longs if size in (4, 8)), 8)
        return self._pointer_size

    def bad(self, id: int, what: str) -> BadData:
        """The error that something is wrong with type ``id`` (``what``, without the subject)."""
        btf = self
        while btf.base and id < btf.own_start:
            btf = btf.base
        place = ""
        if btf.own_start <= id < btf.type_count:
            byte = btf._types_at + 4 * (btf.at[id] - btf.at[btf.own_start])
            place = f" at byte {byte}"
        return BadData(f"{btf.label}: type [{id}]{place} {what}")

    # -------------------------------------------------------------- one type

    def type(self, id: int) -> types.Type:
        """The type with this id, not to be changed; 0 is void.

        BadData if there is none, or it refers to none.
        """
        if id == 0:
            return types.Type()
        if id in self._recent:
            return self._recent[id]
        text = self.text

        def string(offset: int) -> str:
            try:
                return text[offset]
            except BadData:
                what = f"has a name at string offset {offset}, where none is"
                raise self.bad(id, what) from None

        def known(other: int) -> int:
            if other >= self.type_count:
                raise self.bad(id, f"refers to type [{other}] of {self.type_count}")
            return other

        found = decode(id, self.words, self._place(id), string, known)
        if len(self._recent) == _RECENT:
            self._recent.clear()
        self._recent[id] = found
        return found

    def kind(self, id: int) -> int:
        """Kind number of a type; 0 for void."""
        return kind_of(self.words[self._place(id) + 1])

    def named(self, id: int) -> int:
        """String offset of a type's name, 0 for none."""
        offset: int = self.words[self.at[id]]
        return offset

    def name_of(self, id: int) -> str:
        """A type's name, empty for none."""
        return self.text[self.words[self.at[id]]]

    def size(self, id: int) -> int:
        """The size in bytes that a type of a kind with one has in its words."""
        word: int = self.words[self.at[id] + 2]
        return word

    def flag(self, id: int) -> bool:
        """The kind_flag of a type."""
        return self.words[self.at[id] + 1] >> 31 == 1

    def vlen(self, id: int) -> int:
        """The number of a type's items."""
        return vlen_of(self.words[self.at[id] + 1])

    def target(self, id: int) -> int:
        """The id that a type of a referring kind (PTR, TYPEDEF, VAR…) refers to."""
        other: int = self.words[self._place(id) + 2]
        if other >= self.type_count:
            raise self.bad(id, f"refers to type [{other}] of {self.type_count}")
        return other

    def items(self, id: int) -> tuple[list[int], ...]:
        """The words of a type behind the common three, sorted into the columns its items have.

        Members: names, types, offsets.  Enumerators: names, values (ENUM64: low and high halves).
        Parameters: names, types.  Variables: types, offsets, sizes.  An array is a single item:
        element, index type, count.
        """
        start = self.at[id] + 3
        info = self.words[start - 2]
        kind = info >> 24 & 0x7F  # kind_of and vlen_of, without the price of a call
        fixed = types.FIXED_WORDS[kind]
        width = types.ITEM_WORDS[kind]
        end = start + fixed + width * (info & 0xFFFFFF)
        found = self.words[start:end].tolist()
        width = width or fixed
        if width == 3:
            return found[0::3], found[1::3], found[2::3]
        return (found[0::2], found[1::2]) if width == 2 else (found,)

    def parts(self, id: int) -> list[int]:
        """The ids of what a type is made of, in order, unchecked.

        Members' types; an array's element; a function's return type and parameters; what a
        reference refers to.  None for the other kinds.
        """
        words, at = self.words, self.at[id]
        info = words[at + 1]
        kind = info >> 24 & 0x7F  # as above
        if kind == types.STRUCT or kind == types.UNION:
            members: list[int] = words[at + 4 : at + 3 + 3 * (info & 0xFFFFFF) : 3].tolist()
            return members
        if kind == types.FUNC_PROTO:  # the first is what it returns
            params: list[int] = words[at + 2 : at + 3 + 2 * (info & 0xFFFFFF) : 2].tolist()
            return params
        if kind in types.REFERENCES:
            return [words[at + 2]]
        return [words[at + 3]] if kind == types.ARRAY else []

    def _place(self, id: int) -> int:
        if not 0 <= id < self.type_count:
            raise BadData(f"{self.label}: there is no type [{id}], only {self.type_count}")
        return self.at[id]

    # -------------------------------------------------------------- strings

    @property
    def text(self) -> Mapping[int, str]:
        """String offset -> string, looked up as they are asked for (``string``)."""
        if self._text is None:
            self._text = _Text(self)
        return self._text

    def text_of_all(self) -> Mapping[int, str]:
        """The same for who needs most of them: all are looked up at once."""
        found = self._text = _Text(self)
        self._read_strings(found)
        return found

    def string(self, offset: int) -> str:
        """The string at an offset; bytes that are no UTF-8 become lone surrogates.

        BadData outside the strings, and for more than MAX_NAME bytes.
        """
        btf = self
        while btf.base and offset < btf.strings_start:
            btf = btf.base
        at = offset - btf.strings_start
        if 0 <= at < len(btf.strings):
            end = btf.strings.find(0, at, at + MAX_NAME + 1)
            if end >= 0:
                return btf.strings[at:end].decode("utf-8", "surrogateescape")
        elif not offset:
            return ""  # no name is no name even where there are no strings at all
        raise BadData(f"{self.label}: there is no string at offset {offset}")

    def all_strings(self) -> dict[int, str]:
        """Every string by its offset, the base's included: for whoever needs most of them.

        An offset into the middle of a string is not among them, nor is a string that is too long
        (``string`` knows them).
        """
        found: dict[int, str] = {}
        self._read_strings(found)
        return found

    def _read_strings(self, found: dict[int, str]) -> None:
        if self.base:
            self.base._read_strings(found)
        at = self.strings_start
        if self.strings.isascii():  # as almost always: then one decoding serves all
            for text in self.strings.decode("ascii").split("\0")[:-1]:
                if len(text) <= MAX_NAME:
                    found[at] = text
                at += len(text) + 1
        else:
            for raw in self.strings.split(b"\0")[:-1]:
                if len(raw) <= MAX_NAME:
                    found[at] = raw.decode("utf-8", "surrogateescape")
                at += len(raw) + 1

    # -------------------------------------------------------------- sizes

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
        end = id
        count = 1
        for _ in range(MAX_DEPTH):
            kind = self.kind(end)
            if kind in _SIZED:
                return count * self.size(end)
            if kind == types.PTR:
                return count * self.pointer_size
            if kind not in _CHAINED:
                raise self.bad(id, f"has no size, being {types.KIND_NAMES[kind]} in the end")
            if kind == types.ARRAY:
                count *= self.items(end)[2][0]
            end = self.parts(end)[0]
        raise self.bad(id, "refers to itself, or to too many types in a row")

    def align_of(self, id: int) -> int:
        """Alignment in bytes of a type; a struct or union whose layout needs less is packed: 1.

        Source: spec 4.6.
        """
        return self._align(id, 0)

    def _align(self, id: int, depth: int) -> int:
        align = self._aligns.get(id)
        if align is None:
            if depth > MAX_DEPTH:
                raise self.bad(id, "is nested too deeply, or in itself")
            # Kept, for a type that many others hold would be worked out again for each of them.
            align = self._aligns[id] = self._align_of_kind(id, self.kind(id), depth + 1)
        return align

    def _align_of_kind(self, id: int, kind: int, depth: int) -> int:
        if kind == types.PTR:
            return self.pointer_size
        if kind in _NUMBERS:
            return min(self.size(id), self.pointer_size) or 1
        if kind == types.ARRAY or kind in types.REFERENCES:
            return self._align(self.parts(id)[0], depth) if kind != types.FUNC else 1
        if kind not in (types.STRUCT, types.UNION):
            return 1
        most = 1
        packed = False
        _, members, offsets = self.items(id)
        bits = self.flag(id)
        for member, offset in zip(members, offsets, strict=True):
            align = self._align(member, depth)
            if offset % (8 * align) and not (bits and offset >> 24):
                packed = True
            if align > most:
                most = align
        return 1 if packed or self.size(id) % most else most

    # -------------------------------------------------------------- by name

    def find(self, name: str, *kinds: int) -> int | None:
        """Id of the first type with this name (of one of the kinds, if given), or None."""
        return next(self.find_all(name, *kinds), None)

    def find_all(self, name: str, *kinds: int, own: bool = False) -> Iterator[int]:
        """Ids of all types with this name, ascending; ``own``: without the base's."""
        raw = name.encode("utf-8", "surrogateescape")
        if not raw or b"\0" in raw:
            return iter(())  # no name is no name to be found by
        # Whoever stores a string as the tail of a longer one does not store it by itself as well.
        offsets = list(self._beginning(raw + b"\0")) or list(self._tails(raw + b"\0"))
        return self.named_at(offsets, *kinds, own=own)

    def beginning(self, start: str) -> Iterator[tuple[int, str]]:
        """Offset and whole of each string that begins so, but for those longer than MAX_NAME."""
        for offset in self._beginning(start.encode("utf-8", "surrogateescape")):
            try:
                yield offset, self.string(offset)
            except BadData:  # noqa: PERF203 - what is too long is passed over
                continue

    def named_at(self, offsets: Sequence[int], *kinds: int, own: bool = False) -> Iterator[int]:
        """Ids of all types whose names stand at one of the offsets, ascending."""
        if self.base and not own:
            yield from self.base.named_at(offsets, *kinds)
        if not offsets:
            return
        if self._names is None:
            words = self.words
            names = bytearray()
            for first in range(self.own_start, self.type_count, _AT_A_TIME):
                some = [words[at] for at in self.at[first : first + _AT_A_TIME]]
                names += struct.pack(f"={len(some)}I", *some)
            self._names = bytes(names)
        for index in _places(self._names, set(offsets)):
            if not kinds or self.kind(self.own_start + index) in kinds:
                yield self.own_start + index

    def _beginning(self, raw: bytes) -> Iterator[int]:
        """Offsets of the strings that begin so."""
        if self.base:
            yield from self.base._beginning(raw)
            if self.strings.startswith(raw):  # those of a split BTF need no NUL before them
                yield self.strings_start
        at = self.strings.find(b"\0" + raw)
        while at >= 0:
            yield self.strings_start + at + 1
            at = self.strings.find(b"\0" + raw, at + 1)

    def _tails(self, ended: bytes) -> Iterator[int]:
        """Where in the strings this one stands as the tail of a longer one."""
        if self.base:
            yield from self.base._tails(ended)
        at = self.strings.find(ended)
        while at >= 0:
            yield self.strings_start + at
            at = self.strings.find(ended, at + 1)

    # -------------------------------------------------------------- the whole

    @property
    def kinds(self) -> Sequence[int] | dict[int, int]:
        """The kind number of each type by id, worked out as they are asked for."""
        if self._kinds is None:
            self._kinds = _Kinds(self)
        return self._kinds

    def kinds_of_all(self) -> list[int]:
        """The same for who needs most of them: all are worked out at once."""
        if not isinstance(self._kinds, list):
            words = self.words
            self._kinds = [words[at + 1] >> 24 & 0x7F for at in self.at]
        return self._kinds

    def check(self) -> None:
        """Hold all own types' references and names against what there is; BadData if one is wrong.

        For BTF from files: what the kernel hands out has been through this.
        """
        kinds, most = self.kinds_of_all(), self.type_count
        text = self.text_of_all()
        deep = bytearray(most)  # references and arrays in a row that end in each type
        for id in range(self.own_start, most):
            kind = kinds[id]
            others = self.parts(id)
            names = [self.named(id)]
            if kind in types.NAMED_ITEMS:
                names += self.items(id)[0]
            elif kind == types.ARRAY:
                others = self.items(id)[0] + self.items(id)[1]
            elif kind == types.DATASEC:
                others = self.items(id)[0]
            for name in names:
                if name not in text:
                    self.type(id)  # knows what to say, or that this is the tail of a longer name
            for other in others:
                if other >= most:
                    raise self.bad(id, f"refers to type [{other}] of {most}")
            if kind == types.FUNC:
                self._expect(id, others, types.FUNC_PROTO)
            elif kind == types.DATASEC:
                # the functions that a program wants of the kernel stand in one too
                self._expect(id, others, types.VAR, types.FUNC)
        for id in range(self.own_start, most):
            self._follow(id, deep)

    def _expect(self, id: int, others: Sequence[int], *kinds: int) -> None:
        for other in others:
            if self.kinds[other] not in kinds:
                what = f"refers to [{other}], which is no {types.KIND_NAMES[kinds[0]]}"
                raise self.bad(id, what)

    def _follow(self, id: int, deep: bytearray) -> None:
        """Refuse chains of modifiers, typedefs, arrays and variables that never end."""
        chain = []
        while self.kinds[id] in _CHAINED and not deep[id]:
            chain.append(id)
            if len(chain) > MAX_DEPTH:
                raise self.bad(chain[0], "refers to itself, or to too many types in a row")
            id = self.parts(id)[0]
        depth = deep[id]
        for each in reversed(chain):
            depth += 1
            if depth > MAX_DEPTH:
                raise self.bad(each, "refers to itself, or to too many types in a row")
            deep[each] = depth


class _Text(dict[int, str]):
    """String offset -> string, kept once looked up."""

    def __init__(self, btf: Btf) -> None:
        super().__init__({0: ""})
        self._btf = btf

    def __missing__(self, offset: int) -> str:
        text = self._btf.string(offset)
        if len(text) <= _KEPT_NAME:
            self[offset] = text
        return text


class _Kinds(dict[int, int]):
    """Type id -> kind number, kept once worked out."""

    def __init__(self, btf: Btf) -> None:
        super().__init__()
        self._btf = btf

    def __missing__(self, id: int) -> int:
        kind = self[id] = kind_of(self._btf.words[self._btf.at[id] + 1])
        return kind


_NUMBERS = frozenset((types.INT, types.ENUM, types.ENUM64, types.FLOAT))
_CHAINED = types.MODIFIERS | {types.TYPEDEF, types.ARRAY, types.VAR}
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


_MANY = 12
"""Numbers from which on one look at each word is quicker than a search for each number."""


def _places(names: bytes, wanted: set[int]) -> list[int]:
    """Indices at which one of the wanted numbers stands among these u32, ascending."""
    if len(wanted) > _MANY:
        words = memoryview(names).cast("I")
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
