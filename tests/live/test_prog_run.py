"""Programs run on known packets and contexts by both tools; and attached to maps of sockets."""

from __future__ import annotations

import errno
import shlex
import socket
import struct
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import pytest

from pybpftool.errors import KernelError
from pybpftool.insn import code as c
from pybpftool.insn.asm import exit_, ldx, mov64_imm, stx
from pybpftool.insn.code import Insn, encode
from pybpftool.kernel import calls
from pybpftool.kernel.words import PROG_TYPES
from tests.live.compare import FORMS, Both, difference, ours
from tests.live.zoo import Kind, full_name, made
from tests.support.need import kernel_lacks
from tests.support.run import Ended

SLEEPABLE = 1 << 4
SK_SKB_STREAM_VERDICT = 5


class Program(NamedTuple):
    """A program to run: its type and code; ``since``: a kernel may lack the type."""

    type: str
    code: list[Insn]
    flags: int = 0


PROGRAMS = {
    "xdp": Program("xdp", [mov64_imm(0, 2), exit_()]),
    # writes to the mark of its packet, which the context shows
    "cls": Program("sched_cls", [mov64_imm(2, 5), stx(c.W, 1, 2, 8), mov64_imm(0, 7), exit_()]),
    "filter": Program("socket_filter", [mov64_imm(0, 3), exit_()]),
    "lwt": Program("lwt_in", [mov64_imm(0, 0), exit_()]),
    # returns its first argument
    "raw": Program("raw_tracepoint", [ldx(c.DW, 0, 1, 0), exit_()]),
    # changes its context
    "call": Program(
        "syscall",
        [ldx(c.DW, 0, 1, 0), mov64_imm(2, 99), stx(c.DW, 1, 2, 0), exit_()],
        SLEEPABLE,
    ),
}

FILES = {
    "packet": bytes(range(64)),
    "text": b"0123456789ABCDEF" * 5 + b" ~\x7f",
    "short": b"ab",
    "empty": b"",
    "long": bytes(range(256)) * 12,
    "xdp_md": struct.pack("=6I", 0, 64, 0, 1, 0, 0),
    "sk_buff": bytes(8) + struct.pack("=I", 9) + bytes(180),
    "word": struct.pack("=Q", 42),
}
STDIN = b"0123456789ABCDEF" * 4 + b"xyz"

RUNS = """
{xdp} data_in $packet
{xdp} data_in $text data_out -
{xdp} data_in - data_out -
{xdp} data_in $packet data_out $new repeat 5
{xdp} data_in $packet data_out - data_size_out 10
{xdp} data_in $packet data_out - data_size_out 64
{xdp} data_in $packet data_size_out 10
{xdp} data_in $packet ctx_in $xdp_md ctx_out -
{xdp} data_in $packet ctx_in $xdp_md ctx_out - data_out -
{xdp} data_in $packet ctx_in $xdp_md ctx_out $other data_out $new
{xdp} data_in $packet ctx_in $xdp_md ctx_out - ctx_size_out 4
{xdp} data_in $packet ctx_out -
{xdp} data_in $packet ctx_out - ctx_size_out 9
{xdp} data_in $packet ctx_in -
{xdp} data_in $short
{xdp} data_in $empty
{xdp} data_in $empty data_out - ctx_in $empty
{xdp} data_in $long data_out $new
{xdp} data_in $packet data_out /dev/null
{xdp} data_in $packet data_in $text data_out -
{xdp} data_in $packet repeat 4294967297
{xdp} data_in $packet data_size_out 0 data_out -
{cls} data_in $packet data_out - ctx_in $sk_buff ctx_out -
{cls} data_in $packet ctx_in $sk_buff
{cls} data_in $packet ctx_in $sk_buff ctx_out $other repeat 3
{cls} data_in $packet ctx_in $word ctx_out -
{cls} data_in $packet ctx_in $long ctx_out -
{filter} data_in $packet
{filter} data_in $packet data_out - repeat 0
{lwt} data_in $packet data_out -
{raw} repeat 0
{raw} repeat 1
{raw} data_in $packet
{call} repeat 1
{call} data_in $packet
"""

WRONG = """
run
run id
run {xdp}
run {xdp} data_in
run {xdp} d $packet
run {xdp} da $packet
run {xdp} data_ $packet
run {xdp} data_s 5
run {xdp} c $packet
run {xdp} ctx_o -
run {xdp} '' $packet
run {xdp} r 08
run {xdp} repeat x
run {xdp} repeat ''
run {xdp} repeat
run {xdp} data_in $packet repeat
run {xdp} data_in $packet data_size_out 0x
run {xdp} data_in $packet ctx_size_out zz
run {xdp} data_in $packet nonsense
run {xdp} data_in - ctx_in -
run {xdp} ctx_in - data_in -
run {xdp} data_in /nonexistent
run {xdp} data_in $packet ctx_in /nonexistent
run id 4294967295 data_in $packet
run name {name}_none data_in
run nonsense 5 data_in x
r {xdp} data_in /nonexistent
attach
attach {xdp}
attach {xdp} nonsense
attach {xdp} sk_msg_verdict
attach {xdp} msg_v
attach {xdp} sk_msg
attach {xdp} sk_msg_verdict id
attach {xdp} sk_msg_verdict id 4294967295
attach {xdp} sk_msg_verdict nonsense 1
attach {xdp} sk_msg_verdict {map}
attach {xdp} flow_dissector
attach {xdp} flow_dissector nonsense
attach {xdp} flow_d
attach {xdp} ''
attach id 4294967295 flow_dissector
at {xdp} xdp
detach
detach {xdp} flow_dissector
detach {xdp} stream_parser id 4294967295
detach {xdp} skb_verdict id
detach {xdp} skb_verdict {map}
det {xdp} xdp
"""


@pytest.fixture(scope="module")
def programs(bpf: None) -> Iterator[dict[str, str]]:
    """Name in the tables -> handle."""
    with ExitStack() as stack:
        handles = {"name": full_name("run")}
        for name, program in PROGRAMS.items():
            fd = stack.enter_context(
                calls.prog_load(
                    PROG_TYPES.index(program.type),
                    encode(program.code),
                    name=full_name(name),
                    prog_flags=program.flags,
                )
            )
            handles[name] = f"id {calls.obj_id(fd)}"
        yield handles


@pytest.fixture
def place(tmp_path: Path) -> Path:
    for name, content in FILES.items():
        (tmp_path / name).write_bytes(content)
    return tmp_path


def words(line: str, handles: dict[str, str], place: Path) -> list[str]:
    return shlex.split(line.format(**handles).replace("$", f"{place}/"))


def our_process(*line: str, stdin: bytes) -> Ended:
    """A line with standard input, run by ours in a process of its own."""
    argv = [sys.executable, "-c", OURS, *line]
    done = subprocess.run(argv, input=stdin, capture_output=True)
    return Ended(done.stdout, done.stderr, done.returncode)


OURS = 'import sys; sys.argv[0] = "bpftool"; from pybpftool.cli.main import main; main()'


@pytest.mark.parametrize(("at", "line"), list(enumerate(RUNS.strip().splitlines())))
def test_same_run(at: int, line: str, programs: dict[str, str], place: Path, both: Both) -> None:
    for form in ((), FORMS[1 + at % 2]):
        typed = [*form, "prog", "run", *words(line, programs, place)]
        left = []
        ends = []
        for tool in ("ours", "theirs"):
            if tool == "theirs":
                ends.append(both.reference(*typed, stdin=STDIN))
            elif "_in -" in line:
                ends.append(our_process(*typed, stdin=STDIN))
            else:
                ends.append(ours(*typed))
            outputs = [place / name for name in ("new", "other")]
            left.append([path.read_bytes() if path.exists() else None for path in outputs])
            for path in outputs:
                path.unlink(missing_ok=True)
        assert not difference(typed, ends[0], ends[1], both.reference)
        assert left[0] == left[1]


def test_same_refusals(programs: dict[str, str], place: Path, pins: str, both: Both) -> None:
    with made(Kind("m", "hash", 4, 4), pins) as map:
        handles = {**programs, "map": f"id {map.id}"}
        lines = [words(line, handles, place) for line in WRONG.strip().splitlines()]
        both.check([["prog", *line] for line in lines])
        both.check([["-j", "prog", *line] for line in lines[::3]])


def test_outputs_that_cannot_be_written(programs: dict[str, str], place: Path, both: Both) -> None:
    """The result is told all the same; in JSON bpftool's is none ("run-outputs")."""
    line = words(
        "{xdp} data_in $packet data_out $no/x ctx_in $xdp_md ctx_out $no/y", programs, place
    )
    both.check([["prog", "run", *line]])
    mine = ours("-j", "prog", "run", *line)
    told = f"failed to open {place}/no/{{}}: No such file or directory"
    assert mine.json == {
        "error": f"{told.format('x')}; {told.format('y')}",
        "retval": 2,
        "duration": mine.json["duration"],
    }
    assert mine.status == both.reference("-j", "prog", "run", *line).status == 254


def test_a_file_is_replaced_or_left_alone(programs: dict[str, str], place: Path) -> None:
    target = place / "kept"
    target.write_text("before")
    target.chmod(0o640)
    line = words("{xdp} data_in $packet data_out $kept", programs, place)
    assert ours("prog", "run", *line, "data_size_out", "1").status == 256 - errno.ENOSPC
    assert target.read_text() == "before"
    assert ours("prog", "run", *line).status == 0
    assert target.read_bytes() == FILES["packet"]
    assert target.stat().st_mode & 0o777 == 0o640


@pytest.mark.parametrize(
    ("line", "retval", "context"),
    [
        ("{raw} ctx_in $word", 42, None),
        ("{call} ctx_in $word", 42, None),
        ("{call} ctx_in $word ctx_out -", 42, [99, 0, 0, 0, 0, 0, 0, 0]),
        ("{call} ctx_in $word ctx_out $new", 42, None),
    ],
)
def test_contexts_of_tracepoints_and_syscalls(
    line: str,
    retval: int,
    context: list[int] | None,
    programs: dict[str, str],
    place: Path,
    both: Both,
) -> None:
    """bpftool asks for what these types don't have ("run-contexts")."""
    typed = words(line, programs, place)
    assert both.reference("prog", "run", *typed).status == 256 - errno.EINVAL
    mine = ours("-j", "prog", "run", *typed).json
    assert mine == {
        **({"ctx_out": context} if context else {}),
        "retval": retval,
        "duration": 0,
    }
    if "$new" in line:
        assert (place / "new").read_bytes() == struct.pack("=Q", 99)


def test_a_directory_is_no_input(programs: dict[str, str], both: Both) -> None:
    """bpftool runs the program on nothing ("run-unreadable")."""
    line = ["prog", "run", *programs["xdp"].split(), "data_in", "/"]
    assert ours(*line).err == "Error: failed to open /: Is a directory\n"
    assert "failed to run program" in both.reference(*line).err


# ------------------------------------------------------------------ attach, detach


@pytest.fixture
def sockets(pins: str) -> Iterator[int]:
    """The id of a map of sockets with one connection in it."""
    with ExitStack() as stack:
        server = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        near = stack.enter_context(socket.create_connection(server.getsockname()))
        stack.enter_context(server.accept()[0])
        kind = Kind(
            "s", "sockmap", 4, 4, fill=lambda _: [(bytes(4), struct.pack("=I", near.fileno()))]
        )
        try:
            yield stack.enter_context(made(kind, pins)).id
        except KernelError as error:
            kernel_lacks("maps of sockets", error)


ATTACHED = [
    ("sk_msg", "sk_msg_verdict"),
    ("sk_msg", "msg_verdict"),
    ("sk_msg", "m"),
    ("sk_skb", "sk_skb_stream_parser"),
    ("sk_skb", "stream_p"),
    ("sk_skb", "sk_skb_stream_verdict"),
    ("sk_skb", "sk_skb_verdict"),
    ("sk_skb", "skb_verdict"),
    ("sk_skb", "sk_msg_verdict"),
    ("xdp", "stream_verdict"),
]


@pytest.mark.parametrize(("type", "word"), ATTACHED)
def test_attached_to_a_map(type: str, word: str, sockets: int, both: Both) -> None:
    with calls.prog_load(
        PROG_TYPES.index(type), encode([mov64_imm(0, 1), exit_()]), name=full_name("a")
    ) as prog:
        other = calls.prog_load(
            PROG_TYPES.index(type), encode([mov64_imm(0, 0), exit_()]), name=full_name("b")
        )
        ids = [calls.obj_id(prog), calls.obj_id(other)]
        ends: list[list[Ended]] = [[], []]
        for number in ids:
            for command in ("detach", "attach", "attach", "detach", "detach"):
                for form in ((), ("-j",)):
                    line = [*form, "prog", command, "id", str(number), word, "id", str(sockets)]
                    ends[number == ids[1]].append(
                        ours(*line) if number == ids[0] else both.reference(*line)
                    )
        other.close()
    wrong = [
        difference(["prog"], mine, theirs, both.reference)
        for mine, theirs in zip(*ends, strict=True)
    ]
    assert not any(wrong), wrong


def test_it_is_really_there(sockets: int) -> None:
    with (
        calls.prog_load(
            PROG_TYPES.index("sk_skb"), encode([mov64_imm(0, 1), exit_()]), name=full_name("v")
        ) as prog,
        calls.map_fd_by_id(sockets) as map,
    ):
        number = calls.obj_id(prog)
        line = ["id", str(number), "sk_skb_stream_verdict", "id", str(sockets)]
        assert ours("prog", "attach", *line) == Ended(b"", b"", 0)
        try:
            found = calls.prog_query(map, SK_SKB_STREAM_VERDICT).prog_ids
        except KernelError as error:  # since Linux 5.17 or so
            assert error.errno == errno.EINVAL
        else:
            assert list(found) == [number]
        assert ours("-j", "prog", "detach", *line) == Ended(b"null\n", b"", 0)


def test_flow_dissector(both: Both) -> None:
    """One for the network namespace; an attached one is there until it is detached."""
    with calls.prog_load(
        PROG_TYPES.index("flow_dissector"), encode([mov64_imm(0, 0), exit_()]), name=full_name("f")
    ) as prog:
        line = ["id", str(calls.obj_id(prog)), "flow_dissector"]
        for first, second in ((ours, both.reference), (both.reference, ours)):
            assert first("prog", "attach", *line, "ignored") == Ended(b"", b"", 0)
            assert second("prog", "detach", *line) == Ended(b"", b"", 0)
        both.check([["prog", "detach", *line], ["-p", "prog", "detach", *line]])
