"""What only a terminal sees: colour and progress."""

from __future__ import annotations

import io
import sys

import pytest

from pybpftool.output.paint import RED, painted
from pybpftool.output.progress import watched


def test_colour(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert painted("gone", RED) == "\x1b[31mgone\x1b[m"
    monkeypatch.setenv("NO_COLOR", "1")
    assert painted("gone", RED) == "gone"


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
