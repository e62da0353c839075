"""``prog profile``: what the processor counts while a program runs.

Two programs of our own are put before and behind it (fentry, fexit).  The first notes the
counters, the second adds what they gained to a sum; both on the CPU that runs the program, so
nothing is shared and nothing waits.  All they know is the value of one per-CPU map:

    u64 runs; { u64 sum[3]; u64 before[3]; } of each metric

where the three numbers are those of struct bpf_perf_event_value (linux/bpf.h): the count, and the
ns that it was enabled and running.
"""

from __future__ import annotations

import errno
import struct

from ...command import One
from ...errors import KernelError, Misuse, PybpftoolError
from ...number import strtoul

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from ...command import Call, Options, Record, Words
    from ...insn.code import Insn
    from ...kernel.handles import Prog
    from ...kernel.syscall import Fd

MOST = 4
"""Metrics at a time: processors have few counters."""


# ------------------------------------------------------------------ metrics


class Metric:
    """What can be counted.

    ``type``, ``config``: the event (linux/perf_event.h).  ``base``: the metric that it is set in
    relation to, where that is counted too: so much (``ratio``) for each ``per`` of it.
    """

    __slots__ = ("base", "config", "name", "per", "ratio", "type")

    def __init__(
        self, name: str, type: int, config: int, base: str = "", per: float = 1, ratio: str = ""
    ) -> None:
        self.name = name
        self.type = type
        self.config = config
        self.base = base
        self.per = per
        self.ratio = ratio


_HARDWARE, _HW_CACHE = 0, 3
"""PERF_TYPE_HARDWARE and PERF_TYPE_HW_CACHE."""

_MISSES = 1 << 16
"""PERF_COUNT_HW_CACHE_RESULT_MISS, in its place; the operation is to read, 0."""

METRICS = (
    Metric("cycles", _HARDWARE, 0),
    Metric("instructions", _HARDWARE, 1, "cycles", 1, "insns per cycle"),
    Metric("l1d_loads", _HW_CACHE, 0),
    Metric(
        "llc_misses",
        _HW_CACHE,
        2 | _MISSES,
        "instructions",
        1e6,
        "LLC misses per million insns",
    ),
    Metric(
        "itlb_misses",
        _HW_CACHE,
        4 | _MISSES,
        "instructions",
        1e6,
        "itlb misses per million insns",
    ),
    Metric(
        "dtlb_misses",
        _HW_CACHE,
        3 | _MISSES,
        "instructions",
        1e6,
        "dtlb misses per million insns",
    ),
)


def profile(
    options: Options, prog: Prog, metrics: Sequence[Metric], duration: int | None = None
) -> One:
    """Count events of the processor while a program runs, for some seconds or until interrupted.

    The program must have BTF, and the kernel must let tracing programs be attached to it.
    """
    from ...signals import Stopping

    with Profiler(prog, metrics, options) as profiler, Stopping(("SIGINT",)) as stopping:
        stopping.wait(duration)
        return One(profiler.readings(), _plain)


def _plain(readings: list[Record]) -> str:
    found = {reading["metric"]: reading for reading in readings}
    text = f"\n{readings[0]['run_cnt']:18} {'run_cnt':20}\n"
    for metric in METRICS:
        reading = found.get(metric.name)
        if reading is None:
            continue
        text += f"{reading['value']:18} {metric.name:20}"
        base = found.get(metric.base, {}).get("value")
        ratio = f"# {reading['value'] * metric.per / base:8.2f} {metric.ratio:30}" if base else ""
        text += f"{ratio:41}"
        if reading["enabled"] > reading["running"]:
            text += f"({reading['running'] * 100 / reading['enabled']:4.2f}%)"
        text += "\n"
    return text


# ------------------------------------------------------------------ at work


class Profiler:
    """The two programs on their place, and what they count.

    Raises PybpftoolError in bpftool's words, with the kernel's reason as hint.
    """

    def __init__(self, prog: Prog, metrics: Sequence[Metric], options: Options) -> None:
        from ...kernel import calls, proc

        self._metrics = metrics
        self._cpus = proc.possible_cpus()
        self._open: list[Fd] = []
        target = _entry(prog)
        try:
            self._sums = self._keep(
                calls.map_create(_PERCPU_ARRAY, 4, _size(len(metrics)), 1, "profile_sums")
            )
            counters = [
                self._keep(calls.map_create(_PERF_EVENT_ARRAY, 4, 4, self._cpus, "profile_events"))
                for _ in metrics
            ]
            both = [
                self._load(code, attach_type, prog, target)
                for code, attach_type in (
                    (before(counters, self._sums), _FENTRY),
                    (behind(counters, self._sums), _FEXIT),
                )
            ]
            for metric, map in zip(metrics, counters, strict=True):
                self._count(metric, map, options)
            for each in both:
                self._attach(each)
        except BaseException:
            self.close()
            raise

    def _keep(self, fd: Fd) -> Fd:
        self._open.append(fd)
        return fd

    def _load(self, code: Sequence[Insn], attach_type: int, prog: Prog, target: int) -> Fd:
        from ...insn.code import encode
        from ...kernel import calls

        try:
            return self._keep(
                calls.prog_load(
                    _TRACING,
                    encode(code),
                    name="profile",
                    expected_attach_type=attach_type,
                    attach_prog_fd=prog.fileno(),
                    attach_btf_id=target,
                )
            )
        except KernelError as error:
            raise _explained("failed to load profile_obj", error, _NO_TRACING) from error

    def _count(self, metric: Metric, map: Fd, options: Options) -> None:
        """Enter a counter of every CPU in the map of a metric."""
        for cpu in range(self._cpus):
            try:
                self._count_on(cpu, metric, map)
            except KernelError as error:  # noqa: PERF203 - a few CPUs, and each call is slower
                if error.errno != errno.ENODEV:
                    what = f"failed to create event {metric.name} on cpu {cpu}"
                    raise _explained(what, error, _NO_EVENT) from error
                options.warn(f"cpu {cpu} may be offline, skip {metric.name} profiling.")

    def _count_on(self, cpu: int, metric: Metric, map: Fd) -> None:
        from ...kernel import calls, perf

        event = self._keep(perf.counter(metric.type, metric.config, cpu))
        calls.map_update(map, struct.pack("=I", cpu), struct.pack("=I", event.fileno()))

    def _attach(self, prog: Fd) -> None:
        from ...kernel import calls

        try:
            self._keep(calls.raw_tracepoint_open(prog))
        except KernelError as error:
            raise _explained("failed to attach profile_obj", error, _NO_TRACING) from error

    def readings(self) -> list[Record]:
        """What was counted up to now, a record for each metric."""
        from ...kernel import calls

        size = _size(len(self._metrics))
        value = calls.map_lookup(self._sums, bytes(4), size * self._cpus) or b""
        runs = 0
        sums = [[0, 0, 0] for _ in self._metrics]
        for cpu in range(self._cpus):
            run, *words = struct.unpack_from(f"={size // 8}Q", value, cpu * size)
            runs += run
            for at, total in enumerate(sums):
                sums[at] = [old + new for old, new in zip(total, words[6 * at :], strict=False)]
        return [
            {
                "metric": metric.name,
                "run_cnt": runs,
                "value": value,
                "enabled": enabled,
                "running": running,
            }
            for metric, (value, enabled, running) in zip(self._metrics, sums, strict=True)
        ]

    def close(self) -> None:
        """Take the programs off and give everything back."""
        while self._open:
            self._open.pop().close()

    def __enter__(self) -> Profiler:
        return self

    def __exit__(self, *raised: object) -> None:
        self.close()


_NO_TRACING = (
    "the kernel says: {}; it must be built for tracing programs (CONFIG_FUNCTION_TRACER, BTF)"
)
_NO_EVENT = "the kernel says: {}; virtual machines often have no such counters"


def _explained(what: str, error: KernelError, hint: str) -> PybpftoolError:
    return PybpftoolError(what, hint=error.hint or hint.format(error.reason))


def _entry(prog: Prog) -> int:
    """The BTF id of the function that the program begins with, by which it is traced."""
    info = prog.info
    if not info.btf_id:
        raise PybpftoolError(f"prog FD {prog.fileno()} doesn't have valid btf")
    functions = prog.arrays("func_info")["func_info"]
    if len(functions) < 8:
        raise PybpftoolError(f"found 0 func_info for prog FD {prog.fileno()}")
    entry: int = struct.unpack_from("=II", functions)[1]
    return entry


# ------------------------------------------------------------------ the two programs

_PERF_EVENT_ARRAY, _PERCPU_ARRAY = 4, 6
_TRACING, _FENTRY, _FEXIT = 26, 24, 25
_LOOKUP, _READ_EVENT = 1, 55
"""bpf_map_lookup_elem(), bpf_perf_event_read_value()."""

_READING = 24
"""Bytes of struct bpf_perf_event_value."""


def _sum(at: int) -> int:
    return 8 + 2 * _READING * at


def _before(at: int) -> int:
    return _sum(at) + _READING


def _size(metrics: int) -> int:
    return _sum(metrics)


def before(counters: Sequence[Fd], sums: Fd) -> list[Insn]:
    """The program that runs first: note what the counters say.

    ``counters``: the perf event array of each metric.  ``sums``: the map of the sums.
    """
    from ...insn import code as c
    from ...insn.asm import alu64_imm, exit_, mov64_imm, mov64_reg

    program = [*_own_sums(sums)]
    for at, map in enumerate(counters):
        place = [mov64_reg(3, 6), alu64_imm(c.ADD, 3, _before(at))]
        program += _read(map, place)
    return [*program, mov64_imm(0, 0), exit_()]


def behind(counters: Sequence[Fd], sums: Fd) -> list[Insn]:
    """The program that runs last: add what the counters gained since.

    The counters are read first of all, so that little of our own work is counted.
    """
    from ...insn import code as c
    from ...insn.asm import (
        alu64_imm,
        alu64_reg,
        atomic,
        exit_,
        jump_imm,
        ldx,
        mov64_imm,
        mov64_reg,
    )

    program: list[Insn] = []
    stack = [-8 - _READING * (at + 1) for at in range(len(counters))]
    for map, place in zip(counters, stack, strict=True):
        program += _read(map, [mov64_reg(3, 10), alu64_imm(c.ADD, 3, place)])
        program += [jump_imm(c.JEQ, 0, 0, 2), mov64_imm(0, 0), exit_()]
    program += [*_own_sums(sums), mov64_imm(1, 1), atomic(c.DW, c.ADD, 6, 1, 0)]
    for at, place in enumerate(stack):
        adding: list[Insn] = []
        for word in range(0, _READING, 8):
            adding += [
                ldx(c.DW, 1, 10, place + word),
                ldx(c.DW, 2, 6, _before(at) + word),
                alu64_reg(c.SUB, 1, 2),
                atomic(c.DW, c.ADD, 6, 1, _sum(at) + word),
            ]
        # nothing noted: the program was running already when it was attached to
        program += [ldx(c.DW, 1, 6, _before(at)), jump_imm(c.JEQ, 1, 0, len(adding)), *adding]
    return [*program, mov64_imm(0, 0), exit_()]


def _own_sums(sums: Fd) -> list[Insn]:
    """r6 = the value of the map on this CPU."""
    from ...insn import code as c
    from ...insn.asm import alu64_imm, call, exit_, jump_imm, ld_map_fd, mov64_imm, mov64_reg, st

    return [
        st(c.W, 10, -4, 0),
        mov64_reg(2, 10),
        alu64_imm(c.ADD, 2, -4),
        ld_map_fd(1, sums.fileno()),
        call(_LOOKUP),
        jump_imm(c.JNE, 0, 0, 2),
        mov64_imm(0, 0),
        exit_(),
        mov64_reg(6, 0),
    ]


def _read(map: Fd, place: list[Insn]) -> list[Insn]:
    """Read a counter of this CPU; ``place`` sets r3 to where to.  r0 is 0 if that went well."""
    from ...insn.asm import call, ld_map_fd, mov32_imm, mov64_imm

    return [
        ld_map_fd(1, map.fileno()),
        mov32_imm(2, -1),  # BPF_F_CURRENT_CPU
        *place,
        mov64_imm(4, _READING),
        call(_READ_EVENT),
    ]


# ------------------------------------------------------------------ words


def read_metrics(words: Words, call: Call) -> list[Metric]:
    """All words that are left, in the order of the table, each once."""
    return _chosen(words.rest())


def _chosen(words: Sequence[str]) -> list[Metric]:
    chosen = []
    for word in words:
        metric = next((each for each in METRICS if each.name.startswith(word)), None)
        if metric is None:
            raise PybpftoolError(f"unknown metric {word}")
        chosen.append(metric)
    found = [metric for metric in METRICS if metric in chosen]
    if len(found) > MOST:
        raise PybpftoolError(
            f"too many ({len(found)}) metrics, please specify no more than {MOST} metrics at a time"
        )
    return found


def read_duration(words: Words, call: Call) -> int | None:
    """Seconds.  A second time, or with less than two words behind it, the keyword is a metric."""
    if len(words) < 2 or "duration" in call.bound:
        call.bound["metrics"] = _chosen([words.last, *words.rest()])
        return None
    seconds = strtoul(words.take())
    if seconds is None:
        raise Misuse("")
    return seconds & 0xFFFFFFFF
