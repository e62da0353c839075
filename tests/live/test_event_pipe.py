"""Events of a real program, read by both tools until something ends them."""

from __future__ import annotations

import errno
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import IO

import pytest

from pybpftool.kernel import calls
from pybpftool.kernel.proc import online_cpus
from pybpftool.kernel.syscall import Fd
from tests.live.compare import Both
from tests.live.zoo import SCHED_CLS, Kind, Made, full_name, made
from tests.support.live import insn
from tests.support.run import Ended

PACKET = bytes(64)
PERF_EVENT_OUTPUT = 25
CURRENT_CPU = -1
LAST_CPU = online_cpus()[-1]  # its ring is set up last
NOT_THERE = -errno.ENOENT & 0xFFFFFFFF


def sender(fd: int, index: int) -> bytes:
    """A program that sends 8 bytes through a perf event array and returns what the helper said.

    ``index``: the place in the map, CURRENT_CPU for the one of the CPU it runs on.
    """
    return b"".join(
        [
            insn(0x7A, dst=10, off=-8, imm=0x11223344),  # *(u64 *)(r10 - 8) = imm
            insn(0x18, dst=2, src=1, imm=fd),  # r2 = map
            insn(0),
            insn(0xB4, dst=3, imm=index),  # w3 = flags
            insn(0xBF, dst=4, src=10),  # r4 = r10
            insn(0x07, dst=4, imm=-8),  # r4 += -8
            insn(0xB7, dst=5, imm=8),  # r5 = 8
            insn(0x85, imm=PERF_EVENT_OUTPUT),
            insn(0x95),
        ]
    )


class Watch:
    """One tool at work on the events of a map."""

    def __init__(
        self, process: subprocess.Popen[bytes], out: IO[bytes], prog: Fd, cpu: int
    ) -> None:
        self.process = process
        self._out = out
        self._prog = prog
        self.sent = 0
        os.sched_setaffinity(0, {cpu})
        deadline = time.monotonic() + 20
        while not self.send():  # until the tool has its place in the map
            assert time.monotonic() < deadline and process.poll() is None
            time.sleep(0.005)

    def send(self, times: int = 1) -> bool:
        """Run the program here; whether its event (of many, the last one) was taken."""
        said = calls.prog_test_run(self._prog, PACKET, repeat=times).retval
        if said != NOT_THERE:
            self.sent += times
        return said == 0

    def ended(self, number: int) -> Ended:
        """How the tool ends by a signal, with times made alike."""
        self.wait_until_idle()
        self.process.send_signal(number)
        _, err = self.process.communicate(timeout=20)
        self._out.seek(0)
        out = self._out.read()
        for pattern, same in ((rb"@\d+\.\d{9} ", b"@0.0 "), (rb'("timestamp": ?)\d+', rb"\g<1>0")):
            out = re.sub(pattern, same, out)
        return Ended(out, err, self.process.returncode)

    def wait_until_idle(self) -> None:
        """Let the tool take what is there: then it sleeps, and goes on sleeping."""
        asleep = 0
        while asleep < 10:
            stat = Path(f"/proc/{self.process.pid}/stat").read_text()
            asleep = asleep + 1 if stat.rpartition(")")[2].split()[0] == "S" else 0
            time.sleep(0.01)


Start = Callable[..., Watch]


@pytest.fixture(params=["ours", "reference"])
def tool(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def events(pins: str, both: Both) -> Iterator[Made]:
    cpus = os.sched_getaffinity(0)
    with made(Kind("perf", "perf_event_array", 4, 4, entries=64), pins) as map:
        yield map
    os.sched_setaffinity(0, cpus)


@pytest.fixture
def watch(events: Made, both: Both) -> Iterator[Callable[..., Watch]]:
    """Starts a tool: ``watch(tool, *words)``."""
    with ExitStack() as stack:

        def start(
            tool: str,
            *words: str,
            index: int = CURRENT_CPU,
            cpu: int = LAST_CPU,
            stdout: int | None = None,
        ) -> Watch:
            code = sender(events.fd.fileno(), index)
            prog = stack.enter_context(calls.prog_load(SCHED_CLS, code, name=full_name("send")))
            line = [words[0], "event_pipe", "id", str(events.id), *words[1:]]
            if words[0] != "map":
                line[:1] = [words[0], "map"]
            # a file, unless the test says otherwise: it is never full
            out = stack.enter_context(tempfile.TemporaryFile())
            pipes = {"stdout": stdout or out, "stderr": subprocess.PIPE}
            if tool == "ours":
                argv = [sys.executable, "-m", "pybpftool", *line]
                process = subprocess.Popen(argv, **pipes)  # type: ignore[call-overload]
            else:
                process = both.reference.start(*line, **pipes)
            stack.enter_context(process)
            stack.callback(process.kill)
            return Watch(process, out, prog, cpu)

        yield start


@pytest.mark.parametrize("form", ["map", "-j", "-p"])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_same_events(form: str, number: int, watch: Start) -> None:
    ends = []
    for tool in ("ours", "reference"):
        watching = watch(tool, form)
        assert watching.send() and watching.send()
        ends.append(watching.ended(number))
    mine, theirs = ends
    assert theirs.err == "Stopping...\n"
    assert mine.err == (theirs.err if form == "map" else "")  # "quiet-stop" in differences
    assert (mine.out, mine.status) == (theirs.out, 0)
    assert (mine.out.count("== @") or len(mine.json)) == 3


def test_one_cpu_and_index(watch: Start) -> None:
    words = ["map", "cpu", "0", "index", "5"]
    mine, theirs = (
        watch(tool, *words, index=5, cpu=0).ended(signal.SIGINT) for tool in ("ours", "reference")
    )
    assert mine == theirs
    assert "CPU: 0 index: 5" in mine.out


@pytest.mark.parametrize("form", ["map", "-j"])
def test_lost_events(form: str, tool: str, watch: Start) -> None:
    """A tool that sleeps while more comes than its ring holds."""
    watching = watch(tool, form)
    watching.wait_until_idle()
    watching.process.send_signal(signal.SIGSTOP)
    assert not watching.send(times=4000)
    watching.process.send_signal(signal.SIGCONT)
    while not watching.send():
        time.sleep(0.005)
    ended = watching.ended(signal.SIGINT)
    [(plain, json)] = re.findall(
        r'^lost (\d+) events$|"lost":\{"id":\d+,"count":(\d+)\}', ended.out, re.M
    )
    samples = ended.out.count("== @") + ended.out.count('"data"')
    assert samples + int(plain or json) == watching.sent
    assert ended.status == 0


@pytest.mark.parametrize("form", ["map", "-j"])
def test_closed_pipe(form: str, tool: str, watch: Start) -> None:
    """Nobody reads any more: the tool goes quietly."""
    watching = watch(tool, form, stdout=subprocess.PIPE)
    assert watching.process.stdout and watching.process.stderr
    watching.process.stdout.close()
    deadline = time.monotonic() + 20
    while watching.process.poll() is None:
        assert time.monotonic() < deadline
        watching.send()
        time.sleep(0.005)
    assert watching.process.returncode == -signal.SIGPIPE
    assert watching.process.stderr.read() == b""
