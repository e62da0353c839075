"""Entries as lines of JSON, in and out, and how two maps differ."""

from __future__ import annotations

import sys

from ...command import Bulk, Many, One
from ...entries.shape import Shape
from ...errors import PybpftoolError, during
from ...output.json_writer import dumps
from .elements import read_map

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from ...command import Call, Options, Record, Words
    from ...kernel.handles import Map
    from ...output.paint import Paint


def export(options: Options, map: Map, file: str | None = None) -> Bulk | One:
    """Write the entries of a map as lines of JSON that import reads.

    The first line tells what kind of map it is, with its BTF.  Without FILE they go to standard
    output; a FILE is written whole or not at all.
    """
    from ...entries.exchange import exported, joined

    lines = exported(map)
    if file is None:
        return Bulk(lambda form, depth: joined(lines, form, depth))
    from ...output.whole_file import WholeFile

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
    from ...entries.exchange import fill, make
    from ...entries.lines import Lines

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
    from ...entries import changes
    from ...entries.lines import Lines
    from ...entries.typed import typed_entries

    shape = Shape.of(map.info)
    typed = typed_entries(map.info)
    if not isinstance(other, str):
        changes.same_shape(shape, Shape.of(other.info))
        told = changes.Told(shape, typed or typed_entries(other.info))
        return Many(changes.between_maps(map, other, shape, told), line, terminal=_painted)

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

    return Many(records(), line, terminal=_painted)


def watch(options: Options, map: Map, interval: float = 1.0) -> Many:
    """Show what is added, removed and changed in a map, until interrupted.

    The map is looked at every S seconds, 1 if not given.  On a terminal a line each, elsewhere
    JSON lines.
    """
    from ...entries import changes
    from ...entries.typed import typed_entries

    shape = Shape.of(map.info)
    told = changes.Told(shape, typed_entries(map.info))
    records = changes.over_time(map, shape, told, interval)
    return Many(records, line, flush=True, terminal=_painted)


def line(record: Record) -> str:
    return dumps(record) + "\n"


def _painted(record: Record, paint: Paint) -> str:
    """A change as a line for a terminal."""
    from ...entries.changes import plain
    from ...output.paint import GREEN, RED, YELLOW

    colour = {"added": GREEN, "removed": RED, "changed": YELLOW}[record["change"]]
    return paint(plain(record), colour) + "\n"


def read_target(words: Words, call: Call) -> Map | str:
    """A map, or the path of one to be made: any word that is not how a handle begins."""
    return read_map(words, call) if words.next in ("id", "name", "pinned") else words.take()


def read_other(words: Words, call: Call) -> Map | str:
    """A map, or the path of an export behind its keyword."""
    if words.next != "file":
        return read_map(words, call)
    words.take()
    return words.take()


def read_interval(words: Words, call: Call) -> float:
    word = words.take()
    try:
        seconds = float(word)
    except ValueError:
        seconds = 0.0
    if not 0.0 < seconds <= _LONGEST:
        raise PybpftoolError(f"can't parse {word} as interval")
    return seconds


_LONGEST = 86400.0 * 365


def no_file(call: Call) -> str:
    raise PybpftoolError("did not find file")
