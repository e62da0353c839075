"""The wish to stop: signals that end a watch, not the process."""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import TracebackType
    from typing import Any, SupportsIndex

ENDINGS = ("SIGINT", "SIGHUP", "SIGTERM")
"""What ends a watch unless told otherwise."""


class Stopping:
    """Inside the ``with`` block these signals end the waiting; the process lives on.

    ``names``: the signals.  ``told``: called at the first of them.  ``stopped``: whether one came.
    A pipe to ourselves wakes who waits, so that none comes too late or too early to be seen.
    """

    def __init__(
        self, names: Sequence[str] = ENDINGS, told: Callable[[], None] = lambda: None
    ) -> None:
        self.stopped = False
        self._names = names
        self._told = told
        self._before: list[tuple[int, Any]] = []
        self._pipe = (-1, -1)

    def __enter__(self) -> Stopping:
        import signal

        self._pipe = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        self._before = [
            (number, signal.signal(number, self._stop))
            for number in (getattr(signal, name) for name in self._names)
        ]
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        import signal

        for number, handler in self._before:
            signal.signal(number, handler)
        for end in self._pipe:
            os.close(end)

    def _stop(self, number: int, frame: object) -> None:
        if not self.stopped:
            self.stopped = True
            os.write(self._pipe[1], b"\0")
            self._told()

    def wait(self, seconds: float | None, *sources: SupportsIndex) -> bool:
        """Wait until one of the ``sources`` (descriptors) has something to read: whether one has.

        False after ``seconds`` (None: never), or when a signal came.
        """
        import select
        import time

        poll = select.poll()
        for source in (self._pipe[0], *sources):
            poll.register(source.__index__(), select.POLLIN)
        end = None if seconds is None else time.monotonic() + seconds
        while not self.stopped:
            # poll counts in C's int of milliseconds: longer waits are made of several
            left = _LONGEST if end is None else min(max(0.0, end - time.monotonic()), _LONGEST)
            ready = [fd for fd, _ in poll.poll(left * 1000) if fd != self._pipe[0]]
            if ready and not self.stopped:
                return True
            if end is not None and time.monotonic() >= end:
                return False
        return False

    def sleep(self, seconds: float) -> bool:
        """Let the time pass; false if a signal cut it short."""
        self.wait(seconds)
        return not self.stopped


_LONGEST = 86400.0
"""Seconds of one poll(2)."""
