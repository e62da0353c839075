"""The entries of a map: the words that name one, the commands on one, the dump of all."""

from __future__ import annotations

import errno
import sys
from operator import index

from ...command import NOTHING, PLAIN, Bulk, One
from ...entries.shape import Shape
from ...entries.words import is_typed, read_bytes, read_typed
from ...errors import KernelError, PybpftoolError, during, errno_status
from ...output.hexdump import block
from ...places import MAP, PROG, read_number
from .listing import header, identity

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from ...command import Call, Options, Record, Words
    from ...entries.typed import Given
    from ...kernel.handles import Handle, Map, Prog


def read_map(words: Words, call: Call) -> Map:
    opened: Map = MAP.read(words, call)
    return opened


def read_key(words: Words, call: Call) -> bytes:
    if "key" not in call.bound and not _shape(call).key_size:
        raise PybpftoolError("unnecessary key")
    return read_any_key(words, call)


def read_any_key(words: Words, call: Call) -> bytes:
    """A key, be it one of no bytes."""
    shape = _shape(call)
    if "key" in call.bound:
        raise PybpftoolError("duplicate key")
    if is_typed(words, shape.key_size, bool(call.bound["map"].info.btf_key_type_id)):
        from ...entries.typed import encoder_of, typed_entries

        typed = typed_entries(call.bound["map"].info)
        encoder = encoder_of(typed.key if typed else None, "key", shape.key_size)
        return encoder.one(read_typed(words, "key"), "key")
    return read_bytes(words, "key", shape.key_size)


def no_key(call: Call) -> None:
    if _shape(call).key_size:
        need_key(call)


def need_key(call: Call) -> None:
    raise PybpftoolError("did not find key")


def read_value(words: Words, call: Call) -> bytes | Handle | Given:
    shape = _shape(call)
    info = call.bound["map"].info
    if "value" in call.bound:
        raise PybpftoolError("duplicate value")
    if not shape.value_size:
        raise PybpftoolError("unnecessary value")
    if not (shape.of_maps or shape.of_progs):
        if is_typed(words, shape.value_size, bool(info.btf_value_type_id)):
            from ...entries.typed import Given, typed_entries

            return Given(read_typed(words, "value"), typed_entries(info), shape)
        return shape.spread(read_bytes(words, "value", shape.value_size))
    kind = "map in map" if shape.of_maps else "map of progs"
    if shape.value_size != 4:
        raise PybpftoolError(f"value smaller than 4B for {kind}?")
    if is_typed(words, 4, False):
        from ...entries.references import opened
        from ...kernel.handles import Map, Prog

        return opened(Map if shape.of_maps else Prog, read_typed(words, "value"), "value")
    if len(words) < 2:
        raise PybpftoolError(f"not enough value arguments for {kind}")
    if shape.of_maps:
        return read_map(words, call)
    if "id".startswith(words.next or ""):
        call.options.warn(
            "Warning: updating program array via MAP_ID, make sure this map is kept open\n"
            "         by some process or pinned otherwise update will be lost"
        )
    program: Prog = PROG.read(words, call)
    return program


def no_value(call: Call) -> None:
    if "key" not in call.bound:
        no_key(call)  # push names no key, but in a map with keys that is what is missed first
    if _shape(call).value_size:
        raise PybpftoolError("did not find value")


def _shape(call: Call) -> Shape:
    return Shape.of(call.bound["map"].info)


def read_flags(words: Words, call: Call) -> int:
    word = words.take()
    if "update_flags" in call.bound:
        raise PybpftoolError(f"flags specified multiple times: {word}")
    return next(flag for name, flag in _FLAGS if name.startswith(word))


_FLAGS = (("any", 0), ("noexist", 1), ("exist", 2))
"""UPDATE_FLAGS in the order their abbreviations are tried (uapi/linux/bpf.h)."""


def stray(word: str) -> str:
    """What to say to a word where only other words of an entry are expected."""
    for name in ("key", "value"):
        if name.startswith(word):
            return f"unnecessary {name}"
    if any(name.startswith(word) for name, _ in _FLAGS):
        return f"flags specified multiple times: {word}"
    return f"expected key or value, got: {word}"


# ------------------------------------------------------------------ one entry


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
    from ...kernel import calls
    from ...kernel.handles import Handle

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
    from ...kernel import calls

    shape = Shape.of(map.info)
    with during("lookup failed", leak=True):
        value = calls.map_lookup(map, key, shape.width)
    if value is None:
        text = f"key:\n{block(key or b'')}\n\nNot found\n"
        return One(None, text, status=errno_status(errno.ENOENT))
    return _entry(map, key, value)


def getnext(options: Options, map: Map, key: bytes | None = None) -> One:
    """Show the key after a key, or the first one."""
    from ...kernel import calls

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
    from ...kernel import calls

    with during("delete failed", leak=True):
        calls.map_delete(map, key)
    return NOTHING


def pop(options: Options, map: Map) -> One | Bulk:
    """Take the next value off a queue or stack and show it."""
    from ...kernel import calls

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
    from ...kernel import calls

    with during("failed to freeze map", leak=True):
        calls.map_freeze(map)
    return NOTHING


def pin(options: Options, map: Map, file: str) -> One:
    """Pin a map to FILE, which must lie in a bpf file system."""
    from ...kernel import bpffs

    bpffs.pin(map, file, options.nomount)
    return NOTHING


def _entry(map: Map, key: bytes | None, value: bytes) -> Bulk:
    """One entry by itself."""
    from ...entries.render import entry_printer
    from ...entries.typed import typed_entries

    typed = typed_entries(map.info)
    shape = Shape.of(map.info)
    end = "\n" if typed else ""

    def chunks(form: str, depth: int) -> Iterator[str]:
        yield entry_printer(shape, typed, form, depth).many(key or b"", value, 1)
        yield end if form == PLAIN else ""

    return Bulk(chunks)


# ------------------------------------------------------------------ all entries


def dump(
    options: Options, map: list[Map], limit: int | None = None, recursive: bool = False
) -> Bulk:
    """Show all entries of a map, by BTF type where the map has one.

    A name that several maps bear dumps each of them.  limit: the first N entries of each, of
    which the rest is not read.  recursive: below each entry of a map of maps those of the map in
    it.
    """
    from ...entries.listing import Listing
    from ...entries.typed import typed_entries

    typed = [typed_entries(opened.info) for opened in map]
    shapes = [Shape.of(opened.info) for opened in map]
    for shape in shapes:
        if shape.type == "reuseport_sockarray" and shape.value_size != 8:
            options.warn(f"Warning: cannot read values from {shape.type} map with value_size != 8")
    dumped = list(zip(map, shapes, typed, strict=True))
    listing = Listing(dumped, identity, header, limit, recursive)

    def chunks(form: str, depth: int) -> Iterator[str]:
        if form == PLAIN and not all(typed):
            return listing.lines()
        return listing.document(form, depth)

    return Bulk(chunks)


def read_limit(words: Words, call: Call) -> int:
    return read_number(words, "limit")
