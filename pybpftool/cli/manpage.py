"""Man pages in mdoc, made from the rows: the usage line is the synopsis, the docstring the text."""

from __future__ import annotations

import inspect
import re
import textwrap

from .. import CONTRACT
from .grammar import names, second
from .usage import MARGIN

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ..command import Command, Object

_DATE = "November 25, 2026"
"""When the words of the pages last changed: a page must not look newer than what it says."""

_TOP_OPTIONS = (
    ("j , -json", "Write JSON, without any blanks."),
    ("p , -pretty", "Write JSON for reading, indented."),
    ("f , -bpffs", "In listings, show where objects are pinned."),
    ("n , -nomount", "Never mount a bpf file system or tracefs by itself."),
    ("d , -debug", "Say more on standard error; show where in the tool an error came from."),
    ("B , -base-btf Ar FILE", "Take FILE as the base of split BTF."),
    ("o , -output Ar FILE", "Write the result to FILE: whole when all went well, else not at all."),
    (
        "-color Ar WHEN",
        'WHEN is "auto", "always" or "never".  With "auto", as without this option, people at a '
        'terminal see colours, and what else makes a text easier to read; with "always" pipes and '
        'files get the same; with "never" nothing has colours.  JSON never has any.',
    ),
    ("h , -help", "Show the help and leave."),
    ("V , -version", "Show the version and leave."),
)


_FILES = (
    (
        "/sys/fs/bpf",
        "The BPF file system, where objects are pinned; mounted when needed, not with -n.",
    ),
    ("/sys/kernel/btf/vmlinux", "The types of the kernel, those of its modules beside it."),
    ("/sys/kernel/tracing", "Tracefs: the trace pipe, and the events that programs stand on."),
    ("/proc/PID/fdinfo", "Where the processes that hold an object are found."),
)
_ENVIRONMENT = (
    ("NO_COLOR", "If set and not empty, nothing has colours, unless --color always says so."),
    ("TERM", 'At a terminal "dumb" there are neither colours nor tables that move.'),
    ("POSIXLY_CORRECT", "If set, options must stand before the other words."),
    ("_PYBPFTOOL_COMPLETE", "Set by the completion scripts only."),
)


def page(thing: Object, examples: str) -> str:
    """The page of one object, ``pybpftool-OBJECT(8)``.

    ``examples``: sentences, and lines of a shell indented by four blanks.
    """
    first, _, rest = thing.summary.partition("\n")
    lines = [
        *_head(f"PYBPFTOOL-{thing.name.upper()}", f"pybpftool-{thing.name}", first),
        ".Sh SYNOPSIS",
        ".Bd -literal",
        f"pybpftool [OPTIONS] {thing.name} COMMAND",
        "",
        *(f"pybpftool {thing.name} {_outdented(row.usage)}" for row in thing.commands),
        ".Ed",
        *_definitions(thing),
        ".Sh DESCRIPTION",
        *_paragraphs(rest),
        ".Bl -tag -width Ds",
        *(line for rows in _together(thing.commands) for line in _command(rows)),
        ".El",
        ".Sh OPTIONS",
        "Those of every command are in",
        ".Xr pybpftool 8 .",
        *_status(),
        *_examples(examples),
        *_tail(thing.name),
    ]
    return "\n".join(lines) + "\n"


def top_page(things: Sequence[Object], differences: Sequence[Sequence[str]]) -> str:
    """The page of the tool, ``pybpftool(8)``.

    ``differences``: name, bpftool's way and ours of each, as ``docs/differences.md`` has them.
    """
    lines = [
        *_head("PYBPFTOOL", "pybpftool", "inspect and change eBPF programs, maps and types"),
        ".Sh SYNOPSIS",
        ".Nm",
        ".Op Ar OPTIONS",
        ".Ar OBJECT",
        ".Brq Ar COMMAND | Cm help",
        ".Nm",
        ".Cm batch file",
        ".Ar FILE",
        ".Nm",
        ".Cm version",
        ".Sh DESCRIPTION",
        "A tool in Python with the words, the output and the exit statuses of",
        f"bpftool {CONTRACT}.",
        "Objects, commands and keywords may be abbreviated;",
        "the first of the table that begins with the word is meant.",
        ".Bl -tag -width Ds",
        *(f".It Cm {t.name}\n{_text(t.summary.partition(chr(10))[0])}" for t in things),
        ".It Cm batch file Ar FILE",
        "Run the commands of a file, one a line, up to the first that fails;",
        ".Ql -",
        "is standard input.",
        ".Ql #",
        "begins a comment, a backslash at the end of a line continues it,",
        "and quotes hold a word with blanks together.",
        ".El",
        ".Sh OPTIONS",
        "Options may stand anywhere on the line.",
        ".Bl -tag -width Ds",
        *(line for names, text in _TOP_OPTIONS for line in (f".It Fl {names}", *_paragraphs(text))),
        ".El",
        *_table("ENVIRONMENT", "Ev", _ENVIRONMENT),
        *_table("FILES", "Pa", _FILES),
        *_status(),
        *_tail("", [thing.name for thing in things], differences),
    ]
    return "\n".join(lines) + "\n"


def _head(title: str, name: str, summary: str) -> list[str]:
    return [
        f".Dd {_DATE}",
        f".Dt {title} 8",
        ".Os",
        ".Sh NAME",
        f".Nm {name}",
        f".Nd {_text(summary[:1].lower() + summary[1:].rstrip('.'))}",
    ]


def _definitions(thing: Object) -> Iterator[str]:
    if thing.definitions:
        yield ".Bd -literal"
        for place in thing.definitions:
            yield _outdented(f"{place.name} := {place.definition}")
        yield ".Ed"


def _together(rows: Sequence[Command]) -> list[list[Command]]:
    """The rows that do something; those of one function, which one paragraph describes, joined."""
    groups: dict[object, list[Command]] = {}
    for row in rows:
        if row.run:
            groups.setdefault(inspect.unwrap(row.run), []).append(row)
    return list(groups.values())


def _command(rows: Sequence[Command]) -> Iterator[str]:
    words = [f"{word} {second(row.usage)}".rstrip() for row in rows for word in names(row.usage)]
    yield f".It Cm {' , '.join(words)}"
    if rows[0].run:
        yield from _paragraphs(inspect.getdoc(inspect.unwrap(rows[0].run)) or "")


def _paragraphs(text: str) -> Iterator[str]:
    """Paragraphs as mdoc wants them: every sentence begins a line."""
    mark = False
    for paragraph in text.strip().split("\n\n"):
        if mark:
            yield ".Pp"
        mark = True
        plain = " ".join(paragraph.split()).replace("``", '"')
        for sentence in re.split(r"(?<=[.?!]) ", plain):
            yield _text(textwrap.fill(sentence, 78, break_on_hyphens=False))


def _status() -> Iterator[str]:
    yield ".Sh EXIT STATUS"
    yield "0 on success; 255 on failure,"
    yield "or 256 less the error number where the kernel refused."


def _table(head: str, macro: str, rows: Sequence[Sequence[str]]) -> Iterator[str]:
    yield f".Sh {head}"
    yield ".Bl -tag -width Ds"
    for name, text in rows:
        yield f".It {macro} {name}"
        yield from _paragraphs(text)
    yield ".El"


def _examples(text: str) -> Iterator[str]:
    """The section of examples: its lines of a shell as they are, the rest as paragraphs."""
    yield ".Sh EXAMPLES"
    mark = False
    for part in re.findall(
        r"(?:^(?: {4}.*)?\n)+|(?:^[^ \n].*\n)+", text.strip() + "\n", re.MULTILINE
    ):
        if part.startswith("\n    ") or part.startswith("    "):
            yield ".Bd -literal -offset indent"
            yield from (_text(line[4:]) for line in part.strip("\n").split("\n"))
            yield ".Ed"
        elif part.strip():
            if mark:
                yield ".Pp"
            yield from _paragraphs(part)
        mark = True


def _tail(
    name: str, others: Sequence[str] = (), differences: Sequence[Sequence[str]] = ()
) -> Iterator[str]:
    yield ".Sh SEE ALSO"
    pages = ["bpf 2", "bpftool 8"] + [f"pybpftool-{other} 8" for other in sorted(others)]
    pages += ["pybpftool 8"] if name else []
    yield from (f".Xr {page} ," for page in pages[:-1])
    yield f".Xr {pages[-1]}"
    yield ".Sh DIFFERENCES FROM BPFTOOL"
    if name:
        yield "They are listed in"
        yield ".Xr pybpftool 8 ."
        return
    yield ".Bl -tag -width Ds"
    for word, theirs, ours in differences:
        yield f".It {word}"
        yield from _paragraphs(f"bpftool: {_unmarked(theirs)}")
        yield ".br"
        yield from _paragraphs(f"pybpftool: {_unmarked(ours)}")
    yield ".El"


def _unmarked(text: str) -> str:
    """Markdown without its marks: links leave their text, code stands in quotes."""
    return re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", text).replace("`", '"')


def _outdented(text: str) -> str:
    """A text of the help, whose lines begin at its margin, without that."""
    return _text(text.replace("\n" + MARGIN, "\n"))


def _text(text: str) -> str:
    """Text that no line of which reads as a request or an escape."""
    text = text.replace("\\", "\\e")
    return "\n".join(f"\\&{line}" if line[:1] in (".", "'") else line for line in text.split("\n"))
