"""The runner: what an answer means, what questions look like, and threads; the kernel by tape."""

from __future__ import annotations

import errno
import os
import threading
from typing import Any

import pytest

from pybpftool.btf.reader import read_btf
from pybpftool.probe import run, tables
from pybpftool.probe.run import Prober, side_by_side
from tests.support.live import insn
from tests.support.tape import Tape, memory, new_fd

ENOTSUPP = 524
PLAIN = tables.Ask("1.0")
REFUSED = tables.Ask("1.0", errno=errno.EINVAL, says=b"is not a function")
UNSAID = tables.Ask("1.0", errno=ENOTSUPP)


def logs(text: bytes, result: int) -> Any:
    """An answer that writes ``text`` where the verifier would."""

    def answer(arm: Any) -> int:
        if arm.log_size:
            memory(arm.log_buf, len(text) + 1)[:] = text + b"\0"
        return result

    return answer


@pytest.mark.parametrize(
    ("result", "log", "ask", "known"),
    [
        (7, b"", PLAIN, True),
        (0, b"", PLAIN, True),
        (-errno.EINVAL, b"", PLAIN, False),
        (-errno.E2BIG, b"", PLAIN, False),
        (-errno.EACCES, b"", PLAIN, False),
        (-errno.EPERM, b"", PLAIN, None),
        (-errno.ENOMEM, b"", PLAIN, None),
        (-errno.EMFILE, b"", PLAIN, None),
        (-errno.EINVAL, b"type 1 is not a function", REFUSED, True),
        (-errno.EINVAL, b"", REFUSED, False),
        (7, b"is not a function", REFUSED, False),
        (-errno.EPERM, b"", REFUSED, None),
        (-ENOTSUPP, b"", UNSAID, True),
        (-errno.EINVAL, b"", UNSAID, False),
        (-errno.EINVAL, b"", None, False),
        (3, b"", None, True),
    ],
)
def test_what_an_answer_means(
    result: int, log: bytes, ask: tables.Ask | None, known: bool | None
) -> None:
    verdict = Prober().judge(result, log, ask)
    assert verdict.known is known
    assert bool(verdict.why) == (known is None)


def test_a_refusal_to_the_unprivileged_is_a_no() -> None:
    prober = Prober(unprivileged=True)
    assert prober.judge(-errno.EPERM).known is False
    assert prober.judge(-errno.ENOMEM).known is None


@pytest.mark.parametrize(
    ("answer", "known"),
    [(-errno.EINVAL, True), (-errno.EPERM, True), (-errno.ENOSYS, False)],
)
def test_the_system_call(answer: int, known: bool) -> None:
    with Tape(PROG_LOAD=answer):
        assert Prober().syscall().known is known


def asked(answers: dict[int, Any], seen: list[int]) -> Any:
    """PROG_LOAD by attach type; ``seen`` gets each that is asked for, once in a row."""

    def answer(arm: Any) -> int:
        if seen[-1:] != [arm.expected_attach_type]:
            seen.append(arm.expected_attach_type)
        found = answers.get(arm.expected_attach_type, -errno.EPERM)
        return found if isinstance(found, int) else int(found(arm))

    return answer


RAW_TP, FENTRY = 23, 24


def test_tracing_by_another_way_where_functions_are_forbidden() -> None:
    """ "probe-cannot-tell": a kernel that traces tracepoints has tracing programs."""
    seen: list[int] = []
    known = logs(b"attach_btf_id 1 is not a typedef", -errno.EINVAL)
    with Tape(PROG_LOAD=asked({RAW_TP: known}, seen)):
        assert Prober().prog_type("tracing").known is True
    assert seen == [FENTRY, RAW_TP]


def test_tracing_where_all_is_forbidden() -> None:
    seen: list[int] = []
    with Tape(PROG_LOAD=asked({}, seen)):
        verdict = Prober().prog_type("tracing")
        assert (verdict.known, verdict.why) == (None, "Operation not permitted")
        assert Prober(unprivileged=True).prog_type("tracing").known is False
    assert seen == [FENTRY, RAW_TP, FENTRY]  # one who has no rights need not ask twice


def test_tracing_asks_once_where_that_is_answered() -> None:
    with Tape(("PROG_LOAD", logs(b"attach_btf_id 1 is not a function", -errno.EINVAL))):
        assert Prober().prog_type("tracing").known is True


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("xdp", {"prog_type": 6, "insn_cnt": 2, "log_level": 0, "expected_attach_type": 0}),
        ("sk_lookup", {"expected_attach_type": 36}),
        ("syscall", {"prog_flags": 16}),
        ("lsm", {"attach_btf_id": 1, "expected_attach_type": 27, "log_size": 4096}),
    ],
)
def test_questions_about_programs(word: str, expected: dict[str, int]) -> None:
    seen: list[dict[str, int]] = []

    def answer(arm: Any) -> int:
        seen.append({name: getattr(arm, name) for name in expected})
        assert memory(arm.license, 4)[:] == b"GPL\0"
        return -errno.ENOENT

    with Tape(PROG_LOAD=answer):
        Prober().prog_type(word)
    assert seen == [expected]


def test_a_kernel_that_does_not_know_the_short_log_is_asked_for_the_long_one() -> None:
    levels: list[int] = []

    def answer(arm: Any) -> int:
        levels.append(arm.log_level)
        if arm.log_level == 4:
            return -errno.EINVAL
        return int(logs(b"R1 !read_ok", -errno.EACCES)(arm))

    loader = run.Loader(6, insn_of_call, {})
    with Tape(PROG_LOAD=answer):
        assert loader.offer(1) == (-errno.EACCES, b"R1 !read_ok")
        assert loader.offer(2) == (-errno.EACCES, b"R1 !read_ok")
    assert levels == [4, 1, 1]


def test_an_interrupted_offer_is_made_again() -> None:
    loader = run.Loader(6, insn_of_call, {})
    answers = [-errno.EINTR, -errno.EINTR, -errno.EACCES]
    with Tape(*(("PROG_LOAD", answer) for answer in answers)):
        assert loader.offer(1) == (-errno.EACCES, b"")


insn_of_call = insn(0x85) + insn(0x95)


def test_questions_about_a_device() -> None:
    seen: list[tuple[int, bytes]] = []

    def answer(arm: Any) -> int:
        seen.append((arm.prog_ifindex, bytes(memory(arm.insns, 8))))
        return -errno.EINVAL

    with Tape(PROG_LOAD=answer, MAP_CREATE=lambda arm: -errno.EINVAL * (arm.map_ifindex == 9)):
        prober = Prober(ifindex=9)
        assert prober.prog_type("xdp").known is False
        assert prober.map_type("hash").known is False
    assert seen == [(9, insn(0xB7, imm=2))]


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("hash", (4, 4, 1, 0)),
        ("queue", (0, 4, 1, 0)),
        ("ringbuf", (0, 0, os.sysconf("SC_PAGESIZE"), 0)),
        ("cgroup_storage", (16, 8, 0, 0)),
        ("sk_storage", (4, 8, 0, 1)),
        ("arena", (0, 0, 1, 1024)),
    ],
)
def test_questions_about_maps(word: str, expected: tuple[int, ...]) -> None:
    seen: list[tuple[int, ...]] = []

    def answer(arm: Any) -> int:
        seen.append((arm.key_size, arm.value_size, arm.max_entries, arm.map_flags))
        return new_fd()

    with Tape(MAP_CREATE=answer, BTF_LOAD=lambda arm: new_fd()):
        assert Prober().map_type(word).known is True
    assert seen == [expected]


def test_what_a_map_needs_is_given_back() -> None:
    before = set(os.listdir("/proc/self/fd"))
    with Tape(MAP_CREATE=lambda arm: -errno.EINVAL if arm.inner_map_fd else new_fd()) as tape:
        assert Prober().map_type("array_of_maps").known is False
    assert tape.calls == ["MAP_CREATE", "MAP_CREATE"]
    assert set(os.listdir("/proc/self/fd")) == before


@pytest.mark.parametrize(("error", "known"), [(errno.EINVAL, False), (errno.EPERM, None)])
def test_a_map_whose_needs_are_refused(error: int, known: bool | None) -> None:
    with Tape(BTF_LOAD=-error):
        assert Prober().map_type("task_storage").known is known


def test_the_btf_of_storage_maps() -> None:
    btf = read_btf(run._storage_btf())
    btf.check()
    lock = btf.find("bpf_spin_lock")
    value = btf.type(3)
    assert lock == 2 and btf.size_of(3) == 8
    assert [member.name for member in value.members] == ["cnt", "l"]  # type: ignore[attr-defined]  # a struct


@pytest.mark.parametrize("word", tables.MISC)
def test_programs_of_features(word: str) -> None:
    seen: list[int] = []

    def answer(arm: Any) -> int:
        seen.append(arm.insn_cnt)
        assert (arm.prog_type, arm.log_level) == (1, 0)
        return new_fd()

    with Tape(PROG_LOAD=answer):
        assert Prober().misc(word).known is True
    assert seen == [4097 if word == "large_insn_limit" else len(tables.MISC[word][2])]


HOOKS = [
    ("cgroup_device", "PROG_QUERY", -errno.EBADF, True),
    ("cgroup_device", "PROG_QUERY", -errno.EINVAL, False),
    ("cgroup_device", "PROG_QUERY", -errno.EPERM, None),
    ("sk_lookup", "PROG_QUERY", 0, True),
    ("tcx_ingress", "PROG_QUERY", -errno.ENODEV, True),
    ("sk_msg_verdict", "PROG_ATTACH", -errno.EBADF, True),
    ("sk_msg_verdict", "PROG_ATTACH", -errno.EINVAL, False),
    ("xdp_devmap", "MAP_CREATE", -errno.EINVAL, False),
    ("perf_event", "LINK_CREATE", -errno.EBADF, True),
    ("perf_event", "LINK_CREATE", -errno.EINVAL, False),
    ("perf_event", "LINK_CREATE", -errno.EPERM, None),
    ("trace_kprobe_multi", "LINK_CREATE", -errno.EFAULT, True),
    ("trace_kprobe_multi", "LINK_CREATE", -errno.EOPNOTSUPP, False),
    ("xdp", "LINK_CREATE", -errno.EOPNOTSUPP, True),
    ("struct_ops", "MAP_CREATE", -ENOTSUPP, True),
    ("struct_ops", "MAP_CREATE", -errno.EINVAL, False),
]


@pytest.mark.parametrize(("word", "cmd", "answer", "known"), HOOKS)
def test_ways_of_attaching(word: str, cmd: str, answer: int, known: bool | None) -> None:
    before = set(os.listdir("/proc/self/fd"))
    with Tape(PROG_LOAD=lambda arm: new_fd(), **{cmd: answer}):  # type: ignore[arg-type]  # rules
        assert Prober().attach_type(word).known is known
    assert set(os.listdir("/proc/self/fd")) == before


def test_a_link_whose_program_is_refused() -> None:
    with Tape(PROG_LOAD=-errno.EINVAL):
        assert Prober().link_type("tcx").known is False
    with Tape(PROG_LOAD=-errno.EPERM):
        assert Prober().link_type("tcx").known is None


@pytest.mark.parametrize(("answer", "known"), [(-errno.ENOENT, True), (-errno.EINVAL, False)])
def test_links_of_raw_tracepoints(answer: int, known: bool) -> None:
    with Tape(LINK_GET_NEXT_ID=answer):
        assert Prober().link_type("raw_tracepoint").known is known


# ------------------------------------------------------------------ threads


def test_results_come_in_order() -> None:
    assert side_by_side(lambda number: number * number, range(100)) == [n * n for n in range(100)]
    assert side_by_side(str, []) == []


def test_several_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(3)))
    together = threading.Barrier(3, timeout=10)
    assert side_by_side(lambda item: together.wait() >= 0, range(3)) == [True] * 3


def test_the_first_failure_is_raised() -> None:
    def fail(number: int) -> int:
        if number == 3:
            raise ValueError("three")
        return number

    with pytest.raises(ValueError, match="three"):
        side_by_side(fail, range(1000))


def test_without_more_threads_it_only_takes_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    import _thread

    def refuse(*_: object) -> int:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(4)))
    monkeypatch.setattr(_thread, "start_new_thread", refuse)
    assert side_by_side(abs, [-1, -2, -3]) == [1, 2, 3]
