"""Leave to talk to the running kernel, for tests that need it."""

from __future__ import annotations

import os

import pytest

BPFFS = "/sys/fs/bpf"


def _reason() -> str | None:
    from pybpftool.errors import KernelError
    from pybpftool.kernel import calls

    try:
        calls.map_create(2, 4, 4, 1).close()
        calls.map_next_id(0)
    except KernelError as error:
        return f"bpf(2) is not for us: {error}"
    return None


_why_not = _reason()

needs_kernel = pytest.mark.skipif(
    _why_not is not None, reason=_why_not or "the kernel lets us use bpf(2)"
)
"""Skip where this process may not use bpf(2); PYBPFTOOL_LIVE=1 fails instead."""

if _why_not and os.environ.get("PYBPFTOOL_LIVE") == "1":
    raise RuntimeError(_why_not)


def insn(code: int, dst: int = 0, src: int = 0, off: int = 0, imm: int = 0) -> bytes:
    """One BPF instruction of 8 bytes (RFC 9669), in this machine's byte order."""
    import struct
    import sys

    registers = dst | src << 4 if sys.byteorder == "little" else dst << 4 | src
    return struct.pack("=BBhi", code, registers, off, imm)


RETURN_0 = insn(0xB7) + insn(0x95)
"""r0 = 0; exit"""
