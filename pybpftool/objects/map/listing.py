"""How a map is told in the listing, and what names it elsewhere."""

from __future__ import annotations

from ...command import Many, One

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ...command import Options, Record
    from ...kernel.handles import Map


def header(record: Record) -> str:
    """First line of a map in the listing, and its title in a dump of several."""
    kind = record["type"]
    name = f"name {record['name']}  " if "name" in record else ""
    return (
        f"{record['id']}: {kind if isinstance(kind, str) else f'type {kind}'}  {name}"
        f"flags 0x{record['flags']:x}{_offloaded(record)}\n"
    )


def _offloaded(record: Record) -> str:
    from ...kernel.netdev import spoken

    return f"  offloaded_to {spoken(record['dev'])}" if "dev" in record else ""


def _listing(record: Record) -> str:
    """A map in the listing."""
    text = header(record)
    text += f"\tkey {record['bytes_key']}B  value {record['bytes_value']}B"
    text += f"  max_entries {record['max_entries']}"
    if "bytes_memlock" in record:
        text += f"  memlock {record['bytes_memlock']}B"
    if "owner_prog_type" in record or "owner_jited" in record:
        text += "\n\t"
    if "owner_prog_type" in record:
        kind = record["owner_prog_type"]
        text += f"owner_prog_type {kind}  "
    if "owner_jited" in record:
        text += f"owner{'' if record['owner_jited'] else ' not'} jited"
    for path in record.get("pinned", ()):
        text += f"\n\tpinned {path}"
    notes = [f"btf_id {record['btf_id']}"] if "btf_id" in record else []
    if record["frozen"]:
        notes.append("frozen")
    if notes:
        text += "\n\t" + "  ".join(notes)
    if "pids" in record:
        text += "\n\tpids " + ", ".join(f"{p['comm']}({p['pid']})" for p in record["pids"])
    return text + "\n"


def show(options: Options, map: list[Map] | None = None) -> Many | One:
    """Show information about loaded maps.

    Without MAP every map of the system is listed, in the order of ids.
    """
    from ...kernel.calls import BPF_F_RDONLY
    from ...kernel.handles import Map
    from ...kernel.holders import holders

    pins = Map.pins() if options.bpffs else {}
    held = holders("map")

    def record(opened: Map) -> Record:
        return _record(opened, pins, held)

    if map is None:
        return Many((record(opened) for opened in Map.listed(BPF_F_RDONLY)), _listing)
    if len(map) == 1:
        return One(record(map[0]), _listing)
    return Many((record(opened) for opened in map), _listing)


def identity(opened: Map) -> Record:
    """What names a map: the head of its record."""
    from ...kernel.words import map_type_word

    info = opened.info
    record: Record = {"id": info.id, "type": map_type_word(info.type) or info.type}
    if info.name:
        record["name"] = info.name
    record["flags"] = info.map_flags
    return record


def _record(
    opened: Map, pins: dict[int, list[str]], held: dict[int, list[tuple[int, str]]]
) -> Record:
    from ...kernel import netdev, proc
    from ...kernel.words import prog_type_word

    info = opened.info
    notes = proc.fdinfo(opened)
    record = identity(opened)
    if info.ifindex:
        record["dev"] = netdev.record(info.ifindex, info.netns_dev, info.netns_ino)
    record["bytes_key"] = info.key_size
    record["bytes_value"] = info.value_size
    record["max_entries"] = info.max_entries
    if "memlock" in notes:
        record["bytes_memlock"] = int(notes["memlock"])
    if "owner_prog_type" in notes:
        kind = int(notes["owner_prog_type"])
        record["owner_prog_type"] = prog_type_word(kind) or kind
    if "owner_jited" in notes:
        record["owner_jited"] = notes["owner_jited"] != "0"
    record["frozen"] = int(notes.get("frozen", 0))
    if info.btf_id:
        record["btf_id"] = info.btf_id
    if pins:
        record["pinned"] = pins.get(info.id, [])
    if info.id in held:
        record["pids"] = [{"pid": pid, "comm": comm} for pid, comm in held[info.id]]
    return record
