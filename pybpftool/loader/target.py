"""What a program of tracing, LSM or iterators is for: the kernel's BTF type that it names.

Source: linux/btf.h and the prefixes that the kernel gives to such types.
"""

from __future__ import annotations

from ..btf import types
from ..errors import PybpftoolError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from ..btf.spec import Btf
    from .spec import ProgramSpec

MULTI = (59, 60, 61)
"""Attach types of programs that trace many functions, which they name only when attached."""

_EXT = 28
"""BPF_PROG_TYPE_EXT (uapi/linux/bpf.h)."""
_MOST_ARGUMENTS, _LARGEST_ARGUMENT = 12, 16
_PLAIN = (types.PTR, types.INT, types.ENUM, types.ENUM64)
_RAW_TP, _LSM_MAC, _LSM_CGROUP, _ITER = 23, 27, 43, 28

_PREFIXES = {
    _RAW_TP: ("btf_trace_", types.TYPEDEF),
    _LSM_MAC: ("bpf_lsm_", types.FUNC),
    _LSM_CGROUP: ("bpf_lsm_", types.FUNC),
    _ITER: ("bpf_iter_", types.FUNC),
}
"""By attach type (enum bpf_attach_type); for the others a function is named as it is."""


def target_of_program(
    program: ProgramSpec, kernel: Btf, modules: Iterable[tuple[int, Btf]]
) -> tuple[int, int]:
    """``attach_target`` of a program; PybpftoolError, too, where its section does not say."""
    if program.prog_type == _EXT:
        raise PybpftoolError("it replaces a function of a program, and nothing says which")
    if not program.target:
        raise PybpftoolError(f"section {program.section_name} does not say what to attach to")
    return attach_target(program.attach_type, program.target, kernel, modules)


def attach_target(
    attach_type: int, name: str, kernel: Btf, modules: Iterable[tuple[int, Btf]]
) -> tuple[int, int]:
    """(id of the BTF object of a module, or 0 for the kernel; id of the type) of a target.

    ``name``: as the section has it behind the slash; ``module:name`` looks in that module alone.
    ``modules``: id and BTF of each, looked at only where the kernel has no such type.
    PybpftoolError where nobody has it.
    """
    prefix, kind = _PREFIXES.get(attach_type, ("", types.FUNC))
    module, _, alone = name.rpartition(":")
    if module in ("", "vmlinux"):
        found = kernel.find(prefix + alone, kind)
        if found is not None:
            return 0, found
    if module != "vmlinux":
        for id, btf in modules:
            if module in ("", btf.name):
                found = next(btf.find_all(prefix + alone, kind, own=True), None)
                if found is not None:
                    return id, found
    where = f"module {module} has" if module else "this kernel has"
    raise PybpftoolError(f"{where} no {prefix}{alone} to attach to")


def where_to_trace(
    target: str, kernel: Btf, modules: Iterable[tuple[int, Btf]]
) -> tuple[int, Btf, str]:
    """(id of the BTF object of a module, or 0; its BTF; the pattern) of ``[MODULE:]PATTERN``."""
    module, sign, pattern = target.partition(":")
    if not sign:
        return 0, kernel, target
    for id, btf in modules:
        if btf.name == module:
            return id, btf, pattern
    raise PybpftoolError(f"there is no module {module} with BTF")


def traceable(btf: Btf, fits: Callable[[str], object]) -> list[int]:
    """Ids of the own functions whose names fit, of those whose arguments the kernel can pass on."""
    kinds = btf.kinds_of_all()
    return [
        id
        for id in range(btf.own_start, btf.type_count)
        if kinds[id] == types.FUNC and fits(btf.name_of(id)) and _can_be_traced(btf, id)
    ]


def _can_be_traced(btf: Btf, function: int) -> bool:
    proto = btf.type(btf.target(function))
    if not isinstance(proto, types.FuncProto) or len(proto.params) > _MOST_ARGUMENTS:
        return False
    result = btf.kind(btf.skip_modifiers(proto.type_id, typedefs=True))
    if result not in (types.VOID, *_PLAIN):
        return False
    for each in proto.params:
        kind = btf.kind(btf.skip_modifiers(each.type_id, typedefs=True))
        if kind not in (*_PLAIN, types.STRUCT, types.UNION):
            return False
        if not 0 < btf.size_of(each.type_id) <= _LARGEST_ARGUMENT:
            return False
    return True
