"""``prog pin``: a program gets a place."""

from __future__ import annotations

from ...command import NOTHING

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ...command import One, Options
    from ...kernel.handles import Prog


def pin(options: Options, prog: Prog, file: str) -> One:
    """Pin a program to FILE, which must lie in a bpf file system."""
    from ...kernel import bpffs

    bpffs.pin(prog, file, options.nomount)
    return NOTHING
