"""What a terminal shows."""

from __future__ import annotations

import io

from rich.console import Console

from pybpftool.output.live import _grid

COLUMNS = [("ID", True), ("NAME", False), ("RUNS", True)]


def drawn(rows: list[list[str]], width: int = 40, height: int = 20, caption: str = "two") -> str:
    out = io.StringIO()
    console = Console(file=out, width=width, height=height, force_terminal=False)
    console.print(_grid((caption, COLUMNS, rows), height))
    return out.getvalue()


def test_texts_give_way_to_numbers() -> None:
    rows = [["1000000", "a_name_that_is_long", "123456789"]]
    assert rows[0][1] in drawn(rows)
    lines = drawn(rows, 26).splitlines()
    assert lines[-1].split() == ["1000000", "a_name_…", "123456789"]


def test_no_more_rows_than_lines() -> None:
    lines = drawn([[str(number), "x", "0"] for number in range(100)], height=10).splitlines()
    assert len(lines) == 10
    assert "6" in lines[-1]


def test_names_are_no_orders_to_the_terminal() -> None:
    out = drawn([["1", "\x1b[2J\n[bold]\udcff", "2"]])
    assert "?[2J?[bold]?" in out
    assert "\x1b" not in out
