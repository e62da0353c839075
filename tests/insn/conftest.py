"""What the tests of texts and of pictures begin with."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest

from pybpftool.insn.code import Insn, encode
from pybpftool.insn.text import Names, texts

Shown = Callable[[Sequence[Insn], Names], dict[int, str]]


@pytest.fixture
def shown() -> Shown:
    """The text of each instruction by its slot, from instructions and the names in calls."""
    return lambda insns, names: dict(texts(encode(insns), names))
