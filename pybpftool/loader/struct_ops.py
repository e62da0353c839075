"""struct_ops: the struct of callbacks as an object file declares it, laid into the kernel's.

Pure: bytes and BTF in, bytes and numbers out.  Sources: linux/bpf.h (BPF_MAP_TYPE_STRUCT_OPS),
kernel answers.
"""

from __future__ import annotations

from ..btf import types
from ..errors import BadData
from .compare import essential

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from ..btf.spec import Btf

_VALUE = "bpf_struct_ops_"


class Callback:
    """A program in a struct_ops.

    ``member``: its member's name; ``index``: that of the member in the kernel's struct, which is
    the program's expected_attach_type.  ``offset``: the byte in the value where its descriptor
    goes, as a number of 8 bytes.
    """

    __slots__ = ("index", "member", "offset", "program")

    def __init__(self, program: str, member: str, index: int, offset: int) -> None:
        self.program = program
        self.member = member
        self.index = index
        self.offset = offset


class Laid:
    """A struct_ops as this kernel has it.

    ``type_id``: of the struct in the kernel's BTF, the programs' attach_btf_id.
    ``value_type_id``, ``value``: the map's btf_vmlinux_value_type_id and its value, in which the
    descriptors of ``callbacks`` are still missing.
    """

    __slots__ = ("callbacks", "type_id", "value", "value_type_id")

    def __init__(
        self,
        type_id: int,
        value_type_id: int,
        value: bytearray,
        callbacks: list[Callback],
    ) -> None:
        self.type_id = type_id
        self.value_type_id = value_type_id
        self.value = value
        self.callbacks = callbacks


def lay(
    btf: Btf,
    type_id: int,
    data: bytes,
    programs: Mapping[int, str],
    kernel: Btf,
    *,
    name: str = "",
) -> Laid:
    """The kernel's value for a variable of the struct ``type_id``.

    ``data``: the variable's bytes in its ELF section.  ``programs``: by byte in them, the program
    whose address belongs there.  ``kernel``: the BTF with the kernel's struct, of vmlinux or a
    module.  ``name``: of the variable, for errors.
    Members go by name.  What the kernel's struct lacks must be zero, and no program.  BadData when
    it does not work out.
    """
    local = btf.type(btf.skip_modifiers(type_id, typedefs=True))
    label = f"struct_ops '{name}'"
    if not isinstance(local, types.Composite) or local.kind != types.STRUCT:
        raise BadData(f"{label} is no struct")
    if len(data) < local.size:
        raise BadData(f"{label}: {len(data)} bytes are less than its struct's {local.size}")
    word = essential(local.name)
    ours, value_id, start = _kernel_types(kernel, word, label)
    places = {member.name: index for index, member in enumerate(ours.members)}
    value = bytearray(kernel.size(value_id))
    callbacks: list[Callback] = []
    used: set[int] = set()
    for member in local.members:
        at = member.bits_offset // 8
        about = f"{label}: member '{member.name}'"
        index = places.get(member.name)
        program = programs.get(at)
        if member.bitfield_size or member.bits_offset % 8:
            if index is None and not any(data[at : at + 8]):
                continue
            raise BadData(f"{about} is a bit field, which is not supported")
        size = btf.size_of(member.type_id)
        if at + size > len(data):
            raise BadData(f"{about} reaches beyond its {len(data)} bytes")
        given = data[at : at + size]
        used.add(at)
        if index is None:
            if program is not None or any(given):
                raise BadData(f"{about} is set, but the kernel's 'struct {word}' has none such")
            continue
        theirs = ours.members[index]
        if theirs.bitfield_size or theirs.bits_offset % 8:
            raise BadData(f"{about} is a bit field in the kernel, which is not supported")
        here = btf.skip_modifiers(member.type_id, typedefs=True)
        there = kernel.skip_modifiers(theirs.type_id, typedefs=True)
        to = start + theirs.bits_offset // 8
        room = kernel.size_of(theirs.type_id)
        if to + room > len(value):
            raise BadData(f"{about} lies outside the kernel's value")
        kinds = btf.kind(here), kernel.kind(there)
        if kinds[0] != kinds[1]:
            raise BadData(
                f"{about} is of kind {types.KIND_NAMES[kinds[0]]}"
                f" and {types.KIND_NAMES[kinds[1]]} in the kernel"
            )
        if program is not None and kinds[0] != types.PTR:
            raise BadData(f"{about} is no pointer, but a program is put there")
        if kinds[0] == types.PTR:
            if program is not None:
                what = kernel.skip_modifiers(kernel.target(there), typedefs=True)
                if kernel.kind(what) != types.FUNC_PROTO:
                    raise BadData(f"{about} is no pointer to a function in the kernel")
                callbacks.append(Callback(program, member.name, index, to))
            elif any(given):
                raise BadData(f"{about} points to what is no program")
            continue
        if size != room:
            raise BadData(f"{about} has {size} bytes and {room} in the kernel")
        value[to : to + room] = given
    for at in programs:
        if at not in used:
            raise BadData(f"{label}: the program '{programs[at]}' at byte {at} is in no member")
    return Laid(ours.id, value_id, value, callbacks)


def home(
    btf: Btf, type_id: int, kernel: Btf, modules: Iterable[tuple[int, Btf]]
) -> tuple[int, Btf]:
    """(id of the BTF object of a module, or 0 for the kernel; its BTF) that takes such a struct.

    The kernel's own if none does, which ``lay`` then tells.  ``modules``: id and BTF of each, only
    looked at where the kernel has no such struct.
    """
    word = _VALUE + essential(btf.name_of(btf.skip_modifiers(type_id, typedefs=True)))
    if kernel.find(word, types.STRUCT) is None:
        for id, module in modules:
            if next(module.find_all(word, types.STRUCT, own=True), None) is not None:
                return id, module
    return 0, kernel


def _kernel_types(kernel: Btf, word: str, label: str) -> tuple[types.Composite, int, int]:
    """The kernel's struct, the id of its value type, and the byte of the one in the other."""
    id = kernel.find(word, types.STRUCT)
    if id is None:
        raise BadData(f"{label}: the kernel has no 'struct {word}'")
    value_id = kernel.find(_VALUE + word, types.STRUCT)
    if value_id is None:
        raise BadData(f"{label}: the kernel takes no struct_ops of 'struct {word}'")
    ours, value = kernel.type(id), kernel.type(value_id)
    if isinstance(ours, types.Composite) and isinstance(value, types.Composite):
        for member in value.members:
            if member.type_id == id:
                return ours, value_id, member.bits_offset // 8
    raise BadData(f"{label}: 'struct {_VALUE}{word}' of the kernel does not hold 'struct {word}'")
