"""Events that programs send through perf event arrays and ring buffers."""

from __future__ import annotations

from ...command import Many
from ...entries.shape import Shape
from ...errors import BadData, PybpftoolError, during
from ...output.hexdump import block
from ...places import read_number
from .elements import read_map
from .exchange import line

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ...btf.decode import Reader
    from ...command import Call, Options, Record, Words
    from ...kernel.handles import Map


def event_pipe(
    options: Options,
    map: Map,
    cpu: int | None = None,
    index: int | None = None,
    type: str | None = None,
    file: str | None = None,
) -> Many:
    """Read events that BPF programs send through a perf event array or ring buffer, until
    interrupted.

    Of a perf event array events of all CPUs are read by default; cpu N index M takes those of one
    CPU, through that index of the map.  A record of a ring buffer goes to one reader only: what is
    read here is taken from the program that would read it otherwise.

    With type the bytes of each event are shown as a value of that type, and every event is one
    line of JSON.  The type is looked up in the BTF of FILE, or in that of the map, of the programs
    that use it and of the kernel.
    """
    from ...kernel import perf, ringbuf

    ring = Shape.of(map.info).type == "ringbuf"
    if (cpu is None) != (index is None):
        raise PybpftoolError("cpu and index must be specified together")
    if ring and cpu is not None:
        raise PybpftoolError("a ring buffer is one for all CPUs: it has no cpu and index")
    reader = _event_reader(options, map, type, file)
    found = (
        ringbuf.events(map, options.warn) if ring else perf.events(map, cpu, index, options.warn)
    )
    if reader is None:
        return Many(found, _ring_record if ring else _event, flush=True)
    from ...entries.events import typed_events

    return Many(typed_events(found, reader), line, flush=True)


def _event_reader(options: Options, map: Map, type: str | None, file: str | None) -> Reader | None:
    if type is None:
        if file is not None:
            raise PybpftoolError("file is where to look a type up: it needs 'type NAME'")
        return None
    from ...entries.events import event_reader
    from ...sources import btf_of_file

    if file is None:
        return event_reader(map, type)
    what = f"failed to load BTF from {file}"
    try:
        with during(what):
            btf = btf_of_file(file, options.base_btf)
    except BadData as error:
        raise PybpftoolError(f"{what}: {error}") from error
    return event_reader(map, type, btf)


def read_event_map(words: Words, call: Call) -> Map:
    opened = read_map(words, call)
    if Shape.of(opened.info).type not in ("perf_event_array", "ringbuf"):
        raise PybpftoolError("map is not a perf event array")
    return opened


def read_index(words: Words, what: str) -> int:
    """A number whose absence is told as a misplaced keyword."""
    if not len(words):
        raise PybpftoolError(f"what is '{words.last}'?")
    return read_number(words, what)


def _event(record: Record) -> str:
    """A sample, or a note that some were lost."""
    if record["type"] == _SAMPLE:
        seconds, rest = divmod(record["timestamp"], 10**9)
        return (
            f"== @{seconds}.{rest:09} CPU: {record['cpu']} index: {record['index']} =====\n"
            f"{block(bytes(record['data']))}\n"
        )
    if "lost" in record:
        return f"lost {record['lost']['count']} events\n"
    return f"unknown event type={record['type']} size={record['size']}\n"


def _ring_record(record: Record) -> str:
    """A record of a ring buffer."""
    data = bytes(record["data"])
    return f"== {len(data)} bytes =====\n{block(data)}\n"


_SAMPLE = 9
"""PERF_RECORD_SAMPLE (uapi/linux/perf_event.h)."""
