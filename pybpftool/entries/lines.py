"""A map as lines of JSON: a header, then an entry on each (docs/typed-data.md).

Keys and values stand by field names where BTF describes them, else as hexadecimal text
(``key_hex``), as does what has bits set that no field tells of: so a line always gives the same
bytes again.
"""

from __future__ import annotations

from ..btf.values import compile_value
from ..errors import BadData, PybpftoolError
from ..output.json_writer import dumps, quote
from . import references
from .shape import Shape
from .typed import TypedEntries, encoder_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any, BinaryIO

    from ..btf.encode import Encoder
    from ..btf.spec import Btf
    from ..btf.values import Printer
    from ..command import Record
    from ..kernel.handles import Handle, MapInfo
    from ..kernel.syscall import Fd
    from ..output.hexdump import Data
    from .read import Batch

_LINE, _LINE_PER_BYTE = 1 << 20, 1 << 12
"""Characters of the longest line: what the printer of values allows, and more for small ones."""
_MOST_BTF = 64 << 20
"""Bytes of a header's BTF once it is unpacked."""
_CHUNK = 2048
"""Entries that are handed on together."""
_FD_ONLY = 1 << 3 | 1 << 4
"""BPF_F_RDONLY and BPF_F_WRONLY, which are the rights of a descriptor (linux/bpf.h)."""
_KERNELS_OWN = {"devmap": 1 << 7, "devmap_hash": 1 << 7}
"""Flags that the kernel gives to maps of a type by itself, and takes from nobody else: here
BPF_F_RDONLY_PROG."""


# ------------------------------------------------------------------ the header


class Header:
    """What the first line tells of the map; ``typed``: its types, None where it has none."""

    __slots__ = (
        "btf",
        "btf_key_type_id",
        "btf_value_type_id",
        "flags",
        "map_extra",
        "name",
        "shape",
        "typed",
    )

    def __init__(self, shape: Shape, flags: int, name: str, map_extra: int = 0) -> None:
        self.shape = shape
        self.flags = flags
        self.name = name
        self.map_extra = map_extra
        self.btf = b""
        self.btf_key_type_id = 0
        self.btf_value_type_id = 0
        self.typed: TypedEntries | None = None


def header_of(info: MapInfo, typed: TypedEntries | None, blob: bytes) -> str:
    """The header line of a map; ``blob``: its BTF, empty where there is none to carry along."""
    shape = Shape.of(info)
    record: Record = {"type": shape.type, "name": info.name}
    record["key_size"], record["value_size"] = info.key_size, info.value_size
    record["max_entries"], record["flags"] = info.max_entries, info.map_flags
    if info.map_extra:
        record["map_extra"] = info.map_extra
    if shape.cpus:
        record["cpus"] = shape.cpus
    if typed:
        if typed.key:
            record["key_type"] = _spelled(*typed.key)
        record["value_type"] = _spelled(*typed.value)
    if blob:
        from base64 import b64encode
        from zlib import compress

        record["btf_key_type_id"] = info.btf_key_type_id
        record["btf_value_type_id"] = info.btf_value_type_id
        record["btf"] = b64encode(compress(blob)).decode()
    return dumps({"map": record})


def _spelled(btf: Btf, id: int) -> str:
    from ..btf.spell import spell

    return spell(btf, id)


def read_header(line: str) -> Header | None:
    """The header that a line is, None for another line; BadData for one that cannot be."""
    record = _loaded(line)
    if not isinstance(record, dict) or list(record) != ["map"]:
        return None
    found = record["map"]
    if not isinstance(found, dict):
        raise BadData("the header tells nothing of the map")

    def number(name: str, least: int = 0) -> int:
        value = found.get(name, 0)
        if type(value) is not int or not least <= value < 1 << 32:
            raise BadData(f"the header has no sound {name}")
        return value

    def text(name: str) -> str:
        value = found.get(name, "")
        if not isinstance(value, str):
            raise BadData(f"the header has no sound {name}")
        return value

    shape = Shape(text("type"), number("key_size"), number("value_size"), number("max_entries"))
    header = Header(shape, number("flags"), text("name"), number("map_extra"))
    if "btf" in found:
        header.btf = _unpacked(text("btf"))
        header.btf_key_type_id = number("btf_key_type_id")
        header.btf_value_type_id = number("btf_value_type_id")
        header.typed = _types(header)
    return header


def _unpacked(text: str) -> bytes:
    import zlib
    from base64 import b64decode

    try:
        unpacking = zlib.decompressobj()
        blob = unpacking.decompress(b64decode(text, validate=True), _MOST_BTF)
    except (ValueError, zlib.error) as error:
        raise BadData(f"the header has no sound btf: {error}") from error
    if unpacking.unconsumed_tail:
        raise BadData(f"the header has a btf of more than {_MOST_BTF} bytes")
    if not unpacking.eof:
        raise BadData("the header has no sound btf: it ends too early")
    return blob


def _types(header: Header) -> TypedEntries | None:
    from ..btf.reader import read_btf

    btf = read_btf(header.btf, name="of the header")
    btf.check()
    if not header.btf_value_type_id:
        return None
    key = (btf, header.btf_key_type_id) if header.btf_key_type_id else None
    return TypedEntries(key, (btf, header.btf_value_type_id))


def create(header: Header, lines: Lines) -> Fd:
    """A map as the header says, which nobody has a name for yet.

    A map of maps is made to hold such as the first entry has.  KernelError where the kernel does
    not make it.
    """
    from ..errors import during
    from ..kernel import calls
    from ..kernel.words import MAP_TYPES, number

    shape = header.shape
    type = number(MAP_TYPES, shape.type)
    if type is None:
        raise PybpftoolError(f"unrecognized map type: {shape.type}")
    fields = {"map_extra": header.map_extra} if header.map_extra else {}
    held: list[Handle | Fd] = []
    try:
        with during("map create failed"):
            if header.typed:
                held.append(calls.btf_load(header.btf))
                fields["btf_fd"] = held[-1].fileno()
                fields["btf_key_type_id"] = header.btf_key_type_id
                fields["btf_value_type_id"] = header.btf_value_type_id
            if shape.of_maps:
                held.append(_first_inner(lines))
                fields["inner_map_fd"] = held[-1].fileno()
            return calls.map_create(
                type,
                shape.key_size,
                shape.value_size,
                shape.max_entries,
                header.name,
                header.flags & ~_FD_ONLY & ~_KERNELS_OWN.get(shape.type, 0),
                **fields,
            )
    finally:
        for each in held:
            each.close()


def _first_inner(lines: Lines) -> Handle:
    from ..kernel.handles import Map

    line = lines.peek()
    record = _loaded(line) if line else None
    if not isinstance(record, dict):
        raise PybpftoolError("a map of maps can't be made without an entry")
    inner: Handle = lines.tell(lambda _: references.opened(Map, record.get("value"), "value"), "")
    return inner


# ------------------------------------------------------------------ entries to lines


class EntryWriter:
    """The lines of a map's entries."""

    __slots__ = ("_key", "_shape", "_value")

    def __init__(self, shape: Shape, typed: TypedEntries | None) -> None:
        self._shape = shape
        self._key = _Column("key", shape.key_size, typed.key if typed else None)
        self._value = _Column("value", shape.value_size, typed.value if typed else None)

    def lines(self, batch: Batch) -> list[str]:
        """A line, without its end, for each entry of a batch."""
        shape, count = self._shape, batch.count
        if shape.of_maps or shape.of_progs:
            data = bytes(batch.values)
            told = (references.told(shape, data[at : at + 4]) for at in range(0, 4 * count, 4))
            values = [f'"value":{dumps(each)}' for each in told]
        elif shape.cpus:
            values = self._value.per_cpu(batch.values, count, shape)
        else:
            values = self._value.texts(batch.values, count, shape.width)
        if not shape.key_size:
            return [f"{{{value}}}" for value in values]
        keys = self._key.texts(batch.keys, count, shape.key_size)
        return [f"{{{key},{value}}}" for key, value in zip(keys, values, strict=True)]

    def one(self, key: bytes, value: bytes) -> str:
        """The line of one entry."""
        from .read import Batch

        return self.lines(Batch(key, value, 1))[0]


class _Column:
    """The keys or the values of a map as members of its entries' lines.

    Without a type that tells all of their bytes apart they are hexadecimal.
    """

    __slots__ = ("_hex", "_loose", "_name", "_printer", "_size")

    def __init__(self, name: str, size: int, type: tuple[Btf, int] | None) -> None:
        self._name = name
        self._size = size
        self._hex = False
        self._loose = 0
        self._printer: Printer | None = None
        if type is not None:
            try:
                printer = compile_value(*type, json=True, pretty=False, exact=True)
            except BadData:
                return  # a type that cannot be written is as none
            if printer.size == size:
                self._printer = printer
                self._loose = int.from_bytes(printer.loose, "little")

    def texts(self, data: Data, count: int, stride: int) -> list[str]:
        """A member for each value, which lie ``stride`` bytes apart."""
        name = self._name
        if self._printer is None:
            return [f'"{name}_hex":"{self._bytes(data, at, stride)}"' for at in range(count)]
        texts = [f'"{name}":{text}' for text in self._printer.many(data, count, stride)]
        for at in self._untold(data, count, stride):
            texts[at] = f'"{name}_hex":"{self._bytes(data, at, stride)}"'
        return texts

    def per_cpu(self, data: Data, count: int, shape: Shape) -> list[str]:
        """A member for each list of values of a per-CPU map."""
        cpus, step, name = shape.cpus, shape.step, self._name
        total = count * cpus
        untold = range(count)
        texts: list[str] = [""] * count
        if self._printer is not None:
            each = self._printer.many(data, total, step)
            texts = [
                f'"{name}s":[{",".join(each[at : at + cpus])}]' for at in range(0, total, cpus)
            ]
            untold = sorted({at // cpus for at in self._untold(data, total, step)})  # type: ignore[assignment]  # a list does as well
        for at in untold:
            cells = (self._bytes(data, at * cpus + cpu, step) for cpu in range(cpus))
            texts[at] = f'"{name}s_hex":[{",".join(quote(cell) for cell in cells)}]'
        return texts

    def _bytes(self, data: Data, at: int, stride: int) -> str:
        return bytes(data[at * stride : at * stride + self._size]).hex()

    def _untold(self, data: Data, count: int, stride: int) -> list[int]:
        """Which values have bits that their text would not tell of."""
        if not self._loose:
            return []
        mask = self._loose.to_bytes(stride, "little")
        whole = int.from_bytes(data[: count * stride], "little")
        if not whole & int.from_bytes(mask * count, "little"):
            return []
        return [
            at
            for at in range(count)
            if int.from_bytes(data[at * stride : (at + 1) * stride], "little") & self._loose
        ]


# ------------------------------------------------------------------ lines to entries


class EntryReader:
    """Entries from their lines; ``typed``: the types that the lines are held against."""

    __slots__ = ("_encoders", "_scan", "_shape", "_typed")

    def __init__(self, shape: Shape, typed: TypedEntries | None) -> None:
        from json import JSONDecoder

        self._scan: Any = JSONDecoder().scan_once  # type: ignore[attr-defined]  # the scanner behind decode()
        self._shape = shape
        self._typed = typed
        self._encoders: dict[str, Encoder] = {}

    def entry(self, line: str) -> tuple[bytes, bytes]:
        """Key and value as lookups give them (a map or program in them by its id).

        PybpftoolError, one sentence, for a line that is none of this map's.
        """
        try:
            record, end = self._scan(line, 0)
            if end != len(line):
                raise StopIteration
        except (StopIteration, ValueError, RecursionError):
            record = _loaded(line)  # knows what to say
        if not isinstance(record, dict):
            raise PybpftoolError("this is no object with a key and a value")
        key = b"" if not self._shape.key_size else self._part(record, "key", self._shape.key_size)
        shape = self._shape
        if shape.of_maps or shape.of_progs:
            value = self._reference(record)
        elif shape.cpus:
            value = self._per_cpu(record)
        else:
            value = self._part(record, "value", shape.value_size)
        if len(record) > bool(shape.key_size) + 1:
            name = next(
                name for name in record if name not in ("key", "value") or not shape.key_size
            )
            raise PybpftoolError(f"{name!a} is more than a key and a value")
        return key, value

    def _part(self, record: dict[str, Any], name: str, size: int) -> bytes:
        if name in record:
            return self._encoder(name, size).one(record[name], name)
        return _unhex(record.get(f"{name}_hex"), f"{name}_hex", size, name)

    def _encoder(self, name: str, size: int) -> Encoder:
        found = self._encoders.get(name)
        if found is None:
            typed = self._typed
            type = None if typed is None else typed.key if name == "key" else typed.value
            found = self._encoders[name] = encoder_of(type, name, size)
        return found

    def _per_cpu(self, record: dict[str, Any]) -> bytes:
        shape = self._shape
        name = "values" if "values" in record else "values_hex"
        cells = record.get(name)
        if not isinstance(cells, list):
            raise PybpftoolError("there are no values")
        if len(cells) != shape.cpus:
            raise PybpftoolError(
                f"{name}: {len(cells)} values where {shape.cpus} CPUs have one each"
            )
        if name == "values_hex":
            each = [
                _unhex(cell, f"{name}[{cpu}]", shape.value_size, "value")
                for cpu, cell in enumerate(cells)
            ]
        else:
            encoder = self._encoder("value", shape.value_size)
            each = [encoder.one(cell, f"values[{cpu}]") for cpu, cell in enumerate(cells)]
        return shape.pack(each)

    def _reference(self, record: dict[str, Any]) -> bytes:
        import sys

        from ..kernel.handles import Map, Prog

        if "value" not in record:
            return _unhex(record.get("value_hex"), "value_hex", 4, "value")
        kind = Map if self._shape.of_maps else Prog
        with references.opened(kind, record["value"], "value") as found:
            id: int = found.info.id  # type: ignore[attr-defined]  # Map and Prog both have it
            return id.to_bytes(4, sys.byteorder)


def _unhex(text: object, path: str, size: int, what: str) -> bytes:
    if text is None:
        raise PybpftoolError(f"there is no {what}")
    try:
        data = bytes.fromhex(text)  # type: ignore[arg-type]  # TypeError is an answer too
    except (TypeError, ValueError):
        raise PybpftoolError(f"{path}: this is no hexadecimal text") from None
    if len(data) != size:
        raise PybpftoolError(f"{path}: {len(data)} bytes where {size} belong")
    return data


def _loaded(line: str) -> Any:
    import json

    try:
        return json.loads(line)
    except json.JSONDecodeError as error:
        raise PybpftoolError(f"no JSON at character {error.pos + 1}: {error.msg}") from error
    except (ValueError, RecursionError) as error:
        raise PybpftoolError(f"no JSON that can be read: {error}") from error


class Lines:
    """The lines of a file one after the other, counted.

    ``number``: of the line read last, from 1.  ``at``: bytes read so far.
    """

    __slots__ = ("_file", "_held", "_most", "at", "number")

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._most = _LINE + _MOST_BTF * 2
        self._held: str | None = None
        self.number = 0
        self.at = 0

    def header(self) -> Header | None:
        """The header, None where the first line is none; it is then the first entry."""
        line = self.next()
        if line is None:
            return None
        found: Header | None = self.tell(read_header, line)
        if found is None:
            self._held = line
        return found

    @property
    def size(self) -> int | None:
        """Bytes of the file, None where that is not known."""
        import os
        import stat

        try:
            found = os.fstat(self._file.fileno())
        except OSError:
            return None
        return found.st_size if stat.S_ISREG(found.st_mode) else None

    def peek(self) -> str | None:
        """The line that ``next`` will give."""
        self._held = self.next()
        return self._held

    def of_entries(self, shape: Shape) -> None:
        """From here on every line is an entry of that shape: none is longer than that needs."""
        self._most = _LINE + _LINE_PER_BYTE * (shape.key_size + shape.width)

    def next(self) -> str | None:
        """The next line that is not blank, without its end; None behind the last."""
        if self._held is not None:
            line, self._held = self._held, None
            return line
        while True:
            raw = self._file.readline(self._most)
            if not raw:
                return None
            self.number += 1
            self.at += len(raw)
            if len(raw) == self._most and not raw.endswith(b"\n"):
                raise PybpftoolError(f"line {self.number}: it is too long for an entry")
            line = raw.decode("utf-8", "surrogateescape").strip()
            if line:
                return line

    def tell(self, read: Any, line: str) -> Any:
        """What ``read`` makes of a line; its errors told with the number of the line."""
        try:
            return read(line)
        except PybpftoolError as error:
            raise PybpftoolError(
                f"line {self.number}: {error}", status=error.status, hint=error.hint
            ) from error

    def entries(self, reader: EntryReader) -> Iterator[tuple[list[int], list[bytes], list[bytes]]]:
        """Many entries at a time: the numbers of their lines, their keys and their values.

        PybpftoolError, told with the number of the line, for one that is no entry; what stands in
        front of it is handed out before.
        """
        keys: list[bytes] = []
        values: list[bytes] = []
        numbers: list[int] = []
        failed: PybpftoolError | None = None
        while True:
            try:
                line = self.next()
                if line is not None:
                    key, value = self.tell(reader.entry, line)
                    keys.append(key)
                    values.append(value)
                    numbers.append(self.number)
            except PybpftoolError as error:
                failed = error
                line = None
            if keys and (line is None or len(keys) == _CHUNK):
                yield numbers, keys, values
                keys, values, numbers = [], [], []
            if failed:
                raise failed
            if line is None:
                return
