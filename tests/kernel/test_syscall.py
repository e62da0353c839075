"""The choke-point: errors, moods, hints, descriptors.  The kernel is played."""

from __future__ import annotations

import errno
import os
import resource
from collections.abc import Iterator
from operator import index
from typing import Any

import pytest

from pybpftool.errors import KernelError
from pybpftool.kernel import calls, proc, syscall
from pybpftool.kernel._abi import ffi
from pybpftool.kernel.syscall import Fd, lib
from tests.support.tape import Tape, gives, new_fd


@pytest.fixture(autouse=True)
def memlock_untouched(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if the limit had been raised already, so that no test raises it by accident."""
    monkeypatch.setattr(syscall, "_memlock_raised", True)


@pytest.mark.parametrize("error", [errno.ENOENT, errno.EINVAL, errno.E2BIG, errno.ENOSYS, 524])
def test_a_refusal_names_command_and_reason(error: int) -> None:
    with Tape(MAP_FREEZE=-error), pytest.raises(KernelError) as caught:
        calls.map_freeze(3)
    assert caught.value.errno == error
    assert caught.value.message == f"BPF_MAP_FREEZE: {os.strerror(error)}"
    assert caught.value.hint is None


def test_an_interrupted_call_is_made_again() -> None:
    script = [("PROG_TEST_RUN", -errno.EINTR)] * 3 + [("PROG_TEST_RUN", gives(retval=5))]
    with Tape(*script):
        assert calls.prog_test_run(3).retval == 5


def test_a_program_load_is_offered_to_a_busy_kernel_a_few_times() -> None:
    script: list[Any] = [("PROG_LOAD", -errno.EAGAIN)] * 4
    with Tape(*script, ("PROG_LOAD", lambda arm: new_fd())):
        calls.prog_load(1, bytes(8)).close()
    with Tape(PROG_LOAD=-errno.EAGAIN) as tape, pytest.raises(KernelError) as caught:
        calls.prog_load(1, bytes(8))
    assert caught.value.errno == errno.EAGAIN
    assert len(tape.calls) == 5


def test_eagain_of_other_commands_is_believed() -> None:
    with Tape(MAP_FREEZE=-errno.EAGAIN) as tape, pytest.raises(KernelError):
        calls.map_freeze(3)
    assert len(tape.calls) == 1


@pytest.fixture
def low_memlock(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """A limit of 64 KiB that is only remembered, never set; gives what it was set to."""
    set_to: list[tuple[int, int]] = []
    monkeypatch.setattr(syscall, "_memlock_raised", False)
    monkeypatch.setattr(resource, "getrlimit", lambda which: (65536, 65536))
    monkeypatch.setattr(resource, "setrlimit", lambda which, limits: set_to.append(limits))
    return set_to


def test_memlock_is_raised_once_where_an_old_kernel_counts_it(
    low_memlock: list[tuple[int, int]],
) -> None:
    with Tape(("MAP_CREATE", -errno.EPERM), ("MAP_CREATE", lambda arm: new_fd())):
        calls.map_create(2, 4, 4, 1).close()
    assert low_memlock == [(resource.RLIM_INFINITY, resource.RLIM_INFINITY)]
    with Tape(("MAP_CREATE", -errno.EPERM)), pytest.raises(KernelError):
        calls.map_create(2, 4, 4, 1)
    assert len(low_memlock) == 1


def test_memlock_has_no_part_in_other_refusals(low_memlock: list[tuple[int, int]]) -> None:
    with Tape(("MAP_FREEZE", -errno.EPERM)), pytest.raises(KernelError):
        calls.map_freeze(3)
    with Tape(("MAP_CREATE", -errno.EINVAL)), pytest.raises(KernelError):
        calls.map_create(2, 4, 4, 1)
    assert low_memlock == []


def test_a_limit_that_may_not_be_raised_leaves_the_refusal(
    low_memlock: list[tuple[int, int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(which: int, limits: tuple[int, int]) -> None:
        raise ValueError("not allowed to raise maximum limit")

    monkeypatch.setattr(resource, "setrlimit", refuse)
    with Tape(("PROG_LOAD", -errno.EPERM)), pytest.raises(KernelError) as caught:
        calls.prog_load(1, bytes(8))
    assert caught.value.errno == errno.EPERM


def test_the_kernel_is_shown_just_the_arm_of_the_command() -> None:
    sizes = {name: ffi.sizeof(field.type) for name, field in ffi.typeof("union bpf_attr").fields}
    with Tape(MAP_FREEZE=0, LINK_DETACH=0, PROG_BIND_MAP=0) as tape:
        calls.map_freeze(3)
        calls.link_detach(3)
        calls.prog_bind_map(3, 4)
    assert tape.sizes == [sizes["elem"], sizes["link_detach"], sizes["prog_bind_map"]]
    assert tape.sizes == [32, 4, 12]


def test_every_command_has_an_arm() -> None:
    arms = {name for name, _ in ffi.typeof("union bpf_attr").fields}
    assert len(syscall.ARMS) == len(ffi.typeof("enum bpf_cmd").elements)
    assert set(syscall.ARMS) == arms
    assert syscall._NEEDS.keys() <= arms


def test_an_unknown_machine_hears_that_there_is_no_such_call(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(syscall, "BPF", -1)
    with pytest.raises(KernelError) as caught:
        calls.map_freeze(0)
    assert caught.value.errno == errno.ENOSYS


# ------------------------------------------------------------------ hints

NOBODY = "CapEff:\t0000000000000000\n"
ADMIN = "CapEff:\t0000000000200000\n"
ALL = "CapEff:\t000001ffffffffff\n"


@pytest.fixture
def files(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, str]]:
    """The files of /proc and /sys that a hint looks at, as a new kernel has them for root."""
    found = {
        "/proc/self/status": ALL,
        "/proc/sys/kernel/cap_last_cap": "40\n",
        "/proc/sys/kernel/unprivileged_bpf_disabled": "2\n",
        "/proc/self/uid_map": "         0          0 4294967295\n",
    }
    monkeypatch.setattr(proc, "read_text", found.get)
    yield found


def hint_of(cmd: str) -> str | None:
    return syscall.refusal(getattr(lib, cmd), errno.EPERM).hint


def test_what_is_missing_is_named(files: dict[str, str]) -> None:
    files["/proc/self/status"] = NOBODY
    assert hint_of("BPF_MAP_GET_NEXT_ID") == "this process lacks CAP_SYS_ADMIN"
    assert hint_of("BPF_PROG_QUERY") == "this process lacks CAP_NET_ADMIN"
    assert (
        hint_of("BPF_MAP_CREATE")
        == "this process lacks CAP_BPF, and kernel.unprivileged_bpf_disabled is 2"
    )
    files["/proc/sys/kernel/unprivileged_bpf_disabled"] = "0\n"
    assert hint_of("BPF_MAP_CREATE") == "this process lacks CAP_BPF"


def test_an_old_kernel_is_asked_for_what_it_has(files: dict[str, str]) -> None:
    files["/proc/self/status"] = NOBODY
    files["/proc/sys/kernel/cap_last_cap"] = "37\n"
    files["/proc/sys/kernel/unprivileged_bpf_disabled"] = "0\n"
    assert hint_of("BPF_PROG_LOAD") == "this process lacks CAP_NET_ADMIN, CAP_SYS_ADMIN"


def test_cap_sys_admin_implies_cap_bpf(files: dict[str, str]) -> None:
    files["/proc/self/status"] = ADMIN
    assert hint_of("BPF_MAP_CREATE") is None
    assert hint_of("BPF_PROG_LOAD") == "this process lacks CAP_NET_ADMIN"


def test_root_hears_of_lockdown_or_of_nothing(files: dict[str, str]) -> None:
    assert hint_of("BPF_PROG_LOAD") is None
    files["/sys/kernel/security/lockdown"] = "[none] integrity confidentiality\n"
    assert hint_of("BPF_PROG_LOAD") is None
    files["/sys/kernel/security/lockdown"] = "none integrity [confidentiality]\n"
    assert hint_of("BPF_PROG_LOAD") == "the kernel is locked down (confidentiality)"


def test_root_of_a_user_namespace_hears_so(files: dict[str, str]) -> None:
    files["/proc/self/uid_map"] = "         0     100000      65536\n"
    assert hint_of("BPF_MAP_GET_NEXT_ID") == (
        "capabilities count only in the first user namespace, and this is another"
    )


def test_no_hint_where_eperm_has_other_reasons(files: dict[str, str]) -> None:
    files["/proc/self/status"] = NOBODY
    assert hint_of("BPF_MAP_UPDATE_ELEM") is None  # frozen, or opened for reading
    assert hint_of("BPF_OBJ_PIN") is None  # a dot in the name
    assert syscall.refusal(lib.BPF_MAP_CREATE, errno.EINVAL).hint is None


# ------------------------------------------------------------------ Fd


def test_fd_closes_once() -> None:
    number = new_fd()
    fd = Fd(number)
    assert (fd.fileno(), index(fd), repr(fd)) == (number, number, f"Fd({number})")
    os.fstat(index(fd))
    fd.close()
    fd.close()
    with pytest.raises(ValueError, match="is closed"):
        index(fd)
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(number)


def test_fd_closes_on_leaving_and_on_going_out_of_use() -> None:
    number = new_fd()
    with Fd(number) as fd:
        os.fstat(index(fd))
    assert not os.path.exists(f"/proc/self/fd/{number}")
    fd = Fd(new_fd())
    number = fd.fileno()
    del fd
    assert not os.path.exists(f"/proc/self/fd/{number}")


def test_a_released_fd_is_the_callers() -> None:
    fd = Fd(new_fd())
    number = fd.release()
    fd.close()
    os.close(number)
