"""Which processes hold an object open, and which have programs run by events of theirs.

Looked up in /proc: a descriptor of BPF says what it is by its link, and which object it holds by
its fdinfo.  No BPF program is loaded for it, so it works on every kernel and for whoever may
look into the processes; what is forbidden is left out.
"""

from __future__ import annotations

import os

from . import calls
from .proc import fields, kind_of, read_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

_ID_FIELDS = {"map": "map_id", "prog": "prog_id", "link": "link_id", "btf": "btf_id"}
"""kind -> the line of fdinfo that tells the object's id (a link has a line prog_id as well)."""


def holders(kind: str) -> dict[int, list[tuple[int, str]]]:
    """id -> processes, as (pid, comm) by ascending pid, that hold that ``kind`` of object open.

    ``kind``: map, prog, link or btf.  One entry per process however many descriptors it has; this
    process is left out.  Processes that end meanwhile, or may not be looked into, are skipped.
    """
    found: dict[int, list[tuple[int, str]]] = {}
    ourselves = os.getpid()
    for pid in sorted(_numbers("/proc")):
        if pid == ourselves:
            continue
        held = _held(pid, kind)
        if held:
            comm = read_text(f"/proc/{pid}/comm")
            if comm is None:
                continue
            for number in held:
                found.setdefault(number, []).append((pid, comm.removesuffix("\n")))
    return found


def _held(pid: int, kind: str) -> set[int]:
    """The ids of the objects of ``kind`` that a process holds."""
    directory = f"/proc/{pid}/fd"
    held = set()
    for fd in _numbers(directory):
        try:
            target = os.readlink(f"{directory}/{fd}")
        except OSError:
            continue  # closed meanwhile
        if target.startswith("anon_inode:") and kind_of(target) == kind:
            text = read_text(f"/proc/{pid}/fdinfo/{fd}") or ""
            number = fields(text).get(_ID_FIELDS[kind], "")
            if number.isdigit():
                held.add(int(number))
    return held


def event_programs() -> Iterator[tuple[int, int, calls.TaskFd]]:
    """(pid, descriptor, program) of every descriptor by which an event runs a program.

    In the order in which /proc lists processes and descriptors.  The kernel is asked for each of
    them: that takes less than to look at their links first.
    """
    ask = calls.task_fd_asker()
    for pid in _numbers("/proc"):
        for fd in _numbers(f"/proc/{pid}/fd"):
            found = ask(pid, fd)
            if not isinstance(found, int):
                yield pid, fd, found


def _numbers(directory: str) -> Iterator[int]:
    """The numeric names in a directory of /proc; none where it is gone or forbidden."""
    try:
        names = os.listdir(directory)
    except OSError:
        return iter(())
    return (int(name) for name in names if name.isdigit())
