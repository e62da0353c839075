"""Several BTFs as one: what is the same stands once, what is not stays apart."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pybpftool.btf import types
from pybpftool.btf.merge import merge
from pybpftool.btf.reader import read_btf
from pybpftool.btf.spec import Btf
from pybpftool.btf.spell import spell
from pybpftool.errors import BadData
from tests.support.btf_builder import BtfBuilder


class Setting:
    """A base, and files that continue it."""

    def __init__(self, fill: Callable[[BtfBuilder], object]) -> None:
        self.builder = BtfBuilder()
        fill(self.builder)
        self.base = read_btf(self.builder.blob())
        self.files: list[Btf] = []

    def file(self) -> BtfBuilder:
        return BtfBuilder(base=self.builder)

    def merged(self, *files: BtfBuilder) -> list[str]:
        """The types that are left, each as its id, kind, name and the ids it refers to."""
        self.files = [read_btf(file.blob(), self.base) for file in files]
        result = merge(self.base, self.files)
        result.check()
        return rows(result)


def rows(btf: Btf) -> list[str]:
    found = []
    for number in range(btf.own_start, btf.type_count):
        type = btf.type(number)
        at = btf.at[number]
        end = at + types.words_in(btf.words[at + 1])
        place = types.ID_WORDS.get(type.kind, slice(0))
        parts = btf.words[at:end].tolist()[place]
        found.append(" ".join(map(str, [number, types.KIND_NAMES[type.kind], type.name, *parts])))
    return found


def numbers(b: BtfBuilder) -> None:
    b.int("int", 4, signed=True)  # 1
    b.float("double", 8)  # 2


def test_what_the_base_has_is_not_repeated() -> None:
    def fill(b: BtfBuilder) -> None:
        numbers(b)
        ptr = b.ptr(b.next_id + 1)  # 3
        b.struct("s", 16, [("next", ptr, 0), ("n", 1, 64)])  # 4
        b.func_proto(1, [("s", ptr)])  # 5
        b.array(2, 3)  # 6
        b.enum("e", [("A", 1)])  # 7
        b.typedef("t", 4)  # 8
        b.type_tag("user", 1)  # 9
        b.func("f", 5)  # 10
        b.decl_tag("tag", 4, 1)  # 11
        b.const(8)  # 12

    setting = Setting(fill)
    again = setting.file()
    # the same once more, with the ids that they get there
    shifted = setting.builder.next_id - 1
    again.first_int = shifted + 1
    again.int("int", 4, signed=True)
    again.float("double", 8)
    ptr = again.ptr(shifted + 4)
    again.struct("s", 16, [("next", ptr, 0), ("n", shifted + 1, 64)])
    again.func_proto(shifted + 1, [("s", ptr)])
    again.array(shifted + 2, 3)
    again.enum("e", [("A", 1)])
    again.typedef("t", shifted + 4)
    again.type_tag("user", shifted + 1)
    again.func("f", shifted + 5)
    again.decl_tag("tag", shifted + 4, 1)
    again.const(shifted + 8)
    assert setting.merged(again, again) == []


def test_new_types_are_numbered_anew() -> None:
    setting = Setting(numbers)
    one = setting.file()
    one.int("int", 4, signed=True)
    one.struct("s", 8, [("a", 3, 0), ("b", one.ptr(3), 32)])  # [4] is the pointer
    two = setting.file()
    two.ptr(1)
    two.struct("other", 4, [("x", 1, 0)])
    two.ptr(4)
    assert setting.merged(one, two) == [
        "3 PTR  1",
        "4 STRUCT s 1 3",
        "5 STRUCT other 1",
        "6 PTR  5",
    ]


@pytest.mark.parametrize(
    "change",
    [
        lambda b: b.struct("s", 12, [("a", 1, 0), ("b", 1, 32)]),
        lambda b: b.struct("s", 8, [("a", 1, 0), ("c", 1, 32)]),
        lambda b: b.struct("s", 8, [("a", 1, 0), ("b", 1, 0)]),
        lambda b: b.struct("s", 8, [("a", 1, 0), ("b", 2, 32)]),
        lambda b: b.struct("s", 8, [("a", 1, 0)]),
        lambda b: b.union("s", 8, [("a", 1, 0), ("b", 1, 32)]),
        lambda b: b.struct("t", 8, [("a", 1, 0), ("b", 1, 32)]),
        lambda b: b.struct("s", 8, [("a", 1, 0, 0), ("b", 1, 32, 1)]),
    ],
)
def test_structs_that_differ_stay_apart(change: Callable[[BtfBuilder], int]) -> None:
    setting = Setting(numbers)
    one, two = setting.file(), setting.file()
    one.struct("s", 8, [("a", 1, 0), ("b", 1, 32)])
    change(two)
    assert len(setting.merged(one, two)) == 2
    assert len(setting.merged(one, one)) == 1


def test_structs_that_differ_below_stay_apart() -> None:
    setting = Setting(numbers)
    files = []
    for target in (1, 2):
        file = setting.file()
        inner = file.struct("inner", 8, [("x", target, 0)])
        file.struct("s", 8, [("p", file.ptr(inner), 0)])
        files.append(file)
    assert [row.split()[1] for row in setting.merged(*files)] == 2 * [
        "STRUCT",
        "PTR",
        "STRUCT",
    ]


def test_declarations_met_in_a_walk() -> None:
    """Each file knows one of the two structs; together they know both."""
    setting = Setting(numbers)
    one, two = setting.file(), setting.file()
    one.struct("b", 16, [("x", one.ptr(one.fwd("a")), 0)])  # 3 FWD, 4 PTR, 5 STRUCT
    two.struct("a", 8, [("n", 1, 0)])
    two.ptr(3)
    two.struct("b", 16, [("x", 4, 0)])
    assert setting.merged(one, two) == ["3 PTR  5", "4 STRUCT b 3", "5 STRUCT a 1"]
    assert setting.merged(two, one) == ["3 STRUCT a 1", "4 PTR  3", "5 STRUCT b 4"]


@pytest.mark.parametrize(
    ("union", "count", "left"),
    [(False, 1, ["3 PTR  4", "4 STRUCT a 1"]), (True, 1, None), (False, 2, None)],
    ids=["the only one", "of another kind", "one of two"],
)
def test_declarations_met_nowhere(union: bool, count: int, left: list[str] | None) -> None:
    setting = Setting(numbers)
    one, two = setting.file(), setting.file()
    one.ptr(one.fwd("a", union=union))
    for number in range(count):
        two.struct("a", 8, [(f"n{number}", 1, 0)])
    merged = setting.merged(one, two)
    if left is None:
        assert merged[0] == "3 FWD a"
        assert merged[1] == "4 PTR  3"
    else:
        assert merged == left


def test_a_declaration_in_the_base_stays_there_but_is_known_by_what_it_declares() -> None:
    def fill(b: BtfBuilder) -> None:
        numbers(b)
        b.fwd("a")  # 3
        b.ptr(3)  # 4
        b.struct("b", 8, [("x", 4, 0)])  # 5

    setting = Setting(fill)
    one, two = setting.file(), setting.file()
    one.struct("a", 8, [("n", 1, 0)])
    one.ptr(6)
    one.struct("b", 8, [("x", 7, 0)])
    two.ptr(two.fwd("a"))
    two.struct("b", 8, [("x", 7, 0)])
    assert setting.merged(one, two) == [
        "6 STRUCT a 1",
        "7 PTR  6",
        "8 STRUCT b 7",
    ]


def test_enums_without_values_are_declarations() -> None:
    setting = Setting(numbers)
    one, two = setting.file(), setting.file()
    one.ptr(one.enum("e", []))
    one.ptr(one.enum("big", []))
    two.enum("e", [("A", 1)])
    two.enum64("big", [("B", 1 << 40)])
    two.enum("e", [("A", 2)])
    assert setting.merged(one, two) == [
        "3 PTR  7",  # the last full one of that name
        "4 PTR  6",
        "5 ENUM e",
        "6 ENUM64 big",
        "7 ENUM e",
    ]
    assert setting.merged(two, one)[-2:] == ["6 PTR  5", "7 PTR  4"]


def test_variables_and_sections_are_all_kept() -> None:
    setting = Setting(numbers)
    file = setting.file()
    file.var("v", 1)
    file.datasec(".data", 4, [(3, 0, 4)])
    file.decl_tag("t", 3)
    assert setting.merged(file, file) == [
        "3 VAR v 1",
        "4 DATASEC .data 3",
        "5 DECL_TAG t 3",
        "6 VAR v 1",
        "7 DATASEC .data 6",
        "8 DECL_TAG t 6",
    ]


def test_typedefs_tags_and_functions() -> None:
    setting = Setting(numbers)
    one, two = setting.file(), setting.file()
    for file in (one, two):
        inner = file.typedef("u32", 1)
        proto = file.func_proto(file.typedef("outer", inner), [("p", inner)])
        file.func("f", proto, linkage=0)
        file.decl_tag("arg", proto + 1, 0)
        file.restrict(file.ptr(file.type_tag("rcu", file.volatile(inner))))
    two.func("f", 5, linkage=1)
    merged = setting.merged(one, two)
    assert [row.split()[1] for row in merged[:-1]] == [
        *("TYPEDEF", "TYPEDEF", "FUNC_PROTO", "FUNC", "DECL_TAG"),
        *("VOLATILE", "TYPE_TAG", "PTR", "RESTRICT"),
    ]
    assert merged[-1] == "12 FUNC f 5"  # its linkage is another


def arrays(setting: Setting, second: int) -> BtfBuilder:
    """A struct of two arrays that are not the same type in the file, though maybe in truth."""
    file = setting.file()
    one = file.array(1, 4)
    two = file.array(second, 4) if second else one
    file.struct("s", 32, [("a", one, 0), ("b", two, 128)])
    return file


@pytest.mark.parametrize(("second", "structs"), [(0, 1), (1, 1), (2, 2)])
def test_arrays_described_twice_in_a_file(second: int, structs: int) -> None:
    """libbpf takes any two arrays of a length for the same, and loses a struct by it:
    "merged-arrays" of the differences.
    """
    setting = Setting(numbers)
    for files in ((0, second), (second, 0)):
        merged = setting.merged(*[arrays(setting, number) for number in files])
        assert sum("STRUCT" in row for row in merged) == structs


@pytest.mark.parametrize(
    ("others", "chosen"),
    [(0, 3), (1, 1), (3, 1), (4, 3), (9, 3), (10, 1), (21, 1), (22, 3)],
)
def test_of_equal_types_in_the_base_the_one_that_libbpf_takes(others: int, chosen: int) -> None:
    """Measured: which of three like numbers, by how many other types the base has."""

    def fill(b: BtfBuilder) -> None:
        for _ in range(3):
            b.int("int", 4)
        for number in range(others):
            b.float(f"f{number}", 8)

    setting = Setting(fill)
    file = setting.file()
    file.ptr(file.int("int", 4))
    assert setting.merged(file, file) == [f"{others + 4} PTR  {chosen}"]


def test_btf_that_stands_alone_is_moved() -> None:
    setting = Setting(numbers)
    alone = BtfBuilder("big")
    alone.struct("mine", 8, [("f", alone.float("double", 8), 0)])
    merged = merge(setting.base, [read_btf(alone.blob())])
    assert rows(merged) == ["3 STRUCT mine 2"]


def test_names_reuse_the_strings_of_the_base() -> None:
    setting = Setting(numbers)
    file = setting.file()
    file.struct("double", 4, [("int", 1, 0), ("mine", 1, 0)])
    setting.merged(file, file)
    assert merge(setting.base, setting.files).strings == b"mine\0"


# ------------------------------------------------------------------ bytes that lie


def test_another_base_is_refused() -> None:
    one, two = Setting(numbers), Setting(numbers)
    file = read_btf(two.file().blob(), two.base)
    with pytest.raises(BadData, match="another base"):
        merge(one.base, [file])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda b: b.ptr(3), r"type \[3\] at byte 24 refers to itself"),
        (lambda b: (b.const(4), b.volatile(3)), "refers to itself"),
        (lambda b: b.ptr(99), "refers to a type that is not there"),
        (lambda b: b.struct("s", 4, [("a", 99, 0)]), "refers to a type that is not there"),
        (lambda b: b.add(2, 12345, 1), "no string at offset 12345"),
    ],
)
def test_broken_btf(make: Callable[[BtfBuilder], object], message: str) -> None:
    setting = Setting(numbers)
    good, bad = setting.file(), setting.file()
    good.ptr(1)
    make(bad)
    with pytest.raises(BadData, match=message):
        setting.merged(good, bad)


def test_a_base_that_lies() -> None:
    setting = Setting(lambda b: b.struct("", 4, [("a", 77, 0)]))
    with pytest.raises(BadData, match="refers to a type that is not there"):
        setting.merged(setting.file())


def test_long_chains_need_no_stack() -> None:
    setting = Setting(numbers)
    file = setting.file()
    file.struct("s", 8, [("p", file.next_id + 50_000, 0)])
    for _ in range(50_000):
        file.ptr(file.next_id - 1)
    started = time.process_time()
    merge(setting.base, [read_btf(file.blob(), setting.base)] * 2)
    assert time.process_time() - started < 10


def test_types_made_to_look_alike_are_given_up_on() -> None:
    """Thousands of structs that only differ at the far end of their walk."""
    setting = Setting(numbers)
    file = setting.file()
    for number in range(3000):
        name = file.struct(f"end{number}", 4, [("x", 1, 0)])
        for _ in range(8):
            name = file.const(name)
        file.struct("same", 4, [("x", name, 0)])
    started = time.process_time()
    with pytest.raises(BadData, match="look alike"):
        setting.merged(file)
    assert time.process_time() - started < 20


# ------------------------------------------------------------------ anything at all

KINDS = ("int", "ptr", "struct", "union", "enum", "fwd", "typedef", "const", "array", "proto")


@st.composite
def blueprints(draw: st.DrawFn) -> list[tuple[str, str, list[int]]]:
    """Kind, name and numbers that become ids, for each type of a file."""
    return draw(
        st.lists(
            st.tuples(
                st.sampled_from(KINDS),
                st.sampled_from("abc"),
                st.lists(st.integers(0, 1000), min_size=1, max_size=3),
            ),
            min_size=1,
            max_size=20,
        )
    )


def build(b: BtfBuilder, blueprint: list[tuple[str, str, list[int]]]) -> BtfBuilder:
    """References go backwards but from the members of structs: so do they in C."""
    end = b.next_id + len(blueprint)
    for kind, name, picks in blueprint:
        back = [pick % b.next_id for pick in picks]
        anywhere = [1 + pick % (end - 1) for pick in picks]
        if kind == "int":
            b.int(name, 4)
        elif kind == "ptr":
            b.ptr(back[0])
        elif kind in ("struct", "union"):
            members = [(f"m{n}", target, 64 * n) for n, target in enumerate(anywhere)]
            b.struct(name, 8 * len(members), members, kind=4 if kind == "struct" else 5)
        elif kind == "enum":
            b.enum(name, [(f"E{n}", n) for n in range(len(picks) - 1)])
        elif kind == "fwd":
            b.fwd(name, union=len(picks) > 2)
        elif kind == "typedef":
            b.typedef(name, back[0])
        elif kind == "const":
            b.const(back[0])
        elif kind == "array":
            b.array(back[0], len(picks), index=1)
        else:
            b.func_proto(back[0], [(name, target) for target in back[1:]])
    return b


def definitions(btf: Btf) -> set[str]:
    """Every type in words; a declaration is told by what it would be the name of."""
    found = set()
    for number in range(1, btf.type_count):
        type = btf.type(number)
        text = f"{types.KIND_NAMES[type.kind]} {spell(btf, number)}"
        if isinstance(type, types.Composite):
            text += str([spell(btf, member.type_id, member.name) for member in type.members])
        elif isinstance(type, types.Enum):
            if not type.values:
                continue
            text += str([(value.name, value.val) for value in type.values])
        elif type.kind == types.TYPEDEF:
            text += f" = {spell(btf, btf.target(number))}"
        elif type.kind == types.FWD:
            continue
        found.add(text)
    return found


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(blueprints(), blueprints(), blueprints())
def test_anything(
    first: list[tuple[str, str, list[int]]],
    second: list[tuple[str, str, list[int]]],
    third: list[tuple[str, str, list[int]]],
) -> None:
    lower = build(BtfBuilder(), [("int", "int", [0]), *first])
    base = read_btf(lower.blob())
    one, two = (
        read_btf(build(BtfBuilder(base=lower), blueprint).blob(), base)
        for blueprint in (second, third)
    )
    merged = merge(base, [one, two])
    merged.check()
    told = definitions(merged)
    assert definitions(one) | definitions(two) == told
    again = merge(base, [merged, merged])
    assert again.type_count <= merged.type_count
    assert definitions(again) == told
