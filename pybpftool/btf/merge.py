"""Several BTFs over one base made into one, in which no type stands twice.

Types are laid end to end and then matched, in passes that each rely on the one before:

1. what refers to nothing (numbers, enums, forward declarations): equal when its words are;
2. structs, unions and typedefs: equal when the graphs below them are, walked side by side;
3. forward declarations that no such walk has met: the only struct or union of that name;
4. what merely refers (pointers, functions…): equal when what it refers to is.

Which of several equal types stays decides the ids in a dump, so the order in which candidates are
tried is libbpf's (its btf.c, "dedup"), and so are the few liberties that it takes.
"""

from __future__ import annotations

from itertools import pairwise

from ..errors import BadData
from . import types
from .reader import read_btf
from .types import kind_of, vlen_of, words_in
from .writer import BtfWriter

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Hashable, Iterator, Sequence
    from typing import TypeAlias

    from .spec import Btf

    Node: TypeAlias = tuple[int, int, int, list[int]]
    """Of a type: the number of its label, its name's offset, its info word, its parts."""

_REFERENCES = frozenset(
    (
        *(types.PTR, types.TYPEDEF, types.VOLATILE, types.CONST, types.RESTRICT),
        *(types.FUNC, types.TYPE_TAG),
    )
)
"""Kinds that may stand in the middle of a graph and refer to one type."""

_UNMATCHED = (types.VAR, types.DATASEC)
_ENUMS = (types.ENUM, types.ENUM64)
_COMPOSITES = (types.STRUCT, types.UNION)
_GRAPHS = (types.STRUCT, types.UNION, types.TYPEDEF)
_ONE = slice(2, 3)
_IDS = {
    **dict.fromkeys((*_REFERENCES, types.VAR, types.DECL_TAG), _ONE),
    types.ARRAY: slice(3, 5),
    types.STRUCT: slice(4, None, 3),
    types.UNION: slice(4, None, 3),
    types.FUNC_PROTO: slice(2, None, 2),
    types.DATASEC: slice(3, None, 3),
}
"""Where among the words of a type are the ids that it refers to…"""
_ITEM_NAMES = {
    types.STRUCT: slice(3, None, 3),
    types.UNION: slice(3, None, 3),
    types.ENUM: slice(3, None, 2),
    types.ENUM64: slice(3, None, 3),
    types.FUNC_PROTO: slice(3, None, 2),
}
"""… and, besides the first, the names."""

_UNMAPPED, _IN_PROGRESS = -1, -2
_ALIKE_DEPTH = 16  # how far below a type its twins in the same BTF are compared; libbpf's number
_NOWHERE = "refers to a type that is not there"
_STEPS, _STEPS_PER_TYPE = 10_000_000, 1000
"""Comparisons after which types are held to be made to keep us busy; real ones need a few each."""


def merge(base: Btf, others: Sequence[Btf]) -> Btf:
    """A split BTF over ``base`` with the types of all the others, each once, in their order.

    ``others``: BTFs that stand alone, or continue the same ``base``.
    BadData when one continues another base, is broken, or has a type made of itself.
    """
    matching = _Matching(base, others)
    matching.primitives()
    matching.graphs()
    matching.forwards()
    matching.references()
    return read_btf(matching.blob(), base)


class _Types(dict[int, "Node"]):
    """id -> node of every type, those of the base as they are asked for.

    A type is a label, which is all that is written in it but the ids of others, and its parts,
    which are these ids.  Equal labels have the same number.
    """

    def __init__(self, base: Btf) -> None:
        self._base = base
        self._labels: dict[tuple[int, ...], int] = {}

    def node(self, words: list[int]) -> Node:
        """The node of a type given as its words."""
        label = words.copy()
        parts: list[int] = []
        place = _IDS.get(kind_of(words[1]))
        if place:
            parts = words[place]
            del label[place]
        return self._labels.setdefault(tuple(label), len(self._labels)), words[0], words[1], parts

    def __missing__(self, id: int) -> Node:
        words, at = self._base.words, self._base.at[id]
        found = self[id] = self.node(words[at : at + words_in(words[at + 1])].tolist())
        if max(found[3], default=0) >= self._base.type_count:
            raise self._base.bad(id, _NOWHERE)
        return found


class _Candidates:
    """The types that may stand for others, by what these must have in common with them.

    They are tried in the order in which libbpf's hash table gives them: the latest first, and
    turned around whenever the table has doubled.
    """

    __slots__ = ("_capacity", "_doubled", "_found", "_size")

    def __init__(self) -> None:
        self._found: dict[Hashable, tuple[int, list[int]]] = {}
        self._size = 0
        self._capacity = 0
        self._doubled = 0

    def add(self, key: Hashable, id: int) -> None:
        """One more; it will be the first to be tried."""
        self.skip()
        self._ids(key).append(id)

    def skip(self) -> None:
        """Account for one that nobody will ask for."""
        self._size += 1
        if 4 * self._size // 3 > self._capacity:
            self._capacity = max(4, 2 * self._capacity)
            self._doubled += 1

    def get(self, key: Hashable) -> Iterator[int]:
        """Those under this key, in order."""
        return reversed(self._ids(key)) if key in self._found else iter(())

    def _ids(self, key: Hashable) -> list[int]:
        doubled, ids = self._found.get(key) or (self._doubled, [])
        if (self._doubled - doubled) % 2:
            ids.reverse()
        self._found[key] = self._doubled, ids
        return ids


class _Names(dict[int, int]):
    """String offset in one BTF -> that of the same string in the whole."""

    def __init__(self, btf: Btf, writer: BtfWriter) -> None:
        self._btf = btf
        self._writer = writer

    def __missing__(self, offset: int) -> int:
        found = self[offset] = self._writer.string(self._btf.string(offset))
        return found


class _Matching:
    """Which type stands for which: ``_map`` leads from an id to another, or to itself."""

    def __init__(self, base: Btf, others: Sequence[Btf]) -> None:
        self._first = base.type_count
        self._writer = BtfWriter(base)
        self._types = _Types(base)
        self._words: list[list[int]] = []
        self._sources: list[tuple[int, Btf]] = []
        for other in others:
            self._append(base, other)
        self._map = [*range(self._first), *[_UNMAPPED] * len(self._words)]
        self._own = range(self._first, len(self._map))
        self._steps = _STEPS + _STEPS_PER_TYPE * len(self._words)
        self._candidates = _Candidates()
        self._only: dict[int, int] = {}  # name -> the one struct or union; 0 if there are several
        self._twins: dict[tuple[int, int, int], bool] = {}
        self._enter(base)

    def _append(self, base: Btf, other: Btf) -> None:
        """The types of one BTF, with the ids and name offsets that they have in the whole."""
        if other.base and other.base is not base:
            raise BadData(f"{other.label}: continues another base than it is to be merged over")
        move = self._first + len(self._words) - other.own_start
        self._sources.append((self._first + len(self._words), other))
        names = _Names(other, self._writer)
        places = [*other.at[other.own_start :], len(other.words)]
        words = other.words
        for own, (at, end) in enumerate(pairwise(places), other.own_start):
            found = words[at:end].tolist()
            kind = kind_of(found[1])
            found[0] = names[found[0]]
            place = _ITEM_NAMES.get(kind)
            if place:
                found[place] = [names[offset] for offset in found[place]]
            place = _IDS.get(kind)
            if place:
                parts = found[place]
                if max(parts, default=0) >= other.type_count:
                    raise other.bad(own, _NOWHERE)
                found[place] = [part + move if part >= other.own_start else part for part in parts]
            self._words.append(found)
            self._types[own + move] = self._types.node(found)

    def _enter(self, base: Btf) -> None:
        """Let the types of the base stand for themselves, and for others.

        Most of a kernel's have a name that nothing else has, and need not be looked at.
        """
        wanted = {words[0] for words in self._words} | {0}
        words = base.words
        for own, at in enumerate(base.at[1:], 1):
            kind = kind_of(words[at + 1])
            if kind in _UNMATCHED:
                continue
            if words[at] not in wanted:
                self._candidates.skip()
                continue
            node = self._types[own]
            self._candidates.add(_key(kind, node), own)
            if kind in _COMPOSITES:
                self._only[node[1]] = 0 if node[1] in self._only else own

    # -------------------------------------------------------------- the four passes

    def primitives(self) -> None:
        """Match what refers to nothing; what is never matched stands for itself."""
        for own in self._own:
            node = self._types[own]
            kind = kind_of(node[2])
            if kind in _ENUMS:
                self._settle(own, _key(kind, node), self._enum(own, node))
            elif kind in (types.INT, types.FLOAT, types.FWD):
                key = _key(kind, node)
                self._settle(own, key, next(self._candidates.get(key), own))
            elif kind in _UNMATCHED:
                self._map[own] = own

    def _enum(self, id: int, node: Node) -> int:
        """What an enum is the same as; one without values is the declaration of any of its name."""
        for other in self._candidates.get(~node[1]):
            self._step()
            label, _, info, _ = self._types[other]
            if label == node[0] or not vlen_of(node[2]):
                return other
            if not vlen_of(info):
                self._map[other] = id
        return id

    def graphs(self) -> None:
        """Match structs, unions and typedefs, and with each all those below it."""
        for own in self._own:
            label, _, info, _ = self._types[own]
            kind = kind_of(info)
            if self._map[own] != _UNMAPPED or kind not in _GRAPHS:
                continue
            found = own
            for other in self._candidates.get(label):
                pairs = self._pairs(own, other)
                if pairs is None:
                    continue
                # A base stays as it is: one of its types that would become complete only by a
                # struct from elsewhere is not the same, though its declaration means that struct.
                unchanged = not any(self._completes(*pair) for pair in pairs.items())
                self._accept(pairs, unchanged)
                if unchanged:
                    found = other
                    break
            self._settle(own, label, found)

    def forwards(self) -> None:
        """Match each declaration left with the struct or union of its name, if there is but one."""
        for own in self._own:
            _, name, info, _ = self._types[own]
            if kind_of(info) in _COMPOSITES and self._map[own] == own:
                self._only[name] = 0 if name in self._only else own
        for own in self._own:
            _, name, info, _ = self._types[own]
            if kind_of(info) == types.FWD and self._map[own] == own:
                only = self._only.get(name, 0)
                if only and _declares(info, self._types[only][2]):
                    self._map[own] = only

    def references(self) -> None:
        """Match what is left, after all that it refers to."""
        for own in self._own:
            if self._map[own] != _UNMAPPED:
                continue
            path = [self._opened(own)]
            while path:
                at, parts = path[-1]
                for part in parts:
                    if self._map[part] == _UNMAPPED:
                        path.append(self._opened(part))
                        break
                    if self._map[part] == _IN_PROGRESS:
                        raise self._bad(part, "refers to itself")
                else:
                    label, _, _, parts_of = self._types[at]
                    key = label, *map(self._stand_in, parts_of)
                    self._settle(at, key, next(self._candidates.get(key), at))
                    path.pop()

    def _opened(self, id: int) -> tuple[int, Iterator[int]]:
        self._map[id] = _IN_PROGRESS
        return id, iter(self._types[id][3])

    def blob(self) -> bytes:
        """The types that stand for themselves, as raw BTF."""
        final = [*range(self._first), *[0] * len(self._own)]
        left = [own for own in self._own if self._map[own] == own]
        for new, own in enumerate(left, self._first):
            final[own] = new
        for own in left:
            words = self._words[own - self._first]
            place = _IDS.get(kind_of(words[1]))
            if place:
                words[place] = [final[self._stand_in(part)] for part in words[place]]
            self._writer.add_words(words)
        return self._writer.blob()

    # -------------------------------------------------------------- what the passes are made of

    def _settle(self, id: int, key: Hashable, found: int) -> None:
        """Let ``found`` stand for ``id``; one that stands for itself may stand for later ones."""
        self._map[id] = found
        if found == id:
            self._candidates.add(key, id)

    def _stand_in(self, id: int) -> int:
        """The type that stands for this one, as far as it is known."""
        at, to = id, self._map[id]
        while to != at and to >= 0:
            at, to = to, self._map[to]
        return at

    def _pairs(self, one: int, other: int) -> dict[int, int] | None:
        """The types below ``other``, each with its counterpart below ``one``; None if they differ.

        Declarations count as the same as a struct or union of their name.
        """
        nodes = self._types
        pairs: dict[int, int] = {}
        todo = [(one, other)]
        while todo:
            one, other = todo.pop()
            self._step()
            if self._stand_in(one) == self._stand_in(other):
                continue
            if kind_of(nodes[other][2]) == types.FWD:
                defined = self._stand_in(other)
                if kind_of(nodes[defined][2]) != types.FWD:
                    other = defined
            known = pairs.get(other)
            if known is not None:
                # Compilers describe the same array or struct twice in one file.
                if known == one or self._alike(known, one, _ALIKE_DEPTH):
                    continue
                return None
            pairs[other] = one
            label, name, info, parts = nodes[one]
            other_label, other_name, other_info, other_parts = nodes[other]
            if label == other_label:
                todo.extend(zip(reversed(parts), reversed(other_parts), strict=True))
            elif name != other_name or not (
                _declares(info, other_info)
                or _declares(other_info, info)
                or _declares_enum(info, other_info)
            ):
                return None
        return pairs

    def _alike(self, one: int, other: int, depth: int) -> bool:
        """Whether two types say the same, down to ``depth`` types that are more than a reference.

        What lies deeper counts as different.
        """
        key = one, other, depth
        if key not in self._twins:
            self._twins[key] = self._compared(one, other, depth)
        return self._twins[key]

    def _compared(self, one: int, other: int, depth: int) -> bool:
        if not depth:
            return False
        while True:
            self._step()
            label, name, info, parts = self._types[one]
            other_label, other_name, other_info, other_parts = self._types[other]
            kind = kind_of(info)
            if label != other_label:
                same_kind = kind == kind_of(other_info)
                return same_kind and name == other_name and _declares_enum(info, other_info)
            if kind not in _REFERENCES:
                break
            one, other = parts[0], other_parts[0]
        return all(
            below == beside or self._alike(below, beside, depth - 1)
            for below, beside in zip(parts, other_parts, strict=True)
        )

    def _accept(self, pairs: dict[int, int], unchanged: bool) -> None:
        """Let one of each pair stand for the other.

        Structs only if the one that is to stand in does so already; declarations always, for the
        struct that completes them may find its own stand-in later.  ``unchanged``: false if only
        the declarations of the base are to be completed.
        """
        for other, one in pairs.items():
            one, other = self._stand_in(one), self._stand_in(other)
            kind, other_kind = kind_of(self._types[one][2]), kind_of(self._types[other][2])
            if other_kind == types.FWD:
                if kind != types.FWD:
                    self._map[other] = one
            elif unchanged and (
                kind == types.FWD
                or (
                    kind in _COMPOSITES
                    and self._map[one] == _UNMAPPED
                    and self._map[other] != _UNMAPPED
                )
            ):
                self._map[one] = other

    def _completes(self, other: int, one: int) -> bool:
        """Whether ``other`` is a declaration in the base and ``one`` is what it declares."""
        return (
            other < self._first
            and kind_of(self._types[other][2]) == types.FWD
            and kind_of(self._types[one][2]) != types.FWD
        )

    def _step(self) -> None:
        self._steps -= 1
        if self._steps < 0:
            raise BadData("BTF: too many of the types to be merged look alike")

    def _bad(self, id: int, what: str) -> BadData:
        first, btf = next(pair for pair in reversed(self._sources) if pair[0] <= id)
        return btf.bad(id - first + btf.own_start, what)


def _key(kind: int, node: Node) -> Hashable:
    """What types must have in common for one to stand for the other."""
    label, name, _, parts = node
    if kind in _ENUMS:
        return ~name  # no label is negative
    return (label, *parts) if kind in _IDS and kind not in _GRAPHS else label


def _declares(info: int, other: int) -> bool:
    """Whether the first info word is of a declaration of structs or unions, the other of one."""
    wanted = types.UNION if info >> 31 else types.STRUCT
    return kind_of(info) == types.FWD and kind_of(other) == wanted


def _declares_enum(info: int, other: int) -> bool:
    """Whether both info words are of enums, and one of them only declares it: it has no values."""
    return (
        kind_of(info) in _ENUMS
        and kind_of(other) in _ENUMS
        and not (vlen_of(info) and vlen_of(other))
    )
