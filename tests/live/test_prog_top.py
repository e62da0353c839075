"""``prog top`` held against the kernel's own counters, /proc and bpftool."""

from __future__ import annotations

import csv
import io
import json
import os
import pty
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator

import pytest

from pybpftool.errors import KernelError
from pybpftool.insn.asm import exit_, mov64_imm
from pybpftool.insn.code import encode
from pybpftool.kernel import calls
from pybpftool.kernel.handles import prog_info
from pybpftool.kernel.proc import fdinfo
from pybpftool.kernel.syscall import Fd
from tests.live.compare import Both, ours
from tests.live.test_prog_run import OURS
from tests.live.zoo import SCHED_CLS, full_name
from tests.support.need import kernel_lacks

PACKET = bytes(64)
XDP = 6


@pytest.fixture
def progs(bpf: None) -> Iterator[tuple[Fd, Fd]]:
    try:
        calls.enable_stats().close()
    except KernelError as error:
        kernel_lacks("statistics for a while", error)
    code = encode([mov64_imm(0, 2), exit_()])
    with (
        calls.prog_load(XDP, code, name=full_name("topa")) as first,
        calls.prog_load(SCHED_CLS, code, name=full_name("topb")) as second,
    ):
        yield first, second


def test_readings_are_what_the_kernel_counts(
    progs: tuple[Fd, Fd], monkeypatch: pytest.MonkeyPatch, both: Both
) -> None:
    """Known numbers of runs between the readings."""
    runs = iter([(5000, 70), (0, 3), (1, 0)])

    def work(stopping: object, seconds: float) -> bool:
        for prog, times in zip(progs, next(runs), strict=True):
            if times:
                calls.prog_test_run(prog, PACKET, repeat=times)
        return True

    monkeypatch.setattr("pybpftool.signals.Stopping.sleep", work)
    with calls.enable_stats():  # so that bpftool counts on what top has counted
        mine = ours("-j", "prog", "top", "count", "3", "name", full_name("top"), "sort", "id")
        shown = [both.reference("-j", "prog", "show", "id", str(calls.obj_id(p))) for p in progs]
    found = [[prog["run_cnt"] for prog in reading["programs"]] for reading in mine.json]
    assert found == [[5000, 70], [0, 3], [1, 0]]
    for prog, theirs, last in zip(progs, shown, mine.json[-1]["programs"], strict=True):
        info = prog_info(prog)
        total = last["total_run_time_ns"], last["total_run_cnt"]
        assert total == (info.run_time_ns, info.run_cnt)
        assert total == (theirs.json["run_time_ns"], theirs.json["run_cnt"])
        about = fdinfo(prog)
        assert total == (int(about["run_time_ns"]), int(about["run_cnt"]))
    busy = mine.json[0]["programs"][0]
    assert busy["average_ns"] == busy["run_time_ns"] // 5000
    elapsed = mine.json[0]["interval"]
    assert busy["runs_per_second"] == pytest.approx(5000 / elapsed, rel=1e-3)
    assert busy["cpu_percent"] == pytest.approx(busy["run_time_ns"] / elapsed / 1e7, abs=2e-3)


def test_statistics_are_enabled_only_meanwhile(progs: tuple[Fd, Fd]) -> None:
    ours("prog", "top", "once", "interval", "0.05")
    before = prog_info(progs[0]).run_cnt
    calls.prog_test_run(progs[0], PACKET, repeat=100)
    with open("/proc/sys/kernel/bpf_stats_enabled") as file:
        if file.read() == "0\n":
            assert prog_info(progs[0]).run_cnt == before


def test_filters(progs: tuple[Fd, Fd]) -> None:
    def names(*words: str) -> list[str]:
        line = ["prog", "top", "once", "interval", "0.05", "sort", "name", *words]
        return [prog["name"] for prog in ours("-j", *line).json[0]["programs"]]

    ours_all = [full_name("topa"), full_name("topb")]
    assert names("name", full_name("top")) == ours_all
    assert names("name", full_name("top"), "type", "xdp") == ours_all[:1]
    assert names("name", full_name("top"), "pid", "1") == []
    with subprocess.Popen(
        ["sleep", "60"], pass_fds=[progs[1].fileno()], stdout=subprocess.DEVNULL
    ) as holder:
        assert names("pid", str(holder.pid)) == ours_all[1:]
        holder.kill()


def test_forms_for_scripts(progs: tuple[Fd, Fd]) -> None:
    line = ["prog", "top", "count", "2", "interval", "0.05", "name", full_name("top")]
    rows = list(csv.DictReader(io.StringIO(ours(*line, "csv").out)))
    assert [row["type"] for row in rows] == ["xdp", "sched_cls"] * 2
    readings = [json.loads(text) for text in ours(*line, "jsonl").out.splitlines()]
    assert [prog["id"] for prog in readings[1]["programs"]] == [int(row["id"]) for row in rows[2:]]
    assert list(rows[0]) == ["time", "interval", *readings[0]["programs"][0]]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_the_document(number: int, progs: tuple[Fd, Fd]) -> None:
    argv = [sys.executable, "-c", OURS, "-j", "prog", "top", "interval", "0.05"]
    pipe = subprocess.PIPE
    with subprocess.Popen(argv, bufsize=0, stdout=pipe, stderr=pipe) as process:
        assert process.stdout
        begun = process.stdout.read(10)
        process.send_signal(number)
        rest, err = process.communicate(timeout=30)
    assert (err, process.returncode) == (b"", 0)
    assert json.loads(begun + rest)


# ------------------------------------------------------------------ on a terminal


class Terminal:
    """The tool in front of a terminal of ours."""

    def __init__(self, *words: str) -> None:
        self.child, self.fd = pty.fork()
        if not self.child:
            os.environ["TERM"] = "xterm"
            os.execv(sys.executable, [sys.executable, "-c", OURS, "prog", "top", *words])
        self.seen = b""

    def until(self, text: bytes) -> None:
        """Read until the text has been drawn."""
        at = len(self.seen)
        while text not in self.seen[at:]:
            ready, _, _ = select.select([self.fd], [], [], 30)
            assert ready, self.seen
            self.seen += os.read(self.fd, 65536)

    def ended(self) -> int:
        """Read to the end: the exit status."""
        try:
            while more := os.read(self.fd, 65536):
                self.seen += more
        except OSError:  # what a terminal says whose other end is gone
            pass
        return os.waitstatus_to_exitcode(os.waitpid(self.child, 0)[1])

    def close(self) -> None:
        os.close(self.fd)


ENTER, LEAVE, HIDE, SHOW = b"\x1b[?1049h", b"\x1b[?1049l", b"\x1b[?25l", b"\x1b[?25h"


@pytest.mark.parametrize("end", ["q", "\x03", "TERM", "count"])
def test_the_terminal_is_left_as_it_was(end: str, progs: tuple[Fd, Fd]) -> None:
    import termios

    words = ["interval", "0.2", "name", full_name("top")]
    terminal = Terminal(*words, *(["count", "3"] if end == "count" else []))
    try:
        before = termios.tcgetattr(terminal.fd)
        terminal.until(full_name("topa").encode())
        assert not termios.tcgetattr(terminal.fd)[3] & (termios.ICANON | termios.ECHO)
        if end == "TERM":
            os.kill(terminal.child, signal.SIGTERM)
        elif end != "count":
            terminal.until(b"by cpu")
            os.write(terminal.fd, b"n")
            terminal.until(b"by name")
            os.write(terminal.fd, end.encode())
        after_last_reading = threading.Timer(30, os.kill, (terminal.child, signal.SIGKILL))
        after_last_reading.start()
        assert terminal.ended() == 0
        after_last_reading.cancel()
        for on, off in ((ENTER, LEAVE), (HIDE, SHOW)):
            assert 0 <= terminal.seen.rindex(on) < terminal.seen.rindex(off)
        assert b"Traceback" not in terminal.seen
        assert before[3] & termios.ICANON
    finally:
        terminal.close()


def test_readings_come_in_time(progs: tuple[Fd, Fd]) -> None:
    """As often as was asked for."""
    begun = time.monotonic()
    readings = ours("-j", "prog", "top", "count", "4", "interval", "0.1").json
    assert 0.4 <= time.monotonic() - begun < 20
    assert all(reading["interval"] >= 0.1 for reading in readings)
