"""A kernel with a few maps in it."""

from __future__ import annotations

from tests.support.tape import Answer, Kernel

HASH, ARRAY, PROG_ARRAY, PERF_EVENT_ARRAY, PERCPU_HASH = 1, 2, 3, 4, 5
HASH_OF_MAPS, QUEUE, RINGBUF = 13, 22, 27


def machine(**rules: Answer) -> Kernel:
    """A kernel with a few maps in it."""
    kernel = Kernel(**rules)
    kernel.add_map(
        1,
        type=HASH,
        name="flows",
        key_size=2,
        value_size=2,
        entries={b"\xc1\xc2": b"\xa1\xa2", b"\1\2": b"\3\4"},
    )
    kernel.add_map(2, type=QUEUE, name="todo", key_size=0, value_size=4)
    kernel.add_map(3, type=ARRAY, key_size=4, value_size=8, map_flags=0x80, btf_id=9)
    kernel.add_map(5, type=HASH, name="twin", key_size=4, value_size=4)
    kernel.add_map(6, type=HASH, name="twin", key_size=4, value_size=4)
    return kernel
