"""Prototypes on one line, as bpftool writes them (spec 2.5)."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from pybpftool.btf.proto import prototype
from pybpftool.btf.reader import read_btf
from tests.support.btf_builder import BtfBuilder

Build = Callable[[BtfBuilder], int]
"""Adds types and gives the id of the function."""


def takes(*params: tuple[str, Build], result: Build = lambda b: 0) -> Build:
    def build(b: BtfBuilder) -> int:
        types = [(name, make(b)) for name, make in params]
        return b.func("f", b.func_proto(result(b), types))

    return build


def number(b: BtfBuilder) -> int:
    return b.int("int", 4, signed=True)


CASES: dict[str, tuple[Build, str | None]] = {
    "nothing": (takes(), "void f()"),
    "numbers": (takes(("a", number), ("b", number), result=number), "int f(int a, int b)"),
    "pointers": (
        takes(
            ("ctx", lambda b: b.ptr(b.struct("__sk_buff", 0, []))),
            ("u", lambda b: b.ptr(b.ptr(b.union("some", 0, [])))),
        ),
        "void f(struct __sk_buff * ctx, union some * * u)",
    ),
    "qualified": (
        takes(
            ("s", lambda b: b.ptr(b.const(b.char()))),
            ("v", lambda b: b.volatile(number(b))),
            ("r", lambda b: b.restrict(b.ptr(0))),
        ),
        "void f(const char * s, volatile int v, restrict void * r)",
    ),
    "enums": (
        takes(("a", lambda b: b.enum("e", [])), ("b", lambda b: b.enum64("g", []))),
        "void f(enum e a, enum g b)",
    ),
    "declared": (
        takes(
            ("a", lambda b: b.ptr(b.fwd("s"))),
            ("b", lambda b: b.ptr(b.fwd("u", union=True))),
            ("c", lambda b: b.typedef("u32", number(b))),
            ("d", lambda b: b.float("double", 8)),
        ),
        "void f(struct s * a, union u * b, u32 c, double d)",
    ),
    "array": (takes(("a", lambda b: b.ptr(b.array(number(b), 3)))), "void f(int [3]* a)"),
    "unnamed": (
        takes(("", number), ("", lambda b: b.ptr(0)), ("", lambda b: b.array(number(b), 2))),
        "void f(int, void *, int [2])",
    ),
    "any number": (takes(("a", number), ("", lambda b: 0)), "void f(int a, ...)"),
    "callback": (
        takes(("cb", lambda b: b.ptr(b.func_proto(number(b), [("", number(b))])))),
        "void f(int (int)* cb)",
    ),
    "tagged": (takes(("a", lambda b: b.ptr(b.type_tag("user", number(b))))), None),
    "1023 bytes": (
        takes(("x" * (1023 - len("void f(int )")), number)),
        f"void f(int {'x' * (1023 - len('void f(int )'))})",
    ),
    "1024 bytes": (takes(("x" * (1024 - len("void f(int )")), number)), None),
    "a variable": (lambda b: b.var("v", number(b)), None),
    "no prototype": (lambda b: b.func("f", number(b)), None),
    "no such type": (lambda b: 99, None),
    "dangling": (lambda b: b.func("f", b.func_proto(77)), None),
    "itself": (lambda b: b.func("f", b.func_proto(b.ptr(b.next_id))), None),
}


@pytest.mark.parametrize(("build", "text"), CASES.values(), ids=CASES)
def test_text(build: Build, text: str | None) -> None:
    b = BtfBuilder()
    id = build(b)
    assert prototype(read_btf(b.blob()), id) == text


def test_nested_without_end() -> None:
    """Each prototype takes the next one many times: there is an end to it."""
    b = BtfBuilder()
    for _ in range(40):
        b.func_proto(0, [("", b.next_id + 1)] * 100)
    b.int("int", 4)
    assert prototype(read_btf(b.blob()), 1) is None
