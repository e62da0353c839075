"""``prog show``: what the kernel tells of each program."""

from __future__ import annotations

from ...command import Many, One
from ...errors import PybpftoolError
from ...identity import FullNames, header, identity

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from ...btf.spec import Btf
    from ...command import Options, Record
    from ...kernel.handles import Map, Prog

_PREFIX = "bpf_metadata_"
_ARRAY = 2
"""BPF_MAP_TYPE_ARRAY."""


def show(options: Options, prog: list[Prog] | None = None) -> Many | One:
    """Show information about loaded programs.

    Without PROG every program of the system is listed, in the order of ids.  The run statistics
    are there while the kernel keeps them (sysctl kernel.bpf_stats_enabled).
    """
    from ...kernel.handles import Prog

    record = _Records(Prog.pins() if options.bpffs else {})
    if prog is None:
        return Many((record(opened) for opened in Prog.listed()), _listing)
    if len(prog) == 1:
        return One(record(prog[0]), _listing)
    return Many((record(opened) for opened in prog), _listing)


# ------------------------------------------------------------------ the record


class Metadata(dict[str, "Any"]):
    """What a program tells of itself: name -> value.  ``plain``: name -> its text for people."""

    def __init__(self) -> None:
        super().__init__()
        self.plain: dict[str, str] = {}


class _Records:
    """Makes the record of a program; ``pins``: paths by id."""

    def __init__(self, pins: dict[int, list[str]]) -> None:
        from ...kernel import proc
        from ...kernel.holders import holders

        self._proc = proc
        self._pins = pins
        self._held = holders("prog")
        self._names = FullNames()
        self._by_map: dict[int, Metadata | None] = {}

    def __call__(self, opened: Prog) -> Record:
        info = opened.info
        record = identity(opened, self._names)
        if info.load_time:
            record["loaded_at"] = self._proc.wall_clock(info.load_time)
            record["uid"] = info.created_by_uid
        record["orphaned"] = info.orphaned
        record["bytes_xlated"] = info.xlated_prog_len
        record["jited"] = bool(info.jited_prog_len)
        if info.jited_prog_len:
            record["bytes_jited"] = info.jited_prog_len
        memlock = self._proc.fdinfo(opened).get("memlock")
        if memlock is not None:
            record["bytes_memlock"] = int(memlock)
        if info.map_ids:
            record["map_ids"] = info.map_ids
        if info.btf_id:
            record["btf_id"] = info.btf_id
        if self._pins:
            record["pinned"] = self._pins.get(info.id, [])
        if info.id in self._held:
            record["pids"] = [{"pid": pid, "comm": comm} for pid, comm in self._held[info.id]]
        metadata = self._metadata(info.map_ids)
        if metadata:
            record["metadata"] = metadata
        return record

    def _metadata(self, map_ids: list[int]) -> Metadata | None:
        """What the first map of constants among these holds of it; None if there is no such map.

        A map that is gone or may not be looked at ends the search.
        """
        for id in map_ids:
            if id not in self._by_map:
                from ...kernel.calls import BPF_F_RDONLY
                from ...kernel.handles import Map

                try:
                    with Map.by_id(id, BPF_F_RDONLY) as map:
                        self._by_map[id] = _constants(map)
                except PybpftoolError:
                    return None
            found = self._by_map[id]
            if found is not None:
                return found
        return None


def _constants(map: Map) -> Metadata | None:
    """The metadata in a map; None where it holds no global constants (spec 2.3)."""
    info = map.info
    shape = (info.type, info.key_size, info.max_entries)
    if shape != (_ARRAY, 4, 1) or not info.btf_value_type_id or ".rodata" not in info.name:
        return None
    from ...btf.types import DATASEC
    from ...kernel.calls import map_lookup
    from ...sources import btf_of_id

    data = map_lookup(map, bytes(4), info.value_size)
    btf = btf_of_id(info.btf_id)
    found = Metadata()
    if data is not None and btf.kind(info.btf_value_type_id) == DATASEC:
        for id, offset, _ in zip(*btf.items(info.btf_value_type_id), strict=True):
            name = btf.name_of(id)
            if name.startswith(_PREFIX):
                _set(found, name.removeprefix(_PREFIX), btf, btf.target(id), data[offset:])
    return found


def _set(metadata: Metadata, name: str, btf: Btf, type_id: int, data: bytes) -> None:
    from json import loads

    from ...btf.values import compile_value

    text, plain = (
        compile_value(btf, type_id, json=json, pretty=False).one(data) for json in (True, False)
    )
    metadata[name] = loads(text)
    metadata.plain[name] = plain


# ------------------------------------------------------------------ the plain form


def _listing(record: Record) -> str:
    """A program in the listing."""
    return "".join(_lines(record))


def _lines(record: Record) -> Iterator[str]:
    yield header(record)
    if "loaded_at" in record:
        yield f"\tloaded_at {_moment(record['loaded_at'])}  uid {record['uid']}\n"
    yield f"\txlated {record['bytes_xlated']}B"
    yield f"  jited {record['bytes_jited']}B" if record["jited"] else "  not jited"
    if "bytes_memlock" in record:
        yield f"  memlock {record['bytes_memlock']}B"
    if record["orphaned"]:
        yield "  orphaned"
    if "map_ids" in record:
        yield f"  map_ids {','.join(map(str, record['map_ids']))}"
    for path in record.get("pinned", ()):
        yield f"\n\tpinned {path}"
    if "btf_id" in record:
        yield f"\n\tbtf_id {record['btf_id']}"
    if "pids" in record:
        yield "\n\tpids " + ", ".join(f"{p['comm']}({p['pid']})" for p in record["pids"])
    yield "\n"
    if "metadata" in record:
        yield "\tmetadata:\n"
        yield from (f"\t\t{key} = {text}\n" for key, text in record["metadata"].plain.items())


def _moment(seconds: int) -> str:
    """A moment of Unix time in the local zone."""
    from time import localtime, strftime

    return strftime("%Y-%m-%dT%H:%M:%S%z", localtime(seconds))
