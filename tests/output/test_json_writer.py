"""Records as JSON text, in both layouts (spec 1.4)."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pybpftool.output.json_writer import dumps, quote

RECORDS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(st.characters(codec="utf-8")),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters(codec="utf-8")), inner),
    max_leaves=30,
)


@given(RECORDS, st.booleans(), st.integers(0, 5))
def test_always_valid(record: Any, pretty: bool, depth: int) -> None:
    assert json.loads(dumps(record, pretty=pretty, depth=depth)) == record


@given(RECORDS)
def test_layouts_differ_only_in_blanks(record: Any) -> None:
    assert json.loads(dumps(record, pretty=True)) == json.loads(dumps(record))


def test_compact_has_no_blanks() -> None:
    record = {"id": 1, "ids": [2, 3], "none": None, "yes": True, "no": False, "o": {}, "a": []}
    expected = '{"id":1,"ids":[2,3],"none":null,"yes":true,"no":false,"o":{},"a":[]}'
    assert dumps(record) == expected


def test_pretty_breaks_before_keys_and_closing_brackets_only() -> None:
    records = [{"id": 1, "map_ids": [26, 27], "pinned": []}, {"id": 2}]
    assert dumps(records, pretty=True) == (
        "[{\n"
        '        "id": 1,\n'
        '        "map_ids": [26,27\n'
        "        ],\n"
        '        "pinned": []\n'
        "    },{\n"
        '        "id": 2\n'
        "    }\n"
        "]"
    )


def test_depth_moves_the_whole() -> None:
    assert dumps({"a": [1]}, pretty=True, depth=1) == ('{\n        "a": [1\n        ]\n    }')


@pytest.mark.parametrize(
    ("text", "quoted"),
    [
        ("plain", '"plain"'),
        ('\t\n\r\f\b\\"', r'"\t\n\r\f\b\\\""'),
        ("\x01\x1f", r'"\u0001\u001f"'),
        ("grün", '"grün"'),
        ("\udcff", '"\udcff"'),
        ("\x7f", '"\x7f"'),
        ("/", '"/"'),
    ],
)
def test_quote(text: str, quoted: str) -> None:
    assert quote(text) == quoted


@pytest.mark.parametrize(
    ("value", "text"),
    [(1.5, "1.5"), (1e300, "1e+300"), (float("inf"), '"inf"'), (float("nan"), '"nan"')],
)
def test_floats_are_json_whatever_they_are(value: float, text: str) -> None:
    assert dumps({"f": value}) == f'{{"f":{text}}}'
