"""What a kernel has, for ``prog check``: the running one is asked, or a saved probe read."""

from __future__ import annotations

from ...errors import BadData, during
from ...kernel._abi import ffi
from ...kernel.words import HELPERS, MAP_TYPES, PROG_TYPES, word
from ...loader import features
from ...loader.check import Facts
from ...probe import functions, tables
from ...probe.run import NO, Prober
from ...probe.tables import BY_BTF, NOISY

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ...command import Record
    from ...kernel.syscall import Fd
    from ...loader.check import Target
    from ...loader.spec import ProgramSpec

_STRUCT_OPS = "struct_ops"
_NOT_FOR_IT = "such programs may not call it"
_BY_ATTACH_TYPE = ("cgroup_sock", "cgroup_sock_addr", "cgroup_sockopt", "sk_lookup")
"""Types whose helpers differ by attach type, of which a saved probe tells one alone."""

_LARGEST = 16 << 20
"""Bytes of a saved probe that are read; a true one has some 100 KiB."""


class Running(Facts):
    """The running kernel; only what an object needs is asked for, and that once."""

    here = True

    def __init__(self, license: str) -> None:
        self._prober = Prober()
        self._license = ffi.new("char[]", license.encode("utf-8", "surrogateescape"))
        self._modules: dict[int, Fd] = {}
        self._answers: dict[object, str] = {}

    def map_type(self, number: int) -> str:
        name = word(MAP_TYPES, number)
        if number not in self._answers:
            verdict = self._prober.map_type(name) if name in tables.MAP_TYPES else NO
            self._answers[number] = "" if verdict.known else verdict.why or _no("maps", name)
        return self._answers[number]

    def program(self, program: ProgramSpec, target: Target) -> str:
        name = PROG_TYPES[program.prog_type]
        if name == _STRUCT_OPS and target is None:  # it is in no struct, so nothing says for what
            return ""
        reason = functions.refusal(self._prober, name, self._fields(program, target))
        return reason and f"the kernel takes no such program: {reason}"

    def helper(self, program: ProgramSpec, target: Target, number: int) -> str:
        helper = word(HELPERS, number)
        if helper in NOISY:  # to ask is written to the kernel's log
            return ""
        key = (program.prog_type, program.attach_type, _flags(program), target, number)
        if key not in self._answers:
            name, fields = PROG_TYPES[program.prog_type], self._fields(program, target)
            reason = functions.helper_refusal(self._prober, name, fields, number)
            self._answers[key] = reason and f"it may not call bpf_{helper}: {reason}"
        return self._answers[key]

    def kfunc(self, program: ProgramSpec, target: Target, module: int, type_id: int) -> str:
        name, fields = PROG_TYPES[program.prog_type], self._fields(program, target)
        fd = self._module(module) if module else None
        found = functions.kfuncs(self._prober, [type_id], fd, [name], fields)
        return "" if found[name][0].known is not False else _NOT_FOR_IT

    def _fields(self, program: ProgramSpec, target: Target) -> dict[str, int]:
        attach_type = program.attach_type
        if program.kind is not None and program.kind.optional:
            attach_type *= features.knows("expected_attach_type")
        fields = {
            "expected_attach_type": attach_type,
            "prog_flags": _flags(program),
            "license": int(ffi.cast("uintptr_t", self._license)),
        }
        if target is not None:
            module, fields["attach_btf_id"] = target
            if module:
                fields["attach_btf_obj_fd"] = self._module(module).fileno()
        return fields

    def _module(self, id: int) -> Fd:
        from ...kernel.calls import btf_fd_by_id

        if id not in self._modules:
            self._modules[id] = btf_fd_by_id(id)
        return self._modules[id]


def _no(what: str, name: str | None) -> str:
    return f"this kernel has no {what} of type {name}"


def _flags(program: ProgramSpec) -> int:
    return program.flags | (program.kind.flags if program.kind is not None else 0)


class Saved(Facts):
    """A kernel of which there is a document that ``feature probe -j`` wrote."""

    def __init__(self, document: Record) -> None:
        self._document = document

    def map_type(self, number: int) -> str:
        name = word(MAP_TYPES, number)
        known = self._said("map_types", f"have_{name}_map_type")
        return _no("maps", name) if known is False else ""

    def program(self, program: ProgramSpec, target: Target) -> str:
        name = word(PROG_TYPES, program.prog_type)
        known = self._said("program_types", f"have_{name}_prog_type")
        return _no("programs", name) if known is False else ""

    def helper(self, program: ProgramSpec, target: Target, number: int) -> str:
        name, helper = word(PROG_TYPES, program.prog_type), word(HELPERS, number)
        allowed = self._said("helpers", f"{name}_available_helpers")
        if not isinstance(allowed, list) or not allowed or helper is None or helper in NOISY:
            return ""
        if name in (*BY_BTF, *_BY_ATTACH_TYPE) or f"bpf_{helper}" in allowed:
            return ""
        return f"programs of type {name} may not call bpf_{helper}"

    def _said(self, section: str, key: str) -> object:
        return self._document.get(section, {}).get(key)


def saved(path: str) -> Saved:
    """The facts of a file that ``feature probe -j`` wrote; BadData for any other."""
    import json

    try:
        with during(path), open(path, "rb") as file:
            document = json.loads(file.read(_LARGEST))
    except (ValueError, RecursionError) as error:
        raise BadData(f"{path}: no JSON document") from error
    sections = document.values() if isinstance(document, dict) else [None]
    known = isinstance(document, dict) and "program_types" in document
    if not known or not all(isinstance(section, dict) for section in sections):
        raise BadData(f"{path}: not written by 'feature probe -j'")
    return Saved(document)
