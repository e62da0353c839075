"""What a load does where the kernel refuses, told by a tape."""

from __future__ import annotations

import errno

import pytest

from pybpftool.btf.reader import read_btf
from pybpftool.errors import KernelError, PybpftoolError
from pybpftool.loader import features
from pybpftool.loader.ext import CoreRelo, Ext
from pybpftool.loader.load import load
from pybpftool.loader.maps import STRUCT_OPS
from pybpftool.loader.read import read_object
from pybpftool.loader.spec import MapSpec, ObjectSpec
from tests.support.btf_builder import BtfBuilder
from tests.support.elf_builder import EXIT, ElfBuilder
from tests.support.tape import Tape

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pathlib import Path


def with_types(*maps: MapSpec) -> ObjectSpec:
    types = BtfBuilder()
    types.int("int", 4, signed=True)
    found = ObjectSpec("made.o", "made")
    found.btf = read_btf(types.blob())
    found.maps += maps
    return found


@pytest.fixture(autouse=True)
def all_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(features, "knows", lambda word: True)


def test_types_that_the_kernel_does_not_take() -> None:
    told: list[str] = []
    with Tape(BTF_LOAD=-errno.EINVAL):
        load(with_types(), tell=told.append).close()
    assert told == ["made.o: the kernel does not take its BTF: Invalid argument"]


def test_a_struct_ops_needs_its_types() -> None:
    found = with_types(MapSpec("mine", "?.struct_ops", STRUCT_OPS))
    found.operations["mine"] = {}
    found.maps[0].contents = b""
    with (
        Tape(BTF_LOAD=-errno.EINVAL),
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
