"""The entries of a map, read from the kernel in batches.

Two ways in: BPF_MAP_LOOKUP_BATCH, which fetches thousands of entries a call, and the walk from
key to key with one lookup each, for maps and kernels without batches.
"""

from __future__ import annotations

import errno

from ..errors import KernelError, PybpftoolError
from ..kernel import calls

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import SupportsIndex

    from .shape import Shape

_BATCHED = frozenset(
    "hash lru_hash percpu_hash lru_percpu_hash array percpu_array lpm_trie "
    "array_of_maps hash_of_maps".split()
)
"""Map types whose batches show every entry: others leave out those that cannot be looked up,
and these must be told."""

_FIRST, _MOST = 256, 2048
"""Entries asked for at first (little is read in vain behind ``| head -1``) and at most."""
_BUFFER = 1 << 20
"""Bytes of keys and values that a batch may take, unless one entry or hash bucket is larger."""
_ENOTSUPP = 524
_NO_WALK = (errno.EINVAL, errno.EOPNOTSUPP, _ENOTSUPP)
"""What kernels answer to a walk where the map type has none."""
_ROUNDS = 8
"""How many times over a changing map is walked before it is given up."""


class Batch:
    """Consecutive entries: ``count`` of them in ``keys`` and ``values``, tightly packed.

    ``errno``: not 0 when this is one entry that could not be looked up; ``values`` is empty then.
    The buffers are used again for the next batch.
    """

    __slots__ = ("count", "errno", "keys", "values")

    def __init__(
        self,
        keys: bytes | bytearray | memoryview,
        values: bytes | bytearray | memoryview,
        count: int,
        errno: int = 0,
    ) -> None:
        self.keys = keys
        self.values = values
        self.count = count
        self.errno = errno


def read(map: SupportsIndex, shape: Shape, limit: int | None = None) -> Iterator[Batch]:
    """All entries of a map, in the kernel's order, each key once although the map may change.

    ``limit``: the first so many only, of which no more are asked for than that takes.
    Raises KernelError where the kernel does not let the map be walked (queue, ringbuf, …).
    """
    if shape.type in _BATCHED and shape.key_size and shape.value_size:
        batches = _batches(map, shape, _FIRST if limit is None else min(limit, _FIRST))
    else:
        batches = _walk(map, shape)
    return batches if limit is None else _first(batches, limit)


def _first(batches: Iterator[Batch], limit: int) -> Iterator[Batch]:
    while limit > 0:
        batch = next(batches, None)
        if batch is None:
            return
        batch.count = min(batch.count, limit)
        if batch.errno != errno.ENOENT:  # an empty place is no entry
            limit -= batch.count
        yield batch


def _batches(map: SupportsIndex, shape: Shape, first: int = _FIRST) -> Iterator[Batch]:
    room = max(1, min(_MOST, _BUFFER // (shape.key_size + shape.width)))
    count = max(1, min(first, room))
    position = bytearray(max(4, shape.key_size))
    begun = False
    seen: set[bytes] | None = set() if shape.type == "lpm_trie" else None
    keys, values = bytearray(), bytearray()
    looks = 0
    while True:
        if len(keys) < count * shape.key_size:
            keys, values = bytearray(count * shape.key_size), bytearray(count * shape.width)
        try:
            got, last = calls.map_lookup_batch(
                map, position if begun else None, position, keys, values, count
            )
        except KernelError as error:
            if not begun and error.errno in (_ENOTSUPP, errno.EINVAL):
                yield from _walk(map, shape)
                return
            raise error.said("can't read the map's entries") from error
        if got == calls.NO_ROOM:  # a whole hash bucket comes at once: it needs more room
            count *= 2
            if count > max(_MOST, 2 * shape.max_entries):
                raise KernelError(errno.ENOSPC, "can't read the map's entries")
            continue
        begun = True
        if got and seen is not None:
            looks = _looked(looks + got, shape)
            yield from _unseen(Batch(keys, values, got), shape, seen)
        elif got:
            yield Batch(keys, values, got)
        if last:
            return
        count = max(count, min(room, count * 2))


def _looked(looks: int, shape: Shape) -> int:
    """How many keys were looked at; PybpftoolError when that is the map too many times over.

    New keys count as well as those seen before: a map that gains and loses some without pause shows
    new ones without end.
    """
    if looks > _ROUNDS * (shape.max_entries + 1):
        raise PybpftoolError("the map changes faster than it can be read")
    return looks


def _unseen(batch: Batch, shape: Shape, seen: set[bytes]) -> Iterator[Batch]:
    """A batch without the keys that came before.

    A trie is walked from key to key; when the key just read is deleted under way, the kernel
    begins anew at the first.
    """
    size = shape.key_size
    all_keys = bytes(batch.keys[: batch.count * size])
    keys = [all_keys[at : at + size] for at in range(0, len(all_keys), size)]
    before = len(seen)
    fresh = [at for at, key in enumerate(keys) if key not in seen]
    seen.update(keys)
    if len(seen) == before + batch.count:
        yield batch
    elif fresh:
        values = memoryview(batch.values)
        yield Batch(
            b"".join(keys[at] for at in fresh),
            b"".join(values[at * shape.width : (at + 1) * shape.width] for at in fresh),
            len(fresh),
        )


def _walk(map: SupportsIndex, shape: Shape) -> Iterator[Batch]:
    size, width = shape.key_size, shape.width
    seen: set[bytes] = set()
    keys, values = bytearray(), bytearray()
    held = looks = 0
    key: bytes | None = None
    while True:
        try:
            key = calls.map_next_key(map, key, size)
        except KernelError as error:
            if held:
                yield Batch(keys, values, held)
            if key is None and error.errno in _NO_WALK:
                raise KernelError(
                    error.errno,
                    "can't get next key",
                    reason="maps of this type can't be walked from key to key",
                ) from error
            raise error.said("can't get next key") from error
        if key is None:
            break
        looks = _looked(looks + 1, shape)
        if key in seen:
            continue
        seen.add(key)
        failure = 0
        try:
            value = calls.map_lookup(map, key, width)
        except KernelError as error:
            value, failure = None, error.errno
        if value is not None:
            keys += key
            values += value
            held += 1
        if held and (value is None or held >= _FIRST or len(values) >= _BUFFER):
            yield Batch(keys, values, held)
            keys, values, held = bytearray(), bytearray(), 0
        if value is None:
            yield Batch(key, b"", 1, failure or errno.ENOENT)
    if held:
        yield Batch(keys, values, held)
