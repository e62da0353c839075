"""``prog top``: which programs take the processors' time, reading after reading.

The kernel counts runs and their time only while someone holds its statistics enabled; here they
are for as long as someone watches, and no longer.
"""

from __future__ import annotations

from ...command import Live, Many
from ...errors import KernelError, PybpftoolError
from ...kernel.words import PROG_TYPES, prog_type_word
from ...output.json_writer import dumps
from ...places import read_number

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ...command import Call, Options, Record, Table, Words

INTERVAL = 1.0
SHORTEST, LONGEST = 0.05, 86400.0
"""Seconds between two readings: what it is if not told, and what it may be."""

COLUMNS = (
    ("id", "ID", 0),
    ("type", "TYPE", None),
    ("name", "NAME", None),
    ("cpu_percent", "CPU %", 3),
    ("runs_per_second", "RUNS/S", 1),
    ("average_ns", "ns/RUN", 0),
    ("run_time_ns", "TIME ns", 0),
    ("run_cnt", "RUNS", 0),
    ("pids", "PIDS", None),
)
"""Key in the record, head of the column, digits after the point of a number or None for texts."""

SORT_KEYS = {
    "cpu": "cpu_percent",
    "runs": "run_cnt",
    "average": "average_ns",
    "id": "id",
    "name": "name",
    "type": "type",
}
"""What the table can be sorted by: word -> key in the record.  No two begin alike."""

_FALLING = ("cpu_percent", "run_cnt", "average_ns")


def top(
    options: Options,
    interval: float = INTERVAL,
    count: int | None = None,
    once: bool = False,
    sort: str = "cpu",
    name: str = "",
    type: str = "",
    pid: int | None = None,
    format: str = "",
) -> Many:
    """Show which programs run, how often, for how long, and what share of a CPU they take.

    On a terminal it is one table, kept up to date until "q" is typed; the first letter of a
    SORT_KEY sorts it anew.  Elsewhere there is a table every SECONDS (1), in JSON an array of
    readings.  It ends after N readings, or after the first with "once".  With "csv" each program
    is a line of each reading, with "jsonl" each reading is a JSON document on a line.

    All figures are of the time since the reading before; those called total are as the kernel
    counts them, while statistics are enabled.  100 % is the whole time of one CPU.  Programs can
    be chosen by a part of their name, by type, and by a process that holds them.
    """
    from ...kernel import calls
    from ...signals import Stopping

    try:
        enabled = calls.enable_stats()
    except KernelError as error:
        hint = error.hint or "the kernel counts for those who ask since Linux 5.8"
        raise PybpftoolError(f"can't enable statistics: {error.reason}", hint=hint) from error
    wanted = _Wanted(name, type, pid)
    order = _Order(sort)

    def watch(wait: Callable[[float], bool]) -> Iterator[Record]:
        with enabled:
            yield from _readings(wanted, wait, interval, 1 if once else count)

    def records() -> Iterator[Record]:
        with Stopping() as stopping:
            yield from watch(stopping.sleep)

    if format:
        plain = _Csv(order) if format == "csv" else _json_line
        return Many(records(), plain, flush=True)
    if once:
        return Many(records(), order.text)
    return Live(records(), order.text, watch, order.table, order.press)


# ------------------------------------------------------------------ readings


def _readings(
    wanted: _Wanted, wait: Callable[[float], bool], interval: float, count: int | None
) -> Iterator[Record]:
    """One record for each interval, ``count`` of them or until ``wait`` is false."""
    import time

    before, began = wanted.counted(), time.monotonic_ns()
    while (count is None or count > 0) and wait(interval):
        after, now = wanted.counted(), time.monotonic_ns()
        yield {
            "time": round(time.time(), 3),
            "interval": round((now - began) / 1e9, 6),
            "programs": [
                _gained(prog, before.get(id, _NEVER_RUN), now - began) for id, prog in after.items()
            ],
        }
        before, began = after, now
        count = None if count is None else count - 1


_NEVER_RUN = {"total_run_time_ns": 0, "total_run_cnt": 0}


class _Wanted:
    """The programs that are shown: all, or those of a part of a name, a type, a process."""

    def __init__(self, name: str, type: str, pid: int | None) -> None:
        from ...identity import FullNames

        self._name = name
        self._type = type
        self._pid = pid
        self._full_name = FullNames()
        self._names: dict[int, str] = {}

    def counted(self) -> dict[int, Record]:
        """id -> what is known of a program, and its counters at this moment."""
        from ...kernel.handles import Prog
        from ...kernel.holders import holders

        held = holders("prog")
        found: dict[int, Record] = {}
        for prog in Prog.listed():
            info = prog.info
            if info.id not in self._names:
                self._names[info.id] = self._full_name(prog)
            name = self._names[info.id]
            kind = prog_type_word(info.type) or info.type
            pids = held.get(info.id, [])
            if self._name not in name or self._type not in ("", kind):
                continue
            if self._pid is not None and self._pid not in (pid for pid, _ in pids):
                continue
            found[info.id] = {
                "id": info.id,
                "type": kind,
                "name": name,
                "total_run_time_ns": info.run_time_ns,
                "total_run_cnt": info.run_cnt,
                "pids": [{"pid": pid, "comm": comm} for pid, comm in pids],
            }
        return found


def _gained(prog: Record, before: Record, elapsed: int) -> Record:
    """The record of a program: what its counters gained in ``elapsed`` ns."""
    time = prog["total_run_time_ns"] - before["total_run_time_ns"]
    runs = prog["total_run_cnt"] - before["total_run_cnt"]
    return {
        "id": prog["id"],
        "type": prog["type"],
        "name": prog["name"],
        "run_time_ns": time,
        "run_cnt": runs,
        "cpu_percent": round(100 * time / elapsed, 3),
        "runs_per_second": round(runs * 1e9 / elapsed, 1),
        "average_ns": time // runs if runs else None,
        "total_run_time_ns": prog["total_run_time_ns"],
        "total_run_cnt": prog["total_run_cnt"],
        "pids": prog["pids"],
    }


# ------------------------------------------------------------------ how they are shown


class _Order:
    """The table and its order, which can be changed while it is watched."""

    def __init__(self, word: str) -> None:
        self._word = word

    def press(self, key: str) -> None:
        """Sort by the SORT_KEY that begins with the letter typed."""
        self._word = next((word for word in SORT_KEYS if word[0] == key), self._word)

    def sorted(self, programs: list[Record]) -> list[Record]:
        """The programs in order; equal ones by id."""
        key = SORT_KEYS[self._word]
        if key in _FALLING:
            return sorted(programs, key=lambda prog: (-(prog[key] or 0), prog["id"]))
        if key == "id":
            return sorted(programs, key=lambda prog: prog["id"])
        return sorted(programs, key=lambda prog: (str(prog[key]), prog["id"]))

    def table(self, record: Record) -> Table:
        """A reading: caption, columns, and the texts of each program."""
        programs = self.sorted(record["programs"])
        busy = sum(prog["cpu_percent"] for prog in programs)
        caption = (
            f"{len(programs)} programs, {busy:.3f} % of a CPU within {record['interval']:.1f} s, "
            f"by {self._word}"
        )
        columns = [(head, digits is not None) for _, head, digits in COLUMNS]
        rows = [[_cell(prog[key], digits) for key, _, digits in COLUMNS] for prog in programs]
        return caption, columns, rows

    def text(self, record: Record) -> str:
        """The table where there is no terminal, and an empty line."""
        caption, columns, rows = self.table(record)
        lines = [[head for head, _ in columns], *rows]
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        text = caption + "\n"
        for line in lines:
            cells = [
                cell.rjust(width) if right else cell.ljust(width)
                for cell, width, (_, right) in zip(line, widths, columns, strict=True)
            ]
            text += "  ".join(cells).rstrip() + "\n"
        return text + "\n"


def _cell(value: object, digits: int | None) -> str:
    if isinstance(value, list):
        return ", ".join(f"{each['comm']}({each['pid']})" for each in value)
    if value is None:
        return "-"
    return f"{value:.{digits}f}" if digits else str(value)


def _json_line(record: Record) -> str:
    return dumps(record) + "\n"


class _Csv:
    """The layout of readings as lines of CSV (RFC 4180, but for the line ends), the heads first."""

    def __init__(self, order: _Order) -> None:
        self._order = order
        self._keys: list[str] = []

    def __call__(self, record: Record) -> str:
        lines = []
        for prog in self._order.sorted(record["programs"]):
            row = {"time": record["time"], "interval": record["interval"], **prog}
            row["pids"] = " ".join(str(each["pid"]) for each in prog["pids"])
            if not self._keys:
                self._keys = list(row)
                lines.append(self._keys)
            lines.append([_quoted(row[key]) for key in self._keys])
        return "".join(",".join(line) + "\n" for line in lines)


def _quoted(value: object) -> str:
    text = "" if value is None else str(value)
    return '"' + text.replace('"', '""') + '"' if set(text) & set('",\r\n') else text


# ------------------------------------------------------------------ words


def read_interval(words: Words, call: Call) -> float:
    """Seconds, with a fraction if need be."""
    word = words.take()
    try:
        seconds = float(word)
    except ValueError:
        seconds = 0.0
    if not SHORTEST <= seconds <= LONGEST:
        raise PybpftoolError(
            f"can't parse {word} as interval: seconds from {SHORTEST:g} to {LONGEST:g}"
        )
    return seconds


def read_count(words: Words, call: Call) -> int:
    """How many readings."""
    return read_number(words, "count")


def read_pid(words: Words, call: Call) -> int:
    """The id of a process."""
    return read_number(words, "PID")


def read_sort_key(words: Words, call: Call) -> str:
    """A word of SORT_KEYS, or the beginning of one."""
    word = words.take()
    for key in SORT_KEYS:
        if key.startswith(word):
            return key
    raise PybpftoolError(f"can't sort by '{word}': the keys are {', '.join(SORT_KEYS)}")


def read_prog_type(words: Words, call: Call) -> str:
    """The word of a program type."""
    word = words.take()
    if word not in PROG_TYPES:
        raise PybpftoolError(f"unknown program type '{word}'")
    return word


def read_format(words: Words, call: Call) -> str:
    """``csv`` or ``jsonl``, of which the next word is the beginning."""
    return "csv" if "csv".startswith(words.take()) else "jsonl"
