"""Whether an object would load, on kernels that are nothing but types and answers."""

from __future__ import annotations

from typing import Any

import pytest

from pybpftool.btf.reader import read_btf
from pybpftool.btf.spec import Btf
from pybpftool.errors import PybpftoolError
from pybpftool.insn import asm, code
from pybpftool.insn.code import Insn, encode
from pybpftool.kernel.words import ATTACH_TYPES, HELPERS, MAP_TYPES, PROG_TYPES
from pybpftool.loader import core, spec
from pybpftool.loader.check import Facts, check
from pybpftool.loader.ext import CoreRelo, Ext
from pybpftool.loader.kernels import KernelOfFile
from pybpftool.loader.kinds import kind_of, target_of
from pybpftool.loader.load import load
from pybpftool.loader.spec import ExternSpec, MapSpec, ObjectSpec, ProgramSpec, Reference
from tests.support.btf_builder import BtfBuilder

END = [asm.mov64_imm(0, 0), asm.exit_()]


def kernel(**enums: list[str]) -> KernelOfFile:
    """A kernel with struct s { int a; }, some functions, and the enums that are given."""
    b = BtfBuilder()
    number = b.int()
    b.struct("s", 4, [("a", number, 0)])
    proto = b.func_proto(0)
    for name in ("tcp_connect", "bpf_iter_task", "bpf_lsm_file_open", "bpf_there"):
        b.func(name, proto)
    b.typedef("btf_trace_sched_switch", number)
    for name, words in enums.items():
        tables = {"bpf_prog_type": PROG_TYPES, "bpf_map_type": MAP_TYPES, "bpf_func_id": HELPERS}
        table = tables.get(name, ATTACH_TYPES)
        b.enum(name, [(word, table.index(word)) for word in words] + [("__MAX_", 99)])
    return KernelOfFile(read_btf(b.blob(), name="kernel"))


def types_of_object() -> Btf:
    b = BtfBuilder()
    number = b.int()
    b.struct("s", 8, [("a", number, 0), ("b", number, 32)])  # 2
    proto = b.func_proto(0)
    b.func("bpf_there", proto, linkage=2)  # 4
    b.func("bpf_gone", proto, linkage=2)  # 5
    return read_btf(b.blob(), name="object")


def object_of(section: str, *insns: Insn, name: str = "one") -> ObjectSpec:
    found = ObjectSpec("x.o", "x")
    program = ProgramSpec(name, section, 0, encode([*insns, *END]), hidden=False)
    program.section_name = section.removeprefix("?")
    program.autoload = section == program.section_name
    program.kind, program.target = kind_of(program.section_name), target_of(section)
    program.ifindex = program.flags = program.prog_type = program.attach_type = 0
    if program.kind is not None:
        program.prog_type = program.kind.prog_type
        program.attach_type = program.kind.attach_type
    found.programs.append(program)
    found.btf, found.ext = types_of_object(), Ext()
    return found


def told(found: ObjectSpec, on: KernelOfFile | None = None, facts: Facts | None = None) -> Any:
    """(loads, [(kind, name, reason, certain)]) of the first program."""
    record = check(found, on or kernel(), facts or Facts())
    [program] = record["programs"]
    assert record["loads"] is program["loads"] or record["problems"] or not program["autoload"]
    fields = ("kind", "name", "reason", "certain")
    return program["loads"], [tuple(each[name] for name in fields) for each in program["problems"]]


def test_what_needs_nothing_loads() -> None:
    found = object_of("xdp", asm.call(5))
    assert check(found, kernel(), Facts()) == {
        "object": "x.o",
        "loads": True,
        "problems": [],
        "programs": [
            {
                "name": "one",
                "section": "xdp",
                "type": "xdp",
                "autoload": True,
                "loads": True,
                "problems": [],
            }
        ],
    }


@pytest.mark.parametrize(
    ("section", "kind", "name", "reason"),
    [
        ("other", "section", "other", "section other says no type of programs"),
        ("fentry/gone", "attach_target", "gone", "this kernel has no gone to attach to"),
        ("fentry", "attach_target", "", "section fentry does not say what to attach to"),
        ("fentry/", "attach_target", "", "section fentry/ does not say what to attach to"),
        ("lsm/gone", "attach_target", "gone", "this kernel has no bpf_lsm_gone to attach to"),
        ("iter/gone", "attach_target", "gone", "this kernel has no bpf_iter_gone to attach to"),
        ("tp_btf/gone", "attach_target", "gone", "this kernel has no btf_trace_gone to attach to"),
        (
            "freplace/f",
            "attach_target",
            "f",
            "it replaces a function of a program, and nothing says which",
        ),
    ],
)
def test_sections_and_targets(section: str, kind: str, name: str, reason: str) -> None:
    assert told(object_of(section)) == (False, [(kind, name, reason, True)])


@pytest.mark.parametrize(
    "section",
    [
        "fentry/tcp_connect",
        "lsm/file_open",
        "iter/task",
        "tp_btf/sched_switch",
        "xdp",
        "tp/any/one",
    ],
)
def test_targets_that_are_there(section: str) -> None:
    assert told(object_of(section)) == (True, [])


def test_enums_of_an_older_kernel() -> None:
    old = kernel(
        bpf_prog_type=["socket_filter", "xdp"],
        bpf_map_type=["hash"],
        bpf_func_id=["map_lookup_elem", "ktime_get_ns"],
        bpf_attach_type=["cgroup_inet_ingress", "xdp"],
    )
    gone = "this kernel has no programs of type netfilter"
    assert told(object_of("netfilter"), old) == (False, [("prog_type", "netfilter", gone, True)])
    gone = "this kernel attaches no programs of section xdp/devmap"
    assert told(object_of("xdp/devmap"), old) == (
        False,
        [("attach_type", "xdp/devmap", gone, True)],
    )
    gone = "this kernel has no helper bpf_redirect"
    called = object_of("xdp", asm.call(5), asm.call(HELPERS.index("redirect")))
    assert told(called, old) == (False, [("helper", "bpf_redirect", gone, True)])
    assert told(object_of("xdp", asm.call(1 << 20)), old)[1][0][1] == "number 1048576"


def test_maps() -> None:
    found = object_of("xdp", asm.ld_map_fd(1, 0))
    found.maps += [MapSpec("used", ".maps", 33), MapSpec("unused", ".maps", 27)]
    found.references = {"xdp": {0: Reference(spec.MAP, 0)}}
    old = kernel(bpf_map_type=["hash"])
    used = "map 'used': this kernel has no maps of type arena"
    assert told(found, old) == (False, [("map_type", "used", used, True)])
    record = check(found, old, Facts())
    [problem] = record["problems"]
    assert problem["reason"] == "map 'unused': this kernel has no maps of type ringbuf"
    found.references = {}
    assert told(found, old) == (True, [])
    assert check(found, old, Facts())["loads"] is False


class Answers(Facts):
    """No maps of type 2, no helper 5, no function of the kernel; of programs what it is told."""

    def __init__(self, refusal: str = "") -> None:
        self.refusal = refusal

    def map_type(self, number: int) -> str:
        return "no such maps" if number == 2 else ""

    def program(self, program: ProgramSpec, target: tuple[int, int] | None) -> str:
        return self.refusal

    def helper(self, program: ProgramSpec, target: tuple[int, int] | None, number: int) -> str:
        return "not this one" if number == 5 else ""

    def kfunc(
        self, program: ProgramSpec, target: tuple[int, int] | None, module: int, type_id: int
    ) -> str:
        return f"not [{type_id}]"


def test_facts() -> None:
    found = object_of("xdp", asm.call(5), asm.call(6))
    found.maps.append(MapSpec("m", ".maps", 2))
    record = check(found, kernel(), Answers())
    assert [each["reason"] for each in record["problems"]] == ["map 'm': no such maps"]
    assert told(found, facts=Answers()) == (
        False,
        [("helper", "bpf_ktime_get_ns", "not this one", True)],
    )
    assert told(found, facts=Answers("Operation not permitted")) == (
        False,
        [("prog_type", "xdp", "Operation not permitted", True)],
    )


def relocated(*before: Insn, access: str = "0:1") -> ObjectSpec:
    """A program that sets r1 to the offset of s.b, which the kernel does not have."""
    found = object_of("xdp", *before, asm.mov64_imm(1, 4))
    assert found.ext is not None
    found.ext.core_relos["xdp"] = [CoreRelo(len(before), 2, access, core.BYTE_OFFSET)]
    return found


def test_fields_that_are_missing() -> None:
    gone = "struct s.b: not in any type s of the kernel ([2] of BTF 'kernel')"
    assert told(relocated()) == (False, [("core", "struct s.b", gone, True)])
    # nobody comes there
    skipped = [asm.mov64_imm(2, 0), asm.jump_imm(code.JEQ, 2, 0, 1)]
    assert told(relocated(*skipped)) == (True, [])
    # whether anybody does, only the verifier knows
    asked = [asm.mov64_imm(2, 9), asm.alu64_imm(code.DIV, 2, 3), asm.jump_imm(code.JEQ, 2, 3, 1)]
    assert told(relocated(*asked)) == (None, [("core", "struct s.b", gone, False)])


@pytest.mark.parametrize(
    ("access", "type_id", "name", "reason"),
    [
        ("0:x", 2, "struct s", "'0:x' is no CO-RE access"),
        ("0:7", 2, "struct s", "CO-RE access '0:7' leads nowhere in type [2]"),
        ("0:0", 99, "[99]", "BTF 'object': there is no type [99], only 6"),
    ],
)
def test_relocations_that_make_no_sense(access: str, type_id: int, name: str, reason: str) -> None:
    """To load such an object fails with the same reason."""
    found = relocated(access=access)
    assert found.ext is not None
    found.ext.core_relos["xdp"][0].type_id = type_id
    assert told(found) == (False, [("core", name, reason, True)])
    with pytest.raises(PybpftoolError) as caught:
        load(found)
    assert caught.value.message == f"program 'one', instruction 0: {reason}"


def test_the_source_line_is_told() -> None:
    found = relocated()
    assert found.ext is not None and found.btf is not None
    b = BtfBuilder()
    number = b.int()
    b.struct("s", 8, [("a", number, 0), ("b", number, 32)])
    proto = b.func_proto(0)
    b.func("one", proto)
    file, text = b.string("/src/x.c"), b.string("  return s->b;")
    found.btf = read_btf(b.blob())
    found.ext.func_info["xdp"] = [(0, 4)]
    found.ext.line_info["xdp"] = [(0, file, text, 7 << 10)]
    [problem] = check(found, kernel(), Facts())["programs"][0]["problems"]
    assert problem["insn"] == 0
    assert problem["source"] == "return s->b; @ x.c:7"


@pytest.mark.parametrize(
    ("name", "weak", "call", "loads", "certain"),
    [
        ("bpf_there", False, True, True, None),
        ("bpf_gone", False, True, False, True),
        ("bpf_gone", True, True, False, True),
        ("bpf_gone", True, False, True, None),
    ],
)
def test_functions_of_the_kernel(
    name: str, weak: bool, call: bool, loads: bool, certain: bool | None
) -> None:
    there = Insn(code.JMP | code.CALL, 0, code.PSEUDO_CALL, 0, -1)
    guard = [asm.ld_imm64(1, 0), asm.jump_imm(code.JEQ, 1, 0, 1)]
    found = object_of("xdp", *([] if call else guard), there)
    type_id = 4 if name == "bpf_there" else 5
    found.externs = [ExternSpec(name, spec.KSYMS, type_id, weak=weak, is_function=True)]
    found.references = {"xdp": {0 if call else 3: Reference(spec.EXTERN_CALL, 0)}}
    if not call:
        found.references["xdp"][0] = Reference(spec.EXTERN, 0)
    reason = f"this kernel offers no function {name} to programs"
    problems = [] if certain is None else [("kfunc", name, reason, certain)]
    assert told(found) == (loads, problems)
    if loads and call:
        loads, [(kind, _, reason, _)] = told(found, facts=Answers())
        assert (loads, kind) == (False, "kfunc")
        assert reason.startswith(f"{name}: not [")


def test_programs_that_are_not_wanted_do_not_count() -> None:
    found = object_of("?other")
    record = check(found, kernel(), Facts())
    assert (record["loads"], record["programs"][0]["loads"]) == (True, False)
