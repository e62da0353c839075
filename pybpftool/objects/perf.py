"""Show which processes have BPF programs run by perf events.

Those are programs on tracepoints, kprobes and uprobes: through descriptors of perf events, and
through links of BPF that stand for them.
"""

from __future__ import annotations

import os

from ..command import IGNORE, Command, Many, Object
from ..errors import during

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..command import Options, Record
    from ..kernel.calls import TaskFd

_ENOTSUPP = 524
"""The errno, without a name outside the kernel, of a descriptor that no event is behind."""

_FD_TYPES = ("raw_tracepoint", "tracepoint", "kprobe", "kretprobe", "uprobe", "uretprobe")
"""enum bpf_task_fd_type (uapi/linux/bpf.h)."""

_FIELDS = (("tracepoint", ""), ("func", "func "), ("filename", "filename "), ("addr", "addr "))
"""What names the event: JSON key, and what stands before it in the listing."""


def _line(record: Record) -> str:
    """A descriptor in the listing."""
    text = f"pid {record['pid']}  fd {record['fd']}: prog_id {record['prog_id']}  "
    text += str(record.get("fd_type", ""))
    text += "".join(f"  {lead}{record[key]}" for key, lead in _FIELDS if key in record)
    return text + (f"  offset {record['offset']}\n" if "offset" in record else "\n")


def show(options: Options) -> Many:
    """List every descriptor of a process by which an event runs a BPF program.

    With the process, the descriptor, the program and what the event is.
    """
    from ..kernel.holders import event_programs

    _check_support()
    return Many((_record(*found) for found in event_programs()), _line)


def _check_support() -> None:
    """Let a directory be refused in the way of a kernel that knows and allows the question."""
    from ..kernel import calls
    from ..kernel.syscall import lib, refusal

    with during("perf_query_support"):
        root = os.open("/", os.O_RDONLY | os.O_CLOEXEC)
        try:
            found = calls.task_fd_query(os.getpid(), root)
        finally:
            os.close(root)
        if found == _ENOTSUPP:
            return
        number = found if isinstance(found, int) else 0
        error = refusal(lib.BPF_TASK_FD_QUERY, number)
        if error.hint is None:
            error.hint = "non root or kernel doesn't support TASK_FD_QUERY"
        raise error


def _record(pid: int, fd: int, found: TaskFd) -> Record:
    record: Record = {"pid": pid, "fd": fd, "prog_id": found.prog_id}
    if found.fd_type >= len(_FD_TYPES):
        return record
    kind = _FD_TYPES[found.fd_type]
    record["fd_type"] = kind
    if kind.endswith("tracepoint"):
        record["tracepoint"] = found.name
    elif kind.startswith("u"):
        record["filename"] = found.name
        record["offset"] = found.probe_offset
    elif found.name:
        record["func"] = found.name
        record["offset"] = found.probe_offset
    else:
        record["addr"] = found.probe_addr
    return record


OBJECT = Object(
    "perf",
    (Command("{ show | list }", show, extra=IGNORE), Command("help")),
    summary=__doc__ or "",
)
