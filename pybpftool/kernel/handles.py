"""The kernel's maps, programs, links and BTF objects: walking, opening, asking about them.

A handle is an open object: ``with Map.by_id(7) as map: map.info.key_size``.  It passes for its
file descriptor wherever ``calls`` wants one.  What a kernel does not report of an object is 0 or
empty in its information.
Sources: linux/bpf.h (struct bpf_*_info); the wording of refusals: spec 1.3, 2.1, 3.1.
"""

from __future__ import annotations

import errno
from operator import attrgetter

from ..errors import KernelError, PybpftoolError, during
from . import calls
from ._abi import ffi
from .bpffs import dirname, is_bpffs, pinned_paths
from .proc import fd_kind
from .syscall import Closing, Fd, lib
from .words import LINK_TYPES, MAP_TYPES, PROG_TYPES, word

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any, SupportsIndex

    from typing_extensions import Self


# ------------------------------------------------------------------ information


def _text(raw: Any) -> str:
    text: bytes = ffi.string(raw)
    return text.decode("utf-8", "surrogateescape")


_getters: dict[type, Callable[[Any], tuple[Any, ...]]] = {}


def _take(record: object, raw: Any) -> None:
    """Give ``record`` the fields of ``raw`` that its class declares; of texts there is ``name``.

    All at once: a list of many objects spends much of its time here.
    """
    kind = type(record)
    names = kind.__annotations__
    if kind not in _getters:
        _getters[kind] = attrgetter(*names)
    fields = record.__dict__
    fields.update(zip(names, _getters[kind](raw), strict=True))
    if "name" in fields:
        fields["name"] = _text(raw.name)


class MapInfo:
    """struct bpf_map_info: what the kernel tells of a map; sizes in bytes."""

    type: int
    id: int
    key_size: int
    value_size: int
    max_entries: int
    map_flags: int
    name: str
    ifindex: int
    btf_vmlinux_value_type_id: int
    netns_dev: int
    netns_ino: int
    btf_id: int
    btf_key_type_id: int
    btf_value_type_id: int
    btf_vmlinux_id: int
    map_extra: int

    def __init__(self, raw: Any) -> None:
        _take(self, raw)

    @property
    def type_name(self) -> str:
        """The type's word, or its number as text where none is known."""
        return word(MAP_TYPES, self.type) or str(self.type)


def map_info(fd: SupportsIndex) -> MapInfo:
    """What the kernel tells of the map ``fd``."""
    raw = ffi.new("struct bpf_map_info *")
    calls.obj_info(fd, raw)
    return MapInfo(raw)


class ProgInfo:
    """struct bpf_prog_info without its arrays but one; ``load_time`` in ns since boot.

    ``tag``: 8 bytes.  ``map_ids``: of the maps the program uses.  ``orphaned``: the device the
    program was loaded for is gone, and nothing else is known of it.
    """

    type: int
    id: int
    jited_prog_len: int
    xlated_prog_len: int
    load_time: int
    created_by_uid: int
    nr_map_ids: int
    name: str
    ifindex: int
    gpl_compatible: int
    netns_dev: int
    netns_ino: int
    nr_jited_ksyms: int
    nr_jited_func_lens: int
    btf_id: int
    func_info_rec_size: int
    nr_func_info: int
    nr_line_info: int
    nr_jited_line_info: int
    line_info_rec_size: int
    jited_line_info_rec_size: int
    nr_prog_tags: int
    run_time_ns: int
    run_cnt: int
    recursion_misses: int
    verified_insns: int
    attach_btf_obj_id: int
    attach_btf_id: int

    def __init__(self, raw: Any, map_ids: list[int], orphaned: bool = False) -> None:
        _take(self, raw)
        self.tag = bytes(raw.tag)
        self.map_ids = map_ids
        self.orphaned = orphaned

    @property
    def type_name(self) -> str:
        """The type's word, or its number as text where none is known."""
        return word(PROG_TYPES, self.type) or str(self.type)


_MAPS_EXPECTED = 64
"""As many as the kernel lets a program name by descriptors; one call brings the ids along."""


def prog_info(fd: SupportsIndex) -> ProgInfo:
    """What the kernel tells of the program ``fd``."""
    count = _MAPS_EXPECTED
    while True:
        room = ffi.new("u32[]", count)
        raw = ffi.new("struct bpf_prog_info *")
        raw.nr_map_ids = count
        raw.map_ids = int(ffi.cast("uintptr_t", room))
        try:
            calls.obj_info(fd, raw)
        except KernelError as error:
            if error.errno != errno.ENODEV:
                raise
            raw.nr_map_ids = 0
            return ProgInfo(raw, [], orphaned=True)
        if raw.nr_map_ids <= count:
            return ProgInfo(raw, ffi.unpack(room, raw.nr_map_ids))
        count = raw.nr_map_ids


_PROG_ARRAYS = {
    "jited_prog_insns": ("jited_prog_len", 1),
    "xlated_prog_insns": ("xlated_prog_len", 1),
    "map_ids": ("nr_map_ids", 4),
    "jited_ksyms": ("nr_jited_ksyms", 8),
    "jited_func_lens": ("nr_jited_func_lens", 4),
    "func_info": ("nr_func_info", "func_info_rec_size"),
    "line_info": ("nr_line_info", "line_info_rec_size"),
    "jited_line_info": ("nr_jited_line_info", "jited_line_info_rec_size"),
    "prog_tags": ("nr_prog_tags", 8),
}
"""array -> the field that counts its elements, and the bytes of one (or the field that says)."""


def prog_arrays(fd: SupportsIndex, sizes: ProgInfo, *names: str) -> dict[str, bytes]:
    """The arrays ``names`` of a program's information, as bytes in the machine's order.

    ``sizes``: the information itself.

    Elements: map_ids, jited_func_lens u32; jited_ksyms, jited_line_info u64; prog_tags 8 bytes;
    func_info and line_info structs of ``func_info_rec_size`` and ``line_info_rec_size`` bytes;
    xlated_prog_insns and jited_prog_insns the code.  Empty where the kernel keeps an array to
    itself (kptr_restrict, no CAP_SYSLOG).
    """
    raw = ffi.new("struct bpf_prog_info *")
    rooms: dict[str, bytearray] = {}
    for name in names:
        counter, step = _PROG_ARRAYS[name]
        count = getattr(sizes, counter)
        if isinstance(step, str):
            setattr(raw, step, getattr(sizes, step))
            step = getattr(sizes, step)
        rooms[name] = bytearray(count * step)
        if count:
            setattr(raw, counter, count)
            setattr(raw, name, int(ffi.cast("uintptr_t", ffi.from_buffer(rooms[name]))))
    calls.obj_info(fd, raw)
    found = {}
    for name, room in rooms.items():
        counter, _ = _PROG_ARRAYS[name]
        count = getattr(sizes, counter)
        got = min(count, getattr(raw, counter)) if getattr(raw, name) else 0
        found[name] = bytes(room[: len(room) // count * got]) if count else b""
    return found


class BtfInfo:
    """struct bpf_btf_info: ``btf_size`` in bytes; ``kernel_btf``: of the kernel or a module."""

    btf_size: int
    id: int
    kernel_btf: int

    def __init__(self, raw: Any, name: str) -> None:
        _take(self, raw)
        self.name = name


def btf_info(fd: SupportsIndex) -> BtfInfo:
    """What the kernel tells of the BTF object ``fd``.  Names and kernel BTF since Linux 5.11."""
    raw = ffi.new("struct bpf_btf_info *")
    calls.obj_info(fd, raw)
    if not raw.name_len:
        return BtfInfo(raw, "")
    room = ffi.new("char[]", raw.name_len + 1)
    raw = ffi.new(
        "struct bpf_btf_info *",
        {"name": int(ffi.cast("uintptr_t", room)), "name_len": ffi.sizeof(room)},
    )
    calls.obj_info(fd, raw)
    return BtfInfo(raw, _text(room))


_BTF_EXPECTED = 1 << 14
"""Bytes that hold the BTF of most programs, which one call then brings."""


def btf_blob(fd: SupportsIndex) -> bytes:
    """The raw BTF behind ``fd``."""
    size = _BTF_EXPECTED
    while True:
        data = bytearray(size)
        raw = ffi.new(
            "struct bpf_btf_info *",
            {"btf": int(ffi.cast("uintptr_t", ffi.from_buffer(data))), "btf_size": size},
        )
        calls.obj_info(fd, raw)
        if raw.btf_size <= size:
            return bytes(data[: raw.btf_size])
        size = raw.btf_size


class LinkInfo:
    """struct bpf_link_info: ``type``, ``id``, ``prog_id``, and ``fields``.

    ``fields``: the arm of the link's type under the kernel's names (so the struct of a
    perf_event link holds ``type`` and structs uprobe, kprobe, tracepoint, event of which one
    counts), structs as dicts; texts as str, arrays as lists of int in place of the pointers.
    Empty for types that have no arm, or none known here.
    """

    type: int
    id: int
    prog_id: int

    def __init__(self, raw: Any, fields: dict[str, Any]) -> None:
        _take(self, raw)
        self.fields = fields


_TEXT_ROOM = 4096
"""Bytes for a path or a name of a link; PATH_MAX is the longest of them."""

_LINK_TEXTS = {
    "raw_tracepoint": ("tp_name", "tp_name_len"),
    "iter": ("target_name", "target_name_len"),
    "uprobe_multi": ("path", "path_size"),
}
_LINK_ARRAYS = {
    "kprobe_multi": ("addrs", "cookies"),
    "uprobe_multi": ("offsets", "ref_ctr_offsets", "cookies"),
}
_PERF_ARMS = ("", "uprobe", "uprobe", "kprobe", "kprobe", "tracepoint", "event")
_PERF_TEXTS = {"uprobe": "file_name", "kprobe": "func_name", "tracepoint": "tp_name"}


def link_info(fd: SupportsIndex) -> LinkInfo:
    """What the kernel tells of the link ``fd``.

    Asked twice where there are texts or arrays: first for their sizes.
    """
    raw = ffi.new("struct bpf_link_info *")
    calls.obj_info(fd, raw)
    arm_name = LINK_TYPES[raw.type] if raw.type < len(LINK_TYPES) else ""
    if not hasattr(raw, arm_name):
        return LinkInfo(raw, {})
    first = getattr(raw, arm_name)
    again = ffi.new("struct bpf_link_info *")
    arm = getattr(again, arm_name)
    inner = ""
    rooms: dict[str, Any] = {}
    if arm_name in _LINK_TEXTS:
        name, size = _LINK_TEXTS[arm_name]
        rooms[name] = _point(arm, name, "char[]", _TEXT_ROOM)
        setattr(arm, size, _TEXT_ROOM)
    if arm_name in _LINK_ARRAYS and first.count:
        arm.count = first.count
        for name in _LINK_ARRAYS[arm_name]:
            rooms[name] = _point(arm, name, "u64[]", first.count)
    if arm_name == "perf_event" and first.type < len(_PERF_ARMS):
        inner = _PERF_ARMS[first.type]
        if inner in _PERF_TEXTS:
            arm = getattr(arm, inner)
            name = _PERF_TEXTS[inner]
            rooms[name] = _point(arm, name, "char[]", _TEXT_ROOM)
            arm.name_len = _TEXT_ROOM
    if rooms:
        calls.obj_info(fd, again)
        raw = again
    fields = _as_dict(getattr(raw, arm_name))
    arrays = _LINK_ARRAYS.get(arm_name, ())
    holder = fields[inner] if inner else fields
    holder.update({name: [] for name in arrays})
    for name, room in rooms.items():
        holder[name] = list(room) if name in arrays else _text(room)
    return LinkInfo(raw, fields)


def _point(arm: Any, name: str, kind: str, count: int) -> Any:
    room = ffi.new(kind, count)
    setattr(arm, name, int(ffi.cast("uintptr_t", room)))
    return room


def _as_dict(struct: Any) -> dict[str, Any]:
    values = {name: getattr(struct, name) for name in dir(struct)}
    return {
        name: value if isinstance(value, int) else _as_dict(value) for name, value in values.items()
    }


# ------------------------------------------------------------------ handles


class Handle(Closing):
    """An open object of one of the four kinds below; closed when it goes out of use.

    ``word``: the kind in messages.  ``_walk``, ``_open``: the names of its commands.
    ``_next``, ``_by_id``, ``_listed``: how refusals are told (``{}`` is the id).
    """

    __slots__ = ("_info", "fd")

    word = ""
    _walk = ""
    _open = ""
    _next = ""
    _by_id = ""
    _listed = ""

    def __init__(self, fd: Fd) -> None:
        self.fd = fd
        self._info: Any = None

    def fileno(self) -> int:
        """The number of the descriptor."""
        return self.fd.fileno()

    __index__ = fileno

    def close(self) -> None:
        """Close the descriptor; a second time does nothing."""
        self.fd.close()

    @classmethod
    def ids(cls) -> Iterator[int]:
        """All ids in ascending order; objects may come and go meanwhile.

        Raises KernelError, told as ``can't get next …``.
        """
        cmd = getattr(lib, cls._walk)
        last = 0
        while True:
            try:
                following = calls.next_id(cmd, last)
            except KernelError as error:
                old = " -- kernel too old?" if error.errno == errno.EINVAL else ""
                raise KernelError(
                    error.errno, cls._next, hint=error.hint, reason=error.reason + old
                ) from error
            if following is None:
                return
            last = following
            yield last

    @classmethod
    def by_id(cls, id: int, flags: int = 0) -> Self:
        """The object with ``id``; ``flags``: BPF_F_RDONLY or BPF_F_WRONLY, for maps only."""
        with during(cls._by_id.format(id)):
            return cls(calls.fd_by_id(getattr(lib, cls._open), id, flags))

    @classmethod
    def listed(cls, flags: int = 0) -> Iterator[Self]:
        """Every object in turn, open until the next one; those that vanish are skipped."""
        cmd = getattr(lib, cls._open)
        for number in cls.ids():
            try:
                handle = cls(calls.fd_by_id(cmd, number, flags))
            except KernelError as error:
                if error.errno == errno.ENOENT:
                    continue
                raise error.said(cls._listed.format(number)) from error
            with handle:
                yield handle

    @classmethod
    def pinned(cls, path: str, flags: int = 0) -> Self:
        """The object pinned at ``path``; PybpftoolError when it is of another kind."""
        fd = open_pin(path, flags)
        kind = fd_kind(fd)
        if kind != cls.word:
            raise PybpftoolError(f"incorrect object type: {kind}")
        return cls(fd)

    @classmethod
    def pins(cls) -> dict[int, list[str]]:
        """id -> paths where objects of this kind are pinned; empty when none is, anywhere."""
        return pinned_paths(cls.word)

    @classmethod
    def matching(cls, match: Callable[[Self], bool], flags: int = 0) -> list[Self]:
        """All objects for which ``match`` is true, open with the rights of ``flags``.

        An object that vanishes during the search is an error (spec 1.3).
        """
        cmd = getattr(lib, cls._open)
        looking = calls.BPF_F_RDONLY if cls is Map else 0
        found: list[Self] = []
        walk = cls.ids()
        while True:
            try:
                number = next(walk, None)
            except KernelError as error:
                raise PybpftoolError(error.reason, hint=error.hint) from error
            if number is None:
                return found
            with during(cls._listed.format(number)):
                handle = cls(calls.fd_by_id(cmd, number, looking))
            if match(handle):
                if looking != flags:
                    with during(cls._listed.format(number)):
                        handle = cls(calls.fd_by_id(cmd, number, flags))
                found.append(handle)


class Map(Handle):
    """An open map."""

    __slots__ = ()

    word = "map"
    _walk = "BPF_MAP_GET_NEXT_ID"
    _open = "BPF_MAP_GET_FD_BY_ID"
    _next = "can't get next map"
    _by_id = "get map by id ({})"
    _listed = "can't get map by id ({})"

    @property
    def info(self) -> MapInfo:
        """What the kernel tells of the map, asked once."""
        if self._info is None:
            with during("can't get map info"):
                self._info = map_info(self.fd)
        info: MapInfo = self._info
        return info

    @classmethod
    def named(cls, name: str, flags: int = 0) -> list[Map]:
        """All maps of that name, as far as the kernel keeps names (15 bytes)."""
        return cls.matching(lambda each: each.info.name == name, flags)


class Prog(Handle):
    """An open program."""

    __slots__ = ()

    word = "prog"
    _walk = "BPF_PROG_GET_NEXT_ID"
    _open = "BPF_PROG_GET_FD_BY_ID"
    _next = "can't get next program"
    _by_id = "get by id ({})"
    _listed = "can't get prog by id ({})"

    @property
    def info(self) -> ProgInfo:
        """What the kernel tells of the program, asked once."""
        if self._info is None:
            with during("can't get prog info"):
                self._info = prog_info(self.fd)
        info: ProgInfo = self._info
        return info

    def arrays(self, *names: str) -> dict[str, bytes]:
        """``prog_arrays`` of this program."""
        with during("can't get prog info"):
            return prog_arrays(self.fd, self.info, *names)

    @classmethod
    def named(
        cls, name: str, name_of: Callable[[Prog], str] = lambda prog: prog.info.name
    ) -> list[Prog]:
        """All programs of that name; ``name_of`` tells the whole name of one (spec 2.2)."""
        return cls.matching(lambda each: name_of(each) == name)

    @classmethod
    def tagged(cls, tag: bytes) -> list[Prog]:
        """All programs with the 8-byte ``tag``."""
        return cls.matching(lambda each: each.info.tag == tag)


class Link(Handle):
    """An open link."""

    __slots__ = ()

    word = "link"
    _walk = "BPF_LINK_GET_NEXT_ID"
    _open = "BPF_LINK_GET_FD_BY_ID"
    _next = "can't get next link"
    _by_id = "failed to get link with ID {}"
    _listed = "can't get link by id ({})"

    @property
    def info(self) -> LinkInfo:
        """What the kernel tells of the link, asked once."""
        if self._info is None:
            with during("can't get link info"):
                self._info = link_info(self.fd)
        info: LinkInfo = self._info
        return info


class Btf(Handle):
    """An open BTF object."""

    __slots__ = ()

    word = "btf"
    _walk = "BPF_BTF_GET_NEXT_ID"
    _open = "BPF_BTF_GET_FD_BY_ID"
    _next = "can't get next BTF object"
    _by_id = "can't get BTF object by id ({})"
    _listed = "can't get BTF object by id ({})"

    @property
    def info(self) -> BtfInfo:
        """What the kernel tells of the BTF object, asked once."""
        if self._info is None:
            with during("can't get BTF object info"):
                self._info = btf_info(self.fd)
        info: BtfInfo = self._info
        return info

    def blob(self) -> bytes:
        """The raw BTF."""
        with during("can't get BTF object info"):
            return btf_blob(self.fd)


def open_pin(path: str, flags: int = 0) -> Fd:
    """Whatever is pinned at ``path``.

    A forbidden path is told by its directory, and that it may be no BPF file system (spec 1.3).
    """
    try:
        return calls.obj_get(path, flags)
    except KernelError as error:
        reason = None
        if error.errno == errno.EACCES:
            path = dirname(path)
            if not is_bpffs(path):
                reason = "directory not in bpf file system (bpffs)"
        raise KernelError(
            error.errno, f"bpf obj get ({path})", hint=error.hint, reason=reason
        ) from error
