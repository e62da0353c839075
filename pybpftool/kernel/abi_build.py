"""Writes ``_abi.py`` from ``abi.h``: run ``python -m pybpftool.kernel.abi_build`` after a change.

The product is cffi's out-of-line module in ABI mode: tables only, no C compiler, and no parsing
of C when the tool starts.  cffi itself is needed here and nowhere else (its small runtime,
``_cffi_backend``, everywhere).
"""

from __future__ import annotations

import os

HERE = os.path.dirname(os.path.abspath(__file__))


def build(target: str) -> None:
    """Write the generated module to the path ``target``; the same text for the same ``abi.h``."""
    import cffi

    ffi = cffi.FFI()
    with open(os.path.join(HERE, "abi.h"), encoding="ascii") as header:
        ffi.cdef(header.read())
    ffi.set_source("pybpftool.kernel._abi", None)
    ffi.emit_python_code(target)


if __name__ == "__main__":
    build(os.path.join(HERE, "_abi.py"))
