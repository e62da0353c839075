"""The Python API on real maps of all kinds."""

from __future__ import annotations

import errno
import os
import struct
import threading
from collections.abc import Iterator

import pytest

import pybpftool
from pybpftool.errors import KernelError
from pybpftool.kernel.proc import possible_cpus
from tests.live.compare import ours
from tests.live.zoo import KINDS, Made, full_name, made, u32

UNREADABLE = "queue stack bloom_filter ringbuf user_ringbuf arena".split()
"""Map types without entries that can be listed."""
DESCRIPTORS = "perf_event_array cgroup_array sockmap sockhash xskmap reuseport_sockarray".split()
"""Map types whose values cannot be read, or are no values to write back."""
STORAGE = "sk_storage inode_storage task_storage cgrp_storage".split()
PLAIN = [
    name
    for name, kind in KINDS.items()
    if kind.type not in (*UNREADABLE, *DESCRIPTORS, *STORAGE) and "cgroup_storage" not in kind.type
]


@pytest.fixture
def map(request: pytest.FixtureRequest, pins: str) -> Iterator[Made]:
    with made(KINDS[request.param], pins) as found:
        yield found


@pytest.mark.parametrize("map", PLAIN, indirect=True)
def test_entries_are_those_of_the_dump(map: Made) -> None:
    dumped = ours("-j", "map", "dump", "id", str(map.id)).json
    with pybpftool.open_map(id=map.id, raw=True) as opened:
        found = dict(opened.items())
        assert list(found) == list(opened)
        assert len(opened) == len(found)
    shown = {}
    for entry in dumped:
        key = bytes(int(byte, 16) for byte in entry["key"])
        cells = entry.get("values", [entry])
        if "error" not in entry.get("value", {}):
            values = [bytes(int(byte, 16) for byte in cell["value"]) for cell in cells]
            shown[key] = values if "values" in entry else values[0]
    assert found == shown


@pytest.mark.parametrize(
    "map",
    ["t_scalar", "t_enums", "t_arrays", "t_letters", "t_ptrs", "t_int", "t_list", "t_key"],
    indirect=True,
)
def test_types_are_read_as_the_dump_shows_them(map: Made) -> None:
    """Where JSON has a spelling for all of it: neither bit-fields nor nameless members."""
    dumped = ours("-j", "map", "dump", "id", str(map.id)).json
    shown = [(entry["formatted"]["key"], entry["formatted"]["value"]) for entry in dumped]
    with pybpftool.open_map(pinned=map.path, readonly=True) as opened:
        found = list(opened.items())
    for (key, value), (shown_key, shown_value) in zip(found, shown, strict=True):
        assert key == shown_key
        if map.kind.name == "t_enums":  # the dump shows those without a name as signed
            value = {name: each for name, each in value.items() if isinstance(each, str)}
            shown_value = {name: shown_value[name] for name in value}
        assert value == shown_value


@pytest.mark.parametrize("map", ["t_bss"], indirect=True)
def test_sections_are_dicts_of_variables(map: Made) -> None:
    with pybpftool.open_map(id=map.id) as opened:
        assert dict(opened) == {0: {"first": 1, "second": -1}}


@pytest.mark.parametrize("map", ["t_pa"], indirect=True)
def test_per_cpu_values_are_lists(map: Made) -> None:
    with pybpftool.open_map(id=map.id) as opened:
        values = [value for _, value in opened.items()]
    assert all(len(value) == possible_cpus() for value in values)
    assert values[0][0]["a"] == 200


@pytest.mark.parametrize("map", [name for name in KINDS if name.startswith("t_")], indirect=True)
def test_what_was_read_can_be_written(map: Made) -> None:
    with pybpftool.open_map(id=map.id) as opened:
        entries = sorted(opened.items(), key=repr)
        for key, value in entries:
            opened[key] = value
            assert key in opened
        assert sorted(opened.items(), key=repr) == entries
        opened.update(entries)
        assert sorted(opened.items(), key=repr) == entries


@pytest.mark.parametrize("map", ["t_scalar"], indirect=True)
def test_a_change_leaves_the_other_members(map: Made) -> None:
    with pybpftool.open_map(id=map.id) as opened:
        key, before = next(iter(opened.items()))
        opened.change(key, {"d": -5, "h": False})
        assert opened[key] == {**before, "d": -5, "h": False}
        with pytest.raises(KeyError):
            opened.change(12345, {"d": 1})
        for wrong, says in (
            ({"d": 1 << 31}, "value.d: 2147483648 does not fit s32"),
            ({"no_such": 1}, "value: there is no field"),
        ):
            before = opened[key]
            with pytest.raises(pybpftool.PybpftoolError, match=says):
                opened.change(key, wrong)
            assert opened[key] == before


@pytest.mark.parametrize("map", ["h4_8"], indirect=True)
def test_entries_come_and_go(map: Made) -> None:
    with pybpftool.open_map(id=map.id) as opened:
        key, value = next(iter(opened.items()))
        del opened[key]
        assert key not in opened
        opened.set(key, value, "noexist")
        with pytest.raises(KernelError) as caught:
            opened.set(key, value, "noexist")
        assert caught.value.errno == errno.EEXIST
        opened.clear()
        assert list(opened) == []


@pytest.mark.parametrize("map", ["h_many"], indirect=True)
def test_update_of_many(map: Made) -> None:
    with pybpftool.open_map(id=map.id) as opened:
        opened.clear()
        entries = {u32(at): struct.pack("=Q", at) for at in range(2500)}
        opened.update(entries)
        assert dict(opened) == entries


@pytest.mark.parametrize("map", ["aom"], indirect=True)
def test_maps_of_maps_hold_ids(map: Made) -> None:
    with pybpftool.open_map(id=map.id) as outer:
        inner = outer[0]
        assert isinstance(inner, int)
        outer[1] = inner
        with pybpftool.open_map(id=inner) as opened:
            outer[3] = opened
        assert {key: outer[key] for key in (1, 3)} == {1: inner, 3: inner}


@pytest.mark.parametrize("map", ["queue"], indirect=True)
def test_queues(map: Made) -> None:
    with pybpftool.open_map(id=map.id) as opened:
        opened.push(b"last")
        taken = [opened.peek()]
        taken += [opened.pop() for _ in range(4)]
        assert taken[0] == taken[1] == map.entries[0][1]
        assert taken[-1] == b"last"
        with pytest.raises(IndexError):
            opened.pop()
        with pytest.raises(KernelError, match="can't be walked"):
            list(opened)


@pytest.mark.parametrize("map", ["h_one"], indirect=True)
def test_lists_have_the_map(map: Made) -> None:
    [info] = [each for each in pybpftool.maps() if each.id == map.id]
    assert (info.name, info.type_name) == (full_name("h_one"), "hash")
    assert [each.id for each in pybpftool.progs()] == sorted(each.id for each in pybpftool.progs())
    for each in pybpftool.btfs()[:2]:
        assert isinstance(pybpftool.btf_of_id(each.id), pybpftool.Btf)
    with pybpftool.open_map(name=full_name("h_one")) as opened:
        assert opened.info.id == map.id


@pytest.mark.parametrize("map", ["h_many"], indirect=True)
def test_one_map_and_many_threads(map: Made) -> None:
    """Each thread has its own keys, and all read while the others write."""
    failed: list[BaseException] = []

    def work(number: int) -> None:
        try:
            for turn in range(100):
                key, value = struct.pack("=HH", number, 1), struct.pack("=II", number, turn)
                opened[key] = value
                assert opened[key] == value
                found = list(opened.items())
                assert len({key for key, _ in found}) == len(found)
                assert opened.pop(key) == value
        except BaseException as error:
            failed.append(error)

    with pybpftool.open_map(id=map.id) as opened:
        before = dict(opened)
        threads = [threading.Thread(target=work, args=(number + 1000,)) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not failed
        assert dict(opened) == before


@pytest.mark.parametrize("map", ["h_many"], indirect=True)
def test_a_reader_among_writers_sees_what_stays_and_each_key_once(map: Made) -> None:
    """A process changes the map while it is read."""
    pid = os.fork()
    if not pid:
        with pybpftool.open_map(id=map.id) as opened:
            keys = [struct.pack("=I", at) for at in range(1000)]
            for _ in range(100_000):
                for key in keys:
                    opened[key] = b"8 bytes."
                for key in keys:
                    opened.pop(key, None)
        os._exit(0)
    try:
        with pybpftool.open_map(id=map.id, readonly=True) as opened:
            stable = {key for key, _ in map.entries}
            for _ in range(30):
                found = [key for key, _ in opened.items()]
                assert stable <= set(found)
                assert len(set(found)) == len(found)
    finally:
        os.kill(pid, 9)
        os.waitpid(pid, 0)


def test_types_of_the_kernel() -> None:
    if not os.path.exists("/sys/kernel/btf/vmlinux"):
        pytest.skip("this kernel shows no types")
    btf = pybpftool.kernel_btf()
    id = btf.find("list_head")
    assert id is not None
    assert btf.size_of(id) == 16
    data = struct.pack("=QQ", 1, 1 << 63)
    assert pybpftool.decode(btf, id, data) == {"next": 1, "prev": 1 << 63}
    with pytest.raises(pybpftool.BadData):
        pybpftool.decode(btf, id, bytes(15))
