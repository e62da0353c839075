"""Entries: dumped, read, set and deleted, by bytes and by field."""

from __future__ import annotations

import errno
import os
import struct
from typing import Any

import pytest

from tests.objects.map.machine import HASH, HASH_OF_MAPS, PERCPU_HASH
from tests.support.run import Ended, pybpftool
from tests.support.tape import Kernel, memory


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (
            "dump id 1",
            Ended(
                b"key: c1 c2  value: a1 a2\nkey: 01 02  value: 03 04\nFound 2 elements\n", b"", 0
            ),
        ),
        (
            "-j dump id 1",
            Ended(
                b'[{"key":["0xc1","0xc2"],"value":["0xa1","0xa2"]},'
                b'{"key":["0x01","0x02"],"value":["0x03","0x04"]}]\n',
                b"",
                0,
            ),
        ),
        ("dump id 5", Ended(b"Found 0 elements\n", b"", 0)),
        ("-j dump id 5", Ended(b"[]\n", b"", 0)),
        ("-p dump id 5", Ended(b"[]\n", b"", 0)),
        (
            "dump name twin",
            Ended(
                b"5: hash  name twin  flags 0x0\nFound 0 elements\n\n"
                b"6: hash  name twin  flags 0x0\nFound 0 elements\n",
                b"",
                0,
            ),
        ),
        (
            "-j dump name twin",
            Ended(
                b'[{"id":5,"type":"hash","name":"twin","flags":0,"elements":[]},'
                b'{"id":6,"type":"hash","name":"twin","flags":0,"elements":[]}]\n',
                b"",
                0,
            ),
        ),
        (
            "-p dump name twin",
            Ended(
                b'[{\n        "id": 5,\n        "type": "hash",\n        "name": "twin",\n'
                b'        "flags": 0,\n        "elements": []\n    },{\n        "id": 6,\n'
                b'        "type": "hash",\n        "name": "twin",\n        "flags": 0,\n'
                b'        "elements": []\n    }\n]\n',
                b"",
                0,
            ),
        ),
        ("lookup id 1 key 1 2", Ended(b"key: 01 02  value: 03 04\n", b"", 0)),
        (
            "-j lookup id 1 key hex c1 c2",
            Ended(b'{"key":["0xc1","0xc2"],"value":["0xa1","0xa2"]}\n', b"", 0),
        ),
        ("lookup id 1 key 9 9", Ended(b"key:\n09 09\n\nNot found\n", b"", 254)),
        ("-j lookup id 1 key 9 9", Ended(b"null\n", b"", 254)),
        ("getnext id 1", Ended(b"key: None\nnext key:\nc1 c2\n", b"", 0)),
        ("getnext id 1 key 0xc1 0xc2", Ended(b"key:\nc1 c2\nnext key:\n01 02\n", b"", 0)),
        ("-j getnext id 1", Ended(b'{"key":null,"next_key":["0xc1","0xc2"]}\n', b"", 0)),
        (
            "getnext id 1 key 1 2",
            Ended(b"", b"Error: can't get next key: No such file or directory\n", 254),
        ),
        ("update id 1 key 1 1 value 2 2", Ended(b"", b"", 0)),
        ("-j update id 1 value 2 2 any key 1 1", Ended(b"null\n", b"", 0)),
        ("delete id 1 key 1 2", Ended(b"", b"", 0)),
        (
            "delete id 1 key 9 9",
            Ended(b"", b"Error: delete failed: No such file or directory\n", 254),
        ),
        (
            "update id 1 key 1 2 value 0 0 noexist",
            Ended(b"", b"Error: update failed: File exists\n", 239),
        ),
        (
            "-j update id 1 key 9 9 value 0 0 exist",
            Ended(b'{"error":"update failed: No such file or directory"}\n', b"", 254),
        ),
        ("freeze id 1", Ended(b"", b"", 0)),
        ("-j freeze id 1", Ended(b"null\n", b"", 0)),
    ],
)
def test_printed(kernel: Kernel, words: str, expected: Ended) -> None:
    assert pybpftool("map", *words.split()) == expected


def test_inner_maps_are_told_by_id(kernel: Kernel) -> None:
    kernel.add_map(
        8, type=HASH_OF_MAPS, key_size=4, value_size=4, entries={b"\1\0\0\0": b"\5\0\0\0"}
    )
    assert pybpftool("map", "dump", "id", "8").out == (
        "key: 01 00 00 00  inner_map_id: 5 \nFound 1 element\n"
    )
    assert pybpftool("-j", "map", "dump", "id", "8").json == [
        {
            "key": ["0x01", "0x00", "0x00", "0x00"],
            "value": ["0x05", "0x00", "0x00", "0x00"],
            "inner_map_id": 5,
        }
    ]


def test_per_cpu_values(kernel: Kernel) -> None:
    value = bytes([1, 0, 0, 0, 9, 9, 9, 9, 2, 0, 0, 0, 9, 9, 9, 9])
    kernel.add_map(8, type=PERCPU_HASH, key_size=4, value_size=4, entries={bytes(4): value})
    assert pybpftool("map", "dump", "id", "8").out == (
        "key:\n00 00 00 00\nvalue (CPU 00): 01 00 00 00\nvalue (CPU 01): 02 00 00 00\n"
        "Found 1 element\n"
    )
    assert pybpftool("map", "update", "id", "8", *"key 0 0 0 0 value 7 0 0 0".split()).status == 0
    assert kernel.maps[8].entries[bytes(4)] == bytes([7, 0, 0, 0, 0, 0, 0, 0] * 2)


def test_queue(kernel: Kernel) -> None:
    items: list[bytes] = []

    def push(arm: Any) -> int:
        assert not arm.key
        items.append(memory(arm.value, 4)[:])
        return 0

    def take(arm: Any) -> int:
        if not items:
            return -errno.ENOENT
        memory(arm.value, 4)[:] = items[0]
        return 0

    kernel.rules.update(MAP_UPDATE_ELEM=push, MAP_LOOKUP_ELEM=take, MAP_LOOKUP_AND_DELETE_ELEM=take)
    assert pybpftool("map", "pop", "id", "2") == Ended(b"Error: empty map\n", b"", 254)
    assert pybpftool("-j", "map", "dequeue", "id", "2") == Ended(b"null\n", b"", 254)
    assert pybpftool("map", "peek", "id", "2") == Ended(b"key:\n\n\nNot found\n", b"", 254)
    assert pybpftool("map", *"push id 2 value 1 2 3 4".split()) == Ended(b"", b"", 0)
    assert pybpftool("map", "pop", "id", "2", "more", "words").out == "value: 01 02 03 04\n"
    assert pybpftool("-j", "map", "peek", "id", "2").json == {
        "key": [],
        "value": ["0x01", "0x02", "0x03", "0x04"],
    }


def test_a_map_goes_into_a_map_by_its_descriptor(kernel: Kernel) -> None:
    kernel.add_map(8, type=HASH_OF_MAPS, key_size=4, value_size=4)
    seen = []

    def update(arm: Any) -> int:
        fd = int.from_bytes(memory(arm.value, 4)[:], "little")
        seen.append(kernel._open[fd].info["id"])
        os.fstat(fd)
        return 0

    kernel.rules["MAP_UPDATE_ELEM"] = update
    ended = pybpftool("map", *"update id 8 key 0 0 0 0 value name flows".split())
    assert (ended.status, seen) == (0, [1])


def test_a_dump_that_fails_under_way_stays_a_document(kernel: Kernel) -> None:
    given: list[bytes] = [b"\1\2"]

    def following(arm: Any) -> int:
        if not given:
            return -errno.EIO
        memory(arm.next_key, 2)[:] = given.pop()
        return 0

    kernel.rules.update(MAP_LOOKUP_BATCH=-524, MAP_GET_NEXT_KEY=following)
    ended = pybpftool("-j", "map", "dump", "id", "1")
    assert ended.json == [
        {"key": ["0x01", "0x02"], "value": ["0x03", "0x04"]},
        {"error": "can't dump hash map: Input/output error"},
    ]
    assert ended.status == 251


def test_limit_reads_no_more(kernel: Kernel) -> None:
    kernel.add_map(
        8,
        type=HASH,
        key_size=2,
        value_size=2,
        max_entries=5000,
        entries={struct.pack("=H", at): b"vv" for at in range(5000)},
    )
    counts = []
    lookup = kernel._map_lookup_batch

    def counted(arm: Any) -> int:
        counts.append(arm.count)
        return lookup(arm)

    kernel.rules["MAP_LOOKUP_BATCH"] = counted
    ended = pybpftool("map", "dump", "id", "8", "limit", "3")
    assert ended.out.endswith("key: 02 00  value: 76 76\nFound 3 elements\n")
    assert counts == [3]
    assert len(pybpftool("-j", "map", "dump", "id", "8", "limit", "300").json) == 300
    assert sum(counts[1:]) < 1000


def test_recursive(kernel: Kernel) -> None:
    kernel.add_map(
        8,
        type=HASH_OF_MAPS,
        key_size=1,
        value_size=4,
        entries={b"\1": b"\1\0\0\0", b"\2": b"\x63\0\0\0"},
    )
    assert pybpftool("map", "dump", "id", "8", "recursive").out == (
        "key: 01  inner_map_id: 1 \n"
        "    key: c1 c2  value: a1 a2\n"
        "    key: 01 02  value: 03 04\n"
        "    Found 2 elements\n"
        "key: 02  inner_map_id: 99 \n"
        "Found 2 elements\n"
    )
    record = pybpftool("-j", "map", "dump", "id", "8", "recursive").json
    assert record[0]["elements"] == pybpftool("-j", "map", "dump", "id", "1").json
    assert record[1]["elements"] == []
    assert pybpftool("-p", "map", "dump", "id", "8", "recursive").json == record


# ------------------------------------------------------------------ by field


@pytest.mark.parametrize(
    ("words", "entries"),
    [
        ('key 1 value {"a":9}', {1: (9, 2)}),
        ('value {"b":9} key 0x1 exist', {1: (1, 9)}),
        ('key 2 value {"b":9}', {1: (1, 2), 2: (0, 9)}),
        ('key 2 value {"a":7} noexist', {1: (1, 2), 2: (7, 0)}),
        ('key 1 0 0 0 value {"a":9}', {1: (9, 2)}),
        ("key 1 value 3 0 4 0", {1: (3, 4)}),
    ],
)
def test_update_by_field(
    typed_kernel: Kernel, words: str, entries: dict[int, tuple[int, int]]
) -> None:
    assert pybpftool("map", "update", "id", "8", *words.split()) == Ended(b"", b"", 0)
    packed = {struct.pack("=I", key): struct.pack("=HH", *pair) for key, pair in entries.items()}
    assert typed_kernel.maps[8].entries == packed


@pytest.mark.parametrize(
    ("words", "message", "status"),
    [
        ('key {"x":1} value {}', "key: an object is not a whole number", 255),
        ('key -1 value {"a":1}', "key: -1 does not fit u32", 255),
        ('key 1 value {"a":70000}', "value.a: 70000 does not fit u16", 255),
        ('key 1 value {"c":1}', "value: there is no field 'c'; a, b", 255),
        ("key 1 value 7", "value: '7' is not an object with fields", 255),
        ("key 1 value [", "value: no JSON at character 2: Expecting value", 255),
        ('key 2 value {"a":1} exist', "update failed: No such file or directory", 254),
        ('key 1 value {"a":1} noexist', "update failed: File exists", 239),
    ],
)  # fmt: skip
def test_update_refused(typed_kernel: Kernel, words: str, message: str, status: int) -> None:
    before = dict(typed_kernel.maps[8].entries)
    words_ = ["--", "map", "update", "id", "8", *words.split()]
    assert pybpftool(*words_) == Ended(b"", f"Error: {message}\n".encode(), status)
    assert typed_kernel.maps[8].entries == before


def test_a_key_that_comes_and_goes_is_looked_at_anew(typed_kernel: Kernel) -> None:
    """Between the look and the write the key was added by another, who set the other field."""
    update = typed_kernel._map_update_elem
    fake = typed_kernel.maps[8]
    key = struct.pack("=I", 5)

    def late(arm: Any) -> int:
        fake.entries.setdefault(key, struct.pack("=HH", 0, 77))
        return update(arm)

    typed_kernel.rules["MAP_UPDATE_ELEM"] = late
    assert pybpftool("map", "update", "id", "8", "key", "5", "value", '{"a":1}').status == 0
    assert fake.entries[key] == struct.pack("=HH", 1, 77)
    typed_kernel.rules["MAP_UPDATE_ELEM"] = -errno.ENOENT
    ended = pybpftool("map", "update", "id", "8", "key", "5", "value", '{"a":1}')
    assert (ended.err, ended.status) == ("Error: update failed: No such file or directory\n", 254)


def test_references_by_json(kernel: Kernel) -> None:
    kernel.add_map(8, type=HASH_OF_MAPS, key_size=4, value_size=4)
    seen = []

    def update(arm: Any) -> int:
        fd = int.from_bytes(memory(arm.value, 4)[:], "little")
        seen.append(kernel._open[fd].info["id"])
        return 0

    kernel.rules["MAP_UPDATE_ELEM"] = update
    for value in (
        '{"name":"flows"}',
        '{"id":5}',
        '{"id":6,"name":"flows"}',
        '{"id":5,"name":"twin"}',
    ):
        words = ["update", "id", "8", *"key 0 0 0 0 value".split(), value]
        assert pybpftool("map", *words) == Ended(b"", b"", 0)
    assert seen == [1, 5, 1, 5]


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ('{"name":"twin"}', "value: more than one map has the name 'twin'"),
        ('{"name":"nobody"}', "value: no map has the name 'nobody'"),
        ('{"name":7}', "value.name: no text that names a map"),
        ('{"id":-1}', "value.id: there is no such id"),
        ('{"id":null}', "value: null is no map"),
        ('{"id":99}', "get map by id (99): No such file or directory"),
        ('{"tag":1}', 'value: a map is {"id": N}, {"name": …} or {"pinned": …}'),
        ("[1]", 'value: a map is {"id": N}, {"name": …} or {"pinned": …}'),
    ],
)
def test_references_refused(kernel: Kernel, value: str, message: str) -> None:
    kernel.add_map(8, type=HASH_OF_MAPS, key_size=4, value_size=4)
    ended = pybpftool("map", *"update id 8 key 0 0 0 0 value".split(), value)
    assert (ended.err, ended.status) == (f"Error: {message}\n", 255)
