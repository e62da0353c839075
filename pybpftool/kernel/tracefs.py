"""The trace pipe: what bpf_trace_printk() writes, for everyone to read.

Source: Documentation/trace/ftrace.rst; where bpftool looks: spec 2.10.
"""

from __future__ import annotations

import os

from ..errors import KernelError, PybpftoolError, during
from .bpffs import TRACEFS_MAGIC, fs_magic, mount_fs
from .proc import mounts
from .syscall import Fd

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ..signals import Stopping

USUAL = ("/sys/kernel/tracing", "/sys/kernel/debug/tracing")
"""Where tracefs is looked for first; it is mounted on the first if it is nowhere."""

_CHUNK = 1 << 16
_PATIENCE = 0.1
"""Seconds until a pipe that had nothing is asked again."""


def place(nomount: bool, warn: Callable[[str], None]) -> str:
    """The directory where tracefs is mounted, after mounting it if it is nowhere.

    ``nomount``: rather fail.  ``warn`` is told of the attempt.  Raises PybpftoolError.
    """
    others = (mount.path for mount in mounts() if mount.type == "tracefs")
    for path in (*USUAL, *others):
        if fs_magic(path) == TRACEFS_MAGIC:
            return path
    if nomount:
        raise PybpftoolError("no tracefs found, not mounting it due to --nomount option")
    warn("could not find tracefs, attempting to mount it now")
    try:
        mount_fs("tracefs", USUAL[0])
    except KernelError as error:
        raise PybpftoolError(f"can't mount tracefs: {error}") from error
    return USUAL[0]


def open_pipe(directory: str) -> Fd:
    """The trace pipe of a tracefs; each line is for one reader only."""
    with during("could not open trace pipe"):
        return Fd(os.open(f"{directory}/trace_pipe", os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK))


def read_pipe(pipe: Fd, stopping: Stopping) -> Iterator[bytes]:
    """What comes through the pipe, in pieces as they come, until a signal ends it."""
    with during("failed to read content from trace pipe"):
        while stopping.wait(None, pipe):
            try:
                piece = os.read(pipe.fileno(), _CHUNK)
            except BlockingIOError:
                # Another reader was faster; or the pipe's option "block" is set, which makes it
                # look full all the time.
                stopping.wait(_PATIENCE)
                continue
            if not piece:
                raise PybpftoolError("failed to read content from trace pipe: it has ended")
            yield piece
