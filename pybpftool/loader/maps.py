"""Maps made as an object file describes them."""

from __future__ import annotations

import errno
import struct

from ..errors import KernelError, PybpftoolError, during
from ..kernel import calls
from ..kernel.proc import page_size, possible_cpus
from .mapdefs import MAPS_OF_MAPS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import SupportsIndex

    from ..kernel.syscall import Fd
    from .spec import MapSpec

PERF_EVENT_ARRAY, RINGBUF, USER_RINGBUF, ARENA, STRUCT_OPS = 4, 27, 31, 33, 26
INSN_ARRAY = 34
_WITHOUT_BTF = (PERF_EVENT_ARRAY, 8, 7, 12, 13, 14, 25, 16, 17, 15, 18, 22, 23, ARENA)
"""Types of which the kernel takes no types of keys and values."""
WITHOUT_ENTRIES = (PERF_EVENT_ARRAY, 19, 21, 24, 28, 29, 32)
"""Types that need no max_entries: there is one for each CPU, or storage of something else."""
_DEVMAPS = (14, 25)
_RDONLY_PROG, _MMAPABLE, _VTYPE_BTF_OBJ_FD = 1 << 7, 1 << 10, 1 << 15
_DEFAULT_DIRECTORY = "/sys/fs/bpf"


def create(
    wanted: MapSpec,
    btf: SupportsIndex | None,
    knows: Callable[[str], bool],
    **fields: int,
) -> Fd:
    """A new map.  ``btf``: the object's BTF in the kernel; ``knows``: what the kernel knows of
    ``features``; ``fields``: further ones of BPF_MAP_CREATE.  KernelError, naming the map."""
    with during(f"map '{wanted.name}'"):
        inner = None
        if wanted.type in MAPS_OF_MAPS and wanted.inner is not None:
            inner = create(wanted.inner, btf, knows)
            fields["inner_map_fd"] = int(inner.__index__())
        try:
            return _create(wanted, btf, knows, fields)
        finally:
            if inner is not None:
                inner.close()


def _create(
    wanted: MapSpec, btf: SupportsIndex | None, knows: Callable[[str], bool], fields: dict[str, int]
) -> Fd:
    flags = wanted.flags
    if fields.get("value_type_btf_obj_fd"):
        flags |= _VTYPE_BTF_OBJ_FD
    if btf is not None and wanted.type not in _WITHOUT_BTF:
        types = {"btf_fd": btf.__index__(), "btf_key_type_id": wanted.key_type_id}
        if wanted.type != STRUCT_OPS:
            types["btf_value_type_id"] = wanted.value_type_id
    else:
        types = {}
    if wanted.numa_node:
        fields["numa_node"] = wanted.numa_node
    if wanted.map_extra:
        fields["map_extra"] = wanted.map_extra
    if wanted.ifindex and wanted.type != PERF_EVENT_ARRAY:
        fields["map_ifindex"] = wanted.ifindex

    while True:
        try:
            return calls.map_create(
                wanted.type,
                wanted.key_size,
                wanted.value_size,
                _entries(wanted),
                wanted.name.encode("utf-8", "surrogateescape"),
                flags,
                **fields,
                **types,
            )
        except KernelError:  # noqa: PERF203 - it is asked for less at most twice
            if flags & _MMAPABLE and wanted.contents is not None and not knows("array_mmap"):
                flags &= ~_MMAPABLE
            elif types.get("btf_key_type_id") or types.get("btf_value_type_id"):
                types = {}  # a map is of use even where the kernel does not like its types
            else:
                raise


def _entries(wanted: MapSpec) -> int:
    if wanted.type == PERF_EVENT_ARRAY and not wanted.max_entries:
        return possible_cpus()
    if wanted.type in (RINGBUF, USER_RINGBUF):
        return ring_size(wanted.max_entries)
    return wanted.max_entries


def ring_size(wanted: int) -> int:
    """Bytes of a ring buffer: whole pages, their number a power of two.

    None and too many are not changed: the kernel tells.
    """
    if not wanted or wanted > 1 << 31:
        return wanted
    size = page_size()
    while size < wanted:
        size *= 2
    return size


def fill(wanted: MapSpec, fd: Fd, knows: Callable[[str], bool]) -> None:
    """Give a map of variables its contents, and an arena its address; constants are frozen."""
    if wanted.type == ARENA:
        from ..kernel import arena

        size, contents = wanted.max_entries * page_size(), wanted.contents or b""
        with during(f"map '{wanted.name}'"):
            arena.place(fd, wanted.map_extra, size, contents, arena_offset(wanted, knows))
        return
    if wanted.contents is None or wanted.type == STRUCT_OPS:
        return
    with during(f"map '{wanted.name}': its contents"):
        if wanted.contents:
            calls.map_update(fd, bytes(4), wanted.contents)
        if wanted.frozen:
            calls.map_freeze(fd)


def jump_table(slots: Sequence[int]) -> Fd:
    """A new map of the slots of a program to which it may jump by its numbers.

    Of an entry's 16 bytes the first four are the slot (struct bpf_insn_array_value of
    linux/bpf.h).  Since Linux 6.19.
    """
    with during("map '.jumptables'"):
        fd = calls.map_create(INSN_ARRAY, 4, 16, len(slots), b".jumptables")
        try:
            for index, slot in enumerate(slots):
                calls.map_update(fd, _u32(index), struct.pack("=I12x", slot))
            calls.map_freeze(fd)
        except KernelError:
            fd.close()
            raise
    return fd


def arena_offset(wanted: MapSpec, knows: Callable[[str], bool]) -> int:
    """Where in an arena its variables begin: in the last pages, if programs can say so."""
    if not wanted.contents or not knows("far_map_values"):
        return 0
    page = page_size()
    return (wanted.max_entries + -len(wanted.contents) // page) * page


def fits(wanted: MapSpec, fd: SupportsIndex) -> str:
    """What about an open map is not as wanted; empty if all is."""
    from ..kernel.handles import map_info

    info = map_info(fd)
    flags = info.map_flags & ~(_RDONLY_PROG if wanted.type in _DEVMAPS else 0)
    for what, is_, should in (
        ("type", info.type, wanted.type),
        ("key_size", info.key_size, wanted.key_size),
        ("value_size", info.value_size, wanted.value_size),
        ("max_entries", info.max_entries, _entries(wanted)),
        ("map_flags", flags, wanted.flags),
        ("map_extra", getattr(info, "map_extra", 0) or 0, wanted.map_extra),
    ):
        if is_ != should:
            return f"{what} {is_} is not {should}"
    return ""


def by_name(wanted: MapSpec) -> tuple[str, Fd | None]:
    """Path of a map that is pinned by its name, and the map if it is there already.

    PybpftoolError if another map has the place.
    """
    path = f"{_DEFAULT_DIRECTORY}/{wanted.name}"
    try:
        fd = calls.obj_get(path)
    except KernelError as error:
        if error.errno == errno.ENOENT:
            return path, None
        raise error.said(f"map '{wanted.name}': cannot open {path}") from error
    try:
        differs = fits(wanted, fd)
    except BaseException:
        fd.close()
        raise
    if differs:
        fd.close()
        raise PybpftoolError(f"map '{wanted.name}': the map pinned at {path} is another: {differs}")
    return path, fd


def put(wanted: MapSpec, fd: SupportsIndex, things: Sequence[tuple[int, SupportsIndex]]) -> None:
    """Put maps or programs into the slots of a map of such."""
    for slot, thing in things:
        with during(f"map '{wanted.name}': slot {slot}"):
            calls.map_update(fd, _u32(slot), _u32(thing.__index__()))


def _u32(number: int) -> bytes:
    return struct.pack("=I", number)
