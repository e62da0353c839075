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
from .types import ID_WORDS, ITEM_NAME_WORDS, kind_of, vlen_of, words_in
from .writer import BtfWriter

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Hashable, Iterator, Sequence

    from .spec import Btf

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
_DECLARABLE = (*_COMPOSITES, *_ENUMS, types.FWD)
_GRAPHS = (types.STRUCT, types.UNION, types.TYPEDEF)

_UNMAPPED, _IN_PROGRESS = -1, -2
_ALIKE_DEPTH = 16  # how far below a type its twins in the same BTF are compared; libbpf's number
_NOWHERE = "refers to a type that is not there"
_STEPS, _STEPS_PER_TYPE = 1_000_000, 50
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


class _Node:
    """What matching needs to know of a type.

    ``label``: a number for all that is written in it but the ids of others; equal for equal text.
    ``parts``: these ids.  ``name``: offset.  ``declares``: the kind that a declaration stands for,
    be it a FWD or an enum without values; None for all else.
    """

    __slots__ = ("declares", "kind", "label", "name", "parts")

    def __init__(self, label: int, words: list[int], parts: list[int]) -> None:
        self.label = label
        self.name = words[0]
        info = words[1]
        self.kind = kind = kind_of(info)
        self.parts = parts
        self.declares: int | None = None  # not 0, which is void's kind
        if kind == types.FWD:
            self.declares = types.UNION if info >> 31 else types.STRUCT
        elif kind in _ENUMS and not vlen_of(info):
            self.declares = kind

    def may_be(self, other: _Node) -> bool:
        """Whether one is of the name and kind that the other declares."""
        return self.name == other.name and (
            self.declares == other.kind or other.declares == self.kind
        )


class _Types(dict[int, _Node]):
    """id -> node of every type, those of the base as they are asked for."""

    def __init__(self, base: Btf) -> None:
        self._base = base
        self._labels: dict[tuple[int, ...], int] = {}

    def node(self, words: list[int]) -> _Node:
        """The node of a type given as its words."""
        label = words.copy()
        parts: list[int] = []
        place = ID_WORDS.get(kind_of(words[1]))
        if place:
            parts = words[place]
            del label[place]
        return _Node(self._labels.setdefault(tuple(label), len(self._labels)), words, parts)

    def key(self, node: _Node) -> Hashable:
        """What types must have in common for one to stand for the other."""
        if node.kind in _ENUMS:
            return ~node.name  # no label is negative
        if node.kind in _GRAPHS:
            if node.name:
                return node.label
            # Kernels have a thousand unions that differ only in the types of their members; parts
            # that may be declarations have their name in common, others their label.
            parts = map(self.__getitem__, node.parts)
            return (
                node.label,
                *[~part.name if part.kind in _DECLARABLE else part.label for part in parts],
            )
        return (node.label, *node.parts) if node.kind in ID_WORDS else node.label

    def __missing__(self, id: int) -> _Node:
        words, at = self._base.words, self._base.at[id]
        found = self[id] = self.node(words[at : at + words_in(words[at + 1])].tolist())
        if max(found.parts, default=0) >= self._base.type_count:
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
            place = ITEM_NAME_WORDS.get(kind)
            if place:
                found[place] = [names[offset] for offset in found[place]]
            place = ID_WORDS.get(kind)
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
            self._candidates.add(self._types.key(node), own)
            if kind in _COMPOSITES:
                self._only[node.name] = 0 if node.name in self._only else own

    # -------------------------------------------------------------- the four passes

    def primitives(self) -> None:
        """Match what refers to nothing; what is never matched stands for itself."""
        for own in self._own:
            node = self._types[own]
            if node.kind in _ENUMS:
                self._settle(own, self._types.key(node), self._enum(own, node))
            elif node.kind in (types.INT, types.FLOAT, types.FWD):
                self._settle(own, node.label, next(self._candidates.get(node.label), own))
            elif node.kind in _UNMATCHED:
                self._map[own] = own

    def _enum(self, id: int, node: _Node) -> int:
        """What an enum is the same as; one without values is the declaration of any of its name."""
        for other in self._candidates.get(self._types.key(node)):
            self._step()
            found = self._types[other]
            if found.label == node.label or node.declares:
                return other
            if found.declares:
                self._map[other] = id
        return id

    def graphs(self) -> None:
        """Match structs, unions and typedefs, and with each all those below it."""
        for own in self._own:
            node = self._types[own]
            if self._map[own] != _UNMAPPED or node.kind not in _GRAPHS:
                continue
            found = own
            key = self._types.key(node)
            for other in self._candidates.get(key):
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
            self._settle(own, key, found)

    def forwards(self) -> None:
        """Match each declaration left with the struct or union of its name, if there is but one."""
        left = [own for own in self._own if self._map[own] == own]
        for own in left:
            node = self._types[own]
            if node.kind in _COMPOSITES:
                self._only[node.name] = 0 if node.name in self._only else own
        for own in left:
            node = self._types[own]
            only = self._only.get(node.name, 0) if node.kind == types.FWD else 0
            if only and self._types[only].kind == node.declares:
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
                    node = self._types[at]
                    key = node.label, *map(self._stand_in, node.parts)
                    self._settle(at, key, next(self._candidates.get(key), at))
                    path.pop()

    def _opened(self, id: int) -> tuple[int, Iterator[int]]:
        self._map[id] = _IN_PROGRESS
        return id, iter(self._types[id].parts)

    def blob(self) -> bytes:
        """The types that stand for themselves, as raw BTF."""
        final = [*range(self._first), *[0] * len(self._own)]
        left = [own for own in self._own if self._map[own] == own]
        for new, own in enumerate(left, self._first):
            final[own] = new
        for own in left:
            words = self._words[own - self._first]
            place = ID_WORDS.get(kind_of(words[1]))
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
        stand_in = self._stand_in
        pairs: dict[int, int] = {}
        todo = [(one, other)]
        while todo:
            one, other = todo.pop()
            if one == other or stand_in(one) == stand_in(other):
                continue
            node, beside = nodes[one], nodes[other]
            if beside.kind == types.FWD:
                defined = stand_in(other)
                if nodes[defined].kind != types.FWD:
                    other, beside = defined, nodes[defined]
            known = pairs.get(other)
            if known is not None:
                # Compilers describe the same array or struct twice in one file.
                if known == one or self._alike(known, one, _ALIKE_DEPTH):
                    continue
                return None
            self._step()
            pairs[other] = one
            if node.label == beside.label:
                todo.extend(zip(reversed(node.parts), reversed(beside.parts), strict=True))
            elif not node.may_be(beside):
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
            node, beside = self._types[one], self._types[other]
            if node.label != beside.label:
                return node.kind == beside.kind and node.may_be(beside)
            if node.kind not in _REFERENCES:
                break
            one, other = node.parts[0], beside.parts[0]
        return all(
            below == part or self._alike(below, part, depth - 1)
            for below, part in zip(node.parts, beside.parts, strict=True)
        )

    def _accept(self, pairs: dict[int, int], unchanged: bool) -> None:
        """Let one of each pair stand for the other.

        Structs only if the one that is to stand in does so already; declarations always, for the
        struct that completes them may find its own stand-in later.  ``unchanged``: false if only
        the declarations of the base are to be completed.
        """
        for other, one in pairs.items():
            one, other = self._stand_in(one), self._stand_in(other)
            kind, other_kind = self._types[one].kind, self._types[other].kind
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
            and self._types[other].kind == types.FWD
            and self._types[one].kind != types.FWD
        )

    def _step(self) -> None:
        self._steps -= 1
        if self._steps < 0:
            raise BadData("BTF: too many of the types to be merged look alike")

    def _bad(self, id: int, what: str) -> BadData:
        first, btf = next(pair for pair in reversed(self._sources) if pair[0] <= id)
        return btf.bad(id - first + btf.own_start, what)
