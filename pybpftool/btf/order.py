"""In which order the types of a BTF make a C header that compiles.

C wants a type defined before it is held, and at least declared before it is pointed to.  So each
type is preceded by what it holds, and, where types point to each other in a circle, by forward
declarations.  Source: spec 4.5; the order is bpftool's, to the last declaration.
"""

from __future__ import annotations

from . import types

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .spec import Btf

_QUALIFIERS = types.MODIFIERS
_SEEN_THROUGH = _QUALIFIERS | {types.PTR, types.ARRAY}
"""Kinds that are written as part of a declaration: only what they end in is declared before."""
_FOLLOWED = _SEEN_THROUGH | {types.TYPEDEF, types.DECL_TAG}
"""Kinds that are sorted by what they refer to."""
_AGGREGATES = frozenset((types.STRUCT, types.UNION))
_ENUMS = frozenset((types.ENUM, types.ENUM64))
_HOLDERS = _AGGREGATES | {types.ARRAY, types.FUNC_PROTO}
_NUMBERS = frozenset((types.INT, types.FLOAT))
_STANDING = _NUMBERS | _ENUMS
_NEVER = frozenset((types.VOID, types.FUNC, types.VAR, types.DATASEC, types.DECL_TAG))
"""Kinds for which there is nothing to declare."""

_DEEPEST = 200
"""Types one inside the other, or one behind the other, that are followed: no honest BTF has half
as many."""
_LOOKS = 512
"""How often the average type may be looked at.  A few FUNC_PROTOs that name each other twice would
otherwise be looked at for ever."""
_UNDER_WAY, _DONE = 1, 2
_RANKS = {
    **dict.fromkeys(_ENUMS, 1),
    **dict.fromkeys(_NUMBERS, 2),
    **dict.fromkeys(_AGGREGATES, 3),
    types.FUNC_PROTO: 4,
}
"""The place of the kinds in a header: constants, numbers, structs, functions, and ..."""
_LAST = 10
"""... what has no name, or is no type of its own."""

TYPEDEFS_OF_COMPILERS = ("__builtin_va_list",)
"""What every compiler has by itself, and would not let anyone define."""
ALIASES = {
    "__Poly8_t": "unsigned char",
    "__Poly16_t": "unsigned short",
    "__Poly64_t": "unsigned long long",
    "__Poly128_t": "unsigned __int128",
}
"""Numbers that GCC has for arm64 and others do not know: what to define them as."""


class Definitions:
    """The definitions and forward declarations for the types asked for, each of them once."""

    __slots__ = (
        "_btf",
        "_emitted",
        "_forwarded",
        "_kinds",
        "_looks",
        "_ordered",
        "_out",
        "_queue",
        "_referenced",
    )

    def __init__(self, btf: Btf) -> None:
        self._btf = btf
        self._kinds = btf.kinds
        count = btf.type_count
        self._ordered = bytearray(count)  # 0, _UNDER_WAY or _DONE
        self._emitted = bytearray(count)
        self._forwarded: set[int] = set()
        self._queue: list[int] = []
        self._out: list[tuple[int, bool]] = []
        self._referenced: set[int] | None = None
        self._looks = _LOOKS * (count + 64)

    def of(self, id: int) -> list[tuple[int, bool]]:
        """What must be written for a type that was not written yet, as (type id, whole).

        ``whole``: its definition, else ``struct NAME;``.  The type itself may be none of them: it
        has no name, or there is nothing to declare.  BadData for types that hold themselves.
        """
        if self._ordered[id] == _DONE or self._kinds[id] in _NEVER:
            return []
        self._queue, self._out = [], []
        self._order(id, False, 0)
        for queued in self._queue:
            self._emit(queued, 0, 0)
        return self._out

    # -------------------------------------------------------------- what comes first

    def _order(self, id: int, pointed: bool, depth: int) -> bool:
        """Put a type into the queue behind all it holds.

        ``pointed``: it is only pointed to.  True when whoever needs it needs it whole.
        """
        state = self._ordered[id]
        if state == _DONE:
            return True
        btf, kind = self._btf, self._kinds[id]
        if state:
            if pointed and kind in _AGGREGATES and btf.named(id):
                return False
            raise btf.bad(id, "holds itself")
        self._look(id, depth)
        depth += 1
        ordered = self._ordered
        if kind == types.FUNC_PROTO:
            whole = False
            for part in btf.parts(id):
                if ordered[part] == _DONE or self._order(part, pointed, depth):
                    whole = True
            return whole
        if kind in _QUALIFIERS:
            return self._order(btf.size(id), pointed, depth)
        if kind == types.PTR:
            target = btf.size(id)
            whole = ordered[target] == _DONE or self._order(target, True, depth)
        elif kind in _AGGREGATES:
            if pointed and btf.named(id):
                return False
            ordered[id] = _UNDER_WAY
            for member in btf.parts(id):
                if ordered[member] != _DONE:
                    self._order(member, False, depth)
            if btf.named(id):
                self._queue.append(id)
            whole = True
        elif kind == types.TYPEDEF:
            whole = self._order(btf.size(id), pointed, depth)
            if pointed and not whole:
                return False
            self._queue.append(id)
            whole = True
        elif kind == types.ARRAY:
            return self._order(btf.parts(id)[0], False, depth)
        elif kind in _ENUMS or kind == types.FWD:
            if btf.named(id) or not self._is_referenced(id):
                self._queue.append(id)
            whole = True
        else:
            whole = kind == types.VOID
        ordered[id] = _DONE
        return whole

    def _is_referenced(self, id: int) -> bool:
        if self._referenced is None:
            btf = self._btf
            found = self._referenced = set()
            for each, kind in enumerate(btf.kinds_of_all()):
                if kind in types.REFERENCES:
                    found.add(btf.size(each))
                elif kind in _HOLDERS:
                    # what a function returns is no reference to bpftool, so it is none here
                    found.update(btf.parts(each)[kind == types.FUNC_PROTO :])
        return id in self._referenced

    # -------------------------------------------------------------- what is written

    def _emit(self, id: int, holder: int, depth: int) -> None:
        """Write a type of the queue, or what must be declared for one that ``holder`` names."""
        btf, kinds = self._btf, self._kinds
        kind = kinds[id]
        while kind in _SEEN_THROUGH:
            self._look(id, depth)
            id = btf.size(id) if kind != types.ARRAY else btf.parts(id)[0]
            kind = kinds[id]
        state = self._emitted[id]
        if state == _DONE or kind in _NEVER:
            return
        if state:
            self._emit_in_circle(id, kind, holder)
            return
        self._look(id, depth)
        depth += 1
        if kind in _AGGREGATES:
            self._emitted[id] = _UNDER_WAY
            named = btf.named(id)
            if not holder or not named:
                emitted = self._emitted
                for member in btf.parts(id):
                    if emitted[member] != _DONE:
                        self._emit(member, id if named else holder, depth)
            elif id not in self._forwarded and id != holder:
                self._forward(id)
            self._emitted[id] = 0
            if holder:
                return
            self._out.append((id, True))
        elif kind == types.TYPEDEF:
            self._emitted[id] = _UNDER_WAY
            self._emit(btf.size(id), id, depth)
            if id not in self._forwarded:
                self._typedef(id)
        elif kind == types.FUNC_PROTO:
            for part in btf.parts(id):
                self._emit(part, holder, depth)
            return
        elif (
            kind == types.FWD
            or (kind in _ENUMS and not holder)
            or (kind == types.INT and btf.name_of(id) in ALIASES)
        ):
            self._out.append((id, True))
        self._emitted[id] = _DONE

    def _emit_in_circle(self, id: int, kind: int, holder: int) -> None:
        """Declare a type that is just being written, for one that only points to it."""
        if id in self._forwarded:
            return
        if kind == types.TYPEDEF:
            self._typedef(id)
            self._forwarded.add(id)
        elif id != holder and self._btf.named(id):
            self._forward(id)

    def _forward(self, id: int) -> None:
        self._forwarded.add(id)
        self._out.append((id, False))

    def _typedef(self, id: int) -> None:
        if self._btf.name_of(id) not in TYPEDEFS_OF_COMPILERS:
            self._out.append((id, True))

    def _look(self, id: int, depth: int) -> None:
        """Give up on types that are nested too deeply, or looked at too often."""
        self._looks -= 1
        if depth > _DEEPEST or self._looks < 0:
            raise self._btf.bad(id, "is nested too deeply, or in itself")


# ------------------------------------------------------------------ the order of a whole header


def sorted_ids(btf: Btf) -> list[int]:
    """The ids of all types to be written, in the order in which a header has them.

    By kind and name, so that the headers of two kernels differ only where their types do.  A
    pointer to a struct, and whatever else has nothing to it but types that stand in the list
    themselves, is left out.
    """
    found: dict[tuple[int, str, str], list[int]] = {}
    words, text, kinds = btf.words, btf.text, btf.kinds_of_all()
    nameless = (_LAST, "", "")
    for id, at in enumerate(btf.at):
        kind = kinds[id]
        if kind in _NEVER:
            continue
        offset = words[at]
        name = text[offset] if offset else ""
        if kind in _FOLLOWED:
            end = words[at + 2] if kind != types.ARRAY else words[at + 3]
            ending = kinds[end]
            if ending in _FOLLOWED:
                end = _end(btf, end)
                ending = kinds[end]
            if name:
                key = _RANKS.get(ending, _LAST), btf.name_of(end), name
            elif ending in _STANDING or (ending in _AGGREGATES and btf.named(end)):
                continue
            else:
                key = _LAST, btf.name_of(end), ""
        elif name or kind in _NUMBERS:
            key = _RANKS.get(kind, _LAST), name, name
        elif kind in _ENUMS:
            enumerators = btf.items(id)[0]
            key = 0, text[enumerators[0]] if enumerators else "", ""
        else:
            key = nameless
        found.setdefault(key, []).append(id)
    hashes = _Hashes(btf)
    ids: list[int] = []
    for key in sorted(found):
        alike = found[key]
        ids += sorted(alike, key=hashes.whole) if len(alike) > 1 else alike
    return ids


def _end(btf: Btf, id: int) -> int:
    """What a type refers to in the end."""
    kinds = btf.kinds
    end = id
    for _ in range(_DEEPEST):
        if kinds[end] not in _FOLLOWED:
            return end
        end = btf.size(end) if kinds[end] != types.ARRAY else btf.parts(end)[0]
    raise btf.bad(id, "refers to itself, or to too many types in a row")


class _Hashes:
    """A number for each type that differs where two of one name do, whatever their ids."""

    __slots__ = ("_btf", "_heads", "_texts")

    def __init__(self, btf: Btf) -> None:
        self._btf = btf
        self._heads: dict[int, int] = {}
        self._texts: dict[int, int] = {}

    def whole(self, id: int) -> int:
        """That of a type with its members, if it has some."""
        if self._btf.kinds[id] == types.FUNC_PROTO and not self._btf.named(id):
            return 0  # nothing of them is hashed, and there are very many
        return self._of(id, whole=True)

    def _head(self, id: int) -> int:
        """That of a type without its members."""
        found = self._heads.get(id)
        if found is None:
            found = self._heads[id] = self._of(id, whole=False)
        return found

    def _of(self, id: int, *, whole: bool) -> int:
        btf = self._btf
        before = []
        kind = btf.kinds[id]
        for _ in range(_DEEPEST):
            found = self._named(0, btf.named(id))
            if kind == types.ARRAY:
                found = _mixed(found, btf.items(id)[2][0])
            elif kind not in _FOLLOWED:
                break
            before.append(found)
            id = btf.parts(id)[0]
            kind = btf.kinds[id]
        else:
            raise btf.bad(id, "refers to itself, or to too many types in a row")
        if kind in _ENUMS:
            for name in btf.items(id)[0]:
                found = self._named(found, name)
        elif whole and kind in _AGGREGATES:
            names, members, _ = btf.items(id)
            for name, member in zip(names, members, strict=True):
                found = _mixed(self._named(found, name), self._head(member))
        for each in reversed(before):
            found = _mixed(each, found)
        return found

    def _named(self, before: int, offset: int) -> int:
        """A hash with the name at a string offset mixed in; without a name it stays the same."""
        if not offset:
            return before
        found = self._texts.get(offset)
        if found is None:
            found = 0
            for byte in self._btf.text[offset].encode("utf-8", "surrogateescape"):
                found = found * 31 + (byte - 256 if byte > 127 else byte)
            found = self._texts[offset] = found & _MASK
        return _mixed(before, found)


_MASK = (1 << 64) - 1


def _mixed(before: int, more: int) -> int:
    return before * 31 + more & _MASK
