"""``version``: what this is, which bpftool it speaks like, and what is at hand."""

from __future__ import annotations

from .. import CONTRACT, __version__
from ..command import One

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ..command import Options

_FEATURES = {"elf": "elftools", "completion": "click"}
"""What the tool can do on this machine, by the library that does it."""


def version(options: Options) -> One:
    """The version record.

    Called as ``bpftool``, the first line is that of the bpftool it stands in for, so that a
    script which asks for a version gets the one whose words are spoken.
    """
    from importlib.util import find_spec

    features = {name: find_spec(library) is not None for name, library in _FEATURES.items()}
    record = {
        "version": CONTRACT if options.prog == "bpftool" else __version__,
        "bpftool_version": CONTRACT,
        "pybpftool_version": __version__,
        "features": features,
    }

    def plain(record: dict[str, Any]) -> str:
        names = ", ".join(name for name, there in record["features"].items() if there)
        return (
            f"{options.prog} v{record['version']}\n"
            f"speaks bpftool v{CONTRACT}, by pybpftool v{__version__}\n"
            f"features: {names}\n"
        )

    return One(record, plain)
