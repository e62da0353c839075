"""``batch file FILE``: many command lines from a file or a pipe (spec 1.8)."""

from __future__ import annotations

import sys

from ..command import PRETTY
from ..errors import PybpftoolError, during
from ..output.json_writer import closing, dumps, newline, quote

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import BinaryIO

    from ..command import Options, Words
    from ..output.emit import Console

LINE_MAX = 65534
"""Bytes of one command, its continuations included."""
WORDS_MAX = 4095
"""Words of one command."""
NESTED_MAX = 32
"""Batches within batches."""
_BLANKS = " \t\r\n"


def run_batch(words: Words, options: Options, console: Console) -> int:
    """Run the commands of a file, one after the other, up to the first that fails.

    Gives that one's status; 0 when all are done.  In JSON mode the document is an array of
    ``{"command": [words], "output": document}``.
    """
    if len(words) != 2:
        raise PybpftoolError(f"too {'few' if len(words) < 2 else 'many'} parameters for batch")
    keyword = words.take()
    if not "file".startswith(keyword):
        raise PybpftoolError(f"expected 'file', got: {keyword}")
    path = words.take()
    if path == "-":
        return _run_all(sys.stdin.buffer, options, console)
    with during(f"Can't open file ({path})"):
        file = open(path, "rb")  # noqa: SIM115 - only the opening speaks of opening
    with file:
        return _run_all(file, options, console)


def _run_all(file: BinaryIO, options: Options, console: Console) -> int:
    if console.batches == NESTED_MAX:
        raise PybpftoolError(f"batch files nest more than {NESTED_MAX} deep")
    console.batches += 1
    try:
        return _run_each(file, options, console)
    finally:
        console.batches -= 1


def _run_each(file: BinaryIO, options: Options, console: Console) -> int:
    done = 0
    failed: PybpftoolError | None = None
    status = 0
    array = _Array(console)
    try:
        for words in commands(file):
            status = array.run(words, options)
            if status:
                break
            done += 1
    except PybpftoolError as error:
        failed = error
        status = error.status
    if console.json:
        array.close(failed)
    elif failed is not None:
        raise failed
    elif not status:
        console.write(f"processed {done} commands\n")
    return status


class _Array:
    """The JSON array of a batch; without JSON it only runs the commands."""

    __slots__ = ("_console", "_depth", "_mark", "_pretty")

    def __init__(self, console: Console) -> None:
        self._console = console
        self._depth = console.depth
        self._mark = "["
        self._pretty = console.form == PRETTY

    def run(self, words: list[str], options: Options) -> int:
        from .main import run_line

        console = self._console
        if not console.json:
            return run_line(words, options, console)
        console.write(self._mark + "{" + self._key("command") + self._dumps(words) + ",")
        console.write(self._key("output"))
        self._mark = ","
        before = console.written
        console.depth = self._depth + 2
        status = run_line(words, options, console)
        console.depth = self._depth
        if console.written == before:
            console.write("null")
        console.write(closing("}", True, self._pretty, self._depth + 1))
        return status

    def close(self, error: PybpftoolError | None) -> None:
        """End the array; an error of the batch itself is its last element."""
        if error is not None:
            record = dumps({"error": error.message}, pretty=self._pretty, depth=self._depth + 1)
            self._console.write(self._mark + record)
        elif self._mark == "[":
            self._console.write("[")
        filled = error is not None or self._mark == ","
        self._console.write(closing("]", filled, self._pretty, self._depth))

    def _key(self, name: str) -> str:
        return f"{newline(self._depth + 2)}{quote(name)}: " if self._pretty else f"{quote(name)}:"

    def _dumps(self, words: list[str]) -> str:
        return dumps(words, pretty=self._pretty, depth=self._depth + 2)


def commands(file: BinaryIO) -> Iterator[list[str]]:
    """The commands of a batch file, each as its words, read line by line.

    Empty lines and comments give nothing.  Raises PybpftoolError, naming the number of the
    command (from 0) that cannot be read.
    """
    number = 0
    while line := _line(file):
        if len(line) > LINE_MAX:
            raise PybpftoolError("reading batch file failed: Argument list too long")
        while line.endswith("\\\n"):
            more = _line(file)
            if not more:
                raise PybpftoolError(f"missing continuation line on command {number}")
            line = line[:-2] + more
            if len(line) > LINE_MAX:
                raise PybpftoolError(f"command {number} is too long")
        words = list(_words(line, number))
        if words:
            yield words
            number += 1


def _line(file: BinaryIO) -> str:
    """The next line up to its comment, empty at the end of the file."""
    with during("reading batch file failed"):
        line = file.readline(LINE_MAX + 1)
        text, comment, _ = line.partition(b"#")
        while comment and line and not line.endswith(b"\n"):
            line = file.readline(LINE_MAX + 1)
    if comment and not text:
        text = b"\n"  # still a line, not the end of the file
    before, nul, _ = text.partition(b"\0")
    if nul:
        text = before + b"\n"
    return text.decode("utf-8", "surrogateescape")


def _words(line: str, number: int) -> Iterator[str]:
    at = 0
    count = 0
    while True:
        while at < len(line) and line[at] in _BLANKS:
            at += 1
        if at >= len(line):
            return
        count += 1
        if count > WORDS_MAX:
            raise PybpftoolError(f"too many arguments to command {number}")
        quoted = line[at] in "'\""
        if quoted:
            end = line.find(line[at], at + 1)
            if end < 0:
                raise PybpftoolError(f"unterminated quoted string in command {number}")
            yield line[at + 1 : end]
        else:
            end = at
            while end < len(line) and line[end] not in _BLANKS:
                end += 1
            yield line[at:end]
        at = end + quoted
