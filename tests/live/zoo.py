"""Maps of every kind that this kernel can make, filled with something to show.

A ``Kind`` says how to make a map; a ``Zoo`` makes them, and keeps them while the tests look.
"""

from __future__ import annotations

import errno
import os
import socket
import struct
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import NamedTuple

from pybpftool.errors import KernelError
from pybpftool.kernel import calls, perf
from pybpftool.kernel._abi import ffi
from pybpftool.kernel.handles import map_info
from pybpftool.kernel.proc import possible_cpus
from pybpftool.kernel.syscall import Fd
from pybpftool.kernel.words import MAP_TYPES
from tests.support.btf_builder import BOOL, CHAR, BtfBuilder
from tests.support.live import RETURN_0
from tests.support.need import kernel_lacks

PAGE = os.sysconf("SC_PAGE_SIZE")
NO_PREALLOC, MMAPABLE = 1 << 0, 1 << 10
SCHED_CLS = 3

TOKEN = f"{os.getpid() & 0xFFFF:04x}"
"""Begins the name of every map these tests make: other runs on the same kernel have another."""

LACKING = {errno.EINVAL, errno.E2BIG, errno.EOPNOTSUPP, errno.ENOENT, errno.ENOSYS, 524}
"""What kernels answer to a map they cannot make."""


def full_name(short: str) -> str:
    """The name of a test's map as the kernel has it."""
    return f"{TOKEN}_{short}"


def u32(number: int) -> bytes:
    return struct.pack("=I", number)


def words_of(data: bytes) -> list[str]:
    """Bytes as the words of a command line."""
    return [str(byte) for byte in data]


# ------------------------------------------------------------------ kinds

Entries = Sequence[tuple[bytes | None, bytes]]


class Kind(NamedTuple):
    """How to make a map.

    ``name``: with which it goes by in tests.  ``flags``, ``entries``: map_flags, max_entries.
    ``fill(stack)``: its keys and values; ``stack`` keeps what they stand for.
    ``fields(stack)``: more fields of the map_create arm.
    ``everywhere``: every kernel that pybpftool knows can make it.
    ``missing``: a key it does not hold.
    """

    name: str
    type: str
    key: int
    value: int
    entries: int = 4
    flags: int = 0
    fill: Callable[[ExitStack], Entries] = lambda stack: ()
    fields: Callable[[ExitStack], dict[str, int]] = lambda stack: {}
    everywhere: bool = True
    missing: bytes | None = None


def pattern(size: int, seed: int) -> bytes:
    """Bytes that differ from place to place and from seed to seed."""
    return bytes((seed * 37 + at * 11) & 0xFF for at in range(size))


def indexed(value: int, count: int = 3) -> Callable[[ExitStack], Entries]:
    return lambda stack: [(u32(at), pattern(value, at)) for at in range(count)]


def hashed(key: int, value: int, count: int = 3) -> Callable[[ExitStack], Entries]:
    return lambda stack: [(pattern(key, at + 1), pattern(value, at)) for at in range(count)]


def per_cpu(value: int, keys: Sequence[bytes]) -> Callable[[ExitStack], Entries]:
    step = (value + 7) & ~7
    return lambda stack: [
        (
            key,
            b"".join(pattern(value, at + cpu).ljust(step, b"\0") for cpu in range(possible_cpus())),
        )
        for at, key in enumerate(keys)
    ]


SIZES = [
    # every branch of the layout: one line or two, blocks of eight and sixteen, broken lines
    (1, 1),
    (2, 2),
    (4, 4),
    (4, 8),
    (8, 8),
    (8, 9),
    (8, 16),
    (9, 16),
    (12, 12),
    (12, 13),
    (16, 1),
    (16, 16),
    (17, 1),
    (1, 17),
    (4, 17),
    (24, 24),
    (40, 40),
    (4, 2),
    (2, 1000),
]


def _inner(stack: ExitStack, count: int = 1) -> list[Fd]:
    return [
        stack.enter_context(calls.map_create(2, 4, 4, 1, full_name("in"))) for _ in range(count)
    ]


def _inner_maps(keys: Sequence[bytes]) -> Callable[[ExitStack], Entries]:
    return lambda stack: [
        (key, u32(fd.fileno())) for key, fd in zip(keys, _inner(stack, len(keys)), strict=True)
    ]


def _inner_fd(stack: ExitStack) -> dict[str, int]:
    return {"inner_map_fd": _inner(stack)[0].fileno()}


def _program(stack: ExitStack) -> Entries:
    prog = stack.enter_context(calls.prog_load(SCHED_CLS, RETURN_0, name=full_name("p")))
    return [(u32(0), u32(prog.fileno())), (u32(2), u32(prog.fileno()))]


def _event(stack: ExitStack) -> Entries:
    attr = ffi.new("struct perf_event_attr *", {"type": 1, "config": 10, "sample_type": 1 << 10})
    return [(u32(0), u32(stack.enter_context(perf.perf_event_open(attr, -1, 0)).fileno()))]


def _cgroup(stack: ExitStack) -> Entries:
    with open("/proc/mounts") as mounts:
        places = [line.split()[1] for line in mounts if line.split()[2] == "cgroup2"]
    if not places:
        return ()
    fd = Fd(os.open(places[0], os.O_RDONLY | os.O_DIRECTORY))
    return [(u32(1), u32(stack.enter_context(fd).fileno()))]


def _tcp_sockets(stack: ExitStack) -> list[socket.socket]:
    server = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
    near = stack.enter_context(socket.create_connection(server.getsockname()))
    return [near, stack.enter_context(server.accept()[0])]


def _sockets(value: int, keys: Sequence[bytes]) -> Callable[[ExitStack], Entries]:
    form = "=I" if value == 4 else "=Q"
    return lambda stack: [
        (key, struct.pack(form, sock.fileno()))
        for key, sock in zip(keys, _tcp_sockets(stack), strict=False)
    ]


def _reuseport(value: int) -> Callable[[ExitStack], Entries]:
    def fill(stack: ExitStack) -> Entries:
        sock = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        sock.bind(("127.0.0.1", 0))
        return [(u32(1), struct.pack("=I" if value == 4 else "=Q", sock.fileno()))]

    return fill


def _trie(stack: ExitStack) -> Entries:
    prefixes = [(0, b"\0\0\0\0"), (8, b"\x0a\0\0\0"), (24, b"\xc0\xa8\1\0"), (32, b"\xc0\xa8\1\7")]
    return [(u32(bits) + net, pattern(4, bits)) for bits, net in prefixes]


def _pushed(value: int) -> Callable[[ExitStack], Entries]:
    return lambda stack: [(None, pattern(value, at)) for at in range(3)]


_KEYS4 = [u32(7), u32(0xC0FFEE)]

PLAIN_KINDS = [
    *(Kind(f"h{key}_{value}", "hash", key, value, fill=hashed(key, value)) for key, value in SIZES),
    *(
        Kind(f"a{value}", "array", 4, value, fill=indexed(value, 4))
        for value in (1, 4, 8, 16, 17, 20, 21, 40)
    ),
    *(
        Kind(f"pa{value}", "percpu_array", 4, value, fill=per_cpu(value, [u32(0), u32(1)]))
        for value in (1, 8, 9, 16, 17, 24)
    ),
    *(
        Kind(
            f"ph{key}_{value}",
            "percpu_hash",
            key,
            value,
            fill=per_cpu(value, [pattern(key, 1), pattern(key, 2)]),
        )
        for key, value in ((1, 1), (4, 12), (16, 16), (17, 4), (24, 40))
    ),
    Kind("h_empty", "hash", 4, 4),
    Kind("h_one", "hash", 4, 4, fill=hashed(4, 4, 1)),
    Kind("h_nopre", "hash", 4, 4, flags=NO_PREALLOC, fill=hashed(4, 4)),
    Kind("h_many", "hash", 4, 8, entries=3000, fill=hashed(4, 8, 200)),
    Kind("a_many", "array", 4, 3, entries=1000, fill=indexed(3, 1000), missing=u32(1000)),
    Kind("a_mmap", "array", 4, 8, flags=MMAPABLE, fill=indexed(8, 4)),
    Kind("lru", "lru_hash", 4, 4, entries=64, fill=hashed(4, 4)),
    Kind("lru_pc", "lru_percpu_hash", 4, 9, entries=64, fill=per_cpu(9, _KEYS4)),
    Kind("lpm", "lpm_trie", 8, 4, flags=NO_PREALLOC, fill=_trie, missing=u32(32) + b"\x7f\0\0\1"),
    Kind("lpm_none", "lpm_trie", 20, 1, flags=NO_PREALLOC),
    Kind("aom", "array_of_maps", 4, 4, fill=_inner_maps([u32(0), u32(2)]), fields=_inner_fd),
    Kind("hom", "hash_of_maps", 4, 4, fill=_inner_maps(_KEYS4), fields=_inner_fd),
    Kind("hom_wide", "hash_of_maps", 24, 4, fill=_inner_maps([b"k" * 24]), fields=_inner_fd),
    Kind("hom16", "hash_of_maps", 16, 4, fill=_inner_maps([b"k" * 16]), fields=_inner_fd),
    Kind("progs", "prog_array", 4, 4, fill=_program),
    Kind("progs_none", "prog_array", 4, 4),
    Kind("events", "perf_event_array", 4, 4, fill=_event),
    Kind("cgroups", "cgroup_array", 4, 4, fill=_cgroup),
    Kind("stacks", "stack_trace", 4, 64),
    Kind("queue", "queue", 0, 4, fill=_pushed(4)),
    Kind("queue20", "queue", 0, 20, fill=_pushed(20)),
    Kind("queue_none", "queue", 0, 4),
    Kind("stack", "stack", 0, 8, fill=_pushed(8)),
    Kind("bloom", "bloom_filter", 0, 4, fill=_pushed(4)),
    Kind("ring", "ringbuf", 0, 0, entries=PAGE),
    Kind("user_ring", "user_ringbuf", 0, 0, entries=PAGE, everywhere=False),
    Kind("arena", "arena", 0, 0, flags=MMAPABLE, everywhere=False),
    Kind("dev", "devmap", 4, 4, fill=lambda stack: [(u32(1), u32(1))]),
    Kind("dev8", "devmap", 4, 8, fill=lambda stack: [(u32(1), struct.pack("=II", 1, 0))]),
    Kind("devh", "devmap_hash", 4, 4, fill=lambda stack: [(u32(9), u32(1))]),
    Kind("cpu", "cpumap", 4, 4, fill=lambda stack: [(u32(0), u32(192))]),
    Kind("cpu8", "cpumap", 4, 8, fill=lambda stack: [(u32(1), struct.pack("=II", 64, 0))]),
    Kind("xsk", "xskmap", 4, 4, everywhere=False),
    Kind("sock", "sockmap", 4, 4, fill=_sockets(4, [u32(0), u32(3)]), everywhere=False),
    Kind("sock8", "sockmap", 4, 8, fill=_sockets(8, [u32(0), u32(3)]), everywhere=False),
    Kind("sockh", "sockhash", 6, 4, fill=_sockets(4, [b"abcdef", b"ghijkl"]), everywhere=False),
    Kind("sockh8", "sockhash", 6, 8, fill=_sockets(8, [b"abcdef", b"ghijkl"]), everywhere=False),
    Kind("port", "reuseport_sockarray", 4, 4, fill=_reuseport(4)),
    Kind("port8", "reuseport_sockarray", 4, 8, fill=_reuseport(8)),
    Kind("cg", "cgroup_storage", 16, 4, entries=0, everywhere=False),
    Kind("cg8", "cgroup_storage", 8, 20, entries=0, everywhere=False),
    Kind("cg_pc", "percpu_cgroup_storage", 16, 4, entries=0, everywhere=False),
]


# ------------------------------------------------------------------ kinds with types


INT = 1
"""The id of ``int`` in the types below."""


class Typed(NamedTuple):
    """The type of a value and what to show of it."""

    name: str
    type: str
    value_type: int
    values: Sequence[bytes]
    key_type: int = INT
    keys: Sequence[bytes] = ()


def _typed() -> tuple[bytes, list[Typed]]:
    b = BtfBuilder(sys.byteorder)
    # fmt: off
    s32 = b.int("int", 4, signed=True)
    u8, s8 = b.int("unsigned char", 1), b.int("signed char", 1, signed=True)
    u16, s16 = b.int("unsigned short", 2), b.int("short", 2, signed=True)
    u32_ = b.int("unsigned int", 4)
    u64, s64 = b.int("unsigned long", 8), b.int("long", 8, signed=True)
    flag, letter = b.int("_Bool", 1, encoding=BOOL), b.int("letter", 1, encoding=CHAR)
    char = b.char()
    wide, swide = b.int("unsigned __int128", 16), b.int("__int128", 16, signed=True)
    b24 = b.int("b24", 4, bits=24)
    color = b.enum("color", [("RED", 0), ("GREEN", 1), ("BLUE", 7)])
    sign = b.enum("sign", [("MINUS", -1), ("PLUS", 1)], signed=True)
    tiny = b.enum("tiny", [("ONE", 1), ("TWO", 2)], size=1)
    huge = b.enum64("huge", [("SMALL", 1), ("LARGE", 1 << 40), ("ALL", (1 << 64) - 1)])

    scalars = b.struct("scalars", 32, [
        ("a", u8, 0), ("b", s8, 8), ("c", u16, 16), ("d", s32, 32), ("e", u64, 64),
        ("f", s64, 128), ("g", s16, 192), ("h", flag, 208), ("i", letter, 216), ("j", u32_, 224)])
    bits = b.struct("bits", 16, [
        ("a", u32_, 0, 3), ("b", u32_, 3, 5), ("c", s32, 8, 8), ("d", u32_, 16, 16),
        ("e", u64, 64, 40), ("f", color, 104, 3), ("g", u32_, 107, 21)])
    enums = b.struct("enums", 24, [
        ("a", color, 0), ("b", sign, 32), ("c", tiny, 64), ("d", huge, 128)])
    ints3, grid = b.array(s32, 3), b.array(b.array(u8, 2), 2)
    text, none = b.array(char, 8), b.array(s32, 0)
    alias = b.typedef("chr", char)
    texts = b.array(text, 2)
    arrays = b.struct("arrays", 48, [
        ("a", ints3, 0), ("b", grid, 96), ("c", text, 128), ("d", b.array(alias, 4), 192),
        ("e", texts, 224), ("f", none, 352)])
    letters = b.array(letter, 4)
    pointers = b.struct("pointers", 16, [("a", b.ptr(u8), 0), ("b", b.ptr(0), 64)])
    inner = b.struct("inner", 4, [("x", s16, 0), ("y", s16, 16)])
    choice = b.union("choice", 8, [("l", u64, 0), ("i", inner, 0), ("c", text, 0)])
    nameless = b.struct("", 4, [("p", u16, 0), ("q", u16, 16)])
    either = b.union("", 4, [("r", u32_, 0), ("", nameless, 0)])
    empty = b.struct("empty", 0, [])
    nested = b.struct("nested", 24, [
        ("a", inner, 0), ("", either, 32), ("b", choice, 64), ("c", b.array(inner, 2), 128),
        ("d", empty, 192)])
    mods = b.struct("mods", 24, [
        ("a", b.const(b.volatile(s32)), 0), ("b", b.typedef("T", b.typedef("U", u8)), 32),
        ("c", b.array(b.const(char), 4), 40), ("d", b.restrict(b.ptr(0)), 128)])
    odd = b.struct("odd", 8, [("a", b24, 0), ("b", b24, 32)])
    wides = b.struct("wides", 32, [("a", wide, 0), ("b", swide, 128)])
    pair = b.struct("pair", 8, [("kind", color, 0), ("port", u16, 32), ("pad", u16, 48)])
    section = b.datasec(".bss", 8, [(b.var("first", u32_), 0, 4), (b.var("second", s32), 4, 4)])
    # fmt: on
    numbers = [
        struct.pack("=BbHiQqh?cI", 200, -2, 65535, -70000, 1 << 63, -1, -3, flag_, c, 1)
        for flag_, c in ((True, b"c"), (False, b"\x81"), (True, b"\t"))
    ]
    return b.blob(), [
        Typed("t_scalar", "hash", scalars, numbers),
        Typed("t_bits", "hash", bits, [pattern(16, 3), b"\xff" * 16, bytes(16)]),
        Typed(
            "t_enums",
            "hash",
            enums,
            [
                struct.pack("=IiB7xQ", 1, -1, 2, 1 << 40),
                struct.pack("=IiB7xQ", 9, -5, 200, (1 << 64) - 1),
                struct.pack("=IiB7xQ", 0xFFFFFFFF, 1, 1, 1 << 50),
            ],
        ),
        Typed(
            "t_arrays",
            "hash",
            arrays,
            [
                struct.pack(
                    "=3i4s8s4s8s8s4x", -1, 0, 7, b"\1\2\3\4", b"hello", b"abc", b"one", b"two"
                ),
                struct.pack("=3i4s8s4s8s8s4x", 1, 2, 3, bytes(4), b"12345678", b"\xff", b"\n", b""),
                struct.pack(
                    "=3i4s8s4s8s8s4x", 1, 2, 3, bytes(4), b'q"q', b"\0", b"a\tb", b"~ \x7f"
                ),
            ],
        ),
        Typed("t_letters", "hash", letters, [b"ab\0\0", b"abcd", b"\1\2\3\4"]),
        Typed("t_backsl", "hash", text, [b"back\\sl\0"]),
        Typed("t_ptrs", "hash", pointers, [bytes(16), struct.pack("=QQ", 0xDEADBEEF, 1 << 63)]),
        Typed("t_nested", "hash", nested, [pattern(24, 5), bytes(24)]),
        Typed("t_mods", "hash", mods, [struct.pack("=iB4s7xQ", -4, 9, b"xy\0", 0)]),
        Typed("t_odd", "hash", odd, [pattern(8, 2)]),
        Typed(
            "t_wides",
            "hash",
            wides,
            [struct.pack("=4Q", 5, 0, 1, 1 << 63), struct.pack("=4Q", 0, 7, 0, 0)],
        ),
        Typed("t_int", "array", s32, [struct.pack("=i", -1), bytes(4)]),
        Typed("t_list", "array", ints3, [pattern(12, 1), pattern(12, 9)]),
        Typed("t_pa", "percpu_array", scalars, numbers[:2]),
        Typed("t_ph", "percpu_hash", nested, [pattern(24, 5)]),
        Typed("t_lruph", "lru_percpu_hash", u8, [b"\7", b"\x80"]),
        Typed("t_lru", "lru_hash", flag, [b"\1", b"\0"]),
        Typed(
            "t_key",
            "hash",
            color,
            [u32(7), u32(3)],
            pair,
            [struct.pack("=IHH", 1, 80, 0), struct.pack("=IHH", 4, 443, 1)],
        ),
        Typed("t_keytext", "hash", s64, [struct.pack("=q", -1)], text, [b"key\0\0\0\0\0"]),
        Typed("t_bss", "array", section, [struct.pack("=Ii", 1, -1)], 0),
        Typed("t_empty", "hash", scalars, []),
    ]


TYPED_BLOB, TYPED = _typed()


def types_of(key: int, value: int) -> Callable[[ExitStack], dict[str, int]]:
    def fields(stack: ExitStack) -> dict[str, int]:
        btf = stack.enter_context(calls.btf_load(TYPED_BLOB))
        return {
            "btf_fd": btf.fileno(),
            "btf_key_type_id": key,
            "btf_value_type_id": value,
        }

    return fields


def _typed_kind(typed: Typed) -> Kind:
    keys = typed.keys or [u32(at) for at in range(len(typed.values))]
    cpus = possible_cpus() if "percpu" in typed.type else 1

    def fill(stack: ExitStack) -> Entries:
        # a per-CPU value is the same on every CPU but for its last byte
        return [
            (
                key,
                b"".join(
                    (value[:-1] + bytes([value[-1] ^ cpu])).ljust(len(value) + 7 & ~7, b"\0")
                    for cpu in range(cpus)
                )
                if "percpu" in typed.type
                else value,
            )
            for key, value in zip(keys, typed.values, strict=True)
        ]

    size = len(typed.values[0]) if typed.values else 32
    return Kind(
        typed.name,
        typed.type,
        len(keys[0]) if keys else 4,
        size,
        entries=1 if typed.key_type == 0 else 8,
        fill=fill,
        fields=types_of(typed.key_type, typed.value_type),
    )


TYPED_KINDS = [_typed_kind(typed) for typed in TYPED]

_LONG = next(typed.value_type for typed in TYPED if typed.name == "t_keytext")

STORAGE_KINDS = [
    Kind(name, name, 4, 8, 0, NO_PREALLOC, fields=types_of(INT, _LONG), everywhere=everywhere)
    for name, everywhere in (
        ("sk_storage", True),
        ("inode_storage", False),
        ("task_storage", False),
        ("cgrp_storage", False),
    )
]

KINDS = {kind.name: kind for kind in [*PLAIN_KINDS, *TYPED_KINDS, *STORAGE_KINDS]}


# ------------------------------------------------------------------ maps


class Made(NamedTuple):
    """A map that is there: the descriptor, its id, name, pin, and what was put in."""

    kind: Kind
    fd: Fd
    id: int
    name: str
    path: str
    entries: Entries


@contextmanager
def made(kind: Kind, directory: str, name: str = "") -> Iterator[Made]:
    """A map of ``kind``, pinned in ``directory``; skips the test where the kernel has none.

    ``name``: another than the kind's.
    """
    path = os.path.join(directory, kind.name)
    name = full_name(name or kind.name)
    with ExitStack() as stack:
        number = MAP_TYPES.index(kind.type)
        try:
            fd = stack.enter_context(
                calls.map_create(
                    number,
                    kind.key,
                    kind.value,
                    kind.entries,
                    name,
                    kind.flags,
                    **kind.fields(stack),
                )
            )
        except KernelError as error:
            if kind.everywhere or error.errno not in LACKING:
                raise
            kernel_lacks(f"maps of type {kind.type}", error.reason)
        entries = kind.fill(stack)
        for key, value in entries:
            calls.map_update(fd, key, value)
        calls.obj_pin(fd, path)
        stack.callback(os.unlink, path)
        yield Made(kind, fd, calls.obj_id(fd), map_info(fd).name, path, entries)
