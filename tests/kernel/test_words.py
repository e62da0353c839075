"""The word tables: their length, their ends, and the way back."""

from __future__ import annotations

import pytest

from pybpftool.kernel import words


@pytest.mark.parametrize(
    ("table", "length", "first", "last"),
    [
        (words.PROG_TYPES, 33, "unspec", "netfilter"),
        (words.MAP_TYPES, 36, "unspec", "rhash"),
        (words.ATTACH_TYPES, 62, "cgroup_inet_ingress", "trace_fsession_multi"),
        (words.LINK_TYPES, 16, "unspec", "tracing_multi"),
        (words.HELPERS, 212, "unspec", "cgrp_storage_delete"),
    ],
)
def test_tables_are_whole(table: list[str], length: int, first: str, last: str) -> None:
    assert (len(table), table[0], table[-1]) == (length, first, last)
    assert len(set(table)) == length
    assert [words.number(table, word) for word in table] == list(range(length))


def test_numbers_outside_a_table_have_no_word() -> None:
    for look_up in (
        words.prog_type_word,
        words.map_type_word,
        words.attach_type_word,
        words.link_type_word,
        words.helper_word,
    ):
        assert look_up(-1) is None
        assert look_up(9999) is None


def test_some_numbers_that_everyone_knows() -> None:
    assert words.prog_type_word(6) == "xdp"
    assert words.map_type_word(27) == "ringbuf"
    assert words.attach_type_word(37) == "xdp"
    assert words.link_type_word(3) == "cgroup"
    assert words.helper_word(0) == "bpf_unspec"
    assert words.helper_word(25) == "bpf_perf_event_output"
    assert words.number(words.MAP_TYPES, "has") is None
