"""The capabilities of this thread: what it holds, and doing without some for a while.

Source: linux/capability.h, capget(2).
"""

from __future__ import annotations

from ..errors import KernelError
from ._abi import ffi
from .proc import CAPABILITIES, knows_cap_bpf
from .syscall import lib

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from types import TracebackType
    from typing import Any

_LINUX_CAPABILITY_VERSION_3 = 0x20080522


def for_bpf() -> list[str]:
    """The capabilities by which this kernel decides what a user of bpf(2) may do."""
    names = ["CAP_SYS_ADMIN", "CAP_BPF", "CAP_NET_ADMIN", "CAP_PERFMON"]
    return names if knows_cap_bpf() else names[:1]


def held(names: Iterable[str]) -> list[str]:
    """Those of ``names`` that are in effect now, taken literally: none implies another."""
    _, sets = _get()
    mask = sets[0].effective | sets[1].effective << 32
    return [name for name in names if mask >> CAPABILITIES[name] & 1]


def _get() -> tuple[Any, Any]:
    header = ffi.new("struct __user_cap_header_struct *", {"version": _LINUX_CAPABILITY_VERSION_3})
    sets = ffi.new("struct __user_cap_data_struct[2]")
    if lib.capget(header, sets) < 0:
        raise KernelError(ffi.errno, "failed to get capabilities for process")
    return header, sets


class without:  # noqa: N801 - reads as a word: ``with without(["CAP_BPF"]):``
    """Put capabilities out of effect for the block, in this thread and those it starts there.

    Raises KernelError when the kernel will not have it.
    """

    def __init__(self, names: Iterable[str]) -> None:
        self._names = list(names)
        self._before: list[int] = []

    def __enter__(self) -> None:
        header, sets = _get()
        self._before = [each.effective for each in sets]
        for name in self._names:
            number = CAPABILITIES[name]
            sets[number // 32].effective &= ~(1 << number % 32) & 0xFFFFFFFF
        self._set(header, sets)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        header, sets = _get()
        for each, effective in zip(sets, self._before, strict=True):
            each.effective = effective
        self._set(header, sets)

    def _set(self, header: Any, sets: Any) -> None:
        if lib.capset(header, sets) < 0:
            raise KernelError(ffi.errno, "failed to drop capabilities")
