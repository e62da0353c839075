"""A loaded program attached to what its section names; the link can be pinned.

Source: linux/bpf.h, linux/perf_event.h; what the names of sections say is measured on libbpf.
"""

from __future__ import annotations

import os
import struct

from ..errors import KernelError, PybpftoolError, during
from ..kernel import calls
from ..kernel.perf import counter, probe
from ..kernel.proc import read_text
from ..kernel.symbols import PATH as KALLSYMS
from ..kernel.tracefs import USUAL as TRACEFS
from .features import syscall_symbol
from .target import traceable, where_to_trace

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ..kernel.syscall import Fd
    from .spec import ProgramSpec

_PERF_EVENT, _ITER = 41, 28
"""Attach types (uapi/linux/bpf.h)."""
_TYPE_TRACEPOINT = 2
"""PERF_TYPE_TRACEPOINT (uapi/linux/perf_event.h)."""
_MULTI_RETURN = 1
"""BPF_F_KPROBE_MULTI_RETURN, and the same of uprobes."""
_LIBRARIES = "/usr/lib64:/usr/lib:/lib/{}"
_PROGRAMS = "/usr/bin:/usr/sbin"
_OTHER_NAMES = {"i686": "i386", "armv7l": "arm", "ppc64le": "powerpc64le"}
"""What Debian calls machines that it does not call as the kernel does."""


def attach(prog: Fd, spec: ProgramSpec) -> Fd | None:
    """The link of a program on its target; None for a section that names no target.

    KernelError, naming the program, when the kernel refuses; PybpftoolError when there is no such
    target.
    """
    kind = spec.kind
    if kind is None or kind.prog_type != spec.prog_type or not spec.target:
        return None
    how = _HOW.get(kind.word.removesuffix(".s").removesuffix(".w"))
    if how is None:
        return None
    try:
        return how(prog, spec, kind.word)
    except PybpftoolError as error:
        what = f"program '{spec.name}': cannot be attached"
        if isinstance(error, KernelError):
            raise error.said(f"{what}: {error.what}" if error.what else what) from error
        raise PybpftoolError(f"{what}: {error.message}", hint=error.hint) from error


# ------------------------------------------------------------------ tracepoints, types


def _raw_tracepoint(prog: Fd, spec: ProgramSpec, word: str) -> Fd:
    with during(f"raw tracepoint {spec.target}"):
        return calls.raw_tracepoint_open(prog, spec.target)


def _loaded_for(prog: Fd, spec: ProgramSpec, word: str) -> Fd:
    return calls.raw_tracepoint_open(prog)


def _traced(prog: Fd, spec: ProgramSpec, word: str) -> Fd:
    from ..sources import kernel_btf, module_btfs

    kernel = kernel_btf()
    _, btf, pattern = where_to_trace(spec.target, kernel, module_btfs(kernel))
    ids = traceable(btf, _glob(pattern))
    if not ids:
        raise PybpftoolError(f"no function that can be traced is like {spec.target}")
    fields = {"cnt": len(ids), "ids": struct.pack(f"={len(ids)}I", *ids)}
    return calls.link_create(prog, 0, spec.attach_type, tracing_multi=fields)


def _iterator(prog: Fd, spec: ProgramSpec, word: str) -> Fd:
    return calls.link_create(prog, 0, _ITER)


def _tracepoint(prog: Fd, spec: ProgramSpec, word: str) -> Fd:
    number = _tracefs(f"events/{spec.target}/id").strip()
    if not number.isdigit():
        mounted = _tracefs("trace_clock")
        raise PybpftoolError(
            f"there is no tracepoint {spec.target}",
            hint=None if mounted else f"is tracefs mounted? mount -t tracefs none {TRACEFS[0]}",
        )
    return _on(prog, counter(_TYPE_TRACEPOINT, int(number), 0))


def _tracefs(name: str) -> str:
    """The text of a file there, empty where it is none."""
    texts = (read_text(f"{top}/{name}") for top in TRACEFS)
    return next((text for text in texts if text is not None), "")


def _on(prog: Fd, event: Fd) -> Fd:
    """The link on an event, which it keeps alive."""
    with event:
        return calls.link_create(prog, event, _PERF_EVENT)


# ------------------------------------------------------------------ functions of the kernel


def _kprobe(prog: Fd, spec: ProgramSpec, word: str) -> Fd:
    name, offset = _name_and_offset(spec.target, word)
    return _on(prog, probe("kprobe", name, offset, retprobe=word == "kretprobe"))


def _ksyscall(prog: Fd, spec: ProgramSpec, word: str) -> Fd:
    symbol = syscall_symbol(spec.target)
    return _on(prog, probe("kprobe", symbol, 0, retprobe=word == "kretsyscall"))


def _kprobes(prog: Fd, spec: ProgramSpec, word: str) -> Fd:
    fields: dict[str, object] = {"flags": _MULTI_RETURN if word.startswith("kret") else 0}
    if _is_pattern(spec.target):
        addresses = sorted(set(_kernel_functions(_glob(spec.target))))
        if not addresses:
            raise PybpftoolError(f"tracefs lists no function like {spec.target}")
        fields.update(cnt=len(addresses), addrs=struct.pack(f"={len(addresses)}Q", *addresses))
    else:
        fields.update(cnt=1, syms=[spec.target])
    return calls.link_create(prog, 0, spec.attach_type, kprobe_multi=fields)


def _kernel_functions(fits: Callable[[str], object]) -> Iterator[int]:
    """The addresses of the functions whose names fit, of those that can be traced."""
    with_addresses = _rows(_tracefs("available_filter_functions_addrs"), 2)
    for address, name, *_ in with_addresses:
        if fits(name):
            yield int(address, 16)
    if with_addresses:
        return
    names = _rows(_tracefs("available_filter_functions"), 1)
    wanted = {name for name, *_ in names if fits(name)}
    for address, type, name, *_ in _rows(read_text(KALLSYMS) or "", 3) if wanted else ():
        if name in wanted and type in "tT":
            yield int(address, 16)


def _rows(text: str, least: int) -> list[list[str]]:
    """The words of each line that has so many."""
    return [words for line in text.splitlines() if len(words := line.split()) >= least]


# ------------------------------------------------------------------ functions of programs


def _uprobe(prog: Fd, spec: ProgramSpec, word: str) -> Fd:
    from ..elf.functions import function_offset

    path, name = _file_and_name(spec.target, word)
    name, offset = _name_and_offset(name, word)
    offset += function_offset(path, name)
    return _on(prog, probe("uprobe", path, offset, retprobe=word.startswith("uret")))


def _uprobes(prog: Fd, spec: ProgramSpec, word: str) -> Fd:
    from ..elf.functions import function_offsets

    path, pattern = _file_and_name(spec.target, word)
    offsets = function_offsets(path, _glob(pattern))
    if not offsets:
        raise PybpftoolError(f"no function in {path} is like {pattern}")
    fields = {
        "path": os.fsencode(path) + b"\0",
        "offsets": struct.pack(f"={len(offsets)}Q", *offsets),
        "cnt": len(offsets),
        "flags": _MULTI_RETURN if word.startswith("uret") else 0,
    }
    return calls.link_create(prog, 0, spec.attach_type, uprobe_multi=fields)


def _usdt(prog: Fd, spec: ProgramSpec, word: str) -> Fd:
    raise PybpftoolError("USDT probes are not attached by pybpftool")


def _file_and_name(target: str, word: str) -> tuple[str, str]:
    file, _, name = target.partition(":")
    if not file or not name:
        raise PybpftoolError(f"section {word}/{target} is not {word}/FILE:FUNCTION")
    return file if "/" in file else _found(file), name


def _found(file: str) -> str:
    """The path of a program or library, from where such are looked for."""
    if file.endswith(".so") or ".so." in file:
        machine = os.uname().machine
        name = f"{_OTHER_NAMES.get(machine, machine)}-linux-gnu"
        if machine == "armv7l":
            name += "eabihf"
        places = [os.environ.get("LD_LIBRARY_PATH", ""), _LIBRARIES.format(name)]
        wanted = os.R_OK
    else:
        places = [os.environ.get("PATH", ""), _PROGRAMS]
        wanted = os.R_OK | os.X_OK
    for directory in ":".join(places).split(":"):
        path = f"{directory}/{file}"
        if directory and os.access(path, wanted, effective_ids=True):
            return path
    raise PybpftoolError(f"there is no {file} in {':'.join(filter(None, places))}")


# ------------------------------------------------------------------ names


def _name_and_offset(text: str, word: str) -> tuple[str, int]:
    """``FUNCTION+NUMBER`` as the two; a return has no place but the function's own."""
    name, _, number = text.rpartition("+")
    try:
        offset = int(number, 0) if name else 0
    except ValueError:
        return text, 0
    if offset and "ret" in word:
        raise PybpftoolError(f"a {word} has no offset: {text}")
    return name or text, offset


def _is_pattern(text: str) -> bool:
    return "*" in text or "?" in text


def _glob(pattern: str) -> Callable[[str], object]:
    """Whether a name is like a pattern, in which only ``*`` and ``?`` stand for others."""
    import re
    from fnmatch import translate

    return re.compile(translate(pattern.replace("[", "[[]"))).match


_HOW: dict[str, Callable[[Fd, ProgramSpec, str], Fd]] = {
    **dict.fromkeys(("raw_tp", "raw_tracepoint"), _raw_tracepoint),
    **dict.fromkeys(("tp", "tracepoint"), _tracepoint),
    **dict.fromkeys(("tp_btf", "fentry", "fexit", "fmod_ret", "fsession", "lsm"), _loaded_for),
    **dict.fromkeys(("fentry.multi", "fexit.multi", "fsession.multi"), _traced),
    "iter": _iterator,
    **dict.fromkeys(("kprobe", "kretprobe"), _kprobe),
    **dict.fromkeys(("ksyscall", "kretsyscall"), _ksyscall),
    **dict.fromkeys(("kprobe.multi", "kretprobe.multi", "kprobe.session"), _kprobes),
    **dict.fromkeys(("uprobe", "uretprobe"), _uprobe),
    **dict.fromkeys(("uprobe.multi", "uretprobe.multi", "uprobe.session"), _uprobes),
    "usdt": _usdt,
}
"""Name of a section, without the .s of one that may sleep -> what attaches its programs."""
