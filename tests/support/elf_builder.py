"""Object files made without a compiler, be they sound or not."""

from __future__ import annotations

import struct

NOTHING, PROGBITS, SYMTAB, STRTAB, NOBITS, REL = 0, 1, 2, 3, 8, 9
EXECUTABLE = 4


class ElfBuilder:
    """A relocatable object of BPF code; fields that are set afterwards go into the header."""

    def __init__(self) -> None:
        self._strings = bytearray(b"\0")
        self._sections: list[tuple[int, ...]] = [(0,) * 10]
        self._body = bytearray(64)
        self._symbols = bytearray(24)
        self.header: dict[str, int] = {"type": 1, "machine": 247, "class": 2, "order": 1}

    def string(self, text: str) -> int:
        at = len(self._strings)
        self._strings += text.encode() + b"\0"
        return at

    def section(self, name: str, data: bytes = b"", type: int = PROGBITS, **fields: int) -> int:
        """Number of the new section; ``fields`` (flags, offset, size, link, info) as they are."""
        known = {"flags": 0, "offset": len(self._body), "size": len(data), "link": 0, "info": 0}
        flags, offset, size, link, info = (known | fields).values()
        self._body += data
        entry = {SYMTAB: 24, REL: 16}.get(type, 0)
        name_at = self.string(name)
        self._sections.append((name_at, type, flags, 0, offset, size, link, info, 8, entry))
        return len(self._sections) - 1

    def code(self, name: str, slots: int = 2) -> int:
        return self.section(name, EXIT * slots, flags=EXECUTABLE)

    def symbol(
        self, name: str, section: int, value: int, size: int, info: int = 0x12, other: int = 0
    ) -> int:
        """Number of the new symbol; a global function unless ``info`` says otherwise, seen from
        outside unless ``other`` says otherwise."""
        packed = struct.pack("<IBBHQQ", self.string(name), info, other, section, value, size)
        self._symbols += packed
        return len(self._symbols) // 24 - 1

    def blob(self) -> bytes:
        names = len(self._sections) + 1
        self.section(".symtab", bytes(self._symbols), SYMTAB, link=names)
        name = self.string(".strtab")
        self.section("", bytes(self._strings), STRTAB)
        self._sections[-1] = (name, *self._sections[-1][1:])
        headers = b"".join(struct.pack("<IIQQQQIIQQ", *each) for each in self._sections)
        ident = struct.pack("<4sBBB9x", b"\x7fELF", self.header["class"], self.header["order"], 1)
        counts = 0, 64, 0, 0, 64, self.header.get("count", len(self._sections)), names
        kind = self.header["type"], self.header["machine"], 1, 0, 0, len(self._body)
        header = struct.pack("<16sHHIQQQIHHHHHH", ident, *kind, *counts)
        return header + bytes(self._body[64:]) + headers


EXIT = struct.pack("<BBhi", 0x95, 0, 0, 0)
