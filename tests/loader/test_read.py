"""Object files to descriptions, and programs put together of them, without a compiler."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from pybpftool.elf.file import NOBITS, REL
from pybpftool.errors import BadData
from pybpftool.loader import spec
from pybpftool.loader.link import link
from pybpftool.loader.read import read_object
from tests.support.btf_builder import EXTERN, GLOBAL, STATIC, BtfBuilder
from tests.support.elf_builder import EXIT, ElfBuilder

LOAD = struct.pack("<BBhiBBhi", 0x18, 1, 0, 0, 0, 0, 0, 0)
CALL = struct.pack("<BBhi", 0x85, 0x10, 0, -1)


class Made(ElfBuilder):
    """An object with a program ``one`` whose first instruction refers to a symbol."""

    def __init__(self, first: bytes, *, tail: bytes = EXIT) -> None:
        super().__init__()
        self.program = self.section("xdp", first + tail, flags=4)
        self.symbol("one", self.program, 0, len(first + tail))

    def refers_to(self, symbol: int, at: int = 0) -> None:
        self.section(".rel", struct.pack("<QQ", at, symbol << 32 | 1), REL, info=self.program)

    def read(self, tmp_path: Path) -> spec.ObjectSpec:
        path = tmp_path / "made.o"
        path.write_bytes(self.blob())
        return read_object(str(path))


def with_extern(linkage: int) -> Made:
    types = BtfBuilder()
    number = types.int("int", 4, signed=True)
    types.datasec(".ksyms", 0, [(types.var("jiffies", number, linkage=linkage), 0, 4)])
    made = Made(LOAD)
    made.section(".BTF", types.blob())
    made.refers_to(made.symbol("jiffies", 0, 0, 0, info=0x20))
    return made


def test_an_extern(tmp_path: Path) -> None:
    found = with_extern(EXTERN).read(tmp_path)
    (extern,) = found.externs
    assert (extern.name, extern.section, extern.weak) == ("jiffies", ".ksyms", True)
    assert found.references["xdp"][0].kind == spec.EXTERN


def test_what_is_wanted_must_be_extern(tmp_path: Path) -> None:
    with pytest.raises(BadData, match="'jiffies' is defined nowhere"):
        with_extern(GLOBAL).read(tmp_path)


def test_variables(tmp_path: Path) -> None:
    made = Made(LOAD)
    zeroes = made.section(".bss", type=NOBITS, size=12)
    made.section(".rodata", b"constant")
    made.refers_to(made.symbol("total", zeroes, 8, 4, info=0x11))
    found = made.read(tmp_path)
    assert [(each.name, each.value_size, each.contents, each.frozen) for each in found.maps] == [
        ("made.bss", 12, b"", False),
        ("made.rodata", 8, b"constant", True),
    ]
    reference = found.references["xdp"][0]
    assert (reference.kind, reference.index, reference.offset) == (spec.DATA, 0, 8)


def test_a_function_is_put_behind(tmp_path: Path) -> None:
    made = Made(CALL)
    text = made.section(".text", EXIT * 3, flags=4)
    made.symbol("before", text, 0, 8, info=2)
    made.refers_to(made.symbol("called", text, 8, 16))
    found = made.read(tmp_path)
    linked = link(found, found.programs[0])
    assert bytes(linked.code) == struct.pack("<BBhi", 0x85, 0x10, 0, 1) + EXIT * 3
    assert [(slot, each.name) for slot, each in linked.functions] == [(0, "one"), (2, "called")]
    assert [each.hidden for each in found.functions] == [True, False]


@pytest.mark.parametrize(("linkage", "how"), [(STATIC, "static"), (EXTERN, "defined elsewhere")])
def test_maps_that_are_not_the_object_s_own(linkage: int, how: str, tmp_path: Path) -> None:
    types = BtfBuilder()
    kind = types.ptr(types.array(types.int("int", 4, signed=True), 2))
    map = types.var("mine", types.struct("map", 8, [("type", kind, 0)]), linkage=linkage)
    types.datasec(".maps", 8, [(map, 0, 8)])
    made = Made(EXIT)
    made.symbol("mine", made.section(".maps", bytes(8)), 0, 8, info=1)
    made.section(".BTF", types.blob())
    with pytest.raises(BadData, match=f"map 'mine' is {how}, which a map cannot be"):
        made.read(tmp_path)


@pytest.mark.parametrize(
    ("visibility", "linkage", "mapped"),
    [(0, GLOBAL, True), (1, GLOBAL, False), (2, GLOBAL, False), (0, STATIC, False)],
)
def test_variables_that_only_the_object_sees(
    visibility: int, linkage: int, mapped: bool, tmp_path: Path
) -> None:
    """A map of such variables alone is not to be mapped by anyone."""
    types = BtfBuilder()
    number = types.int("int", 4, signed=True)
    types.datasec(".bss", 0, [(types.var("total", number, linkage=linkage), 0, 4)])
    made = Made(EXIT)
    zeroes = made.section(".bss", type=NOBITS, size=4)
    made.symbol("total", zeroes, 0, 4, info=0x11, other=visibility)
    made.section(".BTF", types.blob())
    (map,) = made.read(tmp_path).maps
    assert bool(map.flags & 1 << 10) is mapped


def test_the_configuration_comes_before_the_structs_of_functions(tmp_path: Path) -> None:
    """The order in which maps are counted."""
    types = BtfBuilder()
    number = types.int("int", 4, signed=True)
    types.datasec(".kconfig", 0, [(types.var("CONFIG_HZ", number, linkage=EXTERN), 0, 4)])
    operations = types.struct("ops", 4, [("flags", number, 0)])
    types.datasec(".struct_ops", 0, [(types.var("mine", operations), 0, 4)])
    made = Made(LOAD)
    section = made.section(".struct_ops", bytes(4))
    made.symbol("mine", section, 0, 4, info=0x11)
    made.section(".data", b"data")
    made.section(".BTF", types.blob())
    made.refers_to(made.symbol("CONFIG_HZ", 0, 0, 0, info=0x10))
    found = made.read(tmp_path)
    assert [each.name for each in found.maps] == ["made.data", "made.kconfig", "mine"]
    assert [(found.maps[1].value_size, found.maps[1].frozen)] == [(4, True)]


def catching(tags: list[str], *, linkage: int = GLOBAL, visibility: int = 0) -> Made:
    """A program that wants functions of .text to take its exceptions."""
    types = BtfBuilder()
    proto = types.func_proto(types.int("int", 4, signed=True))
    program = types.func("one", proto, linkage=linkage)
    for each in tags:
        types.decl_tag(f"exception_callback:{each}", program)
    made = Made(EXIT)
    text = made.section(".text", EXIT * 3, flags=4)
    made.symbol("other", text, 0, 8)
    made.symbol("catch", text, 8, 16, other=visibility)
    made.section(".BTF", types.blob())
    return made


@pytest.mark.parametrize(
    ("tags", "names"),
    [(["catch"], ["one", "catch"]), ([], ["one"]), (["catch", "other"], ["one"])],
)
def test_what_takes_exceptions_is_put_behind(
    tags: list[str], names: list[str], tmp_path: Path
) -> None:
    found = catching(tags).read(tmp_path)
    linked = link(found, found.programs[0])
    assert [each.name for _, each in linked.functions] == names


@pytest.mark.parametrize(
    ("made", "says"),
    [
        (catching(["nowhere"]), "no global function 'nowhere' to take its exceptions"),
        (catching([""]), "no global function '' to take its exceptions"),
        (catching(["catch"], visibility=2), "no global function 'catch' to take its exceptions"),
        (catching(["catch"], linkage=STATIC), "is on 'one', which is no global function"),
    ],
)
def test_nothing_to_take_exceptions(made: Made, says: str, tmp_path: Path) -> None:
    with pytest.raises(BadData, match=says):
        found = made.read(tmp_path)
        link(found, found.programs[0])


def jumping(table: int, size: int, *places: int) -> Made:
    """A program, and a function that it calls, which refers to a table of jumps within .text."""
    made = Made(CALL)
    text = made.section(".text", EXIT + LOAD + EXIT, flags=4)
    made.refers_to(made.symbol("called", text, 8, 24))
    tables = made.section(".jumptables", struct.pack(f"<{len(places)}Q", *places))
    symbol = made.symbol("jumps", tables, table, size, info=0x11)
    made.section(".rel.text", struct.pack("<QQ", 8, symbol << 32 | 1), REL, info=text)
    return made


def test_a_table_of_jumps_moves_with_its_function(tmp_path: Path) -> None:
    """Byte 24 of .text is slot 3, and the function's first, slot 1, becomes slot 2."""
    found = jumping(8, 16, 0, 24, 8).read(tmp_path)
    linked = link(found, found.programs[0])
    assert linked.tables == {2: [4, 2]}


@pytest.mark.parametrize(
    ("made", "says"),
    [
        (jumping(4, 8, 8, 8), "bytes 4[+]8 are no table of jumps"),
        (jumping(8, 9, 8, 8, 8), "bytes 8[+]9 are no table of jumps"),
        (jumping(8, 16, 8, 8), "bytes 8[+]16 are no table of jumps"),
        (jumping(0, 8, 1 << 63), "a table of jumps that leads nowhere"),
        (jumping(0, 8 * 1_000_001, *[8] * 1_000_001), "may jump to more than 1000000 places"),
    ],
)
def test_tables_that_are_none(made: Made, says: str, tmp_path: Path) -> None:
    with pytest.raises(BadData, match=says):
        found = made.read(tmp_path)
        link(found, found.programs[0])


def test_half_an_instruction(tmp_path: Path) -> None:
    """What refers to a map is two slots, of which the program has one."""
    made = Made(LOAD[:8], tail=b"")
    made.section("more", bytes(8))
    zeroes = made.section(".bss", type=NOBITS, size=12)
    made.refers_to(made.symbol("total", zeroes, 0, 4, info=0x11))
    with pytest.raises(BadData, match="half an instruction"):
        made.read(tmp_path)
    made = Made(EXIT, tail=LOAD[:8] + EXIT)
    made.symbol("two", made.program, 16, 8)
    path = tmp_path / "made.o"
    path.write_bytes(made.blob())
    with pytest.raises(BadData, match="'two' begins in the middle of another"):
        read_object(str(path))


def test_a_program_longer_than_any(tmp_path: Path) -> None:
    made = Made(CALL)
    slots = 1_000_000
    text = made.section(".text", EXIT * slots, flags=4)
    made.refers_to(made.symbol("called", text, 0, 8 * slots))
    found = made.read(tmp_path)
    with pytest.raises(BadData, match="program 'one' has more than 1000000 instructions"):
        link(found, found.programs[0])
