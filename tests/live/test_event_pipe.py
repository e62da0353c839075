"""Events of a real program, read by both tools until something ends them."""

from __future__ import annotations

import errno
import json
import os
import re
import signal
import struct
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
from tests.live.compare import Both, ours
from tests.live.zoo import SCHED_CLS, Kind, Made, full_name, made
from tests.support.btf_builder import BtfBuilder
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
        # An event from before the tool's epoll knew the ring is read with the next that wakes it.
        self.wait_until_idle()
        assert self.send()

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
        """Let the tool take what is there: it goes round its poll, of 200 ms at most, three times.

        That it sleeps says little: on a busy machine it sleeps for long before its first poll.
        """
        enough = self._sleeps() + 3
        deadline = time.monotonic() + 60
        while self._sleeps() < enough:
            assert time.monotonic() < deadline
            time.sleep(0.01)

    def _sleeps(self) -> int:
        """How often the tool has gone to sleep so far."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(status.partition("\nvoluntary_ctxt_switches:")[2].split()[0])


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
    assert (mine.out.count("== @") or len(mine.json)) == 4


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


# ------------------------------------------------------------------ ring buffers, and types

RINGBUF_OUTPUT = 130


def event_types() -> tuple[bytes, int]:
    """BTF with ``struct event { u16 port; u16 flags; u32 mark; }``, and the id of a function."""
    b = BtfBuilder(sys.byteorder)
    u16, u32_ = b.int("unsigned short", 2), b.int("unsigned int", 4)
    b.struct("event", 8, [("port", u16, 0), ("flags", u16, 16), ("mark", u32_, 32)])
    b.struct("too_long", 16, [("port", u16, 0)])
    function = b.func("send", b.func_proto(b.int("int", 4, signed=True)))
    return b.blob(), function


TYPED = {"port": 0x3344, "flags": 0x1122, "mark": 0}


@pytest.fixture
def ring(pins: str, bpf: None) -> Iterator[Made]:
    """A ring buffer with two records in it, sent by a program that has types."""
    with (
        made(Kind("ring", "ringbuf", 0, 0, entries=os.sysconf("SC_PAGE_SIZE")), pins) as map,
        calls.btf_load(event_types()[0]) as btf,
        calls.prog_load(
            SCHED_CLS,
            b"".join(
                [
                    insn(0x7A, dst=10, off=-8, imm=0x11223344),  # *(u64 *)(r10 - 8) = imm
                    insn(0x18, dst=1, src=1, imm=map.fd.fileno()),  # r1 = map
                    insn(0),
                    insn(0xBF, dst=2, src=10),  # r2 = r10
                    insn(0x07, dst=2, imm=-8),  # r2 += -8
                    insn(0xB7, dst=3, imm=8),  # r3 = 8
                    insn(0xB7, dst=4),  # r4 = 0
                    insn(0x85, imm=RINGBUF_OUTPUT),
                    insn(0x95),
                ]
            ),
            name=full_name("send"),
            prog_btf_fd=btf.fileno(),
            func_info=struct.pack("=II", 0, event_types()[1]),
            func_info_rec_size=8,
            func_info_cnt=1,
        ) as prog,
    ):
        assert calls.prog_test_run(prog, PACKET, repeat=2).retval == 0
        yield map


def piped(*words: str) -> Ended:
    """Our event_pipe, interrupted when it has read what was there."""
    with tempfile.TemporaryFile() as out:
        argv = [sys.executable, "-m", "pybpftool", *words]
        with subprocess.Popen(argv, stdout=out, stderr=subprocess.PIPE) as process:
            deadline = time.monotonic() + 20
            while not os.fstat(out.fileno()).st_size and process.poll() is None:
                assert time.monotonic() < deadline
                time.sleep(0.01)
            process.send_signal(signal.SIGINT)
            _, err = process.communicate(timeout=20)
        out.seek(0)
        return Ended(out.read(), err, process.returncode)


def test_records_of_a_ring_buffer(ring: Made) -> None:
    ended = piped("map", "event_pipe", "id", str(ring.id))
    assert ended.out == "== 8 bytes =====\n44 33 22 11 00 00 00 00\n" * 2
    assert (ended.err, ended.status) == ("Stopping...\n", 0)


def test_records_of_a_ring_buffer_in_json(ring: Made) -> None:
    ended = piped("-j", "map", "event_pipe", "id", str(ring.id))
    assert ended.json == [{"data": [0x44, 0x33, 0x22, 0x11, 0, 0, 0, 0]}] * 2
    assert (ended.err, ended.status) == ("", 0)


def test_typed_records(ring: Made) -> None:
    """The type is found in the BTF of the program that uses the map."""
    ended = piped("map", "event_pipe", "id", str(ring.id), "type", "event")
    assert [json.loads(line) for line in ended.out.splitlines()] == [{"value": TYPED}] * 2
    ended = ours("map", "event_pipe", "id", str(ring.id), "type", "no_such_type")
    assert ended.err == (
        "Error: there is no type 'no_such_type' in the BTF of the map, of its programs and of "
        "the kernel\n"
    )


@pytest.mark.parametrize("form", ["-j", "-p"])
def test_types_of_a_file(form: str, ring: Made, tmp_path: Path) -> None:
    path = tmp_path / "types.btf"
    path.write_bytes(event_types()[0])
    words = ["map", "event_pipe", "id", str(ring.id), "type", "event", "file", str(path)]
    assert piped(form, *words).json == [{"value": TYPED}] * 2
    assert ours(*words[:5], "int8_t", *words[6:]).err == (
        "Error: there is no type 'int8_t' in the file\n"
    )


def test_records_too_short_for_the_type_stay_bytes(ring: Made) -> None:
    ended = piped("-j", "map", "event_pipe", "id", str(ring.id), "type", "too_long")
    assert [list(record) for record in ended.json] == [["data"]] * 2


def test_typed_perf_events(watch: Start, tmp_path: Path) -> None:
    path = tmp_path / "types.btf"
    path.write_bytes(event_types()[0])
    watching = watch("ours", "map", "type", "event", "file", str(path))
    assert watching.send()
    lines = watching.ended(signal.SIGINT).out.splitlines()
    assert [json.loads(line)["value"] for line in lines] == [TYPED] * 3


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ("cpu 0 index 0", "a ring buffer is one for all CPUs: it has no cpu and index"),
        ("file /dev/null", "file is where to look a type up: it needs 'type NAME'"),
        ("type x file /dev/null", "failed to load BTF from /dev/null: too short for BTF"),
        ("type x file /no/such", "failed to load BTF from /no/such: No such file or directory"),
        ("type", "'type' needs at least 1 arguments, 0 found"),
    ],
)
def test_refused(words: str, says: str, ring: Made) -> None:
    ended = ours("map", "event_pipe", "id", str(ring.id), *words.split())
    assert (ended.err, ended.status) == (f"Error: {says}\n", 255)


def test_event_types(ring: Made, both: Both) -> None:
    """The difference "event-types"."""
    words = ["map", "event_pipe", "id", str(ring.id)]
    assert both.reference(*words).err == "Error: map is not a perf event array\n"
    assert piped(*words).status == 0
    assert both.reference(*words, "type", "event").status == 255
