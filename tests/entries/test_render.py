"""Entries as text: every layout of spec 3.6 against a second, slow way to write it."""

from __future__ import annotations

import json
import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pybpftool.btf.reader import read_btf
from pybpftool.command import COMPACT, PLAIN, PRETTY
from pybpftool.entries.render import entry_printer
from pybpftool.entries.shape import Shape
from pybpftool.entries.typed import TypedEntries
from pybpftool.output.hexdump import block
from pybpftool.output.json_writer import dumps
from tests.support.btf_builder import BtfBuilder

SIZES = st.sampled_from([0, 1, 2, 4, 8, 9, 12, 16, 17, 24, 40, 600])
TYPES = st.sampled_from(["hash", "percpu_hash", "hash_of_maps"])


def shaped(kind: str, key_size: int, value_size: int, cpus: int = 2) -> Shape:
    """A shape for a machine of ``cpus`` CPUs."""
    shape = Shape("hash" if kind == "percpu_hash" else kind, key_size, value_size)
    if kind == "percpu_hash":
        shape.cpus = cpus
        shape.step = (value_size + 7) & ~7
        shape.width = cpus * shape.step
    return shape


def plainly(shape: Shape, key: bytes, value: bytes) -> str:
    """Spec 3.6 word by word, an entry at a time."""
    if shape.cpus:
        text = f"key:\n{block(key)}\n" if key else ""
        for cpu, part in enumerate(shape.values(value)):
            if shape.value_size:
                end = "\n" if shape.value_size > 16 else " "
                text += f"value (CPU {cpu:02d}):{end}{block(part)}\n"
        return text
    broken = shape.key_size > 16 or shape.value_size > 16
    oneline = not broken and shape.key_size + shape.value_size <= 24
    end = "\n" if broken else " "
    text = ""
    if key:
        text = f"key:{end}{block(key)}" + ("  " if oneline else "\n")
    if value and shape.of_maps:
        text += f"inner_map_id:{end}{int.from_bytes(value[:4], 'little')} "
    elif value:
        text += f"value:{end}{block(value)}"
    return text + "\n"


def spelled(data: bytes) -> list[str]:
    return [f"0x{byte:02x}" for byte in bytes(data)]


def record(shape: Shape, key: bytes, value: bytes) -> dict[str, object]:
    if shape.cpus:
        values = [{"cpu": n, "value": spelled(v)} for n, v in enumerate(shape.values(value))]
        return {"key": spelled(key), "values": values}
    found: dict[str, object] = {"key": spelled(key), "value": spelled(value)}
    if shape.of_maps:
        found["inner_map_id"] = int.from_bytes(value[:4], "little")
    return found


@settings(max_examples=60, deadline=None)
@given(TYPES, SIZES, SIZES, st.integers(1, 5), st.integers(0, 3))
def test_hexadecimal(kind: str, key_size: int, value_size: int, count: int, depth: int) -> None:
    shape = shaped(kind, key_size, 4 if kind == "hash_of_maps" else value_size)
    keys, values = os.urandom(count * key_size), os.urandom(count * shape.width)
    entries = [
        (
            keys[n * key_size : (n + 1) * key_size],
            values[n * shape.width : (n + 1) * shape.width],
        )
        for n in range(count)
    ]
    plain = entry_printer(shape, None, PLAIN, 0)
    assert plain.many(keys, values, count) == "".join(plainly(shape, *e) for e in entries)
    for form in (COMPACT, PRETTY):
        printer = entry_printer(shape, None, form, depth)
        texts = [dumps(record(shape, *e), pretty=form == PRETTY, depth=depth) for e in entries]
        assert printer.many(keys, values, count) == ",".join(texts)
        assert list(printer.each(keys, values, count)) == texts


@pytest.fixture(scope="module")
def typed() -> TypedEntries:
    btf = BtfBuilder()
    u32 = btf.int("unsigned int", 4)
    pair = btf.struct("pair", 8, [("a", u32, 0), ("b", u32, 32)])
    read = read_btf(btf.blob())
    return TypedEntries((read, u32), (read, pair))


KEY, VALUE = b"\x07\0\0\0", b"\1\0\0\0\2\0\0\0"


def test_typed_plain(typed: TypedEntries) -> None:
    shape = shaped("hash", 4, 8)
    printer = entry_printer(shape, typed, PLAIN, 1)
    assert printer.many(KEY * 2, VALUE * 2, 2) == ",".join(
        [
            "{\n"
            '        "key": 7,\n'
            '        "value": {\n'
            '            "a": 1,\n'
            '            "b": 2\n'
            "        }\n"
            "    }"
        ]
        * 2
    )


@pytest.mark.parametrize("kind", ["hash", "percpu_hash"])
@pytest.mark.parametrize("depth", [0, 1, 3])
def test_typed_json_is_the_bytes_and_what_they_mean(
    typed: TypedEntries, kind: str, depth: int
) -> None:
    shape = shaped(kind, 4, 8)
    value = VALUE * (shape.cpus or 1)
    pair = {"a": 1, "b": 2}
    formatted = (
        {"key": 7, "values": [{"cpu": n, "value": pair} for n in range(2)]}
        if shape.cpus
        else {"key": 7, "value": pair}
    )
    expected = {**record(shape, KEY, value), "formatted": formatted}
    for form in (COMPACT, PRETTY):
        printer = entry_printer(shape, typed, form, depth)
        text = dumps(expected, pretty=form == PRETTY, depth=depth)
        assert printer.many(KEY * 3, value * 3, 3) == ",".join([text] * 3)


def test_large_typed_values_are_written_too(typed: TypedEntries) -> None:
    btf = BtfBuilder()
    byte = btf.int("unsigned char", 1)
    array = btf.array(byte, 1000)
    read = read_btf(btf.blob())
    shape = shaped("hash", 4, 1000)
    large = TypedEntries(None, (read, array))
    text = entry_printer(shape, large, COMPACT, 1).many(KEY, bytes(1000), 1)
    assert json.loads(text)["formatted"] == {"value": [0] * 1000}


@pytest.mark.parametrize(
    ("errno", "key_size", "text"),
    [
        (2, 4, "key: 00 00 00 00  value: <no entry>\n"),
        (2, 16, f"key: {block(bytes(16))}\nvalue: <no entry>\n"),
        (524, 4, "key:\n00 00 00 00\nvalue:\nUnknown error 524\n"),
        (2, 17, f"key:\n{block(bytes(17))}\nvalue:\n<no entry>\n"),
    ],
)
def test_failed_lookups_plain(errno: int, key_size: int, text: str) -> None:
    printer = entry_printer(shaped("hash", key_size, 4), None, PLAIN, 0)
    assert printer.failure(bytes(key_size), errno) == text


def test_a_reuseport_socket_that_cannot_be_read() -> None:
    printer = entry_printer(Shape("reuseport_sockarray", 4, 4), None, PLAIN, 0)
    assert printer.failure(KEY, 28) == "key: 07 00 00 00  value: <cannot read>\n"


def test_failed_lookups_json(typed: TypedEntries) -> None:
    shape = shaped("hash", 4, 8)
    expected = {"key": spelled(KEY), "value": {"error": "No such file or directory"}}
    for types, form in ((None, COMPACT), (typed, COMPACT), (typed, PRETTY), (typed, PLAIN)):
        text = entry_printer(shape, types, form, 1).failure(KEY, 2)
        assert text == dumps(expected, pretty=form != COMPACT, depth=1)
