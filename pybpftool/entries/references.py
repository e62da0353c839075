"""Maps and programs as the values of other maps: by id, by name, by path."""

from __future__ import annotations

import sys

from ..errors import KernelError, PybpftoolError
from ..kernel.handles import Map, Prog

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from ..command import Record
    from ..kernel.handles import Handle
    from .shape import Shape

_WITH_PROGRAM = ("devmap", "devmap_hash", "cpumap")
_RDONLY = 1 << 3
"""BPF_F_RDONLY (uapi/linux/bpf.h)."""


def opened(kind: type[Map] | type[Prog], value: Any, path: str) -> Handle:
    """The map or program that a value means.

    ``value``: an id, or an object with ``id``, ``name`` or ``pinned``.  Of an id and a name the id
    counts if it bears that name: after a restart only the name does.
    PybpftoolError where there is none, or several bear the name.
    """
    if isinstance(value, int) and not isinstance(value, bool):
        value = {"id": value}
    what = "map" if kind is Map else "program"
    if not isinstance(value, dict) or not value or value.keys() - {"id", "name", "pinned"}:
        raise PybpftoolError(f'{path}: a {what} is {{"id": N}}, {{"name": …}} or {{"pinned": …}}')
    id, name, pinned = (value.get(key) for key in ("id", "name", "pinned"))
    if id is name is pinned is None:
        raise PybpftoolError(f"{path}: null is no {what}")
    if id is not None and not (isinstance(id, int) and 0 <= id < 1 << 32):
        raise PybpftoolError(f"{path}.id: there is no such id")
    for key, text in (("name", name), ("pinned", pinned)):
        if text is not None and not (isinstance(text, str) and text and "\0" not in text):
            raise PybpftoolError(f"{path}.{key}: no text that names a {what}")
    if pinned is not None:
        return kind.pinned(pinned)
    if id is not None:
        try:
            found: Handle = kind.by_id(id)
        except KernelError:
            if name is None:
                raise
        else:
            if name is None or found.info.name == name:  # type: ignore[attr-defined]  # Map and Prog both have it
                return found
            found.close()
    assert name is not None  # at least one of the three is there
    named: Sequence[Handle] = kind.named(name)
    if len(named) != 1:
        count = "no" if not named else "more than one"
        raise PybpftoolError(f"{path}: {count} {what} has the name '{name}'")
    return named[0]


def told(shape: Shape, value: bytes) -> Record:
    """What a value of four bytes, as a lookup gives it, refers to: its id, and its name if any."""
    kind = Map if shape.of_maps else Prog
    id = int.from_bytes(value, sys.byteorder)
    record: Record = {"id": id}
    try:
        with kind.by_id(id, _RDONLY if kind is Map else 0) as found:
            name = found.info.name
            if name:
                record["name"] = name
    except KernelError:
        pass  # gone already: the id is all there is to say
    return record


def refers(shape: Shape) -> bool:
    """Whether values that were looked up have to be translated before they can be written."""
    return shape.of_maps or shape.of_progs or has_program(shape)


def has_program(shape: Shape) -> bool:
    """Whether a program stands in the second half of the map's values."""
    return shape.type in _WITH_PROGRAM and shape.value_size == 8


def stored(shape: Shape, value: bytes) -> tuple[bytes, Handle | None]:
    """A value as lookups give it (ids) -> as updates take it (descriptors), and what to close."""
    kind = Map if shape.of_maps else Prog
    at = 4 if has_program(shape) else 0
    id = int.from_bytes(value[at : at + 4], sys.byteorder)
    if at and not id:
        return value, None
    handle = kind.by_id(id)
    return value[:at] + handle.fileno().to_bytes(4, sys.byteorder), handle
