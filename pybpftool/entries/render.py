"""Entries of a map as text: hexadecimal or typed, plain, compact or pretty (spec 3.6 to 3.8).

One printer serves one entry and a million: it is made once per map and form, then fed batches.
"""

from __future__ import annotations

import os

from ..command import PLAIN, PRETTY
from ..output.hexdump import Strides, array, block
from ..output.json_writer import closing, dumps, newline

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..output.hexdump import Data
    from .shape import Shape
    from .typed import TypedEntries


_ENOENT, _ENOSPC = 2, 28
_KEY, _VALUE = "\x80", "\x81"  # markers: they pass through the JSON writer and are no hex digit
_STRIDED_MAX = 512
"""Bytes of an entry up to which its digits are set by strides; beyond, columns are too far
apart for that to pay."""


def entry_printer(shape: Shape, typed: TypedEntries | None, form: str, depth: int) -> EntryPrinter:
    """The printer for a map's entries.

    ``typed``: the map's key and value types, None where it has no BTF.  ``depth``: JSON brackets
    open around an entry.
    """
    if form == PLAIN:
        return _TypedPlain(shape, typed, depth) if typed else _HexPlain(shape)
    if typed:
        return _TypedJson(shape, typed, form == PRETTY, depth)
    return _HexJson(shape, form == PRETTY, depth)


class EntryPrinter:
    """Text of entries.

    ``joint``: what stands between two entries.
    """

    joint = ""

    def many(self, keys: Data, values: Data, count: int) -> str:
        """The text of ``count`` entries, ``joint`` between them.

        ``keys``, ``values``: the entries' bytes, packed at ``shape.key_size`` and
        ``shape.width``.
        """
        return self.joint.join(self.each(keys, values, count))

    if TYPE_CHECKING:

        def each(self, keys: Data, values: Data, count: int) -> Sequence[str]:
            """The text of each of ``count`` entries."""

        def failure(self, key: Data, errno: int) -> str:
            """The text of an entry that could not be looked up."""


# ------------------------------------------------------------------ hexadecimal


class _Hex(EntryPrinter):
    """Entries as bytes.

    A subclass says how bytes are spelled (``_key``, ``_value``) and how spelled bytes make an
    entry (``_entry``).  Entries of fixed width are made by strides, the others one by one.
    """

    if TYPE_CHECKING:

        def _key(self, data: Data) -> str: ...

        def _value(self, data: Data) -> str: ...

        def _entry(self, key: str, values: Sequence[str], value: Data) -> str:
            """An entry from its spelled parts; ``value``: its bytes, for an inner map's id."""

    def __init__(self, shape: Shape) -> None:
        self.shape = shape
        self._strides: Strides | None = None
        whole = shape.key_size + shape.value_size * (shape.cpus or 1)
        if whole <= _STRIDED_MAX and not shape.of_maps:
            # two equal letters stand for digits here: nothing else in a spelled byte is "aa"
            key = self._key(b"\xaa" * shape.key_size).replace("aa", _KEY * 2)
            value = self._value(b"\xaa" * shape.value_size).replace("aa", _VALUE * 2)
            offsets = [
                cpu * shape.step + byte
                for cpu in range(shape.cpus or 1)
                for byte in range(shape.value_size)
            ]
            self._strides = Strides(
                self._entry(key, [value] * (shape.cpus or 1), b"") + self.joint,
                [(_KEY, range(shape.key_size)), (_VALUE, offsets)],
            )

    def many(self, keys: Data, values: Data, count: int) -> str:
        if self._strides is None or not count:
            return super().many(keys, values, count)
        shape = self.shape
        text = self._strides.fill(count, (keys, shape.key_size), (values, shape.width))
        return text[: -len(self.joint)] if self.joint else text

    def each(self, keys: Data, values: Data, count: int) -> Sequence[str]:
        return self.cut(keys, values, count, (0, 0))

    def cut(self, keys: Data, values: Data, count: int, cut: tuple[int, int]) -> Sequence[str]:
        """The text of each entry without its first and last characters, ``cut`` many."""
        shape = self.shape
        first, last = cut
        if self._strides is not None:
            return self._strides.fill_each(
                count,
                (first, last + len(self.joint)),
                (keys, shape.key_size),
                (values, shape.width),
            )
        keys, values = memoryview(keys), memoryview(values)
        texts = []
        for at in range(count):
            value = values[at * shape.width : (at + 1) * shape.width]
            text = self._entry(
                self._key(keys[at * shape.key_size : (at + 1) * shape.key_size]),
                [self._value(part) for part in shape.values(value)],
                value,
            )
            texts.append(text[first : len(text) - last])
        return texts


class _HexPlain(_Hex):
    """``key: 00  value: 00``, broken over lines where it would grow long."""

    def _key(self, data: Data) -> str:
        return block(data)

    _value = _key

    def _entry(self, key: str, values: Sequence[str], value: Data) -> str:
        shape = self.shape
        if shape.cpus:
            text = f"key:\n{key}\n" if shape.key_size else ""
            end = "\n" if shape.value_size > 16 else " "
            if shape.value_size:
                for cpu, cell in enumerate(values):
                    text += f"value (CPU {cpu:02}):{end}{cell}\n"
            return text
        after_name, between = self._breaks(shape.value_size)
        text = f"key:{after_name}{key}{between}" if shape.key_size else ""
        if shape.value_size and shape.of_maps:
            text += f"inner_map_id:{after_name}{_inner_id(value)} "
        elif shape.value_size:
            text += f"value:{after_name}{values[0]}"
        return text + "\n"

    def _breaks(self, value_width: int) -> tuple[str, str]:
        """What follows ``key:`` and ``value:``, and what stands between the two."""
        key_size = self.shape.key_size
        broken = key_size > 16 or value_width > 16
        oneline = not broken and key_size + value_width <= 24
        return "\n" if broken else " ", "  " if oneline else "\n"

    def failure(self, key: Data, errno: int) -> str:
        reason = os.strerror(errno)
        if errno == _ENOENT:
            reason = "<no entry>"
        elif errno == _ENOSPC and self.shape.type == "reuseport_sockarray":
            reason = "<cannot read>"
        after_name, between = self._breaks(len(reason))
        return f"key:{after_name}{block(key)}{between}value:{after_name}{reason}\n"


class _HexJson(_Hex):
    """``{"key":["0x00"],"value":["0x00"]}``."""

    joint = ","

    def __init__(self, shape: Shape, pretty: bool, depth: int) -> None:
        self._pretty = pretty
        self._depth = depth
        # an array of bytes closes on a line of its own, as deep as its name stands
        self._key_end = newline(depth + 1) if pretty else ""
        self._value_end = newline(depth + 3) if pretty and shape.cpus else self._key_end
        record: dict[str, object] = {"key": _KEY}
        if shape.cpus:
            record["values"] = [{"cpu": cpu, "value": _VALUE} for cpu in range(shape.cpus)]
        else:
            record["value"] = _VALUE
        if shape.of_maps:
            record["inner_map_id"] = _VALUE
        text = dumps(record, pretty=pretty, depth=depth)
        self._before_key, _, rest = text.partition(f'"{_KEY}"')
        self._pieces = rest.split(f'"{_VALUE}"')
        super().__init__(shape)

    def _key(self, data: Data) -> str:
        return array(data, self._key_end)

    def _value(self, data: Data) -> str:
        return array(data, self._value_end)

    def _entry(self, key: str, values: Sequence[str], value: Data) -> str:
        cells = [*values, str(_inner_id(value))] if self.shape.of_maps else values
        text = self._before_key + key
        for piece, cell in zip(self._pieces, cells, strict=False):
            text += piece + cell
        return text + self._pieces[-1]

    def failure(self, key: Data, errno: int) -> str:
        return dumps(
            {
                "key": [f"0x{byte:02x}" for byte in bytes(key)],
                "value": {"error": os.strerror(errno)},
            },
            pretty=self._pretty,
            depth=self._depth,
        )


# ------------------------------------------------------------------ typed


class _TypedPlain(EntryPrinter):
    """``{"key": 1,"value": {…}}`` in the pretty layout, values in bpftool's plain spelling."""

    joint = ","

    def __init__(self, shape: Shape, typed: TypedEntries, depth: int) -> None:
        self._shape = shape
        self._objects = typed.printer(shape, json=False, pretty=True, depth=depth)
        self._hex = _HexJson(shape, True, depth)

    def each(self, keys: Data, values: Data, count: int) -> Sequence[str]:
        return self._objects.many(
            keys,
            values,
            count,
            key_stride=self._shape.key_size,
            value_stride=self._shape.width,
        )

    def failure(self, key: Data, errno: int) -> str:
        return self._hex.failure(key, errno)


class _TypedJson(EntryPrinter):
    """The object of bytes with ``"formatted":{…}`` as its last member."""

    joint = ","

    def __init__(self, shape: Shape, typed: TypedEntries, pretty: bool, depth: int) -> None:
        self._shape = shape
        self._hex = _HexJson(shape, pretty, depth)
        self._tail = len(closing("}", True, pretty, depth))
        self._objects = typed.printer(shape, json=True, pretty=pretty, depth=depth, headed=True)

    def each(self, keys: Data, values: Data, count: int) -> Sequence[str]:
        return self._objects.many(
            keys,
            values,
            count,
            [self._hex.cut(keys, values, count, (1, self._tail))],
            key_stride=self._shape.key_size,
            value_stride=self._shape.width,
        )

    def failure(self, key: Data, errno: int) -> str:
        return self._hex.failure(key, errno)


def _inner_id(value: Data) -> int:
    import sys

    return int.from_bytes(bytes(value[:4]), sys.byteorder)
