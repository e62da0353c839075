"""What may stand next on a line, for the shells' TAB key.

click reads the shells' protocols (words and cursor from the environment, one candidate a line
back); the candidates come from the rows, so a new row completes by itself.
"""

from __future__ import annotations

import os

from click import Command as ClickCommand
from click import echo
from click.shell_completion import CompletionItem, get_completion_class

from ..errors import Misuse
from . import options
from .grammar import Node, names, parse, second, shape
from .main import TOP, load

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from ..command import Command

    Rest = tuple[Node, ...]
    """What is still to be read, in order."""

VARIABLE = "_PYBPFTOOL_COMPLETE"
"""Environment variable in which a completion script asks (``bash_complete`` and its like)."""

_FILES = ("FILE", "PATH", "OBJ")
_BYTES = "BYTES"
_DIGITS = frozenset("0123456789abcdefABCDEFxX")
_SHOWN = [f"--{name}" for name in options.LONG]
_TAKING = [f"-{letter}" for letter in options.WITH_VALUE] + ["--base-btf", "--output"]


def complete(prog: str) -> int:
    """Answer a completion script; nothing that goes wrong is shown."""
    shell = os.environ.get(VARIABLE, "").partition("_")[0]
    kind = get_completion_class(shell)
    if kind is None:
        return 1

    class FromRows(kind):  # type: ignore[misc, valid-type]  # click gives the class at run time
        def get_completions(self, args: list[str], incomplete: str) -> list[CompletionItem]:
            return [CompletionItem(word, type=sort) for word, sort in candidates(args, incomplete)]

    try:
        answer = FromRows(ClickCommand(prog), {}, prog, VARIABLE).complete()
    except (IndexError, KeyError, ValueError):  # not asked as the shell's protocol asks
        return 1
    echo(answer)
    return 0


def candidates(words: Sequence[str], start: str) -> list[tuple[str, str]]:
    """The words that may follow ``words`` and begin with ``start``, in the order of the rows.

    Each with its sort: ``plain``, or ``file`` (and no word) where the shell should offer paths.
    """
    if words and words[-1] in _TAKING:
        return [("", "file")]
    if start.startswith("-"):
        return [(word, "plain") for word in _SHOWN if word.startswith(start)]
    try:
        line = options.scan(["", *words], lambda letter, value: True)
    except Misuse:
        return []
    found = dict.fromkeys(_after(line))
    return [(word, sort) for word, sort in found if sort == "file" or word.startswith(start)]


def _after(words: Sequence[str]) -> Iterator[tuple[str, str]]:
    if not words:
        yield from ((name, "plain") for name in TOP)
        return
    name = next((top for top in TOP if top.startswith(words[0])), "")
    if name == "batch":
        yield from _next([tuple(parse("file FILE"))], words[1:], {})
    if name in ("", "help", "batch", "version"):
        return
    commands = load(name).commands
    if len(words) == 1:
        yield from ((word, "plain") for row in commands for word in names(row.usage))
        return
    for row in commands:
        if any(word.startswith(words[1]) for word in names(row.usage)):
            rows = [each for each in commands if names(each.usage) == names(row.usage)]
            places = {name: parts for each in rows for name, parts in _definitions(each).items()}
            yield from _next([_line(each) for each in rows], words[2:], places)
            return


# ------------------------------------------------------------------ walking a row


def _line(row: Command) -> Rest:
    """What a row takes after its first word; its clauses as one node that gives each once, or
    again and again."""
    head, clauses = shape(row.usage)
    word = second(row.usage)
    parts = [
        Node(
            "repeat" if clause.repeated else "sequence",
            parts=[
                *(Node("keyword", word) for word in clause.keywords),
                *(Node("place", name) for name in clause.places),
            ],
        )
        for clause in clauses
    ]
    start = [Node("keyword", word)] if word else []
    return (*start, *(Node("place", name) for name in head), Node("any order", parts=parts))


def _definitions(row: Command) -> dict[str, list[Node]]:
    """The places that are made of other words; those of one place may name another's."""
    from ..places import MAP, PROG

    return {
        place.name: parse(place.definition)
        for place in (MAP, PROG, *row.places)
        if place.definition is not None
    }


def _next(
    lines: Iterable[Rest], words: Sequence[str], definitions: dict[str, list[Node]]
) -> Iterator[tuple[str, str]]:
    """What may follow ``words``; ``lines``: every way the line may go on before them."""
    for word in words:
        lines = {
            rest: None
            for line in lines
            for first, rest in _ways(line, definitions)
            if _fits(first, word)
        }
    for line in lines:
        for first, _ in _ways(line, definitions):
            if first.kind == "keyword":
                yield first.text, "plain"
            elif first.text in _FILES:
                yield "", "file"


def _fits(node: Node, word: str) -> bool:
    if node.kind == "keyword":
        return word != "" and node.text.startswith(word)
    return node.text != _BYTES or _DIGITS.issuperset(word)


def _ways(line: Rest, definitions: dict[str, list[Node]]) -> Iterator[tuple[Node, Rest]]:
    """Every word that may stand first on a line, and what is to follow that word."""
    if not line:
        return
    node, rest = line[0], line[1:]
    if node.kind == "place" and node.text in definitions:
        yield from _ways((*definitions[node.text], *rest), definitions)
    elif node.kind == "place" and node.text == _BYTES:
        yield node, (Node("optional", parts=[node]), *rest)
    elif node.kind in ("keyword", "place"):
        yield node, rest
    elif node.kind == "choice":
        for way in node.parts:
            yield from _ways((way, *rest), definitions)
    elif node.kind == "any order":
        for at, way in enumerate(node.parts):
            again = [way] if way.kind == "repeat" else []
            others = Node("any order", parts=node.parts[:at] + again + node.parts[at + 1 :])
            yield from _ways((way, others, *rest), definitions)
    else:
        yield from _ways((*node.parts, *rest), definitions)
        if node.kind == "optional":
            yield from _ways(rest, definitions)
