"""One module per OBJECT word."""

from __future__ import annotations

OBJECTS = ("prog", "map", "btf")
"""The OBJECT words in the order of spec 1.2: the first that a word abbreviates is meant."""
