"""Capabilities of this thread: read, put out of effect, and back."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from pybpftool.errors import KernelError
from pybpftool.kernel import capabilities, proc
from pybpftool.kernel._abi import ffi
from pybpftool.kernel.capabilities import held, without


class Kernel:
    """Plays capget and capset for one thread."""

    def __init__(self, effective: int) -> None:
        self.effective = effective
        self.refuse = False

    def capget(self, header: Any, sets: Any) -> int:
        assert header.version == 0x20080522 and header.pid == 0
        sets[0].effective = sets[0].permitted = self.effective & 0xFFFFFFFF
        sets[1].effective = self.effective >> 32
        return 0

    def capset(self, header: Any, sets: Any) -> int:
        if self.refuse:
            ffi.errno = 1
            return -1
        assert sets[0].permitted, "what is permitted stays"
        self.effective = sets[0].effective | sets[1].effective << 32
        return 0


ADMIN, BPF, NET, PERFMON = 1 << 21, 1 << 39, 1 << 12, 1 << 38


@pytest.fixture
def kernel(monkeypatch: pytest.MonkeyPatch) -> Kernel:
    kernel = Kernel(ADMIN | BPF | 1)
    monkeypatch.setattr(capabilities, "lib", kernel)
    return kernel


def test_what_is_held_is_taken_literally(kernel: Kernel) -> None:
    assert held(["CAP_SYS_ADMIN", "CAP_NET_ADMIN", "CAP_BPF", "CAP_PERFMON"]) == [
        "CAP_SYS_ADMIN",
        "CAP_BPF",
    ]


def test_without_some_for_a_while(kernel: Kernel) -> None:
    with without(["CAP_BPF", "CAP_PERFMON"]):
        assert kernel.effective == ADMIN | 1
    assert kernel.effective == ADMIN | BPF | 1
    with pytest.raises(ValueError), without(["CAP_SYS_ADMIN"]):
        raise ValueError
    assert kernel.effective == ADMIN | BPF | 1


def test_a_kernel_that_will_not(kernel: Kernel) -> None:
    kernel.refuse = True
    refused = "failed to drop capabilities: Operation not permitted"
    with pytest.raises(KernelError, match=refused), without(["CAP_BPF"]):
        raise AssertionError("not reached")


@pytest.mark.parametrize(("known", "names"), [(True, 4), (False, 1)])
def test_which_count(known: bool, names: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(capabilities, "knows_cap_bpf", lambda: known)
    assert len(capabilities.for_bpf()) == names
    assert capabilities.for_bpf()[0] == "CAP_SYS_ADMIN"


def test_threads_begun_inside_do_without_as_well() -> None:
    """On the running kernel, whatever this process holds."""
    names = held(capabilities.for_bpf())
    inside: list[list[str]] = []
    with without(names):
        thread = threading.Thread(target=lambda: inside.append(held(names)))
        thread.start()
        thread.join()
    assert inside == [[]]
    assert held(names) == names


def test_agrees_with_proc() -> None:
    has = proc.effective()
    for name in held(proc.CAPABILITIES):
        assert has(name)
