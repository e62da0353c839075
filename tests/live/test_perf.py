"""``perf`` by both tools, while a process holds programs that events run."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from pybpftool.errors import KernelError
from pybpftool.kernel import calls
from pybpftool.kernel._abi import ffi
from pybpftool.kernel.perf import perf_event_open
from pybpftool.kernel.syscall import Fd
from pybpftool.kernel.words import ATTACH_TYPES, PROG_TYPES
from tests.live.compare import FORMS, Both, ours
from tests.live.zoo import full_name
from tests.support.live import RETURN_0
from tests.support.need import kernel_lacks, need

PERF_EVENT_IOC_SET_BPF = 0x40042408
PERF_TYPE_TRACEPOINT = 2
SOURCES = Path("/sys/bus/event_source/devices")


def program(kind: str) -> Fd:
    return calls.prog_load(PROG_TYPES.index(kind), RETURN_0, name=full_name("perf"))


def event(type: int, config: int, **fields: Any) -> Fd:
    attr = ffi.new("struct perf_event_attr *", {"type": type, "config": config, **fields})
    return perf_event_open(attr, -1, 0)


@pytest.fixture
def tracefs(tmp_path: Path) -> Iterator[Path]:
    """Where this kernel's tracepoints have their numbers."""
    place = Path("/sys/kernel/tracing")
    if (place / "events").exists():
        yield place
        return
    mount = ["mount", "-t", "tracefs", "tracefs", str(tmp_path)]
    mounted = subprocess.run(mount, stderr=subprocess.PIPE)
    need(mounted.returncode == 0, f"can't mount tracefs: {mounted.stderr!r}")
    yield tmp_path
    subprocess.run(["umount", str(tmp_path)], check=True)


def on_tracepoint(stack: ExitStack, tracefs: Path) -> dict[str, Any]:
    path = tracefs / "events/sched/sched_switch/id"
    if not path.exists():
        kernel_lacks("the tracepoint sched_switch", path)
    number = int(path.read_text())
    opened = stack.enter_context(event(PERF_TYPE_TRACEPOINT, number))
    attached = stack.enter_context(program("tracepoint"))
    fcntl.ioctl(opened.fileno(), PERF_EVENT_IOC_SET_BPF, attached.fileno())
    return {
        "fd": opened.fileno(),
        "prog_id": calls.obj_id(attached),
        "fd_type": "tracepoint",
        "tracepoint": "sched_switch",
    }


def by_link(stack: ExitStack, tracefs: Path) -> dict[str, Any]:
    """The event of the link is asked for, not the link: it is a descriptor of its own."""
    path = tracefs / "events/sched/sched_switch/id"
    if not path.exists():
        kernel_lacks("the tracepoint sched_switch", path)
    opened = stack.enter_context(event(PERF_TYPE_TRACEPOINT, int(path.read_text())))
    attached = stack.enter_context(program("tracepoint"))
    try:
        link = calls.link_create(attached, opened, ATTACH_TYPES.index("perf_event"))
    except KernelError as error:
        kernel_lacks("links of perf events", error)
    stack.enter_context(link)
    return {
        "fd": opened.fileno(),
        "prog_id": calls.obj_id(attached),
        "fd_type": "tracepoint",
        "tracepoint": "sched_switch",
    }


def on_raw_tracepoint(stack: ExitStack, tracefs: Path) -> dict[str, Any]:
    attached = stack.enter_context(program("raw_tracepoint"))
    link = stack.enter_context(calls.raw_tracepoint_open(attached, "sys_enter"))
    return {
        "fd": link.fileno(),
        "prog_id": calls.obj_id(attached),
        "fd_type": "raw_tracepoint",
        "tracepoint": "sys_enter",
    }


def probe_event(
    stack: ExitStack, kind: str, returns: bool, fields: dict[str, Any]
) -> dict[str, Any]:
    source = SOURCES / kind / "type"
    if not source.exists():
        kernel_lacks(kind, source)
    try:
        opened = stack.enter_context(event(int(source.read_text()), int(returns), **fields))
        attached = stack.enter_context(program("kprobe"))
        fcntl.ioctl(opened.fileno(), PERF_EVENT_IOC_SET_BPF, attached.fileno())
    except (KernelError, OSError) as error:
        kernel_lacks(f"events of {kind}", error)
    return {
        "fd": opened.fileno(),
        "prog_id": calls.obj_id(attached),
        "fd_type": f"{kind[0]}ret{kind[1:]}" if returns else kind,
    }


def on_uprobe(stack: ExitStack, tracefs: Path, returns: bool = False) -> dict[str, Any]:
    path = os.path.realpath(sys.executable)
    room = ffi.new("char[]", os.fsencode(path))
    at = int(ffi.cast("uintptr_t", room))
    found = probe_event(stack, "uprobe", returns, {"uprobe_path": at, "probe_offset": 4096})
    return {**found, "filename": path, "offset": 4096}


def on_uretprobe(stack: ExitStack, tracefs: Path) -> dict[str, Any]:
    return on_uprobe(stack, tracefs, returns=True)


def on_kprobe(stack: ExitStack, tracefs: Path, returns: bool = False) -> dict[str, Any]:
    room = ffi.new("char[]", b"do_nanosleep")
    at = int(ffi.cast("uintptr_t", room))
    found = probe_event(stack, "kprobe", returns, {"kprobe_func": at, "probe_offset": 0})
    return {**found, "func": "do_nanosleep", "offset": 0}


def on_kretprobe(stack: ExitStack, tracefs: Path) -> dict[str, Any]:
    return on_kprobe(stack, tracefs, returns=True)


@pytest.mark.parametrize(
    "hold",
    [
        on_tracepoint,
        by_link,
        on_raw_tracepoint,
        on_uprobe,
        on_uretprobe,
        on_kprobe,
        on_kretprobe,
    ],
)
def test_same_while_held(hold: Any, both: Both, tracefs: Path) -> None:
    with ExitStack() as stack:
        expected = hold(stack, tracefs)
        both.check([*form, "perf", "show"] for form in FORMS)
        found = [each for each in ours("-j", "perf").json if each["pid"] == os.getpid()]
        assert {"pid": os.getpid(), **expected} in found


@pytest.mark.parametrize(
    "line", ["perf", "perf list", "pe s and more", "perf help", "perf nonsense", "-j perf list"]
)
def test_same(line: str, both: Both) -> None:
    both.check([line.split()])


def test_perf_help_json(both: Both) -> None:
    """The help of JSON mode is null; bpftool writes an empty document and the help beside it."""
    assert ours("-j", "perf", "help").out == "null\n"
    assert both.reference("-j", "perf", "help").out == "\n"
