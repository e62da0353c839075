"""Man pages in mdoc, made from the rows: the usage line is the synopsis, the docstring the text."""

from __future__ import annotations

import inspect
import re
import textwrap

from .. import CONTRACT
from .grammar import names, second

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
    ("h , -help", "Show the help and leave."),
    ("V , -version", "Show the version and leave."),
)


def page(thing: Object) -> str:
    """The page of one object, ``pybpftool-OBJECT(8)``."""
    first, _, rest = thing.summary.partition("\n")
    lines = [
        *_head(f"PYBPFTOOL-{thing.name.upper()}", f"pybpftool-{thing.name}", first),
        ".Sh SYNOPSIS",
        ".Bd -literal",
        *(f"pybpftool [OPTIONS] {thing.name} {_text(row.usage)}" for row in thing.commands),
        ".Ed",
        *_definitions(thing),
        ".Sh DESCRIPTION",
        *_paragraphs(rest),
        ".Bl -tag -width Ds",
        *(line for rows in _together(thing.commands) for line in _command(rows)),
        ".El",
        *_tail(thing.name),
    ]
    return "\n".join(lines) + "\n"


def top_page(things: Sequence[Object]) -> str:
    """The page of the tool, ``pybpftool(8)``."""
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
        *(f".It Fl {names}\n{text}" for names, text in _TOP_OPTIONS),
        ".El",
        *_tail(""),
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
        yield from (_text(f"{place.name} := {place.definition}") for place in thing.definitions)
        yield ".Ed"


def _together(rows: Sequence[Command]) -> list[list[Command]]:
    """The rows that do something; those of one function, which one paragraph describes, joined."""
    groups: dict[object, list[Command]] = {}
    for row in rows:
        if row.run:
            groups.setdefault(row.run, []).append(row)
    return list(groups.values())


def _command(rows: Sequence[Command]) -> Iterator[str]:
    words = [f"{word} {second(row.usage)}".rstrip() for row in rows for word in names(row.usage)]
    yield f".It Cm {' , '.join(words)}"
    yield from _paragraphs(inspect.getdoc(rows[0].run) or "")


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


def _tail(name: str) -> Iterator[str]:
    yield ".Sh EXIT STATUS"
    yield "0 on success; 255 on failure,"
    yield "or 256 less the error number where the kernel refused."
    yield ".Sh SEE ALSO"
    yield ".Xr bpf 2 ," if name else ".Xr bpf 2"
    if name:
        yield ".Xr pybpftool 8"


def _text(text: str) -> str:
    """Text that no line of which reads as a request or an escape."""
    text = text.replace("\\", "\\e")
    return "\n".join(f"\\&{line}" if line[:1] in (".", "'") else line for line in text.split("\n"))
