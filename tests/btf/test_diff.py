"""What differs between two BTFs: each kind of change, both ways, and nothing where nothing does."""

from __future__ import annotations

import json
import random
import time
import tracemalloc
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pybpftool.btf.diff import diff, plain
from pybpftool.btf.reader import read_btf
from pybpftool.btf.spec import Btf
from pybpftool.btf.writer import BtfWriter
from pybpftool.errors import BadData
from tests.btf.test_merge import blueprints, build
from tests.btf.test_reader import zoo
from tests.support.btf_builder import BtfBuilder

VMLINUX = Path("/sys/kernel/btf/vmlinux")
B = BtfBuilder


def made(make: Callable[[B], object]) -> Btf:
    b = BtfBuilder()
    b.int("int", 4, signed=True)  # 1
    b.int("long", 8, signed=True)  # 2
    make(b)
    return read_btf(b.blob())


def differences(a: Btf, b: Btf) -> list[dict[str, Any]]:
    records = list(diff(a, b))
    assert json.loads(json.dumps(records)) == records
    return records


def turned(thing: Any) -> Any:
    """A record as it would be the other way round, without the order inside."""
    if isinstance(thing, dict):
        if thing.keys() == {"old", "new"}:
            return {"new": thing["old"], "old": thing["new"]}
        found = {key: turned(value) for key, value in thing.items()}
        if "change" in found:
            swapped = {"added": "removed", "removed": "added"}
            found["change"] = swapped.get(found["change"], "changed")
        return found
    return unordered(turned(item) for item in thing) if isinstance(thing, list) else thing


def unordered(things: Any) -> list[Any]:
    return sorted(things, key=lambda thing: json.dumps(thing, sort_keys=True))


def straight(thing: Any) -> Any:
    return turned(turned(thing))


def function(b: B, result: int, *params: tuple[str, int]) -> int:
    return b.func("f", b.func_proto(result, params))


def nameless(b: B, *members: tuple[str, int, int]) -> int:
    return b.struct("", 16, members)


CASES: list[tuple[str, Callable[[B], object], Callable[[B], object], str]] = [
    # what it is, before, after, and how it is told
    (
        "struct: size, added and moved members",
        lambda b: b.struct("s", 8, [("a", 1, 0), ("b", 1, 32)]),
        lambda b: b.struct("s", 16, [("a", 1, 0), ("new", 2, 64), ("b", 1, 32 + 96)]),
        """\
struct s: size 8 -> 16
    + new: long at 8, size 8
    ! b: offset 4 -> 16
""",
    ),
    (
        "struct: a member is gone, one of another type",
        lambda b: b.struct("s", 24, [("a", 1, 0), ("b", 1, 32), ("c", b.ptr(1), 64)]),
        lambda b: b.struct("s", 24, [("a", 2, 0), ("c", b.ptr(b.const(1)), 64)]),
        """\
struct s:
    ! a: size 4 -> 8, int -> long
    - b: int at 4, size 4
    ! c: int * -> const int *
""",
    ),
    (
        "members that move alike are told of together",
        lambda b: b.struct("s", 20, [(f"m{n}", 1, 32 * n) for n in range(5)]),
        lambda b: b.struct("s", 24, [(f"m{n}", 1, 32 * (n + (n > 0))) for n in range(5)]),
        """\
struct s: size 20 -> 24
    ! 4 from m1 to m4: offset +4
""",
    ),
    (
        "two move alike",
        lambda b: b.struct("s", 20, [(f"m{n}", 1, 64 + 32 * n) for n in range(2)]),
        lambda b: b.struct("s", 20, [(f"m{n}", 1, 32 * n) for n in range(2)]),
        """\
struct s:
    ! m0: offset 8 -> 0
    ! m1: offset 12 -> 4
""",
    ),
    (
        "bit-fields",
        lambda b: b.struct("s", 4, [("a", 1, 0, 3), ("b", 1, 3, 5), ("c", 1, 8, 8)]),
        lambda b: b.struct("s", 4, [("a", 1, 0, 4), ("b", 1, 4, 5), ("d", 1, 11, 2)]),
        """\
struct s:
    ! a: bits 3 -> 4
    ! b: offset 0:3 -> 0:4
    + d: int:2 at 1:3
    - c: int:8 at 1:0
""",
    ),
    (
        "members of nameless members",
        lambda b: b.struct("s", 24, [("in", nameless(b, ("x", 1, 0)), 64)]),
        lambda b: b.struct(
            "s", 24, [("in", nameless(b, ("x", 1, 32), ("", nameless(b, ("y", 2, 64)), 0)), 64)]
        ),
        """\
struct s:
    ! in.x: offset 8 -> 12
    + in.y: long at 16, size 8
""",
    ),
    (
        "inside a nameless type that is pointed to",
        lambda b: b.struct("s", 8, [("p", b.ptr(nameless(b, ("x", 1, 0))), 0)]),
        lambda b: b.struct("s", 8, [("p", b.ptr(nameless(b, ("y", 1, 0))), 0)]),
        """\
struct s:
    ! p: struct { int x; } * -> struct { int y; } *
""",
    ),
    (
        "members of the same name are paired in order",
        lambda b: b.struct("s", 8, [("", 1, 0), ("", 1, 32)]),
        lambda b: b.struct("s", 8, [("", 1, 0), ("", 2, 32)]),
        """\
struct s:
    ! : size 4 -> 8, int -> long
""",
    ),
    (
        "what a member refers to by name is told where the name is",
        lambda b: b.struct("s", 8, [("p", b.ptr(b.struct("t", 4, [("a", 1, 0)])), 0)]),
        lambda b: b.struct("s", 8, [("p", b.ptr(b.struct("t", 8, [("a", 2, 0)])), 0)]),
        """\
struct t: size 4 -> 8
    ! a: size 4 -> 8, int -> long
""",
    ),
    (
        "union",
        lambda b: b.union("u", 4, [("a", 1, 0)]),
        lambda b: b.union("u", 8, [("a", 1, 0), ("b", 2, 0)]),
        "union u: size 4 -> 8\n    + b: long at 0, size 8\n",
    ),
    (
        "struct that became a union",
        lambda b: b.struct("s", 4, []),
        lambda b: b.union("s", 4, []),
        "struct s: removed, size 4\nunion s: added, size 4\n",
    ),
    (
        "enum",
        lambda b: b.enum("e", [("A", 0), ("B", 1), ("C", 2)]),
        lambda b: b.enum("e", [("A", 0), ("B", 2), ("D", 3)], signed=True),
        """\
enum e: unsigned -> signed
    ! B = 1 -> 2
    + D = 3
    - C = 2
""",
    ),
    (
        "enum of another size",
        lambda b: b.enum("e", [("A", 1)]),
        lambda b: b.enum64("e", [("A", 1)]),
        "enum e: size 4 -> 8\n",
    ),
    (
        "typedef",
        lambda b: b.typedef("t", 1),
        lambda b: b.typedef("t", b.ptr(2)),
        "typedef t: int -> long *\n",
    ),
    (
        "typedef of a nameless struct",
        lambda b: b.typedef("t", b.struct("", 4, [("counter", 1, 0)])),
        lambda b: b.typedef("t", b.struct("", 8, [("counter", 2, 0)])),
        "typedef t: size 4 -> 8\n    ! counter: size 4 -> 8, int -> long\n",
    ),
    (
        "typedef of a nameless enum",
        lambda b: b.typedef("t", b.enum("", [("A", 1)])),
        lambda b: b.typedef("t", b.enum("", [("A", 2)])),
        "typedef t:\n    ! A = 1 -> 2\n",
    ),
    (
        "typedef, no longer of a nameless struct",
        lambda b: b.typedef("t", b.struct("", 4, [("counter", 1, 0)])),
        lambda b: b.typedef("t", 1),
        "typedef t: struct { int counter; } -> int\n",
    ),
    (
        "function",
        lambda b: function(b, 1, ("a", 1)),
        lambda b: function(b, 2, ("a", 1), ("rest", 2)),
        "func f: int (int a) -> long (int a, long rest)\n",
    ),
    (
        "function: a parameter by another name",
        lambda b: function(b, 1, ("a", 1)),
        lambda b: function(b, 1, ("b", 1)),
        "func f: int (int a) -> int (int b)\n",
    ),
    (
        "function: linkage",
        lambda b: b.func("f", b.func_proto(0), linkage=0),
        lambda b: b.func("f", b.func_proto(0), linkage=1),
        "func f: linkage static -> global\n",
    ),
    (
        "function: too long for a line",
        lambda b: function(b, 1, *((f"parameter{n}", 1) for n in range(5))),
        lambda b: function(b, 2, *((f"parameter{n}", 1) for n in range(5))),
        """\
func f:
    - int (int parameter0, int parameter1, int parameter2, int parameter3, int parameter4)
    + long (int parameter0, int parameter1, int parameter2, int parameter3, int parameter4)
""",
    ),
    (
        "variable and section",
        lambda b: b.datasec(".data", 4, [(b.var("v", 1), 0, 4)]),
        lambda b: b.datasec(".data", 16, [(b.var("v", 2), 8, 8), (b.var("w", 1), 0, 4)]),
        """\
datasec .data: size 4 -> 16
    ! v: offset 0 -> 8, size 4 -> 8
    + w: int at 0, size 4
var v: int -> long
var w: added, int
""",
    ),
    (
        "declared, then defined",
        lambda b: (b.fwd("s"), b.fwd("u", union=True)),
        lambda b: (b.struct("s", 4, []), b.union("u", 8, [])),
        """\
struct s: declared -> defined, size 4
union u: declared -> defined, size 8
""",
    ),
    (
        "defined, then declared",
        lambda b: b.struct("s", 4, []),
        lambda b: b.fwd("s"),
        "struct s: defined -> declared\n",
    ),
    ("declaration", lambda b: None, lambda b: b.fwd("s"), "struct s: added, declared only\n"),
    (
        "declaration beside the definition",
        lambda b: b.struct("s", 4, []),
        lambda b: (b.fwd("s"), b.struct("s", 4, [])),
        "",
    ),
    (
        "numbers",
        lambda b: (b.int("n", 4), b.float("f", 4)),
        lambda b: (b.int("n", 8, signed=True), b.float("f", 8)),
        "float f: size 4 -> 8\nint n: size 4 -> 8, encoding 0 -> 1, bits 32 -> 64\n",
    ),
    (
        "of all kinds, new",
        lambda b: None,
        lambda b: (b.struct("s", 3, []), b.enum("e", []), b.typedef("t", 1), b.var("v", 2)),
        """\
enum e: added, size 4
struct s: added, size 3
typedef t: added, int
var v: added, long
""",
    ),
    (
        "several of a name: equals first, then in order",
        lambda b: [b.struct("s", size, []) for size in (1, 2, 3)],
        lambda b: [b.struct("s", size, []) for size in (3, 4, 1, 5)],
        "struct s: size 2 -> 4\nstruct s: added, size 5\n",
    ),
    (
        "ids do not matter",
        lambda b: b.struct("s", 8, [("p", b.ptr(b.typedef("t", 1)), 0)]),
        lambda b: (b.ptr(0), b.struct("s", 8, [("p", b.ptr(b.typedef("t", 1)), 0)])),
        "",
    ),
    (
        "nor do tags on declarations, nor nameless types that nothing refers to",
        lambda b: (b.struct("s", 4, []), b.decl_tag("tag", 3), b.enum("", [("A", 1)])),
        lambda b: b.struct("s", 4, []),
        "",
    ),
    (
        "type tags do",
        lambda b: b.var("v", b.ptr(b.type_tag("user", 1))),
        lambda b: b.var("v", b.ptr(b.type_tag("rcu", 1))),
        "var v: int __user * -> int __rcu *\n",
    ),
]


@pytest.mark.parametrize(
    ("what", "before", "after", "told"), CASES, ids=[case[0] for case in CASES]
)
def test_changes(
    what: str, before: Callable[[B], object], after: Callable[[B], object], told: str
) -> None:
    a, b = made(before), made(after)
    records = differences(a, b)
    assert "".join(map(plain, records)) == told
    back = differences(b, a)
    assert unordered(map(straight, back)) == unordered(map(turned, records))
    assert differences(a, a) == differences(b, b) == []


def test_records() -> None:
    before = made(lambda b: (b.struct("s", 8, [("a", 1, 0), ("b", 1, 32)]), b.typedef("t", 1)))
    after = made(lambda b: b.struct("s", 16, [("a", 2, 0), ("c", 1, 64)]))
    assert differences(before, after) == [
        {
            "change": "changed",
            "kind": "struct",
            "name": "s",
            "size": {"old": 8, "new": 16},
            "members": [
                {
                    "change": "changed",
                    "name": "a",
                    "size": {"old": 4, "new": 8},
                    "type": {"old": "int", "new": "long"},
                },
                {"change": "added", "name": "c", "type": "int", "bits_offset": 64, "size": 4},
                {"change": "removed", "name": "b", "type": "int", "bits_offset": 32, "size": 4},
            ],
        },
        {"change": "removed", "kind": "typedef", "name": "t", "type": "int"},
    ]


def test_every_kind_in_either_byte_order() -> None:
    assert differences(read_btf(zoo("little").blob()), read_btf(zoo("big").blob())) == []


def test_a_split_btf_is_compared_without_its_base() -> None:
    lower = zoo()
    base = read_btf(lower.blob())
    one, two = BtfBuilder(base=lower), BtfBuilder(base=lower)
    one.struct("own", 8, [("s", 4, 0)])
    two.ptr(0)
    two.struct("own", 8, [("s", 4, 0), ("p", two.ptr(4), 64)])
    records = differences(read_btf(one.blob(), base), read_btf(two.blob(), base))
    assert "".join(map(plain, records)) == "struct own:\n    + p: struct s * at 8, size 8\n"


# ------------------------------------------------------------------ bytes that lie


@pytest.mark.parametrize(
    "make",
    [
        lambda b: b.typedef("t", b.ptr(b.next_id)),
        lambda b: b.var("v", b.struct("", 4, [("me", b.next_id, 0)])),
        lambda b: b.struct("s", 4, [("a", 99, 0)]),
    ],
)
def test_broken_btf(make: Callable[[B], object]) -> None:
    with pytest.raises(BadData):
        differences(made(make), made(lambda b: None))


def test_nests_made_to_be_large() -> None:
    def nest(b: B, core: int) -> int:
        for _ in range(40):
            core = b.struct("", 8, [("a", core, 0), ("b", core, 0)])
        return b.struct("s", 8, [("in", core, 0)])

    started = time.process_time()
    a, b = made(lambda b: nest(b, 1)), made(lambda b: nest(b, 2))
    assert len(differences(a, b)) == 1
    assert time.process_time() - started < 20


def test_many_types_of_one_name() -> None:
    def many(first: int) -> Btf:
        return made(lambda b: [b.struct("s", first + n, []) for n in range(20_000)])

    started = time.process_time()
    assert len(differences(many(0), many(10_000))) == 10_000
    assert time.process_time() - started < 20


# ------------------------------------------------------------------ anything at all


def shuffled(btf: Btf, seed: int) -> Btf:
    """The same types in another order."""
    ids = list(range(1, btf.type_count))
    random.Random(seed).shuffle(ids)
    place = {0: 0, **{old: new for new, old in enumerate(ids, 1)}}
    writer = BtfWriter()
    for old in ids:
        found = deepcopy(btf.type(old))
        for thing in (found, *[item for key in ITEMS for item in getattr(found, key, [])]):
            for field in ("type_id", "index_type_id"):
                if hasattr(thing, field):
                    setattr(thing, field, place[getattr(thing, field)])
        writer.add(found)
    return read_btf(writer.blob())


ITEMS = ("members", "params", "vars")


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(blueprints(), blueprints(), st.integers())
def test_anything(
    one: list[tuple[str, str, list[int]]], two: list[tuple[str, str, list[int]]], seed: int
) -> None:
    a, b = (
        read_btf(build(BtfBuilder(), [("int", "int", [0]), *blueprint]).blob())
        for blueprint in (one, two)
    )
    assert differences(a, a) == []
    assert differences(a, shuffled(a, seed)) == []
    assert unordered(map(straight, differences(b, a))) == unordered(map(turned, differences(a, b)))
    for record in differences(a, b):
        assert plain(record).endswith("\n")


@pytest.mark.skipif(not VMLINUX.exists(), reason="the kernel shows no BTF")
def test_a_kernel_with_itself() -> None:
    blob = VMLINUX.read_bytes()
    a, b = read_btf(blob), read_btf(blob)
    assert a.type_count > 10_000
    started = time.process_time()
    assert list(diff(a, b)) == []
    assert time.process_time() - started < 10  # measured: 2 seconds


def test_memory_stays_in_proportion() -> None:
    b = BtfBuilder()
    b.int("int", 4, signed=True)
    for number in range(5000):
        b.struct(f"struct{number}", 32, [(f"member{n}", 1, 32 * n) for n in range(8)])
    blob = b.blob()
    a, other = read_btf(blob), read_btf(blob)
    tracemalloc.start()
    assert list(diff(a, other)) == []
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 20 * len(blob)
