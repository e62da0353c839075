"""Words to rows and values, where the usage line alone does not say which row is meant."""

from __future__ import annotations

import pytest

from pybpftool.cli.bind import bind, pick
from pybpftool.cli.main import load
from pybpftool.command import Call, Command, One, Options, Place, Words
from pybpftool.errors import PybpftoolError
from tests.support.run import pybpftool


def _run(options: Options, **values: object) -> One:
    return One(None)


WHERE = Place("WHERE", lambda words, call: words.take(), definition="{ kernel | dev NAME }")
WHAT = Place("WHAT", lambda words, call: words.take(), definition="{ prog_type T | kfunc N }")
ROWS = (
    Command(
        "probe [WHERE] [full] [prefix TEXT]",
        _run,
        (WHERE, Place("TEXT", lambda words, call: words.take())),
    ),
    Command("probe WHAT [type TYPE]", _run, (WHAT,)),
    Command("drop", _run),
)


@pytest.mark.parametrize(
    ("line", "row"),
    [
        ("", 0),
        ("probe", 0),
        ("p", 0),
        ("probe kernel", 0),
        ("probe k", 0),  # the first that takes the word
        ("probe kf", 1),
        ("probe kfunc", 1),
        ("probe p", 0),
        ("probe prog_type", 1),
        ("probe full", 0),
        ("probe nonsense", 0),  # the first answers for all
        ("drop", 2),
        ("drop kfunc", 2),
    ],
)
def test_rows_that_share_a_command(line: str, row: int) -> None:
    words = Words(line.split())
    assert pick(ROWS, words) is ROWS[row]
    assert len(words) == max(0, len(line.split()) - 1)


def test_no_row() -> None:
    words = Words(["nonsense"])
    assert pick(ROWS, words) is None
    assert words.next == "nonsense"


def test_a_place_named_for_a_keyword_judges_it() -> None:
    def once(words: Words, call: Call) -> bool:
        if "quick" in call.bound:
            raise PybpftoolError(f"{words.last} again")
        return True

    row = Command("show [quick] [slow]", _run, (Place("quick", once),))
    assert bind(row, Words(["q", "slow", "slow"]), Options()) == {"quick": True, "slow": True}
    with pytest.raises(PybpftoolError, match="qui again"):
        bind(row, Words(["quick", "qui"]), Options())


def test_every_row_of_a_shared_command_can_be_reached() -> None:
    rows = load("feature").commands
    for line, function in (
        ("probe", "probe"),
        ("probe unprivileged", "probe"),
        ("probe helper", "probe_feature"),
        ("probe attach_type", "probe_feature"),
        ("probe attach_types", "probe_section"),
        ("probe kfuncs", "probe_section"),
    ):
        row = pick(rows, Words(line.split()))
        assert row and row.run and row.run.__name__ == function


def test_help_without_options_of_its_own() -> None:
    ended = pybpftool("perf", "help")
    assert ended.err.endswith("    OPTIONS := { {-j|--json} [{-p|--pretty}] | {-d|--debug} }\n")
