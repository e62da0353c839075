"""Inspect and change BPF maps.

Maps are the kernel's stores of keys and values that BPF programs and processes share.  A map is
named by its id, by its name, or by a path of the bpf file system where it is pinned.
"""

from __future__ import annotations

import errno
import os
import sys
from operator import index

from ..command import (
    HELP,
    IGNORE,
    NEEDS,
    NOTHING,
    PLAIN,
    WHAT,
    Bulk,
    Command,
    Many,
    Object,
    One,
    Place,
)
from ..entries.render import entry_printer
from ..entries.shape import Shape
from ..entries.words import is_typed, read_bytes, read_typed
from ..errors import BadData, KernelError, Misuse, PybpftoolError, during, errno_status
from ..kernel.calls import BPF_F_RDONLY
from ..output.hexdump import block
from ..output.json_writer import dumps
from ..places import FILE, MAP, PROG, read_number, read_word

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ..btf.decode import Reader
    from ..command import Call, Options, Record, Words
    from ..entries.typed import Given
    from ..kernel.handles import Handle, Map, Prog

NAME_MAX = 15
"""Bytes of a map's name: BPF_OBJ_NAME_LEN less its NUL (uapi/linux/bpf.h)."""


# ------------------------------------------------------------------ line templates


def _header(record: Record) -> str:
    """First line of a map in the listing, and its title in a dump of several."""
    kind = record["type"]
    name = f"name {record['name']}  " if "name" in record else ""
    return (
        f"{record['id']}: {kind if isinstance(kind, str) else f'type {kind}'}  {name}"
        f"flags 0x{record['flags']:x}{_offloaded(record)}\n"
    )


def _offloaded(record: Record) -> str:
    from ..kernel.netdev import spoken

    return f"  offloaded_to {spoken(record['dev'])}" if "dev" in record else ""


def _listing(record: Record) -> str:
    """A map in the listing."""
    text = _header(record)
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


# ------------------------------------------------------------------ show


def show(options: Options, map: list[Map] | None = None) -> Many | One:
    """Show information about loaded maps.

    Without MAP every map of the system is listed, in the order of ids.
    """
    from ..kernel.handles import Map
    from ..kernel.holders import holders

    pins = Map.pins() if options.bpffs else {}
    held = holders("map")

    def record(opened: Map) -> Record:
        return _record(opened, pins, held)

    if map is None:
        return Many((record(opened) for opened in Map.listed(BPF_F_RDONLY)), _listing)
    if len(map) == 1:
        return One(record(map[0]), _listing)
    return Many((record(opened) for opened in map), _listing)


def _identity(opened: Map) -> Record:
    """What names a map: the head of its record."""
    from ..kernel.words import map_type_word

    info = opened.info
    record: Record = {"id": info.id, "type": map_type_word(info.type) or info.type}
    if info.name:
        record["name"] = info.name
    record["flags"] = info.map_flags
    return record


def _record(
    opened: Map, pins: dict[int, list[str]], held: dict[int, list[tuple[int, str]]]
) -> Record:
    from ..kernel import netdev, proc
    from ..kernel.words import prog_type_word

    info = opened.info
    notes = proc.fdinfo(opened)
    record = _identity(opened)
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


# ------------------------------------------------------------------ create


def create(
    options: Options,
    file: str,
    name: str | None = None,
    type: int = 0,
    key: int = 0,
    value: int = 0,
    entries: int = 0,
    flags: int = 0,
    inner_map: Map | None = None,
    offload_dev: int = 0,
    dev: int = 0,
) -> One:
    """Create a new map and pin it to FILE.

    The bpf file system is mounted over the directory of FILE if it is none, unless -n forbids.
    """
    from ..kernel import bpffs, calls

    if name is None:
        raise PybpftoolError("map name not specified")
    raw = os.fsencode(name)
    if len(raw) > NAME_MAX:
        options.warn(
            f"Warning: map name is longer than {NAME_MAX} characters, it will be truncated."
        )
    with during("map create failed"):
        created = calls.map_create(
            type,
            key,
            value,
            entries,
            raw[:NAME_MAX],
            flags,
            inner_map_fd=inner_map.fileno() if inner_map else 0,
            map_ifindex=offload_dev or dev,
        )
    with created:
        bpffs.pin(created, file, options.nomount)
    return NOTHING


def _read_type(words: Words, call: Call) -> int:
    from ..kernel.words import MAP_TYPES, number

    if call.bound.get("type"):
        raise PybpftoolError("map type already specified")
    word = words.take()
    found = number(MAP_TYPES, word)
    if found is None:
        raise PybpftoolError(f"unrecognized map type: {word}")
    return found


def _sized(what: str) -> Callable[[Words, Call], int]:
    """A reader of one of create's numbers, which must not be given twice."""

    def read(words: Words, call: Call) -> int:
        if call.bound.get(call.keyword):
            raise PybpftoolError(f"{what} already specified")
        return read_number(words, what)

    return read


def _read_device(words: Words, call: Call) -> int:
    from ..kernel.netdev import ifindex

    if call.keyword == "dev":
        options = call.options
        options.warn(
            f"Warning: '{options.prog} map create [...] dev <ifname>' syntax is deprecated.\n"
            "Going further, please use 'offload_dev <ifname>' to request hardware offload for "
            "the map."
        )
    if call.bound.get("dev") or call.bound.get("offload_dev"):
        raise PybpftoolError("offload device already specified")
    word = words.take()
    with during(f"unrecognized netdevice '{word}'"):
        return ifindex(word)


def _read_inner(words: Words, call: Call) -> Map:
    if len(words) < 2:
        raise Misuse(f"'{words.last}' needs at least 2 arguments, {len(words)} found")
    return _read_map(words, call)


def _read_map(words: Words, call: Call) -> Map:
    opened: Map = MAP.read(words, call)
    return opened


# ------------------------------------------------------------------ DATA


def _read_key(words: Words, call: Call) -> bytes:
    shape = _shape(call)
    if "key" in call.bound:
        raise PybpftoolError("duplicate key")
    if not shape.key_size and call.row.run not in (getnext, delete):
        raise PybpftoolError("unnecessary key")
    if is_typed(words, shape.key_size, bool(call.bound["map"].info.btf_key_type_id)):
        from ..entries.typed import encoder_of, typed_entries

        typed = typed_entries(call.bound["map"].info)
        encoder = encoder_of(typed.key if typed else None, "key", shape.key_size)
        return encoder.one(read_typed(words, "key"), "key")
    return read_bytes(words, "key", shape.key_size)


def _no_key(call: Call) -> None:
    if _shape(call).key_size or call.row.run is delete:
        raise PybpftoolError("did not find key")


def _read_value(words: Words, call: Call) -> bytes | Handle | Given:
    shape = _shape(call)
    info = call.bound["map"].info
    if "value" in call.bound:
        raise PybpftoolError("duplicate value")
    if not shape.value_size:
        raise PybpftoolError("unnecessary value")
    if not (shape.of_maps or shape.of_progs):
        if is_typed(words, shape.value_size, bool(info.btf_value_type_id)):
            from ..entries.typed import Given, typed_entries

            return Given(read_typed(words, "value"), typed_entries(info), shape)
        return shape.spread(read_bytes(words, "value", shape.value_size))
    kind = "map in map" if shape.of_maps else "map of progs"
    if shape.value_size != 4:
        raise PybpftoolError(f"value smaller than 4B for {kind}?")
    if is_typed(words, 4, False):
        from ..entries.references import opened
        from ..kernel.handles import Map, Prog

        return opened(Map if shape.of_maps else Prog, read_typed(words, "value"), "value")
    if len(words) < 2:
        raise PybpftoolError(f"not enough value arguments for {kind}")
    if shape.of_maps:
        return _read_map(words, call)
    if "id".startswith(words.next or ""):
        call.options.warn(
            "Warning: updating program array via MAP_ID, make sure this map is kept open\n"
            "         by some process or pinned otherwise update will be lost"
        )
    program: Prog = PROG.read(words, call)
    return program


def _no_value(call: Call) -> None:
    if "key" not in call.bound:
        _no_key(call)  # push names no key, but in a map with keys that is what is missed first
    if _shape(call).value_size:
        raise PybpftoolError("did not find value")


def _shape(call: Call) -> Shape:
    return Shape.of(call.bound["map"].info)


def _read_flags(words: Words, call: Call) -> int:
    word = words.take()
    if "update_flags" in call.bound:
        raise PybpftoolError(f"flags specified multiple times: {word}")
    return next(flag for name, flag in _FLAGS if name.startswith(word))


_FLAGS = (("any", 0), ("noexist", 1), ("exist", 2))
"""UPDATE_FLAGS in the order their abbreviations are tried (uapi/linux/bpf.h)."""


def _stray(word: str) -> str:
    """What to say to a word where only other words of an entry are expected."""
    for name in ("key", "value"):
        if name.startswith(word):
            return f"unnecessary {name}"
    if any(name.startswith(word) for name, _ in _FLAGS):
        return f"flags specified multiple times: {word}"
    return f"expected key or value, got: {word}"


# ------------------------------------------------------------------ entries


def update(
    options: Options,
    map: Map,
    key: bytes | None = None,
    value: bytes | Handle | Given | None = None,
    update_flags: int = 0,
) -> One:
    """Set the value of a key.

    UPDATE_FLAGS: any (the default) sets or replaces, exist replaces only, noexist adds only.
    JSON names fields where the map has BTF: those that an existing value has besides stay as they
    are (it is read, changed and written: what others write in between is lost), those of a new one
    are zero.
    """
    from ..kernel import calls
    from ..kernel.handles import Handle

    data = value if isinstance(value, bytes) else None
    with during("update failed", leak=True):
        if value is not None and not isinstance(value, bytes):
            if not isinstance(value, Handle):
                value.write(map, key, update_flags)
                return NOTHING
            # a map or program goes in as the number of its descriptor
            data = index(value).to_bytes(4, sys.byteorder)
        calls.map_update(map, key, data, update_flags)
    return NOTHING


def lookup(options: Options, map: Map, key: bytes | None = None) -> One | Bulk:
    """Show the value of a key (of a queue or stack, the value that would be popped)."""
    from ..kernel import calls

    shape = Shape.of(map.info)
    with during("lookup failed", leak=True):
        value = calls.map_lookup(map, key, shape.width)
    if value is None:
        text = f"key:\n{block(key or b'')}\n\nNot found\n"
        return One(None, text, status=errno_status(errno.ENOENT))
    return _entry(map, key, value)


def getnext(options: Options, map: Map, key: bytes | None = None) -> One:
    """Show the key after a key, or the first one."""
    from ..kernel import calls

    with during("can't get next key", leak=True):
        following = calls.map_next_key(map, key, map.info.key_size)
        if following is None:
            raise KernelError(errno.ENOENT, "")

    def plain(record: Record) -> str:
        first = f"key:\n{block(key)}\n" if key is not None else "key: None\n"
        return f"{first}next key:\n{block(following)}\n"

    return One(
        {"key": None if key is None else _spelled(key), "next_key": _spelled(following)}, plain
    )


def _spelled(data: bytes) -> list[str]:
    return [f"0x{byte:02x}" for byte in data]


def delete(options: Options, map: Map, key: bytes) -> One:
    """Remove a key."""
    from ..kernel import calls

    with during("delete failed", leak=True):
        calls.map_delete(map, key)
    return NOTHING


def pop(options: Options, map: Map) -> One | Bulk:
    """Take the next value off a queue or stack and show it."""
    from ..kernel import calls

    shape = Shape.of(map.info)
    if shape.key_size:
        raise PybpftoolError(f"a map of type {shape.type} has no next value to pop")
    with during("pop failed", leak=True):
        value = calls.map_lookup_and_delete(map, None, shape.width)
    if value is None:
        return One(None, "Error: empty map\n", status=errno_status(errno.ENOENT))
    return _entry(map, None, value)


def freeze(options: Options, map: Map) -> One:
    """Make a map read-only for processes, for good; BPF programs may still write it."""
    from ..kernel import calls

    with during("failed to freeze map", leak=True):
        calls.map_freeze(map)
    return NOTHING


def pin(options: Options, map: Map, file: str) -> One:
    """Pin a map to FILE, which must lie in a bpf file system."""
    from ..kernel import bpffs

    bpffs.pin(map, file, options.nomount)
    return NOTHING


def _entry(map: Map, key: bytes | None, value: bytes) -> Bulk:
    """One entry by itself."""
    from ..entries.typed import typed_entries

    typed = typed_entries(map.info)
    shape = Shape.of(map.info)
    end = "\n" if typed else ""

    def chunks(form: str, depth: int) -> Iterator[str]:
        yield entry_printer(shape, typed, form, depth).many(key or b"", value, 1)
        yield end if form == PLAIN else ""

    return Bulk(chunks)


# ------------------------------------------------------------------ dump


def dump(
    options: Options, map: list[Map], limit: int | None = None, recursive: bool = False
) -> Bulk:
    """Show all entries of a map, by BTF type where the map has one.

    A name that several maps bear dumps each of them.  limit: the first N entries of each, of
    which the rest is not read.  recursive: below each entry of a map of maps those of the map in
    it.
    """
    from ..entries.listing import Listing
    from ..entries.typed import typed_entries

    typed = [typed_entries(opened.info) for opened in map]
    shapes = [Shape.of(opened.info) for opened in map]
    for shape in shapes:
        if shape.type == "reuseport_sockarray" and shape.value_size != 8:
            options.warn(f"Warning: cannot read values from {shape.type} map with value_size != 8")
    dumped = list(zip(map, shapes, typed, strict=True))
    listing = Listing(dumped, _identity, _header, limit, recursive)

    def chunks(form: str, depth: int) -> Iterator[str]:
        if form == PLAIN and not all(typed):
            return listing.lines()
        return listing.document(form, depth)

    return Bulk(chunks)


def _read_limit(words: Words, call: Call) -> int:
    return read_number(words, "limit")


# ------------------------------------------------------------------ entries as lines


def export(options: Options, map: Map, file: str | None = None) -> Bulk | One:
    """Write the entries of a map as lines of JSON that import reads.

    The first line tells what kind of map it is, with its BTF.  Without FILE they go to standard
    output; a FILE is written whole or not at all.
    """
    from ..entries.exchange import exported, joined

    lines = exported(map)
    if file is None:
        return Bulk(lambda form, depth: joined(lines, form, depth))
    from ..output.whole_file import WholeFile

    count = -1  # the header is no entry
    with during(f"can't write {file}"):
        whole = WholeFile(file)
    with whole:
        for some in lines:
            count += len(some)
            text = "\n".join(some) + "\n"
            with during(f"can't write {file}"):
                whole.stream.write(text.encode("utf-8", "surrogateescape"))
        with during(f"can't write {file}"):
            whole.keep()
    return One({"entries": count}, "")


def import_(
    options: Options,
    target: Map | str,
    file: str,
    update_flags: int = 0,
    dry_run: bool = False,
) -> One:
    """Write the entries of an export into a map, or into a new one pinned to PATH.

    FILE - is standard input.  A line that is no entry of the map, or that the kernel refuses,
    ends it: the entries before it are in; a new map is then not kept.  dry_run reads all and
    changes nothing.
    """
    from ..entries.exchange import fill, make
    from ..entries.lines import Lines

    with during(f"can't read {file}"):
        source = sys.stdin.buffer if file == "-" else open(file, "rb")  # noqa: SIM115 - closed below
    try:
        lines = Lines(source)
        header = lines.header()
        if isinstance(target, str):
            count = make(target, options.nomount, header, lines, dry_run)
        else:
            count = fill(target, header, lines, update_flags, dry_run)
    finally:
        if file != "-":
            source.close()
    return One(
        {"entries": count, "dry_run": dry_run},
        f"{count} entries {'are fine' if dry_run else 'in'}\n",
    )


def diff(options: Options, map: Map, other: Map | str) -> Many:
    """Show what differs between a map and another one, or an export: what would have to be added,
    removed and changed for the first to become the second.

    On a terminal a line each, elsewhere JSON lines.  The exit status is 0 whether they differ or
    not.
    """
    from ..entries import changes
    from ..entries.lines import Lines
    from ..entries.typed import typed_entries

    shape = Shape.of(map.info)
    typed = typed_entries(map.info)
    if not isinstance(other, str):
        changes.same_shape(shape, Shape.of(other.info))
        told = changes.Told(shape, typed or typed_entries(other.info))
        return Many(changes.between_maps(map, other, shape, told), _line, terminal=_painted)

    def records() -> Iterator[Record]:
        with during(f"can't read {other}"), open(other, "rb") as file:
            lines = Lines(file)
            header = lines.header()
            if header:
                changes.same_shape(shape, header.shape)
            types = typed or (header.typed if header else None)
            lines.of_entries(shape)
            told = changes.Told(shape, types)
            yield from changes.from_map_to_lines(map, lines, shape, types, told)

    return Many(records(), _line, terminal=_painted)


def watch(options: Options, map: Map, interval: float = 1.0) -> Many:
    """Show what is added, removed and changed in a map, until interrupted.

    The map is looked at every S seconds, 1 if not given.  On a terminal a line each, elsewhere
    JSON lines.
    """
    from ..entries import changes
    from ..entries.typed import typed_entries

    shape = Shape.of(map.info)
    told = changes.Told(shape, typed_entries(map.info))
    records = changes.over_time(map, shape, told, interval)
    return Many(records, _line, flush=True, terminal=_painted)


def _line(record: Record) -> str:
    return dumps(record) + "\n"


def _painted(record: Record) -> str:
    """A change as a line for a terminal."""
    from ..entries.changes import plain
    from ..output.paint import GREEN, RED, YELLOW, painted

    colour = {"added": GREEN, "removed": RED, "changed": YELLOW}[record["change"]]
    return painted(plain(record), colour) + "\n"


def _read_target(words: Words, call: Call) -> Map | str:
    """A map, or the path of one to be made: any word that is not how a handle begins."""
    return _read_map(words, call) if words.next in ("id", "name", "pinned") else words.take()


def _read_other(words: Words, call: Call) -> Map | str:
    """A map, or the path of an export behind its keyword."""
    if words.next != "file":
        return _read_map(words, call)
    words.take()
    return words.take()


def _read_interval(words: Words, call: Call) -> float:
    word = words.take()
    try:
        seconds = float(word)
    except ValueError:
        seconds = 0.0
    if not 0.0 < seconds <= _LONGEST:
        raise PybpftoolError(f"can't parse {word} as interval")
    return seconds


_LONGEST = 86400.0 * 365


def _no_file(call: Call) -> str:
    raise PybpftoolError("did not find file")


# ------------------------------------------------------------------ event_pipe


def event_pipe(
    options: Options,
    map: Map,
    cpu: int | None = None,
    index: int | None = None,
    type: str | None = None,
    file: str | None = None,
) -> Many:
    """Read events that BPF programs send through a perf event array or ring buffer, until
    interrupted.

    Of a perf event array events of all CPUs are read by default; cpu N index M takes those of one
    CPU, through that index of the map.  A record of a ring buffer goes to one reader only: what is
    read here is taken from the program that would read it otherwise.

    With type the bytes of each event are shown as a value of that type, and every event is one
    line of JSON.  The type is looked up in the BTF of FILE, or in that of the map, of the programs
    that use it and of the kernel.
    """
    from ..kernel import perf, ringbuf

    ring = Shape.of(map.info).type == "ringbuf"
    if (cpu is None) != (index is None):
        raise PybpftoolError("cpu and index must be specified together")
    if ring and cpu is not None:
        raise PybpftoolError("a ring buffer is one for all CPUs: it has no cpu and index")
    reader = _event_reader(options, map, type, file)
    found = (
        ringbuf.events(map, options.warn) if ring else perf.events(map, cpu, index, options.warn)
    )
    if reader is None:
        return Many(found, _ring_record if ring else _event, flush=True)
    from ..entries.events import typed_events

    return Many(typed_events(found, reader), _line, flush=True)


def _event_reader(options: Options, map: Map, type: str | None, file: str | None) -> Reader | None:
    if type is None:
        if file is not None:
            raise PybpftoolError("file is where to look a type up: it needs 'type NAME'")
        return None
    from ..entries.events import event_reader
    from ..sources import btf_of_file

    if file is None:
        return event_reader(map, type)
    what = f"failed to load BTF from {file}"
    try:
        with during(what):
            btf = btf_of_file(file, options.base_btf)
    except BadData as error:
        raise PybpftoolError(f"{what}: {error}") from error
    return event_reader(map, type, btf)


def _read_event_map(words: Words, call: Call) -> Map:
    opened = _read_map(words, call)
    if Shape.of(opened.info).type not in ("perf_event_array", "ringbuf"):
        raise PybpftoolError("map is not a perf event array")
    return opened


def _read_index(what: str) -> Callable[[Words, Call], int]:
    """A reader of a number whose absence is told as a misplaced keyword."""

    def read(words: Words, call: Call) -> int:
        if not len(words):
            raise PybpftoolError(f"what is '{words.last}'?")
        return read_number(words, what)

    return read


def _event(record: Record) -> str:
    """A sample, or a note that some were lost."""
    if record["type"] == _SAMPLE:
        seconds, rest = divmod(record["timestamp"], 10**9)
        return (
            f"== @{seconds}.{rest:09} CPU: {record['cpu']} index: {record['index']} =====\n"
            f"{block(bytes(record['data']))}\n"
        )
    if "lost" in record:
        return f"lost {record['lost']['count']} events\n"
    return f"unknown event type={record['type']} size={record['size']}\n"


def _ring_record(record: Record) -> str:
    """A record of a ring buffer."""
    data = bytes(record["data"])
    return f"== {len(data)} bytes =====\n{block(data)}\n"


_SAMPLE = 9
"""PERF_RECORD_SAMPLE (uapi/linux/perf_event.h)."""


# ------------------------------------------------------------------ rows

DATA = Place("DATA", _read_key, definition="{ [hex] BYTES | JSON }", absent=_no_key)
EVENT_MAP = Place("MAP", _read_event_map)
VALUE = Place("VALUE", _read_value, definition="{ DATA | MAP | PROG }", absent=_no_value)
UPDATE_FLAGS = Place("UPDATE_FLAGS", _read_flags, definition="{ any | exist | noexist }")
TARGET = Place("TARGET", _read_target, definition="{ MAP | PATH }")
OTHER = Place("OTHER", _read_other, definition="{ MAP | file FILE }")
TYPE = Place(
    "TYPE",
    _read_type,
    definition="""\
{ hash | array | prog_array | perf_event_array | percpu_hash |
                 percpu_array | stack_trace | cgroup_array | lru_hash |
                 lru_percpu_hash | lpm_trie | array_of_maps | hash_of_maps |
                 devmap | devmap_hash | sockmap | cpumap | xskmap | sockhash |
                 cgroup_storage | reuseport_sockarray | percpu_cgroup_storage |
                 queue | stack | sk_storage | struct_ops | ringbuf | inode_storage |
                 task_storage | bloom_filter | user_ringbuf | cgrp_storage | arena |
                 insn_array | rhash }""",
)
_NEW_MAP = (
    FILE,
    TYPE,
    Place("KEY_SIZE", _sized("key size")),
    Place("VALUE_SIZE", _sized("value size")),
    Place("MAX_ENTRIES", _sized("max entries")),
    Place("name NAME", read_word),
    Place("FLAGS", _sized("flags")),
    Place("MAP", _read_inner),
    Place("NAME", _read_device),
)

OBJECT = Object(
    "map",
    (
        Command(
            "{ show | list }   [MAP]", show, (MAP,), words=(0, 2), wrong=WHAT, access="read each"
        ),
        Command(
            """\
create     FILE type TYPE key KEY_SIZE value VALUE_SIZE \\
                                  entries MAX_ENTRIES name NAME [flags FLAGS] \\
                                  [inner_map MAP] [offload_dev NAME]""",
            create,
            _NEW_MAP,
            hidden="[dev NAME]",
            words=7,
            wrong=NEEDS,
            extra="unknown arg {}".format,
            pairs=True,
        ),
        Command(
            "dump       MAP [limit N] [recursive]",
            dump,
            (MAP, Place("N", _read_limit)),
            words=(2, 3, 4, 5),
            extra=HELP,
            access="read each",
        ),
        Command(
            "update     MAP [key DATA] [value VALUE] [UPDATE_FLAGS]",
            update,
            (MAP, DATA, VALUE, UPDATE_FLAGS),
            words=2,
            extra=_stray,
            access="write",
        ),
        Command("lookup     MAP [key DATA]", lookup, (MAP, DATA), words=2, extra=_stray),
        Command(
            "getnext    MAP [key DATA]",
            getnext,
            (MAP, Place("DATA", _read_key)),
            words=2,
            extra=_stray,
        ),
        Command(
            "delete     MAP  key DATA", delete, (MAP, DATA), words=2, extra=_stray, access="write"
        ),
        Command(
            "pin        MAP  FILE",
            pin,
            (MAP, FILE),
            words=3,
            wrong=NEEDS,
            status=errno_status(errno.EINVAL),
            extra=IGNORE,
        ),
        Command(
            "event_pipe MAP [cpu N index M] [type NAME [file FILE]]",
            event_pipe,
            (
                EVENT_MAP,
                Place("N", _read_index("CPU ID")),
                Place("M", _read_index("index")),
                Place("NAME", read_word),
                FILE,
            ),
            access="write",
        ),
        Command("peek       MAP", lookup, (MAP, DATA), hidden="[key DATA]", words=2, extra=_stray),
        Command(
            "push       MAP value VALUE",
            update,
            (MAP, DATA, VALUE, UPDATE_FLAGS),
            hidden="[key DATA] [UPDATE_FLAGS]",
            words=2,
            extra=_stray,
            access="write",
        ),
        Command("pop        MAP", pop, (MAP,), words=2, extra=IGNORE, access="write"),
        Command(
            "enqueue    MAP value VALUE",
            update,
            (MAP, DATA, VALUE, UPDATE_FLAGS),
            hidden="[key DATA] [UPDATE_FLAGS]",
            words=2,
            extra=_stray,
            access="write",
        ),
        Command("dequeue    MAP", pop, (MAP,), words=2, extra=IGNORE, access="write"),
        Command("freeze     MAP", freeze, (MAP,), words=2, wrong=NEEDS, access="write"),
        Command("export     MAP [file FILE]", export, (MAP, FILE), words=2, wrong=NEEDS),
        Command(
            "import     TARGET file FILE [UPDATE_FLAGS] [dry_run]",
            import_,
            (TARGET, Place("FILE", read_word, absent=_no_file), UPDATE_FLAGS),
            words=3,
            wrong=NEEDS,
            access="write",
        ),
        Command("diff       MAP OTHER", diff, (MAP, OTHER), words=4, wrong=NEEDS),
        Command(
            "watch      MAP [interval S]",
            watch,
            (MAP, Place("S", _read_interval)),
            words=2,
            wrong=NEEDS,
        ),
        Command("help"),
    ),
    (MAP, DATA, PROG, VALUE, UPDATE_FLAGS, TARGET, OTHER, TYPE),
    options="{-f|--bpffs} | {-n|--nomount}",
    summary=__doc__ or "",
)
