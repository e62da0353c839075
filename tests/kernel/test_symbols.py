"""The kernel's symbols: looked up by address, hidden, absent, and read only when asked for."""

from __future__ import annotations

from pathlib import Path

import pytest

from pybpftool.kernel.symbols import Symbols

KALLSYMS = """\
0000000000000000 A fixed_percpu_data
ffffffff81000000 T _text
ffffffff81000000 T _stext
ffffffff814cc810 T __bpf_call_base
ffffffff814cc8a0 t bpf_loop_helper
ffffffffc0201000 t ftrace_trampoline\t[__builtin__ftrace]
ffffffffc0201800 t bpf_prog_6deef7357e7b4530_sub\t[bpf]
ffffffffc0201900 t
"""


@pytest.fixture
def kallsyms(tmp_path: Path) -> Path:
    path = tmp_path / "kallsyms"
    path.write_text(KALLSYMS)
    return path


@pytest.mark.parametrize(
    ("address", "name"),
    [
        (0xFFFFFFFF814CC8A0, "bpf_loop_helper"),
        (0xFFFFFFFF81000000, "_text"),
        (0xFFFFFFFFC0201000, "ftrace_trampoline"),
        (0xFFFFFFFFC0201800, "bpf_prog_6deef7357e7b4530_sub"),
        (0xFFFFFFFF814CC8A1, None),
        (0xFFFFFFFFC0201900, None),
        (0, None),
    ],
)
def test_names(kallsyms: Path, address: int, name: str | None) -> None:
    symbols = Symbols(str(kallsyms))
    assert symbols.name(address) == name
    assert symbols.call_base() == 0xFFFFFFFF814CC810


def test_it_is_read_once_and_not_before_it_is_asked(kallsyms: Path) -> None:
    symbols = Symbols(str(kallsyms))
    kallsyms.write_text(KALLSYMS.replace("bpf_loop_helper", "another"))
    assert symbols.name(0xFFFFFFFF814CC8A0) == "another"
    kallsyms.unlink()
    assert symbols.name(0xFFFFFFFF81000000) == "_text"


@pytest.mark.parametrize(
    "text",
    [
        "0000000000000000 T _text\n0000000000000000 T __bpf_call_base\n",
        "ffffffff81000000 T _text\n",
        "",
        "nonsense",
    ],
    ids=["hidden", "no call base", "empty", "nonsense"],
)
def test_what_is_hidden_is_as_good_as_absent(kallsyms: Path, text: str) -> None:
    kallsyms.write_text(text)
    symbols = Symbols(str(kallsyms))
    assert symbols.call_base() == 0
    assert symbols.name(0xFFFFFFFF81000000) is None
    assert symbols.name(0) is None


def test_a_kernel_without_symbols(tmp_path: Path) -> None:
    symbols = Symbols(str(tmp_path / "none"))
    assert (symbols.call_base(), symbols.name(1)) == (0, None)
