"""To what a program is attached by the name of its section."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import pytest

from pybpftool.errors import KernelError, PybpftoolError
from pybpftool.kernel.syscall import Fd
from pybpftool.loader import attach as module
from pybpftool.loader.attach import attach
from pybpftool.loader.kinds import kind_of, target_of
from pybpftool.loader.spec import ProgramSpec


class Event:
    """An open event, as far as a link wants it."""

    def __init__(self, what: tuple[Any, ...]) -> None:
        self.what = what

    def __enter__(self) -> Event:
        return self

    def __exit__(self, *error: object) -> None:
        pass


def program(section: str) -> ProgramSpec:
    made = ProgramSpec("one", section, 0, b"", hidden=False)
    made.section_name = section
    kind = kind_of(section)
    assert kind is not None
    made.kind, made.target = kind, target_of(section)
    made.prog_type, made.attach_type = kind.prog_type, kind.attach_type
    return made


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[Any]:
    """What is asked of the kernel, in words."""
    found: list[Any] = []
    top = tmp_path / "tracing"
    (top / "events/sched/sched_switch").mkdir(parents=True)
    (top / "events/sched/sched_switch/id").write_text("321\n")
    (top / "trace_clock").write_text("[local]\n")
    (top / "available_filter_functions").write_text("vfs_read\nvfs_write [fs]\nother\n")
    (tmp_path / "kallsyms").write_text(
        "10 T vfs_read\n20 t vfs_write\t[fs]\n30 d vfs_read\nshort\n"
    )

    def probe(unit: str, name: str, offset: int, *, retprobe: bool) -> Event:
        return Event((unit, name, offset, retprobe))

    def link_create(prog: object, target: Any, attach_type: int, **fields: Any) -> str:
        found.append((getattr(target, "what", target), attach_type, fields))
        return "link"

    def raw_tracepoint_open(prog: object, name: str | None = None) -> str:
        found.append(name)
        return "link"

    monkeypatch.setattr(module, "TRACEFS", (str(tmp_path / "no"), str(top)))
    monkeypatch.setattr(module, "KALLSYMS", str(tmp_path / "kallsyms"))
    monkeypatch.setattr(module, "probe", probe)
    monkeypatch.setattr(module, "counter", lambda *what: Event(what))
    monkeypatch.setattr(module, "syscall_symbol", lambda name: f"__our_{name}")
    monkeypatch.setattr("pybpftool.elf.functions.function_offset", lambda path, name: 0x100)
    monkeypatch.setattr("pybpftool.elf.functions.function_offsets", lambda path, fits: [1, 2])
    monkeypatch.setattr(module, "traceable", lambda btf, fits: [7] if fits("vfs_read") else [])
    monkeypatch.setattr("pybpftool.sources.kernel_btf", lambda: None)
    monkeypatch.setattr("pybpftool.sources.module_btfs", lambda kernel: [])
    monkeypatch.setattr(module.calls, "link_create", link_create)
    monkeypatch.setattr(module.calls, "raw_tracepoint_open", raw_tracepoint_open)
    return found


def words(*numbers: int) -> bytes:
    return struct.pack(f"={len(numbers)}Q", *numbers)


PERF = 41
TABLE = {
    "kprobe/vfs_read": (("kprobe", "vfs_read", 0, False), PERF, {}),
    "kprobe/vfs_read+0x10": (("kprobe", "vfs_read", 16, False), PERF, {}),
    "kretprobe/vfs_read": (("kprobe", "vfs_read", 0, True), PERF, {}),
    "ksyscall/read": (("kprobe", "__our_read", 0, False), PERF, {}),
    "kretsyscall/read": (("kprobe", "__our_read", 0, True), PERF, {}),
    "uprobe//x/y:main": (("uprobe", "/x/y", 0x100, False), PERF, {}),
    "uprobe.s//x/y:main+4": (("uprobe", "/x/y", 0x104, False), PERF, {}),
    "uretprobe//x/y:main": (("uprobe", "/x/y", 0x100, True), PERF, {}),
    "tp/sched/sched_switch": ((2, 321, 0), PERF, {}),
    "raw_tp/sched_switch": "sched_switch",
    "raw_tp.w/some": "some",
    "fentry/vfs_read": None,
    "lsm.s/file_open": None,
    "fexit.multi.s/vfs_*": (
        *(0, 60),
        {"tracing_multi": {"cnt": 1, "ids": struct.pack("=I", 7)}},
    ),
    "iter/task": (0, 28, {}),
    "kprobe.multi/vfs_read": (
        *(0, 42),
        {"kprobe_multi": {"flags": 0, "cnt": 1, "syms": ["vfs_read"]}},
    ),
    "kretprobe.multi/vfs_*": (
        *(0, 42),
        {"kprobe_multi": {"flags": 1, "cnt": 2, "addrs": words(0x10, 0x20)}},
    ),
    "kprobe.session/?fs_write": (
        *(0, 56),
        {"kprobe_multi": {"flags": 0, "cnt": 1, "addrs": words(0x20)}},
    ),
    "uretprobe.multi.s//x/y:m*": (
        *(0, 48),
        {"uprobe_multi": {"path": b"/x/y\0", "offsets": words(1, 2), "cnt": 2, "flags": 1}},
    ),
    "uprobe.session//x/y:m*": (
        *(0, 57),
        {"uprobe_multi": {"path": b"/x/y\0", "offsets": words(1, 2), "cnt": 2, "flags": 0}},
    ),
}


@pytest.mark.parametrize("section", TABLE)
def test_attached(section: str, made: list[Any]) -> None:
    link: Any = attach(Fd(-1), program(section))
    assert link == "link"
    assert made == [TABLE[section]]


@pytest.mark.parametrize(
    "section", ["kprobe", "uprobe.multi", "usdt", "tp", "xdp", "perf_event", "cgroup/dev"]
)
def test_no_target(section: str, made: list[Any]) -> None:
    assert attach(Fd(-1), program(section)) is None
    assert not made


def test_a_program_of_another_type_is_not_what_its_section_says(made: list[Any]) -> None:
    spec = program("kprobe/vfs_read")
    spec.prog_type += 1
    assert attach(Fd(-1), spec) is None


@pytest.mark.parametrize(
    ("section", "says"),
    [
        ("kretprobe/vfs_read+4", "a kretprobe has no offset: vfs_read"),
        ("kprobe.multi/no_*", r"tracefs lists no function like no_\*"),
        ("uprobe/main", "section uprobe/main is not uprobe/FILE:FUNCTION"),
        ("uprobe/no-such-program:main", "there is no no-such-program in /nowhere:/usr/bin"),
        ("uprobe/no-such.so:main", "there is no no-such.so in /nolibs:/usr/lib64"),
        ("tp/sched/nosuch", "there is no tracepoint sched/nosuch"),
        ("fentry.multi/no*", r"no function that can be traced is like no\*"),
        ("fentry.multi/nomod:x", "there is no module nomod with BTF"),
        ("usdt/x:y:z", "USDT probes are not attached"),
    ],
)
def test_no_such_target(
    section: str, says: str, made: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.setenv("LD_LIBRARY_PATH", "/nolibs")
    with pytest.raises(PybpftoolError, match=f"program 'one': cannot be attached: {says}"):
        attach(Fd(-1), program(section))


def test_refused(made: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*what: object, **how: object) -> None:
        raise KernelError(2, "kprobe vfs_read+0x0")

    monkeypatch.setattr(module, "probe", refuse)
    with pytest.raises(KernelError) as refused:
        attach(Fd(-1), program("kprobe/vfs_read"))
    assert refused.value.message == (
        "program 'one': cannot be attached: kprobe vfs_read+0x0: No such file or directory"
    )


def test_libraries_and_programs_are_looked_for(
    made: list[Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name, mode in (("x.so.1", 0o644), ("x", 0o755)):
        (tmp_path / name).touch()
        (tmp_path / name).chmod(mode)
    monkeypatch.setenv("PATH", f"/nowhere:{tmp_path}")
    monkeypatch.setenv("LD_LIBRARY_PATH", str(tmp_path))
    for name in ("x.so.1", "x"):
        attach(Fd(-1), program(f"uprobe/{name}:main"))
    assert [each[0][1] for each in made] == [f"{tmp_path}/x.so.1", f"{tmp_path}/x"]
