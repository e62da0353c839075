"""The picture of a program, byte for byte (spec 2.6); right where bpftool mixes functions up."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence

import pytest

from pybpftool.insn import code as c
from pybpftool.insn.asm import (
    call,
    exit_,
    jump,
    jump_imm,
    jump_long,
    ld_imm64,
    mov64_imm,
    mov64_reg,
)
from pybpftool.insn.code import Insn, decode, encode
from pybpftool.insn.dot import dot
from pybpftool.insn.graph import functions
from pybpftool.insn.lines import Line
from pybpftool.insn.text import Names
from tests.insn.conftest import Shown
from tests.support.need import need

SUB = 10
PROGRAM = [
    mov64_reg(6, 1),
    call(7),
    jump_imm(c.JNE, 0, 7, 3),
    ld_imm64(1, 5),
    jump(2),
    ld_imm64(1, 6),
    Insn(c.JMP | c.CALL, 0, c.PSEUDO_CALL, 1, 1),
    exit_(),
    mov64_reg(0, 1),  # slot 10
    jump_imm(c.JSGT, 1, 5, 2),
    ld_imm64(0, 3),
    exit_(),
]
NAMES = Names({7: "bpf_get_prandom_u32"}.get, {2: "sub"}.get, 0, [1, 2])
PROTOS = {0: "int main_prog(struct __sk_buff * skb)", SUB: "int sub(int n)"}
LINES = [
    Line(0, "  int r = rnd();", "/srv/x/deep/er/and/deeper/still/src/prog.c", 3, 5),
    Line(2, '\tif (r != 7) { return "a|b"; }', "src/prog.c", 4, 9),
    Line(SUB, "return n > m ? 1 : 2;", "src/prog.c", 9, 2),
]

VISUAL = r"""
digraph "DOT graph for eBPF program" {
subgraph "cluster_0" {
	style="dashed";
	color="black";
	label="func_0 ()";
	fn_0_bb_0 [shape=Mdiamond,style=filled,label="ENTRY"];

	fn_0_bb_2 [shape=record,style=filled,label="{\
; int main_prog(struct __sk_buff * skb):\l\
; int\ r\ =\ rnd();\l\
0: (bf) r6 = r1\l\
| 1: (85) call bpf_get_prandom_u32#7\l\
| ; if\ (r\ !=\ 7)\ \{\ return\ \"a\|b\";\ \}\l\
2: (55) if r0 != 0x7 goto pc+3\l\
}"];

	fn_0_bb_3 [shape=record,style=filled,label="{\
; if\ (r\ !=\ 7)\ \{\ return\ \"a\|b\";\ \}\l\
3: (18) r1 = 0x5\l\
| 5: (05) goto pc+2\l\
}"];

	fn_0_bb_4 [shape=record,style=filled,label="{\
; if\ (r\ !=\ 7)\ \{\ return\ \"a\|b\";\ \}\l\
6: (18) r1 = 0x6\l\
| }"];

	fn_0_bb_5 [shape=record,style=filled,label="{\
; if\ (r\ !=\ 7)\ \{\ return\ \"a\|b\";\ \}\l\
8: (85) call pc+1#sub\l\
| 9: (95) exit\l\
}"];

	fn_0_bb_1 [shape=Mdiamond,style=filled,label="EXIT"];

	fn_0_bb_0:s -> fn_0_bb_2:n [style="solid,bold", color=black, weight=10, constraint=true];
	fn_0_bb_2:s -> fn_0_bb_3:n [style="solid,bold", color=black, weight=10, constraint=true];
	fn_0_bb_2:s -> fn_0_bb_4:n [style="solid,bold", color=black, weight=10, constraint=true];
	fn_0_bb_3:s -> fn_0_bb_5:n [style="solid,bold", color=black, weight=10, constraint=true];
	fn_0_bb_4:s -> fn_0_bb_5:n [style="solid,bold", color=black, weight=10, constraint=true];
	fn_0_bb_5:s -> fn_0_bb_1:n [style="solid,bold", color=black, weight=10, constraint=true];
	fn_0_bb_0:s -> fn_0_bb_1:n [style="invis", constraint=true];
}
subgraph "cluster_1" {
	style="dashed";
	color="black";
	label="func_1 ()";
	fn_1_bb_0 [shape=Mdiamond,style=filled,label="ENTRY"];

	fn_1_bb_2 [shape=record,style=filled,label="{\
; int sub(int n):\l\
; return\ n\ \>\ m\ ?\ 1\ :\ 2;\l\
0: (bf) r0 = r1\l\
| 1: (65) if r1 s\> 0x5 goto pc+2\l\
}"];

	fn_1_bb_3 [shape=record,style=filled,label="{\
; return\ n\ \>\ m\ ?\ 1\ :\ 2;\l\
2: (18) r0 = 0x3\l\
| }"];

	fn_1_bb_4 [shape=record,style=filled,label="{\
; return\ n\ \>\ m\ ?\ 1\ :\ 2;\l\
4: (95) exit\l\
}"];

	fn_1_bb_1 [shape=Mdiamond,style=filled,label="EXIT"];

	fn_1_bb_0:s -> fn_1_bb_2:n [style="solid,bold", color=black, weight=10, constraint=true];
	fn_1_bb_2:s -> fn_1_bb_3:n [style="solid,bold", color=black, weight=10, constraint=true];
	fn_1_bb_2:s -> fn_1_bb_4:n [style="solid,bold", color=black, weight=10, constraint=true];
	fn_1_bb_3:s -> fn_1_bb_4:n [style="solid,bold", color=black, weight=10, constraint=true];
	fn_1_bb_4:s -> fn_1_bb_1:n [style="solid,bold", color=black, weight=10, constraint=true];
	fn_1_bb_0:s -> fn_1_bb_1:n [style="invis", constraint=true];
}
}
"""

VISUAL_LINUM_OPCODES = r"""
digraph "DOT graph for eBPF program" {
subgraph "cluster_0" {
	style="dashed";
	color="black";
	label="func_0 ()";
	fn_0_bb_0 [shape=Mdiamond,style=filled,label="ENTRY"];

	fn_0_bb_2 [shape=record,style=filled,label="{\
; int main_prog(struct __sk_buff * skb):\l\
; [.../er/and/deeper/still/src/prog.c line:3 col:5]\l\
; int\ r\ =\ rnd();\l\
0: (bf) r6 = r1\l\
\ \ \ \ bf 16 00 00 00 00 00 00\l\
| 1: (85) call bpf_get_prandom_u32#7\l\
\ \ \ \ 85 00 00 00 07 00 00 00\l\
| ; [src/prog.c line:4 col:9]\l\
; if\ (r\ !=\ 7)\ \{\ return\ \"a\|b\";\ \}\l\
2: (55) if r0 != 0x7 goto pc+3\l\
\ \ \ \ 55 00 03 00 07 00 00 00\l\
}"];

	fn_0_bb_3 [shape=record,style=filled,label="{\
; [src/prog.c line:4 col:9]\l\
; if\ (r\ !=\ 7)\ \{\ return\ \"a\|b\";\ \}\l\
3: (18) r1 = 0x5\l\
\ \ \ \ 18 01 00 00 05 00 00 00 00 00 00 00 00 00 00 00\l\
| 5: (05) goto pc+2\l\
\ \ \ \ 05 00 02 00 00 00 00 00\l\
}"];

	fn_0_bb_4 [shape=record,style=filled,label="{\
; [src/prog.c line:4 col:9]\l\
; if\ (r\ !=\ 7)\ \{\ return\ \"a\|b\";\ \}\l\
6: (18) r1 = 0x6\l\
\ \ \ \ 18 01 00 00 06 00 00 00 00 00 00 00 00 00 00 00\l\
| }"];

	fn_0_bb_5 [shape=record,style=filled,label="{\
; [src/prog.c line:4 col:9]\l\
; if\ (r\ !=\ 7)\ \{\ return\ \"a\|b\";\ \}\l\
8: (85) call pc+1#sub\l\
\ \ \ \ 85 10 01 00 01 00 00 00\l\
| 9: (95) exit\l\
\ \ \ \ 95 00 00 00 00 00 00 00\l\
}"];

	fn_0_bb_1 [shape=Mdiamond,style=filled,label="EXIT"];

	fn_0_bb_0:s -> fn_0_bb_2:n [style="solid,bold", color=black, weight=10, constraint=true];
	fn_0_bb_2:s -> fn_0_bb_3:n [style="solid,bold", color=black, weight=10, constraint=true];
	fn_0_bb_2:s -> fn_0_bb_4:n [style="solid,bold", color=black, weight=10, constraint=true];
	fn_0_bb_3:s -> fn_0_bb_5:n [style="solid,bold", color=black, weight=10, constraint=true];
	fn_0_bb_4:s -> fn_0_bb_5:n [style="solid,bold", color=black, weight=10, constraint=true];
	fn_0_bb_5:s -> fn_0_bb_1:n [style="solid,bold", color=black, weight=10, constraint=true];
	fn_0_bb_0:s -> fn_0_bb_1:n [style="invis", constraint=true];
}
subgraph "cluster_1" {
	style="dashed";
	color="black";
	label="func_1 ()";
	fn_1_bb_0 [shape=Mdiamond,style=filled,label="ENTRY"];

	fn_1_bb_2 [shape=record,style=filled,label="{\
; int sub(int n):\l\
; [src/prog.c line:9 col:2]\l\
; return\ n\ \>\ m\ ?\ 1\ :\ 2;\l\
0: (bf) r0 = r1\l\
\ \ \ \ bf 10 00 00 00 00 00 00\l\
| 1: (65) if r1 s\> 0x5 goto pc+2\l\
\ \ \ \ 65 01 02 00 05 00 00 00\l\
}"];

	fn_1_bb_3 [shape=record,style=filled,label="{\
; [src/prog.c line:9 col:2]\l\
; return\ n\ \>\ m\ ?\ 1\ :\ 2;\l\
2: (18) r0 = 0x3\l\
\ \ \ \ 18 00 00 00 03 00 00 00 00 00 00 00 00 00 00 00\l\
| }"];

	fn_1_bb_4 [shape=record,style=filled,label="{\
; [src/prog.c line:9 col:2]\l\
; return\ n\ \>\ m\ ?\ 1\ :\ 2;\l\
4: (95) exit\l\
\ \ \ \ 95 00 00 00 00 00 00 00\l\
}"];

	fn_1_bb_1 [shape=Mdiamond,style=filled,label="EXIT"];

	fn_1_bb_0:s -> fn_1_bb_2:n [style="solid,bold", color=black, weight=10, constraint=true];
	fn_1_bb_2:s -> fn_1_bb_3:n [style="solid,bold", color=black, weight=10, constraint=true];
	fn_1_bb_2:s -> fn_1_bb_4:n [style="solid,bold", color=black, weight=10, constraint=true];
	fn_1_bb_3:s -> fn_1_bb_4:n [style="solid,bold", color=black, weight=10, constraint=true];
	fn_1_bb_4:s -> fn_1_bb_1:n [style="solid,bold", color=black, weight=10, constraint=true];
	fn_1_bb_0:s -> fn_1_bb_1:n [style="invis", constraint=true];
}
}
"""


Drawn = Callable[..., str]


@pytest.fixture
def drawn(shown: Shown) -> Drawn:
    """The picture of instructions, with what ``dot`` takes beside them."""

    def draw(
        insns: Sequence[Insn],
        protos: dict[int, str] | None = None,
        lines: Sequence[Line] = (),
        *,
        linum: bool = False,
        opcodes: bool = False,
    ) -> str:
        data = encode(insns)
        given = data if opcodes else b""
        graph = functions(decode(data))
        return "".join(dot(graph, shown(insns, NAMES), protos, lines, linum=linum, opcodes=given))

    return draw


def test_visual(drawn: Drawn) -> None:
    assert drawn(PROGRAM, PROTOS, LINES) == VISUAL.lstrip()


@pytest.mark.skipif(sys.byteorder == "big", reason="the bytes stand in the other order")
def test_visual_linum_opcodes(drawn: Drawn) -> None:
    found = drawn(PROGRAM, PROTOS, LINES, linum=True, opcodes=True)
    assert found == VISUAL_LINUM_OPCODES.lstrip()


def test_without_btf(drawn: Drawn) -> None:
    found = drawn(PROGRAM)
    assert "; " not in found.replace('";\n', "")
    assert "{\\\n0: (bf) r6 = r1\\l\\\n| 1: (85) call" in found


def test_nothing(drawn: Drawn) -> None:
    assert drawn([]) == 'digraph "DOT graph for eBPF program" {\n}\n'


def test_graphviz_reads_it(drawn: Drawn) -> None:
    need(shutil.which("dot"), "needs dot, of graphviz")
    picture = drawn(PROGRAM, PROTOS, LINES, linum=True, opcodes=True)
    done = subprocess.run(["dot", "-Tplain"], input=picture, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    nodes = [line.split()[1] for line in done.stdout.splitlines() if line.startswith("node ")]
    assert sorted(nodes) == sorted(
        f"fn_{function}_bb_{block}"
        for function, blocks in ((0, 6), (1, 5))
        for block in range(blocks)
    )


# ------------------------------------------------------------------ one block


def label(*lines: Line, text: str = "(95) exit", linum: bool = False) -> str:
    """The label of a block of one instruction with this text, without ``0: ``."""
    found = dot(functions([exit_()]), {0: text}, {}, lines, linum=linum)
    whole = "".join(found)
    begin = whole.index('label="{\\\n') + len('label="{\\\n')
    return whole[begin : whole.index('}"];', begin)].replace("0: ", "", 1)


EXIT = "(95) exit\\l\\\n"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a < b > c | d & e", r"a \< b \> c \| d \& e" + "\\l\\\n"),
        ('"{\\}" ', '"{\\}" \\l\\\n'),
        ("x" * 62, "x" * 62 + "\\l\\\n"),
        # what is too long loses its line break first
        ("x" * 63, "x" * 63),
        ("x" * 64, "x" * 63),
        ("x" * 62 + "<<", "x" * 62 + r"\<"),
    ],
)
def test_instruction(text: str, expected: str) -> None:
    assert label(text=text) == expected


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("int x;", "; int\\ x;\\l\\\n"),
        ('\t {"a\\n"} <|> &', r"; \{\"a\\n\"\}\ \<\|\>\ &" + "\\l\\\n"),
        ("", ""),
        (None, ""),
        (" \t", "; \\l\\\n"),
    ],
)
def test_source(source: str | None, expected: str) -> None:
    assert label(Line(0, source, "f.c", 1, 1)) == expected + EXIT
    where = "; [f.c line:1 col:1]\\l\\\n" if expected else ""
    assert label(Line(0, source, "f.c", 1, 1), linum=True) == where + expected + EXIT


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        (None, ""),
        ("", ""),
        ("prog.c", "prog.c"),
        ("my {prog}.c", r"my\ \{prog\}.c"),
        ("/" + "a" * 31, "/" + "a" * 31),
        ("/a/" + "b" * 20 + "/" + "c" * 20, ".../" + "c" * 20),
        ("/aa/" + "b" * 10 + "/" + "c" * 20, ".../" + "b" * 10 + "/" + "c" * 20),
        ("/aa" + "/" + "b" * 31, ".../" + "b" * 31),
        # cutting off less than the dots take is not worth it
        ("/a" + "/" + "b" * 31, "/a/" + "b" * 31),
        ("/w/" + "b" * 30, "/w/" + "b" * 30),
        # a name that is too long stays whole
        ("/some/where/" + "b" * 40, ".../" + "b" * 40),
        ("/" + "b" * 40, "/" + "b" * 40),
        ("b" * 40, "b" * 40),
        # bytes count, not letters
        ("/aaaa/" + "é" * 15, ".../" + "é" * 15),
        ("/aaaa/" + "é" * 16, ".../" + "é" * 16),
        ("/aaaa/\udcff" + "b" * 28, ".../\udcff" + "b" * 28),
    ],
)
def test_path(path: str | None, expected: str) -> None:
    found = label(Line(0, "x", path, 70, 9), linum=True)
    assert found == f"; [{expected} line:70 col:9]\\l\\\n; x\\l\\\n{EXIT}"


def test_a_line_is_shown_again_in_the_next_block(drawn: Drawn) -> None:
    """And in the same one only when another record begins, however alike."""
    data = [mov64_imm(0, 0), mov64_imm(0, 1), jump_imm(c.JEQ, 0, 1, 0), exit_()]
    same = [Line(0, "same", "f.c", 1, 1), Line(1, "same", "f.c", 1, 1), Line(2, "", "f.c", 2, 1)]
    assert drawn(data, {}, same[:1]).count("; same") == 2
    assert drawn(data, {}, same[:2]).count("; same") == 3
    assert drawn(data, {}, same).count("; same") == 2


def test_gotol_leads_where_it_goes(drawn: Drawn) -> None:
    """As goto does; bpftool takes it for a jump to the next instruction."""
    near = [jump_imm(c.JEQ, 0, 0, 1), jump(1), mov64_imm(0, 0), exit_()]
    far = [near[0], jump_long(1), *near[2:]]
    picture = drawn(far)
    assert picture.replace("(06) gotol", "(05) goto") == drawn(near)
    assert "bb_3:s -> fn_0_bb_5:n" in picture
