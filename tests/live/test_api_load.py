"""``pybpftool.load``: objects in the kernel as long as the block lasts."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

import pybpftool
from pybpftool import BadData, KernelError, PybpftoolError
from pybpftool.kernel.handles import Link, link_info
from tests.live.compare import ours
from tests.live.zoo import TOKEN
from tests.support.clang import compiled

pytestmark = [
    pytest.mark.native,  # the emulated machines have no compiler
    pytest.mark.usefixtures("bpf"),
]

NAME = f"api_{TOKEN}"
TEXT = f"""
struct pair {{ int a; unsigned char b; }};
struct {{ __uint(type, BPF_MAP_TYPE_HASH); __uint(max_entries, 8);
         __type(key, int); __type(value, struct pair); }} {NAME} SEC(".maps");
int total = 3; const volatile int limit = 9; long other SEC(".data.other") = 7;
SEC("xdp") int one(struct xdp_md *ctx) {{
    int key = 5; struct pair value = {{ total, limit }};
    bpf_map_update_elem(&{NAME}, &key, &value, 0);
    total += other;
    return 2;
}}
SEC("syscall") int change(struct pair *ctx) {{ ctx->a += 2; ctx->b = 1; return 7; }}
SEC("raw_tp/sched_switch") int attached(void *ctx) {{ total++; return 0; }}
SEC("?socket") int unwanted(void *ctx) {{ return 1; }}
"""


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> str:
    return compiled(tmp_path_factory.mktemp("objects"), "whole", TEXT)


def test_maps_and_programs_by_name(path: str) -> None:
    with pybpftool.load(path) as obj:
        assert list(obj.maps) == [NAME, ".data", ".rodata", ".data.other"]
        assert list(obj.programs) == ["one", "change", "attached"]
        assert repr(obj) == f"<{path}: one, change, attached>"
        one = obj.programs["one"]
        assert (one.name, one.section, one.info.type_name) == ("one", "xdp", "xdp")
        assert repr(one) == f"<xdp program {one.info.id} 'one'>"
        assert set(one.info.map_ids) >= {each.info.id for each in obj.maps.values()}
        ended = one.run(bytes(range(14, 64)))
        assert (ended.retval, ended.data) == (2, bytes(range(14, 64)))
        assert dict(obj.maps[NAME]) == {5: {"a": 3, "b": 9}}
        assert obj.maps[".data"][0] == {"total": 10}
        obj.maps[NAME][6] = {"b": 1}
        assert obj.maps[NAME][6] == {"a": 0, "b": 1}
        assert obj.programs["change"].run(context=bytes(8))[:3] == (7, b"", b"\2\0\0\0\1\0\0\0")
    obj.close()


def test_all_is_closed_at_the_end(path: str) -> None:
    with pybpftool.load(path) as obj:
        numbers = [each.fileno() for each in (*obj.maps.values(), *obj.programs.values())]
        link = obj.programs["attached"].attach()
        assert min(*numbers, link.fileno()) >= 0
    for each in (*obj.maps.values(), *obj.programs.values(), link):
        with pytest.raises(ValueError, match="is closed"):
            each.fileno()


def attached() -> list[int]:
    return [link_info(each.fd).prog_id for each in Link.listed()]


def test_attached_as_long_as_the_link_is_open(path: str) -> None:
    with pybpftool.load(path) as obj:
        id = obj.programs["attached"].info.id
        assert id not in attached()
        with obj.programs["attached"].attach() as link:
            assert id in attached()
        assert id not in attached()
        link.close()
        with pytest.raises(PybpftoolError) as caught:
            obj.programs["one"].attach()
        assert caught.value.message == ("program 'one': section xdp does not say what to attach to")


def test_pins_outlive_the_block(path: str, pins: str) -> None:
    with pybpftool.load(path) as obj:
        obj.programs["one"].pin(f"{pins}/one")
        obj.programs["attached"].attach().pin(f"{pins}/link")
        id = obj.programs["one"].info.id
    assert ours("-j", "prog", "show", "pinned", f"{pins}/one").json["id"] == id
    with Link.pinned(f"{pins}/link") as link:
        assert link_info(link.fd).type == 1  # a raw tracepoint
    os.unlink(f"{pins}/one")
    os.unlink(f"{pins}/link")


def test_an_open_map_in_the_place_of_one(path: str) -> None:
    with pybpftool.load(path) as first:
        reuse = {name: first.maps[name] for name in (NAME, ".data")}
        with pybpftool.load(path, reuse=reuse) as second:
            assert second.maps[NAME] is first.maps[NAME]
            assert second.maps[".rodata"].info.id != first.maps[".rodata"].info.id
            second.programs["one"].run(bytes(60))
        assert dict(first.maps[NAME]) == {5: {"a": 3, "b": 9}}
        assert first.maps[".data"][0] == {"total": 10}
        for name, says in (
            ("nowhere", "there is no map 'nowhere' to be replaced"),
            (".rodata", "map 'whole.rodata' cannot be reused: type 1 is not 2"),
        ):
            with pytest.raises(PybpftoolError, match=says):
                pybpftool.load(path, reuse={name: first.maps[NAME]})


VALUES = """
struct { __uint(type, BPF_MAP_TYPE_ARRAY); __uint(max_entries, 1);
         __type(key, int); __type(value, int); } NAME SEC(".maps");
"""


@pytest.mark.parametrize(
    ("text", "error", "says"),
    [
        ('SEC("other") int one(void *ctx) { return 0; }', BadData, "section other says no type"),
        (
            'SEC("xdp") int one(struct xdp_md *ctx) { return *(int *)(long)ctx->data; }',
            PybpftoolError,
            r"program 'one': .*wrong.c:",
        ),
        ('SEC("fentry/no_such") int one(void *ctx) { return 0; }', PybpftoolError, "no_such"),
    ],
)
def test_nothing_stays_of_what_fails(
    text: str, error: type[Exception], says: str, tmp_path: Path
) -> None:
    name = f"not_{TOKEN}"
    made = compiled(tmp_path, "wrong", VALUES.replace("NAME", name) + text)
    with pytest.raises(error, match=f"(?s){says}"):
        pybpftool.load(made)
    assert name not in {each.name for each in pybpftool.maps()}


def test_files_that_are_none(tmp_path: Path) -> None:
    file = tmp_path / "none.o"
    with pytest.raises(KernelError, match="No such file"):
        pybpftool.load(str(file))
    file.write_bytes(b"\x7fELF")
    with pytest.raises(BadData, match="^" + str(file)):
        pybpftool.load(str(file))


def test_types_from_a_file(tmp_path: Path, path: str) -> None:
    with pytest.raises(PybpftoolError, match="no_such_file"):
        pybpftool.load(
            compiled(
                tmp_path,
                "core",
                """
                struct task_struct { int pid; } __attribute__((preserve_access_index));
                SEC("raw_tp/sched_switch") int one(unsigned long *ctx) {
                    struct task_struct *task = (void *)ctx[1]; int pid;
                    bpf_probe_read_kernel(&pid, 4, &task->pid);
                    return pid;
                }
                """,
            ),
            kernel_btf=str(tmp_path / "no_such_file"),
        )
