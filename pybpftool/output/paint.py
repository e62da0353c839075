"""Colour: whether it is wanted, and how it is written."""

from __future__ import annotations

import os

from ..command import AUTO, NEVER

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    Paint = Callable[[str, int], str]
    """A text in a colour or weight; never holds the end of a line."""

BOLD, DIM = 1, 2
RED, GREEN, YELLOW, MAGENTA, CYAN = 31, 32, 33, 35, 36
"""Numbers of the ECMA-48 sequence "select graphic rendition"."""


def capable() -> bool:
    """Whether a terminal, if there is one, knows more than how to print letters."""
    return os.environ.get("TERM", "dumb") not in ("dumb", "unknown")


def paint(when: str) -> Paint:
    """How to paint what a terminal shows; ``when``: the word of ``--color``, which goes before
    NO_COLOR, where any text says no (no-color.org)."""
    if when == NEVER or (when == AUTO and os.environ.get("NO_COLOR")):
        return bare
    return painted


def painted(text: str, colour: int) -> str:
    """A text in a colour."""
    return f"\x1b[{colour}m{text}\x1b[m"


def bare(text: str, colour: int) -> str:
    """The text as it is."""
    return text
