"""Events that BPF programs send through a perf event array: bpf_perf_event_output().

One ring of memory per CPU, written by the kernel and read here.
Source: linux/perf_event.h, perf_event_open(2).
"""

from __future__ import annotations

import errno
import os
import struct

from ..errors import BadData, KernelError
from ..signals import Stopping
from . import calls
from ._abi import ffi
from .proc import online_cpus, page_size, possible_cpus, read_text, why_not_permitted
from .syscall import PERF_EVENT_OPEN, Closing, Fd, lib

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from typing import Any, SupportsIndex, TypeAlias

    from .handles import Map
    from .ringbuf import RingReader

    Reader: TypeAlias = "PerfReader | RingReader"

PERF_RECORD_LOST, PERF_RECORD_SAMPLE = 2, 9

_PERF_TYPE_SOFTWARE, _PERF_COUNT_SW_BPF_OUTPUT = 1, 10
_PERF_SAMPLE_TIME, _PERF_SAMPLE_RAW = 1 << 2, 1 << 10
_PERF_FLAG_FD_CLOEXEC = 1 << 3

_UNITS = "/sys/bus/event_source/devices"

_PAGES = 16
"""Pages of a ring's data: 64 KiB on most machines."""
_PATIENCE = 200
"""Milliseconds after which a silent ring lets us look whether to stop."""


def perf_event_open(attr: Any, pid: int, cpu: int) -> Fd:
    """The event ``attr`` (struct perf_event_attr *) of process ``pid`` (-1: all) on ``cpu``."""
    attr.size = ffi.sizeof("struct perf_event_attr")
    where = int(ffi.cast("intptr_t", attr))
    fd = lib.syscall(PERF_EVENT_OPEN, where, pid, cpu, -1, _PERF_FLAG_FD_CLOEXEC)
    if fd < 0:
        denied = ffi.errno in (errno.EPERM, errno.EACCES)
        hint = why_not_permitted(["CAP_PERFMON"]) if denied else None
        raise KernelError(ffi.errno, f"perf event on CPU {cpu}", hint=hint)
    return Fd(fd)


def counter(type: int, config: int, cpu: int) -> Fd:
    """A running count of an event on ``cpu``, of all processes while they are in the kernel.

    ``type``, ``config``: which event (PERF_TYPE_*, PERF_COUNT_*).
    """
    attr = ffi.new("struct perf_event_attr *")
    attr.type = type
    attr.config = config
    attr.exclude_user = 1
    return perf_event_open(attr, -1, cpu)


def probe(unit: str, name: str, offset: int, *, retprobe: bool) -> Fd:
    """An event whenever a place in code is reached, or (``retprobe``) a function is left.

    ``unit``: "kprobe" for ``offset`` bytes behind the function ``name`` of the kernel, "uprobe" for
    ``offset`` bytes into the file ``name``.  Raises KernelError.  Since Linux 4.17.
    Source: /sys/bus/event_source/devices, perf_event_open(2).
    """
    at = f"{_UNITS}/{unit}"
    type = read_text(f"{at}/type")
    if type is None:
        raise KernelError(errno.EOPNOTSUPP, f"{unit} {name}", reason=f"this kernel has no {unit}s")
    attr = ffi.new("struct perf_event_attr *")
    attr.type = int(type)
    if retprobe:
        bit = read_text(f"{at}/format/retprobe") or "config:0"
        attr.config = 1 << int(bit.partition(":")[2])
    text = ffi.new("char[]", os.fsencode(name))
    attr.config1 = int(ffi.cast("uintptr_t", text))
    attr.config2 = offset
    try:
        return perf_event_open(attr, -1, 0)
    except KernelError as error:
        raise error.said(f"{unit} {name}+{offset:#x}") from error


class Ring:
    """The reading end of one ring: ``memory`` is its head page and its data, mapped writable.

    ``head_size``: bytes of the head page, behind which the data begin.
    """

    def __init__(self, memory: Any, head_size: int) -> None:
        import _thread

        whole = memoryview(memory)
        head = ffi.offsetof("struct perf_event_mmap_page", "data_head")
        # A cast to native words reads and writes each of them at once, never byte by byte.
        self._ends = whole[head : head + 16].cast("Q")
        self._data = whole[head_size:]
        self._fence = _thread.allocate_lock()
        self._fence.acquire()

    def read(self) -> list[tuple[int, bytes]]:
        """The records that came since the last call, as (type, body after the header).

        Raises BadData for a ring whose lengths cannot be true; its content is dropped.
        """
        head, tail = self._ends
        # What the kernel wrote before it moved the head must not be read before the head was:
        # letting go of a lock and taking it again is as much of a barrier as Python has.
        self._fence.release()
        self._fence.acquire()
        size = len(self._data)
        length = head - tail
        if not 0 <= length <= size:
            self._ends[1] = head
            raise BadData("a perf ring is fuller than it is large")
        start = tail % size
        content = bytes(self._data[start : start + length])
        content += bytes(self._data[: length - len(content)])
        self._ends[1] = head
        return _records(content)

    def close(self) -> None:
        """Let go of the memory."""
        self._ends.release()
        self._data.release()


def _records(content: bytes) -> list[tuple[int, bytes]]:
    found = []
    at = 0
    while at < len(content):
        kind, _, length = struct.unpack_from("=IHH", content.ljust(at + 8), at)
        if length < 8 or at + length > len(content):
            raise BadData(f"a perf record of {length} bytes where {len(content) - at} are left")
        found.append((kind, content[at + 8 : at + length]))
        at += length
    return found


def decode(kind: int, body: bytes, cpu: int, index: int) -> dict[str, Any]:
    """A record as bpftool's JSON tells it: type, cpu, index, then what the type brings.

    Samples: ``timestamp`` (ns of the kernel's own clock) and ``data`` (byte values, with the bytes
    that the kernel fills up to a multiple of 8 with).  Lost events: ``lost`` with id and count.
    Others: ``size``, bytes of the whole record.
    """
    record: dict[str, Any] = {"type": kind, "cpu": cpu, "index": index}
    try:
        if kind == PERF_RECORD_SAMPLE:
            record["timestamp"], length = struct.unpack_from("=QI", body)
            if length > len(body) - 12:
                raise BadData(f"a perf sample of {length} bytes in a record of {len(body) + 8}")
            record["data"] = list(body[12 : 12 + length])
        elif kind == PERF_RECORD_LOST:
            number, count = struct.unpack_from("=QQ", body)
            record["lost"] = {"id": number, "count": count}
        else:
            record["size"] = len(body) + 8
    except struct.error as error:
        raise BadData(f"a perf record of only {len(body) + 8} bytes") from error
    return record


class OnCpu:
    """An open event on one CPU, its ring, and its place in the map."""

    def __init__(self, map: SupportsIndex, cpu: int, index: int) -> None:
        import mmap

        attr = ffi.new("struct perf_event_attr *")
        attr.type = _PERF_TYPE_SOFTWARE
        attr.config = _PERF_COUNT_SW_BPF_OUTPUT
        attr.sample_type = _PERF_SAMPLE_RAW | _PERF_SAMPLE_TIME
        attr.sample_period = 1
        attr.wakeup_events = 1
        self.cpu = cpu
        self.index = index
        self.event = perf_event_open(attr, -1, cpu)
        self._memory = mmap.mmap(self.event.fileno(), (1 + _PAGES) * page_size())
        self._ring = Ring(self._memory, page_size())
        self._map = map
        calls.map_update(map, _u32(index), _u32(self.event.fileno()))

    def read(self) -> Iterator[dict[str, Any]]:
        """The records that came since the last call, as ``decode`` tells them."""
        for kind, body in self._ring.read():
            yield decode(kind, body, self.cpu, self.index)

    def close(self) -> None:
        """Leave the map, then give back the ring and the event."""
        try:
            calls.map_delete(self._map, _u32(self.index))
        except KernelError:
            pass  # someone else took the place out already
        self._ring.close()
        self._memory.close()
        self.event.close()


class PerfReader(Closing):
    """Events of several CPUs: their rings entered in a perf event array, and the waiting.

    ``places``: (cpu, index in the map) of each ring.  They leave the map on ``close``.
    """

    def __init__(self, map: SupportsIndex, places: Iterable[tuple[int, int]]) -> None:
        import select

        self._open: dict[int, OnCpu] = {}
        self._poll = select.poll()
        try:
            for cpu, index in places:
                source = OnCpu(map, cpu, index)
                self._open[source.event.fileno()] = source
                self._poll.register(source.event, select.POLLIN)
        except BaseException:
            self.close()
            raise

    def wait(self, milliseconds: int) -> Iterator[dict[str, Any]]:
        """The records that are there, after waiting for the first one up to ``milliseconds``."""
        import select

        for fd, flags in self._poll.poll(milliseconds):
            yield from self._open[fd].read()
            if flags & (select.POLLHUP | select.POLLERR):  # its CPU is gone: it stays silent
                self._poll.unregister(fd)

    def close(self) -> None:
        """Take the rings out of the map and give them back."""
        while self._open:
            self._open.popitem()[1].close()


def events(
    map: Map, cpu: int | None, index: int | None, warn: Callable[[str], None]
) -> Iterator[dict[str, Any]]:
    """The events of a perf event array as they come, until SIGINT, SIGHUP or SIGTERM.

    The rings are set up before this returns.

    ``cpu``, ``index``: only that CPU, through that place of the map; None: every CPU that runs
    and has a place of its own.  ``warn`` is told ``Stopping...`` when a signal ends it.
    Raises KernelError, told as ``failed to create perf buffer: REASON (ERRNO)``.
    """
    if cpu is None or index is None:
        most = min(possible_cpus(), map.info.max_entries)
        places = [(each, each) for each in online_cpus() if each < most]
    else:
        places = [(cpu, index)]
    return until_stopped(lambda: _reader(map, places), warn)


def until_stopped(
    open_reader: Callable[[], Reader], warn: Callable[[str], None]
) -> Iterator[dict[str, Any]]:
    """What a reader reads, until SIGINT, SIGHUP or SIGTERM.

    ``open_reader``: called before this returns, when the signals are taken care of already.
    ``warn`` is told ``Stopping...`` when a signal ends it.
    """
    found = _until_stopped(open_reader, warn)
    next(found)
    return found


def _until_stopped(
    open_reader: Callable[[], Reader], warn: Callable[[str], None]
) -> Iterator[dict[str, Any]]:
    """The same, after a first, empty one when all is set up."""
    # Whoever sees the first event taken may send the signal: be ready for it before.
    with Stopping(told=lambda: warn("Stopping...")) as stopping, open_reader() as reader:
        yield {}
        while not stopping.stopped:
            yield from reader.wait(_PATIENCE)


def _reader(map: Map, places: list[tuple[int, int]]) -> PerfReader:
    try:
        return PerfReader(map, places)
    except (KernelError, OSError) as error:
        number = error.errno or 0
        raise KernelError(
            number,
            "failed to create perf buffer",
            reason=f"{os.strerror(number)} ({number})",
            hint=getattr(error, "hint", None),
        ) from error


def _u32(number: int) -> bytes:
    return struct.pack("=I", number)
