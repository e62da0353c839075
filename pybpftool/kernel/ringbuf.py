"""Records that BPF programs send through a ring buffer: bpf_ringbuf_submit(), bpf_ringbuf_output().

One ring of memory for all CPUs, written by programs and read here; whoever reads a record takes it
from all other readers.  Since Linux 5.8.
Source: linux/bpf.h (BPF_RINGBUF_*), Documentation/bpf/ringbuf.rst.
"""

from __future__ import annotations

from ..errors import BadData, KernelError
from .perf import until_stopped
from .proc import page_size
from .syscall import Closing

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

    from .handles import Map

_BUSY, _DISCARDED = 1 << 31, 1 << 30
"""Bits of a record's length: still being written; taken back by the program."""
_HEADER = 8
_MOST = 1 << 20
"""Bytes of records, a whole one at least, that are taken out of the ring at once."""


class Ring:
    """The reading end of a ring.

    ``consumer``: the page that holds how far it was read, mapped writable.  ``producer``: the page
    that holds how far it is written, and behind it the data of ``size`` bytes, twice in a row, so
    that no record is ever cut.  ``head_size``: bytes of each of the two pages.
    """

    def __init__(self, consumer: Any, producer: Any, head_size: int, size: int) -> None:
        import _thread

        # A cast to native words reads and writes each of them at once, never byte by byte.
        self._read_to = memoryview(consumer)[:8].cast("Q")
        whole = memoryview(producer)
        self._written_to = whole[:8].cast("Q")
        self._data = whole[head_size:]
        self._lengths = self._data.cast("I")
        self._size = size
        self._fence = _thread.allocate_lock()
        self._fence.acquire()

    def read(self) -> list[bytes]:
        """The records that came since the last call, up to the first that is still being written.

        At most about a MiB of them, the rest by the next call.
        Raises BadData for a ring whose lengths cannot be true; its content is dropped.
        """
        begin = at = self._read_to[0]
        end = self._written_to[0]
        found = []
        try:
            if not 0 <= end - at <= self._size:
                raise BadData("a ring buffer is fuller than it is large")
            while at < end and at - begin < _MOST:
                start = at % self._size
                length = self._lengths[start // 4]
                # What the program wrote before it gave the length must not be read before the
                # length was: letting go of a lock and taking it again is Python's barrier.
                self._fence.release()
                self._fence.acquire()
                if length & _BUSY:
                    break
                size = length & ~_DISCARDED
                after = at + (_HEADER + size + 7 & ~7)
                if after > end:
                    raise BadData(f"a record of {size} bytes where a ring buffer has {end - at}")
                if not length & _DISCARDED:
                    found.append(bytes(self._data[start + _HEADER : start + _HEADER + size]))
                at = after
        except BadData:
            at = end
            raise
        finally:
            if at != begin:
                self._read_to[0] = at
        return found

    def close(self) -> None:
        """Let go of the memory."""
        for view in (self._read_to, self._written_to, self._lengths, self._data):
            view.release()


class RingReader(Closing):
    """The ring of an open map, mapped into this process, and the waiting.

    ``map``: of type ringbuf, open for writing as well (how far it is read is written there).
    """

    def __init__(self, map: Map) -> None:
        import mmap
        import select

        page, size = page_size(), map.info.max_entries
        self._consumer = mmap.mmap(map.fileno(), page)
        try:
            self._producer = mmap.mmap(
                map.fileno(), page + 2 * size, prot=mmap.PROT_READ, offset=page
            )
        except BaseException:
            self._consumer.close()
            raise
        self._ring = Ring(self._consumer, self._producer, page, size)
        self._poll = select.epoll()
        self._poll.register(map.fileno(), select.EPOLLIN)

    def wait(self, milliseconds: int) -> Iterator[dict[str, Any]]:
        """The records that are there, after waiting for the first one up to ``milliseconds``.

        Each as ``{"data": …}``, its bytes.
        """
        if not self._poll.poll(milliseconds / 1000):
            return
        found = self._ring.read()
        if not found:  # the next is being written: that will not take long, and wakes nobody
            import time

            time.sleep(0.001)
        for data in found:
            yield {"data": list(data)}

    def close(self) -> None:
        """Give back the memory."""
        self._poll.close()
        self._ring.close()
        self._producer.close()
        self._consumer.close()


def events(map: Map, warn: Callable[[str], None]) -> Iterator[dict[str, Any]]:
    """The records of a ring buffer as they come, until SIGINT, SIGHUP or SIGTERM.

    The ring is mapped before this returns.  ``warn`` is told ``Stopping...`` when a signal ends it.
    Raises KernelError, told as ``failed to map ring buffer: REASON``.
    """
    return until_stopped(lambda: _reader(map), warn)


def _reader(map: Map) -> RingReader:
    try:
        return RingReader(map)
    except OSError as error:
        raise KernelError(error.errno or 0, "failed to map ring buffer") from error
