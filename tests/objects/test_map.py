"""``map``: every command in plain, -j and -p, and every way the kernel can refuse, without root."""

from __future__ import annotations

import errno
import json
import os
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pybpftool.kernel import bpffs, holders, proc
from tests.support.run import Ended, pybpftool
from tests.support.tape import Answer, Kernel, memory

HASH, ARRAY, PROG_ARRAY, PERF_EVENT_ARRAY, PERCPU_HASH = 1, 2, 3, 4, 5
HASH_OF_MAPS, QUEUE, RINGBUF = 13, 22, 27


@pytest.fixture(autouse=True)
def quiet_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """No processes, no pins and two CPUs, whatever the machine is like."""
    monkeypatch.setattr(holders, "holders", lambda kind: {})
    monkeypatch.setattr(proc, "possible_cpus", lambda: 2)
    monkeypatch.setattr(proc, "fdinfo", lambda fd: {"memlock": "4096", "frozen": "0"})

    def no_mount(kind: str, target: str) -> None:
        raise AssertionError(f"a {kind} would have been mounted on {target}")

    monkeypatch.setattr(bpffs, "mount_fs", no_mount)


def machine(**rules: Answer) -> Kernel:
    """A kernel with a few maps in it."""
    kernel = Kernel(**rules)
    kernel.add_map(
        1,
        type=HASH,
        name="flows",
        key_size=2,
        value_size=2,
        entries={b"\xc1\xc2": b"\xa1\xa2", b"\1\2": b"\3\4"},
    )
    kernel.add_map(2, type=QUEUE, name="todo", key_size=0, value_size=4)
    kernel.add_map(3, type=ARRAY, key_size=4, value_size=8, map_flags=0x80, btf_id=9)
    kernel.add_map(5, type=HASH, name="twin", key_size=4, value_size=4)
    kernel.add_map(6, type=HASH, name="twin", key_size=4, value_size=4)
    return kernel


@pytest.fixture
def kernel() -> Iterator[Kernel]:
    with machine() as kernel:
        yield kernel


# ------------------------------------------------------------------ what is printed

SHOWN = """\
1: hash  name flows  flags 0x0
\tkey 2B  value 2B  max_entries 8  memlock 4096B
"""


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("show id 1", Ended(SHOWN.encode(), b"", 0)),
        ("l i 1", Ended(SHOWN.encode(), b"", 0)),
        (
            "-j show id 1",
            Ended(
                b'{"id":1,"type":"hash","name":"flows","flags":0,"bytes_key":2,"bytes_value":2,'
                b'"max_entries":8,"bytes_memlock":4096,"frozen":0}\n',
                b"",
                0,
            ),
        ),
        (
            "-p show name flows",
            Ended(
                b'{\n    "id": 1,\n    "type": "hash",\n    "name": "flows",\n    "flags": 0,\n'
                b'    "bytes_key": 2,\n    "bytes_value": 2,\n    "max_entries": 8,\n'
                b'    "bytes_memlock": 4096,\n    "frozen": 0\n}\n',
                b"",
                0,
            ),
        ),
        (
            "show id 3",
            Ended(
                b"3: array  flags 0x80\n\tkey 4B  value 8B  max_entries 8  memlock 4096B\n"
                b"\tbtf_id 9\n",
                b"",
                0,
            ),
        ),
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


def test_list_is_every_map_in_order(kernel: Kernel) -> None:
    records = pybpftool("-j", "map").json
    assert [record["id"] for record in records] == [1, 2, 3, 5, 6]
    assert pybpftool("map", "list").out.startswith(SHOWN)
    assert [record["id"] for record in pybpftool("-j", "map", "show", "name", "twin").json] == [
        5,
        6,
    ]


def test_no_stale_btf_id_in_lists(kernel: Kernel) -> None:
    records = {record["id"]: record for record in pybpftool("-j", "map").json}
    assert records[3]["btf_id"] == 9
    assert "btf_id" not in records[5]


def test_maps_that_vanish_are_skipped(kernel: Kernel) -> None:
    open_map = kernel._map_get_fd_by_id
    kernel.rules["MAP_GET_FD_BY_ID"] = lambda arm: (
        -errno.ENOENT if arm.map_id == 3 else open_map(arm)
    )
    assert [record["id"] for record in pybpftool("-j", "map").json] == [1, 2, 5, 6]


@pytest.mark.parametrize(
    ("notes", "plain", "record"),
    [
        ({"frozen": "1"}, "\tfrozen\n", {"frozen": 1}),
        (
            {"owner_prog_type": "6", "owner_jited": "1"},
            "\towner_prog_type xdp  owner jited\n",
            {"owner_prog_type": "xdp", "owner_jited": True},
        ),
        ({"owner_jited": "0"}, "\towner not jited\n", {"owner_jited": False}),
        (
            {"owner_prog_type": "777"},
            "\towner_prog_type 777  \n",
            {"owner_prog_type": 777},
        ),
    ],
)
def test_what_fdinfo_adds(
    kernel: Kernel,
    monkeypatch: pytest.MonkeyPatch,
    notes: dict[str, str],
    plain: str,
    record: dict[str, object],
) -> None:
    monkeypatch.setattr(proc, "fdinfo", lambda fd: notes)
    assert pybpftool("map", "show", "id", "1").out.endswith(plain)
    assert record.items() <= pybpftool("-j", "map", "show", "id", "1").json.items()
    assert "memlock" not in pybpftool("map", "show", "id", "1").out


def test_holders_and_pins(kernel: Kernel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(holders, "holders", lambda kind: {1: [(7, "cat"), (9, "a b")]})
    from pybpftool.kernel.handles import Map

    monkeypatch.setattr(Map, "pins", lambda: {1: ["/a", "/b c"]})
    plain = pybpftool("-f", "map", "show", "id", "1").out
    assert plain == SHOWN + "\tpinned /a\n\tpinned /b c\n\tpids cat(7), a b(9)\n"
    record = pybpftool("-fj", "map", "show", "id", "1").json
    assert record["pinned"] == ["/a", "/b c"]
    assert record["pids"] == [{"pid": 7, "comm": "cat"}, {"pid": 9, "comm": "a b"}]
    assert pybpftool("-fj", "map", "show", "id", "3").json["pinned"] == []


def test_unknown_map_type_is_a_number(kernel: Kernel) -> None:
    kernel.add_map(8, type=99, key_size=4, value_size=4)
    assert pybpftool("map", "show", "id", "8").out.startswith("8: type 99  flags 0x0\n")
    assert pybpftool("-j", "map", "show", "id", "8").json["type"] == 99


def test_device_of_another_namespace(kernel: Kernel) -> None:
    kernel.add_map(8, type=HASH, key_size=4, value_size=4, ifindex=3, netns_dev=1, netns_ino=2)
    shown = pybpftool("map", "show", "id", "8").out
    assert "flags 0x0  offloaded_to ifindex 3 ns_dev 1 ns_ino 2\n" in shown
    dev = pybpftool("-j", "map", "show", "id", "8").json["dev"]
    assert dev == {"ifindex": 3, "ns_dev": 1, "ns_inode": 2}


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


# ------------------------------------------------------------------ what cannot be

WRONG = {
    "show what": "what is 'what'?",
    "show id 1 more": "what is 'id'?",
    "show id 99": "get map by id (99): No such file or directory",
    "show id 1x": "can't parse 1x as ID",
    "show nom x": "expected 'id', 'name' or 'pinned', got: 'nom'?",
    "show name nope": "no map has the name 'nope'",
    "show name sixteen_letters_": "can't parse name",
    "lookup id 1": "did not find key",
    "lookup name twin key 0 0 0 0": "several maps match this handle",
    "lookup id 1 key 1": "key expected 2 bytes got 1",
    "lookup id 1 key 1 x": "error parsing byte: x",
    "lookup id 1 key 1 1 key 1 1": "duplicate key",
    "lookup id 1 value 1 1": "unnecessary value",
    "lookup id 1 any": "flags specified multiple times: any",
    "lookup id 1 key 1 1 what": "expected key or value, got: what",
    "lookup id 2 key": "unnecessary key",
    "update id 1 key 1 1": "did not find value",
    "update id 1 value 1 1": "did not find key",
    "update id 1 key 1 1 value 1 1 any any": "flags specified multiple times: any",
    "update id 1 key 1 1 value 1 1 value 1 1": "duplicate value",
    "update id 1 key 1 1 value 1": "value expected 2 bytes got 1",
    "delete id 2": "did not find key",
    "delete id 1 key 1 1 value 1 1": "unnecessary value",
    "freeze id 1 more": "what is 'more'?",
    "freeze": "'freeze' needs at least 2 arguments, 0 found",
    "event_pipe": "expected 'id', 'name' or 'pinned', got: '(null)'?",
    "event_pipe id 1": "map is not a perf event array",
    "create f": "'create' needs at least 7 arguments, 1 found",
    "create f type hash key 4 value 4 entries": "'4' needs at least 2 arguments, 1 found",
    "create f type hash key 4 value 4": "map name not specified",
    "create f type hush key 4 value 4": "unrecognized map type: hush",
    "create f type 1 key 4 value 4": "unrecognized map type: 1",
    "create f type hash type hash key 4": "map type already specified",
    "create f key 4 key 4 value 4": "key size already specified",
    "create f value 4 value 4 key 4": "value size already specified",
    "create f entries 4 entries 4 key 4": "max entries already specified",
    "create f flags 4 flags 4 key 4": "flags already specified",
    "create f key 4x key 4 value 4": "can't parse 4x as key size",
    "create f flags x key 4 value 4": "can't parse x as flags",
    "create f what hash key 4 value 4": "unknown arg what",
    "create f offload_dev nope0 key 4 value 4": "unrecognized netdevice 'nope0': No such device",
}


@pytest.mark.parametrize("words", WRONG)
def test_wrong_words(kernel: Kernel, words: str) -> None:
    message = WRONG[words]
    assert pybpftool("map", *words.split()) == Ended(b"", f"Error: {message}\n".encode(), 255)
    assert pybpftool("-j", "map", *words.split()).json == {"error": message}


def test_nothing_changed_by_wrong_words(kernel: Kernel) -> None:
    before = dict(kernel.maps[1].entries)
    for words in WRONG:
        pybpftool("map", *words.split())
    assert kernel.maps[1].entries == before
    assert "MAP_UPDATE_ELEM" not in kernel.calls
    assert "MAP_CREATE" not in kernel.calls


@pytest.mark.parametrize(
    "words",
    ["dump", "dump id", "dump id 1 more", "update id", "lookup", "delete x", "pop x", "peek"],
)
def test_too_few_words_show_the_help(kernel: Kernel, words: str) -> None:
    ended = pybpftool("map", *words.split())
    assert ended.err.startswith("Usage: pybpftool map { show | list }   [MAP]\n")
    assert (ended.out, ended.status) == ("", 255)
    assert pybpftool("-j", "map", *words.split()) == Ended(b"null\n", b"", 255)


def test_pin_counts_its_words_with_a_status_of_its_own(kernel: Kernel) -> None:
    ended = pybpftool("map", "pin", "id", "1")
    assert ended == Ended(b"", b"Error: 'pin' needs at least 3 arguments, 2 found\n", 234)


def test_inner_map_without_words_adds_the_help(kernel: Kernel) -> None:
    ended = pybpftool("map", *"create f type hash name x value 4 inner_map id".split())
    assert ended.err.startswith("Error: 'inner_map' needs at least 2 arguments, 1 found\nUsage: ")
    assert ended.status == 255


@pytest.mark.parametrize(
    ("rules", "words", "message", "status"),
    [
        ({"MAP_FREEZE": -errno.EPERM}, "freeze id 1", "failed to freeze map", 255),
        ({"MAP_FREEZE": -errno.EBUSY}, "freeze id 1", "failed to freeze map", 240),
        ({"MAP_LOOKUP_ELEM": -524}, "lookup id 1 key 0 0", "lookup failed", 244),
        ({"MAP_UPDATE_ELEM": -errno.E2BIG}, "update id 1 key 0 0 value 0 0", "update failed", 249),
        ({"MAP_DELETE_ELEM": -errno.EINVAL}, "delete id 1 key 0 0", "delete failed", 234),
        ({"MAP_LOOKUP_AND_DELETE_ELEM": -524}, "pop id 2", "pop failed", 244),
        ({"MAP_GET_NEXT_KEY": -errno.EINVAL}, "getnext id 1", "can't get next key", 234),
        ({"MAP_GET_NEXT_KEY": -errno.EIO}, "dump id 2", "can't dump queue map", 251),
        ({"OBJ_GET_INFO_BY_FD": -errno.EFAULT}, "show id 1", "can't get map info", 255),
        ({"MAP_GET_FD_BY_ID": -errno.EACCES}, "show id 1", "get map by id (1)", 255),
        (
            {"MAP_CREATE": -errno.EINVAL},
            "create f type hash name a key 4",
            "map create failed",
            255,
        ),
    ],
)
def test_refused_by_the_kernel(
    rules: dict[str, int], words: str, message: str, status: int
) -> None:
    with machine(**rules):
        ended = pybpftool("map", *words.split())
        reason = os.strerror(-next(iter(rules.values())))
        assert ended.err.startswith(f"Error: {message}: {reason}\n")
        assert (ended.out, ended.status) == ("", status)
        errors = json.dumps(pybpftool("-j", "map", *words.split()).json)
        assert f"{message}: {reason}" in errors


def test_list_refused() -> None:
    with machine(MAP_GET_NEXT_ID=-errno.EINVAL):
        ended = pybpftool("map")
        assert "can't get next map: Invalid argument -- kernel too old?\n" in ended.err
        assert ended.status == 255
    with machine(MAP_GET_FD_BY_ID=-errno.EACCES):
        assert pybpftool("-j", "map").json == [
            {"error": "can't get map by id (1): Permission denied"}
        ]


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


# ------------------------------------------------------------------ create and pin


@pytest.fixture
def pinned(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, bool]]:
    """The paths that were pinned, and whether mounting was forbidden."""
    done: list[tuple[str, bool]] = []
    monkeypatch.setattr(bpffs, "pin", lambda fd, path, nomount: done.append((path, nomount)))
    return done


def test_create_in_any_order(kernel: Kernel, pinned: list[tuple[str, bool]]) -> None:
    words = "create /f n new_map f 1 e 0x10 v 8 k 4 t hash".split()
    assert pybpftool("map", *words) == Ended(b"", b"", 0)
    made = kernel.maps[7].info
    assert made["name"] == b"new_map"
    assert [made[n] for n in ("type", "key_size", "value_size", "max_entries", "map_flags")] == [
        HASH,
        4,
        8,
        16,
        1,
    ]
    assert pinned == [("/f", False)]
    assert pybpftool("-jn", "map", *words).out == "null\n"
    assert pinned[1:] == [("/f", True)]


def test_long_names_are_cut_and_said_to_be(kernel: Kernel, pinned: list[tuple[str, bool]]) -> None:
    words = "create /f type hash key 4 value 4 entries 1 name a_name_of_20_letters".split()
    ended = pybpftool("map", *words)
    assert ended.err == ("Warning: map name is longer than 15 characters, it will be truncated.\n")
    assert kernel.maps[7].info["name"] == b"a_name_of_20_le"
    assert pybpftool("-j", "map", *words).err == ""


def test_old_word_for_a_device(kernel: Kernel, pinned: list[tuple[str, bool]]) -> None:
    words = "create /f type hash key 4 value 4 entries 1 name a dev lo".split()
    assert "syntax is deprecated" in pybpftool("map", *words).err
    both = [*words, "offload_dev", "lo"]
    assert pybpftool("-j", "map", *both).json == {"error": "offload device already specified"}


def test_pin_ignores_further_words(kernel: Kernel, pinned: list[tuple[str, bool]]) -> None:
    assert pybpftool("map", "pin", "id", "1", "/f", "more") == Ended(b"", b"", 0)
    assert pinned == [("/f", False)]


def test_a_failed_pin_leaves_no_descriptor(kernel: Kernel, monkeypatch: pytest.MonkeyPatch) -> None:
    before = set(os.listdir("/proc/self/fd"))
    ended = pybpftool("map", *"create /nonexistent/f type hash key 4 value 4 name a".split())
    assert ended.err == "Error: can't pin BPF object: dir '/nonexistent' doesn't exist\n"
    assert ended.status == 255
    assert set(os.listdir("/proc/self/fd")) <= before


# ------------------------------------------------------------------ typed data


@pytest.fixture
def typed_kernel(kernel: Kernel, monkeypatch: pytest.MonkeyPatch) -> Kernel:
    """Map 8 has types: u32 -> struct { u16 a, b; }."""
    from pybpftool.btf.reader import read_btf
    from pybpftool.entries import typed
    from tests.support.btf_builder import BtfBuilder

    b = BtfBuilder()
    u32, u16 = b.int("u32", 4), b.int("u16", 2)
    pair = b.struct("pair", 4, [("a", u16, 0), ("b", u16, 16)])
    kernel.add_map(
        8,
        type=HASH,
        name="typed",
        key_size=4,
        value_size=4,
        max_entries=3,
        btf_id=1,
        btf_key_type_id=u32,
        btf_value_type_id=pair,
        entries={b"\1\0\0\0": b"\1\0\2\0"},
    )
    monkeypatch.setattr(typed, "_btf", lambda btf_id: read_btf(b.blob()))
    return kernel


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


def test_export_and_import(kernel: Kernel, tmp_path: Path) -> None:
    file = tmp_path / "lines"
    header = (
        '{"map":{"type":"hash","name":"flows","key_size":2,"value_size":2,'
        '"max_entries":8,"flags":0}}'
    )
    entries = '{"key_hex":"c1c2","value_hex":"a1a2"}', '{"key_hex":"0102","value_hex":"0304"}'
    text = "\n".join((header, *entries)) + "\n"
    assert pybpftool("map", "export", "id", "1") == Ended(text.encode(), b"", 0)
    assert pybpftool("-j", "map", "export", "id", "1").json == [
        json.loads(line) for line in text.splitlines()
    ]
    assert pybpftool("-j", "map", "export", "id", "1", "file", str(file)).json == {"entries": 2}
    assert file.read_text() == text
    kernel.add_map(8, type=HASH, key_size=2, value_size=2)
    words = ["map", "import", "id", "8", "file", str(file)]
    assert pybpftool(*words, "dry_run") == Ended(b"2 entries are fine\n", b"", 0)
    assert kernel.maps[8].entries == {}
    assert pybpftool(*words) == Ended(b"2 entries in\n", b"", 0)
    assert kernel.maps[8].entries == kernel.maps[1].entries
    assert pybpftool("map", "diff", "id", "1", "id", "8") == Ended(b"", b"", 0)
    assert pybpftool("map", "diff", "id", "1", "file", str(file)) == Ended(b"", b"", 0)
    kernel.maps[8].entries = {b"\1\2": b"\3\3", b"nn": b"vv"}
    assert [
        (each["change"], each["key_hex"])
        for each in pybpftool("-j", "map", "diff", "id", "8", "file", str(file)).json
    ] == [("changed", "0102"), ("removed", "6e6e"), ("added", "c1c2")]


NO_FILE = "can't read /nonexistent: No such file or directory"


@pytest.mark.parametrize("refused", [errno.EINVAL, 524])
def test_import_without_batches(kernel: Kernel, tmp_path: Path, refused: int) -> None:
    kernel.rules["MAP_UPDATE_BATCH"] = -refused
    file = tmp_path / "lines"
    pybpftool("map", "export", "id", "1", "file", str(file))
    kernel.add_map(8, type=HASH, key_size=2, value_size=2)
    assert pybpftool("map", "import", "id", "8", "file", str(file)).status == 0
    assert kernel.maps[8].entries == kernel.maps[1].entries


@pytest.mark.parametrize(
    ("words", "message", "status"),
    [
        ("import id 1", "'import' needs at least 3 arguments, 2 found", 255),
        ("import id 5 file {}", "the two have 2 and 4 bytes of key", 255),
        ("import id 1 file /nonexistent", NO_FILE, 255),
        ("import id 1 noexist dry_run", "did not find file", 255),
        ("import id 1 file {} noexist",
         "line 2: update failed: File exists; 0 entries went in", 239),
        ("diff id 1 id 5", "the two have 2 and 4 bytes of key", 255),
        ("diff id 5 file {}", "the two have 4 and 2 bytes of key", 255),
        ("diff id 1 file /nonexistent", NO_FILE, 255),
        ("diff id 1", "'diff' needs at least 4 arguments, 2 found", 255),
        ("watch id 1 interval 0", "can't parse 0 as interval", 255),
        ("watch id 1 interval x", "can't parse x as interval", 255),
        ("watch id 1 interval nan", "can't parse nan as interval", 255),
        ("export id 1 file /nonexistent/x",
         "can't write /nonexistent/x: No such file or directory", 255),
        ("dump id 1 limit x", "can't parse x as limit", 255),
    ],
)  # fmt: skip
def test_lines_refused(
    kernel: Kernel, tmp_path: Path, words: str, message: str, status: int
) -> None:
    file = tmp_path / "lines"
    pybpftool("map", "export", "id", "1", "file", str(file))
    ended = pybpftool("map", *words.format(file).split())
    assert (ended.out, ended.err, ended.status) == ("", f"Error: {message}\n", status)


def test_a_new_map_needs_a_header(kernel: Kernel, tmp_path: Path) -> None:
    file = tmp_path / "lines"
    file.write_text('{"key_hex":"0102","value_hex":"0304"}\n')
    ended = pybpftool("map", "import", "/x", "file", str(file))
    assert ended.err == "Error: the first line is no header, and a new map needs one\n"
    pybpftool("map", "export", "id", "1", "file", str(file))
    ended = pybpftool("map", "import", "/x", "file", str(file), "dry_run")
    assert ended == Ended(b"2 entries are fine\n", b"", 0)


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
