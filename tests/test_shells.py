"""TAB in the three shells, typed at a terminal."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.need import need

ROOT = Path(__file__).resolve().parents[1]
SCRIPTS = ROOT / "completions"
SETUP = {
    "bash": f"""\
source {SCRIPTS}/pybpftool
bind 'set bell-style none'
bind -x '"\\C-x": printf %s "$READLINE_LINE" >"$HOME/line.new"; mv "$HOME/line.new" "$HOME/line"'
PS1='ready>'
""",
    "zsh": f"""\
fpath=({SCRIPTS} $fpath)
autoload -Uz compinit && compinit -u -d $HOME/dump
unsetopt auto_param_slash prompt_sp zle_bracketed_paste beep 2>/dev/null
tell() {{ print -rn -- "$BUFFER" >$HOME/line.new; command mv $HOME/line.new $HOME/line }}
zle -N tell && bindkey '^X' tell
PROMPT='ready>'
""",
    "fish": f"""\
source {SCRIPTS}/pybpftool.fish
function tell; commandline -b >$HOME/line.new; command mv $HOME/line.new $HOME/line; end
bind \\cx tell
bind \\cu 'commandline ""'
function fish_prompt; echo -n 'ready>'; end
""",
}
"""Each shell's start: the completion, a prompt, and Ctrl-X, which writes the line to a file."""
START = {
    "bash": ["--noprofile", "--rcfile", "setup", "-i"],
    "zsh": ["-d", "-i"],
    "fish": ["--no-config", "--init-command", "source setup", "-i"],
}

LINES = [
    ("pybpftool ma", "pybpftool map"),
    ("pybpftool map du", "pybpftool map dump"),
    ("pybpftool -p map create /x type lpm", "pybpftool -p map create /x type lpm_trie"),
    ("pybpftool prog top type raw_tracepoint_w", "pybpftool prog top type raw_tracepoint_writable"),
    ("pybpftool m up id 7 key 1 2 val", "pybpftool m up id 7 key 1 2 value"),
    ("pybpftool prog attach id 3 flow", "pybpftool prog attach id 3 flow_dissector"),
    ("pybpftool --nom", "pybpftool --nomount"),
    ("pybpftool feature probe dev l", "pybpftool feature probe dev lo"),
    ("pybpftool batch file some_f", "pybpftool batch file some_file"),
    ("pybpftool --color=al", "pybpftool --color=always"),
    ("pybpftool --color n", "pybpftool --color never"),
    ("pybpftool --color=never map du", "pybpftool --color=never map dump"),
    ("pybpftool -B a=b:c map du", "pybpftool -B a=b:c map dump"),
    ("pybpftool batch file sort=of:f", "pybpftool batch file sort=of:file"),
    ("pybpftool -B sort=of:", "pybpftool -B sort=of:file"),
]
"""A line before and after TAB; none of them asks the program."""

NONSENSE = [
    "pybpftool map 'un",
    'pybpftool map "un',
    "pybpftool zork $(",
    "pybpftool zork zork ",
    "pybpftool map dump id 1 2 3 4 ",
    "pybpftool * ? [ ~ ",
    "pybpftool map update id 1 key " + "7 " * 400,
]


class Shell:
    """A shell at a terminal, with a home of its own."""

    def __init__(self, name: str, home: Path) -> None:
        pexpect = pytest.importorskip("pexpect")
        need(shutil.which(name), f"{name} is not installed")
        self.home = home
        self.shown = ""
        setup = home / (".zshrc" if name == "zsh" else "setup")
        setup.write_text(SETUP[name])
        environment = {
            "PATH": f"{home / 'bin'}:/usr/bin:/bin:/usr/sbin:/sbin",
            "HOME": str(home),
            "TERM": "dumb",
            "LC_ALL": "C.UTF-8",
        }
        self.child: Any = pexpect.spawn(
            name,
            START[name],
            cwd=str(home),
            env=environment,
            encoding="utf-8",
            codec_errors="replace",
            timeout=20,
            dimensions=(50, 2000),
        )
        self.child.expect("ready>")

    def tab(self, line: str) -> str:
        """The line as TAB leaves it."""
        told = self.home / "line"
        told.unlink(missing_ok=True)
        self.child.send(f"\x15{line}\t\x18")
        until = time.monotonic() + 20
        while not told.exists():
            assert time.monotonic() < until, f"no answer to TAB behind {line!r}"
            self.look()
        self.look()
        return told.read_text().rstrip("\n")

    def look(self) -> None:
        """Take what the shell writes, which waits where nobody does."""
        pexpect = pytest.importorskip("pexpect")
        try:
            self.shown += self.child.read_nonblocking(65536, timeout=0.02)
        except pexpect.TIMEOUT:
            pass


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home with a program that notes that it was asked, and answers in click's protocol."""
    tool = tmp_path / "bin" / "pybpftool"
    tool.parent.mkdir()
    tool.write_text(
        "#!/bin/sh\n"
        f"echo asked >>'{tmp_path}/asked'\n"
        "case $_PYBPFTOOL_COMPLETE in\n"
        "    zsh*) printf 'plain\\n4711\\n_\\nplain\\na=b:c\\n_\\n' ;;\n"
        "    *) printf 'plain,4711\\nplain,a=b:c\\n' ;;\n"
        "esac\n"
    )
    tool.chmod(0o755)
    for name in ("some_file", "sort=of:file"):
        (tmp_path / name).touch()
    return tmp_path


@pytest.fixture(params=["bash", "zsh", "fish"])
def shell(request: pytest.FixtureRequest, home: Path) -> Iterator[Shell]:
    shell = Shell(request.param, home)
    yield shell
    shell.child.close(force=True)


def test_words_of_the_rows_come_without_the_program(shell: Shell, home: Path) -> None:
    for line, after in LINES:
        assert shell.tab(line).rstrip() == after
    assert not (home / "asked").exists()


def test_what_lives_in_the_kernel_is_asked_of_the_program(shell: Shell, home: Path) -> None:
    for before in ("map show id ", "prog dump xlated tag ", "-j btf dump prog name "):
        assert shell.tab(f"pybpftool {before}4").rstrip() == f"pybpftool {before}4711"
        for start in ("a", "a=", "a=b", "a=b:"):
            found = shell.tab(f"pybpftool {before}{start}").replace("\\", "").rstrip()
            assert found == f"pybpftool {before}a=b:c"
    assert (home / "asked").exists()


def test_nonsense_changes_nothing_and_says_nothing(shell: Shell, home: Path) -> None:
    for there in (True, False):
        if not there:
            (home / "bin/pybpftool").unlink()
        for line in NONSENSE:
            assert shell.tab(line).rstrip() == line.rstrip()
        if not there:
            shell.tab("pybpftool map show id ")
    for complaint in ("rror", "not found", "No such", "unexpected", "nknown", "usage"):
        assert complaint not in shell.shown
