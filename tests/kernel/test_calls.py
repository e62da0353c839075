"""One test or two per command: on the running kernel, and what only a played one answers."""

from __future__ import annotations

import errno
import os
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pybpftool.errors import KernelError
from pybpftool.kernel import calls
from pybpftool.kernel.syscall import Fd
from tests.support.live import RETURN_0, insn, needs_kernel
from tests.support.tape import Kernel, Tape, gives, memory, new_fd

HASH, ARRAY, LRU_HASH, QUEUE = 1, 2, 9, 22
SOCKET_FILTER, SCHED_CLS, RAW_TRACEPOINT = 1, 3, 17


def u32(number: int) -> bytes:
    return struct.pack("=I", number)


# ------------------------------------------------------------------ maps, live


@pytest.fixture
def hash_map() -> Iterator[Fd]:
    with calls.map_create(HASH, 4, 8, 10_000, "hash") as fd:
        yield fd


@needs_kernel
def test_entries_come_and_go(hash_map: Fd) -> None:
    assert calls.map_lookup(hash_map, u32(1), 8) is None
    calls.map_update(hash_map, u32(1), b"12345678")
    calls.map_update(hash_map, bytearray(u32(1)), memoryview(b"abcdefgh"), calls.BPF_EXIST)
    assert calls.map_lookup(hash_map, u32(1), 8) == b"abcdefgh"
    assert calls.map_next_key(hash_map, None, 4) == u32(1)
    assert calls.map_next_key(hash_map, u32(1), 4) is None
    assert calls.map_lookup_and_delete(hash_map, u32(1), 8) == b"abcdefgh"
    assert calls.map_lookup_and_delete(hash_map, u32(1), 8) is None
    calls.map_update(hash_map, u32(2), bytes(8))
    calls.map_delete(hash_map, u32(2))
    assert calls.map_next_key(hash_map, None, 4) is None


@needs_kernel
@pytest.mark.parametrize(
    ("flags", "key", "error"),
    [(calls.BPF_NOEXIST, 1, errno.EEXIST), (calls.BPF_EXIST, 2, errno.ENOENT), (99, 1, 22)],
)
def test_updates_the_kernel_refuses(hash_map: Fd, flags: int, key: int, error: int) -> None:
    calls.map_update(hash_map, u32(1), bytes(8))
    with pytest.raises(KernelError) as caught:
        calls.map_update(hash_map, u32(key), bytes(8), flags)
    assert caught.value.errno == error
    assert caught.value.hint is None


@needs_kernel
def test_batches(hash_map: Fd) -> None:
    count = 5000
    keys = struct.pack(f"={count}I", *range(count))
    values = struct.pack(f"={count}Q", *(3 * key for key in range(count)))
    assert calls.map_update_batch(hash_map, keys, values, count) == count

    seen = {}
    room, at = 256, bytearray(4)
    key_room, value_room = bytearray(4 * room), bytearray(8 * room)
    begun = last = False
    while not last:
        got, last = calls.map_lookup_batch(
            hash_map, at if begun else None, at, key_room, value_room, room
        )
        begun = True
        found = zip(
            struct.iter_unpack("=I", key_room[: 4 * got]),
            struct.iter_unpack("=Q", value_room[: 8 * got]),
            strict=True,
        )
        seen.update({key: value for (key,), (value,) in found})
    assert seen == {key: 3 * key for key in range(count)}

    assert calls.map_delete_batch(hash_map, keys, 1000) == 1000
    big = bytearray(8 * count)
    got, last = calls.map_lookup_batch(hash_map, None, at, big, big[:], count, delete=True)
    assert (got, last) == (4000, True)
    assert calls.map_next_key(hash_map, None, 4) is None


@needs_kernel
def test_a_bucket_that_does_not_fit_is_told_apart(hash_map: Fd) -> None:
    """Among 10,000 keys some share a bucket, which a batch of one cannot hold."""
    count = 10_000
    keys = struct.pack(f"={count}I", *range(count))
    calls.map_update_batch(hash_map, keys, bytes(8 * count), count)
    at, key, value = bytearray(4), bytearray(4), bytearray(8)
    got, last = calls.map_lookup_batch(hash_map, None, at, key, value, 1)
    while got == 1:
        got, last = calls.map_lookup_batch(hash_map, at, at, key, value, 1)
    assert (got, last) == (calls.NO_ROOM, False)


@needs_kernel
def test_queues_have_no_keys() -> None:
    with calls.map_create(QUEUE, 0, 4, 4) as fd:
        calls.map_update(fd, None, b"abcd")
        assert calls.map_lookup(fd, None, 4) == b"abcd"
        assert calls.map_lookup_and_delete(fd, None, 4) == b"abcd"
        assert calls.map_lookup_and_delete(fd, None, 4) is None
        with pytest.raises(KernelError) as caught:
            calls.map_next_key(fd, None, 0)
        assert caught.value.errno in (errno.EINVAL, 524)


@needs_kernel
def test_a_frozen_map_is_closed_to_writing() -> None:
    with calls.map_create(ARRAY, 4, 4, 1, "n" * 40) as fd:
        calls.map_freeze(fd)
        with pytest.raises(KernelError) as caught:
            calls.map_update(fd, u32(0), bytes(4))
        assert caught.value.errno == errno.EPERM
        assert caught.value.hint is None


@needs_kernel
def test_a_read_only_descriptor_does_not_write() -> None:
    with calls.map_create(ARRAY, 4, 4, 1) as fd:
        number = calls.obj_id(fd)
        with calls.map_fd_by_id(number, calls.BPF_F_RDONLY) as reading:
            assert calls.map_lookup(reading, u32(0), 4) == bytes(4)
            with pytest.raises(KernelError) as caught:
                calls.map_update(reading, u32(0), bytes(4))
        assert caught.value.errno == errno.EPERM


def test_what_the_kernel_fills_must_be_writable() -> None:
    with Tape(), pytest.raises(BufferError):
        calls.map_lookup_batch(3, None, b"1234", bytearray(4), bytearray(4), 1)  # type: ignore[arg-type]  # the mistake itself


def test_a_batch_tells_where_it_stopped() -> None:
    at = bytearray(4)
    with Tape(MAP_LOOKUP_BATCH=gives(0, count=3)):
        assert calls.map_lookup_batch(3, None, at, bytearray(40), bytearray(40), 10) == (3, False)
    with Tape(MAP_LOOKUP_BATCH=gives(-errno.ENOENT, count=3)):
        assert calls.map_lookup_batch(3, at, at, bytearray(40), bytearray(40), 10) == (3, True)
    with Tape(MAP_LOOKUP_BATCH=-524), pytest.raises(KernelError) as caught:
        calls.map_lookup_batch(3, at, at, bytearray(40), bytearray(40), 10)
    assert caught.value.errno == 524


# ------------------------------------------------------------------ every errno, played


@pytest.mark.parametrize(
    ("command", "call"),
    [
        ("MAP_CREATE", lambda: calls.map_create(1, 4, 4, 1)),
        ("MAP_LOOKUP_ELEM", lambda: calls.map_lookup(3, b"", 4)),
        ("MAP_UPDATE_ELEM", lambda: calls.map_update(3, b"", b"")),
        ("MAP_DELETE_ELEM", lambda: calls.map_delete(3, b"")),
        ("MAP_GET_NEXT_KEY", lambda: calls.map_next_key(3, b"", 4)),
        ("PROG_LOAD", lambda: calls.prog_load(1, b"")),
        ("OBJ_PIN", lambda: calls.obj_pin(3, "/x")),
        ("OBJ_GET", lambda: calls.obj_get("/x")),
        ("PROG_ATTACH", lambda: calls.prog_attach(3, 4, 5)),
        ("PROG_DETACH", lambda: calls.prog_detach(3, 4, 5)),
        ("PROG_TEST_RUN", lambda: calls.prog_test_run(3)),
        ("PROG_GET_NEXT_ID", lambda: calls.prog_next_id(0)),
        ("MAP_GET_NEXT_ID", lambda: calls.map_next_id(0)),
        ("BTF_GET_NEXT_ID", lambda: calls.btf_next_id(0)),
        ("LINK_GET_NEXT_ID", lambda: calls.link_next_id(0)),
        ("PROG_GET_FD_BY_ID", lambda: calls.prog_fd_by_id(1)),
        ("MAP_GET_FD_BY_ID", lambda: calls.map_fd_by_id(1)),
        ("BTF_GET_FD_BY_ID", lambda: calls.btf_fd_by_id(1)),
        ("LINK_GET_FD_BY_ID", lambda: calls.link_fd_by_id(1)),
        ("OBJ_GET_INFO_BY_FD", lambda: calls.obj_id(3)),
        ("PROG_QUERY", lambda: calls.prog_query(3, 0)),
        ("RAW_TRACEPOINT_OPEN", lambda: calls.raw_tracepoint_open(3, "x")),
        ("BTF_LOAD", lambda: calls.btf_load(b"")),
        ("MAP_LOOKUP_AND_DELETE_ELEM", lambda: calls.map_lookup_and_delete(3, b"", 4)),
        ("MAP_FREEZE", lambda: calls.map_freeze(3)),
        ("MAP_UPDATE_BATCH", lambda: calls.map_update_batch(3, b"", b"", 1)),
        ("MAP_DELETE_BATCH", lambda: calls.map_delete_batch(3, b"", 1)),
        ("LINK_CREATE", lambda: calls.link_create(3, 4, 5)),
        ("LINK_UPDATE", lambda: calls.link_update(3, 4)),
        ("LINK_DETACH", lambda: calls.link_detach(3)),
        ("ENABLE_STATS", lambda: calls.enable_stats()),
        ("ITER_CREATE", lambda: calls.iter_create(3)),
        ("PROG_BIND_MAP", lambda: calls.prog_bind_map(3, 4)),
        ("TOKEN_CREATE", lambda: calls.token_create(3)),
        ("PROG_STREAM_READ_BY_FD", lambda: calls.prog_stream_read(3, 1, bytearray(4))),
    ],
)
def test_every_command_raises_what_the_kernel_says(command: str, call: Any) -> None:
    for error in (errno.EINVAL, errno.EBADF, 524):
        with Tape(**{command: -error}) as tape, pytest.raises(KernelError) as caught:
            call()
        assert (caught.value.errno, tape.calls) == (error, [command])


def test_a_query_takes_the_room_it_needs() -> None:
    def forty(arm: Any) -> int:
        room, arm.prog_cnt = arm.prog_cnt, 40
        arm.attach_flags = 2
        fitting = min(room, 40)
        memory(arm.prog_ids, 4 * fitting)[:] = struct.pack(f"={fitting}I", *range(fitting))
        return 0 if room >= 40 else -errno.ENOSPC

    with Tape(PROG_QUERY=forty) as tape:
        answer = calls.prog_query(3, 0, room=4)
    assert answer.prog_ids == list(range(40))
    assert (answer.attach_flags, answer.link_ids, len(tape.calls)) == (2, (), 2)


def test_a_query_that_is_never_satisfied_ends() -> None:
    with Tape(PROG_QUERY=gives(-errno.ENOSPC, prog_cnt=0xFFFFFFFF)), pytest.raises(KernelError):
        calls.prog_query(3, 0)


def test_pointers_carry_what_was_given() -> None:
    seen = {}

    def load(arm: Any) -> int:
        seen["insns"] = memory(arm.insns, 8 * arm.insn_cnt)[:]
        seen["license"] = memory(arm.license, 4)[:]
        seen["func_info"] = memory(arm.func_info, 8)[:]
        seen["flags"] = arm.prog_flags
        memory(arm.log_buf, 3)[:] = b"no\0"
        return -errno.EACCES

    log = bytearray(64)
    with Tape(PROG_LOAD=load):
        fd, error = calls.try_prog_load(
            1, RETURN_0, "GPL", log=log, log_level=1, func_info=b"12345678", prog_flags=16
        )
    assert fd is None
    assert (error, bytes(log[:3])) == (errno.EACCES, b"no\0")
    assert seen == {"insns": RETURN_0, "license": b"GPL\0", "func_info": b"12345678", "flags": 16}


def test_a_link_is_told_what_belongs_to_its_type() -> None:
    seen = []

    def create(arm: Any) -> int:
        seen.append((arm.tcx.relative_id, arm.tcx.expected_revision, arm.iter_info_len))
        return new_fd()

    with Tape(LINK_CREATE=create):
        calls.link_create(3, 4, 46, tcx={"relative_id": 7, "expected_revision": 9}).close()
        calls.link_create(3, 4, 28, iter_info=b"1234").close()
    assert seen[0][:2] == (7, 9)
    assert seen[1][2] == 4


def test_pointers_in_what_belongs_to_a_link() -> None:
    seen = []

    def create(arm: Any) -> int:
        multi = arm.kprobe_multi
        texts = memory(multi.syms, 8 * multi.cnt)[:]
        seen.extend(memory(at, 2)[:] for (at,) in struct.iter_unpack("=Q", texts))
        seen.append(memory(multi.addrs, 3)[:])
        return new_fd()

    fields = {"flags": 1, "cnt": 2, "syms": ["a", "b"], "addrs": b"xyz"}
    with Tape(LINK_CREATE=create):
        calls.link_create(3, 0, 42, kprobe_multi=fields).close()
    assert seen == [b"a\0", b"b\0", b"xyz"]


def test_paths_and_names_end_where_the_kernel_thinks() -> None:
    with Tape(), pytest.raises(ValueError, match="null byte"):
        calls.obj_get("/sys/fs/bpf/a\0b")
    with Kernel() as kernel:
        calls.map_create(1, 4, 4, 1, "0123456789abcdefXYZ").close()
        assert kernel.maps[1].info["name"] == b"0123456789abcde"


# ------------------------------------------------------------------ the rest, live


@needs_kernel
def test_programs_run() -> None:
    with calls.prog_load(SCHED_CLS, insn(0xB7, imm=7) + insn(0x95), name="seven") as prog:
        out = bytearray(64)
        run = calls.prog_test_run(prog, b"\1" * 64, out, repeat=3)
        assert (run.retval, run.data_size_out, bytes(out)) == (7, 64, b"\1" * 64)
        with pytest.raises(KernelError) as caught:
            calls.prog_test_run(prog, bytes(64), bytearray(16))
        assert caught.value.errno == errno.ENOSPC


@needs_kernel
def test_the_verifier_says_why() -> None:
    log = bytearray(4096)
    fd, error = calls.try_prog_load(SOCKET_FILTER, insn(0x95), log=log, log_level=1)
    assert (fd, error) == (None, errno.EACCES)
    assert b"R0 !read_ok" in log


@needs_kernel
def test_ids_ascend_and_open() -> None:
    with calls.map_create(ARRAY, 4, 4, 1) as one, calls.map_create(ARRAY, 4, 4, 1) as two:
        first, second = calls.obj_id(one), calls.obj_id(two)
        assert calls.map_next_id(first - 1) == first
        assert first < second
        with calls.map_fd_by_id(second) as again:
            assert calls.obj_id(again) == second
    with pytest.raises(KernelError) as caught:
        calls.map_fd_by_id(0xFFFFFFFF)
    assert caught.value.errno == errno.ENOENT


@needs_kernel
def test_raw_tracepoints_and_who_has_them() -> None:
    with (
        calls.prog_load(RAW_TRACEPOINT, RETURN_0, name="tp") as prog,
        calls.raw_tracepoint_open(prog, "sched_switch") as link,
    ):
        found = calls.task_fd_query(os.getpid(), link.fileno())
        assert isinstance(found, calls.TaskFd)
        assert (found.fd_type, found.name, found.prog_id) == (
            0,
            "sched_switch",
            calls.obj_id(prog),
        )
        assert calls.task_fd_query(os.getpid(), prog.fileno()) == 524
        with pytest.raises(KernelError) as caught:
            calls.raw_tracepoint_open(prog, "no_such_tracepoint")
        assert caught.value.errno == errno.ENOENT


@needs_kernel
def test_statistics_last_as_long_as_the_descriptor() -> None:
    with calls.enable_stats() as fd:
        os.fstat(fd.fileno())


@needs_kernel
def test_cgroups_are_asked_by_descriptor(tmp_path: Path) -> None:
    from pybpftool.kernel.proc import mounts

    cgroups = [mount.path for mount in mounts() if mount.type == "cgroup2"]
    if not cgroups:
        pytest.skip("no cgroup2 is mounted")
    with Fd(os.open(cgroups[0], os.O_RDONLY)) as cgroup:
        answer = calls.prog_query(cgroup, 0)
    assert all(isinstance(each, int) for each in answer.prog_ids)
    with Fd(os.open(tmp_path, os.O_RDONLY)) as other, pytest.raises(KernelError) as caught:
        calls.prog_query(other, 0)
    assert caught.value.errno in (errno.EBADF, errno.EINVAL)


@needs_kernel
def test_btf_is_loaded_and_objected_to() -> None:
    types = struct.pack("=IIII", 1, 1 << 24, 4, 32)  # INT 'int', 4 bytes, 32 bits
    strings = b"\0int\0"
    header = struct.pack("=HBBIIIII", 0xEB9F, 1, 0, 24, 0, len(types), len(types), len(strings))
    calls.btf_load(header + types + strings).close()
    log = bytearray(4096)
    with pytest.raises(KernelError) as caught:
        calls.btf_load(b"nonsense" * 4, log, 1)
    assert caught.value.errno == errno.EINVAL
    assert log.strip(b"\0")
