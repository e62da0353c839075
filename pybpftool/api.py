"""What a program gets that says ``import pybpftool``: docs/api.md is its guide.

Nothing here is global, and nothing is printed.  The objects may be used by several threads at
once, as long as none is closed under the others' hands.
"""

from __future__ import annotations

import errno
from collections.abc import ItemsView, Iterator, Mapping, MutableMapping, ValuesView
from contextlib import AbstractContextManager, nullcontext
from operator import index
from struct import pack, unpack
from typing import TYPE_CHECKING, Any, NamedTuple, SupportsIndex

from .btf.decode import compile_reader
from .btf.spec import Btf
from .entries.codec import codecs
from .entries.read import Batch, read
from .entries.shape import Shape
from .errors import BadData as BadData
from .errors import KernelError, PybpftoolError, during
from .kernel import calls, handles
from .kernel.handles import BtfInfo, MapInfo, ProgInfo
from .kernel.syscall import Closing, Fd
from .sources import btf_of_file as btf_of_file
from .sources import btf_of_id as btf_of_id
from .sources import kernel_btf as kernel_btf

if TYPE_CHECKING:
    from collections.abc import Callable

    from .loader.load import Loaded, LoadedProgram
    from .loader.spec import MapSpec, ObjectSpec

_MODES = {"any": calls.BPF_ANY, "noexist": calls.BPF_NOEXIST, "exist": calls.BPF_EXIST}
_PORTION = 1024
"""Entries written by one call."""
_MISSING = object()


# ------------------------------------------------------------------ what there is


def maps() -> list[MapInfo]:
    """What the kernel tells of each map, in the order of ids.

    KernelError when this process may not list them (it needs CAP_SYS_ADMIN).
    """
    return [each.info for each in handles.Map.listed(calls.BPF_F_RDONLY)]


def progs() -> list[ProgInfo]:
    """What the kernel tells of each program, in the order of ids; KernelError as for ``maps``."""
    return [each.info for each in handles.Prog.listed()]


def btfs() -> list[BtfInfo]:
    """What the kernel tells of each BTF object, in the order of ids; KernelError as for ``maps``.

    ``btf_of_id`` reads the types of one.
    """
    return [each.info for each in handles.Btf.listed()]


# ------------------------------------------------------------------ values of types


def decode(btf: Btf, type_id: int, data: bytes) -> Any:
    """The value of a BTF type that begins in ``data``; BadData if it is too short."""
    return compile_reader(btf, type_id).one(data)


def encode(btf: Btf, type_id: int, value: Any) -> bytes:
    """The bytes of a value of a BTF type; PybpftoolError names the path of what does not fit."""
    from .btf.encode import encode_value

    return encode_value(btf, type_id, value)


# ------------------------------------------------------------------ one map


def open_map(
    *,
    id: int | None = None,
    name: str | None = None,
    pinned: str | None = None,
    readonly: bool = False,
    raw: bool = False,
) -> Map:
    """The map of that id or name, or that is pinned at that path; exactly one of them is given.

    ``readonly``: open it without the right to write.  ``raw``: keys and values are bytes, also
    where the map has types.
    KernelError when there is none, or it may not be opened; PybpftoolError when no map or more
    than one has the name.
    """
    if (id is not None) + (name is not None) + (pinned is not None) != 1:
        raise TypeError("open_map() takes one of id, name and pinned")
    flags = calls.BPF_F_RDONLY if readonly else 0
    if id is not None:
        return Map(handles.Map.by_id(id, flags), raw=raw)
    if pinned is not None:
        return Map(handles.Map.pinned(pinned, flags), raw=raw)
    found = handles.Map.named(name or "", flags)
    if len(found) != 1:
        ids = ", ".join(str(each.info.id) for each in found)
        raise PybpftoolError(
            f"several maps have the name '{name}': {ids}" if found else f"no map is named '{name}'"
        )
    return Map(found[0], raw=raw)


class Map(Closing, MutableMapping[Any, Any]):
    """An open map as a mapping from keys to values; made by ``open_map``.

    Close it with ``close`` or a ``with`` block; otherwise the last reference does.  Keys and
    values are what ``decode`` makes of their BTF types, a list of one value per possible CPU in
    per-CPU maps, bytes without types; in arrays without a key type keys are ints.  Inner maps and
    programs are ints, their ids.  To write, bytes of the right size are taken as well.

    All methods raise KernelError when the kernel refuses, PybpftoolError when a key or value does
    not fit its type, and ValueError once it is closed.
    """

    def __init__(self, handle: handles.Map, *, raw: bool = False) -> None:
        self._handle = handle
        self._shape = Shape.of(handle.info)
        self._key, self._value = codecs(handle.info, self._shape, raw)

    @property
    def info(self) -> MapInfo:
        """What the kernel told of the map when it was opened."""
        return self._handle.info

    def fileno(self) -> int:
        """The number of the descriptor."""
        return self._handle.fileno()

    __index__ = fileno

    def close(self) -> None:
        """Close the descriptor; a second time does nothing."""
        self._handle.close()

    def __repr__(self) -> str:
        info = self.info
        return f"<{info.type_name} map {info.id} {info.name!r}>"

    def __eq__(self, other: object) -> bool:
        return self is other  # entries are compared by who wants that, with dict(map)

    __hash__ = object.__hash__

    # -------------------------------------------------------------- reading

    def __getitem__(self, key: Any) -> Any:
        with during("lookup failed"):
            found = calls.map_lookup(self._handle, self._key.encoded(key), self._shape.width)
        if found is None:
            raise KeyError(key)
        return self._values(found, 1)[0]

    def __iter__(self) -> Iterator[Any]:
        """The keys, in the kernel's order, each once although the map may change meanwhile."""
        size = self._shape.key_size
        for batch in self._batches(values=False):
            yield from self._key.many(batch.keys, batch.count, size)

    def items(self) -> ItemsView[Any, Any]:
        """The entries, fetched from the kernel in batches as they are asked for."""
        return _Items(self)

    def values(self) -> ValuesView[Any]:
        """The values, fetched likewise."""
        return _Values(self)

    def __len__(self) -> int:
        """The number of entries, for which all keys are read."""
        return sum(batch.count for batch in self._batches(values=False))

    def _pairs(self) -> Iterator[tuple[Any, Any]]:
        size = self._shape.key_size
        for batch in self._batches():
            yield from zip(
                self._key.many(batch.keys, batch.count, size),
                self._values(batch.values, batch.count),
                strict=True,
            )

    def _batches(self, *, values: bool = True) -> Iterator[Batch]:
        """Batches without entries that are gone; of the others that cannot be read, an error.

        ``values``: whether they are needed.
        """
        for batch in read(self._handle, self._shape):
            if batch.errno == errno.ENOENT:
                continue
            if batch.errno and values:
                raise KernelError(batch.errno, "lookup failed")
            yield batch

    def _values(self, data: bytes | bytearray | memoryview, count: int) -> list[Any]:
        shape = self._shape
        if not shape.cpus:
            return self._value.many(data, count, shape.width)
        each = self._value.many(data, count * shape.cpus, shape.step)
        return [each[at : at + shape.cpus] for at in range(0, len(each), shape.cpus)]

    # -------------------------------------------------------------- writing

    def __setitem__(self, key: Any, value: Any) -> None:
        self.set(key, value)

    def set(self, key: Any, value: Any, mode: str = "any") -> None:
        """Set the value of a key; members that a dict leaves out are zero.

        ``mode``: ``any``, ``noexist`` (KernelError, EEXIST, if the key is there) or ``exist``
        (ENOENT if it is not).  In maps of maps and program arrays the value is an id, an open
        ``Map``, or whatever else has the ``fileno`` of one.
        """
        self._store(self._key.encoded(key), value, _MODES[mode])

    def change(self, key: Any, value: Any) -> None:
        """Change those members of a key's value that the dict ``value`` names.

        Read, changed and written with BPF_EXIST: what a program writes in between is lost.
        KeyError if the key is not there; in per-CPU maps one dict for each CPU.
        """
        raw = self._key.encoded(key)
        with during("lookup failed"):
            found = calls.map_lookup(self._handle, raw, self._shape.width)
        if found is None:
            raise KeyError(key)
        self._store(raw, value, calls.BPF_EXIST, found)

    def update(self, other: Any = (), /, **named: Any) -> None:
        """Set all entries of a mapping or of an iterable of pairs, a thousand a call.

        Not at once for whoever reads meanwhile; an error leaves some of them set.
        """
        pairs = other.items() if isinstance(other, Mapping) else other
        portion: list[tuple[bytes, Any]] = []
        for source in (pairs, named.items()):
            for key, value in source:
                portion.append((self._key.encoded(key), value))
                if len(portion) == _PORTION:
                    self._store_all(portion)
                    portion = []
        self._store_all(portion)

    def __delitem__(self, key: Any) -> None:
        if not self._delete(self._key.encoded(key)):
            raise KeyError(key)

    def clear(self) -> None:
        """Delete all entries."""
        size = self._shape.key_size
        keys = [bytes(batch.keys[: batch.count * size]) for batch in self._batches(values=False)]
        for portion in keys:
            for at in range(0, len(portion), size):
                self._delete(portion[at : at + size])

    def _delete(self, key: bytes) -> bool:
        """Delete a key; whether it was there."""
        try:
            calls.map_delete(self._handle, key)
        except KernelError as error:
            if error.errno == errno.ENOENT:
                return False
            raise error.said("delete failed") from error
        return True

    def _store_all(self, pairs: list[tuple[bytes, Any]]) -> None:
        if not (self._shape.of_maps or self._shape.of_progs):
            pairs = [(key, self._bytes(value)) for key, value in pairs]
            try:
                calls.map_update_batch(
                    self._handle,
                    b"".join(key for key, _ in pairs),
                    b"".join(value for _, value in pairs),
                    len(pairs),
                )
                return
            except KernelError:
                pass  # no batches here, or one of them is refused: one by one it will show
        for key, value in pairs:
            self._store(key, value)

    def _store(
        self, key: bytes | None, value: Any, flags: int = 0, start: bytes | None = None
    ) -> None:
        if self._shape.of_maps or self._shape.of_progs:
            with self._named(value) as named, during("update failed"):
                calls.map_update(self._handle, key, pack("=I", index(named)), flags)
            return
        data = self._bytes(value, start)
        with during("update failed"):
            calls.map_update(self._handle, key, data, flags)

    def _named(self, value: Any) -> AbstractContextManager[SupportsIndex]:
        """The map or program that a value names, open."""
        if hasattr(value, "fileno"):
            return nullcontext(value.fileno())
        kind: type[handles.Map | handles.Prog] = (
            handles.Map if self._shape.of_maps else handles.Prog
        )
        return kind.by_id(unpack("=I", self._value.encoded(value))[0])

    def _bytes(self, value: Any, start: bytes | None = None) -> bytes:
        """A whole value as the kernel wants it; ``start``: as it was."""
        shape = self._shape
        if isinstance(value, bytes) and len(value) == shape.width:
            return value
        if not shape.cpus:
            return self._value.encoded(value, start)
        if not isinstance(value, (list, tuple)) or len(value) != shape.cpus:
            raise PybpftoolError(f"value: a list of {shape.cpus} is needed, one for each CPU")
        before = shape.each_so_far(start)
        return shape.pack([self._value.encoded(*each) for each in zip(value, before, strict=True)])

    # -------------------------------------------------------------- queues and stacks

    def push(self, value: Any) -> None:
        """Add a value to a queue, stack or bloom filter."""
        self._store(None, value)

    def peek(self) -> Any:
        """The value that ``pop`` would take; IndexError if there is none."""
        with during("lookup failed"):
            found = calls.map_lookup(self._handle, None, self._shape.width)
        return self._taken(found)

    def pop(self, key: Any = _MISSING, default: Any = _MISSING) -> Any:
        """Take the next value off a queue or stack; IndexError if there is none.

        In other maps, with ``key``, the ``pop`` of a dict.
        """
        if key is not _MISSING:
            return super().pop(key) if default is _MISSING else super().pop(key, default)
        if self._shape.key_size:
            raise TypeError("pop() of a map with keys needs a key")
        with during("pop failed"):
            found = calls.map_lookup_and_delete(self._handle, None, self._shape.width)
        return self._taken(found)

    def _taken(self, data: bytes | None) -> Any:
        if data is None:
            raise IndexError("the map is empty")
        return self._values(data, 1)[0]


class _Items(ItemsView[Any, Any]):
    def __init__(self, map: Map) -> None:
        super().__init__(map)
        self._map = map

    def __iter__(self) -> Iterator[tuple[Any, Any]]:
        return self._map._pairs()


class _Values(ValuesView[Any]):
    def __init__(self, map: Map) -> None:
        super().__init__(map)
        self._map = map

    def __iter__(self) -> Iterator[Any]:
        return (value for _, value in self._map._pairs())


# ------------------------------------------------------------------ object files


def load(
    path: str, *, kernel_btf: str | None = None, reuse: Mapping[str, Map] | None = None
) -> LoadedObject:
    """The programs and maps of an object file (clang's or gcc's, with CO-RE), in the kernel.

    ``kernel_btf``: a file with the types to relocate against, if not the running kernel's own.
    ``reuse``: open maps in the place of those of the file, by the names of ``LoadedObject.maps``.
    BadData for what is wrong in the file, KernelError and other PybpftoolErrors, one sentence
    with the program or map, for what the kernel has not or refuses; then nothing stays behind.
    """
    from .loader.load import load as load_object
    from .loader.read import read_object

    try:
        spec = read_object(path)
    except BadData as error:
        raise BadData(f"{path}: {error.message}") from error
    for program in spec.programs:
        if program.kind is None:
            raise BadData(
                f"{path}: program '{program.name}': its section {program.section_name} says no type"
            )
    given = dict(reuse or {})
    places = _places(spec)
    unknown = sorted(given.keys() - places.keys())
    if unknown:
        raise PybpftoolError(f"{path}: there is no map '{unknown[0]}' to be replaced")
    loaded = load_object(
        spec,
        kernel_btf=kernel_btf,
        reused={places[name]: map for name, map in given.items()},
    )
    try:
        made = LoadedObject(loaded, given)
    except BaseException:
        loaded.close()
        raise
    loaded.keep()
    return made


def _known_as(map: MapSpec) -> str:
    """A map's name in the API: that of variables is the section's, whatever the file is called."""
    return map.name if map.section == ".maps" or map.contents is None else map.section


def _places(spec: ObjectSpec) -> dict[str, int]:
    return {_known_as(map): index for index, map in enumerate(spec.maps)}


class LoadedObject(Closing):
    """What ``load`` put into the kernel.  Leaving the ``with`` block, or ``close``, closes it all.

    ``programs``: by the names of their functions, without those of sections with a leading ``?``.
    ``maps``: by their names; those of variables by their sections (``.bss``, ``.rodata``).
    What is pinned or attached elsewhere by then goes on.
    """

    def __init__(self, loaded: Loaded, given: Mapping[str, Map]) -> None:
        self._loaded = loaded
        self.maps: Mapping[str, Map] = {
            name: given[name] if name in given else Map(_handle(each.fd))
            for each in loaded.maps
            for name in [_known_as(each.spec)]
        }
        self.programs: Mapping[str, Program] = {
            each.spec.name: Program(each, loaded.hold)
            for each in loaded.programs
            if each.fd is not None
        }

    def close(self) -> None:
        """Detach and close everything but the maps that were given; a second time does nothing."""
        self._loaded.close()

    def __repr__(self) -> str:
        return f"<{self._loaded.spec.path}: {', '.join(self.programs)}>"


def _handle(fd: SupportsIndex) -> handles.Map:
    assert isinstance(fd, Fd)
    return handles.Map(fd)


class Ran(NamedTuple):
    """What a run of a program left: ``duration`` is the average of a run in ns."""

    retval: int
    data: bytes
    context: bytes
    duration: int


class Program:
    """A program of a ``LoadedObject``, open as long as that is.

    ``name``: of its function; ``section``: what says where it attaches.
    """

    def __init__(self, loaded: LoadedProgram, hold: Callable[[Fd], Fd]) -> None:
        assert loaded.fd is not None
        self._spec = loaded.spec
        self._handle = handles.Prog(loaded.fd)
        self._hold = hold
        self.name = loaded.spec.name
        self.section = loaded.spec.section_name

    @property
    def info(self) -> ProgInfo:
        """What the kernel tells of it, asked once."""
        return self._handle.info

    def fileno(self) -> int:
        """The number of the descriptor."""
        return self._handle.fileno()

    __index__ = fileno

    def __repr__(self) -> str:
        return f"<{self.info.type_name} program {self.info.id} {self.name!r}>"

    def pin(self, path: str) -> None:
        """Pin it in a bpf file system, so that it outlives this process."""
        _pin(self._handle, path)

    def attach(self) -> Link:
        """Attach it to what its section names, until the link or the ``LoadedObject`` is closed.

        PybpftoolError for a section that names nothing (``xdp``), or for USDT probes.
        """
        from .loader.attach import attach

        fd = attach(self._handle.fd, self._spec)
        if fd is None:
            raise PybpftoolError(
                f"program '{self.name}': section {self.section} does not say what to attach to"
            )
        return Link(self._hold(fd))

    def run(self, data: bytes = b"", *, context: bytes = b"", repeat: int = 1) -> Ran:
        """Run it on a packet and a context, without attaching it; only some types can be.

        ``context`` of the result: of a syscall program, which changes it; else empty.
        """
        changed = bytearray(context) if self.info.type_name == "syscall" else None
        room = bytearray(max(2 * len(data), _ROOM)) if data else None
        again = repeat if repeat > 1 else 0  # some types refuse to be told a number
        with during(f"program '{self.name}': cannot be run"):
            done = calls.prog_test_run(
                self._handle, data or None, room, changed or context or None, None, again
            )
        left = bytes(room[: done.data_size_out]) if room else b""
        return Ran(done.retval, left, bytes(changed or b""), done.duration)


_ROOM = 4096
"""Bytes for the packet that a program leaves, which may have grown."""


class Link(Closing):
    """A program that is attached; closing the link detaches it, unless the link is pinned."""

    def __init__(self, fd: Fd) -> None:
        self._fd = fd

    def fileno(self) -> int:
        """The number of the descriptor."""
        return self._fd.fileno()

    __index__ = fileno

    def pin(self, path: str) -> None:
        """Pin it in a bpf file system, so that the program stays attached."""
        _pin(self._fd, path)

    def close(self) -> None:
        """Close the descriptor; a second time does nothing."""
        self._fd.close()


def _pin(descriptor: SupportsIndex, path: str) -> None:
    from .kernel.bpffs import pin

    pin(descriptor, path)
