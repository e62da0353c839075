"""Maps of every kind, shown and read by both tools."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from pybpftool.btf import types
from pybpftool.btf.reader import read_btf
from tests.live.compare import FORMS, Both
from tests.live.zoo import KINDS, Kind, Made, made, types_of, words_of
from tests.support.need import kernel_lacks

UNDUMPABLE = {
    *("queue", "stack", "bloom_filter", "ringbuf", "user_ringbuf", "arena"),
    *("sk_storage", "inode_storage", "task_storage", "cgrp_storage"),
}
"""See "undumpable-says-so" in ``differences``."""


def reading_lines(map: Made) -> Iterator[list[str]]:
    handle = ["id", str(map.id)]
    yield from (["map", "show", *handle, *form] for form in FORMS)
    if map.kind.type not in UNDUMPABLE:
        yield from (["map", "dump", *handle, *form] for form in FORMS)
        yield ["map", "dump", "name", map.name]
        yield ["-j", "map", "dump", "pinned", map.path]
    keys = [key for key, _ in map.entries]
    missing = map.kind.missing or b"\xfe" * map.kind.key
    for key in keys[:1] + keys[-1:]:
        key_words = ["key", *words_of(key)] if key else []
        yield from (["map", "lookup", *handle, *key_words, *form] for form in FORMS)
        yield from (["map", "getnext", *handle, *key_words, *form] for form in FORMS[:2])
    key_words = ["key", *words_of(missing)] if map.kind.key else []
    yield from (["map", "lookup", *handle, *key_words, *form] for form in FORMS[:2])
    yield from (["map", "getnext", *handle, *key_words, *form] for form in FORMS[:2])
    yield from (["map", "getnext", *handle, *form] for form in FORMS[::2])


@pytest.mark.parametrize("name", KINDS)
def test_show_dump_lookup_getnext(name: str, both: Both, pins: str) -> None:
    with made(KINDS[name], pins) as map:
        both.check(reading_lines(map))


def test_struct_ops(both: Both, pins: str) -> None:
    """A map whose value is a type of the kernel's own."""
    name = "bpf_struct_ops_tcp_congestion_ops"
    try:
        kernel = read_btf(Path("/sys/kernel/btf/vmlinux").read_bytes())
        number = kernel.find(name, types.STRUCT)
    except OSError as error:
        kernel_lacks("BTF", error)
    if number is None:
        kernel_lacks("struct_ops for TCP", f"no {name}")
    kind = Kind(
        "struct_ops",
        "struct_ops",
        4,
        kernel.size_of(number),
        entries=1,
        fields=lambda stack: {**types_of(0, 0)(stack), "btf_vmlinux_value_type_id": number},
        everywhere=False,
    )
    with made(kind, pins) as map:
        both.check(reading_lines(map))
