"""strtoul(3) in Python, held against the C library's own."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pybpftool.number import strtoul, strtoul32


def by_c(word: str, base: int) -> int | None:
    """What C makes of the whole word."""
    from cffi import FFI

    c = FFI()
    c.cdef("unsigned long strtoul(const char *, char **, int);")
    text = c.new("char[]", word.encode("latin-1"))
    end = c.new("char **")
    number = c.dlopen(None).strtoul(text, end, base)
    return None if end[0][0] != b"\0" else int(number)


@given(
    st.text(st.sampled_from("0123456789abcdefxX+- \t_\n"), max_size=24),
    st.sampled_from([0, 16]),
)
@example("18446744073709551615", 0)
@example("18446744073709551616", 0)
@example("-18446744073709551615", 0)
@example("-18446744073709551616", 0)
@example("0x", 0)
@example("08", 0)
@example("", 16)
@example("0" * 90 + "7", 0)
@example("9" * 90, 0)
def test_like_c(word: str, base: int) -> None:
    assert strtoul(word, base) == by_c(word, base)


@pytest.mark.parametrize(
    ("word", "number"),
    [("", 0), ("4294967297", 1), ("-1", 0xFFFFFFFF), ("0x10", 16), ("010", 8), ("4x", None)],
)
def test_cut_to_32_bits(word: str, number: int | None) -> None:
    assert strtoul32(word) == number


def test_digits_of_other_scripts_are_none() -> None:
    assert strtoul("\u0661") is None


def test_a_very_long_word_takes_no_time() -> None:
    assert strtoul("1" * 1_000_000) == (1 << 64) - 1
    assert strtoul("0" * 1_000_000) == 0
