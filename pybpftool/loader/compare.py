"""Which types of an object and of a kernel go together, and by what name they are found.

What libbpf takes for alike is measured on it.
"""

from __future__ import annotations

from ..btf import types
from ..errors import BadData

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..btf.spec import Btf

ENUMS = (types.ENUM, types.ENUM64)
"""Kinds that count as one."""

_COMPOSITES = (types.STRUCT, types.UNION)
_DEPTH = 32


def steps_of_an_object() -> Iterator[int]:
    """An item for each comparison of types that one object may ask for: all may branch."""
    return iter(range(1_000_000))


def essential(name: str) -> str:
    """A name without its flavour: what stands before the last ``___`` between other letters."""
    if "___" not in name:
        return name
    for at in range(len(name) - 5, -1, -1):
        if name[at + 1 : at + 4] == "___" and name[at] != "_" and name[at + 4] != "_":
            return name[: at + 1]
    return name


def compatible(local: Btf, one: int, target: Btf, two: int) -> bool:
    """Whether a type of an object and one of a target are of one make, names aside."""
    return Pair(local, target).compatible(one, two)


class Pair:
    """Whether types of an object and of a target go together; ids of the object's come first.

    ``budget``: an item for each two types that may yet be compared.  BadData when it is used up, or
    for types that are nested too deeply.
    """

    def __init__(self, local: Btf, target: Btf, budget: Iterator[int] | None = None) -> None:
        self._btfs = local, target
        self._budget = budget or steps_of_an_object()

    def _under(self, one: int, two: int) -> tuple[types.Type, types.Type]:
        local, target = self._btfs
        if next(self._budget, None) is None:
            raise BadData("types are too large to be compared")
        return (
            local.type(local.skip_modifiers(one, typedefs=True)),
            target.type(target.skip_modifiers(two, typedefs=True)),
        )

    def fields(self, one: int, two: int) -> bool:
        """Whether a field of one type may be read where the other is expected."""
        for _ in range(_DEPTH):
            a, b = self._under(one, two)
            if a.kind in _COMPOSITES and b.kind in _COMPOSITES:
                return True
            if not _same_kind(a, b):
                return False
            if isinstance(a, types.Array) and isinstance(b, types.Array):
                one, two = a.type_id, b.type_id
                continue
            if isinstance(a, types.Int) and isinstance(b, types.Int):
                return not a.bits_offset and not b.bits_offset
            if a.kind in (*ENUMS, types.FWD):
                return not a.name or not b.name or essential(a.name) == essential(b.name)
            return a.kind in (types.PTR, types.FLOAT)
        raise BadData("types are nested too deeply, or in themselves")

    def compatible(self, one: int, two: int, level: int = _DEPTH) -> bool:
        """Whether the types are of one make, names aside."""
        for _ in range(_DEPTH):
            a, b = self._under(one, two)
            if not _same_kind(a, b):
                return False
            if isinstance(a, types.FuncProto) and isinstance(b, types.FuncProto):
                if len(a.params) != len(b.params):
                    return False
                if level <= 0:
                    break
                for p, q in zip(a.params, b.params, strict=True):
                    if not self.compatible(p.type_id, q.type_id, level - 1):
                        return False
            elif isinstance(a, types.Int) and isinstance(b, types.Int):
                return not a.bits_offset and not b.bits_offset
            elif a.kind not in (types.PTR, types.ARRAY):
                return a.kind in (types.VOID, types.FWD, *_COMPOSITES, *ENUMS)
            one, two = _inner(a), _inner(b)
        raise BadData("types are nested too deeply, or in themselves")

    def match(self, one: int, two: int, pointed: bool = False, level: int = _DEPTH) -> bool:
        """Whether all that the local type has is in the other, by name and make."""
        for _ in range(_DEPTH if level > 0 else 0):
            a, b = self._under(one, two)
            if not _same_name(a.name, b.name):
                return False
            if pointed and a.kind in (types.FWD, *_COMPOSITES):
                return _shape(a) == _shape(b)
            if not _same_kind(a, b):
                return False
            if isinstance(a, types.Fwd):
                return a.kind_flag == b.kind_flag
            if isinstance(a, types.Enum) and isinstance(b, types.Enum):
                there = {essential(each.name) for each in b.values}
                return (
                    a.size == b.size
                    and len(a.values) <= len(b.values)
                    and all(essential(each.name) in there for each in a.values)
                )
            if isinstance(a, types.Composite) and isinstance(b, types.Composite):
                named: dict[str, list[int]] = {}
                for n in b.members:
                    named.setdefault(essential(n.name), []).append(n.type_id)
                return len(a.members) <= len(b.members) and all(
                    any(
                        self.match(m.type_id, other, pointed, level - 1)
                        for other in named.get(essential(m.name), ())
                    )
                    for m in a.members
                )
            if isinstance(a, types.Int) and isinstance(b, types.Int):
                return a.size == b.size and not (a.encoding ^ b.encoding) & types.SIGNED
            if isinstance(a, types.FuncProto) and isinstance(b, types.FuncProto):
                if len(a.params) != len(b.params):
                    return False
                for p, q in zip(a.params, b.params, strict=True):
                    if not self.match(p.type_id, q.type_id, pointed, level - 1):
                        return False
            elif isinstance(a, types.Array) and isinstance(b, types.Array):
                if a.nr_elems != b.nr_elems:
                    return False
            elif a.kind == types.PTR:
                pointed = True
            else:
                return a.kind == types.VOID
            one, two = _inner(a), _inner(b)
        raise BadData("types are nested too deeply, or in themselves")


def _same_kind(a: types.Type, b: types.Type) -> bool:
    return a.kind == b.kind or (a.kind in ENUMS and b.kind in ENUMS)


def _same_name(local: str, target: str) -> bool:
    return essential(local) == essential(target)


def _shape(type: types.Type) -> int:
    """STRUCT or UNION for what is, or is declared to be, one; else the kind."""
    if isinstance(type, types.Fwd):
        return types.UNION if type.kind_flag else types.STRUCT
    return type.kind


def _inner(type: types.Type) -> int:
    assert isinstance(type, (types.Reference, types.Array, types.FuncProto))
    return type.type_id
