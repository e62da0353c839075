"""Lines that change a map: run by each tool on a map of its own, they leave the same behind."""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import NamedTuple

import pytest

from pybpftool.kernel import calls, proc
from pybpftool.kernel.handles import Map, Prog
from pybpftool.kernel.words import MAP_TYPES
from tests.live.compare import Both, difference, ours
from tests.live.zoo import (
    KINDS,
    SCHED_CLS,
    TOKEN,
    Kind,
    full_name,
    hashed,
    indexed,
    made,
    per_cpu,
    u32,
)
from tests.support.live import RETURN_0
from tests.support.run import Ended

EMPTY = Kind("empty", "hash", 4, 4)
FULL = Kind("full", "hash", 2, 1, entries=2, fill=lambda stack: [(b"ab", b"x"), (b"cd", b"y")])
WIDE = Kind("wide", "hash", 1, 12, fill=hashed(1, 12))
ARRAY = Kind("arr", "array", 4, 3, fill=indexed(3))
PERCPU = Kind("pcpu", "percpu_hash", 2, 5, fill=per_cpu(5, [b"kk"]))
QUEUE, STACK, BLOOM = KINDS["queue"], KINDS["stack"], Kind("bloom", "bloom_filter", 0, 2)
OUTER, PROGS, TYPED = KINDS["hom"], KINDS["progs"], KINDS["t_int"]

CASES: list[tuple[Kind, str]] = [
    (EMPTY, "map update pinned {path} key 1 2 3 4 value 5 6 7 8"),
    (EMPTY, "map u p {path} k hex a b c d v h 0x1 2 3 4"),
    (EMPTY, "map update pinned {path} value 1 2 3 4 key 010 0x10 300 0xfff any"),
    (EMPTY, "map update pinned {path} noexist key 1 2 3 4 value 1 2 3 4"),
    (EMPTY, "map update pinned {path} key '' 1 2 3 4 value 1 2 3 4 ''"),
    (EMPTY, "map update pinned {path} e key 1 2 3 4 value 1 2 3 4"),
    (EMPTY, "map update pinned {path} key 1 2 3 4 value 1 2 3 4 n"),
    (EMPTY, "map push pinned {path} key 1 2 3 4 value 1 2 3 4"),
    (EMPTY, "-- map update pinned {path} key -1 -2 -3 -4 value 1 2 3 4"),
    (EMPTY, "map update name {name} key 1 2 3 4 value 5 6 7 8"),
    (FULL, "map update pinned {path} key 97 98 value 9"),
    (FULL, "map update pinned {path} key 97 98 value 9 exist"),
    (FULL, "map update pinned {path} key 97 98 value 9 noexist"),
    (FULL, "map update pinned {path} key 1 1 value 9"),
    (FULL, "map update pinned {path} key 1 1 value 9 exist"),
    (FULL, "map delete pinned {path} key 97 98"),
    (FULL, "map delete pinned {path} key hex 61 62"),
    (FULL, "map delete pinned {path} key 1 1"),
    (FULL, "map de p {path} k 97 98"),
    (FULL, "map freeze pinned {path}"),
    (WIDE, "map update pinned {path} key 62 value 1 2 3 4 5 6 7 8 9 10 11 12"),
    (ARRAY, "map update pinned {path} key 1 0 0 0 value 7 8 9"),
    (ARRAY, "map update pinned {path} key 1 0 0 0 value 7 8 9 noexist"),
    (ARRAY, "map delete pinned {path} key 1 0 0 0"),
    (ARRAY, "map freeze pinned {path}"),
    (PERCPU, "map update pinned {path} key 107 107 value 1 2 3 4 5"),
    (PERCPU, "map update pinned {path} key 1 2 value 1 2 3 4 5"),
    (PERCPU, "map delete pinned {path} key 107 107"),
    (QUEUE, "map push pinned {path} value 1 2 3 4"),
    (QUEUE, "map enqueue pinned {path} value 1 2 3 4"),
    (QUEUE, "map update pinned {path} value hex 1 2 3 4"),
    (QUEUE, "map pop pinned {path}"),
    (QUEUE, "map dequeue pinned {path}"),
    (QUEUE, "map dequeue pinned {path} whatever else"),
    (QUEUE, "map peek pinned {path}"),
    (QUEUE, "map delete pinned {path} key"),
    (QUEUE, "map getnext pinned {path} key"),
    (STACK, "map push pinned {path} value 1 2 3 4 5 6 7 8"),
    (STACK, "map pop pinned {path}"),
    (STACK, "map peek pinned {path}"),
    (BLOOM, "map push pinned {path} value 1 2"),
    (OUTER, "map update pinned {path} key 7 0 0 0 value pinned {inner}"),
    (OUTER, "map update pinned {path} key 9 0 0 0 value id {inner_id}"),
    (OUTER, "map update pinned {path} key 9 0 0 0 value name {inner_name} noexist"),
    (OUTER, "map delete pinned {path} key 7 0 0 0"),
    (PROGS, "map update pinned {path} key 1 0 0 0 value pinned {prog}"),
    (PROGS, "map update pinned {path} key 1 0 0 0 value id {prog_id}"),
    (PROGS, "map update pinned {path} key 1 0 0 0 value tag {tag}"),
    (PROGS, "map update pinned {path} key 1 0 0 0 value name {prog_name}"),
    (PROGS, "map delete pinned {path} key 0 0 0 0"),
    (TYPED, "map update pinned {path} key 0 0 0 0 value 1 0 0 0"),
    (TYPED, "map freeze pinned {path}"),
    (EMPTY, "map pin pinned {path} {new}"),
    (EMPTY, "map pin id {id} {new} and more words"),
    (EMPTY, "map pin name {name} {new} -n"),
    (EMPTY, "map create {new} type hash key 4 value 8 entries 16 name {token}_new"),
    (EMPTY, "map c {new} n {token}_new e 0x10 v 010 k 4 t lru_hash"),
    (EMPTY, "map create {new} type array key 4 value 8 entries 1 name {token}_r flags 0x80"),
    (EMPTY, "map create {new} type ringbuf key 0 value 0 entries 4096 name {token}_ring"),
    (EMPTY, "map create {new} type queue key 0 value 4 entries 2 name {token}_q key 0"),
    (EMPTY, "map create {new} type hash key 4 value 4 entries 1 name {token}_0123456789abc"),
    (
        EMPTY,
        "map create {new} type hash_of_maps key 4 value 4 entries 2 name {token}_o"
        " inner_map pinned {path}",
    ),
    (
        EMPTY,
        "map create {new} type array_of_maps key 4 value 4 entries 2 name {token}_o"
        " i name {inner_name} f 0",
    ),
    (EMPTY, "map create {new} type hash key 4 value 4 entries 1 name ''"),
]


@pytest.fixture(scope="module")
def things(bpffs: str) -> Iterator[dict[str, str]]:
    """What can be put into maps: an inner map and a program."""
    with ExitStack() as stack:
        place = os.path.join(bpffs, "things")
        os.mkdir(place)
        stack.callback(os.rmdir, place)
        inner = stack.enter_context(made(Kind("inner", "array", 4, 4, entries=1), place))
        # not like any other: its tag is to find it
        code = RETURN_0[:4] + u32(os.getpid()) + RETURN_0[8:]
        fd = stack.enter_context(calls.prog_load(SCHED_CLS, code, name=full_name("thing")))
        prog = Prog(fd)
        path = os.path.join(place, "prog")
        calls.obj_pin(fd, path)
        stack.callback(os.unlink, path)
        yield {
            "inner": inner.path,
            "inner_id": str(inner.id),
            "inner_name": inner.name,
            "prog": path,
            "prog_id": str(prog.info.id),
            "prog_name": prog.info.name,
            "tag": prog.info.tag.hex(),
            "token": TOKEN,
        }


class Left(NamedTuple):
    """What a line left behind."""

    ended: Ended
    entries: dict[bytes, bytes]
    rest: list[bytes]
    frozen: str | None
    created: dict[str, object]
    map_type: str


def left_by(tool: Callable[..., Ended], words: list[str], map: Map, new: str) -> Left:
    ended = tool(*words)
    info = map.info
    kind = MAP_TYPES[info.type]
    rest: list[bytes] = []
    entries: dict[bytes, bytes] = {}
    if info.key_size:
        width = info.value_size
        if "percpu" in kind:
            width = (width + 7 & ~7) * proc.possible_cpus()
        key = calls.map_next_key(map, None, info.key_size)
        while key is not None:
            entries[key] = calls.map_lookup(map, key, width) or b""
            key = calls.map_next_key(map, key, info.key_size)
    elif kind in ("queue", "stack"):
        while (value := calls.map_lookup_and_delete(map, None, info.value_size)) is not None:
            rest.append(value)
    return Left(ended, entries, rest, proc.fdinfo(map).get("frozen"), _created(new), kind)


def _created(new: str) -> dict[str, object]:
    """The map that is now pinned at ``new``, without what is its alone."""
    if not os.path.exists(new):
        return {}
    with Map.pinned(new) as map:
        os.unlink(new)
        return {name: value for name, value in vars(map.info).items() if name != "id"}


def without_own_ids(left: Left, things: dict[str, str]) -> tuple[object, ...]:
    """What is left to compare; of an id in a map only whether it is that of ``things``."""
    entries = left.entries
    thing = {"hash_of_maps": "inner_id", "prog_array": "prog_id"}.get(left.map_type)
    if thing:
        shared = u32(int(things[thing]))
        entries = {
            key: value and (b"shared" if value == shared else b"own")
            for key, value in entries.items()
        }
    return (entries, *left[2:])


@pytest.mark.parametrize("form", ["", "-j "], ids=["plain", "json"])
@pytest.mark.parametrize(("kind", "line"), CASES, ids=[line for _, line in CASES])
def test_same_change(
    kind: Kind, line: str, form: str, both: Both, pins: str, things: dict[str, str]
) -> None:
    new = os.path.join(pins, "new")
    found = []
    for tool in (ours, both.reference):
        with made(kind, pins) as map, Map.by_id(map.id) as opened:
            names = {"path": map.path, "id": str(map.id), "name": map.name, "new": new}
            words = shlex.split(form + line.format(**names, **things))
            found.append(left_by(tool, words, opened, new))
    mine, theirs = found
    problem = difference(words, mine.ended, theirs.ended, both.reference)
    assert not problem, problem
    assert without_own_ids(mine, things) == without_own_ids(theirs, things)


def test_seed_walk(both: Both, pins: str) -> None:
    """One map, from its creation to its end."""
    path = os.path.join(pins, "stats_map")
    name = f"{TOKEN}_stats"
    lines = f"""
        map create {path} type hash key 2 value 2 entries 8 name {name}
        map show pinned {path}
        map update pinned {path} key 0xc1 0xc2 value 0xa1 0xa2
        map dump pinned {path}
        map lookup pinned {path} key 0xc1 0xc2
        map getnext pinned {path}
        map getnext pinned {path} key 0xc1 0xc2
        map update pinned {path} key hex c1 c3 value hex a3 a4
        map delete pinned {path} key 0xc1 0xc2
        map lookup pinned {path} key 0xc1 0xc2
        map dump pinned {path}
    """.strip().splitlines()
    for form in ([], ["-j"], ["-p"]):
        ends = []
        for tool in (ours, both.reference):
            ends.append([tool(*line.split(), *form) for line in lines])
            with Map.pinned(path) as map:
                number = map.info.id
            os.unlink(path)
            for ended in ends[-1]:  # the map has a new id in each walk
                ended.out = ended.out.replace(f"{number}:", "7:").replace(f"{number},", "7,")
        for line, mine, theirs in zip(lines, *ends, strict=True):
            problem = difference(line.split(), mine, theirs, both.reference)
            assert not problem, problem
    plain = [ours(*line.split()) for line in lines]
    os.unlink(path)
    assert plain[3].out == "key: c1 c2  value: a1 a2\nFound 1 element\n"
    assert plain[-1].out == "key: c1 c3  value: a3 a4\nFound 1 element\n"
    assert plain[-2].status == 254
