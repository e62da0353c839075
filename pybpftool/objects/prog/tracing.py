"""``prog tracelog``: what programs print, for all of them or for one."""

from __future__ import annotations

from ...command import Many
from ...errors import Misuse, during
from ...places import PROG

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from ...command import Call, Options, Words
    from ...kernel.handles import Prog
    from ...kernel.syscall import Fd
    from ...signals import Stopping

STDOUT, STDERR = 1, 2
"""The streams of a program (enum in linux/bpf.h)."""

_CHUNK = 4096


def tracelog(options: Options) -> Many:
    """Show what BPF programs print with bpf_trace_printk(), until interrupted.

    It comes through the trace pipe of tracefs, which is mounted if need be.  A line goes to one
    reader only.  With "stdout" or "stderr" it is instead what one program has printed to its own
    stream of that name, up to now, and it goes to the stream of the same name here.
    """
    from ...kernel import tracefs
    from ...signals import Stopping

    pipe = tracefs.open_pipe(tracefs.place(options.nomount, options.warn))
    return Many(_watched(pipe, Stopping()), str, flush=True)


def _watched(pipe: Fd, stopping: Stopping) -> Iterator[str]:
    from ...kernel.tracefs import read_pipe

    with pipe, stopping:
        yield from _lines(read_pipe(pipe, stopping))


def stream(
    options: Options, stdout: bool = False, stderr: bool = False, prog: Prog | None = None
) -> Many:
    """Show what a program has printed to its own stream."""
    if prog is None:
        raise Misuse("")
    number = STDOUT if stdout else STDERR
    return Many(_lines(_drained(prog, number)), str, aside=number == STDERR)


def _drained(prog: Prog, number: int) -> Iterator[bytes]:
    from ...kernel import calls

    room = bytearray(_CHUNK)
    with during("failed to read the program's stream"):
        while size := calls.prog_stream_read(prog, number, room):
            yield bytes(room[:size])


def _lines(pieces: Iterable[bytes]) -> Iterator[str]:
    """Whole lines, with their ends, of a text that comes in pieces; the last may have no end."""
    held = b""
    for piece in pieces:
        *whole, held = (held + piece).split(b"\n")
        for line in whole:
            yield line.decode("utf-8", "surrogateescape") + "\n"
    if held:
        yield held.decode("utf-8", "surrogateescape")


def read_streamed(words: Words, call: Call) -> Prog:
    """The program whose stream is read; what follows it is of no interest."""
    if not call.bound.keys() & {"stdout", "stderr"}:
        raise Misuse("")
    words.need(2)
    prog: Prog = PROG.read(words, call)
    words.rest()
    return prog


def no_program(call: Call) -> Prog:
    """The error that there must be one."""
    return read_streamed(call.words, call)
