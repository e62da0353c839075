"""Settings and build options of the kernel, from files as they are and as they should not be."""

from __future__ import annotations

import gzip
import os
from pathlib import Path

import pytest

from pybpftool.errors import BadData, PybpftoolError
from pybpftool.kernel import bpffs
from pybpftool.kernel import config as kernel_config
from pybpftool.probe import config, tables

HEAD = "#\n# Automatically generated file; DO NOT EDIT.\n# Linux\n"


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(kernel_config, "BOOT", str(tmp_path / "config-{}"))
    monkeypatch.setattr(kernel_config, "PROC", str(tmp_path / "config.gz"))
    return tmp_path


def boot(files: Path) -> Path:
    return files / f"config-{os.uname().release}"


TEXT = HEAD + (
    "CONFIG_BPF=y\n# CONFIG_NET is not set\nCONFIG_HZ=250\nCONFIG_HZ=1000\n"
    'CONFIG_CC="gcc"\nCONFIG_EMPTY=\nXCONFIG_TEST_BPF=m\nCONFIG_LAST=m'
)
FOUND = {
    "CONFIG_BPF": "y",
    "CONFIG_NET": None,
    "CONFIG_HZ": "250",
    "CONFIG_CC": '"gcc"',
    "CONFIG_EMPTY": None,
    "CONFIG_TEST_BPF": None,
    "CONFIG_LAST": "m",
}
NAMES = [name.removeprefix("CONFIG_") for name in FOUND]


def test_a_plain_file(files: Path) -> None:
    boot(files).write_text(TEXT)
    assert config.options(NAMES) == FOUND


def test_a_gzipped_file(files: Path) -> None:
    boot(files).write_bytes(gzip.compress(TEXT.encode()))
    assert config.options(NAMES) == FOUND


def test_the_kernels_own(files: Path) -> None:
    (files / "config.gz").write_bytes(gzip.compress(TEXT.encode()))
    assert config.options(["HZ"]) == {"CONFIG_HZ": "250"}


def test_no_file(files: Path) -> None:
    with pytest.raises(PybpftoolError, match="can't open file: No such file or directory"):
        config.options(NAMES)


@pytest.mark.parametrize(
    "content", [b"", b"one line", b"#\n# by hand\nCONFIG_BPF=y\n", b"\xff" * 99]
)
def test_another_file(content: bytes, files: Path) -> None:
    boot(files).write_bytes(content)
    with pytest.raises(PybpftoolError, match="can't find correct file"):
        config.options(NAMES)


def test_broken_compression(files: Path) -> None:
    boot(files).write_bytes(b"\x1f\x8b" + bytes(100))
    with pytest.raises(BadData, match="can't read from file"):
        config.options(NAMES)


def test_a_bomb_is_not_unpacked(files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernel_config, "_LARGEST", 1 << 12)
    boot(files).write_bytes(gzip.compress(HEAD.encode() + bytes(1 << 24)))
    assert config.options(["BPF"]) == {"CONFIG_BPF": None}


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("1\n", 1),
        ("0\n", 0),
        ("-7\n", -7),
        ("528482304\n", 528482304),
        ("1", -1),
        ("", -1),
        (None, -1),
        ("x\n", -1),
        ("1 2\n", -1),
        ("--1\n", -1),
        ("99999999999999999999\n", -1),
        ("9999999999999999999\n", -1),
    ],
)
def test_sysctls(text: str | None, number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bpffs, "fs_magic", lambda path: config.PROC_SUPER_MAGIC)
    monkeypatch.setattr(config, "read_text", lambda path: text)
    assert config.sysctls() == dict.fromkeys(tables.SYSCTLS, number)


def test_no_procfs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bpffs, "fs_magic", lambda path: 0xEF53)
    assert config.sysctls() is None
