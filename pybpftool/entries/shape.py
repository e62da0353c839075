"""What one entry of a map is made of, in bytes."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..kernel.handles import MapInfo

PER_CPU = ("percpu_hash", "percpu_array", "lru_percpu_hash", "percpu_cgroup_storage")
OF_MAPS = ("array_of_maps", "hash_of_maps")
OF_PROGS = ("prog_array",)


class Shape:
    """Sizes and peculiarities of a map's entries.

    ``type``: the map type's word, or its number as text.  ``key_size``, ``value_size``: bytes as
    the map declares them.  ``cpus``: values per entry of a per-CPU map (one for every possible
    CPU), 0 for others.  ``step``: bytes from one CPU's value to the next.  ``width``: bytes of
    the whole value as the kernel hands it over.  ``of_maps``, ``of_progs``: the value names a
    map or a program.
    """

    __slots__ = (
        "cpus",
        "key_size",
        "max_entries",
        "of_maps",
        "of_progs",
        "step",
        "type",
        "value_size",
        "width",
    )

    def __init__(self, type: str, key_size: int, value_size: int, max_entries: int = 0) -> None:
        self.type = type
        self.key_size = key_size
        self.value_size = value_size
        self.max_entries = max_entries
        self.of_maps = type in OF_MAPS
        self.of_progs = type in OF_PROGS
        self.cpus = 0
        self.step = self.width = value_size
        if type in PER_CPU:
            from ..kernel.proc import possible_cpus

            self.cpus = possible_cpus()
            self.step = (value_size + 7) & ~7
            self.width = self.step * self.cpus

    @classmethod
    def of(cls, info: MapInfo) -> Shape:
        """The shape of a map the kernel told about."""
        return cls(info.type_name, info.key_size, info.value_size, info.max_entries)

    def values(self, data: bytes | memoryview) -> Sequence[bytes | memoryview]:
        """The value, or each CPU's value, in the bytes the kernel handed over."""
        if not self.cpus:
            return [data]
        starts = (cpu * self.step for cpu in range(self.cpus))
        return [data[at : at + self.value_size] for at in starts]

    def each_so_far(self, data: bytes | None) -> list[bytes | None]:
        """The value of each CPU before it is changed; None for each where there is no ``data``."""
        return [None] * self.cpus if data is None else [bytes(each) for each in self.values(data)]

    def spread(self, value: bytes) -> bytes:
        """One value as the kernel wants it: copied to every possible CPU of a per-CPU map."""
        return value if not self.cpus else value.ljust(self.step, b"\0") * self.cpus

    def pack(self, values: Sequence[bytes]) -> bytes:
        """The value of each CPU as the kernel wants them."""
        return b"".join([value.ljust(self.step, b"\0") for value in values])
