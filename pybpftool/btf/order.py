"""In which order the types of a BTF make a C header that compiles.

C wants a type defined before it is held, and at least declared before it is pointed to.  So each
type is preceded by what it holds, and, where types point to each other in a circle, by forward
declarations.  Source: spec 4.5; the order is bpftool's, to the last declaration.
"""

from __future__ import annotations

from . import types

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from ..errors import BadData
    from .spec import Btf

_SEEN_THROUGH = types.MODIFIERS | {types.PTR, types.ARRAY}
"""Kinds that are written as part of a declaration: only what they end in is declared before."""
_FOLLOWED = _SEEN_THROUGH | {types.TYPEDEF, types.DECL_TAG}
"""Kinds that are sorted by what they refer to."""
_AGGREGATES = frozenset((types.STRUCT, types.UNION))
_ENUMS = frozenset((types.ENUM, types.ENUM64))
_NUMBERS = frozenset((types.INT, types.FLOAT))
_ASKING = _ENUMS | {types.FWD}
"""Kinds that are written by themselves, without a name, if nothing refers to them."""
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
_LAST = 5
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
        "_declared",
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
        # 0, _UNDER_WAY or _DONE; once a type's declaration is done, who names it needs no more
        self._ordered = bytearray(count)
        self._declared = bytearray(count)
        self._queue: list[int] = []
        self._out: list[tuple[int, bool]] = []
        self._referenced: set[int] | None = None
        self._looks = _LOOKS * (count + 64) + len(btf.words)

    def of(self, ids: Iterable[int]) -> Iterator[tuple[int, bool]]:
        """What must be written for these types that was not written yet, as (type id, whole).

        ``whole``: its definition, else ``struct NAME;``.  A type itself may be none of them: it
        has no name, or there is nothing to declare.  BadData for types that hold themselves.
        """
        ordered, kinds = self._ordered, self._kinds
        for id in ids:
            if ordered[id] == _DONE or kinds[id] in _NEVER:
                continue
            self._order(id, False, 0)
            for queued in self._queue:
                self._define(queued)
            self._queue.clear()
            yield from self._out
            self._out.clear()

    def brought(self, id: int) -> bool:
        """Whether a type was needed by those before it, so that to ask for it brings no more."""
        return self._ordered[id] == _DONE

    # -------------------------------------------------------------- what comes first

    def _order(self, id: int, pointed: bool, depth: int) -> bool:
        """Put a type into the queue behind all it holds.

        ``pointed``: it is only pointed to.  True when whoever needs it needs it whole.
        """
        ordered, btf, kind = self._ordered, self._btf, self._kinds[id]
        self._looks -= 1
        if depth > _DEEPEST or self._looks < 0:
            raise self._endless(id)
        depth += 1
        if kind == types.FUNC_PROTO:
            parts = btf.parts(id)
            self._looks -= len(parts)
            whole = False
            for part in parts:
                if ordered[part] == _DONE or self._order(part, pointed, depth):
                    whole = True
            return whole
        if ordered[id] == _DONE:
            return True
        if kind == types.PTR:
            target = btf.size(id)
            whole = ordered[target] == _DONE or self._order(target, True, depth)
        elif kind in _AGGREGATES:
            if pointed and btf.named(id):
                return False
            if ordered[id]:
                raise btf.bad(id, "holds itself")
            ordered[id] = _UNDER_WAY
            for member in btf.parts(id):
                if ordered[member] != _DONE:
                    self._order(member, False, depth)
            if btf.named(id):
                self._queue.append(id)
            whole = True
        elif kind in types.MODIFIERS:
            return self._order(btf.size(id), pointed, depth)
        elif kind == types.ARRAY:
            return self._order(btf.parts(id)[0], False, depth)
        elif kind == types.TYPEDEF:
            whole = self._order(btf.size(id), pointed, depth)
            if pointed and not whole:
                return False
            self._queue.append(id)
            whole = True
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
            btf, kinds = self._btf, self._btf.kinds_of_all()
            nameless = {
                each for each, kind in enumerate(kinds) if kind in _ASKING and not btf.named(each)
            }
            self._referenced = set()
            for each, kind in enumerate(kinds):
                if kind == types.FUNC:
                    continue  # refers to its prototype alone, and half of all types are such
                parts = btf.parts(each)
                if not nameless.isdisjoint(parts):
                    # what a function returns is no reference to bpftool, so it is none here
                    self._referenced |= nameless.intersection(parts[kind == types.FUNC_PROTO :])
        return id in self._referenced

    # -------------------------------------------------------------- what is written

    def _define(self, id: int) -> None:
        """Write a type of the queue behind what must be declared for it."""
        declared = self._declared
        if self._kinds[id] in _AGGREGATES:
            declared[id] = declared[id] or _UNDER_WAY
            for member in self._btf.parts(id):
                if declared[member] != _DONE:
                    self._declare(member, id, 0)
        elif declared[id] == _DONE:
            return
        elif self._kinds[id] == types.TYPEDEF:
            self._declare(id, 0, 0)
            return
        declared[id] = _DONE
        self._out.append((id, True))

    def _declare(self, id: int, holder: int, depth: int) -> None:
        """Write what must be declared for a type that ``holder`` names."""
        btf, declared, kinds = self._btf, self._declared, self._kinds
        self._looks -= 1
        if depth > _DEEPEST or self._looks < 0:
            raise self._endless(id)
        end, kind = id, kinds[id]
        while kind in _SEEN_THROUGH:
            self._looks -= 1
            if self._looks < 0:
                raise self._endless(id)
            end = btf.size(end) if kind != types.ARRAY else btf.parts(end)[0]
            kind = kinds[end]
        state = declared[end]
        if state != _DONE:
            if kind in _AGGREGATES:
                if btf.named(end):
                    if end == holder:
                        return
                    self._out.append((end, False))
                    declared[end] = _DONE
                elif not state:
                    declared[end] = _UNDER_WAY
                    self._declare_parts(end, holder, depth + 1)
                    declared[end] = 0
            elif kind == types.FUNC_PROTO:
                self._declare_parts(end, holder, depth + 1)
            elif kind == types.TYPEDEF:
                if not state:
                    declared[end] = _UNDER_WAY
                    self._declare(btf.size(end), end, depth + 1)
                if declared[end] != _DONE:  # else it was written in a circle
                    declared[end] = _DONE
                    if btf.name_of(end) not in TYPEDEFS_OF_COMPILERS:
                        self._out.append((end, True))
            else:
                declared[end] = _DONE
                if kind == types.FWD or (kind == types.INT and btf.name_of(end) in ALIASES):
                    self._out.append((end, True))
        if declared[end] == _DONE:
            declared[id] = _DONE

    def _declare_parts(self, id: int, holder: int, depth: int) -> None:
        """Write what must be declared for a nameless type that is written in place."""
        declared = self._declared
        for part in self._btf.parts(id):
            if declared[part] != _DONE:
                self._declare(part, holder, depth)

    def _endless(self, id: int) -> BadData:
        """What to say of types that are nested too deeply, or were looked at too often."""
        return self._btf.bad(id, "is nested too deeply, or in itself")


# ------------------------------------------------------------------ the order of a whole header


def sorted_ids(btf: Btf, brought: Callable[[int], bool] | None = None) -> Iterator[int]:
    """The ids of all types to be written, in the order in which a header has them.

    By kind and name, so that the headers of two kernels differ only where their types do.  A
    pointer to a struct, and whatever else has nothing to it but types that stand in the list
    themselves, is left out.
    ``brought``: whether a type came along with those before; of several that are alike in kind and
    name it is left out, for to tell them apart takes a look at all they hold.
    """
    found: dict[str, list[int]] = {}
    protos: list[int] = []  # those without a name, which are very many
    words, at, text, kinds = btf.words, btf.at, btf.text, btf.kinds_of_all()
    for id, kind in enumerate(kinds):
        if kind in _NEVER:
            continue
        offset = words[at[id]]
        if kind == types.FUNC_PROTO and not offset:
            protos.append(id)
            continue
        name = text[offset] if offset else ""
        if kind in _FOLLOWED:
            end = words[at[id] + (2 if kind != types.ARRAY else 3)]
            ending = kinds[end]
            if ending in _FOLLOWED:
                end = _end(btf, end)
                ending = kinds[end]
            if name:
                rank, first = _RANKS.get(ending, _LAST), btf.name_of(end)
            elif ending in _STANDING or (ending in _AGGREGATES and words[at[end]]):
                continue
            else:
                rank, first = _LAST, btf.name_of(end)
        elif name or kind in _NUMBERS:
            rank, first = _RANKS.get(kind, _LAST), name
        elif kind in _ENUMS:
            enumerators = btf.items(id)[0]
            rank, first = 0, text[enumerators[0]] if enumerators else ""
        else:
            rank, first = _LAST, ""
        # one text is compared faster than three things, and no name has a NUL
        found.setdefault(f"{rank}{first}\0{name}", []).append(id)
    hashes = _Hashes(btf)
    hashes.update(dict.fromkeys(protos, 0))  # nothing of them is hashed
    nameless = f"{_LAST}\0"
    found[nameless] = sorted([*found.get(nameless, ()), *protos])
    for key in sorted(found):
        alike = found[key]
        if len(alike) > 1:
            if brought:
                alike = [id for id in alike if not brought(id)]
            alike.sort(key=hashes.__getitem__)
        yield from alike


def _end(btf: Btf, id: int) -> int:
    """What a type refers to in the end."""
    kinds = btf.kinds
    end = id
    for _ in range(_DEEPEST):
        if kinds[end] not in _FOLLOWED:
            return end
        end = btf.size(end) if kinds[end] != types.ARRAY else btf.parts(end)[0]
    raise btf.bad(id, "refers to itself, or to too many types in a row")


class _Hashes(dict[int, int]):
    """A number for each type that differs where two of one name do, whatever their ids."""

    def __init__(self, btf: Btf) -> None:
        super().__init__()
        self._btf = btf
        self._heads: dict[int, int] = {}
        self._names = _NameHashes(btf)

    def __missing__(self, id: int) -> int:
        found = self[id] = self._of(id, whole=True)
        return found

    def _head(self, id: int) -> int:
        """That of a type without its members."""
        found = self._heads[id] = self._of(id, whole=False)
        return found

    def _of(self, id: int, *, whole: bool) -> int:
        btf, kinds, names = self._btf, self._btf.kinds, self._names
        before = []
        kind = kinds[id]
        while kind in _FOLLOWED:
            found = names[btf.named(id)]
            if kind == types.ARRAY:
                found = found * 31 + btf.items(id)[2][0]
            before.append(found)
            if len(before) == _DEEPEST:
                raise btf.bad(id, "refers to itself, or to too many types in a row")
            id = btf.parts(id)[0]
            kind = kinds[id]
        found = names[btf.named(id)]
        if kind in _ENUMS:
            for name in btf.items(id)[0]:
                if name:
                    found = found * 31 + names[name] & _MASK
        elif whole and kind in _AGGREGATES:
            heads = self._heads
            for name, member, _ in zip(*btf.items(id), strict=True):
                if name:
                    found = found * 31 + names[name]
                head = heads[member] if member in heads else self._head(member)
                found = found * 31 + head & _MASK
        for each in reversed(before):
            found = each * 31 + found & _MASK
        return found


class _NameHashes(dict[int, int]):
    """String offset -> hash of the name there; kept once worked out."""

    def __init__(self, btf: Btf) -> None:
        super().__init__({0: 0})
        self._btf = btf

    def __missing__(self, offset: int) -> int:
        found = 0
        for byte in self._btf.text[offset].encode("utf-8", "surrogateescape"):
            found = found * 31 + (byte - 256 if byte > 127 else byte)
        self[offset] = found = found & _MASK
        return found


_MASK = (1 << 64) - 1
