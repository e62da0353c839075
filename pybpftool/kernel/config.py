"""The .config that the running kernel was built from."""

from __future__ import annotations

import os

from ..errors import BadData

BOOT, PROC = "/boot/config-{}", "/proc/config.gz"
"""Where distributions keep the .config of a release, and where the kernel itself may have it."""

_LARGEST = 16 << 20
"""Bytes of a .config that are read; a true one has some 300 KiB."""


def text() -> str:
    """The whole file, which may be gzipped.

    Raises OSError where it is in neither place, BadData for one that cannot be unpacked.
    """
    try:
        data = _read(BOOT.format(os.uname().release))
    except OSError:
        data = _read(PROC)
    return data.decode("utf-8", "surrogateescape")


def _read(path: str) -> bytes:
    with open(path, "rb") as file:
        data = file.read(_LARGEST)
    if data[:2] != b"\x1f\x8b":
        return data
    import zlib

    try:
        return zlib.decompressobj(16 + zlib.MAX_WBITS).decompress(data, _LARGEST)
    except zlib.error as error:
        raise BadData(f"can't read from file: {error}") from error
