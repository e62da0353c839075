"""Completion: what the rows offer, and the three shells asking for it in earnest."""

from __future__ import annotations

import os
import pty
import select
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from pybpftool.cli import complete
from pybpftool.cli.complete import candidates
from pybpftool.cli.grammar import names
from pybpftool.cli.main import TOP, load
from pybpftool.errors import PybpftoolError
from pybpftool.kernel.words import MAP_TYPES
from pybpftool.objects import OBJECTS
from tests.support.need import need

ROOT = Path(__file__).resolve().parents[2]
SCRIPTS = ROOT / "completions"
FILE = ("", "file")


def words(line: str, start: str = "") -> list[str]:
    return [word for word, sort in candidates(line.split(), start) if sort == "plain"]


# ------------------------------------------------------------------ from the rows


def test_first_word() -> None:
    assert words("") == list(TOP)
    assert words("", "ma") == ["map"]


@pytest.mark.parametrize("name", OBJECTS)
def test_every_command(name: str) -> None:
    commands = [word for row in load(name).commands for word in names(row.usage)]
    assert words(name) == list(dict.fromkeys(commands))


def test_map_types_are_those_of_the_kernel() -> None:
    offered = words("map create /x type")
    assert set(offered) <= set(MAP_TYPES)
    assert "hash" in offered
    assert words("map create /x type", "lpm") == ["lpm_trie"]


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("map show", ["id", "pinned", "name"]),
        ("m sh", ["id", "pinned", "name"]),
        ("-j map dump", ["id", "pinned", "name"]),
        ("map dump id", []),
        ("prog top type x", ["interval", "count", "once", "sort", "name", "pid", "csv", "jsonl"]),
        ("map dump id 7", ["limit", "recursive"]),
        ("map lookup id 7", ["key"]),
        ("map lookup id 7 key", ["hex"]),
        ("map lookup id 7 key hex", []),
        ("map update id 7", ["key", "value", "any", "exist", "noexist"]),
        ("map update id 7 key 1 2", ["value", "any", "exist", "noexist"]),
        ("map update id 7 key hex de ad value 1", ["any", "exist", "noexist"]),
        ("map update id 7 key 1 value", ["hex", "id", "pinned", "name", "tag"]),
        ("map update id 7 any", ["key", "value"]),
        ("map event_pipe pinned /x cpu 1", ["index", "type", "file"]),
        ("feature probe full", ["kernel", "dev", "unprivileged", "macros", "prefix"]),
        ("feature probe helper x", ["type"]),
        ("feature list", ["prog_types", "map_types", "attach_types", "link_types", "helpers"]),
        ("prog dump", ["xlated", "jited"]),
        ("prog dump x", ["id", "pinned", "tag", "name"]),
        ("prog dump xlated id 7", ["file", "opcodes", "linum", "visual"]),
        ("prog dump jited id 7 opcodes", ["file", "linum"]),
        ("batch", ["file"]),
        ("version", []),
        ("no_such_object", []),
        ("map no_such_command", []),
        ("map show --no-such-option", []),
    ],
)
def test_what_follows(line: str, offered: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(complete, "_alive", lambda kind, field: iter(()))
    assert words(line) == offered


@pytest.mark.parametrize(
    ("line", "asked", "sorts"),
    [
        ("map show id", ("Map", "ID"), []),
        ("prog dump xlated tag", ("Prog", "TAG"), []),
        ("btf dump prog name", ("Prog", "NAME"), []),
        ("prog show pinned", ("Prog", "PIN"), [FILE]),
        ("btf show id", ("Btf", "ID"), []),
    ],
)
def test_what_lives(
    line: str,
    asked: tuple[str, str],
    sorts: list[tuple[str, str]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Values of the kernel, without those that no shell could type as they are."""

    def alive(kind: type, field: str) -> Iterator[str]:
        yield from ((f"{kind.__name__}_{field}", "with blank"))

    monkeypatch.setattr(complete, "_alive", alive)
    assert candidates(line.split(), "") == [("_".join(asked), "plain"), *sorts]


def test_a_kernel_that_refuses_offers_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(kind: type, field: str) -> Iterator[str]:
        raise PybpftoolError("Operation not permitted")

    monkeypatch.setattr(complete, "_alive", refused)
    assert candidates(["map", "show", "id"], "") == []


def test_the_table_leads_nowhere_else() -> None:
    """Every state of the scripts' table exists, and every one but the first is led to."""
    states = complete.table()
    led = {int(way.rpartition(":")[2]) for state in states for way in state.split()}
    assert led == set(range(len(states) + 1)) - {1}


def test_each_clause_once() -> None:
    left = ["key", "value", "entries", "name", "flags", "inner_map", "offload_dev"]
    line = "map create /x type hash"
    while left:
        assert words(line) == left
        line += f" {left[0]} " + ("id 1" if left.pop(0) == "inner_map" else "1")
    assert words(line) == []


@pytest.mark.parametrize(
    "line",
    [
        "map create",
        "map dump pinned",
        "map pin id 1",
        "batch file",
        "-B",
        "map update pinned",
        "feature diff",
    ],
)
def test_files(line: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(complete, "_alive", lambda kind, field: iter(()))
    assert candidates(line.split(), "") == [FILE]


def test_options() -> None:
    assert words("map", "--js") == ["--json"]
    assert {"--json", "--pretty", "--bpffs", "--nomount"} <= set(words("map show", "-"))
    assert words("map", "--color=a") == ["--color=auto", "--color=always"]
    assert words("--color", "a") == ["auto", "always"]
    assert words("--color never map", "du") == ["dump"]


def test_many_empty_words_take_no_time() -> None:
    begun = time.monotonic()
    assert candidates(["map", "create", *[""] * 30], "") == []
    assert time.monotonic() - begun < 1


# ------------------------------------------------------------------ in the shells


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A directory with a file to complete and the tool on the search path."""
    tool = tmp_path / "bin" / "pybpftool"
    tool.parent.mkdir()
    tool.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m pybpftool "$@"\n')
    tool.chmod(0o755)
    (tmp_path / "some file").touch()
    return tmp_path


def environment(home: Path) -> dict[str, str]:
    paths = [str(home / "bin"), os.environ["PATH"]]
    return {"PATH": ":".join(paths), "PYTHONPATH": str(ROOT), "HOME": str(home), "TERM": "dumb"}


def shell(home: Path, *argv: str) -> str:
    need(shutil.which(argv[0]), f"{argv[0]} is not installed")
    done = subprocess.run(argv, cwd=home, env=environment(home), capture_output=True, text=True)
    assert done.stderr == ""
    return done.stdout


def bash(home: Path, line: str) -> list[str]:
    """What the function offers for a line that ends where the cursor is."""
    typed = shlex.split(line) + [""] * line.endswith(" ")
    script = (
        f"source {shlex.quote(str(SCRIPTS / 'pybpftool'))}\n"
        f"COMP_WORDS=({shlex.join(typed)}) COMP_CWORD={len(typed) - 1}\n"
        f"COMP_LINE={shlex.quote(line)} COMP_POINT={len(line)}\n"
        f"_pybpftool pybpftool {shlex.quote(typed[-1])} {shlex.quote(typed[-2])}\n"
        'printf "%s\\n" "${COMPREPLY[@]}"'
    )
    return shell(home, "bash", "-c", script).split("\n")[:-1]


CASES = [
    ("pybpftool m", ["map"]),
    ("pybpftool map du", ["dump"]),
    ("pybpftool map create /x type lru", ["lru_hash", "lru_percpu_hash"]),
    ("pybpftool -p map update id 1 key 1 va", ["value"]),
    ("pybpftool map dump pinned so", ["some file"]),
    ("pybpftool --pr", ["--pretty"]),
    ("pybpftool --color n", ["never"]),
]


@pytest.mark.parametrize(("line", "offered"), CASES)
def test_bash(home: Path, line: str, offered: list[str]) -> None:
    assert bash(home, line) == offered


def test_bash_says_nothing_to_nonsense(home: Path) -> None:
    for line in ("pybpftool zork ", "pybpftool map zork ", "pybpftool map dump id 1 2 3 "):
        assert bash(home, line) == [""]


@pytest.mark.parametrize(("line", "offered"), CASES)
def test_fish(home: Path, line: str, offered: list[str]) -> None:
    script = f"source {SCRIPTS / 'pybpftool.fish'}; complete -C {shlex.quote(line)}"
    found = shell(home, "fish", "--no-config", "-c", script).splitlines()
    # fish also tells what an option or a file is
    assert [word.partition("\t")[0].replace("\\ ", " ") for word in found] == offered


@pytest.mark.parametrize(("line", "offered"), CASES)
def test_zsh(home: Path, line: str, offered: list[str]) -> None:
    need(shutil.which("zsh"), "zsh is not installed")
    # of words, not of paths
    common = os.path.commonprefix(offered).replace(" ", "\\ ")  # noqa: RUF071
    assert typed_in_zsh(home, line) == line.rpartition(" ")[0] + " " + common


def typed_in_zsh(home: Path, line: str) -> str:
    """The line as zsh leaves it after TAB, printed by a key bound to do so."""
    (home / ".zshrc").write_text(
        f"fpath=({shlex.quote(str(SCRIPTS))} $fpath)\n"
        "autoload -Uz compinit && compinit -u -d $HOME/dump\n"
        "PROMPT='ready>'\nunsetopt auto_param_slash zle_bracketed_paste 2>/dev/null\n"
        'tell() { print -r -- "$BUFFER" > $HOME/line; exit }\n'
        "zle -N tell && bindkey '^X' tell\n"
    )
    child, terminal = pty.fork()
    if not child:
        os.chdir(home)
        os.execvpe("zsh", ["zsh", "-i"], environment(home))
    try:
        _expect(terminal, b"ready>")
        os.write(terminal, line.encode() + b"\t\x18")
        _expect(terminal, None)
    finally:
        os.close(terminal)
        os.waitpid(child, 0)
    return (home / "line").read_text().rstrip()


def _expect(terminal: int, text: bytes | None) -> None:
    """Read up to a text, or to the end."""
    seen = b""
    while text is None or text not in seen:
        ready, _, _ = select.select([terminal], [], [], 20)
        assert ready, f"no {text!r} in {seen!r}"
        try:
            more = os.read(terminal, 4096)
        except OSError:
            more = b""
        if not more:
            assert text is None, seen
            return
        seen += more
