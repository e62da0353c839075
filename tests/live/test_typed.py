"""Typed data on real maps: what goes in by field name, and out as lines and in again."""

from __future__ import annotations

import json
import os
import select
import signal
import struct
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from pybpftool.kernel import calls
from pybpftool.kernel.handles import map_info
from pybpftool.kernel.proc import possible_cpus
from tests.live.compare import ours
from tests.live.zoo import (
    INT,
    KINDS,
    STORAGE_KINDS,
    TYPED,
    Kind,
    Made,
    full_name,
    made,
    types_of,
    u32,
)
from tests.support.run import Ended

pytestmark = pytest.mark.usefixtures("bpf")

UNWALKABLE = {
    *("queue", "stack", "bloom_filter", "ringbuf", "user_ringbuf", "arena"),
    *(kind.type for kind in STORAGE_KINDS),
}
"""Maps that cannot be walked have no entries to export."""
UNREADABLE = {"perf_event_array", "cgroup_array", "xskmap", "sockmap", "sockhash"}
"""Maps whose entries the kernel may not let anyone look up, or shows as other than was put in."""
ONE_WAY = {"reuseport_sockarray", "cgroup_storage", "percpu_cgroup_storage", "stack_trace"}
"""Maps that are made and filled by other means."""


def run(*words: str) -> Ended:
    ended = ours(*words)
    assert (ended.err, ended.status) == ("", 0), words
    return ended


@contextmanager
def pinned(path: str) -> Iterator[str]:
    """A pin that the block makes."""
    try:
        yield path
    finally:
        if os.path.lexists(path):
            os.unlink(path)


@pytest.mark.parametrize("name", KINDS)
def test_export_import_diff(name: str, pins: str, tmp_path: Path) -> None:
    """Out of a map, into a new one, and nothing differs; nor from the file."""
    kind = KINDS[name]
    file = str(tmp_path / "lines")
    with made(kind, pins) as map, pinned(f"{pins}/again") as path:
        handle = ["id", str(map.id)]
        ended = ours("map", "export", *handle, "file", file)
        if kind.type in UNWALKABLE:
            assert f"can't export {kind.type} map" in ended.err and ended.status
            assert not os.path.exists(file)
            return
        if kind.type in UNREADABLE | ONE_WAY:
            assert ended.status == 0 or f"can't export {kind.type} map" in ended.err
            return
        assert (ended.err, ended.status) == ("", 0)
        if kind.type.endswith("of_maps") and not map.entries:
            return
        run("map", "import", path, "file", file)
        there = ["pinned", path]
        assert run("map", "diff", *handle, *there).out == ""
        assert run("map", "diff", *there, "file", file).out == ""
        for form in ((), ("-j",)):
            mine = sorted(run("map", "dump", *there, *form).out)
            assert mine == sorted(run("map", "dump", *handle, *form).out)
        mine, theirs = (run("-j", "map", "show", *each).json for each in (there, handle))
        same = ("type", "name", "flags", "bytes_key", "bytes_value", "max_entries")
        assert [mine[key] for key in same] == [theirs[key] for key in same]
        assert ("btf_id" in mine) == ("btf_id" in theirs)
        again = run("map", "export", *there).out.splitlines()
        assert sorted(again[1:]) == sorted(Path(file).read_text().splitlines()[1:])


@pytest.mark.parametrize("typed", TYPED, ids=lambda typed: typed.name)
def test_typed_maps_are_exported_typed(typed: object, pins: str) -> None:
    kind = KINDS[typed.name]  # type: ignore[attr-defined]  # a Typed
    with made(kind, pins) as map:
        header, *lines = map_lines(map)
        assert "value_type" in header["map"]
        # padding with bits set is the one thing that has no name
        hexadecimal = [line for line in lines if "value_hex" in line or "values_hex" in line]
        assert not hexadecimal or typed.name in ("t_nested", "t_odd", "t_ph", "t_bits")  # type: ignore[attr-defined]  # a Typed


def map_lines(map: Made) -> list[dict[str, object]]:
    return [json.loads(line) for line in run("map", "export", "id", str(map.id)).out.splitlines()]


def test_what_was_exported_by_id_or_name(pins: str, tmp_path: Path) -> None:
    """A map of maps finds its inner maps by name where the ids are others now."""
    kind = KINDS["hom"]
    file = tmp_path / "lines"
    with made(kind, pins) as map, ExitStack() as stack:
        name = full_name("inner")
        inner = stack.enter_context(calls.map_create(2, 4, 4, 1, name))
        id = map_info(inner).id
        for value in ({"id": 4294967294, "name": name}, {"name": name}, {"id": id}):
            file.write_text(json.dumps({"key_hex": "01020304", "value": value}) + "\n")
            run("map", "import", "id", str(map.id), "file", str(file))
            there = run(*"-j map lookup id".split(), str(map.id), *"key 1 2 3 4".split()).json
            assert there["inner_map_id"] == id
        file.write_text('{"key_hex":"01020304","value":{"name":"nobody"}}\n')
        ended = ours("map", "import", "id", str(map.id), "file", str(file))
        assert ended.err == (
            "Error: line 1: value: no map has the name 'nobody'; 0 entries went in\n"
        )
        words = ["map", "update", "id", str(map.id), *"key 9 9 9 9 value".split()]
        run(*words, json.dumps({"name": name}))
        run("map", "delete", "id", str(map.id), *"key 9 9 9 9".split())


def test_recursive_dump(pins: str) -> None:
    with made(KINDS["hom"], pins) as map:
        words = ["map", "dump", "id", str(map.id), "recursive"]
        plain = run(*words).out
        assert plain.count("    key: 00 00 00 00  value: 00 00 00 00\n    Found 1 element\n") == 2
        for entry in run("-j", *words).json:
            assert entry["elements"] == [{"key": ["0x00"] * 4, "value": ["0x00"] * 4}]
        assert run("-p", *words).json == run("-j", *words).json
        assert len(run("-j", *words, "limit", "1").json) == 1


@pytest.mark.parametrize("name", ["h_many", "a_many", "t_scalar", "ph4_12", "lpm", "aom", "progs"])
@pytest.mark.parametrize("limit", ["0", "1", "2", "100000"])
def test_limit(name: str, limit: str, pins: str) -> None:
    with made(KINDS[name], pins) as map:
        handle = ["id", str(map.id)]
        whole = run("-j", "map", "dump", *handle).json
        some = run("-j", "map", "dump", *handle, "limit", limit).json
        assert some == whole[: int(limit)]


# ------------------------------------------------------------------ by field name


def formatted(map: Made, key: str) -> object:
    return run("-j", "map", "lookup", "id", str(map.id), "key", key).json["formatted"]["value"]


def test_update_by_field(pins: str) -> None:
    with made(KINDS["t_key"], pins) as map:
        handle = ["id", str(map.id)]
        key = '{"kind":"BLUE","port":443}'
        run("map", "update", *handle, "key", key, "value", "GREEN")
        assert formatted(map, key) == "GREEN"
        run("map", "update", *handle, "value", "0x7", "key", key, "exist")
        assert formatted(map, key) == "BLUE"
        assert run("-j", "map", "getnext", *handle).json["next_key"]
        run("map", "delete", *handle, "key", key)
        assert ours("map", "lookup", *handle, "key", key).status == 254


def test_partial_values(pins: str) -> None:
    with made(KINDS["t_scalar"], pins) as map:
        update = ["map", "update", "id", str(map.id), "key"]
        before = formatted(map, "1")
        run(*update, "1", "value", '{"c": 7, "h": true}')
        assert formatted(map, "1") == {**before, "c": 7, "h": True}  # type: ignore[dict-item]  # an object
        run(*update, "100", "value", '{"c": 7}')
        assert formatted(map, "100")["e"] == 0  # type: ignore[index]  # an object
        assert formatted(map, "100")["c"] == 7  # type: ignore[index]  # an object
        wrong = ours(*update, "1", "value", '{"d": 1, "c": 70000}')
        assert wrong.err == "Error: value.c: 70000 does not fit u16\n"
        assert formatted(map, "1") == {**before, "c": 7, "h": True}  # type: ignore[dict-item]  # an object
        for flag, key, status in (("exist", "101", 254), ("noexist", "1", 239)):
            assert ours(*update, key, "value", '{"c": 1}', flag).status == status


def test_per_cpu_lists(pins: str) -> None:
    cpus = possible_cpus()
    with made(KINDS["t_lruph"], pins) as map:
        update = ["map", "update", "id", str(map.id), "key", "5", "value"]
        run(*update, json.dumps(list(range(cpus))))
        values = run("-j", "map", "lookup", "id", str(map.id), "key", "5").json["formatted"]
        assert [each["value"] for each in values["values"]] == list(range(cpus))
        wrong = ours(*update, json.dumps([1] * (cpus + 1)))
        assert f"value: {cpus + 1} values where {cpus} CPUs have one each" in wrong.err


def test_addresses_are_in_the_order_of_the_network(pins: str) -> None:
    kind = Kind("ip", "hash", 4, 4, fields=types_of(INT, INT))
    with made(kind, pins) as map:
        run("map", "update", "id", str(map.id), "key", "10.0.0.1", "value", '"10.0.0.2"')
        assert ours("map", "lookup", "id", str(map.id), *"key 10 0 0 1".split()).status == 0
        number = struct.unpack("=i", bytes([10, 0, 0, 2]))[0]
        assert formatted(map, "10.0.0.1") == number


def test_json_needs_types(pins: str) -> None:
    with made(KINDS["h_one"], pins) as map:
        ended = ours("map", "lookup", "id", str(map.id), "key", "{}")
        assert ended.err == "Error: the map has no BTF for its key: give it as bytes\n"
        ended = ours("map", "lookup", "id", str(map.id), "key", "1")
        assert ended.err == "Error: key expected 4 bytes got 1\n"


# ------------------------------------------------------------------ while others write


class Others:
    """A thread that changes a map all the time."""

    def __init__(self, map: Made) -> None:
        self.rounds = 0
        self._map = map
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        while not self._stop.is_set():
            for key in range(20):
                calls.map_update(self._map.fd, u32(key), struct.pack("=Q", self.rounds))
            for key in range(10, 20):
                calls.map_delete(self._map.fd, u32(key))
            self.rounds += 1

    def __enter__(self) -> Others:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()


BUSY = Kind("busy", "hash", 4, 8, entries=50_000)


def test_import_while_others_write(pins: str, tmp_path: Path) -> None:
    file = tmp_path / "lines"
    file.write_text(
        "".join(
            f'{{"key_hex":"{u32(key).hex()}","value_hex":"{key:016x}"}}\n'
            for key in range(100, 20_000)
        )
    )
    with made(BUSY, pins) as map, Others(map) as others:
        ended = run("-j", "map", "import", "id", str(map.id), "file", str(file))
        assert ended.json == {"entries": 19_900, "dry_run": False}
        assert others.rounds
        keys = {tuple(entry["key"]) for entry in run("-j", "map", "dump", "id", str(map.id)).json}
        assert len(keys) >= 19_910


def watching(map: Made, *words: str) -> subprocess.Popen[bytes]:
    line = [sys.executable, "-m", "pybpftool", *words, "map", "watch", "id", str(map.id)]
    return subprocess.Popen(
        [*line, "interval", "0.02"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )


def test_watch_while_others_write(pins: str) -> None:
    with made(BUSY, pins) as map, Others(map), watching(map) as process:
        assert process.stdout and process.stderr
        seen = [json.loads(process.stdout.readline()) for _ in range(200)]
        process.send_signal(signal.SIGINT)
        process.stdout.read()
        assert process.stderr.read() == b""
        assert process.wait() == -signal.SIGINT
    assert {each["change"] for each in seen} >= {"changed"}
    assert all(int(each["key_hex"][:2], 16) < 20 for each in seen)


def test_watch_into_a_closed_pipe(pins: str) -> None:
    with made(BUSY, pins) as map, Others(map), watching(map) as process:
        assert process.stdout and process.stderr
        process.stdout.readline()
        process.stdout.close()
        assert process.wait(20) == -signal.SIGPIPE
        assert process.stderr.read() == b""


def test_export_into_a_closed_pipe(pins: str) -> None:
    with made(KINDS["a_many"], pins) as map:
        read_end, write_end = os.pipe()
        os.close(read_end)
        line = [sys.executable, "-m", "pybpftool", "map", "export", "id", str(map.id)]
        done = subprocess.run(line, stdout=write_end, stderr=subprocess.PIPE)
        os.close(write_end)
        assert (done.returncode, done.stderr) == (-signal.SIGPIPE, b"")


def test_import_from_a_pipe_that_breaks_off(pins: str) -> None:
    """The whole lines are in, and the last is told."""
    text = b'{"key_hex":"01000000","value_hex":"0100000000000000"}\n{"key_hex":"0200'
    with made(BUSY, pins) as map:
        line = [sys.executable, "-m", "pybpftool", "map", "import", "id", str(map.id), "file", "-"]
        done = subprocess.run(line, input=text, capture_output=True)
        assert done.stdout == b""
        assert done.stderr.startswith(b"Error: line 2: no JSON at character ")
        assert done.stderr.endswith(b"; 1 entries went in\n")
        assert done.returncode == 255
        assert ours("map", "dump", "id", str(map.id)).out.endswith("Found 1 element\n")


def test_a_full_map_tells_the_line(pins: str, tmp_path: Path) -> None:
    file = tmp_path / "lines"
    lines = [f'{{"key_hex":"{at:08x}","value_hex":"{at:08x}"}}\n' for at in range(6)]
    file.write_text("\n".join(lines))
    with made(KINDS["h_empty"], pins) as map:
        words = ["map", "import", "id", str(map.id), "file", str(file)]
        ended = run("-j", *words, "dry_run").json
        assert ended == {"entries": 6, "dry_run": True}
        assert run("map", "dump", "id", str(map.id)).out == "Found 0 elements\n"
        error = "Error: line 9: update failed: Argument list too long; 4 entries went in\n"
        assert ours(*words) == Ended(b"", error.encode(), 249)
        assert run(*words[:-2], "file", str(file), "dry_run").out == "6 entries are fine\n"
        first = "Error: line 1: update failed: File exists; 0 entries went in\n"
        assert ours(*words, "noexist") == Ended(b"", first.encode(), 239)


def test_a_new_map_that_fails_is_not_kept(pins: str, tmp_path: Path) -> None:
    file = tmp_path / "lines"
    with made(KINDS["t_int"], pins) as map:
        run("map", "export", "id", str(map.id), "file", str(file))
    file.write_text(file.read_text() + "nonsense\n")
    ended = ours("map", "import", f"{pins}/new", "file", str(file))
    assert "no JSON at character 1" in ended.err and ended.status == 255
    assert not os.path.exists(f"{pins}/new")


def test_watch_sees_fields(pins: str) -> None:
    with made(KINDS["t_scalar"], pins) as map, watching(map) as process:
        assert process.stdout
        poll = select.poll()
        poll.register(process.stdout, select.POLLIN)
        number = 0
        while not poll.poll(100):  # until it has looked for the first time
            number += 1
            run("map", "update", "id", str(map.id), "key", "1", "value", f'{{"c": {number}}}')
        record = json.loads(process.stdout.readline())
        process.kill()
        [field] = record["fields"]
        assert field["field"] == "value.c" and field["new"] <= number
