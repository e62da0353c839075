"""What only a terminal sees: colour and progress."""

from __future__ import annotations

import io
import sys

import pytest

from pybpftool.command import ALWAYS, AUTO, NEVER
from pybpftool.output.paint import RED, capable, paint
from pybpftool.output.progress import watched


@pytest.mark.parametrize(
    ("when", "no_color", "coloured"),
    [
        (AUTO, "", True),
        (AUTO, "1", False),
        (ALWAYS, "1", True),
        (NEVER, "", False),
    ],
)
def test_colour(when: str, no_color: str, coloured: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", no_color)
    assert paint(when)("gone", RED) == ("\x1b[31mgone\x1b[m" if coloured else "gone")


@pytest.mark.parametrize(("term", "able"), [("xterm", True), ("dumb", False), (None, False)])
def test_capable(term: str | None, able: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if term:
        monkeypatch.setenv("TERM", term)
    else:
        monkeypatch.delenv("TERM", raising=False)
    assert capable() is able


class Screen(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("total", [3, None])
@pytest.mark.parametrize("screen", [Screen, io.StringIO])
def test_progress(
    screen: type[io.StringIO], total: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TERM", "xterm")
    stderr = screen()
    monkeypatch.setattr(sys, "stderr", stderr)
    assert list(watched([1, 2, 3], "import", total, int)) == [1, 2, 3]
    assert ("import" in stderr.getvalue()) == stderr.isatty()
