"""``map``: every command in plain, -j and -p, and every way the kernel can refuse, without root."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Iterator
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
