"""The tables of questions, held against the words of the tool and the layouts of the kernel."""

from __future__ import annotations

import re

import pytest

from pybpftool.kernel import words
from pybpftool.kernel.syscall import lib, new_attr
from pybpftool.probe import tables
from pybpftool.probe.run import numbers
from tests.support.tape import Tape, new_fd

TYPES = [
    (tables.PROG_TYPES, words.PROG_TYPES[1:]),
    (tables.MAP_TYPES, words.MAP_TYPES[1:]),
    (tables.LINK_TYPES, words.LINK_TYPES[1:]),
    (tables.ATTACH_TYPES, words.ATTACH_TYPES),
]
ROWS = [
    pytest.param(row, id=f"{kind}-{word}")
    for kind, table in (
        ("prog", tables.PROG_TYPES),
        ("map", tables.MAP_TYPES),
        ("link", tables.LINK_TYPES),
        ("attach", tables.ATTACH_TYPES),
    )
    for word, row in table.items()
]


@pytest.mark.parametrize(("table", "known"), TYPES, ids=["prog", "map", "link", "attach"])
def test_every_word_has_a_row_in_its_place(
    table: dict[str, tables.Ask | tables.Hook], known: list[str]
) -> None:
    missing = set(known) ^ set(table)
    assert not missing
    if table is not tables.LINK_TYPES and table is not tables.ATTACH_TYPES:
        assert list(table) == known  # the order in which results are printed


@pytest.mark.parametrize("row", ROWS)
def test_columns_that_only_tests_read(row: tables.Ask | tables.Hook) -> None:
    assert re.fullmatch(r"\d+\.\d+", row.since)
    assert re.fullmatch(r"(CONFIG_[A-Z0-9_]+)?", row.config)


@pytest.mark.parametrize("word", tables.PROG_TYPES)
def test_fields_of_programs_are_those_of_the_arm(word: str) -> None:
    ask = tables.PROG_TYPES[word]
    for each in (ask, *ask.instead):
        new_attr(lib.BPF_PROG_LOAD, **numbers(each.fields))
        assert not each.says or each.errno, "a reason in the log of a program that loads?"


@pytest.mark.parametrize("word", tables.MAP_TYPES)
def test_fields_of_maps_are_those_of_the_arm(word: str) -> None:
    held: list[object] = []
    with Tape(BTF_LOAD=lambda arm: new_fd(), MAP_CREATE=lambda arm: new_fd()):
        found = numbers(tables.MAP_TYPES[word].fields, held)  # type: ignore[arg-type]  # Fds
    new_attr(lib.BPF_MAP_CREATE, **found)
    for fd in held:
        fd.close()  # type: ignore[attr-defined]  # an Fd


def test_struct_ops_maps_are_asked_for_in_words_that_old_kernels_know() -> None:
    """ "struct-ops-maps": a field that came later would be E2BIG or EINVAL to them."""
    assert tables.MAP_TYPES["struct_ops"].fields == {"btf_vmlinux_value_type_id": 1}


def test_targets_are_for_what_needs_one() -> None:
    assert set(tables.TARGETS) | {"ext"} == set(tables.BY_BTF)


def test_noisy_helpers_are_known_by_these_names() -> None:
    assert set(tables.NOISY) <= set(words.HELPERS)


def test_misc_programs_end() -> None:
    for since, title, runs in tables.MISC.values():
        assert since and title and runs[-1][1] == 0x95
        assert all(count > 0 for count, *_ in runs)


def test_given_words_are_all_there_are() -> None:
    """A word for a number that the runner does not know would be a descriptor."""
    said = {
        value
        for table in (tables.PROG_TYPES, tables.MAP_TYPES)
        for ask in table.values()
        for name, value in ask.fields.items()
        if isinstance(value, str) and name != "expected_attach_type"
    }
    assert said == {"kernel version", "page size", "inner map", "storage BTF"}
