"""A program is counted while it runs: with counters of the processor, or what stands for them."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

import pybpftool.objects.prog.profiling as profiling
from pybpftool.command import Options
from pybpftool.errors import PybpftoolError
from pybpftool.insn.asm import exit_, mov64_imm
from pybpftool.insn.code import encode
from pybpftool.kernel import calls
from pybpftool.kernel.handles import Prog
from pybpftool.kernel.syscall import Fd
from pybpftool.kernel.words import PROG_TYPES
from pybpftool.objects.prog.profiling import Metric, Profiler
from tests.live.compare import ours
from tests.live.zoo import full_name
from tests.support.btf_builder import BtfBuilder
from tests.support.need import kernel_lacks

PACKET = bytes(64)
RUNS = 1000
SOFTWARE = (  # PERF_TYPE_SOFTWARE
    Metric("clock", 1, 0),
    Metric("task_clock", 1, 1, "clock", 1e6, "ticks per million"),
)
"""Events that every machine has, in place of the processor's."""


@pytest.fixture
def target(bpf: None) -> Iterator[Fd]:
    """A program with BTF, which tracing needs."""
    b = BtfBuilder(sys.byteorder)
    proto = b.func_proto(b.int("int", 4, signed=True), [("ctx", b.ptr(b.struct("xdp_md", 0, [])))])
    func = b.func("profiled", proto)
    with (
        calls.btf_load(b.blob()) as btf,
        calls.prog_load(
            PROG_TYPES.index("xdp"),
            encode([mov64_imm(0, 2), exit_()]),
            name=full_name("counted"),
            prog_btf_fd=btf.fileno(),
            func_info=bytes(4) + func.to_bytes(4, sys.byteorder),
            func_info_rec_size=8,
            func_info_cnt=1,
        ) as prog,
    ):
        yield prog


def handle(prog: Fd) -> list[str]:
    return ["id", str(calls.obj_id(prog))]


@pytest.fixture
def software(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(profiling, "METRICS", SOFTWARE)


@pytest.fixture
def traceable(target: Fd) -> Fd:
    """The target, on a kernel that lets it be traced."""
    answer = None
    with Prog.by_id(calls.obj_id(target)) as prog:
        try:
            Profiler(prog, [], Options()).close()
        except PybpftoolError as error:
            assert error.message == "failed to load profile_obj"
            answer = error.hint
    if answer:
        kernel_lacks("tracing of programs", answer)
    return target


def test_counts(traceable: Fd, software: None) -> None:
    with (
        Prog.by_id(calls.obj_id(traceable)) as prog,
        Profiler(prog, SOFTWARE, Options()) as profiler,
    ):
        calls.prog_test_run(traceable, PACKET, repeat=RUNS)
        clock, task_clock = profiler.readings()
        again = profiler.readings()
    assert clock["metric"] == "clock"
    assert clock["run_cnt"] == task_clock["run_cnt"] == RUNS
    assert again == [clock, task_clock]  # nothing ran meanwhile
    for reading in (clock, task_clock):
        # ns: more than none for each run, less than a ms
        assert RUNS <= reading["value"] <= RUNS * 10**6
        assert reading["enabled"] >= reading["running"] > 0


def test_what_it_says(traceable: Fd, software: None) -> None:
    line = ["prog", "profile", *handle(traceable), "duration", "0", "task", "cl"]
    mine = ours("-j", *line)
    assert mine.status == 0
    assert [reading["metric"] for reading in mine.json] == ["clock", "task_clock"]
    assert list(mine.json[0]) == ["metric", "run_cnt", "value", "enabled", "running"]
    plain = ours(*line)
    assert re.fullmatch(
        r"\n {17}0 run_cnt {13}\n {17}0 clock {56}\n {17}0 task_clock {51}\n", plain.out
    )


def test_until_interrupted(traceable: Fd) -> None:
    """By a process of its own, with the real table; no counters is an answer, too."""
    argv = [sys.executable, "-m", "pybpftool", "-j", "prog", "profile", *handle(traceable), "cyc"]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        deadline = time.monotonic() + 10
        while process.poll() is None and time.monotonic() < deadline:
            calls.prog_test_run(traceable, PACKET, repeat=RUNS)
            time.sleep(0.05)
            if time.monotonic() > deadline - 5:
                process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=30)
    assert err == b""
    if process.returncode:
        assert out == b'{"error":"failed to create event cycles on cpu 0"}\n'
        kernel_lacks("counters of the processor", out)
    assert b'"metric":"cycles"' in out


@pytest.mark.parametrize("line", ["cycles", "duration 1 cycles"])
def test_a_kernel_that_refuses(line: str, target: Fd) -> None:
    """One sentence, and a hint that tells why."""
    ended = ours("prog", "profile", *handle(target), *line.split())
    if not ended.status:
        pytest.skip("this one lets us")
    sentences = ["failed to load profile_obj", "failed to create event cycles on cpu 0"]
    assert ended.err.splitlines()[0] in [f"Error: {sentence}" for sentence in sentences]
    assert ended.err.splitlines()[1].startswith("Hint: ")
    assert (ended.out, ended.status) == ("", 255)


def test_a_program_without_types(bpf: None) -> None:
    with calls.prog_load(6, encode([mov64_imm(0, 2), exit_()]), name=full_name("bare")) as prog:
        ended = ours("prog", "profile", *handle(prog), "cycles")
    assert re.fullmatch(r"Error: prog FD \d+ doesn't have valid btf\n", ended.err)
    assert ended.status == 255


def test_nothing_is_left_on_the_program(traceable: Fd, software: None) -> None:
    """What was put before and behind it goes away with the tool."""
    before = set(Prog.ids())
    ours("prog", "profile", *handle(traceable), "duration", "0", "clock")
    deadline = time.monotonic() + 20
    while left := [name for id in set(Prog.ids()) - before if (name := name_of(id)) == "profile"]:
        assert time.monotonic() < deadline, left
        time.sleep(0.1)


def name_of(id: int) -> str:
    try:
        with Prog.by_id(id) as prog:
            return prog.info.name
    except PybpftoolError:
        return ""  # gone meanwhile
