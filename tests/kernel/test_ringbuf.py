"""Ring buffers: made by hand for the odd cases, and written by a real program."""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator

import pytest

from pybpftool.errors import BadData, KernelError
from pybpftool.kernel import calls, ringbuf
from pybpftool.kernel.handles import Map
from pybpftool.kernel.ringbuf import Ring, RingReader
from pybpftool.kernel.syscall import Fd
from tests.support.live import insn, needs_kernel

HEAD, SIZE = 4096, 256
BUSY, DISCARDED = 1 << 31, 1 << 30


class Writer:
    """The programs' end of a ring."""

    def __init__(self, start: int = 0) -> None:
        self.consumer = bytearray(HEAD)
        self.producer = bytearray(HEAD + 2 * SIZE)
        self.head = start
        struct.pack_into("=Q", self.consumer, 0, start)
        struct.pack_into("=Q", self.producer, 0, start)
        self.ring = Ring(self.consumer, self.producer, HEAD, SIZE)

    def write(self, data: bytes, flags: int = 0, length: int | None = None) -> int:
        """Put a record in; gives the place of its length in the producer's pages."""
        place = self.head % SIZE
        header = struct.pack("=II", (len(data) if length is None else length) | flags, 0)
        for byte in (header + data).ljust(8 + len(data) + 7 & ~7, b"\0"):
            for copy in (0, SIZE):
                self.producer[HEAD + self.head % SIZE + copy] = byte
            self.head += 1
        struct.pack_into("=Q", self.producer, 0, self.head)
        return HEAD + place

    @property
    def read_to(self) -> int:
        position: int = struct.unpack_from("=Q", self.consumer)[0]
        return position


@pytest.mark.parametrize("start", [0, 8, SIZE - 8, SIZE - 16, 3 * SIZE, (1 << 40) + 248])
def test_records_are_read_in_order_wherever_the_ring_turns(start: int) -> None:
    writer = Writer(start)
    assert writer.ring.read() == []
    bodies = [bytes([n]) * (11 + n) for n in range(4)]
    for _ in range(10):
        for body in bodies:
            writer.write(body)
        assert writer.ring.read() == bodies
        assert writer.read_to == writer.head
    writer.ring.close()


def test_a_full_ring() -> None:
    writer = Writer(8)
    writer.write(bytes(SIZE - 8))
    assert writer.ring.read() == [bytes(SIZE - 8)]


def test_empty_and_discarded_records_take_their_place() -> None:
    writer = Writer()
    writer.write(b"first")
    writer.write(b"taken back", DISCARDED)
    writer.write(b"")
    writer.write(b"last")
    assert writer.ring.read() == [b"first", b"", b"last"]
    assert writer.read_to == writer.head


def test_reading_stops_at_a_record_that_is_being_written() -> None:
    writer = Writer()
    writer.write(b"done")
    place = writer.write(b"not yet.", BUSY)
    writer.write(b"behind")
    assert writer.ring.read() == [b"done"]
    assert writer.ring.read() == []
    struct.pack_into("=I", writer.producer, place, 8)
    assert writer.ring.read() == [b"not yet.", b"behind"]


def test_a_large_backlog_is_taken_in_portions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ringbuf, "_MOST", 32)
    writer = Writer()
    for n in range(8):
        writer.write(bytes([n]) * 8)
    portions = [writer.ring.read() for _ in range(5)]
    assert [len(portion) for portion in portions] == [2, 2, 2, 2, 0]


@pytest.mark.parametrize("length", [9, SIZE, (1 << 30) - 1])
def test_impossible_lengths_end_the_reading_and_drop_the_rest(length: int) -> None:
    writer = Writer()
    writer.write(b"good")
    writer.write(b"eight by", length=length)
    with pytest.raises(BadData, match=f"a record of {length} bytes"):
        writer.ring.read()
    assert writer.read_to == writer.head
    assert writer.ring.read() == []


@pytest.mark.parametrize("head", [SIZE + 1, 1 << 63, (1 << 64) - 1])
def test_a_ring_fuller_than_it_is_large(head: int) -> None:
    writer = Writer()
    struct.pack_into("=Q", writer.producer, 0, head)
    with pytest.raises(BadData):
        writer.ring.read()
    assert writer.read_to == head


# ------------------------------------------------------------------ live


def output(fd: int) -> bytes:
    """A program that puts the 8 bytes 44 33 22 11 0 0 0 0 into a ring buffer."""
    return b"".join(
        [
            insn(0x7A, 10, off=-8, imm=0x11223344),  # *(u64 *)(r10 - 8) = 0x11223344
            insn(0x18, 1, 1, imm=fd),  # r1 = the map
            insn(0),
            insn(0xBF, 2, 10),
            insn(0x07, 2, imm=-8),  # r2 = r10 - 8
            insn(0xB7, 3, imm=8),
            insn(0xB7, 4),
            insn(0x85, imm=130),  # bpf_ringbuf_output(r1 … r4)
            insn(0x95),
        ]
    )


SENT = list(struct.pack("=Q", 0x11223344))


@pytest.fixture
def ring() -> Iterator[Map]:
    with Map(calls.map_create(27, 0, 0, os.sysconf("SC_PAGE_SIZE"), "ring")) as opened:
        yield opened


@pytest.fixture
def sender(ring: Map) -> Iterator[Fd]:
    with calls.prog_load(3, output(ring.fileno()), name="sender") as prog:
        yield prog


@needs_kernel
def test_records_of_a_program_arrive(ring: Map, sender: Fd) -> None:
    with RingReader(ring) as reader:
        assert list(reader.wait(0)) == []
        for _ in range(3):  # more than the ring holds in all
            calls.prog_test_run(sender, bytes(64), repeat=200)
            assert list(reader.wait(1000)) == [{"data": SENT}] * 200
        assert list(reader.wait(0)) == []


@needs_kernel
def test_a_ring_that_may_only_be_read_is_refused(ring: Map) -> None:
    with (
        Map.by_id(ring.info.id, calls.BPF_F_RDONLY) as readable,
        pytest.raises(KernelError, match="failed to map ring buffer: "),
    ):
        ringbuf.events(readable, lambda text: None)
