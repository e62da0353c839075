"""One thin function per command of bpf(2): arguments in, answer out.

Every function raises KernelError when the kernel refuses, except where its docstring names
another answer.  A ``descriptor`` is an int or an ``Fd``.  What the kernel only reads may be
``bytes``, ``bytearray`` or ``memoryview``; what it fills must be writable, is filled in place,
and must not change its size meanwhile.  Strings for the kernel are str or bytes.
Source of all names and layouts: linux/bpf.h.
"""

from __future__ import annotations

import errno
import os

from ._abi import ffi
from .syscall import Fd, attempt, bpf, lib, new_attr, refusal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any, SupportsIndex, TypeAlias

    Readable: TypeAlias = bytes | bytearray | memoryview
    Writable: TypeAlias = bytearray | memoryview
    Text: TypeAlias = str | bytes
    Path: TypeAlias = str | bytes | os.PathLike[str]

BPF_ANY, BPF_NOEXIST, BPF_EXIST, BPF_F_LOCK = 0, 1, 2, 4
"""flags of updates and lookups."""

BPF_F_RDONLY, BPF_F_WRONLY = 1 << 3, 1 << 4
"""flags of obj_get and map_fd_by_id: the rights of the descriptor."""

BPF_F_QUERY_EFFECTIVE = 1
"""flag of prog_query."""

_WHOLE_NAME = 15


def _address(data: Any) -> int:
    """Where the bytes of ``data`` are; the caller keeps ``data`` alive.  0 for None."""
    return 0 if data is None else int(ffi.cast("uintptr_t", ffi.from_buffer(data)))


def _room(data: Writable | None) -> int:
    """Where the kernel may write; TypeError for a buffer that must not change."""
    if data is None:
        return 0
    return int(ffi.cast("uintptr_t", ffi.from_buffer(data, require_writable=True)))


def _zero_ended(text: Path) -> bytes:
    raw = os.fsencode(text)
    if b"\0" in raw:
        raise ValueError("embedded null byte")
    return raw + b"\0"


def _name(text: Text) -> bytes:
    """A name of an object, cut to what the kernel keeps."""
    return os.fsencode(text)[:_WHOLE_NAME]


# ------------------------------------------------------------------ maps


def map_create(
    map_type: int,
    key_size: int,
    value_size: int,
    max_entries: int,
    name: Text = b"",
    map_flags: int = 0,
    **fields: int,
) -> Fd:
    """A new map.

    Sizes in bytes; ``name`` is cut to 15 bytes.  ``fields``: any of inner_map_fd, numa_node,
    map_ifindex, btf_fd, btf_key_type_id, btf_value_type_id, btf_vmlinux_value_type_id,
    map_extra, value_type_btf_obj_fd, map_token_fd.
    """
    attr = new_attr(
        lib.BPF_MAP_CREATE,
        map_type=map_type,
        key_size=key_size,
        value_size=value_size,
        max_entries=max_entries,
        map_flags=map_flags,
        map_name=_name(name),
        **fields,
    )
    return Fd(bpf(lib.BPF_MAP_CREATE, attr))


def _elem(
    cmd: int, descriptor: SupportsIndex, key: Readable | None, value: int = 0, flags: int = 0
) -> int:
    attr = new_attr(cmd, map_fd=descriptor.__index__(), key=_address(key), value=value, flags=flags)
    return attempt(cmd, attr)


def _done(cmd: int, result: int) -> None:
    if result < 0:
        raise refusal(cmd, -result)


def map_lookup(
    descriptor: SupportsIndex, key: Readable | None, size: int, flags: int = 0
) -> bytes | None:
    """The value of ``key`` as ``size`` bytes, None when the map has no such key (ENOENT).

    ``size``: of the value; for a per-CPU map of all possible CPUs together, each rounded up to
    8.  ``key`` is None for maps without keys (queue, stack).
    """
    value = bytearray(size)
    result = _elem(lib.BPF_MAP_LOOKUP_ELEM, descriptor, key, _room(value), flags)
    if result == -errno.ENOENT:
        return None
    _done(lib.BPF_MAP_LOOKUP_ELEM, result)
    return bytes(value)


def map_lookup_and_delete(
    descriptor: SupportsIndex, key: Readable | None, size: int, flags: int = 0
) -> bytes | None:
    """The value that was removed, None when there was none.  Since Linux 4.20 (queue, stack)."""
    value = bytearray(size)
    result = _elem(lib.BPF_MAP_LOOKUP_AND_DELETE_ELEM, descriptor, key, _room(value), flags)
    if result == -errno.ENOENT:
        return None
    _done(lib.BPF_MAP_LOOKUP_AND_DELETE_ELEM, result)
    return bytes(value)


def map_update(
    descriptor: SupportsIndex, key: Readable | None, value: Readable | None, flags: int = BPF_ANY
) -> None:
    """Set ``key`` to ``value``; ``flags`` one of BPF_ANY, BPF_NOEXIST, BPF_EXIST."""
    cmd = lib.BPF_MAP_UPDATE_ELEM
    _done(cmd, _elem(cmd, descriptor, key, _address(value), flags))


def map_delete(descriptor: SupportsIndex, key: Readable) -> None:
    """Remove ``key``."""
    cmd = lib.BPF_MAP_DELETE_ELEM
    _done(cmd, _elem(cmd, descriptor, key))


def map_next_key(descriptor: SupportsIndex, key: Readable | None, size: int) -> bytes | None:
    """The key after ``key`` (the first one for None) as ``size`` bytes; None after the last."""
    following = bytearray(size)
    result = _elem(lib.BPF_MAP_GET_NEXT_KEY, descriptor, key, _room(following))
    if result == -errno.ENOENT:
        return None
    _done(lib.BPF_MAP_GET_NEXT_KEY, result)
    return bytes(following)


def map_freeze(descriptor: SupportsIndex) -> None:
    """Close the map to writing by programs of user space, for good.  Since Linux 5.2."""
    cmd = lib.BPF_MAP_FREEZE
    _done(cmd, _elem(cmd, descriptor, None))


def _batch(
    cmd: int,
    descriptor: SupportsIndex,
    count: int,
    keys: int,
    values: int,
    elem_flags: int,
    in_batch: Readable | None = None,
    out_batch: Writable | None = None,
) -> tuple[int, int]:
    attr = new_attr(
        cmd,
        in_batch=_address(in_batch),
        out_batch=_room(out_batch),
        keys=keys,
        values=values,
        count=count,
        map_fd=descriptor.__index__(),
        elem_flags=elem_flags,
    )
    result = attempt(cmd, attr)
    return attr.batch.count, result


NO_ROOM = -1
"""The ``count`` of a batch that did not fit: nothing was read, ask again with a larger one."""


def map_lookup_batch(
    descriptor: SupportsIndex,
    in_batch: Readable | None,
    out_batch: Writable,
    keys: Writable,
    values: Writable,
    count: int,
    *,
    elem_flags: int = 0,
    delete: bool = False,
) -> tuple[int, bool]:
    """Read up to ``count`` entries into ``keys`` and ``values``: (entries read, whether the last).

    ``in_batch``: None to begin, then the ``out_batch`` of the call before (the two may be one
    buffer); it must have room for a key and for 4 bytes.  ``keys`` and ``values``: room for
    ``count`` of each, tightly packed; per-CPU values as in ``map_lookup``.
    (NO_ROOM, False): nothing was read since even one hash bucket does not fit into ``count``; but
    a sockmap says the same of values it will not show, however large ``count`` is.
    ``delete``: remove what is read.
    Raises KernelError: ENOTSUPP (524) or EINVAL from a kernel or a map without batches, EFAULT.
    Since Linux 5.6.  Source: the batch arm of bpf_attr.
    """
    cmd = lib.BPF_MAP_LOOKUP_AND_DELETE_BATCH if delete else lib.BPF_MAP_LOOKUP_BATCH
    done, result = _batch(
        cmd, descriptor, count, _room(keys), _room(values), elem_flags, in_batch, out_batch
    )
    if result == -errno.ENOENT:
        return done, True
    if result == -errno.ENOSPC:
        return NO_ROOM, False
    _done(cmd, result)
    return done, False


def map_update_batch(
    descriptor: SupportsIndex, keys: Readable, values: Readable, count: int, elem_flags: int = 0
) -> int:
    """Set ``count`` keys to their values, both tightly packed: how many were set (all)."""
    cmd = lib.BPF_MAP_UPDATE_BATCH
    done, result = _batch(cmd, descriptor, count, _address(keys), _address(values), elem_flags)
    _done(cmd, result)
    return done


def map_delete_batch(
    descriptor: SupportsIndex, keys: Readable, count: int, elem_flags: int = 0
) -> int:
    """Remove ``count`` keys: how many were removed (all)."""
    cmd = lib.BPF_MAP_DELETE_BATCH
    done, result = _batch(cmd, descriptor, count, _address(keys), 0, elem_flags)
    _done(cmd, result)
    return done


# ------------------------------------------------------------------ pins, ids, information


def obj_pin(descriptor: SupportsIndex, path: Path) -> None:
    """Give the object the name ``path`` in a BPF file system."""
    name = _zero_ended(path)
    cmd = lib.BPF_OBJ_PIN
    bpf(cmd, new_attr(cmd, pathname=_address(name), bpf_fd=descriptor.__index__()))


def obj_get(path: Path, file_flags: int = 0) -> Fd:
    """The object pinned at ``path``; ``file_flags``: 0, BPF_F_RDONLY or BPF_F_WRONLY."""
    name = _zero_ended(path)
    cmd = lib.BPF_OBJ_GET
    return Fd(bpf(cmd, new_attr(cmd, pathname=_address(name), file_flags=file_flags)))


def next_id(cmd: int, start: int) -> int | None:
    """The smallest id above ``start`` of the kind that ``cmd`` (BPF_*_GET_NEXT_ID) walks, or None.

    Needs CAP_SYS_ADMIN.
    """
    attr = new_attr(cmd, start_id=start)
    result = attempt(cmd, attr)
    if result == -errno.ENOENT:
        return None
    _done(cmd, result)
    following: int = attr.get_id.next_id
    return following


def fd_by_id(cmd: int, id: int, open_flags: int = 0) -> Fd:
    """The object with ``id`` of the kind that ``cmd`` (BPF_*_GET_FD_BY_ID) opens.

    ``open_flags`` (BPF_F_RDONLY, BPF_F_WRONLY) is for maps only.
    """
    return Fd(bpf(cmd, new_attr(cmd, start_id=id, open_flags=open_flags)))


def prog_next_id(start: int) -> int | None:
    """The smallest program id above ``start``, None after the last.  Since Linux 4.13."""
    return next_id(lib.BPF_PROG_GET_NEXT_ID, start)


def map_next_id(start: int) -> int | None:
    """The smallest map id above ``start``, None after the last.  Since Linux 4.13."""
    return next_id(lib.BPF_MAP_GET_NEXT_ID, start)


def btf_next_id(start: int) -> int | None:
    """The smallest BTF id above ``start``, None after the last.  Since Linux 5.4."""
    return next_id(lib.BPF_BTF_GET_NEXT_ID, start)


def link_next_id(start: int) -> int | None:
    """The smallest link id above ``start``, None after the last.  Since Linux 5.8."""
    return next_id(lib.BPF_LINK_GET_NEXT_ID, start)


def prog_fd_by_id(id: int) -> Fd:
    """The program with ``id``."""
    return fd_by_id(lib.BPF_PROG_GET_FD_BY_ID, id)


def map_fd_by_id(id: int, open_flags: int = 0) -> Fd:
    """The map with ``id``; ``open_flags``: 0, BPF_F_RDONLY or BPF_F_WRONLY."""
    return fd_by_id(lib.BPF_MAP_GET_FD_BY_ID, id, open_flags)


def btf_fd_by_id(id: int) -> Fd:
    """The BTF object with ``id``."""
    return fd_by_id(lib.BPF_BTF_GET_FD_BY_ID, id)


def link_fd_by_id(id: int) -> Fd:
    """The link with ``id``."""
    return fd_by_id(lib.BPF_LINK_GET_FD_BY_ID, id)


def obj_info(descriptor: SupportsIndex, info: Any) -> int:
    """Let the kernel fill ``info``, a pointer to one of struct bpf_*_info: bytes it knew.

    What an older kernel does not know it leaves as it was: hand a fresh, zeroed struct, with
    only the buffers that are wanted in it.
    """
    cmd = lib.BPF_OBJ_GET_INFO_BY_FD
    attr = new_attr(
        cmd,
        bpf_fd=descriptor.__index__(),
        info_len=ffi.sizeof(info[0]),
        info=int(ffi.cast("uintptr_t", info)),
    )
    bpf(cmd, attr)
    known: int = attr.info.info_len
    return known


def obj_id(descriptor: SupportsIndex) -> int:
    """The id of an open map, program or link: the second word of each one's information."""
    room = bytearray(8)
    cmd = lib.BPF_OBJ_GET_INFO_BY_FD
    bpf(cmd, new_attr(cmd, bpf_fd=descriptor.__index__(), info_len=len(room), info=_room(room)))
    return memoryview(room).cast("I")[1]


# ------------------------------------------------------------------ BTF and programs


def btf_load(data: Readable, log: Writable | None = None, log_level: int = 0) -> Fd:
    """A BTF object made from the raw BTF ``data``; the kernel's objections go into ``log``."""
    cmd = lib.BPF_BTF_LOAD
    attr = new_attr(
        cmd,
        btf=_address(data),
        btf_size=len(data),
        btf_log_buf=_room(log),
        btf_log_size=len(log or b""),
        btf_log_level=log_level,
    )
    return Fd(bpf(cmd, attr))


def prog_load(
    prog_type: int,
    insns: Readable,
    license: Text = b"GPL",
    *,
    name: Text = b"",
    log: Writable | None = None,
    log_level: int = 0,
    **fields: Any,
) -> Fd:
    """A program made of ``insns`` (8 bytes each), verified by the kernel.

    ``log``: where the verifier writes its zero-ended reasons, as ``log_level`` asks (1, 2, 4).
    ``fields``: any further field of the arm: kern_version, prog_flags, prog_ifindex,
    expected_attach_type, prog_btf_fd, attach_btf_id, attach_prog_fd, attach_btf_obj_fd, …; the
    pointers func_info, line_info, core_relos, fd_array, signature as buffers.
    """
    fd, error = try_prog_load(
        prog_type, insns, license, name=name, log=log, log_level=log_level, **fields
    )
    if fd is None:
        raise refusal(lib.BPF_PROG_LOAD, error)
    return fd


def try_prog_load(
    prog_type: int,
    insns: Readable,
    license: Text = b"GPL",
    *,
    name: Text = b"",
    log: Writable | None = None,
    log_level: int = 0,
    **fields: Any,
) -> tuple[Fd | None, int]:
    """Like ``prog_load``, for probes: (the program, 0), or (None, errno)."""
    ending = _zero_ended(license)
    pointers = ("func_info", "line_info", "core_relos", "fd_array", "signature")
    cmd = lib.BPF_PROG_LOAD
    attr = new_attr(
        cmd,
        prog_type=prog_type,
        insns=_address(insns),
        insn_cnt=len(insns) // 8,
        license=_address(ending),
        prog_name=_name(name),
        log_buf=_room(log),
        log_size=len(log or b""),
        log_level=log_level,
        **{name: _address(value) if name in pointers else value for name, value in fields.items()},
    )
    result = attempt(cmd, attr)
    return (Fd(result), 0) if result >= 0 else (None, -result)


class Run:
    """What one BPF_PROG_TEST_RUN left behind.

    ``retval``: of the program (unsigned, 32 bits); ``duration``: average ns of a run;
    ``data_size_out``, ``ctx_size_out``: bytes the program left, which may be more than fitted.
    """

    __slots__ = ("ctx_size_out", "data_size_out", "duration", "retval")

    def __init__(self, attr: Any) -> None:
        self.retval: int = attr.retval
        self.duration: int = attr.duration
        self.data_size_out: int = attr.data_size_out
        self.ctx_size_out: int = attr.ctx_size_out


def prog_test_run(
    descriptor: SupportsIndex,
    data_in: Readable | None = None,
    data_out: Writable | None = None,
    ctx_in: Readable | None = None,
    ctx_out: Writable | None = None,
    repeat: int = 0,
    **fields: int,
) -> Run:
    """Run the program ``repeat`` times (0: once) on the given data and context.

    ``fields``: flags, cpu, batch_size; or data_size_out, ctx_size_out in place of the sizes of the
    buffers.  A syscall program changes ``ctx_in`` itself, which must then be writable.
    """
    cmd = lib.BPF_PROG_TEST_RUN
    sizes = {"data_size_out": len(data_out or b""), "ctx_size_out": len(ctx_out or b"")}
    attr = new_attr(
        cmd,
        prog_fd=descriptor.__index__(),
        data_in=_address(data_in),
        data_size_in=len(data_in or b""),
        data_out=_room(data_out),
        ctx_in=_address(ctx_in),
        ctx_size_in=len(ctx_in or b""),
        ctx_out=_room(ctx_out),
        repeat=repeat,
        **sizes | fields,
    )
    bpf(cmd, attr)
    return Run(attr.test)


def prog_bind_map(prog: SupportsIndex, map: SupportsIndex) -> None:
    """Tie the life of a map to that of a program.  Since Linux 5.10."""
    cmd = lib.BPF_PROG_BIND_MAP
    bpf(cmd, new_attr(cmd, prog_fd=prog.__index__(), map_fd=map.__index__()))


def prog_stream_read(descriptor: SupportsIndex, stream: int, room: Writable) -> int:
    """Bytes of the program's stream (1 out, 2 err) put into ``room``; 0: drained.

    Since Linux 6.17.
    """
    cmd = lib.BPF_PROG_STREAM_READ_BY_FD
    attr = new_attr(
        cmd,
        stream_buf=_room(room),
        stream_buf_len=len(room),
        stream_id=stream,
        prog_fd=descriptor.__index__(),
    )
    return bpf(cmd, attr)


# ------------------------------------------------------------------ attaching


def prog_attach(
    target: SupportsIndex, prog: SupportsIndex, attach_type: int, attach_flags: int = 0
) -> None:
    """Attach a program to a cgroup, a map or (target 0) the network namespace."""
    cmd = lib.BPF_PROG_ATTACH
    attr = new_attr(
        cmd,
        target_fd=target.__index__(),
        attach_bpf_fd=prog.__index__(),
        attach_type=attach_type,
        attach_flags=attach_flags,
    )
    bpf(cmd, attr)


def prog_detach(target: SupportsIndex, prog: SupportsIndex, attach_type: int) -> None:
    """Undo ``prog_attach``."""
    cmd = lib.BPF_PROG_DETACH
    attr = new_attr(
        cmd, target_fd=target.__index__(), attach_bpf_fd=prog.__index__(), attach_type=attach_type
    )
    bpf(cmd, attr)


class Query:
    """The programs on one hook: ``prog_ids``, and beside them, where the kernel tells,
    ``prog_attach_flags``, ``link_ids``, ``link_attach_flags``; ``attach_flags`` of the hook;
    ``revision`` of multi-program hooks."""

    __slots__ = (
        "attach_flags",
        "link_attach_flags",
        "link_ids",
        "prog_attach_flags",
        "prog_ids",
        "revision",
    )

    def __init__(self) -> None:
        self.attach_flags = 0
        self.revision = 0
        self.prog_ids: Sequence[int] = ()
        self.prog_attach_flags: Sequence[int] = ()
        self.link_ids: Sequence[int] = ()
        self.link_attach_flags: Sequence[int] = ()


_MOST_ATTACHED = 1 << 20


def prog_query(
    target: SupportsIndex,
    attach_type: int,
    query_flags: int = 0,
    *,
    room: int = 64,
    detail: Sequence[str] = (),
) -> Query:
    """What is attached to a cgroup, a map, a network namespace or (by ifindex) a device.

    ``room``: programs to make room for; more room is taken as the kernel asks for it (ENOSPC).
    ``detail``: which of prog_attach_flags (cgroups, since Linux 6.1), link_ids and
    link_attach_flags (tcx, netkit, since 6.6) to ask for; an older kernel refuses these.
    """
    cmd = lib.BPF_PROG_QUERY
    wanted = ("prog_ids", *detail)
    while True:
        arrays = {name: ffi.new("u32[]", room) for name in wanted}
        attr = new_attr(
            cmd,
            target_fd=target.__index__(),
            attach_type=attach_type,
            query_flags=query_flags,
            prog_cnt=room,
            **{name: int(ffi.cast("uintptr_t", array)) for name, array in arrays.items()},
        )
        result = attempt(cmd, attr)
        if result != -errno.ENOSPC or room >= _MOST_ATTACHED:
            break
        room = max(2 * room, min(attr.query.prog_cnt, _MOST_ATTACHED))
    _done(cmd, result)
    answer = Query()
    answer.attach_flags = attr.query.attach_flags
    answer.revision = attr.query.revision
    for name, array in arrays.items():
        setattr(answer, name, list(array[0 : min(attr.query.prog_cnt, room)]))
    return answer


def link_create(
    prog: SupportsIndex,
    target: SupportsIndex,
    attach_type: int,
    flags: int = 0,
    **fields: Any,
) -> Fd:
    """A link that holds ``prog`` on ``target`` (a descriptor or an ifindex).  Since Linux 5.7.

    ``fields``: those of the arm that belong to the attach type: target_btf_id, iter_info (a
    buffer, its length is taken), or one of the structs perf_event, kprobe_multi, tracing,
    netfilter, tcx, uprobe_multi, netkit, cgroup, tracing_multi as a dict.  In place of pointers
    these hold bytes, or a list of strings.
    """
    cmd = lib.BPF_LINK_CREATE
    iter_info = fields.get("iter_info")
    if iter_info is not None:
        fields["iter_info"] = _address(iter_info)
        fields["iter_info_len"] = len(iter_info)
    attr = new_attr(
        cmd,
        prog_fd=prog.__index__(),
        target_fd=target.__index__(),
        attach_type=attach_type,
        flags=flags,
    )
    kept: list[Any] = []
    for name, value in fields.items():
        made = _with_pointers(value, kept) if isinstance(value, dict) else value
        setattr(attr.link_create, name, made)
    return Fd(bpf(cmd, attr))


def _with_pointers(values: dict[str, Any], kept: list[Any]) -> dict[str, int]:
    """A struct of link_create in numbers; ``kept``: takes what its pointers point to."""
    made = {}
    for name, value in values.items():
        if isinstance(value, list):
            texts = [_zero_ended(each) for each in value]
            array = ffi.new("u64[]", [_address(each) for each in texts])
            kept += [*texts, array]
            value = int(ffi.cast("uintptr_t", array))
        elif isinstance(value, bytes):
            value = _address(value)
        made[name] = value
    return made


def link_update(
    link: SupportsIndex, new_prog: SupportsIndex, old_prog: SupportsIndex = 0, flags: int = 0
) -> None:
    """Put another program (or struct_ops map) behind a link.  Since Linux 5.7."""
    cmd = lib.BPF_LINK_UPDATE
    attr = new_attr(
        cmd,
        link_fd=link.__index__(),
        new_prog_fd=new_prog.__index__(),
        old_prog_fd=old_prog.__index__(),
        flags=flags,
    )
    bpf(cmd, attr)


def link_detach(link: SupportsIndex) -> None:
    """Take the link off its target; it stays, empty.  Since Linux 5.9."""
    cmd = lib.BPF_LINK_DETACH
    bpf(cmd, new_attr(cmd, link_fd=link.__index__()))


def raw_tracepoint_open(prog: SupportsIndex, name: Text | None = None, cookie: int = 0) -> Fd:
    """The program attached to the raw tracepoint ``name`` (None: to what it was loaded for)."""
    cmd = lib.BPF_RAW_TRACEPOINT_OPEN
    ending = None if name is None else _zero_ended(name)
    attr = new_attr(cmd, name=_address(ending), prog_fd=prog.__index__(), cookie=cookie)
    return Fd(bpf(cmd, attr))


def iter_create(link: SupportsIndex) -> Fd:
    """A descriptor that yields, when read, what the iterator of ``link`` prints."""
    cmd = lib.BPF_ITER_CREATE
    return Fd(bpf(cmd, new_attr(cmd, link_fd=link.__index__())))


# ------------------------------------------------------------------ the rest


def enable_stats(type: int = 0) -> Fd:
    """Count run times of all programs for as long as the descriptor is open.  Since Linux 5.8."""
    cmd = lib.BPF_ENABLE_STATS
    return Fd(bpf(cmd, new_attr(cmd, type=type)))


def token_create(bpffs: SupportsIndex, flags: int = 0) -> Fd:
    """A token with the rights delegated to a BPF file system.  Since Linux 6.9."""
    cmd = lib.BPF_TOKEN_CREATE
    return Fd(bpf(cmd, new_attr(cmd, flags=flags, bpffs_fd=bpffs.__index__())))


class TaskFd:
    """A descriptor of some process that runs a program: ``prog_id``, ``fd_type`` (enum
    bpf_task_fd_type), ``name`` (tracepoint, function or file; may be empty), ``probe_offset``,
    ``probe_addr``."""

    __slots__ = ("fd_type", "name", "probe_addr", "probe_offset", "prog_id")

    def __init__(self, attr: Any, name: str) -> None:
        self.prog_id: int = attr.prog_id
        self.fd_type: int = attr.fd_type
        self.name = name
        self.probe_offset: int = attr.probe_offset
        self.probe_addr: int = attr.probe_addr


def task_fd_query(pid: int, fd: int, flags: int = 0) -> TaskFd | int:
    """The program behind descriptor ``fd`` of process ``pid``, or the errno of the refusal.

    Not an exception: most descriptors of a system run no program.  Since Linux 4.18.
    """
    return task_fd_asker(flags)(pid, fd)


def task_fd_asker(flags: int = 0) -> Callable[[int, int], TaskFd | int]:
    """``task_fd_query`` for many descriptors: a function of pid and fd, which allocates nothing."""
    room = bytearray(4096)
    cmd = lib.BPF_TASK_FD_QUERY
    attr = new_attr(cmd, flags=flags, buf=_room(room))
    arm = attr.task_fd_query

    def ask(pid: int, fd: int) -> TaskFd | int:
        arm.pid = pid
        arm.fd = fd
        arm.buf_len = len(room)  # the kernel left the length of the last name there
        result = attempt(cmd, attr)
        if result < 0:
            return -result
        return TaskFd(arm, os.fsdecode(bytes(room.partition(b"\0")[0])))

    return ask
