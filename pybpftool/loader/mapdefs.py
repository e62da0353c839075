"""BTF-defined maps: the types of the variables in section ``.maps`` to MapSpecs.

A number is the length of an array that a member points to; a key or value is the type that a member
points to.  Source: the ``__uint``, ``__type``, ``__array`` and ``__ulong`` notation of libbpf.
"""

from __future__ import annotations

from ..btf import types
from ..errors import BadData
from .sanitize import GLOBAL, STATIC
from .spec import MapSpec

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..btf.spec import Btf

PROG_ARRAY, MAPS_OF_MAPS = 3, (12, 13)
"""Types of maps into which others, or programs, are put (enum bpf_map_type of linux/bpf.h)."""

_NUMBERS = {
    "type": "type",
    "max_entries": "max_entries",
    "map_flags": "flags",
    "numa_node": "numa_node",
    "map_extra": "map_extra",
}
"""Members that are plain numbers and the field of each."""


def user_maps(btf: Btf, offsets: dict[str, int], *, relaxed: bool = False) -> Iterator[MapSpec]:
    """The maps of section .maps, in its order.

    ``offsets``: byte of each variable in the section, by the symbols.  ``relaxed``: members that
    nobody knows are no reason to refuse.  BadData, naming map and member, for a wrong definition.
    """
    section = btf.find(".maps", types.DATASEC)
    if section is None:
        raise BadData("section .maps is described by no BTF")
    datasec = btf.type(section)
    assert isinstance(datasec, types.Datasec)
    for each in datasec.vars:
        variable = btf.type(each.type_id)
        if not isinstance(variable, types.Var):
            raise BadData(f"{btf.label}: section .maps holds [{each.type_id}], which is no VAR")
        if variable.linkage != GLOBAL:
            how = "static" if variable.linkage == STATIC else "defined elsewhere"
            raise BadData(f"map {variable.name!a} is {how}, which a map cannot be")
        if variable.name not in offsets:
            raise BadData(f"map {variable.name!a}: there is no such symbol in section .maps")
        found = _definition(btf, variable.name, variable.type_id, relaxed=relaxed)
        found.offset = offsets[variable.name]
        yield found


def _definition(
    btf: Btf, name: str, type_id: int, *, relaxed: bool, inner: bool = False
) -> MapSpec:
    struct = btf.type(btf.skip_modifiers(type_id, typedefs=True))
    if not isinstance(struct, types.Composite) or struct.kind != types.STRUCT:
        raise BadData(f"map '{name}': its definition is no struct")
    found = MapSpec(name, ".maps")
    for member in struct.members:
        if not member.name.isprintable():
            raise BadData(f"map '{name}': a member whose name is no text")
        label = f"map '{name}': {member.name or 'a member without a name'}"
        if member.name in _NUMBERS:
            setattr(found, _NUMBERS[member.name], _number(btf, member.type_id, label))
        elif member.name in ("key_size", "value_size"):
            _take_size(found, member.name, _number(btf, member.type_id, label), label)
        elif member.name in ("key", "value"):
            target = _pointed(btf, member.type_id, label)
            _take_size(found, f"{member.name}_size", btf.size_of(target), label)
            setattr(found, f"{member.name}_type_id", target)
        elif member.name == "pinning":
            how = _number(btf, member.type_id, label)
            if inner or how > 1:
                raise BadData(f"{label}: {how} is no way to pin it")
            found.pinned_by_name = how == 1
        elif member.name == "values":
            if inner:
                raise BadData(f"{label}: maps of maps cannot hold such themselves")
            if member is not struct.members[-1]:
                raise BadData(f"{label} must be the last member")
            found.inner = _inner(btf, found, member.type_id, label, relaxed=relaxed)
        elif not relaxed:
            raise BadData(f"{label}: no such property of a map (-m lets it pass)")
    if not found.type:
        raise BadData(f"map '{name}': its definition has no type")
    return found


def _inner(btf: Btf, outer: MapSpec, type_id: int, label: str, *, relaxed: bool) -> MapSpec | None:
    """What a map of maps holds; None for one of programs."""
    if outer.type not in (PROG_ARRAY, *MAPS_OF_MAPS):
        raise BadData(f"{label}: only maps of maps and of programs have such")
    _take_size(outer, "value_size", 4, label)
    array = btf.type(btf.skip_modifiers(type_id, typedefs=True))
    if not isinstance(array, types.Array) or array.nr_elems:
        raise BadData(f"{label}: not an array without a length")
    target = btf.skip_modifiers(_pointed(btf, array.type_id, label), typedefs=True)
    if outer.type == PROG_ARRAY:
        if btf.kind(target) != types.FUNC_PROTO:
            raise BadData(f"{label}: not an array of pointers to functions")
        return None
    return _definition(btf, f"{outer.name}.inner", target, relaxed=relaxed, inner=True)


def _take_size(found: MapSpec, field: str, size: int, label: str) -> None:
    known = getattr(found, field)
    if known and known != size:
        raise BadData(f"{label}: {size} bytes, but {known} are said elsewhere")
    setattr(found, field, size)


def _pointed(btf: Btf, type_id: int, label: str) -> int:
    """What a member points to."""
    pointer = btf.skip_modifiers(type_id, typedefs=True)
    if btf.kind(pointer) != types.PTR:
        raise BadData(f"{label}: not a pointer")
    return btf.target(pointer)


def _number(btf: Btf, type_id: int, label: str) -> int:
    """The number that a member stands for: an array's length, or the one value of an enum."""
    own = btf.type(btf.skip_modifiers(type_id, typedefs=True))
    if isinstance(own, types.Enum) and len(own.values) == 1:
        return own.values[0].val & 0xFFFFFFFFFFFFFFFF
    target = btf.type(btf.skip_modifiers(_pointed(btf, type_id, label), typedefs=True))
    if isinstance(target, types.Array):
        return target.nr_elems
    raise BadData(f"{label}: not a number, which is the length of an array")
