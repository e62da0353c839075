"""Entries as lines, out and in, and how two maps differ."""

from __future__ import annotations

import errno
import json
from pathlib import Path

import pytest

from tests.objects.map.machine import HASH
from tests.support.run import Ended, pybpftool
from tests.support.tape import Kernel


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
