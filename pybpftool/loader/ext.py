"""The section .BTF.ext: where functions begin, source lines, and CO-RE relocations.

Source: linux/btf.h and linux/bpf.h (bpf_func_info, bpf_line_info, bpf_core_relo).
"""

from __future__ import annotations

import struct

from ..errors import BadData
from ..insn.code import SLOT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import TypeAlias

    from ..btf.spec import Btf

    FuncInfo: TypeAlias = tuple[int, int]
    """(slot, type_id of the FUNC)."""
    LineInfo: TypeAlias = tuple[int, int, int, int]
    """(slot, file_name_off, line_off, line_col): offsets in the BTF's strings."""

_MAGIC = 0xEB9F


class CoreRelo:
    """What the instruction in ``slot`` of its section depends on: a type, and what of it.

    ``access``: ``0:1:2``, indices of members; ``kind``: enum bpf_core_relo_kind.
    """

    __slots__ = ("access", "kind", "slot", "type_id")

    def __init__(self, slot: int, type_id: int, access: str, kind: int) -> None:
        self.slot = slot
        self.type_id = type_id
        self.access = access
        self.kind = kind


class Ext:
    """The contents by name of the ELF section they speak of, each list by slots ascending."""

    __slots__ = ("core_relos", "func_info", "line_info")

    def __init__(self) -> None:
        self.func_info: dict[str, list[FuncInfo]] = {}
        self.line_info: dict[str, list[LineInfo]] = {}
        self.core_relos: dict[str, list[CoreRelo]] = {}


def read_ext(data: bytes, btf: Btf) -> Ext:
    """What a .BTF.ext section says.

    ``btf``: the BTF beside it, which has the strings.  BadData, naming the byte, when the section
    contradicts itself.
    """
    if len(data) < 24:
        raise BadData(f".BTF.ext: {len(data)} bytes are less than a header of 24")
    mark = "<" if data[0] == _MAGIC & 0xFF else ">"
    magic, version, _, header = struct.unpack_from(mark + "HBBI", data)
    if magic != _MAGIC or version != 1:
        raise BadData(".BTF.ext: no magic and version 1 at byte 0")
    if not 24 <= header <= len(data):
        raise BadData(f".BTF.ext: header length {header} at byte 4 is not 24..{len(data)}")
    ext = Ext()
    for section, slot, (type_id,) in _records(data, mark, header, 8, 1, btf):
        ext.func_info.setdefault(section, []).append((slot, type_id))
    for section, slot, (file, line, column) in _records(data, mark, header, 16, 3, btf):
        ext.line_info.setdefault(section, []).append((slot, file, line, column))
    if header >= 32:
        for section, slot, (type_id, access, kind) in _records(data, mark, header, 24, 3, btf):
            relo = CoreRelo(slot, type_id, btf.text[access], kind)
            ext.core_relos.setdefault(section, []).append(relo)
    for functions in ext.func_info.values():
        functions.sort(key=lambda row: row[0])
    for lines in ext.line_info.values():
        lines.sort(key=lambda row: row[0])
    for relos in ext.core_relos.values():
        relos.sort(key=lambda relo: relo.slot)
    return ext


def _records(
    data: bytes, mark: str, header: int, field: int, words: int, btf: Btf
) -> Iterator[tuple[str, int, tuple[int, ...]]]:
    """(section, slot, words) of each record of the part whose place stands at byte ``field``."""
    offset, length = struct.unpack_from(mark + "II", data, field)
    if not length:
        return
    at, end = header + offset, header + offset + length
    if end > len(data) or offset % 4 or length < 4:
        raise BadData(f".BTF.ext: byte {field} names a part at {at} to {end} of {len(data)}")
    (size,) = struct.unpack_from(mark + "I", data, at)
    if size < 4 + 4 * words or size % 4:
        raise BadData(f".BTF.ext: records of {size} bytes at byte {at} are not {4 + 4 * words}")
    known = struct.Struct(f"{mark}I{words}I{size - 4 - 4 * words}x")
    at += 4
    while at < end:
        if at + 8 > end:
            raise BadData(f".BTF.ext: half a section at byte {at}")
        name, count = struct.unpack_from(mark + "II", data, at)
        section = btf.string(name)
        begin = at + 8
        at = begin + count * size
        if not count or not section or at > end:
            raise BadData(f".BTF.ext: {count} records at byte {begin} do not fit before {end}")
        for byte, *rest in known.iter_unpack(memoryview(data)[begin:at]):
            if byte % SLOT:
                raise BadData(f".BTF.ext: {section} has no instruction at its byte {byte}")
            yield section, byte // SLOT, tuple(rest)
