"""``prog top`` without a kernel: what is made of two readings, its order, its forms."""

from __future__ import annotations

import csv
import errno
import io
import json
from collections.abc import Iterator
from typing import Any

import pytest

from pybpftool.kernel import holders
from pybpftool.kernel._abi import ffi
from tests.support.run import Ended, pybpftool
from tests.support.tape import Tape, memory, new_fd

PROGS = {
    3: (6, "slow", [(0, 0), (3_000_000, 3), (3_000_000, 3)]),
    8: (3, "busy", [(100, 10), (600, 1010), (700, 1011)]),
    9: (99, "idle", [(0, 0), (0, 0), (0, 0)]),
}
"""id -> type, name, and (run_time_ns, run_cnt) at each reading; the last ones stay."""


class Counting(Tape):
    """A kernel with these programs, whose counters move from one walk to the next."""

    def __init__(self, **rules: Any) -> None:
        super().__init__(
            ENABLE_STATS=lambda arm: new_fd(),
            PROG_GET_NEXT_ID=self._next_id,
            PROG_GET_FD_BY_ID=self._open,
            OBJ_GET_INFO_BY_FD=self._info,
        )
        self.rules |= rules
        self.walks = 0
        self.opened = 0

    def _next_id(self, arm: Any) -> int:
        following = [id for id in PROGS if id > arm.start_id]
        if not following:
            self.walks += 1
            return -errno.ENOENT
        arm.next_id = following[0]
        return 0

    def _open(self, arm: Any) -> int:
        self.opened = arm.prog_id
        return new_fd()

    def _info(self, arm: Any) -> int:
        type, name, counters = PROGS[self.opened]
        time, count = counters[min(self.walks, len(counters) - 1)]
        fields = {"type": type, "id": self.opened, "name": name.encode()}
        raw = ffi.new("struct bpf_prog_info *", fields | {"run_time_ns": time, "run_cnt": count})
        memory(arm.info, arm.info_len)[:] = ffi.buffer(raw)[: arm.info_len]
        return 0


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two seconds between readings; a process that holds a program."""
    now = [0]

    def tick() -> int:
        now[0] += 2 * 10**9
        return now[0]

    monkeypatch.setattr("time.monotonic_ns", tick)
    monkeypatch.setattr("time.time", lambda: 1234.5678)
    monkeypatch.setattr("pybpftool.signals.Stopping.sleep", lambda self, seconds: True)
    monkeypatch.setattr(holders, "holders", lambda kind: {8: [(1, "in,it"), (44, "x")]})


@pytest.fixture
def kernel() -> Iterator[Tape]:
    with Counting() as tape:
        yield tape


TABLE = """\
3 programs, 0.150 % of a CPU within 2.0 s, by cpu
ID  TYPE       NAME  CPU %  RUNS/S   ns/RUN  TIME ns  RUNS  PIDS
 3  xdp        slow  0.150     1.5  1000000  3000000     3
 8  sched_cls  busy  0.000   500.0        0      500  1000  in,it(1), x(44)
 9  99         idle  0.000     0.0        -        0     0

"""


def test_the_table(kernel: Tape) -> None:
    assert pybpftool("prog", "top", "once") == Ended(TABLE.encode(), b"", 0)


def test_json(kernel: Tape) -> None:
    readings = pybpftool("-j", "prog", "top", "count", "2", "type", "sched_cls").json
    assert readings[0] == {
        "time": 1234.568,
        "interval": 2.0,
        "programs": [
            {
                "id": 8,
                "type": "sched_cls",
                "name": "busy",
                "run_time_ns": 500,
                "run_cnt": 1000,
                "cpu_percent": 0.0,
                "runs_per_second": 500.0,
                "average_ns": 0,
                "total_run_time_ns": 600,
                "total_run_cnt": 1010,
                "pids": [{"pid": 1, "comm": "in,it"}, {"pid": 44, "comm": "x"}],
            }
        ],
    }
    assert [reading["programs"][0]["run_cnt"] for reading in readings] == [1000, 1]


def test_lines_of_json_and_csv(kernel: Tape) -> None:
    lines = pybpftool("prog", "top", "count", "3", "j", "name", "s").out.splitlines()
    assert [len(json.loads(line)["programs"]) for line in lines] == [2, 2, 2]


def test_csv(kernel: Tape) -> None:
    rows = list(csv.DictReader(io.StringIO(pybpftool("prog", "top", "once", "csv").out)))
    assert [(row["id"], row["average_ns"], row["pids"]) for row in rows] == [
        ("3", "1000000", ""),
        ("8", "0", "1 44"),
        ("9", "", ""),
    ]


@pytest.mark.parametrize(
    ("key", "ids"),
    [
        ("cpu", [3, 8, 9]),
        ("runs", [8, 3, 9]),
        ("average", [3, 8, 9]),
        ("id", [3, 8, 9]),
        ("name", [8, 9, 3]),
        ("t", [9, 8, 3]),
    ],
)
def test_order(key: str, ids: list[int], kernel: Tape) -> None:
    rows = pybpftool("prog", "top", "once", "csv", "sort", key).out.splitlines()[1:]
    assert [int(row.split(",")[2]) for row in rows] == ids


@pytest.mark.parametrize(
    ("words", "ids"),
    [("name us", [8]), ("type xdp", [3]), ("pid 44", [8]), ("pid 2", []), ("name s pid 1", [8])],
)
def test_filters(words: str, ids: list[int], kernel: Tape) -> None:
    programs = pybpftool("-j", "prog", "top", "once", *words.split()).json[0]["programs"]
    assert [prog["id"] for prog in programs] == ids


def test_nothing_to_show(kernel: Tape) -> None:
    assert pybpftool("-j", "prog", "top", "count", "0").json == []
    ended = pybpftool("prog", "top", "once", "pid", "2")
    assert ended.out.splitlines()[0] == "0 programs, 0.000 % of a CPU within 2.0 s, by cpu"


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ("interval x", "can't parse x as interval: seconds from 0.05 to 86400"),
        ("interval nan", "can't parse nan as interval: seconds from 0.05 to 86400"),
        ("interval 0", "can't parse 0 as interval: seconds from 0.05 to 86400"),
        ("count x", "can't parse x as count"),
        ("pid x", "can't parse x as PID"),
        ("sort x", "can't sort by 'x': the keys are cpu, runs, average, id, name, type"),
        ("type x", "unknown program type 'x'"),
        ("zork", "what is 'zork'?"),
        ("sort", "'sort' needs at least 1 arguments, 0 found"),
    ],
)
def test_words(words: str, sentence: str, kernel: Tape) -> None:
    assert pybpftool("prog", "top", *words.split()).err == f"Error: {sentence}\n"


def test_a_kernel_without_statistics() -> None:
    with Counting(ENABLE_STATS=-errno.EINVAL):
        ended = pybpftool("prog", "top", "once")
    assert ended.err == (
        "Error: can't enable statistics: Invalid argument\n"
        "Hint: the kernel counts for those who ask since Linux 5.8\n"
    )
    assert ended.status == 255
