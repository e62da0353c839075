"""Object files as sections, symbols and relocations; what contradicts itself is refused."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path

import pytest

from pybpftool.elf import file
from pybpftool.errors import BadData, KernelError
from tests.support.elf_builder import EXIT, NOBITS, REL, ElfBuilder


def read(tmp_path: Path, blob: bytes) -> file.ElfFile:
    path = tmp_path / "made.o"
    path.write_bytes(blob)
    return file.read_file(str(path))


def test_sections_symbols_relocations(tmp_path: Path) -> None:
    b = ElfBuilder()
    code = b.code("xdp", 3)
    zeroes = b.section(".bss", type=NOBITS, size=40)
    b.symbol("one", code, 0, 24)
    b.symbol("zero", zeroes, 8, 4, info=0x21)
    b.section(".relxdp", struct.pack("<QQ", 8, 2 << 32 | 1), REL, link=5, info=code)
    found = read(tmp_path, b.blob())
    assert [each.name for each in found.sections][1:4] == ["xdp", ".bss", ".relxdp"]
    section = found.section("xdp")
    assert section is not None
    assert (section.is_code, section.data, section.size) == (True, EXIT * 3, 24)
    assert (found.sections[zeroes].data, found.sections[zeroes].size) == (b"", 40)
    assert [(at, symbol.name, symbol.value) for at, symbol in found.relocations[code]] == [
        (8, "zero", 8)
    ]
    assert [each.name for each in found.by_section[code]] == ["one"]
    symbol = found.symbols[2]
    assert (symbol.type, symbol.bind, symbol.hidden) == (file.OBJECT, file.WEAK, False)


def overlapping(b: ElfBuilder) -> None:
    for number in range(60):
        b.section(f"copy{number}", offset=64, size=2000)
    b.section("true", bytes(2000))


def without_end(b: ElfBuilder) -> None:
    b.symbol("x" * 2000, 1, 0, 8)


WRONG: list[tuple[Callable[[ElfBuilder], object], str]] = [
    (lambda b: b.header.update({"class": 1}), "64-bit"),
    (lambda b: b.header.update(order=2), "byte order"),
    (lambda b: b.header.update(order=7), "64-bit"),
    (lambda b: b.header.update(type=2), "relocatable"),
    (lambda b: b.header.update(machine=62), "another machine than BPF"),
    (lambda b: b.header.update(count=0), "where the sections are"),
    (lambda b: b.header.update(count=60000), "beyond its end"),
    (lambda b: b.section("far", offset=1 << 60, size=8), "past the end"),
    (lambda b: b.section("large", size=1 << 60), "more than any map"),
    (lambda b: b.section(".bss", type=NOBITS, size=1 << 60), "more than any map"),
    (overlapping, "overlaps"),
    (lambda b: b.section("end\nof line"), "no text"),
    (lambda b: b.symbol("one", 77, 0, 8), "is in section 77, which is none"),
    (lambda b: b.symbol("one", 1, 1 << 60, 8), "beyond it"),
    (without_end, "a very long one"),
    (lambda b: b.section(".rel", bytes(16), REL, info=99), "section 99, which is none"),
    (lambda b: b.section(".rel", bytes(15), REL, info=1), "whole relocations"),
    (lambda b: b.section(".rel", b"\xff" * 16, REL, info=1), "relocation of nothing"),
]


@pytest.mark.parametrize(("spoil", "says"), WRONG, ids=[says for _, says in WRONG])
def test_what_is_wrong(spoil: Callable[[ElfBuilder], object], says: str, tmp_path: Path) -> None:
    b = ElfBuilder()
    b.code("xdp")
    spoil(b)
    with pytest.raises(BadData, match=says) as error:
        read(tmp_path, b.blob())
    assert "\n" not in error.value.message


@pytest.mark.parametrize("text", [b"", b"\x7fELF", b"#!/bin/sh\n" * 40])
def test_no_elf_file(text: bytes, tmp_path: Path) -> None:
    with pytest.raises(BadData, match="not an ELF file"):
        read(tmp_path, text)


def test_a_file_without_an_end() -> None:
    with pytest.raises(BadData, match="not an ELF file"):
        file.read_file("/dev/zero")


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(KernelError):
        file.read_file(str(tmp_path / "nowhere"))
