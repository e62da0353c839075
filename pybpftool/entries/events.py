"""The events of a map by the BTF type that its programs send."""

from __future__ import annotations

from ..btf import types
from ..btf.decode import compile_reader
from ..errors import PybpftoolError
from ..kernel import handles
from ..sources import btf_of_id, kernel_btf

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Any

    from ..btf.decode import Reader
    from ..btf.spec import Btf

_SHAPES = (types.STRUCT, types.UNION)
_OTHERS = (types.TYPEDEF, types.ENUM, types.ENUM64, types.INT, types.FLOAT)


def typed_events(records: Iterable[dict[str, Any]], reader: Reader) -> Iterator[dict[str, Any]]:
    """Records with the ``value`` that ``reader`` makes of their ``data`` in its place.

    Data too short for the type stay as they are, as do records without data.
    """
    for record in records:
        if len(record.get("data", ())) >= reader.size:
            record["value"] = reader.one(bytes(record.pop("data")))
        yield record


def event_reader(map: handles.Map, name: str, btf: Btf | None = None) -> Reader:
    """The reader of events that are of the type ``name``.

    ``btf``: where to look the type up.  If none is given: in that of the map, of the programs that
    use the map, and of the kernel, the first that has the name.
    PybpftoolError where there is no such type; BadData where it is broken.
    """
    for each in (btf,) if btf else _sources(map):
        found = each.find(name, *_SHAPES) or each.find(name, *_OTHERS)
        if found:
            return compile_reader(each, found)
    where = "the file" if btf else "the BTF of the map, of its programs and of the kernel"
    raise PybpftoolError(f"there is no type '{name}' in {where}")


def _sources(map: handles.Map) -> Iterator[Btf]:
    seen = {0}
    for id in _btf_ids(map):
        if id not in seen:
            seen.add(id)
            yield btf_of_id(id)
    yield kernel_btf()


def _btf_ids(map: handles.Map) -> Iterator[int]:
    yield map.info.btf_id
    for prog in handles.Prog.listed():
        if prog.info.btf_id and map.info.id in prog.info.map_ids:
            yield prog.info.btf_id
