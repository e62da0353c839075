"""Sections of ELF files; the only room that imports pyelftools."""

from __future__ import annotations

from ..errors import BadData, during


def section(path: str, name: str) -> bytes | None:
    """The bytes of the first section of that name, None when the file has none.

    Raises KernelError when the file cannot be read, BadData when it is no sound ELF file.
    """
    from elftools.common.exceptions import ELFError
    from elftools.elf.elffile import ELFFile

    with during(path), open(path, "rb") as file:
        try:
            found = ELFFile(file).get_section_by_name(name)
            return None if found is None else bytes(found.data())
        # pyelftools lets the errors of its own parsing and decoding through on broken files
        except (ELFError, ValueError, KeyError, IndexError, AttributeError, TypeError) as error:
            raise BadData(f"not a sound ELF file: {error}") from error
