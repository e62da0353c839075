"""argv -> options -> row -> values -> function -> result -> console -> status."""

from __future__ import annotations

import gc
import os
import sys

from ..command import PLAIN, Options, Words
from ..errors import FAILURE, Misuse, PybpftoolError
from ..objects import OBJECTS
from ..output.emit import Console
from . import options as option_words
from .bind import bind, matches, pick

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..command import Object

TOP = ("help", "batch", *OBJECTS, "version")
"""The first words of a line, in the order their abbreviations are tried."""


def main() -> None:
    """Entry point of the console script: run the line and leave with its status.

    What a signal or a closed pipe interrupts ends as they end it: the signal is raised anew with
    its default action, after every ``finally`` has run, so that the shell sees what it expects
    (130 after Ctrl-C, 141 behind ``| head``).
    """
    # Most commands are over before there is garbage worth a search, which takes a tenth of them.
    gc.set_threshold(100_000)
    _open_closed()
    console = Console()
    try:
        if "_PYBPFTOOL_COMPLETE" in os.environ:
            from .complete import complete

            status = complete(os.path.basename(sys.argv[0]))
        else:
            status = run(sys.argv, console)
        console.flush()
    except KeyboardInterrupt:
        status = _die_of("SIGINT")
    except BrokenPipeError:
        status = _die_of("SIGPIPE")
    except OSError as error:  # a command's own were told by run: this is stdout refusing a write
        console.form = PLAIN
        status = FAILURE
        _abandon_stdout()
        console.fail(PybpftoolError(f"can't write output: {error.strerror}"))
    # Everything is written and closed: skip the interpreter's own clearing away, which costs
    # as much as the command did.
    sys.stderr.flush()
    os._exit(status)


def run(argv: Sequence[str], console: Console) -> int:
    """Run one command line and write all it has to say; gives the exit status."""
    try:
        status = _run(argv, console)
    except BaseException:
        console.close(FAILURE)
        raise
    return console.close(status)


def _run(argv: Sequence[str], console: Console) -> int:
    try:
        options, words = option_words.read(list(argv), console)
    except PybpftoolError as error:
        status = _blame(error, console, Options(prog=option_words.called(argv)), None, "")
    else:
        try:
            status = run_line(words, options, console)
        except OSError:
            raise  # stdout is gone or full: main's to handle
        except Exception as error:
            if options.debug:
                raise
            # a mistake of ours, or no memory left: no reason to show our insides
            text = f"unexpected {type(error).__name__}: {error}"
            failed = PybpftoolError(text, hint="this may be a bug in pybpftool; -d shows where")
            status = _blame(failed, console, options, None, "")
    if console.json:
        console.write("\n")
    return status


def run_line(line: Sequence[str], options: Options, console: Console) -> int:
    """Run the words of one line (a command line's, or one of a batch); gives the exit status."""
    words = Words(line)
    thing: Object | None = None
    typed = ""
    try:
        first = words.next
        name = next((top for top in TOP if matches(first or "", top)), None)
        if name is None:
            raise Misuse("")
        if first is not None:
            typed = words.take()
        if name == "help":
            return _help(console, options, None, "")
        if name == "batch":
            from .batch import run_batch

            return run_batch(words, options, console)
        if name == "version":
            from .version import version

            return console.show(version(options))
        thing = load(name)
        row = pick(thing.commands, words)
        if row is None:
            raise Misuse("")
        if row.run is None:
            return _help(console, options, thing, typed)
        return console.show(row.run(options, **bind(row, words, options)))
    except PybpftoolError as error:
        return _blame(error, console, options, thing, typed)


def load(name: str) -> Object:
    """The object of a module in ``objects``; only the one asked for is imported."""
    module = __import__(f"pybpftool.objects.{name}", fromlist=["OBJECT"])
    thing: Object = module.OBJECT
    return thing


def _blame(
    error: PybpftoolError, console: Console, options: Options, thing: Object | None, typed: str
) -> int:
    """Tell an error, with the help behind it where the words made no sense."""
    if isinstance(error, Misuse) and not (console.json and error.message):
        console.fail(error) if error.message else None
        _help(console, options, thing, typed)
    else:
        console.fail(error)
    if options.debug:
        import traceback

        console.complain("".join(traceback.format_exception(error)))
    return error.status


def _help(console: Console, options: Options, thing: Object | None, typed: str) -> int:
    """The help of an object, or of the tool; in JSON mode it is ``null`` (spec 1.6)."""
    if console.json:
        console.write("null")
    else:
        from . import usage

        console.complain(
            usage.of_object(thing, options.prog, typed)
            if thing
            else usage.top(options.prog, OBJECTS)
        )
    return 0


def _open_closed() -> None:
    """Give a process that was started without stdout or stderr one that goes nowhere."""
    if sys.stdout is None:
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115 - open as long as the process
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w")  # noqa: SIM115 - open as long as the process


def _die_of(name: str) -> int:
    """End this process by a signal; gives the status a shell would make of it if it survives."""
    import signal

    number = signal.Signals[name]
    _abandon_stdout()
    signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)
    return 128 + number


def _abandon_stdout() -> None:
    """Let what stdout still holds go nowhere, so that nothing tries to write it again."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)
