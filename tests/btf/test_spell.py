"""Types as one line of C."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from pybpftool.btf.reader import read_btf
from pybpftool.btf.spell import spell
from pybpftool.errors import BadData
from tests.support.btf_builder import BtfBuilder

B = BtfBuilder


def int_(b: B) -> int:
    return b.int("int", 4, signed=True)


def function(b: B) -> int:
    i = int_(b)
    file = b.ptr(b.const(b.fwd("file")))
    return b.func_proto(i, [("f", file), ("", i), ("", 0)])


CASES: list[tuple[str, Callable[[B], int], str, str]] = [
    # what it is, the type, without a name, as that of x
    ("void", lambda b: 0, "void", "void x"),
    ("int", int_, "int", "int x"),
    ("float", lambda b: b.float("double", 8), "double", "double x"),
    ("struct", lambda b: b.struct("s", 0, []), "struct s", "struct s x"),
    ("union, declared", lambda b: b.fwd("u", union=True), "union u", "union u x"),
    ("enum", lambda b: b.enum64("e", []), "enum e", "enum e x"),
    ("typedef", lambda b: b.typedef("t", int_(b)), "t", "t x"),
    ("pointer", lambda b: b.ptr(b.ptr(int_(b))), "int **", "int **x"),
    ("pointer to const", lambda b: b.ptr(b.const(int_(b))), "const int *", "const int *x"),
    ("const pointer", lambda b: b.const(b.ptr(int_(b))), "int *const", "int *const x"),
    (
        "all qualifiers",
        lambda b: b.volatile(b.restrict(b.ptr(b.const(b.volatile(0))))),
        "const volatile void *volatile restrict",
        "const volatile void *volatile restrict x",
    ),
    (
        "tag",
        lambda b: b.ptr(b.type_tag("user", b.const(0))),
        "const void __user *",
        "const void __user *x",
    ),
    ("array", lambda b: b.array(b.array(int_(b), 3), 2), "int [2][3]", "int x[2][3]"),
    ("const array", lambda b: b.const(b.array(b.ptr(0), 2)), "void *const [2]", "void *const x[2]"),
    ("pointer to array", lambda b: b.ptr(b.array(int_(b), 3)), "int (*)[3]", "int (*x)[3]"),
    ("array of pointers", lambda b: b.array(b.ptr(int_(b)), 3), "int *[3]", "int *x[3]"),
    (
        "function",
        function,
        "int (const struct file *f, int, ...)",
        "int x(const struct file *f, int, ...)",
    ),
    ("no parameters", lambda b: b.ptr(b.func_proto(0)), "void (*)(void)", "void (*x)(void)"),
    (
        "array of const pointers to functions",
        lambda b: b.array(b.const(b.ptr(b.func_proto(0))), 2),
        "void (*const [2])(void)",
        "void (*const x[2])(void)",
    ),
    ("FUNC", lambda b: b.func("f", b.func_proto(int_(b))), "int (void)", "int x(void)"),
    ("VAR", lambda b: b.var("v", b.ptr(int_(b))), "int *", "int *x"),
    (
        "nameless struct",
        lambda b: b.ptr(b.struct("", 8, [("a", int_(b), 0), ("b", b.ptr(1), 32)])),
        "struct { int a; int *b; } *",
        "struct { int a; int *b; } *x",
    ),
    (
        "nameless enum",
        lambda b: b.enum("", [("A", 0), ("B", 5)]),
        "enum { A = 0, B = 5 }",
        "enum { A = 0, B = 5 } x",
    ),
]


@pytest.mark.parametrize(("what", "make", "alone", "named"), CASES, ids=[c[0] for c in CASES])
def test_spell(what: str, make: Callable[[B], int], alone: str, named: str) -> None:
    b = BtfBuilder()
    number = make(b)
    btf = read_btf(b.blob())
    assert spell(btf, number) == alone
    assert spell(btf, number, "x") == named


def test_what_would_never_end_is_cut() -> None:
    b = BtfBuilder()
    loop = b.ptr(1)
    wide = b.func_proto(0, [(f"p{n}", loop) for n in range(1000)])
    nest = b.struct("", 0, [("a", 3, 0), ("b", 3, 0)])
    rows = b.array(4, 1)
    btf = read_btf(b.blob())
    started = time.process_time()
    for number in (loop, wide, nest, rows):
        text = spell(btf, number, "x")
        assert "..." in text
        assert len(text) < 1000
    assert time.process_time() - started < 5


def test_no_such_type() -> None:
    b = BtfBuilder()
    b.ptr(9)
    with pytest.raises(BadData):
        spell(read_btf(b.blob()), 1)
