"""Speed as a ratio to the installed bpftool, measured in one run; writes the tables of
docs/performance.md.

Each pair of commands runs in turn (A B A B …) after one warm-up, so that a machine whose speed
drifts slows both; the median of the ratios pair by pair is what counts.  Memory is the peak of
the largest run, as the kernel accounts it (ru_maxrss).

    python benchmarks/run.py            measure and print
    python benchmarks/run.py --write    … and put the tables into docs/performance.md
    python benchmarks/run.py types      … or only the sections named
    python benchmarks/run.py --once     every command once, to see that all of them work

Needs root, the bpftool to compare with (PYBPFTOOL_REFERENCE or the one on PATH), and pybpftool
installed beside the interpreter that runs this.  PYBPFTOOL_NEWER_REFERENCE may name a bpftool 7.8.
"""

from __future__ import annotations

import argparse
import os
import platform
import shutil
import signal
import statistics
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from pybpftool.insn.asm import (  # noqa: E402 - found through the line above
    alu32_imm,
    alu64_imm,
    call,
    exit_,
    ld_map_fd,
    ldx,
    mov64_imm,
    mov64_reg,
    stx,
)
from pybpftool.insn.code import ADD, AND, DW, Insn, W, encode  # noqa: E402 - as above
from pybpftool.kernel import calls  # noqa: E402 - as above
from pybpftool.kernel.bpffs import mount_fs  # noqa: E402
from tests.support.btf_builder import BtfBuilder  # noqa: E402

HASH, ARRAY, LRU_HASH = 1, 2, 9
SCHED_CLS = 3
KTIME_GET_NS = 5
INSNS, PROGRAMS = 100_000, 500
OURS = [str(Path(sys.executable).with_name("pybpftool"))]
THEIRS = [os.environ.get("PYBPFTOOL_REFERENCE") or shutil.which("bpftool") or "bpftool"]
VMLINUX = "/sys/kernel/btf/vmlinux"
RUNS = 5
ASK_MAP = [*OURS, *"feature probe map_type hash".split()]
ASK_HELPER = [*OURS, *"feature probe helper bpf_redirect".split()]


class Sample:
    """One run: wall seconds and peak memory in MiB."""

    def __init__(self, argv: Sequence[str], out: int) -> None:
        begun = time.perf_counter()
        # not beside the sources, which a bare interpreter would import in the place of the package
        process = subprocess.Popen(argv, stdout=out, stderr=subprocess.DEVNULL, cwd="/")
        _, status, usage = os.wait4(process.pid, 0)
        self.seconds = time.perf_counter() - begun
        self.memory = usage.ru_maxrss / 1024
        if os.waitstatus_to_exitcode(status) not in (0, -13):
            raise SystemExit(f"{' '.join(argv)}: status {status}")


class Row:
    """One line of a table: the pair of commands, and what was asked for.

    ``once``: without a warm-up, and without a second run.
    """

    once = False

    def __init__(self, name: str, ours: Sequence[str], theirs: Sequence[str], goal: str) -> None:
        self.name = name
        self.goal = goal
        self.ours: list[Sample] = []
        self.theirs: list[Sample] = []
        self._argv = list(ours), list(theirs)

    def measure(self, to_file: bool, runs: int = RUNS) -> Row:
        for turn in range(1, 2) if self.once else range(runs + 1):
            for argv, samples in zip(self._argv, (self.ours, self.theirs), strict=True):
                with _sink(to_file) as out:
                    sample = Sample(argv, out)
                if turn:
                    samples.append(sample)
        return self

    @property
    def ratio(self) -> float:
        """How many times faster than the other, the median of the pairs."""
        return statistics.median(
            theirs.seconds / ours.seconds
            for ours, theirs in zip(self.ours, self.theirs, strict=True)
        )

    def cells(self) -> list[str]:
        ours = statistics.median(sample.seconds for sample in self.ours)
        theirs = statistics.median(sample.seconds for sample in self.theirs)
        memory = max(sample.memory for sample in self.ours)
        return [self.name, f"{ours:.3f}", f"{theirs:.3f}", f"{memory:.0f}", self.goal]


@contextmanager
def _sink(to_file: bool) -> Iterator[int]:
    if to_file:
        with tempfile.TemporaryFile() as file:
            yield file.fileno()
    else:
        with open(os.devnull, "wb") as file:
            yield file.fileno()


def typed() -> tuple[bytes, int, int, int]:
    """BTF of ``u32 -> struct flow``: the blob, key id, value id, value size."""
    btf = BtfBuilder()
    u32 = btf.int("unsigned int", 4)
    u64 = btf.int("unsigned long long", 8)
    s32 = btf.int("int", 4, signed=True)
    value = btf.struct(
        "flow", 24, [("packets", u64, 0), ("bytes", u64, 64), ("cpu", s32, 128), ("mark", u32, 160)]
    )
    return btf.blob(), u32, value, 24


def filled(directory: Path, name: str, count: int, *, with_btf: bool) -> Path:
    """A pinned hash map of ``count`` entries."""
    fields = {}
    blob, key_id, value_id, size = typed()
    if with_btf:
        btf = calls.btf_load(blob)
        fields = {
            "btf_fd": btf.fileno(),
            "btf_key_type_id": key_id,
            "btf_value_type_id": value_id,
        }
    with calls.map_create(HASH, 4, size, count, name, **fields) as made:
        for start in range(0, count, 10_000):
            batch = range(start, min(start + 10_000, count))
            keys = b"".join(struct.pack("=I", key) for key in batch)
            values = b"".join(
                struct.pack("=QQiI", key * 7, key * 1500, key % 64 - 1, key) for key in batch
            )
            calls.map_update_batch(made, keys, values, len(batch))
        path = directory / name
        calls.obj_pin(made, str(path))
    return path


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [list(head), ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def dumps(directory: Path, count: int) -> str:
    hexadecimal = filled(directory, "bench_hex", count, with_btf=False)
    with_types = filled(directory, "bench_btf", count, with_btf=True)
    rows = []
    for name, options, path, goal in (
        ("hexadecimal, plain", [], hexadecimal, "8x"),
        ("BTF, plain", [], with_types, "5x"),
        ("BTF, `-j`", ["-j"], with_types, "3x"),
        ("BTF, `-p`", ["-p"], with_types, "5x"),
        ("hexadecimal, `-j`", ["-j"], hexadecimal, ""),
    ):
        words = [*options, "map", "dump", "pinned", str(path)]
        cells = None
        for to_file in (False, True):
            row = Row(name, OURS + words, THEIRS + words, goal).measure(to_file)
            ratio = f"**{row.ratio:.1f}x**"
            if cells is None:
                cells = [*row.cells()[:-1], ratio]
            else:
                cells += [ratio, goal]
        assert cells is not None
        rows.append(cells)
        print(cells, flush=True)
    head = ["dump", "ours, s", "bpftool, s", "our peak, MiB", "to /dev/null", "to a file", "goal"]
    return table(head, rows)


def lines(directory: Path, count: int) -> str:
    """Export and import, as a multiple of the time of our own `-j` dump of the same map."""
    path = directory / "bench_btf"
    other = filled(directory, "bench_into", count, with_btf=True)
    dump = [*OURS, "-j", "map", "dump", "pinned", str(path)]
    rows = []
    with tempfile.TemporaryDirectory() as scratch:
        file = f"{scratch}/lines"
        for name, words, goal in (
            ("`map export`", ["export", "pinned", str(path)], "1.5x"),
            ("`map export … file`", ["export", "pinned", str(path), "file", file], "1.5x"),
            ("`map import`", ["import", "pinned", str(other), "file", file], "3x"),
        ):
            row = Row(name, [*OURS, "map", *words], dump, goal).measure(True)
            cells = row.cells()
            rows.append([*cells[:2], cells[3], cells[2], f"**{1 / row.ratio:.2f}x**", goal])
            print(rows[-1], flush=True)
    other.unlink()
    head = ["command", "s", "peak, MiB", "`-j` dump, s", "ratio", "at most"]
    return table(head, rows)


def growth(directory: Path, most: int) -> str:
    rows = []
    start = min(Sample([*OURS, "map", "help"], 1).seconds for _ in range(5))
    for count in (most // 1000, most // 100, most // 10, most):
        path = filled(directory, f"grow{count}", count, with_btf=True)
        words = ["map", "dump", "pinned", str(path)]
        samples = []
        for _ in range(3):
            with _sink(False) as out:
                samples.append(Sample(OURS + words, out))
        seconds = statistics.median(sample.seconds for sample in samples)
        memory = max(sample.memory for sample in samples)
        rows.append(
            [
                f"{count:,}",
                f"{seconds * 1000:.0f}",
                f"{(seconds - start) * 1e9 / count:.0f}",
                f"{memory:.0f}",
            ]
        )
        path.unlink()
    return table(["entries", "ms", "ns an entry beyond start-up", "peak, MiB"], rows)


def programs(directory: Path) -> str:
    """Dumps of one large program, and the list of many small ones."""
    large = directory / "large"
    with calls.prog_load(SCHED_CLS, encode(_instructions(INSNS)), name="bench_large") as prog:
        calls.obj_pin(prog, str(large))
    dump = ["prog", "dump", "xlated", "pinned", str(large)]
    rows = [
        _compared(f"`{name}` of {INSNS:,} instructions", words, "4x")
        for name, words in (
            ("dump xlated", dump),
            ("dump xlated … opcodes", [*dump, "opcodes"]),
            ("-j … dump xlated", ["-j", *dump]),
        )
    ]
    with ExitStack() as stack:
        array = stack.enter_context(calls.map_create(ARRAY, 4, 4, 1, "bench_array"))
        code = encode([ld_map_fd(1, array.fileno()), mov64_imm(0, 0), exit_()])
        for number in range(PROGRAMS):
            path = directory / f"prog{number}"
            with calls.prog_load(SCHED_CLS, code, name="bench_small") as prog:
                calls.obj_pin(prog, str(path))
            stack.callback(path.unlink)
        name = f"`prog list` with {PROGRAMS} programs"
        rows.append(_compared(name, ["prog", "list"], "3x and start-up"))
    large.unlink()
    return table(["command", "ours, s", "bpftool, s", "our peak, MiB", "ratio", "at most"], rows)


def _compared(name: str, words: Sequence[str], goal: str) -> list[str]:
    row = Row(name, OURS + list(words), THEIRS + list(words), goal).measure(False)
    *cells, _ = row.cells()
    print(cells, flush=True)
    return [*cells, f"**{1 / row.ratio:.1f}x**", goal]


def _instructions(count: int) -> list[Insn]:
    """A program of so many instructions that the verifier takes."""
    mixed = [
        alu64_imm(ADD, 0, 77),
        mov64_reg(1, 0),
        stx(DW, 10, 0, -8),
        ldx(W, 2, 10, -8),
        alu64_imm(ADD, 2, 1),
        call(KTIME_GET_NS),
        alu32_imm(AND, 0, 255),
        mov64_imm(3, 9),
    ]
    return [mov64_imm(0, 0), *(mixed * (count // len(mixed) + 1))[: count - 2], exit_()]


def start_up(directory: Path) -> str:
    rows = []
    bare = [sys.executable, "-c", "pass"]
    for name, argv, goal in (
        ("`pybpftool map list`", [*OURS, "map", "list"], "3x"),
        ("`pybpftool map help`", [*OURS, "map", "help"], ""),
        ("`pybpftool map lookup …`", [*OURS, "map", "lookup", "id", "1", "key", "0"], ""),
        ("`pybpftool feature probe map_type hash`", ASK_MAP, ""),
        ("`pybpftool feature probe helper bpf_redirect`", ASK_HELPER, ""),
    ):
        if "lookup" in argv:
            path = filled(directory, "start", 4, with_btf=True)
            argv = [*OURS, *f"map lookup pinned {path} key 0 0 0 0".split()]
        row = Row(name, argv, bare, goal).measure(False, 21)
        ours, theirs = (
            statistics.median(s.seconds for s in samples) * 1000
            for samples in (row.ours, row.theirs)
        )
        rows.append([name, f"{ours:.1f}", f"{theirs:.1f}", f"**{1 / row.ratio:.2f}x**", goal])
        print(rows[-1], flush=True)
    return table(["command", "ms", "`python -c pass`, ms", "ratio", "at most"], rows)


def types(directory: Path) -> str:
    """The kernel's own types, and one of them, as a multiple of bpftool's time."""
    rows = []
    newer = os.environ.get("PYBPFTOOL_NEWER_REFERENCE")
    for name, words, goal, newer_goal in (
        ("raw", ["btf", "dump", "file", VMLINUX], "3.5x", "3x"),
        ("raw, `-j`", ["-j", "btf", "dump", "file", VMLINUX], "5x", ""),
        ("`format c`", ["btf", "dump", "file", VMLINUX, "format", "c"], "7x", "4.5x"),
        ("… `unsorted`", ["btf", "dump", "file", VMLINUX, "format", "c", "unsorted"], "7x", ""),
    ):
        # bpftool 7.1 knows no order but this one, nor the word
        plain = [word for word in words if word != "unsorted"]
        nowhere, file = (
            Row(name, OURS + words, THEIRS + plain, goal).measure(to_file)
            for to_file in (False, True)
        )
        cells = nowhere.cells()
        cells[-1:] = [f"**{1 / nowhere.ratio:.1f}x**", f"**{1 / file.ratio:.1f}x**", goal]
        if newer:
            row = Row(name, OURS + words, [newer, *words], goal).measure(True)
            cells += [f"**{1 / row.ratio:.1f}x**", newer_goal]
        rows.append(cells)
        print(cells, flush=True)
    head = ["vmlinux", "ours, s", "bpftool, s", "our peak, MiB", "to /dev/null", "to a file"]
    head.append("at most")
    return table(head + (["of 7.8.0's", "at most"] if newer else []), rows)


def one_type(directory: Path) -> str:
    """One struct out of the kernel's types, as a multiple of finding where each type begins."""
    reading = "from pybpftool.sources import kernel_btf; kernel_btf()"
    bare = [sys.executable, "-c", reading]
    rows = []
    for name, words in (
        ("`format c type task_struct`", ["format", "c", "type", "task_struct"]),
        ("`format c root_id 100`", ["format", "c", "root_id", "100"]),
        ("`root_id 100`", ["root_id", "100"]),
    ):
        argv = [*OURS, "btf", "dump", "file", VMLINUX, *words]
        row = Row(name, argv, bare, "1.5x").measure(False, 11)
        ours, theirs = (
            statistics.median(sample.seconds for sample in samples) * 1000
            for samples in (row.ours, row.theirs)
        )
        rows.append([name, f"{ours:.0f}", f"{theirs:.0f}", f"**{1 / row.ratio:.2f}x**", "1.5x"])
        print(rows[-1], flush=True)
    return table(["btf dump", "ms", "index alone, ms", "ratio", "at most"], rows)


def asking(directory: Path) -> str:
    """Programs that ask the kernel thousands of questions."""
    rows = []
    crowd = 20 if Row.once else 2000
    for name, words, processes, goal in (
        ("`feature probe`", ["feature", "probe"], 0, "1x"),
        ("`-j feature probe`", ["-j", "feature", "probe"], 0, "1x"),
        (f"`perf` among {crowd:,} processes", ["perf"], crowd, "0.33x"),
    ):
        with many(processes):
            row = Row(name, OURS + words, THEIRS + words, goal).measure(False, 11)
        cells = row.cells()
        rows.append([*cells[:-1], f"**{row.ratio:.2f}x**", cells[-1]])
        print(rows[-1], flush=True)
    head = ["command", "ours, s", "bpftool, s", "our peak, MiB", "ratio", "at least"]
    return table(head, rows)


@contextmanager
def many(count: int) -> Iterator[None]:
    """As many processes that wait, each with eight descriptors more than the usual three."""
    extra = [os.open(os.devnull, os.O_RDONLY) for _ in range(8 if count else 0)]
    children: list[int] = []
    try:
        for _ in range(count):
            child = os.fork()
            if not child:
                signal.pause()
                os._exit(0)
            children.append(child)
        yield
    finally:
        for child in children:
            os.kill(child, signal.SIGKILL)
        for child in children:
            os.waitpid(child, 0)
        for fd in extra:
            os.close(fd)


ITERATE = """
import sys, time
import pybpftool
with pybpftool.open_map(pinned=sys.argv[1], raw=sys.argv[2] == "bytes") as map:
    begun = time.perf_counter()
    count = sum(1 for key, value in map.items())
    print(count / (time.perf_counter() - begun))
"""


def api(directory: Path) -> str:
    """Entries a second that a program gets from ``items()``."""
    rows = []
    for what in ("values of types", "bytes"):
        rates, memory = [], 0.0
        for _ in range(RUNS):
            argv = [sys.executable, "-c", ITERATE, str(directory / "bench_btf"), what]
            with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
                assert process.stdout
                rates.append(float(process.stdout.read()))
                _, _, usage = os.wait4(process.pid, 0)
                process.returncode = 0
            memory = max(memory, usage.ru_maxrss / 1024)
        rate = f"**{statistics.median(rates):,.0f}**"
        rows.append([what, rate, f"{memory:.0f}", "300,000"])
        print(rows[-1], flush=True)
    return table(["`items()` as", "entries/s", "peak, MiB", "at least"], rows)


def first_line(directory: Path) -> str:
    words = f"map dump pinned {directory / 'bench_btf'}"
    begun = time.perf_counter()
    subprocess.run(f"{OURS[0]} {words} | head -1 >/dev/null", shell=True, check=True)
    return f"`map dump` of the million into `head -1`: {time.perf_counter() - begun:.3f} s."


PROGRAM = """
SEC("tc") int prog%d(struct __sk_buff *ctx) {
    int key = %d; long *value = bpf_map_lookup_elem(&counts, &key);
    if (value) *value += weigh(ctx->len) + %s;
    return 0;
}
"""
OBJECT = """
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
struct { __uint(type, BPF_MAP_TYPE_HASH); __uint(max_entries, 64); __type(key, int);
         __type(value, long); } counts SEC(".maps");
const volatile int limit = 9;
struct task_struct { int pid, tgid; char comm[16]; struct task_struct *real_parent; }
    __attribute__((preserve_access_index));
static __attribute__((noinline)) int weigh(int x) { return x * limit; }
"""
FIELDS = "pid", "tgid", "comm", "real_parent"


def loading(directory: Path) -> str:
    """Objects of a dozen programs; as a multiple of bpftool's time, once the interpreter runs."""
    rows = []
    bare = [sys.executable, "-c", "pass"]
    newer = os.environ.get("PYBPFTOOL_NEWER_REFERENCE", "")
    pins = directory / "loaded"
    with tempfile.TemporaryDirectory() as scratch:
        for name, field in (
            ("a dozen programs", "1"),
            ("… with CO-RE", "__builtin_preserve_field_info(((struct task_struct *)0)->%s, 0)"),
        ):
            wanted = [field % FIELDS[number % 4] if "%" in field else field for number in range(12)]
            programs = [PROGRAM % (number, number, each) for number, each in enumerate(wanted)]
            source, made = Path(scratch, "made.c"), Path(scratch, "made.o")
            source.write_text(OBJECT + "".join(programs))
            include = f"-I/usr/include/{platform.machine()}-linux-gnu"
            words = ["clang", "-g", "-O2", "-target", "bpf", include, "-c", source, "-o", made]
            subprocess.run(words, check=True)
            ours, theirs, new = (
                ["sh", "-c", f"{tool} prog loadall {made} {pins} && rm -r {pins}"]
                for tool in (*OURS, *THEIRS, newer)
            )
            row = Row(name, ours, theirs, "").measure(False, 21)
            start = Row("", bare, bare, "").measure(False, 11)
            idle = statistics.median(sample.seconds for sample in start.ours)
            *cells, _ = row.cells()
            cells.insert(2, f"{idle:.3f}")
            for other in [row, Row("", ours, new, "").measure(False, 21)] if newer else [row]:
                took, there = (
                    statistics.median(sample.seconds for sample in samples)
                    for samples in (other.ours, other.theirs)
                )
                cells.append(f"**{(took - idle) / there:.1f}x**")
            rows.append([*cells, "3x"] if newer else cells)
            print(rows[-1], flush=True)
    head = [
        "prog loadall",
        "ours, s",
        "of it Python's start",
        "bpftool, s",
        "our peak, MiB",
        "ratio",
    ]
    return table(head + (["to 7.8.0", "at most"] if newer else []), rows)


_OF_DUMPS = {"first-line", "api", "lines"}
"""Sections that measure with the map that "dumps" fills."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true", help="put the tables into the docs")
    parser.add_argument("--entries", type=int, default=1_000_000, help="of the largest map")
    parser.add_argument("--once", action="store_true", help="run every command once")
    parser.add_argument("sections", nargs="*", help="which tables, by default all")
    options = parser.parse_args()
    Row.once = options.once
    version = subprocess.run([*THEIRS, "version"], capture_output=True, text=True, check=True)
    machine = (
        f"bpftool {version.stdout.split()[1]}; Python {platform.python_version()}; "
        f"Linux {platform.release().split('-')[0]}; {os.cpu_count()} CPUs."
    )
    directory = Path(tempfile.mkdtemp(prefix="pybpftool-bench."))
    try:
        mount_fs("bpf", str(directory))
        measured: dict[str, Callable[[], str]] = {
            "machine": lambda: machine,
            "dumps": lambda: dumps(directory, options.entries),
            "first-line": lambda: first_line(directory),
            "api": lambda: api(directory),
            "lines": lambda: lines(directory, options.entries),
            "growth": lambda: growth(directory, options.entries),
            "types": lambda: types(directory),
            "one-type": lambda: one_type(directory),
            "asking": lambda: asking(directory),
            "programs": lambda: programs(directory),
            "load": lambda: loading(directory),
            "start-up": lambda: start_up(directory),
        }
        chosen = set(options.sections) or measured.keys()
        if unknown := chosen - measured.keys():
            parser.error(f"no section {', '.join(sorted(unknown))}: {', '.join(measured)}")
        if chosen & _OF_DUMPS:
            chosen |= {"dumps"}
        sections = {name: run() for name, run in measured.items() if name in chosen}
    finally:
        undo = ["umount", "-l", str(directory)]
        while subprocess.run(undo, stderr=subprocess.DEVNULL).returncode == 0:
            pass  # the bpf file system, then the directory bound to itself below it
        directory.rmdir()
    page = ROOT / "docs" / "performance.md"
    text = page.read_text()
    for name, body in sections.items():
        print(f"\n{name}\n{body}")
        mark, end = f"<!-- {name} -->\n", f"<!-- end {name} -->"
        before, _, rest = text.partition(mark)
        _, _, after = rest.partition(end)
        text = f"{before}{mark}{body}\n{end}{after}"
    if options.write:
        page.write_text(text)


if __name__ == "__main__":
    main()
