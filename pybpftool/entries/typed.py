"""The BTF types of a map's entries, their printer, and values given by field names."""

from __future__ import annotations

import errno

from ..btf.values import compile_entries
from ..errors import BadData, KernelError, PybpftoolError
from ..kernel import calls
from ..sources import btf_of_id, kernel_btf

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, SupportsIndex

    from ..btf.encode import Encoder
    from ..btf.spec import Btf
    from ..btf.values import Entries
    from ..kernel.handles import MapInfo
    from .shape import Shape


_TRIES = 16
"""How often a value is looked at anew when others add and delete its key meanwhile."""


class TypedEntries:
    """Key and value types of a map: (Btf, type id) each, the key's None where it has none."""

    __slots__ = ("key", "value")

    def __init__(self, key: tuple[Btf, int] | None, value: tuple[Btf, int]) -> None:
        self.key = key
        self.value = value

    def printer(
        self, shape: Shape, *, json: bool, pretty: bool, depth: int, headed: bool = False
    ) -> Entries:
        """The compiled printer of the map's entries, for ``depth`` open brackets.

        ``headed``: each entry is an object that begins with a text handed in, and what is
        printed here is its ``formatted`` (spec 3.6).
        """
        return compile_entries(
            self.key,
            self.value,
            json=json,
            pretty=pretty,
            depth=depth,
            cpus=shape.cpus,
            head=("", "") if headed else None,
        )


def encoder_of(type: tuple[Btf, int] | None, what: str, size: int) -> Encoder:
    """What makes the bytes of a map's keys or values, of ``size`` bytes, from their fields.

    ``what``: ``key`` or ``value``, for the sentences.  PybpftoolError where there is no type,
    BadData where it is of another size than the map says.
    """
    from ..btf.encode import Encoder

    if type is None:
        raise PybpftoolError(f"the map has no BTF for its {what}: give it as bytes")
    encoder = Encoder(*type)
    if encoder.size != size:
        raise BadData(f"the BTF has {what}s of {encoder.size} bytes, the map of {size}")
    return encoder


class Given:
    """A map's value given by field names.

    ``partial``: only some fields of the value may be named: the others stay as they are.
    What does not fit is told at once.
    """

    __slots__ = ("_encoder", "_shape", "_value", "partial")

    def __init__(self, value: Any, typed: TypedEntries | None, shape: Shape) -> None:
        self._encoder = encoder_of(typed.value if typed else None, "value", shape.value_size)
        self._shape = shape
        self._value = value
        self.partial = isinstance(value, (dict, list))
        self.encode()

    def encode(self, start: bytes | None = None) -> bytes:
        """The value as the kernel wants it.

        ``start``: the one there was, as the kernel gave it; else what is not named is zero.  Of a
        per-CPU map a list has one value for each CPU, anything else is the value of all.
        """
        shape = self._shape
        if not shape.cpus:
            return self._encoder.one(self._value, "value", start)
        return shape.pack(
            [
                self._encoder.one(each, path, old)
                for (path, each), old in zip(self._each(), shape.each_so_far(start), strict=True)
            ]
        )

    def write(self, map: SupportsIndex, key: bytes | None, flags: int) -> None:
        """Set the named fields of what is there, or of a new value.

        ``flags``: BPF_ANY, BPF_NOEXIST or BPF_EXIST.  What is there is read, changed and written:
        another's write in between is lost.  KernelError.
        """
        if not self.partial or key is None or flags == calls.BPF_NOEXIST:
            calls.map_update(map, key, self.encode(), flags)
            return
        for last in range(_TRIES, 0, -1):
            before = calls.map_lookup(map, key, self._shape.width)
            new = before is None and flags != calls.BPF_EXIST
            try:
                flag = calls.BPF_NOEXIST if new else calls.BPF_EXIST
                calls.map_update(map, key, self.encode(before), flag)
                return
            except KernelError as error:
                # someone added or deleted the key since it was looked at: look again
                again = error.errno == (errno.EEXIST if new else errno.ENOENT)
                if not again or flags == calls.BPF_EXIST or last == 1:
                    raise

    def _each(self) -> list[tuple[str, Any]]:
        cpus = self._shape.cpus
        if not isinstance(self._value, list):
            return [("value", self._value)] * cpus
        if len(self._value) != cpus:
            raise PybpftoolError(
                f"value: {len(self._value)} values where {cpus} CPUs have one each"
            )
        return [(f"value[{cpu}]", each) for cpu, each in enumerate(self._value)]


def typed_entries(info: MapInfo) -> TypedEntries | None:
    """The types of a map's entries, None where its values have no BTF.

    The value type of a map made by the kernel itself (struct_ops) is one of the kernel's own.
    """
    if info.btf_vmlinux_value_type_id:
        btf = _kernel_btf()
        value = info.btf_vmlinux_value_type_id
    elif info.btf_value_type_id:
        btf = _btf(info.btf_id)
        value = info.btf_value_type_id
    else:
        return None
    key = (btf, info.btf_key_type_id) if info.btf_key_type_id else None
    return TypedEntries(key, (btf, value))


def _kernel_btf() -> Btf:
    try:
        return kernel_btf()
    except PybpftoolError as error:
        raise PybpftoolError(f"failed to get kernel btf: {error}") from error


def _btf(id: int) -> Btf:
    try:
        return btf_of_id(id)
    except PybpftoolError as error:
        raise PybpftoolError(f"failed to get btf: {error}", hint=error.hint) from error
