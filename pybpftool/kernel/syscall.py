"""The one place where bpf(2) is called, and the file descriptors it gives.

Everything this package asks of bpf(2) passes through ``invoke``; a test that replaces it plays
the kernel.  The oddities of the call live here, each with its reason.
"""

from __future__ import annotations

import errno
import os
import sys

from ..errors import KernelError
from ._abi import ffi

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import TracebackType
    from typing import Any, TypeVar

    Opened = TypeVar("Opened", bound="Closing")

lib: Any = ffi.dlopen(None)
"""The C library as the process already has it; also the constants of ``abi.h``."""

_NUMBERS = {
    "x86_64": (321, 298),
    "aarch64": (280, 241),
    "riscv64": (280, 241),
    "loongarch64": (280, 241),
    "ppc64": (361, 319),
    "ppc64le": (361, 319),
    "s390x": (351, 331),
}
"""machine -> numbers of bpf and perf_event_open (asm/unistd.h)."""

BPF, PERF_EVENT_OPEN = _NUMBERS.get(os.uname().machine if sys.maxsize > 1 << 32 else "", (-1, -1))
"""Their numbers here; -1, to which every kernel says ENOSYS, where they are not known."""

ARMS = (
    "map_create elem elem elem elem prog_load obj obj prog_attach prog_attach test get_id get_id "
    "get_id get_id info query raw_tracepoint btf_load get_id task_fd_query elem elem get_id batch "
    "batch batch batch link_create link_update get_id get_id enable_stats iter_create link_detach "
    "prog_bind_map token_create prog_stream_read"
).split()
"""The arm of ``union bpf_attr`` each command speaks, in the order of ``enum bpf_cmd``."""

_NEEDS = {
    "map_create": "CAP_BPF",
    "prog_load": "CAP_BPF CAP_NET_ADMIN CAP_PERFMON",
    "btf_load": "CAP_BPF",
    "get_id": "CAP_SYS_ADMIN",
    "query": "CAP_NET_ADMIN",
    "prog_attach": "CAP_NET_ADMIN",
    "raw_tracepoint": "CAP_PERFMON",
    "task_fd_query": "CAP_SYS_ADMIN",
    "enable_stats": "CAP_SYS_ADMIN",
}
"""arm -> the capabilities whose lack can be the reason for EPERM."""

_TRIES = 5
"""How often a program load is offered to a busy kernel before its EAGAIN is believed."""

_memlock_raised = False
_sizes: dict[int, int] = {}
"""Bytes of each command's arm, once they were needed."""


def invoke(cmd: int, attr: Any, size: int) -> int:
    """bpf(2) itself: its result, or the errno as a negative number.

    ``attr``: pointer to a whole ``union bpf_attr``; the kernel is shown its first ``size`` bytes.
    This is the seam: tests put a function of their own in its place (tests/support/tape.py).
    """
    result: int = lib.syscall(BPF, cmd, int(ffi.cast("intptr_t", attr)), size, 0, 0)
    return result if result >= 0 else -ffi.errno


def new_attr(cmd: int, **fields: Any) -> Any:
    """A zeroed ``union bpf_attr`` whose arm for ``cmd`` holds ``fields``.

    Always the whole union, although the kernel is shown only the arm: some kernels write an
    answer (the revision of a query, the true size of a log) beyond the size they were given.
    """
    return ffi.new("union bpf_attr *", {ARMS[cmd]: fields})


def attempt(cmd: int, attr: Any) -> int:
    """bpf(2) with its moods taken care of: the result, or the errno as a negative number.

    For those who expect a refusal (walks, probes, lookups); the others call ``bpf``.

    Size: that of the command's arm, rounded to its alignment.  Every kernel takes a longer attr
    as long as the bytes it does not know are zero, so fields unknown to an old kernel do no
    harm until they are used; then E2BIG is the honest answer.
    EINTR: a signal came while the kernel was at it (program test runs, batches); ask again.
    EAGAIN on BPF_PROG_LOAD: the verifier gave way to a signal, or memory was short for a moment;
    a few more tries, not for ever.
    EPERM on what takes memory: before Linux 5.11 it was counted against RLIMIT_MEMLOCK, 64 KiB by
    default, and EPERM was the answer to more.  Raise the limit once and ask again.
    """
    size = _sizes.get(cmd) or _sizes.setdefault(cmd, ffi.sizeof(getattr(attr, ARMS[cmd])))
    tries = _TRIES if cmd == lib.BPF_PROG_LOAD else 1
    while True:
        result = invoke(cmd, attr, size)
        if result >= 0 or result == -errno.ENOENT:  # the end of every walk: be quick
            return result
        if result == -errno.EINTR:
            continue
        if result == -errno.EAGAIN and tries > 1:
            tries -= 1
            continue
        if result == -errno.EPERM and _takes_memory(cmd) and _raise_memlock():
            continue
        return result


def bpf(cmd: int, attr: Any) -> int:
    """bpf(2): its result (a file descriptor, or 0).

    ``cmd``: a constant of ``enum bpf_cmd``; ``attr``: what ``new_attr`` made for it.
    Raises KernelError; on EPERM its hint says what would help, where that can be known.
    """
    result = attempt(cmd, attr)
    if result < 0:
        raise refusal(cmd, -result)
    return result


def refusal(cmd: int, error: int) -> KernelError:
    """The error to raise for a ``cmd`` that ended in the errno ``error``."""
    hint = None
    if error == errno.EPERM:
        from .proc import why_not_permitted

        hint = why_not_permitted(_NEEDS.get(ARMS[cmd], "").split())
    return KernelError(error, ffi.typeof("enum bpf_cmd").elements[cmd], hint=hint)


def _takes_memory(cmd: int) -> bool:
    return cmd in (lib.BPF_MAP_CREATE, lib.BPF_PROG_LOAD, lib.BPF_BTF_LOAD)


def _raise_memlock() -> bool:
    """Lift RLIMIT_MEMLOCK, once in the life of the process; true if that changed anything."""
    global _memlock_raised
    if _memlock_raised:
        return False
    _memlock_raised = True
    import resource

    unlimited = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
    if resource.getrlimit(resource.RLIMIT_MEMLOCK) == unlimited:
        return False
    try:
        resource.setrlimit(resource.RLIMIT_MEMLOCK, unlimited)
    except (ValueError, OSError):
        return False
    return True


class Closing:
    """What is closed by its ``close`` or by leaving a ``with`` block."""

    __slots__ = ()

    def close(self) -> None:
        """Give everything back."""
        raise NotImplementedError

    def __enter__(self: Opened) -> Opened:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        self.close()


class Fd(Closing):
    """A file descriptor that is closed when it goes out of use.

    Close it early with ``close`` or by leaving a ``with`` block; otherwise the last reference
    does.  Passes for an int where one is wanted (``os.fstat(fd)``, ``operator.index(fd)``).
    """

    __slots__ = ("_number",)

    def __init__(self, number: int) -> None:
        self._number = number

    def fileno(self) -> int:
        """The number; ValueError once closed."""
        if self._number < 0:
            raise ValueError("the descriptor is closed")
        return self._number

    __index__ = fileno

    def close(self) -> None:
        """Give the descriptor back; a second time does nothing."""
        number, self._number = self._number, -1
        if number >= 0:
            os.close(number)

    def release(self) -> int:
        """The number, which is the caller's to close from now on."""
        number, self._number = self._number, -1
        return number

    def __del__(self) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"Fd({self._number})"
