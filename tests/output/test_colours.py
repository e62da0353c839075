"""What a terminal sees of a dump: arrows and colours; and that nothing else sees them."""

from __future__ import annotations

import io

import pytest

from pybpftool.command import COMPACT, PLAIN, Bulk
from pybpftool.output import colours
from pybpftool.output.emit import Console

PIECES = [
    "int f(int x):\n",
    "; if (x > 3)\n   0: (25) if r1 > 0x3 goto pc+2\n",
    "   1: (b7) r0 = 1\n   2: (05) goto pc-3\n",
    "   3: (18) r1 = map[id:5]\n       18 11 00 00 05 00 00 00\n",
    "   5: (85) call bpf_spin_lock#93\n",
]
TEXT = "".join(PIECES)

DRAWN = """\
    int f(int x):
    ; if (x > 3)
╭╭▸    0: (25) if r1 > 0x3 goto pc+2
││     1: (b7) r0 = 1
│╰─    2: (05) goto pc-3
╰─▸    3: (18) r1 = map[id:5]
           18 11 00 00 05 00 00 00
       5: (85) call bpf_spin_lock#93
"""


class Terminal(io.BytesIO):
    def isatty(self) -> bool:
        return True


def shown(
    monkeypatch: pytest.MonkeyPatch,
    text: str = TEXT,
    form: str = PLAIN,
    color: str = "auto",
    **env: str,
) -> str:
    """What a terminal gets of a dump in an environment of just these variables and TERM."""
    monkeypatch.delenv("NO_COLOR", raising=False)
    for name, value in {"TERM": "xterm", **env}.items():
        monkeypatch.setenv(name, value)
    out = Terminal()
    console = Console(out, io.BytesIO())
    console.form = form
    console.color = color
    console.show(Bulk(lambda form, depth: iter((text,)), terminal="code"))
    return out.getvalue().decode()


def arrows(*insns: str) -> list[str]:
    """The gutters of instructions that are numbered from 0."""
    lines = [f"{at:4}: {text}\n" for at, text in enumerate(insns)]
    return [gutter.rstrip() for gutter in colours._gutters(lines)]


@pytest.mark.parametrize(
    ("insns", "drawn"),
    [
        (["exit"], [""]),
        (["goto pc+1", "nop", "exit"], ["╭─", "│", "╰▸"]),
        (["nop", "nop", "goto pc-2"], ["", "╭▸", "╰─"]),
        (["if r1 > 0x3 goto pc+1", "gotol pc+1", "nop", "exit"], [" ╭─", "╭┼─", "│╰▸", "╰─▸"]),
        (["may_goto pc+2", "goto pc+1", "x", "exit"], ["╭──", "│╭─", "││", "╰╰▸"]),
        (["goto pc+99", "call pc+1", "goto pc-1", "x"], ["", "", "", ""]),
        (["goto pc+1", "x", "goto pc+1", "x", "exit"], [" ╭─", " │", "╭╰▸", "│", "╰─▸"]),
    ],
)
def test_arrows(insns: list[str], drawn: list[str]) -> None:
    assert arrows(*insns) == drawn


def test_arrows_stay_within_a_program() -> None:
    one = "   0: goto pc+1\n   1: nop\n   2: exit\n"
    gutters = colours._gutters(("30: xdp  tag 0\n" + one + "\n31: xdp  tag 0\n" + one).splitlines())
    assert gutters[1:4] == gutters[6:9] != [""] * 3


def test_too_long_and_too_many_are_left_out() -> None:
    assert arrows("goto pc+300", *["nop"] * 301) == [""] * 302
    crowd = arrows(*[f"goto pc+{20 - at}" for at in range(10)], *["nop"] * 21)
    assert max(map(len, crowd)) == 8 + 1


def test_many_jumps_take_no_long_time() -> None:
    import time

    insns = [f"goto pc{200 if at % 2 else -200:+}" for at in range(20_000)]
    begun = time.perf_counter()
    arrows(*insns)
    assert time.perf_counter() - begun < 5


def test_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    text = shown(monkeypatch)
    assert "\x1b[32m; if (x > 3)\x1b[m\n" in text
    assert "call \x1b[36mbpf_spin_lock#93\x1b[m" in text
    assert "\x1b[35mmap[id:5]\x1b[m" in text
    assert "╭" in text


def test_without_colours(monkeypatch: pytest.MonkeyPatch) -> None:
    assert shown(monkeypatch, NO_COLOR="1") == DRAWN
    assert shown(monkeypatch, color="never") == DRAWN


def test_without_anything(monkeypatch: pytest.MonkeyPatch) -> None:
    assert shown(monkeypatch, TERM="dumb") == TEXT
    assert shown(monkeypatch, form=COMPACT) == TEXT


@pytest.mark.parametrize("env", [{"NO_COLOR": "1"}, {"TERM": "dumb"}])
def test_always(monkeypatch: pytest.MonkeyPatch, env: dict[str, str]) -> None:
    """The word on the line goes before the environment."""
    assert shown(monkeypatch, color="always", **env) == shown(monkeypatch)
    assert shown(monkeypatch, color="always", form=COMPACT, **env) == TEXT


@pytest.mark.parametrize("color", ["auto", "never"])
def test_pipes_and_files_get_it_as_it_is(color: str) -> None:
    console = Console(out := io.BytesIO())
    console.color = color
    console.show(Bulk(lambda form, depth: iter(PIECES), terminal="code"))
    assert out.getvalue().decode() == TEXT
