"""Rings: made by hand for the odd cases, and written by a real program."""

from __future__ import annotations

import errno
import os
import signal
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pybpftool.errors import BadData, KernelError
from pybpftool.kernel import calls, perf, proc
from pybpftool.kernel.handles import Map
from pybpftool.kernel.perf import Ring
from pybpftool.kernel.syscall import Fd
from tests.support.live import insn, needs_kernel

HEAD = 4096
DATA = 256


def record(kind: int, body: bytes) -> bytes:
    return struct.pack("=IHH", kind, 0, 8 + len(body)) + body


def sample(data: bytes, time: int = 0) -> bytes:
    return record(perf.PERF_RECORD_SAMPLE, struct.pack("=QI", time, len(data)) + data)


class Writer:
    """The kernel's end of a ring."""

    def __init__(self, start: int = 0) -> None:
        self.memory = bytearray(HEAD + DATA)
        self.head = start
        struct.pack_into("=QQ", self.memory, 1024, start, start)

    def write(self, *records: bytes) -> None:
        for byte in b"".join(records):
            self.memory[HEAD + self.head % DATA] = byte
            self.head += 1
        struct.pack_into("=Q", self.memory, 1024, self.head)

    @property
    def tail(self) -> int:
        tail: int = struct.unpack_from("=Q", self.memory, 1032)[0]
        return tail


@pytest.mark.parametrize("start", [0, 8, DATA - 8, DATA - 16, 3 * DATA, (1 << 40) + 248])
def test_records_are_read_in_order_wherever_the_ring_turns(start: int) -> None:
    writer = Writer(start)
    ring = Ring(writer.memory, HEAD)
    assert ring.read() == []
    bodies = [bytes([n]) * 12 for n in range(4)]
    for _ in range(10):
        writer.write(*(record(9, body) for body in bodies))
        assert ring.read() == [(9, body) for body in bodies]
        assert writer.tail == writer.head
    ring.close()


def test_a_full_ring() -> None:
    writer = Writer(8)
    ring = Ring(writer.memory, HEAD)
    writer.write(record(9, bytes(DATA - 8)))
    assert ring.read() == [(9, bytes(DATA - 8))]


@pytest.mark.parametrize(
    "bad",
    [
        struct.pack("=IHH", 9, 0, 0),
        struct.pack("=IHH", 9, 0, 7),
        struct.pack("=IHH", 9, 0, 9),
        struct.pack("=IHH", 9, 0, 0xFFFF),
        record(9, b"")[:4],
    ],
)
def test_impossible_lengths_end_the_reading_and_drop_the_rest(bad: bytes) -> None:
    writer = Writer()
    ring = Ring(writer.memory, HEAD)
    writer.write(sample(b"good"), bad)
    with pytest.raises(BadData):
        ring.read()
    assert writer.tail == writer.head
    assert ring.read() == []


@pytest.mark.parametrize("head", [DATA + 1, 1 << 63, (1 << 64) - 1])
def test_a_ring_fuller_than_it_is_large(head: int) -> None:
    writer = Writer()
    ring = Ring(writer.memory, HEAD)
    struct.pack_into("=Q", writer.memory, 1024, head)
    with pytest.raises(BadData):
        ring.read()
    assert writer.tail == head


def test_what_records_tell() -> None:
    kind, body = 9, struct.pack("=QI", 10**12, 4) + b"\1\2\3\4"
    assert list(perf.decode(kind, body, 3, 5).items()) == [
        ("type", 9),
        ("cpu", 3),
        ("index", 5),
        ("timestamp", 10**12),
        ("data", [1, 2, 3, 4]),
    ]
    assert perf.decode(2, struct.pack("=QQ", 8, 9), 0, 0) == {
        "type": 2,
        "cpu": 0,
        "index": 0,
        "lost": {"id": 8, "count": 9},
    }
    assert perf.decode(77, bytes(4), 1, 2) == {"type": 77, "cpu": 1, "index": 2, "size": 12}


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        (9, b""),
        (9, bytes(11)),
        (9, struct.pack("=QI", 0, 5) + bytes(4)),
        (9, struct.pack("=QI", 0, 0xFFFFFFFF)),
        (2, bytes(15)),
    ],
)
def test_records_that_promise_more_than_they_hold(kind: int, body: bytes) -> None:
    with pytest.raises(BadData):
        perf.decode(kind, body, 0, 0)


# ------------------------------------------------------------------ live


@pytest.fixture
def events_map() -> Iterator[Map]:
    with Map(calls.map_create(4, 4, 4, proc.possible_cpus(), "events")) as opened:
        yield opened


@pytest.fixture
def sender(events_map: Map) -> Iterator[Fd]:
    """A program that sends the 8 bytes 44 33 22 11 0 0 0 0 to the ring of its CPU."""
    code = (
        insn(0x7A, 10, off=-8, imm=0x11223344)  # *(u64 *)(r10 - 8) = 0x11223344
        + insn(0x18, 2, 1, imm=events_map.fileno())  # r2 = the map
        + insn(0)
        + insn(0xB4, 3, imm=-1)  # w3 = BPF_F_CURRENT_CPU
        + insn(0xBF, 4, 10)
        + insn(0x07, 4, imm=-8)  # r4 = r10 - 8
        + insn(0xB7, 5, imm=8)
        + insn(0x85, imm=25)  # bpf_perf_event_output(r1 … r5)
        + insn(0xB7)
        + insn(0x95)
    )
    with calls.prog_load(3, code, name="sender") as prog:
        yield prog


DATA_SENT = list(struct.pack("=Q", 0x11223344))


@needs_kernel
def test_events_of_a_program_arrive(events_map: Map, sender: Fd) -> None:
    places = [(cpu, cpu) for cpu in proc.online_cpus()]
    with perf.PerfReader(events_map, places) as reader:
        assert list(reader.wait(0)) == []
        calls.prog_test_run(sender, bytes(64), repeat=3)
        found: list[dict[str, object]] = []
        while len(found) < 3:
            found += reader.wait(1000)
    for each in found:
        assert each["type"] == 9
        assert each["cpu"] == each["index"]
        assert isinstance(each["data"], list)
        assert each["data"][:8] == DATA_SENT
    times = [each["timestamp"] for each in found]
    assert times == sorted(times, key=int)  # type: ignore[arg-type]  # they are ints
    # The places in the map are free again.
    with pytest.raises(KernelError) as caught:
        calls.map_delete(events_map, bytes(4))
    assert caught.value.errno == errno.ENOENT


@needs_kernel
def test_events_that_find_no_room_are_counted(events_map: Map, sender: Fd) -> None:
    affinity = os.sched_getaffinity(0)
    cpu = min(affinity)
    os.sched_setaffinity(0, {cpu})
    try:
        with perf.PerfReader(events_map, [(cpu, cpu)]) as reader:
            calls.prog_test_run(sender, bytes(64), repeat=10_000)
            kept = len(list(reader.wait(1000)))
            calls.prog_test_run(sender, bytes(64), repeat=1)
            later = list(reader.wait(1000))
    finally:
        os.sched_setaffinity(0, affinity)
    lost = [each["lost"]["count"] for each in later if each["type"] == 2]
    assert 0 < kept < 10_000
    assert sum(lost) == 10_000 - kept


@needs_kernel
def test_a_signal_ends_the_stream_and_gives_back_its_handler(events_map: Map) -> None:
    told: list[str] = []
    before = signal.getsignal(signal.SIGTERM)
    stream = perf.events(events_map, None, None, told.append)
    signal.signal(signal.SIGALRM, lambda *_: os.kill(os.getpid(), signal.SIGTERM))
    signal.setitimer(signal.ITIMER_REAL, 0.05)
    try:
        assert list(stream) == []
    finally:
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
    assert told == ["Stopping..."]
    assert signal.getsignal(signal.SIGTERM) is before


@needs_kernel
def test_a_place_that_is_not_there_is_refused_in_bpftools_words(events_map: Map) -> None:
    with pytest.raises(KernelError) as caught:
        perf.events(events_map, 0, 1 << 20, lambda text: None)
    assert caught.value.message == (
        f"failed to create perf buffer: {os.strerror(errno.E2BIG)} ({errno.E2BIG})"
    )
    with pytest.raises(KernelError) as caught:
        perf.events(events_map, 1 << 20, 0, lambda text: None)
    assert caught.value.message.startswith("failed to create perf buffer: ")


class Units:
    """What perf_event_open(2) was asked for, with one unit of probes on the machine."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        self.asked: list[tuple[int, int, bytes, int]] = []
        self.answer = 0
        (tmp_path / "uprobe/format").mkdir(parents=True)
        (tmp_path / "uprobe/type").write_text("9\n")
        (tmp_path / "uprobe/format/retprobe").write_text("config:3\n")
        monkeypatch.setattr(perf, "_UNITS", str(tmp_path))
        monkeypatch.setattr(perf, "perf_event_open", self.open)

    def open(self, attr: Any, pid: int, cpu: int) -> Fd:
        assert (pid, cpu) == (-1, 0)
        text = perf.ffi.string(perf.ffi.cast("char *", attr.config1))
        self.asked.append((attr.type, attr.config, text, attr.config2))
        if self.answer:
            raise KernelError(self.answer, "perf event on CPU 0")
        return Fd(os.open(os.devnull, os.O_RDONLY))


def test_probes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    units = Units(monkeypatch, tmp_path)
    for retprobe in (False, True):
        perf.probe("uprobe", "/bin/sh", 0x40, retprobe=retprobe).close()
    assert units.asked == [(9, 0, b"/bin/sh", 0x40), (9, 8, b"/bin/sh", 0x40)]
    units.answer = errno.ENOENT
    with pytest.raises(KernelError, match=r"^uprobe /bin/sh\+0x40: No such file or directory$"):
        perf.probe("uprobe", "/bin/sh", 0x40, retprobe=False)
    with pytest.raises(KernelError, match=r"^kprobe x: this kernel has no kprobes$"):
        perf.probe("kprobe", "x", 0, retprobe=False)
