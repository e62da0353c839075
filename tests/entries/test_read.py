"""Entries read in batches, and key by key; each once, whatever the map does meanwhile."""

from __future__ import annotations

import errno
from typing import Any

import pytest

from pybpftool.entries.read import Batch, read
from pybpftool.entries.shape import Shape
from pybpftool.errors import KernelError, PybpftoolError
from tests.support.tape import Kernel, Tape, memory

HASH, LPM_TRIE, STACK_TRACE = 1, 11, 7


def key(number: int) -> bytes:
    return number.to_bytes(4, "little")


def collected(batches: Any, shape: Shape) -> list[tuple[bytes, bytes | int]]:
    found: list[tuple[bytes, bytes | int]] = []
    for batch in batches:
        assert isinstance(batch, Batch)
        if batch.errno:
            found.append((bytes(batch.keys), batch.errno))
            continue
        found += [
            (
                bytes(batch.keys[at * shape.key_size : (at + 1) * shape.key_size]),
                bytes(batch.values[at * shape.width : (at + 1) * shape.width]),
            )
            for at in range(batch.count)
        ]
    return found


def contents(kernel: Kernel, type: str, **sizes: int) -> list[tuple[bytes, bytes | int]]:
    from pybpftool.kernel.calls import map_fd_by_id

    shape = Shape(type, sizes.get("key", 4), sizes.get("value", 4), 1 << 20)
    with map_fd_by_id(7) as fd:
        return collected(read(fd, shape), shape)


@pytest.mark.parametrize("count", [0, 1, 255, 256, 257, 5000])
def test_batches_give_every_entry_in_order(count: int) -> None:
    entries = {key(n): key(n * 3) for n in range(count)}
    with Kernel() as kernel:
        kernel.add_map(7, type=HASH, key_size=4, value_size=4, max_entries=8192, entries=entries)
        assert contents(kernel, "hash") == list(entries.items())
        assert "MAP_GET_NEXT_KEY" not in kernel.calls
        assert kernel.calls.count("MAP_LOOKUP_BATCH") < 10


@pytest.mark.parametrize("no", [524, errno.EINVAL])
def test_a_kernel_without_batches_is_walked(no: int) -> None:
    entries = {key(n): key(n) for n in range(600)}
    with Kernel(MAP_LOOKUP_BATCH=-no) as kernel:
        kernel.add_map(7, type=HASH, key_size=4, value_size=4, entries=entries)
        assert contents(kernel, "hash") == list(entries.items())


def test_a_bucket_that_does_not_fit_asks_for_more_room() -> None:
    entries = {key(n): key(n) for n in range(3000)}
    asked = []

    class Full(Kernel):
        def _map_lookup_batch(self, arm: Any) -> int:
            asked.append(arm.count)
            return -errno.ENOSPC if arm.count < 1000 else super()._map_lookup_batch(arm)

    with Full() as kernel:
        kernel.add_map(7, type=HASH, key_size=4, value_size=4, entries=entries)
        assert contents(kernel, "hash") == list(entries.items())
    assert asked[:3] == [256, 512, 1024]


def test_a_batch_that_never_fits_is_an_error() -> None:
    with Tape(MAP_LOOKUP_BATCH=-errno.ENOSPC), pytest.raises(KernelError) as caught:
        list(read(3, Shape("hash", 4, 4, 100)))
    assert caught.value.errno == errno.ENOSPC


def test_a_trie_that_begins_anew_shows_each_key_once() -> None:
    rounds = [[key(1), key(2)], [key(1), key(2), key(3)]]

    def batch(arm: Any) -> int:
        keys = rounds.pop(0)
        arm.count = len(keys)
        memory(arm.keys, 4 * len(keys))[:] = b"".join(keys)
        memory(arm.values, 4 * len(keys))[:] = b"".join(keys)
        return 0 if rounds else -errno.ENOENT

    shape = Shape("lpm_trie", 4, 4, 100)
    with Tape(MAP_LOOKUP_BATCH=batch):
        found = collected(read(3, shape), shape)
    assert found == [(key(n), key(n)) for n in (1, 2, 3)]


def test_once_each() -> None:
    """A walk that begins anew shows no key again."""
    order = [1, 2, 1, 2, 3]

    def following(arm: Any) -> int:
        if not order:
            return -errno.ENOENT
        memory(arm.next_key, 4)[:] = key(order.pop(0))
        return 0

    shape = Shape("hash", 4, 4, 100)
    with Tape(MAP_LOOKUP_BATCH=-524, MAP_GET_NEXT_KEY=following, MAP_LOOKUP_ELEM=0):
        assert [k for k, _ in collected(read(3, shape), shape)] == [key(n) for n in (1, 2, 3)]


@pytest.mark.parametrize("step", [0, 1], ids=["the same key", "ever new keys"])
@pytest.mark.parametrize("type", ["hash", "lpm_trie"])
def test_a_walk_that_never_ends_is_given_up(type: str, step: int) -> None:
    calls = 0

    def begun_anew() -> bytes:
        nonlocal calls
        calls += 1
        assert calls < 10_000, "nothing ends the walk"
        return key(1 + calls * step)

    def following(arm: Any) -> int:
        memory(arm.next_key, 4)[:] = begun_anew()
        return 0

    def batch(arm: Any) -> int:
        arm.count = 1
        memory(arm.keys, 4)[:] = begun_anew()
        return 0

    shape = Shape(type, 4, 4, 100)
    rules: dict[str, Any] = {"MAP_LOOKUP_BATCH": batch if type == "lpm_trie" else -524}
    rules |= {"MAP_GET_NEXT_KEY": following, "MAP_LOOKUP_ELEM": 0}
    with Tape(**rules), pytest.raises(PybpftoolError, match="changes faster"):
        collected(read(3, shape), shape)


def test_failed_lookups_stand_in_their_place() -> None:
    class Sparse(Kernel):
        def _map_lookup_elem(self, arm: Any) -> int:
            number = int.from_bytes(memory(arm.key, 4)[:], "little")
            return {1: -errno.ENOENT, 3: -524}.get(number) or super()._map_lookup_elem(arm)

    entries = {key(n): key(n) for n in range(5)}
    with Sparse() as kernel:
        kernel.add_map(7, type=STACK_TRACE, key_size=4, value_size=4, entries=entries)
        assert contents(kernel, "stack_trace") == [
            (key(0), key(0)),
            (key(1), errno.ENOENT),
            (key(2), key(2)),
            (key(3), 524),
            (key(4), key(4)),
        ]
        assert "MAP_LOOKUP_BATCH" not in kernel.calls


def test_a_map_that_cannot_be_walked_says_so() -> None:
    with Tape(MAP_GET_NEXT_KEY=-524), pytest.raises(KernelError) as caught:
        list(read(3, Shape("ringbuf", 0, 0, 4096)))
    assert caught.value.errno == 524
    assert caught.value.reason == "maps of this type can't be walked from key to key"


def test_what_was_read_before_an_error_is_given() -> None:
    answers = [key(1), key(2)]

    def following(arm: Any) -> int:
        if not answers:
            return -errno.EIO
        memory(arm.next_key, 4)[:] = answers.pop(0)
        return 0

    shape = Shape("sockhash", 4, 4, 100)
    found = []
    with Tape(MAP_GET_NEXT_KEY=following, MAP_LOOKUP_ELEM=0), pytest.raises(KernelError):
        for batch in read(3, shape):
            found += [batch.count]
    assert found == [2]
