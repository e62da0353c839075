"""BTF with its gaps filled, and cut down for kernels that know less."""

from __future__ import annotations

import pytest

from pybpftool.btf import types
from pybpftool.btf.reader import read_btf
from pybpftool.btf.spec import Btf
from pybpftool.errors import BadData
from pybpftool.loader.sanitize import fix_datasecs, sanitize
from tests.support.btf_builder import EXTERN, GLOBAL, STATIC, BtfBuilder


def everything() -> tuple[Btf, dict[str, int]]:
    """A BTF with a type of each younger kind, and their ids."""
    b = BtfBuilder()
    ids = {"int": b.int(signed=True)}
    number = ids["int"]
    ids["float"] = b.float("float", 4)
    ids["holder"] = b.struct("holder", 4, [("real", ids["float"], 0)])
    ids["decl_tag"] = b.decl_tag("contention", ids["holder"])
    ids["type_tag"] = b.type_tag("user", number)
    ids["pointer"] = b.ptr(ids["type_tag"])
    ids["enum64"] = b.enum64("wide", [("ONE", 1), ("BIG", 1 << 40)])
    ids["enum"] = b.enum("narrow", [("LESS", -1)], signed=True)
    ids["proto"] = b.func_proto(number, [("a", number), ("", number)])
    b.ptr(ids["proto"])
    ids["named"] = b.func_proto(number, [("ctx", ids["pointer"])])
    ids["func"] = b.func("run", ids["named"])
    ids["var"] = b.var("counter", number)
    ids["data"] = b.datasec(".data", 4, [(ids["var"], 0, 4)])
    ids["shown"] = b.var("shown", number, linkage=STATIC)
    ids["qmark"] = b.datasec("?.struct_ops", 4, [(ids["shown"], 0, 4)])
    return read_btf(b.blob()), ids


LACKS = {
    "btf_func_global": {"func": "FUNC"},
    "btf_func": {"proto": "ENUM", "named": "ENUM", "func": "TYPEDEF"},
    "btf_qmark_datasec": {"qmark": "DATASEC"},
    "btf_datasec": {"var": "INT", "shown": "INT", "data": "STRUCT", "qmark": "STRUCT"},
    "btf_float": {"float": "STRUCT"},
    "btf_decl_tag": {"decl_tag": "INT"},
    "btf_type_tag": {"type_tag": "CONST"},
    "btf_enum64": {"enum64": "UNION", "enum": "ENUM"},
}
"""What a kernel does not know -> the kinds that stand in, by what they stand for."""


@pytest.mark.parametrize("lacks", [*LACKS, "all"])
def test_unknown_kinds_become_older_ones(lacks: str) -> None:
    btf, ids = everything()
    cut = read_btf(sanitize(btf, lambda word: lacks not in ("all", word)))
    cut.check()
    changed = {}
    for each in LACKS if lacks == "all" else [lacks]:
        changed.update(LACKS[each])
    for name, id in ids.items():
        kind = changed.get(name, types.KIND_NAMES[btf.kind(id)])
        assert types.KIND_NAMES[cut.kind(id)] == kind, name


def test_a_kernel_that_knows_all_gets_the_same() -> None:
    btf, _ = everything()
    cut = read_btf(sanitize(btf, lambda word: True))
    assert cut.words == btf.words
    assert cut.strings == btf.strings


def test_what_the_replacements_hold() -> None:
    btf, ids = everything()
    cut = read_btf(sanitize(btf, lambda word: False))
    data = cut.type(ids["data"])
    assert isinstance(data, types.Composite)
    assert (data.name, data.size) == ("_data", 4)
    assert [(m.name, m.type_id) for m in data.members] == [("counter", ids["var"])]
    assert cut.name_of(ids["qmark"]) == "__struct_ops"
    assert cut.name_of(ids["float"]) == cut.name_of(ids["type_tag"]) == ""
    assert cut.flag(ids["enum"]) is False
    wide = cut.type(ids["enum64"])
    assert isinstance(wide, types.Composite)
    assert {m.type_id for m in wide.members} == {btf.type_count}  # the int added behind
    assert cut.size_of(ids["var"]) == 1


def objects_btf() -> tuple[BtfBuilder, dict[str, int]]:
    """What a compiler leaves: sizes and offsets of 0, externs."""
    b = BtfBuilder()
    number = b.int(signed=True)
    ids = {"int": number}
    ids["second"] = b.var("second", number)
    ids["first"] = b.var("first", number)
    ids["data"] = b.datasec(".data", 0, [(ids["second"], 0, 4), (ids["first"], 0, 4)])
    ids["proto"] = b.func_proto(0, [("", number)])
    ids["kfunc"] = b.func("bpf_kfunc", ids["proto"], linkage=EXTERN)
    ids["ksym"] = b.var("jiffies", 0, linkage=EXTERN)
    ids["ksyms"] = b.datasec(".ksyms", 0, [(ids["kfunc"], 0, 0), (ids["ksym"], 0, 0)])
    ids["hz"] = b.var("CONFIG_HZ", number, linkage=EXTERN)
    ids["kconfig"] = b.datasec(".kconfig", 0, [(ids["hz"], 0, 4)])
    ids["main"] = b.func("main", b.func_proto(number))
    return b, ids


SECTIONS = {".data": (8, {"first": 0, "second": 4}), ".kconfig": (4, {"CONFIG_HZ": 0})}


def test_places_are_filled_in() -> None:
    b, ids = objects_btf()
    btf = read_btf(fix_datasecs(read_btf(b.blob()), SECTIONS, hidden={"first", "main"}))
    btf.check()
    data = btf.items(ids["data"])
    assert (btf.size(ids["data"]), data) == (8, ([ids["first"], ids["second"]], [0, 4], [4, 4]))
    first, ksym, hz = (btf.type(ids[name]) for name in ("first", "ksym", "hz"))
    assert isinstance(first, types.Var)
    assert isinstance(ksym, types.Var)
    assert isinstance(hz, types.Var)
    assert (first.linkage, hz.linkage) == (STATIC, GLOBAL)
    assert (ksym.linkage, ksym.type_id) == (GLOBAL, ids["int"])
    stand_in = btf.type_count - 1
    assert btf.name_of(stand_in) == "dummy_ksym"
    assert btf.items(ids["ksyms"]) == ([stand_in, ids["ksym"]], [0, 4], [4, 4])
    assert btf.vlen(ids["kfunc"]) == GLOBAL
    assert btf.vlen(ids["main"]) == STATIC


def test_the_symbols_know_better_than_a_linker() -> None:
    """Its offsets count for what has no symbol."""
    b = BtfBuilder()
    number = b.int(signed=True)
    one, other, third = (b.var(name, number) for name in ("one", "other", "third"))
    data = b.datasec(".data", 12, [(one, 0, 4), (other, 0, 4), (third, 8, 4)])
    sections = {".data": (12, {"one": 0, "other": 4})}
    btf = read_btf(fix_datasecs(read_btf(b.blob()), sections))
    assert (btf.size(data), btf.items(data)) == (12, ([one, other, third], [0, 4, 8], [4, 4, 4]))


@pytest.mark.parametrize(
    ("sections", "says"),
    [
        ({".kconfig": (4, {"CONFIG_HZ": 0})}, "'.data', which the file lacks"),
        ({**SECTIONS, ".data": (8, {"first": 0})}, "'second' of section '.data' without a symbol"),
        ({".data": SECTIONS[".data"]}, "'.kconfig', which the file lacks"),
    ],
)
def test_symbols_that_are_missing(
    sections: dict[str, tuple[int, dict[str, int]]], says: str
) -> None:
    b, _ = objects_btf()
    with pytest.raises(BadData, match=says):
        fix_datasecs(read_btf(b.blob()), sections)


def test_a_datasec_of_something_else_is_refused() -> None:
    b = BtfBuilder()
    b.datasec(".data", 4, [(b.int(), 0, 4)])
    with pytest.raises(BadData, match="which is no VAR"):
        fix_datasecs(read_btf(b.blob()), {})


@pytest.mark.parametrize(
    ("func", "says"),
    [("number", "which is no FUNC_PROTO"), ("base", "not of the same BTF"), ("none", "no type")],
)
def test_externs_that_cannot_be(func: str, says: str) -> None:
    below = BtfBuilder()
    shared = below.func("shared", below.func_proto(0))
    b = BtfBuilder(base=below)
    number = b.int()
    var = {"number": b.func("f", number), "base": shared, "none": 1000}[func]
    b.datasec(".ksyms", 0, [(var, 0, 0)])
    with pytest.raises(BadData, match=says):
        fix_datasecs(read_btf(b.blob(), read_btf(below.blob())), {})


def test_variables_outside_what_a_struct_can_hold() -> None:
    b = BtfBuilder()
    b.datasec(".data", 4, [(b.var("far", b.int()), 1 << 30, 4)])
    with pytest.raises(BadData, match="at byte 1073741824"):
        sanitize(read_btf(b.blob()), lambda word: False)


def test_a_split_btf_keeps_its_base() -> None:
    below = BtfBuilder()
    number = below.int(signed=True)
    b = BtfBuilder(base=below)
    var = b.var("v", number)
    section = b.datasec(".bss", 0, [(var, 0, 4)])
    base = read_btf(below.blob())
    fixed = read_btf(fix_datasecs(read_btf(b.blob(), base), {".bss": (12, {"v": 8})}), base)
    assert (fixed.size(section), fixed.items(section)) == (12, ([var], [8], [4]))
    cut = read_btf(sanitize(fixed, lambda word: word != "btf_datasec"), base)
    assert cut.name_of(section) == "_bss"
