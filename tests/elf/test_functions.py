"""Where functions begin in programs and libraries."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from pathlib import Path

import pytest

from pybpftool.elf.functions import function_offset, function_offsets
from pybpftool.errors import BadData, KernelError, PybpftoolError

FUNC, OBJECT, WEAK, GLOBAL = 2, 1, 2, 1
TEXT_OFFSET, TEXT_ADDRESS = 0x1000, 0x401000
DYNSYM, SYMTAB, STRTAB, PROGBITS = 11, 2, 3, 1
VERDEF, VERSYM = 0x6FFFFFFD, 0x6FFFFFFF

Symbol = tuple[str, int, int, int]
"""Name, type, binding, address."""


def elf(
    dynamic: Sequence[Symbol],
    all: Sequence[Symbol],
    *,
    wide: bool = True,
    versions: Sequence[str] = (),
) -> bytes:
    """An executable whose only code is at TEXT_ADDRESS, and at TEXT_OFFSET in the file.

    ``versions``: of the dynamic symbols, each in its turn.
    """
    names = b"\0.text\0"
    data: list[tuple[int, bytes, int]] = []
    for kind, symbols in ((DYNSYM, dynamic), (SYMTAB, all)):
        table = bytes(24 if wide else 16)
        for word, type, bind, address in symbols:
            at, names = len(names), names + word.encode() + b"\0"
            info = bind << 4 | type
            table += (
                struct.pack("<IBBHQQ", at, info, 0, 1, address, 4)
                if wide
                else struct.pack("<IIIBBH", at, address, 4, info, 0, 1)
            )
        data.append((kind, table, 24 if wide else 16))
    head = 64 if wide else 52
    body = b""
    sections = [(0,) * 10, (1, PROGBITS, 6, TEXT_ADDRESS, TEXT_OFFSET, 64, 0, 0, 1, 0)]
    definitions = b""
    for number, version in enumerate(versions, 2):
        following = 28 if number < len(versions) + 1 else 0
        definitions += struct.pack("<4H3I", 1, 0, number, 1, 0, 20, following)
        definitions += struct.pack("<2I", len(names), 0)
        names += version.encode() + b"\0"
    numbers = struct.pack(f"<{len(versions) + 1}H", *range(1, len(versions) + 2))
    more = [(VERDEF, definitions, 1), (VERSYM, numbers, 2)] if versions else []
    for kind, content, size in [*data, (STRTAB, names, 0), *more]:
        link = 2 if kind == VERSYM else 4 if size else 0
        sections.append((0, kind, 0, 0, head + len(body), len(content), link, 0, 1, size))
        body += content
    header = b"\x7fELF" + bytes([2 if wide else 1, 1, 1]) + bytes(9)
    header += struct.pack(
        "<HHIQQQIHHHHHH" if wide else "<HHIIIIIHHHHHH",
        *(2, 62 if wide else 3, 1, 0, 0, head + len(body), 0, head, 0, 0, 64 if wide else 40),
        *(len(sections), 4),
    )
    form = "<IIQQQQIIQQ" if wide else "<10I"
    return header + body + b"".join(struct.pack(form, *each) for each in sections)


LONG = "x" * 5000
DYNAMIC = [
    ("one", FUNC, GLOBAL, TEXT_ADDRESS + 4),
    ("data", OBJECT, GLOBAL, TEXT_ADDRESS + 8),
    ("alias", FUNC, WEAK, TEXT_ADDRESS + 12),
    ("alias", FUNC, GLOBAL, TEXT_ADDRESS + 16),
    ("two", FUNC, GLOBAL, TEXT_ADDRESS + 20),
    ("two", FUNC, GLOBAL, TEXT_ADDRESS + 24),
]
ALL = [
    ("one", FUNC, GLOBAL, TEXT_ADDRESS + 40),
    ("old@V1", FUNC, GLOBAL, TEXT_ADDRESS + 44),
    ("old@@V2", FUNC, GLOBAL, TEXT_ADDRESS + 48),
    ("onward", FUNC, GLOBAL, TEXT_ADDRESS + 40),
    (LONG, FUNC, GLOBAL, TEXT_ADDRESS + 52),
]


@pytest.fixture(params=[True, False], ids=["64", "32"])
def path(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    (tmp_path / "program").write_bytes(elf(DYNAMIC, ALL, wide=request.param))
    return str(tmp_path / "program")


@pytest.mark.parametrize(
    ("name", "offset"),
    [("one", 4), ("alias", 16), ("onward", 40), ("old@V1", 44), ("old@@V2", 48), ("old@V2", 48)],
)
def test_one_function(name: str, offset: int, path: str) -> None:
    assert function_offset(path, name) == TEXT_OFFSET + offset


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("two", "has several functions two"),
        ("old", "has several functions old"),
        ("data", "has no function data"),
        ("on", "has no function on"),
        ("one@V1", "has no function one@V1"),
        (LONG, "has no function x"),
    ],
)
def test_no_function(name: str, says: str, path: str) -> None:
    with pytest.raises(PybpftoolError, match=says):
        function_offset(path, name)


@pytest.mark.parametrize("wide", [True, False])
def test_versions_of_dynamic_symbols(wide: bool, tmp_path: Path) -> None:
    path = tmp_path / "library"
    symbols = [("f", FUNC, GLOBAL, TEXT_ADDRESS + at) for at in (4, 8)]
    path.write_bytes(elf(symbols, [], wide=wide, versions=["OLD", "NEW"]))
    assert function_offset(str(path), "f@OLD") == TEXT_OFFSET + 4
    assert function_offset(str(path), "f@@NEW") == TEXT_OFFSET + 8
    for name in ("f", "f@NEWER"):
        with pytest.raises(PybpftoolError, match=f"function(s|) {name}$"):
            function_offset(str(path), name)


def test_functions_by_name(path: str) -> None:
    """Each place once; the dynamic ones only where the others have none."""
    assert function_offsets(path, lambda name: name.startswith("on")) == [TEXT_OFFSET + 40]
    assert function_offsets(path, lambda name: name == "alias") == [
        TEXT_OFFSET + 12,
        TEXT_OFFSET + 16,
    ]
    assert function_offsets(path, lambda name: False) == []


@pytest.mark.parametrize("cut", [0, 30, 100, 200, 300])
def test_broken_files(cut: int, tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    broken.write_bytes(elf(DYNAMIC, ALL)[:cut])
    with pytest.raises(BadData):
        function_offset(str(broken), "one")


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(KernelError, match="nowhere: No such file"):
        function_offset(str(tmp_path / "nowhere"), "one")
