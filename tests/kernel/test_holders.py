"""Who holds what: another process, found by what /proc shows of it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator

import pytest

from pybpftool.kernel import calls, holders, proc
from pybpftool.kernel.syscall import Fd
from tests.support.live import RETURN_0, needs_kernel


def hold(*fds: Fd) -> subprocess.Popen[bytes]:
    """Another process that has the descriptors, and nothing to do until its input ends."""
    numbers = [fd.fileno() for fd in fds]
    child = subprocess.Popen(
        [sys.executable, "-c", "print(flush=True); input()"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        pass_fds=numbers,
    )
    assert child.stdout
    child.stdout.readline()  # from now on it goes by its own name
    return child


@pytest.fixture
def array() -> Iterator[Fd]:
    with calls.map_create(2, 4, 4, 1, "held") as fd:
        yield fd


@needs_kernel
def test_a_process_is_told_once_and_only_while_it_lives(array: Fd) -> None:
    number = calls.obj_id(array)
    assert number not in holders.holders("map")  # we ourselves do not count
    with calls.map_fd_by_id(number) as twice, hold(array, twice) as child:
        comm = (proc.read_text(f"/proc/{child.pid}/comm") or "").strip()
        assert holders.holders("map")[number] == [(child.pid, comm)]
        assert number not in holders.holders("link")
        child.communicate(b"\n")
    assert number not in holders.holders("map")


@needs_kernel
def test_holders_come_in_order_of_pid(array: Fd) -> None:
    with hold(array) as one, hold(array) as two:
        found = holders.holders("map")[calls.obj_id(array)]
        assert [pid for pid, _ in found] == sorted([one.pid, two.pid])
        one.communicate(b"\n")
        two.communicate(b"\n")


@needs_kernel
def test_every_kind_is_found_by_its_own_id() -> None:
    with (
        calls.prog_load(17, RETURN_0) as prog,
        calls.raw_tracepoint_open(prog, "sched_switch") as link,
        hold(prog, link) as child,
    ):
        for kind, fd in (("prog", prog), ("link", link)):
            assert [pid for pid, _ in holders.holders(kind)[calls.obj_id(fd)]] == [child.pid]
        child.communicate(b"\n")


def test_processes_that_vanish_or_are_forbidden_are_skipped(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """1 may not be looked into, 2 ends before its name is read, 3 closes a descriptor, 4 lives."""
    ls = {
        "/proc": ["1", "2", "self", "3", "4", str(os.getpid())],
        "/proc/2/fd": ["5"],
        "/proc/3/fd": ["6", "7"],
        "/proc/4/fd": ["8", "9", "10"],
        f"/proc/{os.getpid()}/fd": ["8"],
    }
    links = {
        "/proc/2/fd/5": "anon_inode:bpf-map",
        "/proc/3/fd/7": "anon_inode:bpf-map",
        "/proc/4/fd/8": "anon_inode:bpf-map",
        "/proc/4/fd/9": "socket:[1]",
        "/proc/4/fd/10": "anon_inode:bpf_link",
        f"/proc/{os.getpid()}/fd/8": "anon_inode:bpf-map",
    }
    texts = {
        "/proc/2/fdinfo/5": "map_id:\t70\n",
        "/proc/4/fdinfo/8": "pos:\t0\nmap_id:\t70\n",
        "/proc/4/fdinfo/10": "link_id:\t3\nprog_id:\t4\n",
        "/proc/4/comm": "a (b)\n",
    }

    def listdir(path: str) -> list[str]:
        if path not in ls:
            raise PermissionError(13, "Permission denied", path)
        return ls[path]

    def readlink(path: str) -> str:
        if path not in links:
            raise FileNotFoundError(2, "No such file or directory", path)
        return links[path]

    monkeypatch.setattr(os, "listdir", listdir)
    monkeypatch.setattr(os, "readlink", readlink)
    monkeypatch.setattr(holders, "read_text", texts.get)
    answers = {kind: holders.holders(kind) for kind in ("map", "link", "prog", "btf")}
    monkeypatch.undo()
    assert answers == {
        "map": {70: [(4, "a (b)")]},
        "link": {3: [(4, "a (b)")]},
        "prog": {},
        "btf": {},
    }
