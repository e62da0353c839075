"""Relocatable ELF files of the BPF machine: sections, symbols and relocations.

Source: the ELF-64 object format; linux/elf-em.h for the machine.
"""

from __future__ import annotations

import struct
import sys

from ..errors import BadData
from .sections import opened

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

PROGBITS, SYMTAB, RELA, NOBITS, REL = 1, 2, 4, 8, 9
"""Types of sections."""

EXECUTABLE = 4
"""The flag of a section that holds instructions."""

NOTYPE, OBJECT, FUNC, SECTION = range(4)
LOCAL, GLOBAL, WEAK = range(3)
HIDDEN = (1, 2)
"""Types, bindings and (internal, hidden) visibilities of symbols."""

UNDEFINED, RESERVED = 0, 0xFF00
"""Section numbers of a symbol that is defined elsewhere, and the first that stand for none."""

_BPF = 247
_RELOCATABLE = 1
_SYMBOL = struct.Struct("=IBBHQQ")
_REL = struct.Struct("=QQ")


class Section:
    """A section: ``data`` is empty for one without bytes in the file, ``size`` then says how many
    zeroes it stands for."""

    __slots__ = ("data", "flags", "index", "info", "link", "name", "size", "type")

    def __init__(self, index: int, name: str, header: dict[str, int], data: bytes) -> None:
        self.index = index
        self.name = name
        self.data = data
        self.flags = header["sh_flags"]
        self.info = header["sh_info"]
        self.link = header["sh_link"]
        self.size = header["sh_size"]
        self.type = header["type"]

    @property
    def is_code(self) -> bool:
        """Whether it holds instructions."""
        return self.type == PROGBITS and bool(self.flags & EXECUTABLE) and bool(self.data)


class Symbol:
    """A symbol: ``value`` in bytes from the start of its section, ``size`` in bytes."""

    __slots__ = ("bind", "hidden", "index", "name", "section", "size", "type", "value")

    def __init__(self, index: int, name: str, fields: tuple[int, ...]) -> None:
        _, info, other, self.section, self.value, self.size = fields
        self.index = index
        self.name = name
        self.type = info & 15
        self.bind = info >> 4
        self.hidden = other & 3 in HIDDEN


class ElfFile:
    """What a relocatable file holds: ``relocations`` is by the number of the section they are for,
    each the byte of that section and the symbol."""

    __slots__ = ("path", "relocations", "sections", "symbols")

    def __init__(self, path: str, sections: list[Section]) -> None:
        self.path = path
        self.sections = sections
        self.symbols: list[Symbol] = []
        self.relocations: dict[int, list[tuple[int, Symbol]]] = {}

    def section(self, name: str) -> Section | None:
        """The first section of that name."""
        return next((each for each in self.sections if each.name == name), None)


def read_file(path: str) -> ElfFile:
    """The sections, symbols and relocations of a BPF object file.

    KernelError when the file cannot be read; BadData when it is no sound ELF file, or not one of
    relocatable BPF code in the byte order of this machine.
    """
    with opened(path) as (elf, kinds):
        if elf.elfclass != 64 or elf.header["e_type"] != "ET_REL":
            raise BadData("not a relocatable 64-bit ELF file")
        if elf.header["e_machine"] not in ("EM_BPF", _BPF, "EM_NONE", 0):
            raise BadData(f"made for another machine than BPF ({elf.header['e_machine']})")
        if elf.little_endian != (sys.byteorder == "little"):
            raise BadData("in the other byte order than this machine's")
        sections = [
            Section(
                index,
                each.name,
                dict(each.header.items()) | {"type": kinds(each.header["sh_type"])},
                b"" if each.header["sh_type"] == "SHT_NOBITS" else bytes(each.data()),
            )
            for index, each in enumerate(elf.iter_sections())
        ]
    found = ElfFile(path, sections)
    table = next((each for each in sections if each.type == SYMTAB), None)
    if table is None:
        raise BadData("there are no symbols in it")
    found.symbols = list(_symbols(table, sections))
    for section in sections:
        if section.type == RELA and _target(section, sections).is_code:
            raise BadData(f"section {section.name} has relocations with addends, as BPF has none")
        if section.type == REL:
            target = _target(section, sections)
            found.relocations.setdefault(target.index, []).extend(
                _relocations(section, target, found.symbols)
            )
    return found


def _target(section: Section, sections: list[Section]) -> Section:
    if section.info >= len(sections):
        raise BadData(f"section {section.name} belongs to section {section.info}, which is none")
    return sections[section.info]


def _symbols(table: Section, sections: list[Section]) -> Iterator[Symbol]:
    if table.link >= len(sections) or len(table.data) % _SYMBOL.size:
        raise BadData("the table of symbols is broken")
    names = sections[table.link].data
    for index, fields in enumerate(_SYMBOL.iter_unpack(table.data)):
        section = fields[3]
        if section >= len(sections) and section < RESERVED:
            raise BadData(f"symbol {index} is in section {section}, which is none")
        end = names.find(0, fields[0])
        if end < 0:
            raise BadData(f"symbol {index} has its name outside of the strings")
        name = names[fields[0] : end].decode("utf-8", "surrogateescape")
        if fields[1] & 15 == SECTION and section < len(sections):
            name = sections[section].name
        yield Symbol(index, name, fields)


def _relocations(
    section: Section, target: Section, symbols: list[Symbol]
) -> Iterator[tuple[int, Symbol]]:
    if len(section.data) % _REL.size:
        raise BadData(f"section {section.name} does not hold whole relocations")
    for offset, info in _REL.iter_unpack(section.data):
        if info >> 32 >= len(symbols) or offset >= target.size:
            raise BadData(f"section {section.name} has a relocation of nothing, at byte {offset}")
        yield offset, symbols[info >> 32]
