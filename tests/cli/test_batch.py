"""``batch file FILE`` (spec 1.8)."""

from __future__ import annotations

import io
import subprocess
import sys
from pathlib import Path

import pytest

from pybpftool.cli.batch import LINE_MAX, WORDS_MAX, commands
from pybpftool.errors import PybpftoolError
from tests.support.run import pybpftool


def words_of(text: bytes) -> list[list[str]]:
    return list(commands(io.BytesIO(text)))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (b"", []),
        (b"\n  \n\t\r\n", []),
        (b"# only a comment", []),
        (b"map show # rest\nversion", [["map", "show"], ["version"]]),
        (b"map show 'a # b'\n", "unterminated quoted string in command 0"),
        (b"map dump \\\n name x", [["map", "dump", "name", "x"]]),
        (b"map \\\ndump \\\nname x\nversion", [["map", "dump", "name", "x"], ["version"]]),
        (b"map \\ # no continuation\nversion", [["map", "\\"], ["version"]]),
        (b"map \\\n# hidden\nversion", [["map"], ["version"]]),
        (b"map \\", [["map", "\\"]]),
        (b"map \\\n", "missing continuation line on command 0"),
        (b"version\nmap \\\n", "missing continuation line on command 1"),
        (b"""a 'b c' "d'e" 'f'g x'y' ''""", [["a", "b c", "d'e", "f", "g", "x'y'", ""]]),
        (b"a\n 'b", "unterminated quoted string in command 1"),
        (b"a\0b c", [["a"]]),
        (b"\xff\xfe", [["\udcff\udcfe"]]),
        (b"#" + b"x" * 200_000 + b"\nversion", [["version"]]),
        (b"w " * (WORDS_MAX + 1), "too many arguments to command 0"),
        (b"w " * WORDS_MAX, [["w"] * WORDS_MAX]),
        (b"x" * (LINE_MAX + 1), "reading batch file failed: Argument list too long"),
        (b"x" * 40000 + b"\\\n" + b"x" * 40000, "command 0 is too long"),
    ],
)
def test_lines_become_words(text: bytes, expected: list[list[str]] | str) -> None:
    if isinstance(expected, str):
        with pytest.raises(PybpftoolError) as caught:
            words_of(text)
        assert caught.value.message == expected
    else:
        assert words_of(text) == expected


@pytest.fixture
def batch(tmp_path: Path) -> Path:
    return tmp_path / "batch"


def test_plain_counts_the_commands(batch: Path) -> None:
    batch.write_text("version\n# nothing\nversion\n")
    ended = pybpftool("batch", "file", str(batch))
    assert ended.out.count("speaks bpftool") == 2
    assert ended.out.endswith("processed 2 commands\n")
    assert ended.status == 0


def test_empty_file(batch: Path) -> None:
    batch.write_text("")
    assert pybpftool("batch", "file", str(batch)).out == "processed 0 commands\n"
    assert pybpftool("-j", "batch", "file", str(batch)).out == "[]\n"
    assert pybpftool("-p", "batch", "file", str(batch)).out == "[]\n"


def test_first_failure_ends_the_batch(batch: Path) -> None:
    batch.write_text("version\nnonsense\nversion\n")
    ended = pybpftool("batch", "file", str(batch))
    assert ended.out.count("speaks bpftool") == 1
    assert "processed" not in ended.out
    assert ended.status == 255


def test_json_is_one_document(batch: Path) -> None:
    batch.write_text("version\nmap dump\n")
    ended = pybpftool("-j", "batch", "file", str(batch))
    first, second = ended.json
    assert first["command"] == ["version"]
    assert first["output"]["bpftool_version"]
    assert second == {"command": ["map", "dump"], "output": None}
    assert ended.status == 255


def test_pretty_nests(batch: Path) -> None:
    batch.write_text("help\n")
    assert pybpftool("-p", "batch", "file", str(batch)).out == (
        '[{\n        "command": ["help"\n        ],\n        "output": null\n    }\n]\n'
    )


def test_error_of_the_batch_is_the_last_element(batch: Path) -> None:
    batch.write_text("help\n'open")
    assert pybpftool("-j", "batch", "file", str(batch)).json == [
        {"command": ["help"], "output": None},
        {"error": "unterminated quoted string in command 1"},
    ]
    batch.write_text("'open")
    ended = pybpftool("batch", "file", str(batch))
    assert ended.err == "Error: unterminated quoted string in command 0\n"
    assert ended.status == 255


def test_options_are_words_inside_a_batch(batch: Path) -> None:
    batch.write_text("-j version\n")
    assert pybpftool("batch", "file", str(batch)).status == 255


def test_batches_nest(batch: Path, tmp_path: Path) -> None:
    inner = tmp_path / "inner"
    inner.write_text("help\n")
    batch.write_text(f"batch file {inner}\n")
    document = pybpftool("-j", "batch", "file", str(batch)).json
    assert document[0]["output"] == [{"command": ["help"], "output": None}]


def test_a_batch_of_itself_ends(batch: Path) -> None:
    batch.write_text(f"batch file {batch}\n")
    ended = pybpftool("batch", "file", str(batch))
    assert ended.status == 255
    assert "Traceback" not in ended.err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((), "too few parameters for batch"),
        (("file",), "too few parameters for batch"),
        (("file", "a", "b"), "too many parameters for batch"),
        (("fill", "a"), "expected 'file', got: fill"),
        (("file", "/nonexistent"), "Can't open file (/nonexistent): No such file or directory"),
    ],
)
def test_wrong_words(words: tuple[str, ...], message: str) -> None:
    ended = pybpftool("batch", *words)
    assert (ended.err, ended.status) == (f"Error: {message}\n", 255)
    assert pybpftool("-j", "batch", *words).json == {"error": message}


def test_standard_input_is_read_line_by_line() -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "pybpftool", "batch", "file", "-"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    out, _ = process.communicate("version\n")
    assert process.returncode == 0
    assert out.endswith("processed 1 commands\n")
