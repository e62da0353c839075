"""pybpftool: inspect and change eBPF programs, maps and types, in pure Python.

The command line is one way in; ``pybpftool.maps()``, ``pybpftool.open_map()`` and their like are
the other (docs/api.md).
"""

from __future__ import annotations

__version__ = "0.1.0"

CONTRACT = "7.8.0"
"""The bpftool release whose words, bytes and statuses this tool gives."""

__all__ = [
    "BadData",
    "Btf",
    "BtfInfo",
    "KernelError",
    "Link",
    "LoadedObject",
    "Map",
    "MapInfo",
    "ProgInfo",
    "Program",
    "PybpftoolError",
    "Ran",
    "btf_of_file",
    "btf_of_id",
    "btfs",
    "decode",
    "encode",
    "kernel_btf",
    "load",
    "maps",
    "open_map",
    "progs",
]

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .api import (
        Link,
        LoadedObject,
        Map,
        Program,
        Ran,
        btfs,
        decode,
        encode,
        load,
        maps,
        open_map,
        progs,
    )
    from .btf.spec import Btf
    from .errors import BadData, KernelError, PybpftoolError
    from .kernel.handles import BtfInfo, MapInfo, ProgInfo
    from .sources import btf_of_file, btf_of_id, kernel_btf
else:

    def __getattr__(name: str) -> object:
        """A name of the API, which is loaded when one is first asked for: no command ever does."""
        if name in __all__:
            from . import api

            return getattr(api, name)
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

    def __dir__() -> list[str]:
        return [*globals(), *__all__]
