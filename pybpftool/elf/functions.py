"""Where functions begin in the file of a program or library, as uprobes count: in bytes.

Source: the ELF object format; Documentation/trace/uprobetracer.rst.
"""

from __future__ import annotations

import struct

from ..errors import BadData, PybpftoolError
from .file import FUNC, RESERVED, UNDEFINED, WEAK
from .sections import opened

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any, TypeAlias

    Function: TypeAlias = tuple[str, str, bool, int]
    """Name, version (empty if there is none), whether it is weak, offset in the file."""

_DYNAMIC, _ALL = "SHT_DYNSYM", "SHT_SYMTAB"
_LONGEST = 4096
"""Bytes of a name, so that a few long strings named by many symbols do not take for ever."""
_VERSION = 0x7FFF  # of the words of .gnu.version; the bit above hides a version


def function_offset(path: str, name: str) -> int:
    """Where a function begins; ``name`` may end in @VERSION or @@VERSION.

    Several of the name are one if all but one are weak, or all begin at the same place.
    KernelError when the file cannot be read, PybpftoolError when it is no ELF file, or has no such
    function, or several.
    """
    plain, _, version = name.partition("@")
    version = version.removeprefix("@")
    for functions in _tables(path, _DYNAMIC, _ALL):
        offset, weak = 0, True
        for word, its_version, is_weak, at in functions:
            stem, sign, rest = word.partition("@")
            its_version = rest.removeprefix("@") if sign else its_version
            if stem != plain or at <= 0 or (version and version != its_version):
                continue
            if offset and at != offset and not weak and not is_weak:
                raise PybpftoolError(f"{path} has several functions {name}")
            if not offset or weak:
                offset, weak = at, is_weak
        if offset:
            return offset
    raise PybpftoolError(f"{path} has no function {name}")


def function_offsets(path: str, fits: Callable[[str], object]) -> list[int]:
    """Where the functions whose names fit begin, ascending; errors as of ``function_offset``."""
    for functions in _tables(path, _ALL, _DYNAMIC):
        found = {at for name, _, _, at in functions if at > 0 and fits(name)}
        if found:
            return sorted(found)
    return []


def _tables(path: str, *kinds: str) -> Iterator[list[Function]]:
    """The functions in each of the tables of symbols, those that are there."""
    with opened(path) as (elf, _):
        sections = list(elf.iter_sections())
        for kind in kinds:
            for each in sections:
                if each.header["sh_type"] == kind:
                    yield list(_functions(elf, sections, each))


def _functions(elf: Any, sections: list[Any], table: Any) -> Iterator[Function]:
    order = "<" if elf.little_endian else ">"
    symbol = struct.Struct(order + ("IBBHQQ" if elf.elfclass == 64 else "IIIBBH"))
    data, link = table.data(), table.header["sh_link"]
    if len(data) % symbol.size or link >= len(sections):
        raise BadData(f"the symbols in section {table.name} are broken")
    names = sections[link].data()
    moves = [each.header["sh_offset"] - each.header["sh_addr"] for each in sections]
    versions = _versions(sections, order) if table.header["sh_type"] == _DYNAMIC else []
    for index, fields in enumerate(symbol.iter_unpack(data)):
        if elf.elfclass == 64:
            name, info, _, section, value, _ = fields
        else:
            name, value, _, info, _, section = fields
        if info & 15 != FUNC or section == UNDEFINED or section >= min(RESERVED, len(sections)):
            continue
        end = names.find(0, name, name + _LONGEST)
        if end < 0:
            continue  # outside of the strings, or what nobody would call a name
        word = names[name:end].decode("utf-8", "surrogateescape")
        version = versions[index] if index < len(versions) else ""
        yield word, version, info >> 4 == WEAK, value + moves[section]


def _versions(sections: list[Any], order: str) -> list[str]:
    """The version of each dynamic symbol that the file itself defines."""
    known: dict[int, str] = {}
    words = b""
    for each in sections:
        if each.header["sh_type"] == "SHT_GNU_verdef" and each.header["sh_link"] < len(sections):
            known.update(_defined(each.data(), sections[each.header["sh_link"]].data(), order))
        elif each.header["sh_type"] == "SHT_GNU_versym":
            words = each.data()
    numbers = struct.unpack(f"{order}{len(words) // 2}H", words[: len(words) & ~1])
    return [known.get(number & _VERSION, "") for number in numbers]


def _defined(data: bytes, names: bytes, order: str) -> Iterator[tuple[int, str]]:
    """Number and name of each version: a chain of definitions, each with a list of names."""
    definition, at = struct.Struct(order + "HHHHIII"), 0
    while at + definition.size <= len(data):
        _, _, number, _, _, first, following = definition.unpack_from(data, at)
        if at + first + 4 <= len(data):
            (name,) = struct.unpack_from(order + "I", data, at + first)
            end = names.find(0, name, name + _LONGEST)
            yield number, names[name : max(name, end)].decode("utf-8", "surrogateescape")
        if not following:
            break
        at += following
