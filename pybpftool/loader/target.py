"""What a program of tracing, LSM or iterators is for: the kernel's BTF type that it names.

Source: linux/btf.h and the prefixes that the kernel gives to such types.
"""

from __future__ import annotations

from ..btf import types
from ..errors import PybpftoolError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from ..btf.spec import Btf

_RAW_TP, _LSM_MAC, _LSM_CGROUP, _ITER = 23, 27, 43, 28

_PREFIXES = {
    _RAW_TP: ("btf_trace_", types.TYPEDEF),
    _LSM_MAC: ("bpf_lsm_", types.FUNC),
    _LSM_CGROUP: ("bpf_lsm_", types.FUNC),
    _ITER: ("bpf_iter_", types.FUNC),
}
"""By attach type (enum bpf_attach_type); for the others a function is named as it is."""


def attach_target(
    attach_type: int, name: str, kernel: Btf, modules: Iterable[tuple[int, Btf]]
) -> tuple[int, int]:
    """(id of the BTF object of a module, or 0 for the kernel; id of the type) of a target.

    ``name``: as the section has it behind the slash; ``module:name`` looks in that module alone.
    ``modules``: id and BTF of each, looked at only where the kernel has no such type.
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
