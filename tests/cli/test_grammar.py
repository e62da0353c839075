"""Usage lines as a grammar, and every row of every object held against it."""

from __future__ import annotations

import inspect

import pytest

from pybpftool.cli.grammar import names, opening, parse, second, shape
from pybpftool.cli.main import load
from pybpftool.command import Command
from pybpftool.objects import OBJECTS

ROWS = [
    pytest.param(row, id=f"{name} {names(row.usage)[0]}")
    for name in OBJECTS
    for row in load(name).commands
]


def test_names_of_a_choice_come_in_order() -> None:
    assert names("{ show | list }   [MAP]") == ["show", "list"]
    assert names("dump MAP") == ["dump"]


def test_head_ends_at_the_first_keyword() -> None:
    head, clauses = shape("create FILE type TYPE \\\n   [flags FLAGS] [inner_map MAP]")
    assert head == ["FILE"]
    assert [(c.keywords, c.places, c.optional) for c in clauses] == [
        (["type"], ["TYPE"], False),
        (["flags"], ["FLAGS"], True),
        (["inner_map"], ["MAP"], True),
    ]


def test_brackets_with_two_keywords_make_two_clauses() -> None:
    _, clauses = shape("event_pipe MAP [cpu N index M]")
    assert [clause.param for clause in clauses] == ["cpu", "index"]


@pytest.mark.parametrize(
    ("usage", "word"),
    [
        ("dump xlated PROG [opcodes]", "xlated"),
        ("dump MAP", ""),
        ("help", ""),
        ("{ show | list } [id BTF_ID]", ""),
        ("delete MAP key DATA", ""),
    ],
)
def test_second_word_of_a_command(usage: str, word: str) -> None:
    assert second(usage) == word
    assert word not in [keyword for clause in shape(usage)[1] for keyword in clause.keywords]


def test_ways_of_a_choice_become_clauses_side_by_side() -> None:
    head, clauses = shape("dump xlated PROG [{ file FILE | [opcodes] [linum] }]")
    assert head == ["PROG"]
    assert [(c.keywords, c.places, c.optional) for c in clauses] == [
        (["file"], ["FILE"], True),
        (["opcodes"], [], True),
        (["linum"], [], True),
    ]


def test_hidden_clauses_come_last() -> None:
    _, clauses = shape("peek MAP", "[key DATA]")
    assert [clause.param for clause in clauses] == ["key"]


@pytest.mark.parametrize(
    ("definition", "words"),
    [
        ("{ any | exist | noexist }", ["any", "exist", "noexist"]),
        ("{ id MAP_ID | pinned FILE | name MAP_NAME }", ["id", "pinned", "name"]),
        ("{ [hex] BYTES }", []),
        ("{ DATA | MAP | PROG }", []),
    ],
)
def test_opening_words_of_a_definition(definition: str, words: list[str]) -> None:
    assert opening(definition) == words


@pytest.mark.parametrize("usage", ["show [MAP", "show { a | b", "show ] MAP", "a } b", "{ a | ]"])
def test_unpaired_brackets_are_a_mistake_in_the_tool(usage: str) -> None:
    with pytest.raises(ValueError, match="usage line"):
        parse(usage)


@pytest.mark.parametrize("row", ROWS)
def test_function_takes_what_the_row_gives(row: Command) -> None:
    """Parameters of the function are the places and keywords of the line, and no others."""
    if row.run is None:
        assert names(row.usage) == ["help"]
        return
    head, clauses = shape(row.usage, row.hidden)
    given = {name.lower() for name in head} | {clause.param for clause in clauses}
    parameters = dict(inspect.signature(row.run).parameters)
    assert next(iter(parameters)) == "options"
    del parameters["options"]
    assert given <= set(parameters)
    for name, parameter in parameters.items():
        assert name in given or parameter.default is not parameter.empty, name


@pytest.mark.parametrize("row", ROWS)
def test_every_place_of_a_row_has_its_reader(row: Command) -> None:
    if row.run is None:
        return
    head, clauses = shape(row.usage, row.hidden)
    known = {place.name for place in row.places}
    for name in head:
        assert name in known
    for clause in clauses:
        for name in clause.places:
            assert name in known or f"{clause.param} {name}" in known
    for place in row.places:
        for function in (place.read, place.absent or place.read):
            assert callable(inspect.unwrap(function))


@pytest.mark.parametrize("row", ROWS)
def test_every_function_has_a_paragraph_for_the_manual(row: Command) -> None:
    if row.run is not None:
        assert inspect.getdoc(inspect.unwrap(row.run))


def test_escape_hatches_stay_few() -> None:
    """Columns beside the usage line are for what the notation cannot say."""
    rows = [row for name in OBJECTS for row in load(name).commands]
    hidden = [row for row in rows if row.hidden]
    odd = [row for row in rows if callable(row.extra)]
    assert len(hidden) <= len(rows) / 4
    assert len(odd) <= len(rows) * 0.6
