"""The kernel's part of bpf(2), played in this process: no root, no kernel, any errno.

A ``Tape`` answers by a script, or by rules, and fails the test on a call it does not expect::

    with Tape(("MAP_GET_NEXT_ID", gives(next_id=7)), ("MAP_GET_NEXT_ID", -errno.ENOENT)) as tape:
        ...                                   # exactly these calls, in this order

    with Tape(MAP_UPDATE_ELEM=-errno.EPERM) as tape:
        ...                                   # this answer, however often
    assert tape.calls == ["MAP_UPDATE_ELEM"]

An answer is the result (negative: the errno), or a function that gets the arm of bpf_attr the
command speaks, may write into it, and gives the result.  ``gives`` makes one that sets fields;
``memory(address, size)`` is the caller's buffer behind a pointer field; ``new_fd()`` a real
descriptor to hand out (of /dev/null: it can be closed, and leaks show).

A ``Kernel`` is a Tape with maps, programs and BTF in it, enough for whole commands::

    with Kernel() as kernel:
        kernel.add_map(7, type=1, name="m", key_size=4, value_size=4, entries={b"k0k0": b"v0v0"})
        pybpftool("map", "dump", "id", "7")

Rules given to it (``Kernel(MAP_FREEZE=-errno.EPERM)``) come before its own behaviour.
Python's own view of its descriptors (fdinfo, links in /proc) is not played.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from typing import Any

from pybpftool.kernel import syscall
from pybpftool.kernel._abi import ffi

Answer = int | Callable[[Any], int]


def memory(address: int, size: int) -> Any:
    """The ``size`` bytes at ``address``, readable and writable in place."""
    return ffi.buffer(ffi.cast("char *", address), size)


def gives(result: int = 0, **fields: int) -> Callable[[Any], int]:
    """An answer that sets ``fields`` of the arm and returns ``result``."""

    def answer(arm: Any) -> int:
        for name, value in fields.items():
            setattr(arm, name, value)
        return result

    return answer


def new_fd() -> int:
    """A descriptor that is the caller's to close."""
    return os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)


class Tape:
    """Answers bpf(2) inside a ``with`` block; ``calls`` holds the commands that were given."""

    def __init__(self, *script: tuple[str, Answer], **rules: Answer) -> None:
        self.script = list(script)
        self.rules = rules
        self.calls: list[str] = []
        self.sizes: list[int] = []

    def __enter__(self) -> Tape:
        self._invoke = syscall.invoke
        syscall.invoke = self._answer
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        syscall.invoke = self._invoke
        if kind is None:
            assert not self.script, f"never called: {[name for name, _ in self.script]}"

    def _answer(self, cmd: int, attr: Any, size: int) -> int:
        name = ffi.typeof("enum bpf_cmd").elements[cmd].removeprefix("BPF_")
        self.calls.append(name)
        self.sizes.append(size)
        answer = self.answer_to(name)
        if isinstance(answer, int):
            return answer
        return answer(getattr(attr, syscall.ARMS[cmd]))

    def answer_to(self, name: str) -> Answer:
        """The answer to the command ``name``: the script's next, else the rule."""
        if self.script:
            expected, answer = self.script.pop(0)
            assert name == expected, f"{name} was called where {expected} should be"
            return answer
        assert name in self.rules, f"unexpected call of {name}"
        return self.rules[name]


class FakeMap:
    """A map of a ``Kernel``: ``info`` (fields of struct bpf_map_info), ``entries``."""

    def __init__(self, info: dict[str, Any], entries: dict[bytes, bytes]) -> None:
        self.info = info
        self.entries = entries

    @property
    def key_size(self) -> int:
        return int(self.info["key_size"])

    @property
    def width(self) -> int:
        """Bytes of a value as bpf(2) carries it, for all CPUs together."""
        return len(next(iter(self.entries.values()), bytes(self.info["value_size"])))


PROG_ARRAYS = {
    "jited_prog_insns": ("jited_prog_len", 1),
    "xlated_prog_insns": ("xlated_prog_len", 1),
    "map_ids": ("nr_map_ids", 4),
    "jited_ksyms": ("nr_jited_ksyms", 8),
    "jited_func_lens": ("nr_jited_func_lens", 4),
    "func_info": ("nr_func_info", 8),
    "line_info": ("nr_line_info", 16),
    "jited_line_info": ("nr_jited_line_info", 8),
}
"""Arrays of struct bpf_prog_info: what counts them, and the bytes of an element."""


class FakeProg:
    """A program of a ``Kernel``: ``info`` (fields of struct bpf_prog_info), ``arrays`` (bytes).

    ``hidden``: arrays of which only the size is told.
    """

    def __init__(self, info: dict[str, Any], arrays: dict[str, bytes], hidden: set[str]) -> None:
        self.info = info
        self.arrays = arrays
        self.hidden = hidden

    def fill(self, asked: Any) -> Any:
        """The information in answer to what ``asked`` points to and counts."""
        told = ffi.new("struct bpf_prog_info *", self.info)
        for name, (counter, step) in PROG_ARRAYS.items():
            data = self.arrays.get(name, b"")
            count, room, place = len(data) // step, getattr(asked, counter), getattr(asked, name)
            if data and name.endswith("_info"):
                setattr(told, f"{name}_rec_size", step)
            setattr(told, counter, count)
            if name not in self.hidden and place:
                setattr(told, name, place)
                size = min(count, room) * step
                memory(place, size)[:] = data[:size]
        return told


class FakeBtf:
    """A BTF object of a ``Kernel``."""

    def __init__(self, id: int, blob: bytes) -> None:
        self.id = id
        self.blob = blob

    def fill(self, asked: Any) -> Any:
        """The information in answer to what ``asked`` points to."""
        told = ffi.new("struct bpf_btf_info *", {"id": self.id, "btf_size": len(self.blob)})
        size = min(asked.btf_size, len(self.blob))
        if asked.btf:
            memory(asked.btf, size)[:] = self.blob[:size]
        return told


class Kernel(Tape):
    """Maps, programs and BTF by id, and the commands that list, read and change them."""

    def __init__(self, **rules: Answer) -> None:
        super().__init__(**rules)
        self.maps: dict[int, FakeMap] = {}
        self.progs: dict[int, FakeProg] = {}
        self.btfs: dict[int, FakeBtf] = {}
        self._open: dict[int, Any] = {}

    def __enter__(self) -> Kernel:
        super().__enter__()
        return self

    def add_map(
        self,
        id: int,
        *,
        type: int,
        key_size: int,
        value_size: int,
        name: str = "",
        max_entries: int = 8,
        entries: dict[bytes, bytes] | None = None,
        **info: int,
    ) -> FakeMap:
        """A map that is there from now on; ``info``: further fields of struct bpf_map_info."""
        known = dict(
            info,
            id=id,
            type=type,
            key_size=key_size,
            value_size=value_size,
            name=name.encode(),
            max_entries=max_entries,
        )
        self.maps[id] = FakeMap(known, dict(entries or {}))
        return self.maps[id]

    def add_prog(
        self,
        id: int,
        *,
        type: int,
        name: str = "",
        tag: bytes = bytes(8),
        arrays: dict[str, bytes] | None = None,
        hidden: set[str] | None = None,
        **info: int,
    ) -> FakeProg:
        """A program that is there from now on; ``info``: further fields of bpf_prog_info."""
        known = dict(info, id=id, type=type, name=name.encode(), tag=tag)
        self.progs[id] = FakeProg(known, dict(arrays or {}), set(hidden or ()))
        return self.progs[id]

    def add_btf(self, id: int, blob: bytes) -> None:
        """A BTF object that is there from now on."""
        self.btfs[id] = FakeBtf(id, blob)

    def answer_to(self, name: str) -> Answer:
        if name in self.rules:
            return self.rules[name]
        behaviour: Answer | None = getattr(self, f"_{name.lower()}", None)
        assert behaviour is not None, f"unexpected call of {name}"
        return behaviour

    # Each of these plays one command; the name is the command's.

    def _next_id(self, known: dict[int, Any], arm: Any) -> int:
        following = [each for each in sorted(known) if each > arm.start_id]
        if not following:
            return -errno.ENOENT
        arm.next_id = following[0]
        return 0

    def _opened(self, known: dict[int, Any], id: int) -> int:
        if id not in known:
            return -errno.ENOENT
        fd = new_fd()
        self._open[fd] = known[id]
        return fd

    def _map_get_next_id(self, arm: Any) -> int:
        return self._next_id(self.maps, arm)

    def _prog_get_next_id(self, arm: Any) -> int:
        return self._next_id(self.progs, arm)

    def _btf_get_next_id(self, arm: Any) -> int:
        return self._next_id(self.btfs, arm)

    def _link_get_next_id(self, arm: Any) -> int:
        return -errno.ENOENT

    def _map_get_fd_by_id(self, arm: Any) -> int:
        return self._opened(self.maps, arm.map_id)

    def _prog_get_fd_by_id(self, arm: Any) -> int:
        return self._opened(self.progs, arm.prog_id)

    def _btf_get_fd_by_id(self, arm: Any) -> int:
        return self._opened(self.btfs, arm.btf_id)

    def _map_create(self, arm: Any) -> int:
        number = max(self.maps, default=0) + 1
        self.add_map(
            number,
            type=arm.map_type,
            key_size=arm.key_size,
            value_size=arm.value_size,
            name=ffi.string(arm.map_name).decode(),
            max_entries=arm.max_entries,
            map_flags=arm.map_flags,
        )
        fd = new_fd()
        self._open[fd] = self.maps[number]
        return fd

    def _obj_get_info_by_fd(self, arm: Any) -> int:
        fake = self._open[arm.bpf_fd]
        if isinstance(fake, FakeMap):
            raw = ffi.new("struct bpf_map_info *", fake.info)
        else:
            kind = "btf" if isinstance(fake, FakeBtf) else "prog"
            raw = fake.fill(ffi.cast(f"struct bpf_{kind}_info *", arm.info))
        arm.info_len = min(arm.info_len, ffi.sizeof(raw[0]))
        memory(arm.info, arm.info_len)[:] = ffi.buffer(raw)[: arm.info_len]
        return 0

    def _map_lookup_elem(self, arm: Any) -> int:
        fake = self._open[arm.map_fd]
        value = fake.entries.get(memory(arm.key, fake.key_size)[:])
        if value is None:
            return -errno.ENOENT
        memory(arm.value, len(value))[:] = value
        return 0

    def _map_update_elem(self, arm: Any) -> int:
        fake = self._open[arm.map_fd]
        key = memory(arm.key, fake.key_size)[:]
        if arm.flags == 1 and key in fake.entries:
            return -errno.EEXIST
        if arm.flags == 2 and key not in fake.entries:
            return -errno.ENOENT
        if key not in fake.entries and len(fake.entries) >= fake.info["max_entries"]:
            return -errno.E2BIG
        fake.entries[key] = memory(arm.value, fake.width)[:]
        return 0

    def _map_delete_elem(self, arm: Any) -> int:
        fake = self._open[arm.map_fd]
        gone = fake.entries.pop(memory(arm.key, fake.key_size)[:], None)
        return -errno.ENOENT if gone is None else 0

    def _map_get_next_key(self, arm: Any) -> int:
        fake = self._open[arm.map_fd]
        keys = list(fake.entries)
        key = memory(arm.key, fake.key_size)[:] if arm.key else None
        at = keys.index(key) + 1 if key in keys else 0
        if at == len(keys):
            return -errno.ENOENT
        memory(arm.next_key, fake.key_size)[:] = keys[at]
        return 0

    def _map_lookup_batch(self, arm: Any) -> int:
        fake = self._open[arm.map_fd]
        at = int.from_bytes(memory(arm.in_batch, 4)[:], "little") if arm.in_batch else 0
        batch = list(fake.entries.items())[at : at + arm.count]
        last = len(batch) < arm.count
        arm.count = len(batch)
        memory(arm.keys, len(batch) * fake.key_size)[:] = b"".join(key for key, _ in batch)
        memory(arm.values, len(batch) * fake.width)[:] = b"".join(value for _, value in batch)
        memory(arm.out_batch, 4)[:] = (at + len(batch)).to_bytes(4, "little")
        return -errno.ENOENT if last else 0

    def _map_update_batch(self, arm: Any) -> int:
        fake = self._open[arm.map_fd]
        size, width = fake.key_size, fake.width
        for at in range(arm.count):
            value = memory(arm.values + at * width, width)[:]
            key = memory(arm.keys + at * size, size)[:]
            if key not in fake.entries and len(fake.entries) >= fake.info["max_entries"]:
                arm.count = at
                return -errno.E2BIG
            fake.entries[key] = value
        return 0

    def _map_freeze(self, arm: Any) -> int:
        return 0
