"""What programs print, read by both tools: the trace pipe until a signal, a program's streams."""

from __future__ import annotations

import errno
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import IO

import pytest

from pybpftool.errors import KernelError
from pybpftool.insn import code as c
from pybpftool.insn.asm import (
    alu64_imm,
    call,
    call_kernel,
    exit_,
    ld_imm64,
    ld_map_value,
    mov64_imm,
    mov64_reg,
    st,
    stx,
)
from pybpftool.insn.code import Insn, encode
from pybpftool.kernel import calls
from pybpftool.kernel.bpffs import TRACEFS_MAGIC, fs_magic
from pybpftool.kernel.syscall import Fd
from pybpftool.kernel.tracefs import USUAL
from pybpftool.sources import kernel_btf
from tests.live.compare import Both, ours
from tests.live.test_prog_run import OURS
from tests.live.zoo import SCHED_CLS, full_name
from tests.support.need import kernel_lacks, need
from tests.support.run import Ended

TRACE_PRINTK = 6
RDONLY_PROG = 1 << 7
PACKET = bytes(64)


def printing(text: bytes) -> list[Insn]:
    """A program that prints up to 7 bytes for everyone to read."""
    word = int.from_bytes(text.ljust(8, b"\0"), sys.byteorder)
    return [
        ld_imm64(1, word),
        stx(c.DW, 10, 1, -8),
        mov64_reg(1, 10),
        alu64_imm(c.ADD, 1, -8),
        mov64_imm(2, len(text) + 1),
        call(TRACE_PRINTK),
        exit_(),
    ]


@pytest.fixture
def printer(bpf: None) -> Iterator[Fd]:
    try:
        prog = calls.prog_load(SCHED_CLS, encode(printing(b'a "b" c')), name=full_name("print"))
    except KernelError as error:
        kernel_lacks("bpf_trace_printk()", error)
    with prog:
        yield prog


Start = Callable[..., "subprocess.Popen[bytes]"]


@pytest.fixture
def start(both: Both) -> Iterator[Start]:
    """Starts a tool on the trace pipe, with a tracefs of its own where there is none."""
    unshare = shutil.which("unshare")
    mounted = any(fs_magic(place) == TRACEFS_MAGIC for place in USUAL)
    need(mounted or unshare, "unshare is not installed (package util-linux)")
    with ExitStack() as stack:

        def start(tool: str, *form: str, mount: bool = True, **how: object) -> subprocess.Popen:
            line = [*form, "prog", "tracelog"]
            argv = [sys.executable, "-c", OURS, *line]
            if tool == "reference":
                argv = [both.reference.path, *line]
            if not mounted:
                first = f"mount -t tracefs tracefs {USUAL[0]} && " if mount else ""
                argv = [str(unshare), "-m", "sh", "-c", first + 'exec "$@"', "sh", *argv]
            pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **how}
            process = subprocess.Popen(argv, **pipes)  # type: ignore[call-overload]
            stack.enter_context(process)
            stack.callback(process.kill)
            return process

        yield start


def first_line(process: subprocess.Popen[bytes], printer: Fd) -> bytes:
    """Print until the tool shows something: the beginning of its output."""
    out: IO[bytes] = process.stdout  # type: ignore[assignment]  # it is a pipe
    os.set_blocking(out.fileno(), False)
    deadline = time.monotonic() + 30
    while not (piece := out.read() or b""):
        assert time.monotonic() < deadline and process.poll() is None, process.stderr
        calls.prog_test_run(printer, PACKET)
        time.sleep(0.02)
    os.set_blocking(out.fileno(), True)
    return piece


LINE = r' *\S+-\d+ +\[\d+\] \S+ +\d+\.\d+: bpf_trace_printk: a "b" c\n'


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("form", [[], ["-j"], ["-p"]])
@pytest.mark.parametrize("tool", ["ours", "reference"])
def test_trace_pipe(tool: str, form: list[str], number: int, start: Start, printer: Fd) -> None:
    process = start(tool, *form)
    out = first_line(process, printer)
    process.send_signal(number)
    rest, err = process.communicate(timeout=30)
    out += rest
    assert (err, process.returncode) == (b"", 0)
    text = out.decode()
    if form:
        lines = json.loads(text)
        text = "".join(lines)
        layout = '["{}"\n]\n' if form == ["-p"] else '["{}"]\n'
        shown = [line.replace('"', '\\"').replace("\n", "\\n") for line in lines]
        assert out.decode() == layout.format('","'.join(shown))
    assert re.fullmatch(f"({LINE})+", text)


@pytest.mark.parametrize("form", [[], ["-j"]])
def test_trace_pipe_that_nobody_reads(form: list[str], start: Start, printer: Fd) -> None:
    process = start("ours", *form)
    first_line(process, printer)
    assert process.stdout and process.stderr
    process.stdout.close()
    deadline = time.monotonic() + 30
    while process.poll() is None:
        assert time.monotonic() < deadline
        calls.prog_test_run(printer, PACKET)
        time.sleep(0.02)
    assert process.returncode == -signal.SIGPIPE
    assert process.stderr.read() == b""


@pytest.mark.parametrize("tool", ["ours", "reference"])
def test_mounted_if_need_be(tool: str, start: Start, printer: Fd) -> None:
    if any(fs_magic(place) == TRACEFS_MAGIC for place in USUAL):
        pytest.skip("tracefs is mounted here")
    process = start(tool, mount=False)
    first_line(process, printer)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=30)
    assert err == b"could not find tracefs, attempting to mount it now\n"
    assert process.returncode == 0


def test_not_mounted_unless_allowed(both: Both) -> None:
    """bpftool fails without a word, and aborts in JSON mode ("tracefs-says-so")."""
    if any(fs_magic(place) == TRACEFS_MAGIC for place in USUAL):
        pytest.skip("tracefs is mounted here")
    sentence = "no tracefs found, not mounting it due to --nomount option"
    assert ours("-n", "prog", "tracelog") == Ended(b"", f"Error: {sentence}\n".encode(), 255)
    assert ours("-jn", "prog", "tracelog").json == {"error": sentence}
    assert both.reference("-n", "prog", "tracelog") == Ended(b"", b"", 255)


# ------------------------------------------------------------------ streams


@pytest.fixture
def streaming(bpf: None) -> Iterator[Fd]:
    """A program that has printed ``one 1`` to its first stream, and two lines to the second."""
    btf = kernel_btf()
    names = ("bpf_stream_vprintk", "bpf_stream_vprintk_impl")
    ids = [id for name in names for id in btf.find_all(name)]
    if not ids:
        kernel_lacks("streams of programs", "no function writes to them")
    with calls.map_create(2, 4, 32, 1, full_name("fmt"), RDONLY_PROG) as texts:
        calls.map_update(
            texts, bytes(4), b"one %d\n".ljust(16, b"\0") + b"two\n%d\n".ljust(16, b"\0")
        )
        calls.map_freeze(texts)
        code: list[Insn] = []
        for stream, offset in ((1, 0), (2, 16)):
            code += [
                mov64_imm(1, stream),
                ld_map_value(2, texts.fileno(), offset),
                st(c.DW, 10, -8, stream),
                mov64_reg(3, 10),
                alu64_imm(c.ADD, 3, -8),
                mov64_imm(4, 8),
                mov64_imm(5, 0),
                call_kernel(ids[0]),
            ]
        try:
            prog = calls.prog_load(SCHED_CLS, encode([*code, exit_()]), name=full_name("stream"))
        except KernelError as error:
            kernel_lacks("streams of programs", error)
        with prog:
            said = calls.prog_test_run(prog, PACKET).retval
            if said == -errno.ENOMEM & 0xFFFFFFFF:
                kernel_lacks("memory that can be had anywhere, as streams need it", "ENOMEM")
            yield prog


@pytest.mark.parametrize("form", [(), ("-j",)])
def test_streams(form: tuple[str, ...], streaming: Fd) -> None:
    """In JSON an array of lines, which bpftool doesn't give ("streams-in-json")."""
    texts = {"stdout": "one 1\n", "stderr": "two\n2\n"}
    for word, text in texts.items():
        line = [*form, "prog", "tracelog", word, "id", str(calls.obj_id(streaming))]
        mine = ours(*line)
        assert mine.status == 0
        if form:
            assert mine.json == text.splitlines(keepends=True)
        else:
            assert getattr(mine, word.replace("std", "")) == text


@pytest.mark.parametrize("word", ["stdout", "stderr"])
def test_an_empty_stream(word: str, printer: Fd) -> None:
    line = ["prog", "tracelog", word, "id", str(calls.obj_id(printer))]
    mine = ours(*line)
    if mine.status:
        assert mine.err == "Error: failed to read the program's stream: Invalid argument\n"
        kernel_lacks("streams of programs", mine.err)
    assert mine == Ended(b"", b"", 0)
    assert ours("-j", *line) == Ended(b"[]\n", b"", 0)
