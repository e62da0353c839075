"""Words that make no sense, lines that must fail: both tools say the same and end the same."""

from __future__ import annotations

import os
import shlex
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from pybpftool.kernel import calls
from tests.live.compare import Both
from tests.live.zoo import KINDS, SCHED_CLS, Kind, full_name, hashed, made
from tests.support.live import RETURN_0

MAPS = [
    Kind("h", "hash", 4, 4, fill=hashed(4, 4)),
    Kind("a", "array", 4, 2),
    KINDS["ph4_12"],
    KINDS["queue"],
    KINDS["queue_none"],
    KINDS["bloom"],
    KINDS["aom"],
    KINDS["progs"],
    KINDS["ring"],
    KINDS["events"],
    KINDS["lpm"],
]

LINES = """
map nonsense
nonsense
map show id
map show id {h} extra
map show name
map show nothing
map show id 08
map show id 0x
map show id 4x
map show id ''
map show id 999999999
map show id 4294967296999
map show pinned
map show pinned /nonexistent
map show pinned /
map show pinned /etc/passwd
map show pinned {dir}
map show pinned {prog}
map show pinned {dir}/nothing/there
map show name sixteencharacter
map show '' {h}
map dump
map dump id
map dump id {h} extra
map dump nothing here
map dump pinned {prog}
map lookup
map lookup id
map lookup id 999999999
map lookup id {h}
map lookup id {h} key
map lookup id {h} key 1
map lookup id {h} key 1 2 3
map lookup id {h} key 1 2 3 4
map lookup id {h} key 1 2 3 4 5
map lookup id {h} key 1 2 3 x
map lookup id {h} key 1 2 3 0x
map lookup id {h} key 1 2 3 08
map lookup id {h} key 1 2 3 0xg
map lookup id {h} key hex 1 2 3 g
map lookup id {h} key hex 1 2 3
map lookup id {h} key h 0x1 2 3 4
map lookup id {h} key '' 1 2 3 4
map lookup id {h} key 1 2 value 3 4
map lookup id {h} key 1 2 3 4 key 1 2 3 4
map lookup id {h} key 1 2 3 4 value 1
map lookup id {h} key 1 2 3 4 value 1 2 3 4
map lookup id {h} value 1 2 3 4
map lookup id {h} key 1 2 3 4 any
map lookup id {h} any
map lookup id {h} exist
map lookup id {h} stuff
map lookup id {h} k 300 -- -1 0 0
map lookup id {h} key 1 2 3 -1
map lookup id {a} key 9 0 0 0
map lookup id {queue} key 1 2 3 4
map lookup id {queue} value 1
map lookup id {queue} extra
map lookup id {bloom}
map lookup id {bloom} value 1 2 3 4
map lookup id {ring}
map lookup id {events} key 0 0 0 0
map lookup id {progs} key 1 0 0 0
map lookup id {aom} key 1 0 0 0
map lookup id {ph4_12} key 9 9 9 9
map lookup id {lpm} key 64 0 0 0 1 2 3 4
map getnext
map getnext id {h} key 1
map getnext id {h} key 1 2 3 x
map getnext id {h} value 1 2 3 4
map getnext id {h} key 1 2 3 4 noexist
map getnext id {h} nonsense
map getnext id {queue}
map getnext id {queue} key 1
map getnext id {ring}
map getnext id {bloom}
map update
map update id
map update id {h}
map update id {h} key
map update id {h} key 1
map update id {h} key 1 2 3 4
map update id {h} key 1 2 3 4 value
map update id {h} key 1 2 3 4 value 1
map update id {h} key 1 2 3 4 value 1 2 3 x
map update id {h} value 1 2 3 4
map update id {h} value 1 2 3 4 key 1
map update id {h} value 1 2 3 4 value 1 2 3 4
map update id {h} key 1 2 3 4 key 1 2 3 4
map update id {h} any any
map update id {h} key 1 2 3 4 value 1 2 3 4 any exist
map update id {h} key 1 2 3 4 value 1 2 3 4 nonsense
map update id {h} key 1 2 3 4 value 1 2 3 4 exist
map update id {h} key 37 48 59 70 value 1 2 3 4 noexist
map update id {h} nonsense
map update id {h} any
map update id {a} key 9 0 0 0 value 1 2
map update id {a} key 0 0 0 0 value 1 2 noexist
map update id {ph4_12} key 1 2 3 4 value 1 2 3 4
map update id {queue} key 1 value 1 2 3 4
map update id {queue} value 1
map update id {queue} value
map update id {queue}
map update id {ring} key 1
map update id {ring} value 1
map update id {ring} any
map update id {aom} key 0 0 0 0 value 1 2 3 4
map update id {aom} key 0 0 0 0 value id
map update id {aom} key 0 0 0 0 value
map update id {aom} key 0 0 0 0 value id 999999999
map update id {aom} key 0 0 0 0 value id x
map update id {aom} key 0 0 0 0 value pinned {prog}
map update id {aom} key 0 0 0 0 value id {ring}
map update id {aom} key 9 0 0 0 value id {h}
map update id {progs} key 0 0 0 0 value 1 2 3 4
map update id {progs} key 0 0 0 0 value id
map update id {progs} key 0 0 0 0 value id 999999999
map update id {progs} key 0 0 0 0 value id 08
map update id {progs} key 0 0 0 0 value tag 12
map update id {progs} key 0 0 0 0 value tag zz
map update id {progs} key 0 0 0 0 value name {long}
map update id {progs} key 0 0 0 0 value pinned {path}
map update id {progs} key 0 0 0 0 value pinned /nonexistent
map update id {progs} key 9 0 0 0 value pinned {prog}
map update id {events} key 0 0 0 0 value 255 255 0 0
map delete
map delete id {h}
map delete id {h} key
map delete id {h} key 1
map delete id {h} key 9 9 9 9
map delete id {h} value 1 2 3 4
map delete id {h} any
map delete id {a} key 0 0 0 0
map delete id {queue} key 1
map delete id {queue} extra
map delete id {h} key 1 2 3 4 stuff
map delete id {progs} key 1 0 0 0
map pop
map pop id
map pop id {ring}
map pop id {empty}
map dequeue id {empty}
map peek id {empty}
map peek id {h}
map peek id {h} key 1 2 3 4
map push id {h} key 1 2 3 4
map push id {queue} value 1 2
map enqueue id {h}
map freeze
map freeze id
map freeze id {h} extra
map freeze id 999999999
map freeze nothing here
map pin
map pin id
map pin id {h}
map pin id 999999999 {dir}/x
map pin id {h} {path}
map pin id {h} /nonexistent/dir/x
map pin id {h} {dir}/with.dot
map pin id {h} {dir}/nothing/here
map pin -n id {h} {tmp}/x
map pin pinned {prog} {dir}/x
map create
map create {dir}/x
map create {dir}/x type hash key 4 value 4
map create {dir}/x type hash key 4 value 4 entries
map create {dir}/x type hash key 4 value 4 entries 1 name
map create {dir}/x type hash key 4 value 4 entries 1
map create {dir}/x type hash key 4 value 4 entries 1 flags 0
map create {dir}/x type nonsense key 4 value 4 entries 1 name x
map create {dir}/x type 1 key 4 value 4 entries 1 name x
map create {dir}/x type has key 4 value 4 entries 1 name x
map create {dir}/x type '' key 4 value 4 entries 1 name x
map create {dir}/x type hash type hash key 4 value 4 entries 1 name x
map create {dir}/x type hash key 4 key 4 value 4 entries 1 name x
map create {dir}/x type hash key 4 value 4 value 4 entries 1 name x
map create {dir}/x type hash key 4 value 4 entries 1 entries 1 name x
map create {dir}/x type hash key 4 value 4 entries 1 name x flags 1 flags 1
map create {dir}/x type hash key x value 4 entries 1 name x
map create {dir}/x type hash key 4 value 0x entries 1 name x
map create {dir}/x type hash key 4 value 4 entries 08 name x
map create {dir}/x type hash key 4 value 4 entries 1 name x flags z
map create {dir}/x type hash key 4 value 4 entries 1 name x nonsense 1
map create {dir}/x type hash key 4 value 4 entries 1 name x nonsense
map create {dir}/x type hash key 0 value 4 entries 1 name x
map create {dir}/x type hash key 4 value 4 entries 0 name x
map create {dir}/x type array key 8 value 4 entries 1 name x
map create {dir}/x type hash key 4 value 4 entries 1 name 'a b'
map create {dir}/x type hash key 4 value 4 entries 1 name x flags 0xffffffff
map create {dir}/x type unspec key 4 value 4 entries 1 name x
map create {dir}/x type hash_of_maps key 4 value 4 entries 1 name x
map create {dir}/x type hash_of_maps key 4 value 4 entries 1 name x inner_map id 999999999
map create {dir}/x type hash_of_maps key 4 value 4 entries 1 name x inner_map nothing here
map create {dir}/x type hash_of_maps key 4 value 4 entries 1 name x inner_map id {h} stuff
map create {dir}/x type hash_of_maps key 4 value 4 entries 1 name x inner_map id {ring} flags 8192
map create {dir}/x type hash_of_maps key 4 value 4 entries 1 name x inner_map
map create {dir}/x type hash_of_maps key 4 value 4 entries 1 name x inner_map id
map create {dir}/x type hash_of_maps key 4 value 4 entries 1 name x inner_map name
map create {path} type hash key 4 value 4 entries 1 name x
map create /nonexistent/dir/x type hash key 4 value 4 entries 1 name x
map create {dir}/with.dot type hash key 4 value 4 entries 1 name x
map create {dir}/ type hash key 4 value 4 entries 1 name x
map create -n {tmp}/x type hash key 4 value 4 entries 1 name x
map create {dir}/x type hash key 4 value 4 entries 1 name x dev lo
map create {dir}/x type hash key 4 value 4 entries 1 name x dev nosuchdev
map event_pipe
map event_pipe id x
map event_pipe id {h}
map event_pipe id 999999999
map event_pipe id {events} cpu
map event_pipe id {events} cpu 0
map event_pipe id {events} index 0
map event_pipe id {events} cpu x index 0
map event_pipe id {events} cpu 0 index x
map event_pipe id {events} cpu 0 index
map event_pipe id {events} nonsense
map event_pipe id {events} cpu 0 index 99
map event_pipe id {events} cpu 9999 index 0
map event_pipe id {events} cpu 0 index 0 more
batch
batch file
batch file x y
batch fill x
batch file /nonexistent
--nonsense
-x map show
map show -x
map -xj show
-jx map show
map show --json=1
-Z
-B
--b x
""".strip().splitlines()

PLAIN_ONLY = [line for line in LINES if line.endswith(("inner_map id", "inner_map name"))]
"""See "one-json-document" in ``differences``."""


@pytest.fixture(scope="module")
def names(bpffs: str) -> Iterator[dict[str, str]]:
    """What the braces in the lines stand for."""
    with ExitStack() as stack:
        place = os.path.join(bpffs, "errors")
        os.mkdir(place)
        stack.callback(os.rmdir, place)
        found = {
            "dir": place,
            "long": "n" * 128,
            "tmp": stack.enter_context(tempfile.TemporaryDirectory()),
        }
        for kind in MAPS:
            map = stack.enter_context(made(kind, place))
            found[kind.name] = str(map.id)
            found["path"] = map.path
        found["empty"] = found["queue_none"]
        prog = stack.enter_context(calls.prog_load(SCHED_CLS, RETURN_0, name=full_name("p")))
        found["prog"] = os.path.join(place, "prog")
        calls.obj_pin(prog, found["prog"])
        stack.callback(os.unlink, found["prog"])
        yield found


@pytest.mark.parametrize("line", LINES)
def test_same_refusal(line: str, both: Both, names: dict[str, str]) -> None:
    words = shlex.split(line.format(**names))
    both.check([words] if line in PLAIN_ONLY else [words, ["-j", *words]])
