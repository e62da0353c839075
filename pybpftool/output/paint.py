"""Colour, for terminals only."""

from __future__ import annotations

import os

RED, GREEN, YELLOW = 31, 32, 33
"""Numbers of the ECMA-48 sequence "select graphic rendition"."""


def painted(text: str, colour: int) -> str:
    """A line in a colour; as it is where the user wants none (NO_COLOR)."""
    return text if os.environ.get("NO_COLOR") else f"\x1b[{colour}m{text}\x1b[m"
