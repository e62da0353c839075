"""``map show``: records and listings, and what fdinfo, pins and holders add."""

from __future__ import annotations

import errno

import pytest

from pybpftool.kernel import holders, proc
from tests.objects.map.machine import HASH, machine
from tests.support.run import Ended, pybpftool
from tests.support.tape import Kernel

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
    ],
)
def test_show(kernel: Kernel, words: str, expected: Ended) -> None:
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


def test_list_refused() -> None:
    with machine(MAP_GET_NEXT_ID=-errno.EINVAL):
        ended = pybpftool("map")
        assert "can't get next map: Invalid argument -- kernel too old?\n" in ended.err
        assert ended.status == 255
    with machine(MAP_GET_FD_BY_ID=-errno.EACCES):
        assert pybpftool("-j", "map").json == [
            {"error": "can't get map by id (1): Permission denied"}
        ]
