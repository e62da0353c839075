"""Whether the programs of an object would load on a kernel, told without loading anything.

What a kernel has is asked of its types (the enums of helpers, programs, maps and attach types among
them) and of ``Facts``.  Whether the verifier takes a program for safe, nobody is asked.
"""

from __future__ import annotations

import struct

from ..btf import types
from ..errors import PybpftoolError
from ..insn.code import CALL, JMP, SLOT, registers
from ..kernel.words import HELPERS, MAP_TYPES, PROG_TYPES, word
from . import externs, spec
from .core import Core
from .explain import source_at
from .externs import Extern
from .link import link
from .maps import INSN_ARRAY, WITHOUT_ENTRIES
from .patch import POISON, poison
from .reach import PRESENT, reached
from .struct_ops import home, lay
from .target import target_of_program

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Any

    from ..btf.spec import Btf
    from .externs import Unmet
    from .kernels import Kernel, KernelOfFile
    from .link import Linked
    from .reach import Value
    from .spec import MapSpec, ObjectSpec, ProgramSpec

    Record = dict[str, Any]
    Target = tuple[int, int] | None
    """What a program attaches to: id of a module's BTF object (0: the kernel's) and of the type."""

_STRUCT_OPS_MAP = 26
_KCONFIG = -1
"""Stands for the index of the map of the kernel's configuration."""


class Facts:
    """What is known of a kernel beside its types; this one knows nothing.

    Each method gives a sentence why not; it is empty where nothing is known to stand in the way.
    ``here``: whether it is the running kernel.
    """

    here = False

    def map_type(self, number: int) -> str:
        """Maps of a type (enum bpf_map_type)."""
        return ""

    def program(self, program: ProgramSpec, target: Target) -> str:
        """Programs of that type for that target, whatever their code."""
        return ""

    def helper(self, program: ProgramSpec, target: Target, number: int) -> str:
        """The call of a helper (enum bpf_func_id) by such a program."""
        return ""

    def kfunc(self, program: ProgramSpec, target: Target, module: int, type_id: int) -> str:
        """The call of a kernel function by such a program; module and type id as in a target."""
        return ""


def check(found: ObjectSpec, kernel: Kernel | KernelOfFile, facts: Facts) -> Record:
    """Whether an object would load: object, loads, problems, programs.

    ``loads`` is true, false, or None where it depends on what the verifier makes of it.
    ``programs``: name, section, type, autoload, loads and problems of each; the other ``problems``
    are those of the object that no program has a part in.  A problem: kind, name, reason, where
    there is one insn (a slot of the whole program) and source, and ``certain``: whether it is met
    for sure, and not only if an instruction is reached.
    """
    return _Check(found, kernel, facts).run()


class _Check:
    def __init__(self, found: ObjectSpec, kernel: Kernel | KernelOfFile, facts: Facts) -> None:
        self.found = found
        self.kernel = kernel
        self.facts = facts
        self.externs = [Extern(each) for each in found.externs]
        self.of_maps: dict[int, Record] = {}
        self.of_externs: dict[Extern, Record] = {}
        self.operations: dict[str, tuple[tuple[int, int], int]] = {}
        self.unwanted: set[str] = set()
        self.contents: dict[int, bytes | None] = {}
        self.enums: dict[str, set[int]] = {}
        self.core: Core | None = None

    def run(self) -> Record:
        """All of it."""
        self._maps()
        self._externs()
        programs = [self._program(each) for each in self.found.programs]
        told = {id(problem) for program in programs for problem in program["problems"]}
        problems = [
            problem
            for problem in (*self.of_maps.values(), *self.of_externs.values())
            if id(problem) not in told
        ]
        wanted = [each["loads"] for each in programs if each["autoload"]]
        return {
            "object": self.found.path,
            "loads": _worst([_loads(problems), *wanted]),
            "problems": problems,
            "programs": programs,
        }

    def _enum(self, name: str) -> set[int]:
        """The numbers that one of the kernel's enums has; empty where it is not known."""
        if name not in self.enums:
            try:
                id = self.kernel.btf.find(name, types.ENUM)
                found = self.kernel.btf.type(id) if id is not None else None
            except PybpftoolError:
                found = None
            values = found.values if isinstance(found, types.Enum) else ()
            self.enums[name] = {each.val for each in values if not each.name.startswith("__")}
        return self.enums[name]

    # -------------------------------------------------------------- the object

    def _maps(self) -> None:
        for index, map in enumerate(self.found.maps):
            if map.section.startswith("?"):  # of operations, which are made only on demand
                self.unwanted |= {*self.found.operations.get(map.name, {}).values()}
                continue
            reason = self._no_maps(map.type)
            if reason:
                self.of_maps[index] = _problem("map_type", map.name, f"map '{map.name}': {reason}")
            elif not (map.max_entries or map.type in WITHOUT_ENTRIES):
                reason = f"map '{map.name}' has no max_entries"
                self.of_maps[index] = _problem("map_size", map.name, reason)
            elif map.type == _STRUCT_OPS_MAP:
                reason = self._operations(map)
                if reason:
                    self.of_maps[index] = _problem("struct_ops", map.name, reason)
            if map.frozen and map.contents is not None:
                self.contents[index] = map.contents

    def _no_maps(self, type: int) -> str:
        """Why there are no maps of a type, empty where there are."""
        known = self._enum("bpf_map_type")
        if known and type not in known:
            return f"this kernel has no maps of type {word(MAP_TYPES, type) or type}"
        return self.facts.map_type(type)

    def _operations(self, map: MapSpec) -> str:
        """Learn what the programs of a struct of functions are for; or why they are for nothing."""
        btf = self.found.btf
        assert btf is not None
        programs = self.found.operations.get(map.name, {})
        try:
            type_id, data = map.value_type_id, map.contents or b""
            module, kernel = home(btf, type_id, self.kernel.btf, self.kernel.modules())
            laid = lay(btf, type_id, data, programs, kernel, name=map.name)
        except PybpftoolError as error:
            return error.message
        for each in laid.callbacks:
            self.operations[each.program] = (module, laid.type_id), each.index
        return ""

    def _externs(self) -> None:
        btf = self.found.btf
        if btf is None:
            return
        here, kernel = self.facts.here, self.kernel
        if here:
            self._are_unmet(externs.addresses(self.externs, btf))
        self._are_unmet(externs.typed(self.externs, btf, lambda: kernel.btf, kernel.modules))
        self.contents[_KCONFIG] = self._configuration(btf) if here else None

    def _configuration(self, btf: Btf) -> bytes | None:
        """What the kernel's configuration gives to the program; None where some is missing."""
        contents = bytearray(externs.place_values(self.externs, btf))
        unmet = self._are_unmet(externs.values(self.externs, btf, contents))
        return None if unmet else bytes(contents)

    def _are_unmet(self, unmet: Unmet) -> bool:
        """Note what is wrong with each; whether there are any."""
        before = len(self.of_externs)
        for each, error in unmet:
            kind = "kfunc" if each.spec.is_function else "ksym"
            if each.spec.section == spec.KCONFIG:
                kind = "kconfig"
            self.of_externs[each] = _problem(kind, each.spec.name, error.message)
        return len(self.of_externs) > before

    # -------------------------------------------------------------- a program

    def _program(self, program: ProgramSpec) -> Record:
        problems = [*self._problems(program)]
        return {
            "name": program.name,
            "section": program.section,
            "type": word(PROG_TYPES, program.prog_type) if program.kind else None,
            "autoload": program.autoload and program.name not in self.unwanted - {*self.operations},
            "loads": _loads(problems),
            "problems": problems,
        }

    def _problems(self, program: ProgramSpec) -> Iterator[Record]:
        if program.kind is None:
            reason = f"section {program.section_name} says no type of programs"
            yield _problem("section", program.section_name, reason)
            return
        try:
            linked = link(self.found, program)
        except PybpftoolError as error:
            yield _problem("section", program.section_name, error.message)
            return
        yield from self._wanted(linked)
        target: Target = None
        refusals = [*self._refused(program)]
        if not refusals:
            target, refusals = self._target(program)
        if not refusals:
            refusals = [
                _problem("prog_type", word(PROG_TYPES, program.prog_type) or "", reason)
                for reason in [self.facts.program(program, target)]
                if reason
            ]
        yield from refusals
        poisoned: dict[int, Record] = {}
        yield from self._relocated(linked, poisoned)
        values = self._values(linked, poisoned)
        alone = {base for base, function in linked.functions[1:] if not function.hidden}
        there = reached(linked.code, values, self.contents, alone, linked.tables)
        if not refusals:
            for slot, problem in self._called(program, target, linked, there):
                poisoned.setdefault(slot, problem)
        for slot in sorted(poisoned.keys() & there.keys()):
            yield {**poisoned[slot], "certain": there[slot]}

    def _wanted(self, linked: Linked) -> Iterator[Record]:
        """What is missing of the maps and the things of the kernel that the program refers to."""
        seen: set[int] = set()
        reason = self._no_maps(INSN_ARRAY) if linked.tables else ""
        if reason:
            yield _problem("map_type", ".jumptables", f"map '.jumptables': {reason}")
        for _, reference in linked.references:
            if reference.kind == spec.TABLE:
                continue
            if reference.kind in (spec.MAP, spec.DATA):
                problem = self.of_maps.get(reference.index)
            else:
                problem = self.of_externs.get(self.externs[reference.index])
            if problem is not None and id(problem) not in seen:
                seen.add(id(problem))
                yield problem

    def _refused(self, program: ProgramSpec) -> Iterator[Record]:
        """What the kernel's enums say against a program."""
        label = word(PROG_TYPES, program.prog_type) or str(program.prog_type)
        known = self._enum("bpf_prog_type")
        if known and program.prog_type not in known:
            yield _problem("prog_type", label, f"this kernel has no programs of type {label}")
            return
        known = self._enum("bpf_attach_type")
        kind = program.kind
        if known and kind is not None and not kind.optional and program.attach_type not in known:
            reason = f"this kernel attaches no programs of section {program.section_name}"
            yield _problem("attach_type", program.section_name, reason)

    def _target(self, program: ProgramSpec) -> tuple[Target, list[Record]]:
        if program.name in self.operations:
            target, program.attach_type = self.operations[program.name]
            return target, []
        if program.kind is None or not program.kind.has_target:
            return None, []
        kernel = self.kernel
        try:
            return target_of_program(program, kernel.btf, kernel.modules()), []
        except PybpftoolError as error:
            return None, [_problem("attach_target", program.target, error.message)]

    # -------------------------------------------------------------- its code

    def _relocated(self, linked: Linked, poisoned: dict[int, Record]) -> Iterator[Record]:
        """Relocations that cannot be made; those without an answer are put into ``poisoned``."""
        for slot, relo in linked.core_relos:
            if self.core is None:
                assert self.found.btf is not None
                self.core = Core(self.found.btf, self.kernel.targets)
            try:
                why = self.core.relocate(linked.code, slot, relo)
            except PybpftoolError as error:
                yield self._at(linked, slot, "core", self.core.spelled(relo), error.message)
                continue
            if why is not None:
                poisoned[slot] = self._at(linked, slot, "core", self.core.spelled(relo), why)

    def _values(self, linked: Linked, poisoned: dict[int, Record]) -> dict[int, Value]:
        """What 64-bit immediates stand for; calls of missing functions become poison."""
        found: dict[int, Value] = {}
        for slot, reference in linked.references:
            index = reference.index
            if reference.kind == spec.DATA and index in self.contents:
                found[slot] = index, reference.offset
            elif reference.kind in (spec.MAP, spec.DATA, spec.TABLE):
                found[slot] = PRESENT
            elif reference.kind == spec.EXTERN_CALL:
                to = self.externs[index]
                if not to.type_id and to not in self.of_externs:
                    poison(linked.code, slot)
                    reason = externs.no_function(to.spec.name)
                    poisoned[slot] = self._at(linked, slot, "kfunc", to.spec.name, reason)
            else:
                to = self.externs[index]
                if to.spec.section == spec.KCONFIG:
                    found[slot] = _KCONFIG, to.offset
                elif to.type_id or to.address:
                    found[slot] = PRESENT
                else:
                    void = self.found.btf is not None and externs.is_void(self.found.btf, to.spec)
                    found[slot] = 0 if self.facts.here or not void else None
        return found

    def _called(
        self, program: ProgramSpec, target: Target, linked: Linked, slots: Iterable[int]
    ) -> Iterator[tuple[int, Record]]:
        """Which of the instructions call what the program may not, and what is wrong with it."""
        known = self._enum("bpf_func_id")
        kfuncs = {
            slot: self.externs[reference.index]
            for slot, reference in linked.references
            if reference.kind == spec.EXTERN_CALL
        }
        for slot in slots:
            op, register, _, imm = struct.unpack_from("=BBhi", linked.code, slot * SLOT)
            if op != JMP | CALL or imm == POISON:
                continue
            kind, name, reason = "helper", "", ""
            if registers(register)[1] == 0:
                name = f"bpf_{HELPERS[imm]}" if 0 < imm < len(HELPERS) else f"number {imm}"
                reason = f"this kernel has no helper {name}"
                if not known or imm in known:
                    reason = self.facts.helper(program, target, imm)
            elif slot in kfuncs and kfuncs[slot].type_id:
                to = kfuncs[slot]
                kind, name = "kfunc", to.spec.name
                reason = self.facts.kfunc(program, target, to.btf, to.type_id)
                reason = reason and f"{name}: {reason}"
            if reason:
                yield slot, self._at(linked, slot, kind, name, reason)

    def _at(self, linked: Linked, slot: int, kind: str, name: str, reason: str) -> Record:
        problem = _problem(kind, name, reason)
        del problem["certain"]
        problem["insn"] = slot
        btf = self.found.btf
        source = source_at(linked.line_info, btf, slot) if btf and linked.line_info else None  # type: ignore[arg-type]  # rows of four numbers
        if source:
            problem["source"] = source
        problem["certain"] = True
        return problem


def _problem(kind: str, name: str, reason: str) -> Record:
    return {"kind": kind, "name": name, "reason": reason, "certain": True}


def _loads(problems: list[Record]) -> bool | None:
    return _worst([False if each["certain"] else None for each in problems])


def _worst(verdicts: list[bool | None]) -> bool | None:
    if False in verdicts:
        return False
    return None if None in verdicts else True
