"""The BTF types of a map's entries, and their printer."""

from __future__ import annotations

from ..btf.values import compile_entries
from ..errors import PybpftoolError
from ..sources import btf_of_id, kernel_btf

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..btf.spec import Btf
    from ..btf.values import Entries
    from ..kernel.handles import MapInfo
    from .shape import Shape


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
