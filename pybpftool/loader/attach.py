"""A loaded program attached to what its section names; the link can be pinned."""

from __future__ import annotations

import os

from ..errors import PybpftoolError, during
from ..kernel import calls

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..kernel.syscall import Fd
    from .spec import ProgramSpec

_KPROBE, _TRACEPOINT, _RAW_TRACEPOINT, _RAW_WRITABLE = 2, 5, 17, 24
_TRACING, _LSM = 26, 29
_ITER, _LSM_CGROUP, _PERF_EVENT = 28, 43, 41
"""Attach types (uapi/linux/bpf.h)."""
_TYPE_TRACEPOINT = 2
"""PERF_TYPE_TRACEPOINT (uapi/linux/perf_event.h)."""
_TRACEFS = ("/sys/kernel/tracing", "/sys/kernel/debug/tracing")


def attach(prog: Fd, spec: ProgramSpec) -> Fd | None:
    """The link of a program on its target; None for a type that has no target of its own.

    KernelError when the kernel refuses; PybpftoolError for probes, which are not attached here.
    """
    with during(f"program '{spec.name}': cannot be attached"):
        if spec.prog_type in (_RAW_TRACEPOINT, _RAW_WRITABLE) and spec.target:
            return calls.raw_tracepoint_open(prog, spec.target)
        if spec.prog_type == _TRACEPOINT and spec.target:
            return _tracepoint(prog, spec)
        if spec.prog_type == _TRACING and spec.attach_type == _ITER:
            return calls.link_create(prog, 0, _ITER)
        if spec.prog_type == _TRACING or (
            spec.prog_type == _LSM and spec.attach_type != _LSM_CGROUP
        ):
            return calls.raw_tracepoint_open(prog)
    if spec.prog_type == _KPROBE:
        raise PybpftoolError(
            f"program '{spec.name}': probes are not attached by pybpftool yet; load it without"
            " autoattach"
        )
    return None


def _tracepoint(prog: Fd, spec: ProgramSpec) -> Fd:
    from ..kernel.perf import counter

    category, _, name = spec.target.partition("/")
    for top in _TRACEFS:
        try:
            with open(f"{top}/events/{category}/{name}/id") as file:
                number = int(file.read(16))
            break
        except (OSError, ValueError):
            continue
    else:
        raise PybpftoolError(
            f"program '{spec.name}': there is no tracepoint {category}/{name}",
            hint=f"is tracefs mounted? mount -t tracefs none {_TRACEFS[0]}"
            if not os.path.isdir(f"{_TRACEFS[0]}/events")
            else None,
        )
    with counter(_TYPE_TRACEPOINT, number, 0) as event:
        return calls.link_create(prog, event, _PERF_EVENT)
