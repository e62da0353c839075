"""C headers: declarations, definitions, padding, order, names."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable

import pytest

from pybpftool.btf.ctext import header
from pybpftool.btf.reader import read_btf
from pybpftool.errors import BadData
from tests.support.btf_builder import BtfBuilder

INT, LONG, CHAR, SHORT, UINT = 1, 2, 3, 4, 5
FIRST = 6


def basics(order: str = "little", base: BtfBuilder | None = None) -> BtfBuilder:
    """The numbers that the others are made of, ids 1 to 5."""
    b = BtfBuilder(order, base)
    b.int("int", 4, signed=True)
    b.int("long", 8, signed=True)
    b.char()
    b.int("short", 2, signed=True)
    b.int("unsigned int", 4)
    return b


def body(b: BtfBuilder, roots: list[int] | None = None, *, unsorted: bool = True) -> str:
    """What stands between the frame of a header."""
    text = "".join(header(read_btf(b.blob()), roots, unsorted=unsorted))
    _, _, rest = text.partition("#define __bpf_fastcall\n#endif\n#endif\n\n")
    text, _, frame = rest.partition("#ifndef BPF_NO_PRESERVE_ACCESS_INDEX\n#pragma clang")
    assert rest and frame
    return text.partition("\n/* BPF kfuncs */\n")[0]


def test_frame() -> None:
    b = basics()
    assert (
        "".join(header(read_btf(b.blob()), [INT]))
        == """\
#ifndef __VMLINUX_H__
#define __VMLINUX_H__

#ifndef BPF_NO_PRESERVE_ACCESS_INDEX
#pragma clang attribute push (__attribute__((preserve_access_index)), apply_to = record)
#endif

#ifndef __ksym
#define __ksym __attribute__((section(".ksyms")))
#endif

#ifndef __weak
#define __weak __attribute__((weak))
#endif

#ifndef __bpf_fastcall
#if __has_attribute(bpf_fastcall)
#define __bpf_fastcall __attribute__((bpf_fastcall))
#else
#define __bpf_fastcall
#endif
#endif

#ifndef BPF_NO_PRESERVE_ACCESS_INDEX
#pragma clang attribute pop
#endif

#endif /* __VMLINUX_H__ */
"""
    )


# ------------------------------------------------------------------ declarations


def _function(b: BtfBuilder) -> int:
    return b.ptr(b.func_proto(INT, [("a", INT), ("b", b.ptr(b.const(CHAR)))]))


def _giving_function(b: BtfBuilder) -> int:
    return b.ptr(b.func_proto(_function(b), []))


DECLARATIONS: list[tuple[Callable[[BtfBuilder], int], str]] = [
    (lambda b: b.ptr(INT), "int *t"),
    (lambda b: b.ptr(b.ptr(b.ptr(0))), "void ***t"),
    (lambda b: b.const(b.volatile(INT)), "volatile const int t"),
    (lambda b: b.restrict(b.ptr(CHAR)), "char * restrict t"),
    (lambda b: b.const(b.ptr(b.const(CHAR))), "const char * const t"),
    (lambda b: b.ptr(b.const(b.ptr(CHAR))), "char * const *t"),
    (lambda b: b.array(b.array(INT, 3), 2), "int t[2][3]"),
    (lambda b: b.array(b.ptr(INT), 2), "int *t[2]"),
    (lambda b: b.ptr(b.array(INT, 4)), "int (*t)[4]"),
    (lambda b: b.ptr(b.array(b.array(INT, 4), 5)), "int (*t)[5][4]"),
    (lambda b: b.const(b.array(INT, 4)), "int t[4]"),
    (lambda b: b.array(b.const(INT), 4), "const int t[4]"),
    (_function, "int (*t)(int a, const char *b)"),
    (_giving_function, "int (* (*t)(void))(int a, const char *b)"),
    (lambda b: b.array(_function(b), 3), "int (*t[3])(int a, const char *b)"),
    (lambda b: b.const(_function(b)), "int (* const t)(int a, const char *b)"),
    (lambda b: b.ptr(b.const(b.func_proto(0, []))), "void (*t)(void)"),
    (lambda b: b.func_proto(INT, [("", 0)]), "int t(void)"),
    (lambda b: b.func_proto(INT, [("", INT), ("", 0)]), "int t(int, ...)"),
    (lambda b: b.func_proto(INT, [("x", b.array(CHAR, 0))]), "int t(char x[0])"),
    (lambda b: b.ptr(b.type_tag("user", INT)), 'int __attribute__((btf_type_tag("user"))) *t'),
    (lambda b: b.ptr(b.type_tag("pure", INT, attribute=True)), "int __attribute__((pure)) *t"),
    (
        lambda b: b.ptr(b.const(b.type_tag("user", INT))),
        'int const __attribute__((btf_type_tag("user"))) *t',
    ),
    (lambda b: b.float("double", 8), "double t"),
]


@pytest.mark.parametrize(("make", "text"), DECLARATIONS, ids=[text for _, text in DECLARATIONS])
def test_declarations(make: Callable[[BtfBuilder], int], text: str) -> None:
    b = basics()
    root = b.typedef("t", make(b))
    assert body(b, [root]) == f"typedef {text};\n\n"


def test_what_has_no_name_is_defined_in_place() -> None:
    b = basics()
    inner = b.struct("", 8, [("x", INT, 0), ("y", INT, 32)])
    choice = b.union("", 8, [("whole", LONG, 0), ("", inner, 0)])
    kind = b.enum("", [("RED", 0), ("BLUE", 5)])
    outer = b.struct(
        "outer", 24, [("", choice, 0), ("kind", kind, 64), ("more", b.array(inner, 1), 96)]
    )
    assert (
        body(b, [outer])
        == """\
struct outer {
	union {
		long whole;
		struct {
			int x;
			int y;
		};
	};
	enum {
		RED = 0,
		BLUE = 5,
	} kind;
	struct {
		int x;
		int y;
	} more[1];
};

"""
    )


def test_empty_structs_and_enums() -> None:
    b = basics()
    roots = [b.struct("nothing", 0, []), b.union("neither", 0, []), b.enum("later", [])]
    assert body(b, roots) == "struct nothing {};\n\nunion neither {};\n\nenum later;\n\n"


ENUMS = [
    ({"size": 4}, [("A", 0), ("B", 0xFFFFFFFF)], "{\n\tA = 0,\n\tB = 4294967295,\n}"),
    ({"size": 4, "signed": True}, [("A", -1)], "{\n\tA = -1,\n}"),
    ({"size": 1}, [("A", 1)], "{\n\tA = 1,\n} __attribute__((mode(byte)))"),
    ({"size": 8}, [("A", 1)], "{\n\tA = 1,\n} __attribute__((mode(word)))"),
]
WIDE_ENUMS = [
    ({}, [("A", 1 << 40)], "{\n\tA = 1099511627776ULL,\n}"),
    ({"signed": True}, [("A", -1)], "{\n\tA = -1LL,\n}"),
    ({}, [("A", 3)], "{\n\tA = 3ULL,\n} __attribute__((mode(word)))"),
]


@pytest.mark.parametrize(("how", "values", "text"), ENUMS)
def test_enums(how: dict[str, int], values: list[tuple[str, int]], text: str) -> None:
    b = basics()
    assert body(b, [b.enum("e", values, **how)]) == f"enum e {text};\n\n"  # type: ignore[arg-type]  # size, signed


@pytest.mark.parametrize(("how", "values", "text"), WIDE_ENUMS)
def test_enums_of_64_bits(how: dict[str, bool], values: list[tuple[str, int]], text: str) -> None:
    b = basics()
    assert body(b, [b.enum64("e", values, **how)]) == f"enum e {text};\n\n"


def test_typedefs_of_compilers_are_left_to_them() -> None:
    b = basics()
    builtin = b.typedef("__builtin_va_list", b.ptr(0))
    gnuc = b.typedef("__gnuc_va_list", 0)
    user = b.typedef("va_list", builtin)
    poly = b.typedef("p", b.int("__Poly8_t", 1))
    assert body(b, [builtin, gnuc, user, poly]) == (
        "typedef __builtin_va_list __gnuc_va_list;\n\n"
        "typedef __builtin_va_list va_list;\n\n"
        "typedef unsigned char __Poly8_t;\n\n"
        "typedef __Poly8_t p;\n\n"
    )


# ------------------------------------------------------------------ padding

PADDING = [
    ("natural", 8, [("a", CHAR, 0), ("b", INT, 32)], ["char a", "int b"]),
    ("tail", 24, [("a", CHAR, 0), ("b", CHAR, 64)], ["char a", "long: 0", "char b", "long: 64"]),
    ("int tail", 8, [("a", INT, 0)], ["int a", "long: 0"]),
    (
        "bits",
        8,
        [("a", UINT, 0, 3), ("b", UINT, 8, 5), ("c", UINT, 32, 4)],
        ["unsigned int a: 3", "char: 5", "unsigned int b: 5", "int: 19", "unsigned int c: 4"],
    ),
    (
        "hole",
        16,
        [("a", INT, 0), ("b", INT, 96)],
        ["int a", "long: 0", "int: 32", "int b"],
    ),
    ("head", 8, [("a", CHAR, 16)], ["short: 16", "char a", "long: 0"]),
    ("only padding", 4, [], ["int: 32"]),
    (
        "three bits",
        1,
        [("a", CHAR, 0, 2), ("b", CHAR, 5, 3)],
        ["char a: 2", "char: 3", "char b: 3"],
    ),
    ("bytes", 3, [("a", CHAR, 0)], ["char a", "short: 0", "char: 8"]),
]


@pytest.mark.parametrize(
    ("size", "members", "lines"), [c[1:] for c in PADDING], ids=[c[0] for c in PADDING]
)
def test_padding(size: int, members: list[tuple[object, ...]], lines: list[str]) -> None:
    b = basics()
    text = "".join(f"\t{line};\n" for line in lines)
    assert body(b, [b.struct("s", size, members)]) == f"struct s {{\n{text}}};\n\n"  # type: ignore[arg-type]  # rows of a table


def test_gaps_in_what_is_packed() -> None:
    """That it is packed is known by its last member, and decides what fills the first gap."""
    members = [("a", CHAR, 0), ("b", INT, 32), ("c", INT, 72)]
    b = basics()
    s = b.struct("s", 13, members)
    assert body(b, [s]) == (
        "struct s {\n\tchar a;\n\tint: 0;\n\tint b;\n\tchar: 8;\n\tint c;\n"
        "} __attribute__((packed));\n\n"
    )


def test_packed() -> None:
    b = basics()
    s = b.struct("s", 5, [("a", CHAR, 0), ("b", INT, 8)])
    t = b.struct("t", 6, [("a", INT, 0), ("b", SHORT, 32)])
    holder = b.struct("h", 6, [("c", CHAR, 0), ("s", s, 8)])
    assert body(b, [s, t, holder]) == (
        "struct s {\n\tchar a;\n\tint b;\n} __attribute__((packed));\n\n"
        "struct t {\n\tint a;\n\tshort b;\n} __attribute__((packed));\n\n"
        "struct h {\n\tchar c;\n\tstruct s s;\n};\n\n"  # what is packed needs no alignment
    )


def test_pointers_of_32_bits() -> None:
    b = BtfBuilder()
    b.int("int", 4, signed=True)
    b.int("long int", 4, signed=True)
    s = b.struct("s", 12, [("a", b.ptr(0), 0), ("b", 1, 64)])
    assert body(b, [s]) == "struct s {\n\tvoid *a;\n\tlong: 32;\n\tint b;\n};\n\n"


# ------------------------------------------------------------------ order


def test_what_is_held_comes_first_and_what_is_pointed_to_is_announced() -> None:
    b = basics()
    outer = b.struct(
        "outer", 32, [("in", FIRST + 1, 0), ("next", FIRST + 2, 128), ("far", FIRST + 3, 192)]
    )
    b.struct("inner", 16, [("self", FIRST + 4, 0), ("n", INT, 64)])
    b.ptr(outer)
    b.ptr(FIRST + 5)
    b.ptr(FIRST + 1)
    b.struct("far", 8, [("back", FIRST + 2, 0)])
    assert (
        body(b, [outer])
        == """\
struct inner {
	struct inner *self;
	int n;
};

struct far;

struct outer {
	struct inner in;
	struct outer *next;
	struct far *far;
};

"""
    )


def test_typedef_in_a_circle() -> None:
    b = basics()
    s = b.struct("s", 8, [("go", FIRST + 1, 0)])
    b.typedef("go_t", FIRST + 2)
    b.ptr(FIRST + 3)
    b.func_proto(0, [("me", b.next_id + 1)])
    b.ptr(s)
    assert body(b, [s]) == (
        "struct s;\n\ntypedef void (*go_t)(struct s *me);\n\nstruct s {\n\tgo_t go;\n};\n\n"
    )


def test_sorted_by_kind_and_name() -> None:
    b = basics()
    z = b.struct("z", 4, [("a", INT, 0)])
    b.func("go", b.func_proto(0, []))
    b.typedef("t2", z)
    b.enum("", [("ZERO", 0)])
    b.enum("e", [("ONE", 1)])
    b.struct("a", 8, [("z", b.ptr(z), 0)])
    b.typedef("nothing", 0)
    b.enum("", [("ALSO", 0)])
    b.typedef("t1", INT)
    found = [line for line in body(b, unsorted=False).splitlines() if line[:1].isalpha()]
    assert found == [
        "enum {",
        "enum {",
        "enum e {",
        "typedef int t1;",
        "struct z;",
        "struct a {",
        "struct z {",
        "typedef struct z t2;",
        "typedef void nothing;",
    ]


def test_two_of_one_name_are_sorted_by_what_they_hold() -> None:
    """Ids may be dealt out in another way with each build; the order of a header is not."""
    texts = set()
    for first, second in ((INT, LONG), (LONG, INT)):
        b = basics()
        b.struct("s", 8, [("a", first, 0)])
        b.struct("s", 8, [("a", second, 0)])
        b.struct("s", 8, [("b", INT, 0)])
        texts.add(body(b, unsorted=False))
    assert len(texts) == 1


def test_nameless_ones_are_sorted_by_what_they_hold() -> None:
    """They are written nowhere, but what they name is: here the announcements of three structs."""
    texts = set()
    for order in itertools.permutations("abc"):
        b = basics()
        for name in order:
            pointer = b.ptr(b.fwd(name))
            b.union("", 8, [(f"to_{name}", pointer, 0)])
        held = b.union("", 8, [("in", LONG, 0)])
        b.struct("holder", 8, [("", held, 0)])
        texts.add(body(b, unsorted=False))
    [text] = texts
    assert sorted(re.findall(r"struct (\w);", text)) == ["a", "b", "c"]


USES: list[tuple[str, Callable[[BtfBuilder, int], object], bool]] = [
    ("member", lambda b, enum: b.struct("s", 4, [("e", enum, 0)]), False),
    ("element", lambda b, enum: b.array(enum, 2), False),
    ("typedef", lambda b, enum: b.typedef("t", enum), False),
    ("pointer", lambda b, enum: b.ptr(enum), False),
    ("parameter", lambda b, enum: b.func_proto(0, [("e", enum)]), False),
    ("result", lambda b, enum: b.func_proto(enum, []), True),
    ("nothing", lambda b, enum: None, True),
]


@pytest.mark.parametrize(("use", "alone"), [case[1:] for case in USES], ids=[c[0] for c in USES])
def test_nameless_enums_stand_alone_if_nothing_names_them(
    use: Callable[[BtfBuilder, int], object], alone: bool
) -> None:
    """What a function gives back is not looked at, as in bpftool."""
    for unsorted in (False, True):
        b = basics()
        use(b, b.enum("", [("RED", 0)]))
        assert ("\nenum {\n\tRED = 0,\n};\n" in "\n" + body(b, unsorted=unsorted)) == alone


def test_names_that_are_taken_get_a_number() -> None:
    b = basics()
    one = b.struct("s", 4, [("a", INT, 0)])
    two = b.struct("s", 8, [("a", LONG, 0)])
    three = b.typedef("s", one)  # typedefs have names of their own
    four = b.enum("e", [("A", 0), ("s", 1)])
    five = b.typedef("A", two)
    fwd = b.fwd("s")
    assert body(b, [one, two, three, four, five, fwd]) == (
        "struct s {\n\tint a;\n};\n\n"
        "struct s___2 {\n\tlong a;\n};\n\n"
        "typedef struct s s;\n\n"
        "enum e {\n\tA = 0,\n\ts___2 = 1,\n};\n\n"
        "typedef struct s___2 A___2;\n\n"
        "struct s;\n\n"
    )


def test_functions_for_bpf_programs() -> None:
    b = basics()
    proto = b.func_proto(INT, [("x", INT)])
    fast, slow, other = b.func("b_fast", proto), b.func("a_slow", proto), b.func("c", proto)
    for tag, target in (("bpf_kfunc", fast), ("bpf_fastcall", fast), ("bpf_kfunc", slow)):
        b.decl_tag(tag, target)
    b.decl_tag("bpf_kfunc", other, component=0)
    text = "".join(header(read_btf(b.blob())))
    assert text.partition("/* BPF kfuncs */\n")[2].partition("\n\n")[0] == (
        "#ifndef BPF_NO_KFUNC_PROTOTYPES\n"
        "extern int a_slow(int x) __weak __ksym;\n"
        "extern __bpf_fastcall int b_fast(int x) __weak __ksym;\n"
        "#endif"
    )
    assert "kfunc" not in "".join(header(read_btf(b.blob()), [INT]))


def test_split_btf_comes_with_its_base() -> None:
    lower = basics()
    held = lower.struct("held", 4, [("a", INT, 0)])
    upper = BtfBuilder(base=lower)
    own = upper.struct("own", 4, [("h", held, 0)])
    btf = read_btf(upper.blob(), read_btf(lower.blob()))
    assert "".join(header(btf, [own])).count("struct held {") == 1
    assert "".join(header(btf)).count("struct own {") == 1


# ------------------------------------------------------------------ what no header can be made of


def test_struct_in_itself() -> None:
    b = basics()
    b.struct("s", 8, [("a", FIRST + 1, 0)])
    b.struct("t", 8, [("b", FIRST, 0)])
    with pytest.raises(BadData, match="holds itself"):
        body(b)


def test_pointer_to_itself() -> None:
    b = basics()
    b.typedef("t", b.ptr(FIRST))
    with pytest.raises(BadData, match="nested too deeply, or in itself"):
        body(b)


def test_functions_as_members() -> None:
    b = basics()
    b.struct("s", 8, [("f", b.func("f", b.func_proto(0, [])), 0)])
    with pytest.raises(BadData, match="is FUNC, which no value can be"):
        body(b)


def test_functions_that_name_each_other_twice() -> None:
    """Sixty of them have more paths than there are atoms to spare."""
    b = basics()
    last = b.func_proto(0, [])
    for _ in range(60):
        pointer = b.ptr(last)
        last = b.func_proto(0, [("", pointer), ("", pointer)])
    b.typedef("t", last)
    with pytest.raises(BadData):
        body(b)


def test_nameless_structs_that_hold_each_other_twice() -> None:
    b = basics()
    last = b.struct("", 4, [("x", INT, 0)])
    for size in range(3, 28):
        last = b.struct("", 1 << size, [("a", last, 0), ("b", last, 1 << size + 2)])
    b.typedef("t", last)
    with pytest.raises(BadData):
        body(b)


def test_gap_of_gigabytes() -> None:
    b = basics()
    b.struct("s", 0xFFFFFFF8, [("a", INT, 0)])
    with pytest.raises(BadData, match="absurdly long"):
        body(b)
