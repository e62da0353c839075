"""The objects that this machine's packages brought along load as the reference loads them.

Some are files, most are part of the programs that load them.
"""

from __future__ import annotations

import os
import shutil
import struct
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pybpftool.loader.read import read_object
from tests.live.compare import Both, ours
from tests.support.run import Ended

pytestmark = pytest.mark.native

PACKAGES = "libbpf-tools xdp-tools libxdp1 bpftune suricata bpfmon systemd libsystemd-shared"
"""Debian's, as far as they have such objects."""

_START = b"\x7fELF\x02\x01\x01"
_BPF = struct.pack("<HH", 1, 247)
_LARGEST = 64 << 20
_MMAPABLE = 1 << 10


def files() -> Iterator[Path]:
    for package in PACKAGES.split():
        listing = subprocess.run(["dpkg", "-L", package], capture_output=True, text=True).stdout
        for line in listing.splitlines():
            path = Path(line)
            if path.is_file() and not path.is_symlink() and path.stat().st_size < _LARGEST:
                yield path


def objects(path: Path) -> Iterator[bytes]:
    """Each object within a file, to the end of what its headers tell of."""
    data = path.read_bytes()
    at = data.find(_START)
    while at >= 0:
        if data[at + 16 : at + 20] == _BPF:
            (headers,), (count,) = (
                struct.unpack_from(form, data, at + place)
                for form, place in (("<Q", 40), ("<H", 60))
            )
            ends = [headers + 64 * count]
            for number in range(count):
                header = struct.unpack_from("<IIQQQQ", data, at + headers + 64 * number)
                ends.append(header[4] + (header[5] if header[1] != 8 else 0))
            yield data[at : at + max(ends)]
        at = data.find(_START, at + 4)


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    if not shutil.which("dpkg"):
        pytest.skip("no dpkg to ask for the objects of packages")
    directory = tmp_path_factory.mktemp("installed")
    found: dict[bytes, Path] = {}
    for path in files():
        for number, each in enumerate(objects(path)):
            found.setdefault(each, directory / f"{path.name.split('.')[0]}_{number}.o")
    for data, path in found.items():
        path.write_bytes(data)
    if not found:
        pytest.skip(f"no objects: none of these packages is here: {PACKAGES}")
    return list(found.values())


def told(place: str, reference: Both) -> list[Any]:
    """Name, type and tag of each program below a directory, and the shape of its maps."""
    found = []
    for path in sorted(Path(place).iterdir()) if os.path.isdir(place) else ():
        prog = ours("-j", "prog", "show", "pinned", str(path)).json
        maps = []
        for id in prog.get("map_ids", []):
            map = ours("-j", "map", "show", "id", str(id)).json
            if reference.reference.version < (7, 5):
                # let all variables be mapped, be they seen from outside or not
                map["flags"] &= ~_MMAPABLE
            maps.append([map.get(name) for name in ("name", "type", "flags", "frozen")])
            maps[-1] += [map[name] for name in ("bytes_key", "bytes_value", "max_entries")]
        found.append((path.name, prog["type"], prog["name"], prog["tag"], sorted(maps)))
    return found


def loaded(tool: Any, path: Path, place: str, both: Both) -> tuple[Ended, list[Any]]:
    by_name = [
        f"/sys/fs/bpf/{map.name}" for map in read_object(str(path)).maps if map.pinned_by_name
    ]
    if any(map(os.path.exists, by_name)):
        pytest.skip(f"others have pinned {by_name}")
    try:
        ended = tool("prog", "loadall", str(path), place)
        return ended, told(place, both)
    finally:
        shutil.rmtree(place, ignore_errors=True)
        for pin in filter(os.path.exists, by_name):
            os.unlink(pin)


def test_installed_objects(both: Both, installed: list[Path], pins: str) -> None:
    differ = []
    for path in installed:
        mine = loaded(ours, path, f"{pins}/mine", both)
        theirs = loaded(both.reference, path, f"{pins}/theirs", both)
        if (mine[0].status, mine[1]) != (theirs[0].status, theirs[1]):
            differ.append((path.name, mine, theirs))
    assert not differ
