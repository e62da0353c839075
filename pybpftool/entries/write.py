"""Entries into a map: in batches where the kernel takes them, else one by one."""

from __future__ import annotations

from ..errors import KernelError
from ..kernel import calls
from . import references

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import SupportsIndex

    from .shape import Shape

_ENOSYS, _EINVAL, _ENOTSUPP = 38, 22, 524


class Writer:
    """Writes entries, spelled as lookups give them.

    ``flags``: BPF_ANY, BPF_NOEXIST or BPF_EXIST.  ``written``: the entries that went in.
    """

    __slots__ = ("_batched", "_flags", "_map", "_shape", "written")

    def __init__(self, map: SupportsIndex, shape: Shape, flags: int = 0) -> None:
        self._map = map
        self._shape = shape
        self._flags = flags
        # batches know no other flag (linux/bpf.h), and referred objects must be open one by one
        self._batched = not flags and bool(shape.key_size) and not references.refers(shape)
        self.written = 0

    def write(self, keys: Sequence[bytes], values: Sequence[bytes]) -> None:
        """Write entries; KernelError for the first that the kernel refuses, which is number
        ``written`` of all."""
        if self._batched and len(keys) > 1:
            try:
                calls.map_update_batch(self._map, b"".join(keys), b"".join(values), len(keys))
            except KernelError as error:
                # Written once more entry by entry: that tells which one it is.
                if error.errno in (_ENOSYS, _EINVAL, _ENOTSUPP):
                    self._batched = False
            else:
                self.written += len(keys)
                return
        for key, value in zip(keys, values, strict=True):
            self._one(key or None, value)
            self.written += 1

    def _one(self, key: bytes | None, value: bytes) -> None:
        handle = None
        try:
            if references.refers(self._shape):
                value, handle = references.stored(self._shape, value)
            calls.map_update(self._map, key, value, self._flags)
        finally:
            if handle is not None:
                handle.close()
