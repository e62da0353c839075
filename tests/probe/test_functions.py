"""Helpers and kfuncs: what the verifier's words mean, and how the kernel is asked for its types."""

from __future__ import annotations

import errno
import os
import struct
from pathlib import Path
from typing import Any

import pytest

from pybpftool.btf.types import FUNC
from pybpftool.errors import BadData, KernelError
from pybpftool.kernel.syscall import Fd
from pybpftool.kernel.words import HELPERS, PROG_TYPES
from pybpftool.probe import functions
from pybpftool.probe.run import Prober, Verdict
from tests.probe.test_run import logs
from tests.support.btf_builder import BtfBuilder
from tests.support.live import insn
from tests.support.tape import Tape, memory, new_fd

REDIRECT = HELPERS.index("redirect")

SAID = [
    (b"program of this type cannot use helper bpf_redirect#23\n", -errno.EINVAL, False),
    (b"unknown func bpf_redirect#23\n", -errno.EINVAL, False),
    (b"invalid func unknown#300\n", -errno.EINVAL, False),
    (b"R1 !read_ok\n", -errno.EACCES, True),
    (b"R1 type=ctx expected=map_ptr\n", -errno.EACCES, True),
    (b"arg#0 must be something\n", -errno.EINVAL, True),
    (b"", -errno.EINVAL, False),
    (b"", -errno.EPERM, None),
]


@pytest.mark.parametrize(("said", "result", "known"), SAID)
def test_what_the_verifier_says_of_a_helper(said: bytes, result: int, known: bool | None) -> None:
    with Tape(PROG_LOAD=logs(b"0: (85) call\n" * bool(said) + said, result)):
        verdicts = functions.helper(Prober(), REDIRECT, ["xdp"])
        assert verdicts["xdp"].known is known
        assert functions.helpers(Prober(), "xdp", [REDIRECT]) == [REDIRECT] * (known is True)


def test_a_helper_no_one_has_is_told_apart() -> None:
    with Tape(PROG_LOAD=logs(b"invalid func unknown#300\n", -errno.EINVAL)):
        assert functions.helper(Prober(), 300, ["xdp"]) == {"xdp": functions.ABSENT}


def test_what_devices_say_counts_for_devices_only() -> None:
    said = logs(b"unsupported function id: 23\n", -errno.EINVAL)
    with Tape(PROG_LOAD=said):
        assert functions.helpers(Prober(ifindex=3), "xdp", [REDIRECT]) == []
        assert functions.helpers(Prober(), "xdp", [REDIRECT]) == [REDIRECT]


def test_the_program_is_never_one_to_be_kept() -> None:
    """It calls, reads what the call spoilt, and ends; only the number changes between offers."""
    seen: list[bytes] = []

    def answer(arm: Any) -> int:
        seen.append(bytes(memory(arm.insns, arm.insn_cnt * 8)))
        assert (arm.prog_type, arm.log_level, arm.prog_ifindex) == (PROG_TYPES.index("xdp"), 4, 0)
        return int(logs(b"R1 !read_ok", -errno.EACCES)(arm))

    with Tape(PROG_LOAD=answer):
        assert functions.helpers(Prober(), "xdp", [1, 211]) == [1, 211]
    assert seen == [insn(0x85, imm=number) + insn(0xBF, src=1) + insn(0x95) for number in (1, 211)]


def test_words_of_an_offer_before_do_not_count() -> None:
    answers = [
        ("PROG_LOAD", logs(b"unknown func bpf_x#1", -errno.EINVAL)),
        ("PROG_LOAD", -errno.ENOENT),
        ("PROG_LOAD", logs(b"R1 !read_ok", -errno.EACCES)),
    ]
    with Tape(*answers):
        assert functions.helpers(Prober(), "xdp", [1, 2, 3]) == [3]


def test_noisy_helpers_are_asked_for_in_full_only() -> None:
    quiet, full = functions.helper_ids(False), functions.helper_ids(True)
    assert [HELPERS[number] for number in full if number not in quiet] == [
        "trace_printk",
        "probe_write_user",
        "trace_vprintk",
    ]
    assert full == list(range(1, len(HELPERS)))


# ------------------------------------------------------------------ types of the kernel


def finds(result: int) -> Any:
    """PROG_TEST_RUN that leaves ``result`` in the context."""

    def answer(arm: Any) -> int:
        memory(arm.ctx_in, 8)[:] = struct.pack("=q", result)
        return 0

    return answer


def test_a_type_of_the_kernel() -> None:
    seen: list[bytes] = []

    def load(arm: Any) -> int:
        seen.append(bytes(memory(arm.insns, arm.insn_cnt * 8)))
        assert (PROG_TYPES[arm.prog_type], arm.prog_flags) == ("syscall", 16)
        return new_fd()

    with Tape(("PROG_LOAD", load), ("PROG_TEST_RUN", finds(65895))):
        assert functions.find_type("bpf_cast", FUNC) == (65895, None)
    code = [seen[0][at : at + 8] for at in range(0, len(seen[0]), 8)]
    stored = b"".join(each[4:] for each in code if each[0] == 0x62)
    assert stored == b"bpf_cast\0" + bytes(7)
    assert insn(0xB7, 2, imm=9) in code and insn(0xB7, 3, imm=12) in code


def test_a_type_of_a_module_comes_with_its_btf() -> None:
    fd = new_fd()
    with Tape(("PROG_LOAD", lambda arm: new_fd()), ("PROG_TEST_RUN", finds(fd << 32 | 77))):
        found = functions.find_type("bpf_ct_release", FUNC)
    assert found and found[0] == 77 and found[1] and found[1].fileno() == fd
    found[1].close()


def test_a_type_that_is_not_there() -> None:
    with Tape(("PROG_LOAD", lambda arm: new_fd()), ("PROG_TEST_RUN", finds(-errno.ENOENT))):
        assert functions.find_type("nope", FUNC) is None
    with Tape():  # no name of the kernel is as long as that
        assert functions.find_type("x" * 4096, FUNC) is None


def test_a_kernel_that_cannot_be_asked() -> None:
    with Tape(PROG_LOAD=-errno.EINVAL):
        with pytest.raises(KernelError):
            functions.find_type("x", FUNC)
        verdict = functions.target(Prober(), "tracing")
    assert isinstance(verdict, Verdict) and verdict.known is None
    assert verdict.why == "can't look for btf_trace_sched_switch: Invalid argument"


def test_targets() -> None:
    with Tape(PROG_LOAD=lambda arm: new_fd(), PROG_TEST_RUN=finds(5)):
        assert functions.target(Prober(), "tracing") == {
            "attach_btf_id": 5,
            "expected_attach_type": 23,
        }
        assert functions.target(Prober(), "struct_ops") == {"attach_btf_id": 5}
    with Tape(PROG_LOAD=lambda arm: new_fd(), PROG_TEST_RUN=finds(-errno.ENOENT)):
        verdict = functions.target(Prober(), "lsm")
    assert isinstance(verdict, Verdict) and verdict.why == "this kernel has no bpf_lsm_file_open"
    verdict = functions.target(Prober(), "ext")
    assert isinstance(verdict, Verdict) and verdict.known is None
    assert functions.target(Prober(), "sk_lookup") == {"expected_attach_type": 36}


# ------------------------------------------------------------------ kfuncs


@pytest.mark.parametrize(
    ("said", "prog_type", "known"),
    [
        (b"calling kernel function bpf_x is not allowed\n", "xdp", False),
        (b"kernel btf_id 7 is not a function\n", "xdp", False),
        (b"BPF_CALL uses reserved fields\n", "xdp", False),
        (b"R1 !read_ok\n", "xdp", True),
        (b"program must be sleepable to call sleepable kfunc bpf_x\n", "xdp", True),
        (b"metadata kfuncs require device-bound program\n", "xdp", True),
        (b"metadata kfuncs require device-bound program\n", "kprobe", False),
    ],
)
def test_what_the_verifier_says_of_a_kfunc(said: bytes, prog_type: str, known: bool) -> None:
    def answer(arm: Any) -> int:
        assert bytes(memory(arm.insns, 8)) == insn(0x85, src=2, imm=7)
        return int(logs(said, -errno.EACCES)(arm))

    with Tape(PROG_LOAD=answer):
        [verdict] = functions.kfuncs(Prober(), [7], None, [prog_type])[prog_type]
    assert verdict.known is known


def test_a_kfunc_of_a_module_is_called_through_its_btf() -> None:
    def answer(arm: Any) -> int:
        assert bytes(memory(arm.insns, 8)) == insn(0x85, src=2, off=1, imm=7)
        assert struct.unpack("=2I", memory(arm.fd_array, 8)[:]) == (0, module.fileno())
        return int(logs(b"R1 !read_ok", -errno.EACCES)(arm))

    with Fd(new_fd()) as module, Tape(PROG_LOAD=answer):
        found = functions.kfuncs(Prober(), [7], module, ["xdp"])
    assert [verdict.known for verdict in found["xdp"]] == [True]


def test_kfuncs_where_a_type_cannot_be_made_up() -> None:
    with Tape():
        found = functions.kfuncs(Prober(), [7, 8], None, ["ext"])
    assert [verdict.known for verdict in found["ext"]] == [None, None]


def test_marks_in_the_btf_of_the_kernel_and_its_modules(tmp_path: Path) -> None:
    vmlinux = BtfBuilder()
    proto = vmlinux.func_proto(0, [])
    one = vmlinux.func("bpf_one", proto)
    other = vmlinux.func("vfs_other", proto)
    vmlinux.decl_tag("bpf_kfunc", one)
    vmlinux.decl_tag("something", other)
    (tmp_path / "vmlinux").write_bytes(vmlinux.blob())
    (tmp_path / "amodule").write_bytes(vmlinux.blob())
    found = dict(functions.marked_kfuncs(str(tmp_path)))
    assert list(found) == ["vmlinux", "amodule"]  # the base comes first, whatever the names
    assert found["vmlinux"] == {one: "bpf_one"}


def test_no_btf_at_all(tmp_path: Path) -> None:
    with pytest.raises(KernelError):
        list(functions.marked_kfuncs(str(tmp_path / "absent")))


def test_btf_that_is_none(tmp_path: Path) -> None:
    (tmp_path / "vmlinux").write_bytes(os.urandom(8))
    with pytest.raises(BadData):
        list(functions.marked_kfuncs(str(tmp_path)))


def test_the_kernel_itself_is_no_module() -> None:
    assert functions.module_btf("vmlinux") is None
    with Tape(BTF_GET_NEXT_ID=-errno.ENOENT), pytest.raises(KernelError):
        functions.module_btf("gone")
