"""Which functions of the kernel (helpers, kfuncs) programs of each type may call.

A program calls the function without regard for its arguments and then reads a register that no
call leaves behind.  So no kernel ever loads it, and nothing has to be taken away again; but the
verifier looks at the call first and says whether the function may be called at all.
"""

from __future__ import annotations

import errno
import os
import struct

from ..btf.types import DECL_TAG, FUNC
from ..errors import KernelError, during
from ..insn import asm
from ..insn.code import ADD, DW, W, encode
from ..kernel import calls
from ..kernel._abi import ffi
from ..kernel.handles import Btf
from ..kernel.syscall import Fd
from ..kernel.words import ATTACH_TYPES, HELPERS, PROG_TYPES
from . import tables
from .run import NO, YES, Loader, Verdict, numbers, side_by_side

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..insn.code import Insn
    from .run import Prober


_NO_HELPER = (b"unknown func ", b"program of this type cannot use helper ")
_NO_OFFLOAD = (b"not supported by FW", b"unsupported function id")
"""What the verifier and the drivers of devices say to a helper that is not for this program."""
_NO_KFUNC = (b" is not allowed\n", b" is not a function\n", b"uses reserved fields")
_FOR_DEVICES = b"metadata kfuncs require device-bound program"
"""What it says of kfuncs that XDP programs loaded for a device may call, and none else."""

ABSENT = Verdict(False, "no such function")
"""The kernel does not know the function at all, so no program of any type may call it."""


def helper_ids(full: bool) -> list[int]:
    """The helpers to ask for; ``full``: also those whose mention the kernel writes to its log."""
    return [
        number
        for number, word in enumerate(HELPERS)
        if number and (full or word not in tables.NOISY)
    ]


def helpers(prober: Prober, prog_type: str, ids: list[int]) -> list[int]:
    """Those of the helpers ``ids`` that programs of ``prog_type`` may call."""
    fields = {} if prober.ifindex else numbers(tables.PROG_TYPES[prog_type].fields)
    loader = _caller(prober, prog_type, fields)
    return [number for number in ids if _called(prober, loader, number, _no_helper(prober)).known]


def helper(prober: Prober, number: int, prog_types: list[str]) -> dict[str, Verdict]:
    """Program type -> whether its programs may call the helper ``number``."""

    def ask(prog_type: str) -> Verdict:
        fields = target(prober, prog_type)
        if isinstance(fields, Verdict):
            return fields
        loader = _caller(prober, prog_type, fields)
        return _called(prober, loader, number, _no_helper(prober))

    return dict(zip(prog_types, side_by_side(ask, prog_types), strict=True))


def refusal(prober: Prober, prog_type: str, fields: dict[str, int]) -> str:
    """Why no program of ``prog_type`` loads by ``fields``, whatever its code; empty if some do."""
    code = encode([asm.mov64_reg(0, 5), asm.exit_()])  # nothing is in r5: the verifier stops there
    result, log = Loader(PROG_TYPES.index(prog_type), code, fields).offer()
    told = prober.judge(result).known is not None or result == -errno.EPERM
    if result >= 0 or b"!read_ok" in log or not told:
        return ""
    return _last_line(log) or os.strerror(-result)


def helper_refusal(prober: Prober, prog_type: str, fields: dict[str, int], number: int) -> str:
    """Why a program that loads by ``fields`` may not call a helper; empty if it may."""
    _, log = _caller(prober, prog_type, fields).offer(number)
    refusals = (b"invalid func ", b"GPL", *_NO_HELPER)
    return _last_line(log) if any(each in log for each in refusals) else ""


def _last_line(log: bytes) -> str:
    """The reason in the verifier's log, which ends with statistics."""
    for line in reversed(log.decode("utf-8", "replace").split("\n")):
        if line.strip() and not line.startswith(("processed ", "verification ", "stack depth ")):
            return line.strip()
    return ""


def _no_helper(prober: Prober) -> tuple[bytes, ...]:
    return _NO_HELPER + _NO_OFFLOAD if prober.ifindex else _NO_HELPER


def _called(prober: Prober, loader: Loader, number: int, refusals: tuple[bytes, ...]) -> Verdict:
    """Whether the programs of ``loader`` may call the function ``number``."""
    result, log = loader.offer(number)
    if b"invalid func " in log:
        return ABSENT
    for refusal in refusals:
        if refusal in log:
            return NO
    # without a word of the verifier the program did not even get to it
    return YES if log else prober.judge(result)


def _caller(
    prober: Prober, prog_type: str, fields: dict[str, int], *, function: Insn | None = None
) -> Loader:
    code = [function or asm.call(0), asm.mov64_reg(0, 1), asm.exit_()]
    number = PROG_TYPES.index(prog_type)
    return Loader(number, encode(code), {**fields, "prog_ifindex": prober.ifindex})


# ------------------------------------------------------------------ types of the running kernel


def find_type(name: str, kind: int) -> tuple[int, Fd | None] | None:
    """The id of a type of the kernel or its modules, and the BTF of the module it is in.

    The kernel itself is asked, by a program that calls bpf_btf_find_by_name_kind: a millisecond,
    where to read its BTF would take twenty.  None where there is no such type.
    Raises KernelError where it cannot be asked (before Linux 5.14, or without privileges).
    """
    raw = name.encode("utf-8", "surrogateescape") + b"\0"
    if len(raw) > 256:
        return None
    raw += bytes(-len(raw) % 8)
    words = struct.unpack(f"={len(raw) // 4}i", raw)
    code = [
        asm.mov64_reg(6, 1),  # the context outlives the call in r6
        *(asm.st(W, 10, 4 * at - len(raw), word) for at, word in enumerate(words)),
        asm.mov64_reg(1, 10),
        asm.alu64_imm(ADD, 1, -len(raw)),
        asm.mov64_imm(2, raw.index(0) + 1),
        asm.mov64_imm(3, kind),
        asm.mov64_imm(4, 0),
        asm.call(HELPERS.index("btf_find_by_name_kind")),
        asm.stx(DW, 6, 0, 0),
        asm.mov64_imm(0, 0),
        asm.exit_(),
    ]
    found = bytearray(8)
    number = PROG_TYPES.index("syscall")
    with calls.prog_load(number, encode(code), prog_flags=tables.BPF_F_SLEEPABLE) as program:
        calls.prog_test_run(program, ctx_in=found)
    result: int = struct.unpack("=q", found)[0]
    if result < 0:
        return None
    module = result >> 32
    return result & 0xFFFFFFFF, Fd(module) if module else None


def target(prober: Prober, prog_type: str) -> dict[str, int] | Verdict:
    """The fields by which a program of ``prog_type`` loads, or why none is known to."""
    if prog_type not in tables.BY_BTF:
        return {} if prober.ifindex else numbers(tables.PROG_TYPES[prog_type].fields)
    if prog_type not in tables.TARGETS:
        return Verdict(None, f"no program of type {prog_type} can be made up")
    name, kind, attach_type = tables.TARGETS[prog_type]
    try:
        found = find_type(name, kind)
    except KernelError as error:
        return Verdict(None, f"can't look for {name}: {error.reason}")
    if found is None:
        return Verdict(None, f"this kernel has no {name}")
    fields = {"attach_btf_id": found[0]}
    if attach_type:
        fields["expected_attach_type"] = ATTACH_TYPES.index(attach_type)
    return fields


# ------------------------------------------------------------------ kfuncs


def kfuncs(
    prober: Prober,
    ids: list[int],
    module: Fd | None,
    prog_types: list[str],
    fields: dict[str, int] | None = None,
) -> dict[str, list[Verdict]]:
    """Program type -> for each kernel function of the BTF ``ids``, whether it may be called.

    ``module``: the BTF of the module they are in, None for the kernel itself.  ``fields``: by which
    the programs load, where these are not the usual ones.
    """
    given = fields
    array = ffi.new("u32[2]", [0, module.fileno() if module else 0])
    function = asm.call_kernel(0)
    function.off = 1 if module else 0  # the place of the module's BTF in fd_array

    def ask(prog_type: str) -> list[Verdict]:
        fields = target(prober, prog_type) if given is None else given
        if isinstance(fields, Verdict):
            return [fields] * len(ids)
        if module:
            fields = {**fields, "fd_array": int(ffi.cast("uintptr_t", array))}
        loader = _caller(prober, prog_type, fields, function=function)
        refusals = _NO_KFUNC if prog_type == "xdp" else (*_NO_KFUNC, _FOR_DEVICES)
        return [_called(prober, loader, number, refusals) for number in ids]

    return dict(zip(prog_types, side_by_side(ask, prog_types), strict=True))


def marked_kfuncs(directory: str = "/sys/kernel/btf") -> Iterator[tuple[str, dict[int, str]]]:
    """Each BTF of the kernel and its modules: its name, and id -> name of the kfuncs it marks.

    The marks are tags ``bpf_kfunc``, which pahole writes since 1.26 (about Linux 6.9).
    Raises KernelError where there is no BTF, BadData for one that contradicts itself.
    """
    from ..btf.reader import read_btf

    base = None
    with during(directory):
        names = sorted(os.listdir(directory), key=lambda name: (name != "vmlinux", name))
    for name in names:
        path = f"{directory}/{name}"
        with during(path), open(path, "rb") as file:
            btf = read_btf(file.read(), base, name=name)
        base = base or btf
        ids = (btf.target(tag) for tag in btf.find_all("bpf_kfunc", DECL_TAG, own=True))
        yield name, {each: btf.type(each).name for each in ids if btf.kind(each) == FUNC}


def module_btf(name: str) -> Fd | None:
    """The BTF of a loaded module as the kernel holds it; None for the kernel itself.

    Raises KernelError where it is gone, or may not be looked for.
    """
    if name == "vmlinux":
        return None
    for each in Btf.listed():
        if each.info.kernel_btf and each.info.name == name:
            return calls.btf_fd_by_id(each.info.id)
    raise KernelError(errno.ENOENT, f"BTF of module {name}")
