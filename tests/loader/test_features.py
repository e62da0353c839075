"""Each question is asked once, and a refusal is a no."""

from __future__ import annotations

import errno
import os
from typing import Any, NamedTuple

import pytest

from pybpftool.errors import KernelError
from pybpftool.kernel import perf
from pybpftool.kernel.syscall import Fd
from pybpftool.loader import features
from tests.support.tape import Tape, memory, new_fd

EVERY = sorted({*features._BTF, *features._ASK} - {"syscall_wrapper"})


class Uname(NamedTuple):
    """What os.uname tells, in part."""

    machine: str


@pytest.fixture(autouse=True)
def forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(features, "_known", {})


@pytest.mark.parametrize("feature", EVERY)
def test_a_refusal_is_a_no_and_is_kept(feature: str) -> None:
    refused = dict.fromkeys(("BTF_LOAD", "PROG_LOAD", "MAP_CREATE"), -errno.EINVAL)
    with Tape(**refused) as tape:
        assert not features.knows(feature)
        assert not features.knows(feature)
    assert len(tape.calls) == 1


@pytest.mark.parametrize(("answer", "known"), [(errno.EBADF, True), (errno.EINVAL, False)])
def test_perf_links_are_known_by_their_refusal(answer: int, known: bool) -> None:
    with Tape(PROG_LOAD=lambda arm: new_fd(), LINK_CREATE=-answer):
        assert features.knows("perf_link") is known


@pytest.mark.parametrize(
    ("refusals", "known"),
    [
        ((errno.EBADF, errno.EINVAL), True),
        ((errno.EINVAL,), False),  # no such links
        ((errno.EBADF, errno.EBADF), False),  # links that take a thread for the process
    ],
)
def test_uprobe_multi_links_are_known_by_two_refusals(refusals: tuple[int], known: bool) -> None:
    left = list(refusals)
    asked = []

    def refuse(arm: Any) -> int:
        asked.append(arm.uprobe_multi.pid)
        return -left.pop(0)

    with Tape(PROG_LOAD=lambda arm: new_fd(), LINK_CREATE=refuse):
        assert features.knows("uprobe_multi") is known
    assert asked == [0, 0xFFFFFFFF][: len(refusals)]


@pytest.mark.parametrize(("answer", "symbol"), [(0, "__x64_sys_read"), (2, "__se_sys_read")])
def test_system_calls_have_the_names_that_can_be_probed(
    answer: int, symbol: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def probe(unit: str, name: str, offset: int, *, retprobe: bool) -> Fd:
        asked.append((unit, name))
        if answer:
            raise KernelError(answer, name)
        return Fd(new_fd())

    monkeypatch.setattr(perf, "probe", probe)
    monkeypatch.setattr(os, "uname", lambda: Uname("x86_64"))
    assert features.syscall_symbol("read") == features.syscall_symbol("read") == symbol
    assert asked == [("kprobe", "__x64_sys_bpf")]


@pytest.mark.parametrize(
    ("says", "known"),
    [
        (b"direct value offset of 1073741824 is not allowed\n", False),
        (b"invalid access to map value pointer\n", True),
        (b"", False),
    ],
)
def test_far_values_are_refused_for_the_map(says: bytes, known: bool) -> None:
    def load(arm: Any) -> int:
        memory(arm.log_buf, len(says) + 1)[:] = says + b"\0"
        return -errno.EINVAL

    with Tape(MAP_CREATE=lambda arm: new_fd(), PROG_LOAD=load):
        assert features.knows("far_map_values") is known
