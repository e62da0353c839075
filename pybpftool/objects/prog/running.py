"""``prog run``: a program on given data, once or many times, without attaching it."""

from __future__ import annotations

import sys

from ...command import One
from ...errors import KernelError, PybpftoolError, during
from ...output.hexdump import listing

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ...command import Call, Options, Record, Words
    from ...kernel.handles import Prog

ROOM = 32768
"""Bytes for what a program leaves, unless the line says otherwise."""

MOST = 1 << 26
"""Bytes that are taken from a file: far more than any kernel takes from us."""

_SYSCALL = 31
"""BPF_PROG_TYPE_SYSCALL: such a program changes the context that it is given."""


def run(
    options: Options,
    prog: Prog,
    data_in: str | None = None,
    data_out: str | None = None,
    data_size_out: int = 0,
    ctx_in: str | None = None,
    ctx_out: str | None = None,
    ctx_size_out: int = 0,
    repeat: int = 0,
) -> One:
    """Run a program on the data and the context in files, and show what it returned.

    "-" is standard input or, for what the program leaves, a hexadecimal dump on standard output.
    With "repeat N" it runs N times, and the duration is the average.
    """
    from ...kernel import calls

    data = _content(data_in)
    context = _content(ctx_in)
    data_room = None if data is None else _room(data_size_out)
    # Some types refuse a room for the context: make it only for who asks for it.
    in_place = context is not None and prog.info.type == _SYSCALL
    asked = context is not None and (ctx_out is not None or ctx_size_out) and not in_place
    ctx_room = _room(ctx_size_out) if asked else None
    sizes = {"data_size_out": data_size_out} if data_room is None else {}
    if ctx_room is None and not in_place:
        sizes["ctx_size_out"] = ctx_size_out
    with during("failed to run program", leak=True):
        done = calls.prog_test_run(prog, data, data_room, context, ctx_room, repeat, **sizes)
    left = {
        "data_out": (data_out, data_room, done.data_size_out),
        "ctx_out": (ctx_out, ctx_room, done.ctx_size_out),
    }
    if in_place:
        left["ctx_out"] = (ctx_out, context, len(context or b""))

    record: Record = {}
    failures: list[str] = []
    for key, (path, room, size) in left.items():
        if path is None or not room or not size:
            continue
        if path == "-":
            record[key] = list(room[:size])
            continue
        try:
            _write(path, room[:size])
        except KernelError as error:  # the result is worth telling all the same
            failures.append(error.message)
            options.warn(f"Error: {error.message}")
    if failures:
        record["error"] = "; ".join(failures)
    record["retval"] = done.retval
    record["duration"] = done.duration
    average = " (average)" if repeat > 1 else ""
    return One(record, lambda record: _plain(record, average), status=-len(failures) & 0xFF)


def _plain(record: Record, average: str) -> str:
    dumps = [listing(bytes(record[key])) for key in ("data_out", "ctx_out") if key in record]
    return (
        "".join(dumps)
        + f"Return value: {record['retval']}, duration{average}: {record['duration']}ns\n"
    )


def _content(path: str | None) -> bytearray | None:
    """The bytes of a file, of standard input for ``-``; None where none is named."""
    if path is None:
        return None
    with during(f"failed to open {path}"):
        if path == "-" and sys.stdin is None:
            raise OSError(9, "EBADF")
        file = sys.stdin.buffer if path == "-" else open(path, "rb")  # noqa: SIM115 - stdin stays open
    try:
        with during(f"failed to read data_in/ctx_in from {path}"):
            data = file.read(MOST + 1)
    finally:
        if path != "-":
            file.close()
    if len(data) > MOST:
        raise PybpftoolError(f"data_in/ctx_in is too long (max: {MOST})")
    return bytearray(data)


def _room(size: int) -> bytearray:
    """Where the kernel writes what the program leaves, which is little more than it was given."""
    return bytearray(min(size or ROOM, MOST))


def _write(path: str, data: bytearray) -> None:
    from ...output.whole_file import WholeFile

    with during(f"failed to open {path}"):
        file = WholeFile(path)
    with file, during("failed to write output data/ctx"):
        file.stream.write(data)
        file.keep()


# ------------------------------------------------------------------ words


def read_input(words: Words, call: Call) -> str:
    """The file of ``data_in`` or ``ctx_in``; standard input can be only one of them."""
    path = words.take()
    other = "ctx_in" if call.keyword == "data_in" else "data_in"
    if path == "-" and call.bound.get(other) == "-":
        raise PybpftoolError("cannot use standard input for both data_in and ctx_in")
    return path
