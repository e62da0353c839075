"""ELF files as their sections; the only file that imports pyelftools."""

from __future__ import annotations

from ..errors import BadData, during

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType
    from typing import Any


class opened:  # noqa: N801 - reads as a word: ``with opened(path) as (elf, kinds):``
    """A file as pyelftools reads it, and what makes a number of its names of section types.

    Raises KernelError when the file cannot be read, BadData when it is no sound ELF file.
    """

    def __init__(self, path: str) -> None:
        self._path = path

    def __enter__(self) -> tuple[Any, Callable[[str | int], int]]:
        from elftools.common.exceptions import ELFError
        from elftools.elf.elffile import ELFFile
        from elftools.elf.enums import ENUM_SH_TYPE_BASE

        # pyelftools lets the errors of its own parsing and decoding through on broken files
        self._broken = (
            *(ELFError, ValueError, KeyError, IndexError, AttributeError, TypeError),
            *(MemoryError, OverflowError, AssertionError, OSError),
        )
        with during(self._path):
            self._file = open(self._path, "rb")
        try:
            elf = ELFFile(self._file)
        except self._broken as error:
            self._file.close()
            raise BadData(f"not a sound ELF file: {error}") from error
        return elf, lambda name: int(ENUM_SH_TYPE_BASE.get(name, name if name != str(name) else 0))

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        self._file.close()
        if isinstance(error, self._broken):
            raise BadData(f"not a sound ELF file: {error}") from error


def section(path: str, name: str) -> bytes | None:
    """The bytes of the first section of that name, None when the file has none.

    Raises KernelError when the file cannot be read, BadData when it is no sound ELF file.
    """
    with opened(path) as (elf, _):
        found = elf.get_section_by_name(name)
        return None if found is None else bytes(found.data())
