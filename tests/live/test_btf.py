"""``btf``: the types of this kernel, of its modules, of programs, maps and files, by both tools."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import pytest

from pybpftool.btf import types
from pybpftool.btf.ctext import CText
from pybpftool.btf.order import Definitions, sorted_ids
from pybpftool.btf.reader import read_btf
from pybpftool.btf.spec import Btf
from pybpftool.kernel import calls
from pybpftool.kernel.handles import btf_info, map_info, prog_info
from tests.btf.test_raw import every_kind
from tests.live.compare import FORMS, Both, difference, ours
from tests.live.normalisers import SPOKEN
from tests.live.zoo import KINDS, SCHED_CLS, TOKEN, made
from tests.support.live import RETURN_0
from tests.support.need import kernel_lacks, need
from tests.support.run import Ended

SYSFS = Path("/sys/kernel/btf")
VMLINUX = str(SYSFS / "vmlinux")


class Loaded(NamedTuple):
    """Ids of what the tests have loaded, and the path of the BTF as a file."""

    btf: int
    prog: int
    map: int
    path: str


@pytest.fixture
def loaded(both: Both, pins: str, tmp_path: Path) -> Iterator[Loaded]:
    """A BTF object, and a program and a map that use it."""
    from tests.support.btf_builder import BtfBuilder

    b = BtfBuilder()
    b.int("int", 4, signed=True)
    b.struct("value", 8, [("a", 1, 0), ("b", 1, 32)])
    b.func_proto(1)
    b.func("main", 3)
    blob = b.blob()
    path = tmp_path / "types.btf"
    path.write_bytes(blob)
    with ExitStack() as stack:
        btf = stack.enter_context(calls.btf_load(blob))
        func = (0).to_bytes(4, "little") + (4).to_bytes(4, "little")
        prog = stack.enter_context(
            calls.prog_load(
                SCHED_CLS,
                RETURN_0,
                name=f"{TOKEN}_prog",
                prog_btf_fd=btf.fileno(),
                func_info=func,
                func_info_cnt=1,
                func_info_rec_size=8,
            )
        )
        map = stack.enter_context(
            calls.map_create(
                1,
                4,
                8,
                1,
                f"{TOKEN}_map",
                btf_fd=btf.fileno(),
                btf_key_type_id=1,
                btf_value_type_id=2,
            )
        )
        yield Loaded(btf_info(btf).id, prog_info(prog).id, map_info(map).id, str(path))


LINES = """
btf show id {btf}
btf list id {btf}
btf dump id {btf}
btf dump id {btf} format raw
btf dump prog id {prog}
btf dump prog name {token}_prog
btf dump map id {map}
btf dump map id {map} key
btf dump map id {map} v
btf dump map id {map} kv format raw
btf dump map id {map} all
btf dump map name {token}_map a
btf dump file {path}
btf dump file {path} format raw
""".strip().splitlines()


@pytest.mark.parametrize("form", FORMS, ids=["plain", "compact", "pretty"])
@pytest.mark.parametrize("line", LINES)
def test_same_rows(line: str, form: tuple[str, ...], loaded: Loaded, both: Both) -> None:
    words = [*form, *line.format(**loaded._asdict(), token=TOKEN).split()]
    mine, theirs = ours(*words), both.reference(*words)
    for ended in (mine, theirs):  # this process holds it all; an iterator of theirs may see it too
        ended.out = re.sub(r"\n\tpids .*|(,\s*)\"pids\": ?\[[^]]*\]", "", ended.out)
    problem = difference(words, mine, theirs, both.reference)
    assert not problem, problem


ERRORS = """
btf nonsense
btf show id
btf show id 1 2
btf show foo 1
btf show id x
btf show id 4294967294
btf dump
btf dump id
btf dump file
btf dump map id
btf dump prog name
btf dump foo x
btf dump id x
btf dump map id 4294967294
btf dump prog id 4294967294
btf dump prog foo 1
btf dump file {path} blah
btf dump file {path} format C
btf dump file /nonexistent
-j btf dump file {path} format c
-j btf dump file {path} blah
""".strip().splitlines()


@pytest.mark.parametrize("line", ERRORS)
def test_same_errors(line: str, loaded: Loaded, both: Both) -> None:
    problem = both.differ(*line.format(path=loaded.path).split())
    assert not problem, problem


def test_the_list(loaded: Loaded, both: Both) -> None:
    """Objects of others may come and go; this one is in both lists, with its users."""
    found = []
    for tool in (ours, both.reference):
        [record] = [each for each in tool("-j", "btf").json if each["id"] == loaded.btf]
        record.pop("pids", None)
        record["prog_ids"].sort()
        record["map_ids"].sort()
        found.append(list(record.items()))
    assert found[0] == found[1]
    assert dict(found[0])["prog_ids"] == [loaded.prog]
    assert dict(found[0])["map_ids"] == [loaded.map]


@pytest.mark.parametrize("order", ["little", "big"])
@pytest.mark.parametrize("form", FORMS, ids=["plain", "compact", "pretty"])
def test_every_kind(form: tuple[str, ...], order: str, both: Both, tmp_path: Path) -> None:
    """From a file, where nobody has checked it, and of either byte order."""
    path = tmp_path / "every"
    b = every_kind(order)
    del b.types[25:]  # what follows is larger than an int: see "enums-in-json"
    path.write_bytes(b.blob())
    problem = both.differ(*form, "btf", "dump", "file", str(path))
    assert not problem, problem


# ------------------------------------------------------------------ the kernel's own


def _modules() -> list[str]:
    return sorted(path.name for path in SYSFS.iterdir() if path.name != "vmlinux")


def unsigned(text: str) -> str:
    """A JSON dump without what "enums-in-json" in ``differences`` is about."""
    return re.sub(
        r'"val":( ?)(18446744[0-9]{12})', lambda m: f'"val":{m[1]}{int(m[2]) & 0xFFFFFFFF}', text
    )


@pytest.mark.parametrize("form", FORMS, ids=["plain", "compact", "pretty"])
def test_vmlinux(form: tuple[str, ...], both: Both) -> None:
    need(os.path.exists(VMLINUX), "the kernel shows no BTF")
    if form == ("-p",) and not _fast():
        pytest.skip("an emulated machine takes too long for it; compact and plain were compared")
    line = [*form, "btf", "dump", "file", VMLINUX]
    mine, theirs = ours(*line), both.reference(*line)
    assert not mine.status
    assert unsigned(mine.out) == unsigned(theirs.out)


@pytest.mark.parametrize("number", range(3))
def test_modules(number: int, both: Both) -> None:
    """Split BTF, whose base both find by themselves."""
    names = _modules()
    if number >= len(names):
        kernel_lacks(f"{number + 1} modules with BTF", names)
    path = str(SYSFS / names[number])
    for form in FORMS:
        mine, theirs = (tool(*form, "btf", "dump", "file", path) for tool in (ours, both.reference))
        assert mine.out == theirs.out
        assert mine.out


def c_of(both: Both, path: str, *words: str) -> Ended:
    """The reference's header with types by id, whose default that once was."""
    by_id = ["unsorted"] if both.reference.version >= SPOKEN else []
    return both.reference("btf", "dump", "file", path, "format", "c", *by_id, *words)


def body(text: str, version: tuple[int, ...]) -> str:
    """A header without what references before 7.8 do not write."""
    if version < SPOKEN:
        text = re.sub(r"#ifndef __ksym\n(.*\n)*?#endif\n#endif\n\n", "", text)
        text = re.sub(r"\n/\* BPF kfuncs \*/\n(.*\n)*?#endif\n\n", "", text)
        text = text.replace(" __attribute__((mode(byte)))", "")
    return text


def test_header_of_vmlinux(both: Both) -> None:
    need(os.path.exists(VMLINUX), "the kernel shows no BTF")
    mine = ours("btf", "dump", "file", VMLINUX, "format", "c", "unsorted")
    theirs = c_of(both, VMLINUX)
    assert not mine.status
    version = both.reference.version
    assert body(mine.out, version) == body(theirs.out, version)


def test_headers_of_small_types(both: Both, loaded: Loaded, tmp_path: Path) -> None:
    version = both.reference.version
    mine = ours("btf", "dump", "file", loaded.path, "format", "c", "unsorted")
    assert body(mine.out, version) == body(c_of(both, loaded.path).out, version)


# ------------------------------------------------------------------ what a compiler makes of it


def _fast() -> bool:
    """Whether this is a machine of its own rather than an emulated one, which has no compiler."""
    return shutil.which("clang") is not None


@pytest.fixture(scope="module")
def vmlinux() -> Btf:
    need(os.path.exists(VMLINUX), "the kernel shows no BTF")
    return read_btf(Path(VMLINUX).read_bytes(), name="vmlinux")


def _need_compiler() -> None:
    if not _fast():
        pytest.skip("no clang here; where a kernel is emulated, none is taken along")


def clang(source: str, directory: Path, *flags: str, target: Sequence[str] = ("bpf",)) -> None:
    path = directory / "source.c"
    path.write_text(source)
    done = subprocess.run(
        [
            "clang",
            *(word for name in target for word in ("-target", name)),
            "-O2",
            "-g",
            "-Wall",
            "-Wno-unused",
            "-Werror",
            "-Wno-missing-declarations",
            *flags,
            "-c",
            "-o",
            str(directory / "object.o"),
            str(path),
        ],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[:4000]


def definitions(btf: Btf, order: Iterable[int]) -> Iterator[tuple[str, int, str]]:
    """Each definition of a header, its type, and the tag that the type goes by in it."""
    text = CText(btf)
    for id, whole in Definitions(btf).of(order):
        kind = types.KIND_NAMES[btf.kinds[id]].lower()
        yield text.top(id, whole), id if whole else 0, f"{kind} {text.name(id)}"


def assertions(type: types.Composite, tag: str) -> Iterator[str]:
    """What BTF says of a struct or union, in C."""
    yield f'_Static_assert(sizeof({tag}) == {type.size}, "{tag}");\n'
    for member in type.members:
        if member.name and not member.bitfield_size:
            offset = f"__builtin_offsetof({tag}, {member.name})"
            said = member.bits_offset // 8
            yield f'_Static_assert({offset} == {said}, "{tag}.{member.name}");\n'


@pytest.mark.parametrize("how", ["sorted", "unsorted"])
def test_sizes_and_offsets_are_those_of_the_kernel(how: str, vmlinux: Btf, tmp_path: Path) -> None:
    """A compiler lays out every struct of the header as the kernel's own did."""
    _need_compiler()
    order = sorted_ids(vmlinux) if how == "sorted" else range(1, vmlinux.type_count)
    text = ""
    checks: list[str] = []
    structs = 0
    for definition, id, tag in definitions(vmlinux, order):
        text += f"{definition};\n"
        type = vmlinux.type(id)
        if isinstance(type, types.Composite):
            structs += 1
            checks += assertions(type, tag)
    named = [
        id
        for id, kind in enumerate(vmlinux.kinds)
        if kind in (types.STRUCT, types.UNION) and vmlinux.named(id)
    ]
    assert structs == len(named)
    # for this machine: what a va_list is depends on it
    clang(text + "".join(checks), tmp_path, target=())


CO_RE = """
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_tracing.h>

char LICENSE[] SEC("license") = "GPL";

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16);
	__type(key, u32);
	__type(value, struct task_struct *);
} tasks SEC(".maps");

SEC("tp_btf/sched_switch")
int BPF_PROG(on_switch, bool preempt, struct task_struct *prev, struct task_struct *next)
{
	u32 pid = BPF_CORE_READ(next, real_parent, tgid);

	if (bpf_core_field_exists(next->cgroups))
		bpf_map_update_elem(&tasks, &pid, &next, BPF_ANY);
	return 0;
}
"""


def test_co_re_programs_compile_with_it(vmlinux: Btf, tmp_path: Path) -> None:
    _need_compiler()
    header_file = tmp_path / "vmlinux.h"
    assert not ours("-o", str(header_file), "btf", "dump", "file", VMLINUX, "format", "c").status
    clang(CO_RE, tmp_path, f"-I{tmp_path}", "-D__TARGET_ARCH_x86")
    again = read_btf(_section(tmp_path / "object.o"))
    assert again.find("task_struct", types.STRUCT)


def _section(path: Path) -> bytes:
    from pybpftool.elf.sections import section

    found = section(str(path), ".BTF")
    assert found
    return found


OBJECTS = sorted(Path("/usr/lib").glob("*-linux-gnu/bpf/*.o"))


@pytest.mark.parametrize("path", OBJECTS, ids=lambda path: path.name)
def test_objects_of_packages(path: Path, both: Both) -> None:
    """BPF objects as distributions ship them."""
    for form in FORMS:
        line = [*form, "btf", "dump", "file", str(path)]
        assert ours(*line).out == both.reference(*line).out
    version = both.reference.version
    mine = ours("btf", "dump", "file", str(path), "format", "c", "unsorted")
    assert body(mine.out, version) == body(c_of(both, str(path)).out, version)


def test_map_types(both: Both, pins: str) -> None:
    """A map of the zoo, by the name of its value's type."""
    with made(KINDS["t_int"], pins) as map:
        problem = both.differ("btf", "dump", "map", "id", str(map.id))
        assert not problem, problem
