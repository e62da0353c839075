"""What a load does on kernels that refuse, or take less than a file has; all of them played."""

from __future__ import annotations

import errno
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pybpftool.btf import types
from pybpftool.btf.reader import read_btf
from pybpftool.errors import KernelError, PybpftoolError
from pybpftool.insn import asm
from pybpftool.insn.code import encode
from pybpftool.loader import features
from pybpftool.loader.ext import CoreRelo, Ext
from pybpftool.loader.load import load
from pybpftool.loader.maps import STRUCT_OPS
from pybpftool.loader.read import read_object
from pybpftool.loader.spec import MapSpec, ObjectSpec, ProgramSpec
from tests.support.btf_builder import BtfBuilder
from tests.support.elf_builder import EXIT, ElfBuilder
from tests.support.tape import Tape, memory, new_fd

ARRAY, SOCKET_FILTER = 2, 1
MMAPABLE = 1 << 10


@pytest.fixture(autouse=True)
def forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(features, "_known", {})


def an_object(*kinds: int) -> ObjectSpec:
    """A program that returns, its constants, and BTF of an int and a FLOAT if that is asked for."""
    b = BtfBuilder()
    b.int()
    if types.FLOAT in kinds:
        b.float("float", 4)
    found = ObjectSpec("x.o", "x")
    found.btf = read_btf(b.blob())
    constants = MapSpec("x.rodata", ".rodata", ARRAY)
    constants.key_size, constants.value_size, constants.max_entries = 4, 8, 1
    constants.contents, constants.frozen, constants.flags = bytes(8), True, MMAPABLE
    found.maps = [constants]
    code = encode([asm.mov64_imm(0, 0), asm.exit_()])
    program = ProgramSpec("f", "socket", 0, code, hidden=False)
    program.section_name, program.target, program.autoload = "socket", "", True
    program.kind, program.prog_type, program.attach_type = None, SOCKET_FILTER, 0
    program.flags = program.ifindex = 0
    found.programs = [program]
    found.references = {"socket": {}}
    return found


def takes(fits: Callable[[bytes], bool], seen: list[bytes]) -> Callable[[Any], int]:
    def answer(arm: Any) -> int:
        blob = bytes(memory(arm.btf, arm.btf_size))
        seen.append(blob)
        return new_fd() if fits(blob) else -errno.EINVAL

    return answer


def played(**rules: Any) -> Tape:
    every = {
        "BTF_LOAD": lambda arm: new_fd(),
        "MAP_CREATE": lambda arm: new_fd(),
        "PROG_LOAD": lambda arm: new_fd(),
        **dict.fromkeys(("MAP_UPDATE_ELEM", "MAP_FREEZE", "PROG_BIND_MAP"), 0),
    }
    return Tape(**every | rules)


def test_a_kernel_that_takes_all_is_asked_for_nothing() -> None:
    with played() as tape, load(an_object(types.FLOAT)):
        pass
    assert tape.calls == [
        *("BTF_LOAD", "MAP_CREATE", "MAP_UPDATE_ELEM", "MAP_FREEZE"),
        *("PROG_LOAD", "PROG_BIND_MAP"),
    ]


def test_btf_younger_than_the_kernel_is_cut_down() -> None:
    seen: list[bytes] = []
    without = takes(lambda blob: not has(blob, types.FLOAT), seen)
    told: list[str] = []
    with played(BTF_LOAD=without), load(an_object(types.FLOAT), tell=told.append):
        pass
    assert has(seen[0], types.FLOAT)
    assert read_btf(seen[-1]).type_count == read_btf(seen[0]).type_count
    assert not has(seen[-1], types.FLOAT)
    assert told == []


def has(blob: bytes, kind: int) -> bool:
    btf = read_btf(blob)
    return kind in btf.kinds_of_all()


@pytest.mark.parametrize(("known", "words"), [(0, 0), (1, 1)])
def test_a_kernel_that_takes_no_btf_of_the_file_loads_it_all_the_same(
    known: int, words: int
) -> None:
    """It is told only where the kernel knows what BTF is."""
    told: list[str] = []
    smallest = takes(lambda blob: bool(known) and len(blob) <= 45, [])
    with played(BTF_LOAD=smallest), load(an_object(types.FLOAT), tell=told.append) as loaded:
        assert [each.spec.name for each in loaded.programs] == ["f"]
    assert len(told) == words
    assert all("does not take its BTF" in text for text in told)


def test_a_kernel_whose_maps_cannot_be_mapped() -> None:
    flags = []

    def create(arm: Any) -> int:
        flags.append(arm.map_flags)
        return -errno.EINVAL if arm.map_flags & MMAPABLE else new_fd()

    with played(MAP_CREATE=create), load(an_object()) as loaded:
        assert len(loaded.maps) == 1
    assert flags == [MMAPABLE, MMAPABLE, 0]  # the file's, the question, the file's


def test_a_refusal_to_tie_maps_to_programs_is_no_failure() -> None:
    with played(PROG_BIND_MAP=-errno.EINVAL), load(an_object()) as loaded:
        assert len(loaded.programs) == 1


def with_types(*maps: MapSpec) -> ObjectSpec:
    types = BtfBuilder()
    types.int("int", 4, signed=True)
    types.float("float", 4)
    found = ObjectSpec("made.o", "made")
    found.btf = read_btf(types.blob())
    found.maps += maps
    return found


def test_a_struct_ops_needs_its_types() -> None:
    found = with_types(MapSpec("mine", "?.struct_ops", STRUCT_OPS))
    found.operations["mine"] = {}
    found.maps[0].contents = b""
    smallest = takes(lambda blob: len(blob) <= 45, [])
    with (
        Tape(BTF_LOAD=smallest),
        pytest.raises(KernelError, match="the BTF, without which there is no struct_ops"),
    ):
        load(found)


def test_a_relocation_that_makes_no_sense_is_told_with_its_place(tmp_path: Path) -> None:
    """Once: program, instruction and what is wrong."""
    types = BtfBuilder()
    types.int("int", 4, signed=True)
    path = tmp_path / "made.o"
    elf = ElfBuilder()
    elf.symbol("one", elf.code("xdp"), 0, 16)
    elf.section(".BTF", types.blob())
    path.write_bytes(elf.blob())
    found = read_object(str(path))
    found.ext = Ext()
    found.ext.core_relos["xdp"] = [CoreRelo(1, 1, "0", 99)]
    assert found.programs[0].code == EXIT * 2
    with pytest.raises(PybpftoolError) as caught, Tape():
        load(found)
    expected = "program 'one', instruction 1: CO-RE relocation of unknown kind 99"
    assert caught.value.message == expected
