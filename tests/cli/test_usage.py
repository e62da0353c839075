"""The help texts, as a terminal of 80 columns shows them."""

from __future__ import annotations

import pytest

from pybpftool.cli.main import load
from pybpftool.cli.manpage import page
from pybpftool.cli.usage import MARGIN
from pybpftool.objects import OBJECTS
from tests.support.run import pybpftool

BPFTOOLS = (
    "queue | stack | sk_storage | struct_ops | ringbuf | inode_storage |",
    "task_storage | bloom_filter | user_ringbuf | cgrp_storage | arena |",
    "pybpftool prog dump xlated PROG [{ file FILE | [opcodes] [linum] [visual] }]",
    "cgroup/connect_unix | cgroup/getpeername4 | cgroup/getpeername6 |",
    "cgroup/getpeername_unix | cgroup/getsockname4 | cgroup/getsockname6 |",
    "cgroup/sendmsg_unix | cgroup/recvmsg4 | cgroup/recvmsg6 | cgroup/recvmsg_unix |",
    "ATTACH_TYPE := { sk_msg_verdict | sk_skb_verdict | sk_skb_stream_verdict |",
    "METRIC := { cycles | instructions | l1d_loads | llc_misses | itlb_misses | dtlb_misses }",
    "Usage: pybpftool feature probe [COMPONENT] [full] [unprivileged] [macros [prefix PREFIX]]",
)
"""Lines that bpftool breaks so, or not at all: they stay as scripts and people know them."""


@pytest.mark.parametrize("words", [(), *((name,) for name in OBJECTS)])
def test_help_fits_a_terminal(words: tuple[str, ...]) -> None:
    lines = pybpftool(*words, "help").err.splitlines()
    assert [line for line in lines if len(line) > 80 and line.strip() not in BPFTOOLS] == []


@pytest.mark.parametrize("name", OBJECTS)
def test_a_synopsis_is_the_help_without_its_margin(name: str) -> None:
    usage = pybpftool(name, "help").err.replace("Usage: ", MARGIN, 1).partition("OPTIONS :=")[0]
    lines = [line.removeprefix(MARGIN) for line in usage.splitlines() if line]
    man = page(load(name), "").replace("\\e", "\\").splitlines()
    assert [line for line in lines if line not in man] == []


def test_none_of_bpftools_lines_has_become_short_enough() -> None:
    lines = [line for name in OBJECTS for line in pybpftool(name, "help").err.splitlines()]
    assert set(BPFTOOLS) == {line.strip() for line in lines if len(line) > 80}
