"""The only writer to stdout and stderr: results and errors in, bytes out."""

from __future__ import annotations

import sys

from ..command import ALWAYS, AUTO, PLAIN, PRETTY, Live, Many, One
from ..errors import FAILURE, PybpftoolError, during

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from typing import Any, BinaryIO

    from ..command import Bulk
    from .whole_file import WholeFile

_FULL = 1 << 16  # pieces are gathered up to this many characters before a write


class Console:
    """The outside world of one run: where results and errors go, and in which form.

    ``out``, ``err``: binary streams; tests hand in their own.  ``into`` puts a file in place of
    ``out``.
    ``depth``: JSON brackets open around the next result (a batch nests documents).
    ``batches``: how many batches are being run, one inside the other.
    ``written``: characters that went to stdout so far.
    ``color``: the word of ``--color``.
    """

    __slots__ = ("_err", "_file", "_out", "batches", "color", "depth", "form", "written")

    def __init__(self, out: BinaryIO | None = None, err: BinaryIO | None = None) -> None:
        self._out = out
        self._err = err
        self._file: WholeFile | None = None
        self.written = 0
        self.batches = 0
        self.form = PLAIN
        self.color = AUTO
        self.depth = 0

    @property
    def json(self) -> bool:
        """Whether a JSON document is being written."""
        return self.form != PLAIN

    @property
    def dressed(self) -> bool:
        """Whether results look as they do at a terminal: there, and wherever the user says so."""
        if self.json:
            return False
        if self.color == ALWAYS:
            return True
        from .paint import capable

        return capable() and (self._out or sys.stdout.buffer).isatty()

    def write(self, text: str) -> None:
        """Text to stdout, as it is."""
        if text:
            self.written += len(text)
            _write_all(self._out or sys.stdout.buffer, text)

    def flush(self) -> None:
        """Let everything written so far leave the process."""
        (self._out or sys.stdout.buffer).flush()

    def into(self, path: str) -> None:
        """Let everything go to a file instead of stdout; ``close`` decides whether it stays."""
        from .whole_file import WholeFile

        with during(f"can't write {path}"):
            file = WholeFile(path)
        if self._file is not None:
            self._file.drop()
        self._file = file
        self._out = file.stream

    def close(self, status: int) -> int:
        """End the output: a file of ``into`` is kept if the status is 0.  Gives the status."""
        if self._file is None:
            return status
        file, self._file = self._file, None
        self._out = None
        try:
            with file:
                if not status:
                    file.keep()
        except OSError as error:
            self.form = PLAIN
            self.fail(PybpftoolError(f"can't write output: {error.strerror}"))
            return FAILURE
        return status

    def complain(self, text: str) -> None:
        """Text to stderr, after all that stdout was given before it."""
        self.flush()
        err = self._err or sys.stderr.buffer
        _write_all(err, text)
        err.flush()

    def warn(self, text: str) -> None:
        """A remark beside the result; not for programs, so JSON mode swallows it."""
        if not self.json:
            self.complain(text + "\n")

    def fail(self, error: PybpftoolError) -> None:
        """The one sentence of an error: on stderr, or the document itself in JSON mode."""
        if self.json and self._file is None:  # a file that failed is not kept, nor its document
            if not error.told:
                self.write(self._document(told(error)))
        elif error.message:
            hint = f"Hint: {error.hint}\n" if error.hint else ""
            self.complain(f"Error: {error.message}\n{hint}")

    def _document(self, record: Any) -> str:
        from .json_writer import dumps

        return dumps(record, pretty=self.form == PRETTY, depth=self.depth)

    def show(self, result: One | Many | Bulk) -> int:
        """Write a result; gives the exit status.

        An error while records are still coming ends the document properly before it is raised.
        """
        if isinstance(result, One):
            self.write(
                self._document(result.record) if self.json else _plain(result.plain, result.record)
            )
        elif isinstance(result, Live) and self._on_terminal():
            from .live import watch

            watch(result)
        elif isinstance(result, Many):
            write = self.complain if result.aside and not self.json else self.write
            pieces = self._many(result)
            self._stream(pieces, write, flush=result.flush)
        else:
            pieces = result.chunks(self.form, self.depth)
            if result.terminal and self.dressed:
                from .colours import DRESSES
                from .paint import paint

                pieces = DRESSES[result.terminal](pieces, paint(self.color))
            self._stream(pieces, self.write)
        return result.status

    def _on_terminal(self) -> bool:
        """Whether someone sits in front of the plain form."""
        if self.json or self._out is not None or not sys.stdin:
            return False
        from .paint import capable

        return capable() and sys.stdout.isatty() and sys.stdin.isatty()

    def _many(self, result: Many) -> Iterator[str]:
        if self.json:
            return array(result.records, self.form, self.depth)
        if result.terminal and self.dressed:
            from .paint import paint

            dress, brush = result.terminal, paint(self.color)
            return (dress(record, brush) for record in result.records)
        return map(result.plain, result.records)

    def _stream(
        self, pieces: Iterable[str], write: Callable[[str], None], *, flush: bool = False
    ) -> None:
        held: list[str] = []
        size = 0
        try:
            for piece in pieces:
                held.append(piece)
                size += len(piece)
                if flush or size > _FULL:
                    write("".join(held))
                    held.clear()
                    size = 0
                    if flush:
                        self.flush()
        except PybpftoolError:
            write("".join(held))
            raise
        write("".join(held))


def _write_all(stream: BinaryIO, text: str) -> None:
    """Write every byte: an unbuffered stream (``python -u``) may take fewer at a time."""
    data = memoryview(text.encode("utf-8", "surrogateescape"))
    while data:
        data = data[stream.write(data) :]


def told(error: PybpftoolError) -> dict[str, str]:
    """The record of an error; once made, the sentence needs no second telling in JSON mode."""
    error.told = True
    return {"error": error.message}


def _plain(plain: object, record: object) -> str:
    return plain if isinstance(plain, str) else plain(record)  # type: ignore[operator]  # One.plain is str or Layout


def array(records: Iterable[Any], form: str, depth: int) -> Iterator[str]:
    """The JSON array of records, which are written as they come; ``depth``: brackets around it.

    An error among them is the last record, and raised when the array is whole.
    """
    from .json_writer import closing, dumps

    pretty = form == PRETTY
    mark = "["
    failed: PybpftoolError | None = None
    try:
        for record in records:
            yield mark + dumps(record, pretty=pretty, depth=depth + 1)
            mark = ","
    except PybpftoolError as error:
        failed = error
        yield mark + dumps(told(error), pretty=pretty, depth=depth + 1)
        mark = ","
    if mark == "[":
        yield mark
    yield closing("]", mark == ",", pretty, depth)
    if failed:
        raise failed
