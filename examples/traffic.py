"""The samples beside this file: types from traffic.btf, entries from traffic.entries."""

from __future__ import annotations

from pathlib import Path

from pybpftool.btf import types
from pybpftool.btf.reader import read_btf
from pybpftool.btf.spec import Btf

HERE = Path(__file__).resolve().parent

BLOB = (HERE / "traffic.btf").read_bytes()
"""BTF as a compiler wrote it; the C it came from is traffic.c."""


def read_types() -> tuple[Btf, int, int]:
    """The types of the blob, and the ids of the key's and the value's struct in it."""
    btf = read_btf(BLOB, name="traffic.btf")
    key, value = btf.find("flow", types.STRUCT), btf.find("traffic", types.STRUCT)
    assert key and value
    return btf, key, value


def read_entries() -> list[tuple[bytes, bytes]]:
    """Keys and values, recorded as a dump without types shows them: ``key: …  value: …``."""
    entries = []
    for line in (HERE / "traffic.entries").read_text().splitlines():
        key, value = line.removeprefix("key:").split("value:")
        entries.append((bytes.fromhex(key), bytes.fromhex(value)))
    return entries
