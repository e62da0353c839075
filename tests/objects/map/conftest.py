"""What the tests of ``map`` begin with."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from pybpftool.kernel import bpffs, holders, proc
from tests.objects.map.machine import HASH, machine
from tests.support.tape import Kernel


@pytest.fixture(autouse=True)
def quiet_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """No processes, no pins and two CPUs, whatever the machine is like."""
    monkeypatch.setattr(holders, "holders", lambda kind: {})
    monkeypatch.setattr(proc, "possible_cpus", lambda: 2)
    monkeypatch.setattr(proc, "fdinfo", lambda fd: {"memlock": "4096", "frozen": "0"})

    def no_mount(kind: str, target: str) -> None:
        raise AssertionError(f"a {kind} would have been mounted on {target}")

    monkeypatch.setattr(bpffs, "mount_fs", no_mount)


@pytest.fixture
def kernel() -> Iterator[Kernel]:
    with machine() as kernel:
        yield kernel


@pytest.fixture
def typed_kernel(kernel: Kernel, monkeypatch: pytest.MonkeyPatch) -> Kernel:
    """Map 8 has types: u32 -> struct { u16 a, b; }."""
    from pybpftool.btf.reader import read_btf
    from pybpftool.entries import typed
    from tests.support.btf_builder import BtfBuilder

    b = BtfBuilder()
    u32, u16 = b.int("u32", 4), b.int("u16", 2)
    pair = b.struct("pair", 4, [("a", u16, 0), ("b", u16, 16)])
    kernel.add_map(
        8,
        type=HASH,
        name="typed",
        key_size=4,
        value_size=4,
        max_entries=3,
        btf_id=1,
        btf_key_type_id=u32,
        btf_value_type_id=pair,
        entries={b"\1\0\0\0": b"\1\0\2\0"},
    )
    monkeypatch.setattr(typed, "_btf", lambda btf_id: read_btf(b.blob()))
    return kernel
