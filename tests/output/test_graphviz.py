"""Pictures by Graphviz: drawn, refused, and not to be had."""

from __future__ import annotations

import shutil

import pytest

from pybpftool.errors import PybpftoolError
from pybpftool.output.graphviz import draw
from tests.support.need import need


def test_drawn() -> None:
    need(shutil.which("dot"), "needs dot, of Graphviz")
    picture = draw('digraph g { a [label="é"]; a -> b }')
    assert "<svg" in picture
    assert "é" in picture


def test_no_graph() -> None:
    need(shutil.which("dot"), "needs dot, of Graphviz")
    with pytest.raises(PybpftoolError, match=r"can't draw the graph: Error: .*syntax error"):
        draw("digraph {")


def test_no_dot(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(PybpftoolError, match="there is no dot") as refused:
        draw("digraph {}")
    assert refused.value.hint == "the package graphviz brings it along"
