"""BTF bytes to a Btf: header, sections and the place of every type.

Source: linux/btf.h, spec 4.2.  Nothing of the blob is believed: what does not add up raises
BadData with the byte at which it does not.
"""

from __future__ import annotations

import struct
import sys
from itertools import pairwise

from ..errors import BadData
from .spec import Btf
from .types import FIXED_WORDS, kind_of, words_in

TYPE_CHECKING = False
if TYPE_CHECKING:
    from mmap import mmap

MAGIC = 0xEB9F
VERSION = 1
_HEADER = 24  # bytes every header has; a longer one also names a layout section
_VOID_SIZE = 12  # void is the type with id 0 in no blob: three zeroes


def read_btf(blob: bytes | mmap, base: Btf | None = None, *, name: str = "") -> Btf:
    """The types of a BTF blob, of either byte order.

    ``blob``: raw BTF, as BPF_BTF_GET_INFO, /sys/kernel/btf or an ELF's .BTF section give it.
    ``base``: the Btf that a split one continues.  ``name``: what to call it in errors.
    BadData when the blob contradicts itself.
    """
    label = f"BTF '{name}'" if name else "BTF"
    if len(blob) < _HEADER:
        raise BadData(f"{label}: {len(blob)} bytes are less than a header of {_HEADER}")
    order = "little" if blob[0] == MAGIC & 0xFF else "big"
    mark = "<" if order == "little" else ">"
    magic, version, _flags, header = struct.unpack_from(mark + "HBBI", blob)
    if magic != MAGIC:
        raise BadData(f"{label}: no BTF magic at byte 0")
    if version != VERSION:
        raise BadData(f"{label}: version {version} at byte 2 is not {VERSION}")
    if not _HEADER <= header <= len(blob):
        raise BadData(f"{label}: header length {header} at byte 4 is not {_HEADER}..{len(blob)}")
    sections = [
        ("type", *struct.unpack_from(mark + "II", blob, 8)),
        ("string", *struct.unpack_from(mark + "II", blob, 16)),
    ]
    if header >= _HEADER + 8:
        sections.append(("layout", *struct.unpack_from(mark + "II", blob, _HEADER)))
    _check_sections(label, sections, header, len(blob))

    _, offset, length = sections[0]
    types_at = header + offset
    if offset % 4 or length % 4:
        raise BadData(f"{label}: type section at byte {types_at} is not made of whole words")
    words = _words(
        base, memoryview(blob)[types_at : types_at + length], swap=order != sys.byteorder
    )

    _, offset, length = sections[1]
    strings = bytes(blob[header + offset : header + offset + length])
    if not (base and not strings):  # a split BTF may live off its base's strings
        if not strings or strings[-1]:
            raise BadData(f"{label}: string section at byte {header + offset} does not end in NUL")
        if not base and strings[0]:
            raise BadData(f"{label}: string section at byte {header + offset} starts with no NUL")
    at = _index(words, label, types_at, base)
    return Btf(words, at, strings, types_at=types_at, base=base, name=name)


def _check_sections(
    label: str, sections: list[tuple[str, int, int]], header: int, size: int
) -> None:
    """Every section lies inside the blob and none in another."""
    for what, offset, length in sections:
        if header + offset + length > size:
            raise BadData(
                f"{label}: {what} section at byte {header + offset}"
                f" needs {length} bytes, past the end at {size}"
            )
    placed = sorted((offset, length, what) for what, offset, length in sections if length)
    for (offset, length, what), (after, _, other) in pairwise(placed):
        if offset + length > after:
            raise BadData(f"{label}: {what} and {other} sections overlap at byte {header + after}")


def _words(base: Btf | None, section: memoryview, *, swap: bool) -> memoryview:
    """The words of the base and those of a type section, in one row."""
    if swap:
        from array import array

        own = array("I", section.cast("I"))
        own.byteswap()
        section = memoryview(own).cast("B")
    before = base.words.cast("B") if base else bytes(_VOID_SIZE)
    return memoryview(b"".join((before, section))).cast("I")


def _index(words: memoryview, label: str, types_at: int, base: Btf | None) -> list[int]:
    """Index of the first word of each type: void, the base's, and those behind them."""
    first = at = len(base.words) if base else _VOID_SIZE // 4
    found = [*base.at, at] if base else [0, at]
    add = found.append
    infos = words[1:]
    steps: dict[int, int] = {}  # by info word, the words of such a type
    wrong = "does not end within the type section"
    while True:
        try:
            while True:  # what is done in here is done for each of some hundred thousand types
                at += steps[infos[at]]
                add(at)
        except KeyError:  # noqa: PERF203 - the first of its kind, of which there are few
            info = infos[at]
            if not 0 < kind_of(info) < len(FIXED_WORDS):
                wrong = f"is of unknown kind {kind_of(info)}"
                break
            steps[info] = words_in(info)
        except IndexError:
            if at == len(words):
                found.pop()
                return found
            break
    if at > len(words):  # it is the one before that is too long
        found.pop()
    place = types_at + 4 * (found[-1] - first)
    raise BadData(f"{label}: type [{len(found) - 1}] at byte {place} {wrong}")
