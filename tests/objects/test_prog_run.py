"""``prog run``, ``attach``, ``detach``, ``tracelog`` and ``profile`` without a kernel."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pybpftool.kernel import tracefs
from pybpftool.kernel._abi import ffi
from tests.support.run import Ended, pybpftool
from tests.support.tape import Answer, Tape, memory, new_fd

XDP, SYSCALL = 6, 31


def machine(type: int = XDP, **rules: Answer) -> Tape:
    """A kernel with one program of a type; it has no BTF."""

    def info(arm: Any) -> int:
        raw = ffi.new("struct bpf_prog_info *", {"type": type, "id": 7})
        memory(arm.info, arm.info_len)[:] = ffi.buffer(raw)[: arm.info_len]
        return 0

    known: dict[str, Answer] = {
        "PROG_GET_FD_BY_ID": lambda arm: new_fd(),
        "MAP_GET_FD_BY_ID": lambda arm: new_fd(),
        "OBJ_GET_INFO_BY_FD": info,
    }
    return Tape(**known | rules)


def echo(arm: Any) -> int:
    """The program turns its packet round, leaves 4 bytes of context and returns 2^32 - 1."""
    data = memory(arm.data_in, arm.data_size_in)[:]
    memory(arm.data_out, len(data))[:] = data[::-1]
    arm.data_size_out = len(data)
    if arm.ctx_out:
        memory(arm.ctx_out, 4)[:] = b"\1\2\3\4"
        arm.ctx_size_out = 4
    arm.retval = 0xFFFFFFFF
    arm.duration = 17
    return 0


@pytest.fixture
def files(tmp_path: Path) -> Path:
    (tmp_path / "packet").write_bytes(b"0123456789ABCDEFx")
    (tmp_path / "context").write_bytes(b"cccc")
    return tmp_path


DUMP = "0000000\t7846 4544 4342 4139 3837 3635 3433 3231 | xFEDCBA9 87654321\n" + (
    "0000010\t30                                      | 0\n"
)


@pytest.mark.parametrize(
    ("words", "out"),
    [
        ("data_in {}/packet", "Return value: 4294967295, duration: 17ns\n"),
        ("data_in {}/packet data_out -", f"{DUMP}Return value: 4294967295, duration: 17ns\n"),
        (
            "ctx_o - data_i {}/packet r 2 ctx_in {}/context",
            "0000000\t0102 0304                               | ....\n"
            "Return value: 4294967295, duration (average): 17ns\n",
        ),
    ],
)
def test_what_a_run_prints(words: str, out: str, files: Path) -> None:
    with machine(PROG_TEST_RUN=echo):
        mine = pybpftool("prog", "run", "id", "7", *words.format(files, files).split())
    assert mine == Ended(out.encode(), b"", 0)


def test_a_run_in_json(files: Path) -> None:
    line = f"data_in {files}/packet data_out {files}/new ctx_in {files}/context ctx_out -"
    with machine(PROG_TEST_RUN=echo):
        mine = pybpftool("-p", "prog", "run", "id", "7", *line.split())
    assert mine.out == (
        '{\n    "ctx_out": [1,2,3,4\n    ],\n    "retval": 4294967295,\n    "duration": 17\n}\n'
    )
    assert (files / "new").read_bytes() == b"xFEDCBA9876543210"


def test_what_the_kernel_is_asked(files: Path) -> None:
    """No room for what nobody asked for, once if not told otherwise, and every size as given."""
    asked: list[tuple[int, ...]] = []

    def note(arm: Any) -> int:
        rooms = bool(arm.data_out), bool(arm.ctx_out)
        asked.append((*rooms, arm.data_size_out, arm.ctx_size_out, arm.repeat))
        return -errno.EINVAL

    lines = [
        "repeat 3",
        "data_size_out 5 ctx_size_out 6",
        f"data_in {files}/packet ctx_in {files}/context",
        f"data_in {files}/packet ctx_in {files}/context data_size_out 5 ctx_size_out 6",
        f"data_in {files}/packet data_size_out 0xffffffff",
    ]
    with machine(PROG_TEST_RUN=note):
        for line in lines:
            mine = pybpftool("prog", "run", "id", "7", *line.split())
            assert mine.status == 256 - errno.EINVAL
            assert mine.err == "Error: failed to run program: Invalid argument\n"
    assert asked == [
        (False, False, 0, 0, 3),
        (False, False, 5, 6, 0),
        (True, False, 32768, 0, 0),
        (True, True, 5, 6, 0),
        (True, False, 1 << 26, 0, 0),
    ]


def test_a_syscall_program_changes_its_context(files: Path) -> None:
    def change(arm: Any) -> int:
        assert not (arm.ctx_out or arm.ctx_size_out or arm.data_size_out)
        memory(arm.ctx_in, 4)[:] = b"new!"
        return 0

    line = f"ctx_in {files}/context ctx_out -"
    with machine(SYSCALL, PROG_TEST_RUN=change):
        mine = pybpftool("-j", "prog", "run", "id", "7", *line.split())
    assert mine.json == {"ctx_out": list(b"new!"), "retval": 0, "duration": 0}


def test_too_much_input(files: Path) -> None:
    with machine():
        mine = pybpftool("prog", "run", "id", "7", "data_in", "/dev/zero")
    assert mine.err == "Error: data_in/ctx_in is too long (max: 67108864)\n"


# ------------------------------------------------------------------ attach, detach


@pytest.mark.parametrize(
    ("word", "number"),
    [
        ("sk_skb_stream_parser", 4),
        ("stream", 4),
        ("stream_v", 5),
        ("sk_msg_verdict", 7),
        ("m", 7),
        ("sk_skb_verdict", 38),
        ("sk", 38),
    ],
)
def test_attach_types(word: str, number: int) -> None:
    attached: list[int] = []

    def note(arm: Any) -> int:
        attached.append(arm.attach_type)
        return 0

    with machine(PROG_ATTACH=note, PROG_DETACH=note):
        for command in ("attach", "detach"):
            line = ["prog", command, "id", "7", word, "id", "9"]
            assert pybpftool("-j", *line) == Ended(b"null\n", b"", 0)
    assert attached == [number, number]


def test_flow_dissector_has_no_map() -> None:
    def note(arm: Any) -> int:
        assert (arm.target_fd, arm.attach_type) == (0, 17)
        return 0

    with machine(PROG_ATTACH=note) as tape:
        line = ["prog", "attach", "id", "7", "flow_dissector", "whatever"]
        assert pybpftool(*line) == Ended(b"", b"", 0)
    assert tape.calls == ["PROG_GET_FD_BY_ID", "PROG_ATTACH"]


def test_the_hint_says_why() -> None:
    with machine(PROG_DETACH=-errno.ENOENT):
        mine = pybpftool("prog", "detach", "id", "7", "flow_dissector")
    sentence = "failed prog detach from map"
    hint = "the kernel says: No such file or directory"
    assert mine == Ended(b"", f"Error: {sentence}\nHint: {hint}\n".encode(), 234)


# ------------------------------------------------------------------ tracelog


@pytest.fixture
def pipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A directory that is taken for tracefs; its pipe is a file."""
    monkeypatch.setattr(tracefs, "place", lambda nomount, warn: str(tmp_path))
    path = tmp_path / "trace_pipe"
    path.touch()
    yield path


def test_pieces_become_lines(pipe: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tracefs, "_CHUNK", 5)
    pipe.write_bytes(b'one\ntwo "2"\n\xff\nno end')
    sentence = "failed to read content from trace pipe: it has ended"
    mine = pybpftool("prog", "tracelog")
    assert (mine.out, mine.err) == ('one\ntwo "2"\n\udcff\n', f"Error: {sentence}\n")
    mine = pybpftool("-j", "prog", "tracelog")
    assert mine.json == ["one\n", 'two "2"\n', "\udcff\n", {"error": sentence}]
    assert mine.status == 255


def test_no_pipe(pipe: Path) -> None:
    pipe.unlink()
    sentence = b"Error: could not open trace pipe: No such file or directory\n"
    assert pybpftool("prog", "tracelog") == Ended(b"", sentence, 255)


def stream(*pieces: bytes, end: int = 0) -> Answer:
    """A program's stream that is read in these pieces."""
    left = list(pieces)

    def answer(arm: Any) -> int:
        if not left:
            return end
        piece = left.pop(0)
        memory(arm.stream_buf, len(piece))[:] = piece
        return len(piece)

    return answer


def test_streams() -> None:
    for words, out, err in (
        (("tracelog", "std"), b"a\nb", b""),
        (("tracelog", "stderr"), b"", b"a\nb"),
    ):
        with machine(PROG_STREAM_READ_BY_FD=stream(b"a", b"\nb")):
            assert pybpftool("prog", *words, "id", "7", "ignored") == Ended(out, err, 0)
    with machine(PROG_STREAM_READ_BY_FD=stream(b"a", b"\nb")):
        assert pybpftool("-j", "prog", "tracelog", "stderr", "id", "7").json == ["a\n", "b"]


def test_a_stream_that_breaks_off() -> None:
    with machine(PROG_STREAM_READ_BY_FD=stream(b"a\nb", end=-errno.EIO)):
        mine = pybpftool("prog", "tracelog", "stdout", "id", "7")
    sentence = b"Error: failed to read the program's stream: Input/output error\n"
    assert mine == Ended(b"a\n", sentence, 255)


@pytest.mark.parametrize("words", ["zork", "id 7", "zork id 7"])
def test_neither_stream(words: str) -> None:
    with machine():
        mine = pybpftool("prog", "tracelog", *words.split())
    assert mine.err.startswith("Usage: pybpftool prog ")
    assert (mine.out, mine.status) == ("", 255)


@pytest.mark.parametrize(
    ("words", "typed", "found"), [("stdout", "stdout", 0), ("stde", "stde", 0), ("s id", "s", 1)]
)
def test_a_stream_without_program(words: str, typed: str, found: int) -> None:
    with machine():
        mine = pybpftool("prog", "tracelog", *words.split())
    sentence = f"'{typed}' needs at least 2 arguments, {found} found"
    assert mine == Ended(b"", f"Error: {sentence}\n".encode(), 255)


# ------------------------------------------------------------------ words


@pytest.mark.parametrize(
    ("line", "sentence", "status"),
    [
        ("run id 7 data_in", "'run' needs at least 4 arguments, 3 found", 255),
        (
            "run id 7 d x",
            "ambiguous prefix: 'd' could be 'data_in' or 'data_out' or 'data_size_out'",
            255,
        ),
        ("run id 7 data_s 08", "can't parse 08 as output data size", 255),
        ("run id 7 ctx_s 0x", "can't parse 0x as output context size", 255),
        ("run id 7 repeat ten", "can't parse ten as repeat number", 255),
        ("run id 7 ctx_ x", "ambiguous prefix: 'ctx_' could be 'ctx_in' or 'ctx_out' or "
         "'ctx_size_out'", 255),
        (
            "run id 7 data_in - ctx_in -",
            "cannot use standard input for both data_in and ctx_in",
            255,
        ),
        ("attach id 7", "'attach' needs at least 3 arguments, 2 found", 234),
        ("attach id 7 sk_msg", "invalid attach/detach type", 234),
        ("detach id 7 msg_v id", "'msg_v' needs at least 2 arguments, 1 found", 234),
        ("profile id 7", "'profile' needs at least 3 arguments, 2 found", 234),
        ("profile id 7 zork", "unknown metric zork", 255),
        ("profile id 7 duration 5", "unknown metric duration", 255),
        (
            "profile id 7 cyc ins l1d llc itlb dtlb",
            "too many (6) metrics, please specify no more than 4 metrics at a time",
            255,
        ),
        ("profile id 7 duration 1 duration 1 cycles", "unknown metric duration", 255),
    ],
)  # fmt: skip
def test_refusals(line: str, sentence: str, status: int) -> None:
    with machine():
        mine = pybpftool("prog", *line.split())
    assert mine == Ended(b"", f"Error: {sentence}\n".encode(), status)


def test_profile_needs_types() -> None:
    with machine():
        mine = pybpftool("-j", "prog", "profile", "id", "7", "d", "cycles")
    assert mine.json["error"].endswith(" doesn't have valid btf")


def test_profile_with_a_bad_duration_shows_the_help() -> None:
    with machine():
        mine = pybpftool("prog", "profile", "id", "7", "duration", "x", "cycles")
    assert mine.err.startswith("Usage: ")
    assert mine.status == 255
