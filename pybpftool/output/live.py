"""What only a terminal shows: a table that is kept up to date.  Drawn by rich."""

from __future__ import annotations

import os
import sys

from ..signals import Stopping

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from rich.table import Table as Grid

    from ..command import Live, Table

_LINES = 3
"""Lines of the screen that hold no row: the caption, the heads and the rule below them."""


def watch(live: Live) -> None:
    """Show the records as they come, until they end, ``q`` is typed or a signal comes.

    Any other letter is given to ``live.press``.  The terminal is left as it was found.
    """
    from rich.console import Console
    from rich.live import Live as Screen

    console = Console(file=sys.stdout, highlight=False, no_color=True)
    keyboard = sys.stdin.fileno()
    last: list[Any] = []

    with (
        Stopping() as stopping,
        _Keys(keyboard),
        Screen(console=console, screen=True, auto_refresh=False) as screen,
    ):

        def draw() -> None:
            for record in last:
                screen.update(_grid(live.table(record), console.height), refresh=True)

        def wait(seconds: float) -> bool:
            import time

            end = time.monotonic() + seconds
            while stopping.wait(max(0.0, end - time.monotonic()), keyboard):
                key = os.read(keyboard, 1)
                if key in (b"q", b""):
                    return False
                live.press(key.decode("latin-1"))
                draw()
            return not stopping.stopped

        screen.update("waiting for the first reading (q: quit)", refresh=True)
        for record in live.watch(wait):
            last[:] = [record]
            draw()


def _grid(table: Table, height: int) -> Grid:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table as Grid
    from rich.text import Text

    caption, columns, rows = table

    def one_line(text: str, style: str = "") -> Text:
        return Text(_harmless(text), style, no_wrap=True, overflow="ellipsis")

    grid = Grid(
        box=SIMPLE_HEAD,
        padding=0,
        show_edge=False,
        title=one_line(f"{caption} (q: quit)", "bold"),
        title_justify="left",
    )
    for head, right in columns:
        # where it is too narrow for all, what counts as wrapping gives way: the texts
        grid.add_column(head, justify="right" if right else "left", no_wrap=right)
    for row in rows[: max(0, height - _LINES)]:
        grid.add_row(*(one_line(text) for text in row))
    return grid


def _harmless(text: str) -> str:
    """A text without what a terminal would obey: the names of processes may hold anything."""
    return "".join(letter if letter.isprintable() else "?" for letter in text)


class _Keys:
    """Inside the ``with`` block single keys can be read, and none is shown.

    Ctrl-Z is off: it would leave the shell with a screen that is not its own.
    """

    def __init__(self, terminal: int) -> None:
        self._terminal = terminal

    def __enter__(self) -> None:
        import termios

        self._before = termios.tcgetattr(self._terminal)
        mode = termios.tcgetattr(self._terminal)
        mode[3] &= ~(termios.ICANON | termios.ECHO)
        mode[6][termios.VSUSP] = b"\0"
        termios.tcsetattr(self._terminal, termios.TCSADRAIN, mode)

    def __exit__(self, *raised: object) -> None:
        import termios

        termios.tcsetattr(self._terminal, termios.TCSADRAIN, self._before)
