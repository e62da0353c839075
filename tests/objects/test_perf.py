"""``perf``: processes and descriptors played by a tape and a directory of processes."""

from __future__ import annotations

import errno
import os
from typing import Any

import pytest

from pybpftool.kernel import holders, proc
from tests.support.run import pybpftool
from tests.support.tape import Answer, Tape, memory

EVENTS: dict[tuple[int, int], tuple[int, int, bytes, int, int]] = {
    (70, 4): (9, 0, b"sys_enter", 0, 0),
    (70, 11): (12, 1, b"sys_enter_getppid", 0, 0),
    (70, 12): (13, 2, b"do_nanosleep", 16, 0),
    (8, 3): (14, 3, b"", 0, 0xFFFFFFFF81000000),
    (8, 5): (15, 4, b"/usr/bin/\xe9t\xe9", 4096, 0),
    (8, 6): (16, 5, b'/a "b"', 1 << 40, 0),
    (8, 7): (17, 99, b"", 0, 0),
}
"""(pid, fd) -> prog_id, fd_type, name, probe_offset, probe_addr."""

FDS = {"/proc": [70, 8], "/proc/70/fd": [0, 4, 11, 12], "/proc/8/fd": [3, 5, 6, 7]}
"""In the order of directories, which is no other's."""


@pytest.fixture(autouse=True)
def processes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(holders, "_numbers", lambda directory: iter(FDS[directory]))


def query(arm: Any) -> int:
    """The kernel's answer; a name is written up to its NUL, as in the kernel."""
    found = EVENTS.get((arm.pid, arm.fd))
    if found is None:
        return -524 if (arm.pid, arm.fd) != (70, 0) else -errno.ENOENT
    arm.prog_id, arm.fd_type, name, arm.probe_offset, arm.probe_addr = found
    assert arm.buf_len == 4096
    memory(arm.buf, len(name) + 1)[:] = name + b"\0"
    arm.buf_len = len(name)
    return 0


PLAIN = """\
pid 70  fd 4: prog_id 9  raw_tracepoint  sys_enter
pid 70  fd 11: prog_id 12  tracepoint  sys_enter_getppid
pid 70  fd 12: prog_id 13  kprobe  func do_nanosleep  offset 16
pid 8  fd 3: prog_id 14  kretprobe  addr 18446744071578845184
pid 8  fd 5: prog_id 15  uprobe  filename /usr/bin/\udce9t\udce9  offset 4096
pid 8  fd 6: prog_id 16  uretprobe  filename /a "b"  offset 1099511627776
pid 8  fd 7: prog_id 17  
"""  # noqa: W291 - the line of an unknown type ends in two blanks

JSON = (
    '[{"pid":70,"fd":4,"prog_id":9,"fd_type":"raw_tracepoint","tracepoint":"sys_enter"},'
    '{"pid":70,"fd":11,"prog_id":12,"fd_type":"tracepoint","tracepoint":"sys_enter_getppid"},'
    '{"pid":70,"fd":12,"prog_id":13,"fd_type":"kprobe","func":"do_nanosleep","offset":16},'
    '{"pid":8,"fd":3,"prog_id":14,"fd_type":"kretprobe","addr":18446744071578845184},'
    '{"pid":8,"fd":5,"prog_id":15,"fd_type":"uprobe","filename":"/usr/bin/\udce9t\udce9",'
    '"offset":4096},'
    '{"pid":8,"fd":6,"prog_id":16,"fd_type":"uretprobe","filename":"/a \\"b\\"",'
    '"offset":1099511627776},'
    '{"pid":8,"fd":7,"prog_id":17}]\n'
)


@pytest.mark.parametrize("line", ["perf", "pe", "perf show", "perf l and more"])
def test_plain(line: str) -> None:
    with Tape(TASK_FD_QUERY=query):
        ended = pybpftool(*line.split())
    assert (ended.out, ended.err, ended.status) == (PLAIN, "", 0)


def test_json() -> None:
    with Tape(TASK_FD_QUERY=query):
        ended = pybpftool("-j", "perf", "show")
    assert (ended.out, ended.err, ended.status) == (JSON, "", 0)


def test_nothing_found() -> None:
    with Tape(TASK_FD_QUERY=-524):
        assert pybpftool("perf").out == ""
        assert pybpftool("-j", "perf").out == "[]\n"


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (-errno.EPERM, "Operation not permitted"),
        (-errno.EINVAL, "Invalid argument"),
        (0, "Success"),
    ],
)
def test_a_kernel_that_does_not_answer(
    answer: Answer, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """ "hints": bpftool's own line HINT: is one of them."""
    monkeypatch.setattr(proc, "why_not_permitted", lambda needs: f"no {' '.join(needs)}")
    hint = "no CAP_SYS_ADMIN"
    if answer != -errno.EPERM:
        hint = "non root or kernel doesn't support TASK_FD_QUERY"
    with Tape(TASK_FD_QUERY=answer) as tape:
        ended = pybpftool("perf")
        told = pybpftool("-j", "perf")
    assert ended.err == f"Error: perf_query_support: {reason}\nHint: {hint}\n"
    assert (ended.out, ended.status) == ("", 255)
    assert told.out == f'{{"error":"perf_query_support: {reason}"}}\n'
    assert len(tape.calls) == 2


def test_without_a_root_directory(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: str, flags: int) -> int:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(os, "open", refuse)
    assert pybpftool("perf").err == "Error: perf_query_support: Permission denied\n"


def test_help() -> None:
    """ "perf-help-json": the help of JSON mode is null, as everywhere."""
    text = "Usage: pybpftool pe { show | list }\n       pybpftool pe help\n"
    assert pybpftool("pe", "help").err.startswith(text)
    assert pybpftool("-j", "perf", "help").out == "null\n"
    assert pybpftool("perf", "x").status == 255
