"""A map's keys and values as Python objects, and back to bytes."""

from __future__ import annotations

import sys

from ..errors import PybpftoolError
from .typed import typed_entries

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ..btf.encode import Encoder
    from ..btf.spec import Btf
    from ..kernel.handles import MapInfo
    from ..output.hexdump import Data
    from .shape import Shape

_INDEXED = frozenset(
    "array percpu_array prog_array perf_event_array cgroup_array array_of_maps devmap cpumap "
    "xskmap sockmap reuseport_sockarray insn_array".split()
)
"""Map types whose keys are the numbers from 0 on, as u32."""


class Codec:
    """Both directions for the keys, or for the values, of one map.

    ``size``: bytes of one.  ``what``: ``key`` or ``value``, which begins the path in errors.
    As it stands: bytes are themselves.
    """

    def __init__(self, what: str, size: int) -> None:
        self.what = what
        self.size = size

    def many(self, data: Data, count: int, stride: int) -> list[Any]:
        """``count`` objects out of ``data``, one every ``stride`` bytes."""
        raw = bytes(memoryview(data)[: count * stride])
        return [raw[at : at + self.size] for at in range(0, count * stride, stride)]

    def one(self, data: Data) -> Any:
        """The object in these bytes."""
        return self.many(data, 1, len(data))[0]

    def encoded(self, value: Any, start: bytes | None = None) -> bytes:
        """The bytes of an object, or bytes of the right size as they are.

        ``start``: the bytes so far, of which a dict changes only what it names.
        PybpftoolError, one sentence, for what does not fit.
        """
        given = isinstance(value, (bytes, bytearray, memoryview))
        data = bytes(value) if given else self._encoded(value, start)
        if len(data) != self.size:  # the kernel would read beyond them
            raise PybpftoolError(f"{self.what}: {len(data)} bytes where {self.size} are needed")
        return data

    def _encoded(self, value: Any, start: bytes | None) -> bytes:
        found = type(value).__name__
        raise PybpftoolError(f"{self.what}: {found} where bytes are needed: it has no BTF type")


class Index(Codec):
    """A number: the key of an array, the id of a map or program."""

    def many(self, data: Data, count: int, stride: int) -> list[Any]:
        if stride != 4:
            return [
                int.from_bytes(each, sys.byteorder) for each in super().many(data, count, stride)
            ]
        return memoryview(data)[: 4 * count].cast("I").tolist()

    def _encoded(self, value: Any, start: bytes | None) -> bytes:
        if not isinstance(value, int):
            return super()._encoded(value, start)
        if not 0 <= value < 1 << 32:
            raise PybpftoolError(f"{self.what}: {value} does not fit u32")
        return value.to_bytes(4, sys.byteorder)


class Typed(Codec):
    """A value of a BTF type."""

    def __init__(self, what: str, size: int, btf: Btf, type_id: int) -> None:
        from ..btf.decode import compile_reader

        super().__init__(what, size)
        self._btf = btf
        self._type_id = type_id
        self._reader = compile_reader(btf, type_id)
        self._encoder: Encoder | None = None

    def many(self, data: Data, count: int, stride: int) -> list[Any]:
        return self._reader.many(data, count, stride)

    def _encoded(self, value: Any, start: bytes | None) -> bytes:
        if self._encoder is None:  # most maps are only read
            from ..btf.encode import Encoder

            self._encoder = Encoder(self._btf, self._type_id)
        return self._encoder.one(value, self.what, start)


def codecs(info: MapInfo, shape: Shape, raw: bool) -> tuple[Codec, Codec]:
    """How the keys and the values of a map are read and written; of a per-CPU map each CPU's.

    By its BTF types; what has none is bytes, but for the keys of arrays and the ids of inner maps
    and programs, which are numbers.  ``raw``: all is bytes.
    PybpftoolError where the types can't be read.
    """
    key, value = Codec("key", shape.key_size), Codec("value", shape.value_size)
    if raw:
        return key, value
    if shape.type in _INDEXED:
        key = Index("key", 4)
    if shape.of_maps or shape.of_progs:
        value = Index("value", 4)
    typed = typed_entries(info)
    if typed is None:
        return key, value
    if typed.key is not None:
        key = Typed("key", shape.key_size, *typed.key)
    return key, Typed("value", shape.value_size, *typed.value)
