"""What may stand next on a line, for the shells' TAB key.

click reads the shells' protocols (words and cursor from the environment, one candidate a line
back); the candidates come from the rows, so a new row completes by itself.  The completion scripts
hold the words of the rows as a table (``table``) and ask here only for what lives in the kernel:
ids, names, tags and pins.
"""

from __future__ import annotations

import os

from click import Command as ClickCommand
from click import echo
from click.shell_completion import CompletionItem, get_completion_class

from ..command import WHEN
from ..errors import Misuse, PybpftoolError
from . import options
from .grammar import Node, names, parse, second, shape
from .main import TOP, load

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from ..command import Command
    from ..kernel.handles import Btf, Map, Prog

    Rest = tuple[Node, ...]
    """What is still to be read, in order."""

VARIABLE = "_PYBPFTOOL_COMPLETE"
"""Environment variable in which a completion script asks (``bash_complete`` and its like)."""

_FILES = ("FILE", "PATH", "OBJ", "OLD", "NEW", "MAP_DIR", "BTF_FILE")
_LIVE = ("ID", "NAME", "TAG", "PIN")
"""What is asked of the kernel about a map, program or BTF: the ends of MAP_ID, PROG_TAG, …"""
_DEVICES = ("dev", "offload_dev", "xdpmeta_dev")
"""The keywords whose NAME is a network interface."""
_BYTES = "BYTES"
_DIGITS = frozenset("0123456789abcdefABCDEFxX")
_TAKING = ("-B", "-k", "-i", "-o", "--base-btf", "--output")
"""The options behind which a file stands."""


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
    if words and words[-1] == "--color":
        return [(word, "plain") for word in WHEN if word.startswith(start)]
    if start.startswith("-"):
        return [(word, "plain") for word in shown() if word.startswith(start)]
    try:
        line = options.scan(["", *words], lambda letter, value: True)
    except Misuse:
        return []
    found = dict.fromkeys(_after(line))
    return [(word, sort) for word, sort in found if sort == "file" or word.startswith(start)]


def shown() -> list[str]:
    """The options by their long names; the one of few values with each of them."""
    names = [f"--{name}" for name in options.LONG if name != "color"]
    return names + [f"--color={word}" for word in WHEN]


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
                *(Node("place", _device(clause.param, name)) for name in clause.places),
            ],
        )
        for clause in clauses
    ]
    start = [Node("keyword", word)] if word else []
    return (*start, *(Node("place", name) for name in head), Node("any order", parts=parts))


def _device(keyword: str, name: str) -> str:
    return "DEVICE" if keyword in _DEVICES and name == "NAME" else name


def _definitions(row: Command) -> dict[str, list[Node]]:
    """The places that are made of other words; those of one place may name another's."""
    from ..kernel.words import PROG_TYPES
    from ..places import MAP, PROG

    types = parse(f"{{ {' | '.join(PROG_TYPES)} }}")
    found = (
        {"PROG_TYPE": types, "TYPE": types} if "type TYPE" in row.usage else {"PROG_TYPE": types}
    )
    for place in (MAP, PROG, *row.places):
        if place.definition is not None:
            definition = place.definition.replace("dev NAME", "dev DEVICE")
            if place.name in ("MAP", "PROG"):
                definition = definition.replace("pinned FILE", f"pinned {place.name}_PIN")
            found[place.name] = parse(definition)
    return found


def _sort(place: str) -> str:
    """What a shell can do about a place: offer a ``file`` or ``device``, ask us (``live``), or
    nothing (``word``)."""
    if place in _FILES:
        return "file"
    if place == "DEVICE":
        return "device"
    kind, _, field = place.partition("_")
    return "live" if kind in ("MAP", "PROG", "BTF") and field in _LIVE else "word"


def _offered(place: str) -> Iterator[tuple[str, str]]:
    """The candidates for a place; none where the kernel does not let us see them."""
    sort = _sort(place)
    if sort == "device":
        for name in sorted(os.listdir("/sys/class/net")):
            yield name, "plain"
    elif sort == "live":
        from ..kernel import handles

        kind, _, field = place.partition("_")
        try:
            for word in _alive(getattr(handles, kind.capitalize()), field):
                if not {" ", "\n", "\t"} & set(word):
                    yield word, "plain"
        except PybpftoolError:
            pass
    if sort == "file" or place.endswith("_PIN"):
        yield "", "file"


def _alive(kind: type[Map | Prog | Btf], field: str) -> Iterator[str]:
    """Every id, name, tag or pin of maps, programs or BTF objects."""
    if field == "ID":
        yield from map(str, kind.ids())
    elif field == "PIN":
        yield from (path for paths in kind.pins().values() for path in paths)
    else:
        for handle in kind.listed():
            value = getattr(handle.info, field.lower())
            yield value.hex() if field == "TAG" else value


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
            else:
                yield from _offered(first.text)


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
    elif node.kind == "again":
        for way in node.parts:
            yield from _ways((*way.parts, *line), definitions)
    else:
        yield from _ways((*node.parts, *rest), definitions)
        if node.kind == "optional":
            yield from _ways(rest, definitions)


# ------------------------------------------------------------------ the table of the scripts


def table() -> list[str]:
    """The words of all rows as states, one text each; a line begins in the first, which is 1.

    A state is its ways, between blanks: ``word:STATE`` for a keyword (``~word:STATE`` where it is
    offered once on a line), ``@file:STATE`` and the like (see ``_sort``) for any other word; state
    0 knows no way on.  Clauses stand in any order, so that a state for every set of those already
    given would be too many: they lead back to one state, and the script leaves out what the line
    has.
    """
    states: dict[object, int] = {}
    texts: list[str] = []

    def number(key: object, ways: Callable[[], Iterator[tuple[str, int]]]) -> int:
        if key not in states:
            states[key] = len(texts) + 1
            texts.append("")
            at = len(texts) - 1
            texts[at] = " ".join(f"{word}:{to}" for word, to in dict(ways()).items())
        return states[key]

    def within(lines: dict[str, Rest], definitions: dict[str, list[Node]], where: str) -> int:
        def ways() -> Iterator[tuple[str, int]]:
            following: dict[str, dict[str, Rest]] = {}
            for line in lines.values():
                for first, rest in _ways(line, definitions):
                    word = first.text if first.kind == "keyword" else f"@{_sort(first.text)}"
                    following.setdefault(word, {})[repr(rest)] = rest
            # a word by itself is looked at last
            for word in sorted(following, key=lambda word: word[0] == "@"):
                yield word, within(following[word], definitions, where)

        if not any(True for line in lines.values() for _ in _ways(line, definitions)):
            return 0
        return number((where, *sorted(lines)), ways)

    def rows_of(name: str) -> Iterator[tuple[str, int]]:
        commands = load(name).commands
        for word in dict.fromkeys(word for row in commands for word in names(row.usage)):
            rows = [row for row in commands if word in names(row.usage)]
            places = {name: parts for row in rows for name, parts in _definitions(row).items()}
            lines = {repr(line): line for line in map(_again, map(_line, rows))}
            yield word, within(lines, places, f"{name} {names(rows[0].usage)[0]}")

    def top() -> Iterator[tuple[str, int]]:
        for name in TOP:
            if name in ("help", "version"):
                yield name, 0
            elif name == "batch":
                line = tuple(parse("file FILE"))
                yield name, within({repr(line): line}, {}, name)
            else:
                yield name, number(name, lambda name=name: rows_of(name))  # type: ignore[misc]  # a default binds the loop's name

    number("", top)
    return texts


def _again(line: Rest) -> Rest:
    """A line whose clauses may come again and again, with a mark on keywords that may not."""
    *head, clauses = line
    parts = [_once(part) if part.kind == "sequence" else part for part in clauses.parts]
    return (*head, Node("again", parts=parts))


def _once(clause: Node) -> Node:
    first, *rest = clause.parts
    mark = Node(first.kind, f"~{first.text}") if first.kind == "keyword" else first
    return Node("sequence", parts=[mark, *rest])
