"""Usage lines read as a grammar.

Notation: lower case = keyword, CAPITALS = place, ``[ ]`` optional, ``{ | }`` choice,
``...`` repeat.  A trailing backslash only breaks the line.  The same reading serves the binder,
completion and the man page.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator


class Node:
    """One piece of a usage line.

    ``kind``: ``keyword``, ``place``, ``optional``, ``choice``, ``sequence`` or ``repeat``.
    ``text``: the word of a keyword or place.  ``parts``: the pieces inside the others.
    """

    __slots__ = ("kind", "parts", "text")

    def __init__(self, kind: str, text: str = "", parts: list[Node] | None = None) -> None:
        self.kind = kind
        self.text = text
        self.parts = parts or []

    def __repr__(self) -> str:
        return self.text or f"{self.kind}{self.parts}"


class Clause:
    """A keyword and what follows it, or a place that stands by itself.

    ``keywords``: the words that may open it (empty: any word does).
    ``places``: names of the places to read after the keyword.
    ``optional``: whether the usage line has it in brackets.
    ``repeated``: whether it may be given again; the place is read each time.
    ``param``: the parameter it fills: the keyword, or the place in lower case.
    """

    __slots__ = ("keywords", "optional", "param", "places", "repeated")

    def __init__(
        self, keywords: list[str], places: list[str], *, optional: bool, repeated: bool = False
    ) -> None:
        self.keywords = keywords
        self.places = places
        self.optional = optional
        self.repeated = repeated
        self.param = (keywords[0] if keywords else places[0]).lower()


def parse(usage: str) -> list[Node]:
    """The pieces of a usage line or definition, in order.

    Raises ValueError where brackets do not pair: usage lines are ours, so that is a mistake in
    the tool, and a test reads every row.
    """
    words = list(_tokens(usage))
    nodes, at = _sequence(words, 0, end="")
    if at != len(words):
        raise ValueError(f"unpaired {words[at]!r} in usage line {usage!r}")
    return nodes


def _tokens(usage: str) -> Iterator[str]:
    for mark in "[]{}|\\":
        usage = usage.replace(mark, f" {mark} ")
    return (word for word in usage.replace("...", " ... ").split() if word != "\\")


def _sequence(words: list[str], at: int, end: str) -> tuple[list[Node], int]:
    nodes: list[Node] = []
    while at < len(words) and words[at] not in ("]", "}", "|"):
        word = words[at]
        if word == "[":
            parts, at = _sequence(words, at + 1, end="]")
            nodes.append(Node("optional", parts=parts))
        elif word == "{":
            node, at = _choice(words, at + 1)
            nodes.append(node)
        elif word == "..." and nodes:
            nodes.append(Node("repeat", parts=[nodes.pop()]))
        else:
            nodes.append(Node("place" if word[0].isupper() else "keyword", word))
        at += 1
    if end and (at >= len(words) or words[at] != end):
        raise ValueError(f"no {end!r} in usage line: {' '.join(words)}")
    return nodes, at


def _choice(words: list[str], at: int) -> tuple[Node, int]:
    ways: list[Node] = []
    while True:
        parts, at = _sequence(words, at, end="")
        ways.append(parts[0] if len(parts) == 1 else Node("sequence", parts=parts))
        if at >= len(words) or words[at] == "]":
            raise ValueError(f"no '}}' in usage line: {' '.join(words)}")
        if words[at] == "}":
            return Node("choice", parts=ways), at
        at += 1


def names(usage: str) -> list[str]:
    """The command words of a row: ``{ show | list } [MAP]`` gives show and list."""
    # every row is asked for these on every call: the rest of the line need not be read for them
    if usage.startswith("{"):
        return usage[1 : usage.index("}")].replace("|", " ").split()
    return usage.split(None, 1)[:1]


def second(usage: str) -> str:
    """The second word of a command that has two (``dump xlated PROG``), else empty."""
    nodes = parse(usage)[1:3]
    return nodes[0].text if [node.kind for node in nodes] == ["keyword", "place"] else ""


def shape(usage: str, hidden: str = "") -> tuple[list[str], list[Clause]]:
    """What a row takes after its command words: the places of its head, and its clauses.

    The head is read in order; after it, clauses come in any order (spec 3.2, 3.3).
    """
    nodes = parse(usage)[2 if second(usage) else 1 :]
    head: list[str] = []
    while nodes and nodes[0].kind == "place":
        head.append(nodes.pop(0).text)
    return head, [*_clauses(nodes, optional=False), *_clauses(parse(hidden), optional=True)]


def _clauses(nodes: list[Node], *, optional: bool, repeated: bool = False) -> Iterator[Clause]:
    """Nodes cut at every keyword; what brackets group becomes optional clauses side by side.

    ``[{ a | b } NAME]`` is a clause for either keyword.  ``a { b | c } NAME`` is one clause, all of
    which is read by the place of the keyword's own name.
    """
    keywords: list[str] = []
    places: list[str] = []
    whole = False  # the rest of the clause is a matter of one place
    for node in [*nodes, None]:
        if node is not None and node.kind == "place":
            places.append(node.text)
            continue
        if node is not None and node.kind == "choice" and keywords and not places:
            whole = True
            continue
        if keywords or places:
            for keyword in [[each] for each in keywords] or [[]]:
                yield Clause(keyword, [] if whole else places, optional=optional, repeated=repeated)
        keywords, places, whole = [], [], False
        if node is None:
            return
        if node.kind == "keyword":
            keywords = [node.text]
        elif node.kind == "choice" and optional and not any(way.parts for way in node.parts):
            keywords = [way.text for way in node.parts]
        elif node.kind == "optional":
            yield from _clauses(node.parts, optional=True)
        elif node.kind == "repeat" and node.parts[0].kind == "optional":
            yield from _clauses(node.parts[0].parts, optional=True, repeated=True)
        elif node.kind in ("choice", "sequence"):
            # which ways exclude each other, the function knows: it has the sentence for it
            for part in node.parts:
                parts = part.parts if part.kind == "sequence" else [part]
                yield from _clauses(parts, optional=optional)
        else:
            raise ValueError(f"no rule reads {node!r} in a usage line")


def opening(definition: str) -> list[str]:
    """The keywords that may open a place defined as a choice; none if any word may.

    ``{ any | exist | noexist }`` gives those three, ``{ [hex] BYTES }`` gives none.
    """
    first = parse(definition)[:1]
    if not first or first[0].kind != "choice":
        return []
    words = [way.parts[0] if way.kind == "sequence" else way for way in first[0].parts]
    return [word.text for word in words] if all(w.kind == "keyword" for w in words) else []
