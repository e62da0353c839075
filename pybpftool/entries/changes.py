"""What is added, removed and changed between two states of a map, by field."""

from __future__ import annotations

from ..errors import KernelError, PybpftoolError, during
from ..kernel import calls
from ..output.json_writer import dumps
from .lines import EntryReader, EntryWriter
from .read import read

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from ..command import Record
    from ..kernel.handles import Map
    from .lines import Lines
    from .shape import Shape
    from .typed import TypedEntries

_ENOENT = 2


class Told:
    """Changes of a map's entries as records, in the spelling of its lines."""

    __slots__ = ("_lines",)

    def __init__(self, shape: Shape, typed: TypedEntries | None) -> None:
        self._lines = EntryWriter(shape, typed)

    def change(self, key: bytes, old: bytes | None, new: bytes | None) -> Record:
        """The record of one key whose value was ``old`` and is ``new``, None for none.

        ``change``: added, removed or changed.  The former two have the entry; of a change there
        is the key and, for each of the ``fields`` that differ, what was and what is.
        """
        if old is None or new is None:
            value = new if old is None else old
            assert value is not None
            return {"change": "added" if old is None else "removed", **self._entry(key, value)}
        before, after = self._entry(key, old), self._entry(key, new)
        key_name, old_name = before
        _, new_name = after
        fields = []
        if old_name == new_name:
            fields = list(_differing(old_name, before[old_name], after[new_name]))
        else:  # one has bits that no field tells of
            fields = [{"field": "value", "old": old.hex(), "new": new.hex()}]
        return {"change": "changed", key_name: before[key_name], "fields": fields}

    def _entry(self, key: bytes, value: bytes) -> Record:
        import json

        record: Record = json.loads(self._lines.one(key, value))
        return record


def _differing(path: str, old: Any, new: Any) -> Iterator[Record]:
    if isinstance(old, dict) and isinstance(new, dict) and old.keys() == new.keys():
        for name in old:
            yield from _differing(f"{path}.{name}", old[name], new[name])
    elif isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        for at, (one, other) in enumerate(zip(old, new, strict=True)):
            yield from _differing(f"{path}[{at}]", one, other)
    elif dumps(old) != dumps(new):
        yield {"field": path, "old": old, "new": new}


def plain(record: Record) -> str:
    """A change on a line, for people."""
    (key,) = (_shown(name, record[name]) for name in record if name.startswith("key"))
    if record["change"] == "changed":
        return f"~ {key}  {', '.join(map(_field, record['fields']))}"
    (value,) = (_shown(name, record[name]) for name in record if name.startswith("value"))
    return f"{'+' if record['change'] == 'added' else '-'} {key}  {value}"


def _field(record: Record) -> str:
    path, old, new = record.values()
    name = path.replace("_hex", "", 1) if path.startswith(_BYTES) else path
    return f"{name}: {_shown(path, old)} -> {_shown(path, new)}"


_BYTES = ("key_hex", "value_hex", "values_hex")


def _shown(path: str, data: Any) -> str:
    """What stands at a path of an entry: bytes as a dump has them, anything else as JSON."""
    if not path.startswith(_BYTES):
        return dumps(data)
    if isinstance(data, list):
        return f"[{', '.join(_shown(path, each) for each in data)}]"
    return bytes.fromhex(data).hex(" ")


# ------------------------------------------------------------------ entries, whole and by key


def entries(map: Map, shape: Shape) -> Iterator[tuple[bytes, bytes]]:
    """Each key and value of a map; entries that cannot be looked up are left out."""
    size, width = shape.key_size, shape.width
    for batch in read(map, shape):
        if batch.errno == _ENOENT:
            continue  # gone, or an empty place
        if batch.errno:
            raise KernelError(batch.errno, "an entry can't be looked up")
        keys, values = bytes(batch.keys), bytes(batch.values)
        for at in range(batch.count):
            yield keys[at * size : (at + 1) * size], values[at * width : (at + 1) * width]


def between_maps(old: Map, new: Map, shape: Shape, told: Told) -> Iterator[Record]:
    """What must happen to one map for it to become the other.

    Both must have entries of ``shape``.  Every entry of each is looked up in the other, so that
    large maps take no memory; what changes meanwhile shows as it is when it is looked at.
    """
    with during("can't compare the maps"):
        for key, value in entries(old, shape):
            there = calls.map_lookup(new, key, shape.width)
            if there != value:
                yield told.change(key, value, there)
        for key, value in entries(new, shape):
            if calls.map_lookup(old, key, shape.width) is None:
                yield told.change(key, None, value)


def from_map_to_lines(
    old: Map, lines: Lines, shape: Shape, typed: TypedEntries | None, told: Told
) -> Iterator[Record]:
    """The same for a map and the lines of another, whose keys are all kept in memory."""
    kept: dict[bytes, bytes] = {}
    for _, keys, values in lines.entries(EntryReader(shape, typed)):
        kept.update(zip(keys, values, strict=True))
    with during("can't compare the map"):
        for key, value in entries(old, shape):
            there = kept.pop(key, None)
            if there != value:
                yield told.change(key, value, there)
    for key, value in kept.items():
        yield told.change(key, None, value)


def over_time(map: Map, shape: Shape, told: Told, seconds: float) -> Iterator[Record]:
    """The changes of a map as they are found, looking every so many seconds, without end.

    A key that is deleted and added between two looks is a change, or none.
    """
    import time

    with during("can't watch the map"):
        before = dict(entries(map, shape))
        while True:
            time.sleep(seconds)
            now = dict(entries(map, shape))
            moment = round(time.time(), 3)
            for key, value in before.items():
                if now.get(key) != value:
                    yield {"time": moment, **told.change(key, value, now.get(key))}
            for key in now.keys() - before.keys():
                yield {"time": moment, **told.change(key, None, now[key])}
            before = now


def same_shape(one: Shape, other: Shape) -> None:
    """PybpftoolError where entries of two maps cannot be held against each other."""
    for what in ("key_size", "value_size", "cpus"):
        mine, theirs = getattr(one, what), getattr(other, what)
        if mine != theirs:
            word = "values for each key" if what == "cpus" else f"bytes of {what.partition('_')[0]}"
            raise PybpftoolError(f"the two have {mine} and {theirs} {word}")
