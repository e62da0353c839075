"""Relocatable ELF files of the BPF machine: sections, symbols and relocations.

Source: the ELF-64 object format; linux/elf-em.h for the machine.
"""

from __future__ import annotations

import os
import struct
import sys

from ..errors import BadData, during

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

NULL, PROGBITS, SYMTAB, RELA, NOBITS, REL = 0, 1, 2, 4, 8, 9
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
_IDENT = b"\x7fELF", 2, 1, {"little": 1, "big": 2}
"""How a file begins: magic, 64-bit, version; the mark of each byte order is byte 5."""
_LARGEST = 1 << 28
"""Bytes of a file that are read; an object with all its debug information has some megabytes."""
_LONGEST = 1024
"""Bytes of a name; the kernel itself keeps 512 of a symbol's."""
_HEADER = struct.Struct("=16sHHIQQQIHHHHHH")
_SECTION = struct.Struct("=IIQQQQIIQQ")
_SYMBOL = struct.Struct("=IBBHQQ")
_REL = struct.Struct("=QQ")


class Section:
    """A section: ``data`` is empty for one without bytes in the file, ``size`` then says how many
    zeroes it stands for."""

    __slots__ = ("data", "flags", "index", "info", "link", "name", "size", "type")

    def __init__(self, index: int, name: str, header: tuple[int, ...], data: bytes) -> None:
        _, self.type, self.flags, _, _, self.size, self.link, self.info, _, _ = header
        self.index = index
        self.name = name
        self.data = data

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
    """What a relocatable file holds: ``by_section`` are the symbols by the number of the section
    they are in, ``relocations`` is by the number of the section they are for, each the byte of that
    section and the symbol."""

    __slots__ = ("by_section", "path", "relocations", "sections", "symbols")

    def __init__(self, path: str, sections: list[Section]) -> None:
        self.path = path
        self.sections = sections
        self.symbols: list[Symbol] = []
        self.by_section: dict[int, list[Symbol]] = {}
        self.relocations: dict[int, list[tuple[int, Symbol]]] = {}

    def section(self, name: str) -> Section | None:
        """The first section of that name."""
        return next((each for each in self.sections if each.name == name), None)


def read_file(path: str) -> ElfFile:
    """The sections, symbols and relocations of a BPF object file.

    KernelError when the file cannot be read; BadData when it is no sound ELF file, or not one of
    relocatable BPF code in the byte order of this machine.
    """
    with during(path), open(path, "rb") as file:
        image = file.read(_HEADER.size)
        header = _header(image)
        image += file.read(min(os.fstat(file.fileno()).st_size, _LARGEST))
    sections = list(_sections(image, header))
    found = ElfFile(path, sections)
    table = next((each for each in sections if each.type == SYMTAB), None)
    if table is None:
        raise BadData("there are no symbols in it")
    found.symbols = list(_symbols(table, sections))
    for symbol in found.symbols:
        found.by_section.setdefault(symbol.section, []).append(symbol)
    for section in sections:
        if section.type == RELA and _target(section, sections).is_code:
            raise BadData(f"section {section.name} has relocations with addends, as BPF has none")
        if section.type == REL:
            target = _target(section, sections)
            found.relocations.setdefault(target.index, []).extend(
                _relocations(section, target, found.symbols)
            )
    return found


def _header(image: bytes) -> tuple[int, int, int]:
    """Where the headers of the sections begin, how many there are, which one has their names."""
    magic, wide, version, orders = _IDENT
    if len(image) < _HEADER.size or not image.startswith(magic) or image[6] != version:
        raise BadData("not an ELF file")
    if image[4] != wide or image[5] not in orders.values():
        raise BadData("not a relocatable 64-bit ELF file")
    if image[5] != orders[sys.byteorder]:
        raise BadData("in the other byte order than this machine's")
    _, type, machine, _, _, _, at, _, _, _, _, size, count, names = _HEADER.unpack(image)
    if type != _RELOCATABLE:
        raise BadData("not a relocatable 64-bit ELF file")
    if machine not in (_BPF, 0):
        raise BadData(f"made for another machine than BPF ({machine})")
    if size != _SECTION.size or not 0 < names < count < RESERVED:
        raise BadData("its header does not say where the sections are")
    return at, count, names


def _sections(image: bytes, header: tuple[int, int, int]) -> Iterator[Section]:
    """All sections; none takes more of the file than there is, nor do all together."""
    at, count, names = header
    if at + count * _SECTION.size > len(image):
        raise BadData(f"the headers of {count} sections at byte {at} are beyond its end")
    headers = list(_SECTION.iter_unpack(image[at : at + count * _SECTION.size]))

    def contents(index: int) -> bytes:
        _, type, _, _, offset, size, *_ = headers[index]
        if size >> 32:
            raise BadData(f"section {index} says to have {size} bytes, more than any map could")
        if type in (NULL, NOBITS):
            return b""
        if offset + size > len(image):
            raise BadData(
                f"section {index} at byte {offset} needs {size} bytes, past the end at {len(image)}"
            )
        return image[offset : offset + size]

    strings = contents(names)
    room = len(image)
    for index, each in enumerate(headers):
        data = contents(index)
        room -= len(data)
        if room < 0:
            raise BadData(f"section {index} overlaps with others")
        yield Section(index, _name(strings, each[0], f"section {index}"), each, data)


def _name(strings: bytes, at: int, what: str) -> str:
    end = strings.find(0, at, at + _LONGEST)
    if end < 0:
        raise BadData(f"{what} has its name outside of the strings, or a very long one")
    name = strings[at:end].decode("utf-8", "surrogateescape")
    if not name.isprintable():
        raise BadData(f"{what} has a name that is no text: {ascii(name)[:80]}")
    return name


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
        if 0 < section < len(sections) and fields[4] > sections[section].size:
            raise BadData(
                f"symbol {index} lies {fields[4]} bytes into section {section}, beyond it"
            )
        name = _name(names, fields[0], f"symbol {index}")
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
