"""Colour, for terminals only."""

from __future__ import annotations

import os

RED, GREEN, YELLOW = 31, 32, 33
"""Numbers of the ECMA-48 sequence "select graphic rendition"."""


def wanted() -> bool:
    """Whether the user wants colours: NO_COLOR with any text says no (no-color.org)."""
    return not os.environ.get("NO_COLOR")


def painted(text: str, colour: int) -> str:
    """A line in a colour; as it is where the user wants none."""
    return f"\x1b[{colour}m{text}\x1b[m" if wanted() else text
