"""Walking, opening and asking: on the running kernel, and the words of refusals on a played one."""

from __future__ import annotations

import errno
import os
import struct
from collections.abc import Iterator
from typing import Any

import pytest

from pybpftool.errors import KernelError, PybpftoolError
from pybpftool.kernel import bpffs, calls
from pybpftool.kernel._abi import ffi
from pybpftool.kernel.handles import Btf, Handle, Link, Map, Prog
from tests.support.live import BPFFS, RETURN_0, insn, needs_kernel
from tests.support.tape import Kernel, Tape, gives, memory, new_fd

# ------------------------------------------------------------------ live


@pytest.fixture
def live_map() -> Iterator[Map]:
    with Map(calls.map_create(1, 4, 8, 16, "pybt_live", 1)) as opened:
        yield opened


@needs_kernel
def test_a_map_tells_what_it_was_made_with(live_map: Map) -> None:
    info = live_map.info
    assert (info.type, info.name, info.key_size, info.value_size) == (1, "pybt_live", 4, 8)
    assert (info.max_entries, info.map_flags, info.btf_id, info.ifindex) == (16, 1, 0, 0)
    assert live_map.info is info


@needs_kernel
def test_a_map_is_found_by_id_and_name_and_in_the_list(live_map: Map) -> None:
    with Map.by_id(live_map.info.id) as again:
        assert again.info.__dict__ == live_map.info.__dict__
    named = Map.named("pybt_live", calls.BPF_F_RDONLY)
    assert [each.info.id for each in named] == [live_map.info.id]
    assert Map.named("pybt_liv") == []
    listed = [each.info.id for each in Map.listed(calls.BPF_F_RDONLY)]
    assert live_map.info.id in listed
    assert listed == sorted(listed)


@needs_kernel
def test_matching_opens_with_the_rights_asked_for(live_map: Map) -> None:
    key = bytes(4)
    with Map.named("pybt_live")[0] as writing:
        calls.map_update(writing, key, bytes(8))
    with Map.named("pybt_live", calls.BPF_F_RDONLY)[0] as reading:
        with pytest.raises(KernelError) as caught:
            calls.map_update(reading, key, bytes(8))
        assert caught.value.errno == errno.EPERM


@needs_kernel
def test_each_answer_starts_from_nothing(live_map: Map) -> None:
    """What one map reports must not show in the next (spec, appendix B 1)."""
    types = struct.pack("=IIII", 1, 1 << 24, 4, 32)
    header = struct.pack("=HBBIIIII", 0xEB9F, 1, 0, 24, 0, len(types), len(types), 5)
    with (
        calls.btf_load(header + types + b"\0int\0") as btf,
        calls.map_create(
            2, 4, 4, 1, "typed", btf_fd=btf.fileno(), btf_key_type_id=1, btf_value_type_id=1
        ) as typed,
        calls.map_create(2, 4, 4, 1, "untyped") as untyped,
    ):
        ids = {each.info.name: each.info.btf_id for each in Map.listed()}
        assert ids["typed"] > 0
        assert ids["untyped"] == 0
        assert Map(typed).info.btf_value_type_id == 1
        with Btf.by_id(ids["typed"]) as opened:
            assert opened.blob() == header + types + b"\0int\0"
            assert (opened.info.name, opened.info.kernel_btf) == ("", 0)
            assert opened.info.btf_size == len(opened.blob())
        del untyped


@needs_kernel
def test_a_program_tells_its_code_and_maps(live_map: Map) -> None:
    code = insn(0x18, 1, 1, imm=live_map.fileno()) + insn(0) + RETURN_0
    with Prog(calls.prog_load(1, code, "GPL", name="pybt_prog")) as prog:
        info = prog.info
        assert (info.type, info.name, info.gpl_compatible, info.nr_map_ids) == (
            1,
            "pybt_prog",
            1,
            1,
        )
        assert (info.xlated_prog_len, len(info.tag), info.orphaned) == (32, 8, False)
        assert info.map_ids == [live_map.info.id]
        arrays = prog.arrays("xlated_prog_insns", "map_ids", "func_info", "prog_tags")
        assert arrays["xlated_prog_insns"][16:] == RETURN_0
        assert arrays["func_info"] == b""
        assert arrays["prog_tags"] == info.tag
        assert [each.info.id for each in Prog.tagged(info.tag)] == [info.id]
        assert [each.info.id for each in Prog.named("pybt_prog")] == [info.id]
        assert Prog.named("pybt_prog", lambda each: "another") == []


@needs_kernel
def test_a_link_tells_what_it_is_on() -> None:
    with (
        calls.prog_load(17, RETURN_0, name="tp") as prog,
        Link(calls.raw_tracepoint_open(prog, "sched_switch")) as link,
    ):
        assert (link.info.type, link.info.prog_id) == (1, calls.obj_id(prog))
        assert link.info.fields["tp_name"] == "sched_switch"
        with Link.by_id(link.info.id) as again:
            assert again.info.__dict__ == link.info.__dict__
        assert link.info.id in list(Link.ids())


@needs_kernel
def test_the_kernels_own_btf_has_a_name() -> None:
    if not os.path.exists("/sys/kernel/btf/vmlinux"):
        pytest.skip("this kernel carries no BTF")
    with Btf.by_id(1) as btf:
        assert (btf.info.name, btf.info.kernel_btf) == ("vmlinux", 1)
        assert btf.info.btf_size == os.path.getsize("/sys/kernel/btf/vmlinux")


@needs_kernel
def test_pins_open_as_what_they_are(live_map: Map) -> None:
    if not bpffs.is_bpffs(BPFFS):
        pytest.skip("no BPF file system is mounted")
    path = f"{BPFFS}/pybpftool_test_{os.getpid()}"
    bpffs.pin(live_map, path)
    try:
        with Map.pinned(path, calls.BPF_F_RDONLY) as again:
            assert again.info.id == live_map.info.id
        with pytest.raises(PybpftoolError) as caught:
            Prog.pinned(path)
        assert caught.value.message == "incorrect object type: map"
        assert Map.pins()[live_map.info.id] == [path]
        assert live_map.info.id not in Prog.pins()
    finally:
        os.unlink(path)
    with pytest.raises(KernelError) as refused:
        Map.pinned(path)
    assert refused.value.message == f"bpf obj get ({path}): No such file or directory"
    with pytest.raises(KernelError) as refused:
        Map.pinned("/etc/passwd")
    assert refused.value.message == "bpf obj get (/etc): directory not in bpf file system (bpffs)"


# ------------------------------------------------------------------ refusals, played


@pytest.mark.parametrize(
    ("kind", "sentence"),
    [
        (Map, "get map by id (7): No such file or directory"),
        (Prog, "get by id (7): No such file or directory"),
        (Link, "failed to get link with ID 7: No such file or directory"),
        (Btf, "can't get BTF object by id (7): No such file or directory"),
    ],
)
def test_an_id_that_is_not_there(kind: type[Handle], sentence: str) -> None:
    rule = {kind._open.removeprefix("BPF_"): -errno.ENOENT}
    with Tape(**rule), pytest.raises(KernelError) as caught:
        kind.by_id(7)
    assert caught.value.message == sentence


@pytest.mark.parametrize(
    ("kind", "what"),
    [
        (Map, "can't get next map"),
        (Prog, "can't get next program"),
        (Link, "can't get next link"),
        (Btf, "can't get next BTF object"),
    ],
)
def test_a_walk_that_fails(kind: type[Handle], what: str) -> None:
    rule = kind._walk.removeprefix("BPF_")
    with Tape(**{rule: -errno.EINVAL}), pytest.raises(KernelError) as caught:
        list(kind.listed())
    assert caught.value.message == f"{what}: Invalid argument -- kernel too old?"
    with Tape(**{rule: -errno.EBADF}), pytest.raises(KernelError) as caught:
        list(kind.ids())
    assert caught.value.message == f"{what}: Bad file descriptor"
    with Tape(**{rule: -errno.EBADF}), pytest.raises(PybpftoolError) as told:
        kind.matching(lambda each: True)
    assert told.value.message == "Bad file descriptor"


def test_what_vanishes_is_skipped_in_a_list_and_told_in_a_search() -> None:
    with Kernel(MAP_GET_FD_BY_ID=-errno.ENOENT) as kernel:
        kernel.add_map(3, type=1, key_size=4, value_size=4)
        assert list(Map.listed()) == []
        with pytest.raises(KernelError) as caught:
            Map.named("x")
    assert caught.value.message == "can't get map by id (3): No such file or directory"


def test_a_list_that_is_refused() -> None:
    with Kernel(MAP_GET_FD_BY_ID=-errno.EBADF) as kernel:
        kernel.add_map(3, type=1, key_size=4, value_size=4)
        with pytest.raises(KernelError) as caught:
            list(Map.listed())
    assert caught.value.message == "can't get map by id (3): Bad file descriptor"


@pytest.mark.parametrize(
    ("kind", "sentence"),
    [
        (Map, "can't get map info: Bad file descriptor"),
        (Prog, "can't get prog info: Bad file descriptor"),
        (Link, "can't get link info: Bad file descriptor"),
        (Btf, "can't get BTF object info: Bad file descriptor"),
    ],
)
def test_information_that_is_refused(kind: Any, sentence: str) -> None:
    rules: dict[str, Any] = {
        kind._open.removeprefix("BPF_"): lambda arm: new_fd(),
        "OBJ_GET_INFO_BY_FD": -errno.EBADF,
    }
    with Tape(**rules), kind.by_id(1) as opened, pytest.raises(KernelError) as caught:
        _ = opened.info
    assert caught.value.message == sentence


def played(kind: str, tell: Any) -> Tape:
    """A kernel that opens any id of a kind and answers about it with ``tell``."""
    rules: dict[str, Any] = {f"{kind}_GET_FD_BY_ID": lambda arm: new_fd()}
    return Tape(OBJ_GET_INFO_BY_FD=tell, **rules)


def test_maps_of_a_played_kernel_by_name() -> None:
    with Kernel() as kernel:
        kernel.add_map(3, type=1, key_size=4, value_size=4, name="twin")
        kernel.add_map(5, type=2, key_size=4, value_size=8)
        kernel.add_map(9, type=1, key_size=4, value_size=4, name="twin")
        assert [each.info.id for each in Map.named("twin")] == [3, 9]
        assert [each.info.value_size for each in Map.named("")] == [8]
        assert list(Map.ids()) == [3, 5, 9]


def test_an_orphaned_program_is_known_as_such() -> None:
    with played("PROG", -errno.ENODEV), Prog.by_id(4) as prog:
        assert prog.info.orphaned
        assert (prog.info.id, prog.info.tag, prog.info.name) == (0, bytes(8), "")


def test_arrays_that_the_kernel_keeps_to_itself_are_empty() -> None:
    """It tells the lengths, then clears the pointers (kptr_restrict)."""

    def tell(arm: Any) -> int:
        raw = ffi.cast("struct bpf_prog_info *", arm.info)
        raw.jited_prog_len, raw.jited_prog_insns = 100, 0
        raw.nr_map_ids = 1  # of the two there were
        if raw.map_ids:
            memory(raw.map_ids, 4)[:] = struct.pack("=I", 42)
        else:
            raw.nr_map_ids = 2
        return 0

    with played("PROG", tell), Prog.by_id(1) as prog:
        arrays = prog.arrays("jited_prog_insns", "map_ids")
    assert arrays == {"jited_prog_insns": b"", "map_ids": struct.pack("=I", 42)}


def test_an_old_kernel_is_not_asked_for_the_name_of_btf() -> None:
    """Before Linux 5.11 the fields of the name made it say E2BIG."""

    def tell(arm: Any) -> int:
        raw = ffi.cast("struct bpf_btf_info *", arm.info)
        if raw.name or raw.name_len:
            return -errno.E2BIG
        raw.btf_size, raw.id, arm.info_len = 99, 5, 16
        return 0

    with played("BTF", tell), Btf.by_id(5) as btf:
        assert btf.info.__dict__ == {"btf_size": 99, "id": 5, "kernel_btf": 0, "name": ""}


def link_answer(fill: Any) -> Any:
    def tell(arm: Any) -> int:
        raw = ffi.cast("struct bpf_link_info *", arm.info)
        raw.id, raw.prog_id = 3, 4
        fill(raw)
        return 0

    return tell


def text_at(address: int, text: bytes) -> None:
    if address:
        memory(address, len(text) + 1)[:] = text + b"\0"


def fields_of(fill: Any) -> dict[str, Any]:
    with played("LINK", link_answer(fill)), Link.by_id(3) as link:
        assert (link.info.id, link.info.prog_id) == (3, 4)
        return link.info.fields


def test_links_on_cgroups() -> None:
    def fill(raw: Any) -> None:
        raw.type = 3
        raw.cgroup.cgroup_id, raw.cgroup.attach_type = 1 << 40, 6

    assert fields_of(fill) == {"cgroup_id": 1 << 40, "attach_type": 6}


def test_links_of_iterators() -> None:
    def fill(raw: Any) -> None:
        raw.type = 4
        raw.iter.map.map_id, raw.iter.task.tid = 7, 8
        text_at(raw.iter.target_name, b"task")

    fields = fields_of(fill)
    assert fields["target_name"] == "task"
    assert (fields["map"]["map_id"], fields["task"]) == (7, {"tid": 8, "pid": 0})


@pytest.mark.parametrize(
    ("subtype", "inner", "name"),
    [
        (1, "uprobe", "file_name"),
        (2, "uprobe", "file_name"),
        (3, "kprobe", "func_name"),
        (4, "kprobe", "func_name"),
        (5, "tracepoint", "tp_name"),
    ],
)
def test_links_on_perf_events(subtype: int, inner: str, name: str) -> None:
    def fill(raw: Any) -> None:
        raw.type, raw.perf_event.type = 7, subtype
        arm = getattr(raw.perf_event, inner)
        arm.cookie = 77
        text_at(getattr(arm, name), b"/some/where \xff")

    fields = fields_of(fill)
    assert fields["type"] == subtype
    assert fields[inner]["cookie"] == 77
    assert fields[inner][name] == "/some/where \udcff"


def test_links_on_plain_events_and_on_what_is_unknown() -> None:
    def event(raw: Any) -> None:
        raw.type, raw.perf_event.type = 7, 6
        raw.perf_event.event.config, raw.perf_event.event.type = 3, 1

    assert fields_of(event)["event"] == {"config": 3, "type": 1, "cookie": 0}

    def unknown_event(raw: Any) -> None:
        raw.type, raw.perf_event.type = 7, 99

    assert fields_of(unknown_event)["type"] == 99

    def unknown(raw: Any) -> None:
        raw.type = 99

    assert fields_of(unknown) == {}


def test_links_on_many_functions() -> None:
    def fill(raw: Any) -> None:
        raw.type = 8
        arm = raw.kprobe_multi
        arm.count = 2
        if arm.addrs:
            memory(arm.addrs, 16)[:] = struct.pack("=QQ", 1, 2)
            memory(arm.cookies, 16)[:] = struct.pack("=QQ", 3, 4)

    fields = fields_of(fill)
    assert (fields["count"], fields["addrs"], fields["cookies"]) == (2, [1, 2], [3, 4])


def test_links_on_many_places_of_a_file() -> None:
    def fill(raw: Any) -> None:
        raw.type = 12
        arm = raw.uprobe_multi
        if arm.offsets:
            for array in (arm.offsets, arm.ref_ctr_offsets, arm.cookies):
                memory(array, 8)[:] = struct.pack("=Q", 5)
        arm.count = 1
        text_at(arm.path, b"/bin/sh")

    fields = fields_of(fill)
    assert (fields["path"], fields["offsets"], fields["cookies"]) == ("/bin/sh", [5], [5])


def test_a_link_on_many_of_nothing() -> None:
    def fill(raw: Any) -> None:
        raw.type = 8

    fields = fields_of(fill)
    assert (fields["count"], fields["addrs"], fields["cookies"]) == (0, [], [])


def test_gives_sets_fields() -> None:
    with Tape(PROG_GET_NEXT_ID=gives(next_id=5)):
        assert next(Prog.ids()) == 5
