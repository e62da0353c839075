"""What objects want of the kernel: its configuration, variables and functions."""

from __future__ import annotations

import gzip
import os
import struct
from pathlib import Path

import pytest

from pybpftool.btf.reader import read_btf
from pybpftool.errors import PybpftoolError
from pybpftool.kernel import config
from pybpftool.loader import externs, spec
from pybpftool.loader.externs import Extern
from pybpftool.loader.spec import ExternSpec
from tests.support.btf_builder import BOOL, EXTERN, GLOBAL, BtfBuilder

CONFIG = """# CONFIG_NO is not set
CONFIG_YES=y
CONFIG_MODULE=m
CONFIG_NUMBER=0x10
CONFIG_NUMBER=17
CONFIG_TEXT="some text"
"""


@pytest.fixture
def configured(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setattr(config, "BOOT", str(tmp_path / "config-{}"))
    monkeypatch.setattr(config, "PROC", str(tmp_path / "config.gz"))
    (tmp_path / "config.gz").write_bytes(gzip.compress(CONFIG.encode()))
    return tmp_path


def wanted(b: BtfBuilder, **variables: int) -> list[Extern]:
    """Weak externs of .kconfig, by name and type."""
    return [
        Extern(
            ExternSpec(
                name, spec.KCONFIG, b.var(name, type, linkage=EXTERN), weak=True, is_function=False
            )
        )
        for name, type in variables.items()
    ]


def values(found: list[Extern], b: BtfBuilder) -> bytes:
    """The contents of their map; else the error of the first that is not to be had."""
    btf = read_btf(b.blob())
    contents = bytearray(externs.place_values(found, btf))
    for _, error in externs.values(found, btf, contents):
        raise error
    return bytes(contents)


@pytest.mark.usefixtures("configured")
def test_values_of_the_configuration(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(externs, "virtual", {"LINUX_KERNEL_VERSION": 0x61203}.get)
    b = BtfBuilder()
    number, flag, char = b.int("int", 4, signed=True), b.int("_Bool", 1, encoding=BOOL), b.char()
    three = b.enum("libbpf_tristate", [("TRI_NO", 0), ("TRI_YES", 1), ("TRI_MODULE", 2)])
    found = wanted(
        b,
        CONFIG_NUMBER=number,
        CONFIG_YES=flag,
        CONFIG_NO=flag,
        CONFIG_MODULE=three,
        CONFIG_TEXT=b.array(char, 6),
        LINUX_KERNEL_VERSION=number,
        LINUX_NO_SUCH=number,
    )
    data = values(found, b)
    told = {each.spec.name: data[each.offset :] for each in found}
    assert told["CONFIG_NUMBER"].startswith(struct.pack("=i", 16))
    assert told["CONFIG_YES"][0] == 1
    assert told["CONFIG_NO"][0] == 0
    assert told["CONFIG_MODULE"].startswith(struct.pack("=i", 2))
    assert told["CONFIG_TEXT"].startswith(b"some \0")
    assert told["LINUX_KERNEL_VERSION"].startswith(struct.pack("=i", 0x61203))
    assert told["LINUX_NO_SUCH"].startswith(bytes(4))


def test_the_order_of_externs() -> None:
    """That of libbpf, in which places and the numbers of missing functions are counted."""
    b = BtfBuilder()
    number, char = b.int(), b.char()
    found = wanted(b, Z=char, TEXT=b.array(char, 5), A=char, N=number, W=b.int("long", 8))
    proto = b.func("zfunc", b.func_proto(0), linkage=EXTERN)
    for name in ("zfunc", "afunc"):
        found.append(Extern(ExternSpec(name, spec.KSYMS, proto, weak=True, is_function=True)))
    assert externs.place_values(found, read_btf(b.blob())) == 19
    found.sort(key=lambda each: each.number)
    told = [(each.spec.name, each.offset) for each in found]
    assert told == [
        *(("W", 0), ("N", 8), ("A", 12), ("Z", 13), ("TEXT", 14)),
        *(("afunc", 0), ("zfunc", 0)),
    ]


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("CONFIG_MODULE", "CONFIG_MODULE: m does not fit"),
        ("CONFIG_NUMBER", "CONFIG_NUMBER: 0x10 does not fit"),
        ("CONFIG_TEXT", 'CONFIG_TEXT: "some text" does not fit'),
    ],
)
@pytest.mark.usefixtures("configured")
def test_values_that_do_not_fit(name: str, says: str) -> None:
    b = BtfBuilder()
    found = wanted(b, **{name: b.int("_Bool", 1, encoding=BOOL)})
    with pytest.raises(PybpftoolError, match=says):
        values(found, b)


@pytest.mark.usefixtures("configured")
def test_each_value_that_is_missing_is_told() -> None:
    b = BtfBuilder()
    number = b.int()
    found = wanted(
        b, CONFIG_GONE=number, CONFIG_NUMBER=number, CONFIG_TEXT=number, CONFIG_NO=number
    )
    for each in found[:3]:
        each.spec.weak = False
    btf = read_btf(b.blob())
    contents = bytearray(externs.place_values(found, btf))
    unmet = externs.values(found, btf, contents)
    assert [(each.spec.name, error.message) for each, error in unmet] == [
        ("CONFIG_GONE", "this kernel's configuration says nothing of CONFIG_GONE"),
        ("CONFIG_TEXT", 'CONFIG_TEXT: "some text" does not fit its variable'),
    ]
    assert 16 in struct.unpack("=4I", contents)


def test_no_configuration(configured: Path) -> None:
    b = BtfBuilder()
    found = wanted(b, CONFIG_YES=b.int())
    (configured / "config.gz").unlink()
    with pytest.raises(PybpftoolError, match="neither in /boot nor in /proc"):
        values(found, b)
    boot = configured / f"config-{os.uname().release}"
    boot.write_text("CONFIG_YES=7\n")
    assert values(found, b)[0] == 7


# ------------------------------------------------------------------ variables and functions


def types_of(**functions: int) -> BtfBuilder:
    """BTF with functions of so many numbers, and a variable ``count``: a number."""
    b = BtfBuilder()
    number = b.int("int", 4, signed=True)
    for name, arguments in functions.items():
        proto = b.func_proto(number, [("", number)] * arguments)
        b.func(name, proto, linkage=GLOBAL)
    b.var("count", number, linkage=GLOBAL)
    return b


KERNEL, MODULE = read_btf(types_of(one=1, two=2).blob()), read_btf(types_of(far=1).blob())


def resolve(name: str, arguments: int, *, weak: bool) -> Extern:
    """A function that takes so many numbers, or (-1) a variable that is a pointer."""
    b = BtfBuilder()
    number = b.int("long", 8, signed=True)
    if arguments >= 0:
        id = b.func(name, b.func_proto(number, [("", number)] * arguments), linkage=EXTERN)
    else:
        id = b.var(name, b.ptr(number), linkage=EXTERN)
    found = Extern(ExternSpec(name, spec.KSYMS, id, weak=weak, is_function=arguments >= 0))
    for _, error in externs.typed(
        [found], read_btf(b.blob()), lambda: KERNEL, lambda: [(7, MODULE)]
    ):
        raise error
    return found


@pytest.mark.parametrize("weak", [True, False])
@pytest.mark.parametrize(
    ("name", "arguments", "module"), [("one", 1, 0), ("two___new", 2, 0), ("far", 1, 7)]
)
def test_functions(name: str, arguments: int, module: int, weak: bool) -> None:
    found = resolve(name, arguments, weak=weak)
    assert found.btf == module
    assert found.type_id == (MODULE if module else KERNEL).find(name.partition("___")[0], 12)


@pytest.mark.parametrize(
    ("name", "arguments", "says"),
    [
        ("one", 2, "function one is of another type in this kernel"),
        ("far", 0, "function far is of another type in this kernel"),
        ("three", 1, "this kernel offers no function three to programs"),
        ("missing", -1, "this kernel offers no variable missing to programs"),
    ],
)
def test_what_is_weak_may_be_missing(name: str, arguments: int, says: str) -> None:
    assert resolve(name, arguments, weak=True).type_id == 0
    with pytest.raises(PybpftoolError, match=says):
        resolve(name, arguments, weak=False)


@pytest.mark.parametrize("weak", [True, False])
def test_a_variable_of_another_type_is_never_right(weak: bool) -> None:
    with pytest.raises(PybpftoolError, match="variable count is of another type"):
        resolve("count", -1, weak=weak)


def test_symbols(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Addresses of what has no type: each that is missing is told, but for the weak."""
    b = BtfBuilder()
    found = [
        Extern(ExternSpec(name, spec.KSYMS, b.var(name, 0), weak=weak, is_function=False))
        for name, weak in (("there", False), ("no", False), ("gone", False), ("weak", True))
    ]
    btf, symbols = read_btf(b.blob()), tmp_path / "kallsyms"
    monkeypatch.setattr(externs, "KALLSYMS", str(symbols))
    told = [(each.spec.name, error.message) for each, error in externs.addresses(found, btf)]
    assert told == [
        (name, f"{symbols}: No such file or directory") for name in ("gone", "no", "there", "weak")
    ]
    symbols.write_text("0000000000000010 T there\n0000000000000020 t there [module]\n0\n")
    told = [(each.spec.name, error.message) for each, error in externs.addresses(found, btf)]
    assert told == [(name, f"this kernel has no symbol {name}") for name in ("gone", "no")]
    assert [each.address for each in found] == [16, 0, 0, 0]
