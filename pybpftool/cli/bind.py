"""From the user's words to the values of a row, left to right."""

from __future__ import annotations

from ..command import HELP, IGNORE, NEEDS, Call, Words
from ..errors import Misuse, PybpftoolError
from .grammar import names, opening, second, shape

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from ..command import Command, Options, Place
    from .grammar import Clause


def matches(word: str, keyword: str) -> bool:
    """Whether a word abbreviates a keyword; the empty word abbreviates all (spec 1.2)."""
    return keyword.startswith(word)


def pick(rows: Sequence[Command], words: Words) -> Command | None:
    """The row that the next words mean, which are taken; None where no row begins like that.

    It is the first with a command word that the next word abbreviates, and without words the first
    of all.  Where its command has two words, the second decides between the rows that share the
    first; they are tried from the last on, as bpftool does.  Of other rows with one command it is
    the first that the word behind it opens, or else the first that takes so many words.
    Raises PybpftoolError for a second word that none of them has.
    """
    word = words.next
    row = next((row for row in rows if word is None or _begins(row, word)), None)
    if row is None or word is None:
        return row
    words.take()
    spoken = names(row.usage)
    alike = [each for each in rows if names(each.usage) == spoken]
    if not second(row.usage):
        opened = (each for each in alike if _opens(each, words.next))
        fitting = (each for each in alike if _takes(each, len(words)))
        return next(opened, None) or next(fitting, row)
    known = {second(each.usage): each for each in alike}
    word = words.next
    for keyword in reversed(known):
        if word is not None and matches(word, keyword):
            words.take()
            return known[keyword]
    expected = " or ".join(f"'{keyword}'" for keyword in known)
    raise PybpftoolError(f"expected {expected}, got: {'(null)' if word is None else word}")


def _begins(row: Command, word: str) -> bool:
    return any(matches(word, name) for name in names(row.usage))


def _takes(row: Command, count: int) -> bool:
    return count in row.words if isinstance(row.words, tuple) else count >= row.words


def _opens(row: Command, word: str | None) -> bool:
    """Whether a word opens what a row takes after its command."""
    head, clauses = shape(row.usage)
    places = {place.name: place for place in row.places}
    starts = [] if not head else opening(places[head[0]].definition or "")
    for clause in clauses if not head else ():
        starts += clause.keywords or opening(places[clause.places[0]].definition or "")
    return word is not None and any(matches(word, start) for start in starts)


def bind(row: Command, words: Words, options: Options) -> dict[str, Any]:
    """The values for ``row.run`` by parameter name.

    Raises PybpftoolError with bpftool's sentence for the first word that does not fit, Misuse
    where the object's help is the answer.
    """
    _count(row, words)
    call = Call(row, options, words)
    head, clauses = shape(row.usage, row.hidden)
    places = {place.name: place for place in row.places}
    for name in head:
        call.bound[name.lower()] = places[name].read(words, call)
    while len(words):
        clause = _opened(clauses, places, words, row)
        if clause is None:
            if row.extra == IGNORE:
                break
            raise _stray(row, words.next or "")
        if clause.keywords:
            words.take()
        call.keyword = "".join(clause.keywords)
        if not clause.places:
            # a Place of the keyword's own name has a say in whether it may stand here
            judge = places.get(clause.param)
            call.bound[clause.param] = judge.read(words, call) if judge else True
        for name in clause.places:
            call.bound[clause.param] = _place(places, clause, name).read(words, call)
    for clause in clauses:
        if clause.param not in call.bound and clause.places:
            absent = _place(places, clause, clause.places[0]).absent
            if absent is not None:
                call.keyword = "".join(clause.keywords)
                call.bound[clause.param] = absent(call)
    return call.bound


def _count(row: Command, words: Words) -> None:
    """Hold the number of words against what the row takes."""
    if _takes(row, len(words)):
        return
    if row.wrong == HELP:
        raise Misuse("")
    if row.wrong == NEEDS:
        least = min(row.words) if isinstance(row.words, tuple) else row.words
        words.need(least, status=row.status)
    raise PybpftoolError(f"what is '{words.next}'?")


def _opened(
    clauses: list[Clause], places: dict[str, Place], words: Words, row: Command
) -> Clause | None:
    """The first clause that the next word opens."""
    if row.pairs:
        words.need(2)
    word = words.next or ""
    if row.clear:
        _see_that_one_fits(clauses, word)
    for clause in clauses:
        keywords = clause.keywords or opening(places[clause.places[0]].definition or "")
        # a place all by itself takes any word: it has its own sentence for a wrong one
        alone = not clause.keywords and len(clauses) == 1
        if alone or not keywords or any(matches(word, keyword) for keyword in keywords):
            return clause
    return None


def _see_that_one_fits(clauses: list[Clause], word: str) -> None:
    fitting = [key for clause in clauses for key in clause.keywords if matches(word, key)]
    rivals = [key for key in fitting if key[0] == fitting[0][0]]
    if len(rivals) > 1:
        could = "' or '".join(rivals)
        raise PybpftoolError(f"ambiguous prefix: '{word}' could be '{could}'")


def _place(places: dict[str, Place], clause: Clause, name: str) -> Place:
    """A place by its name, or by ``keyword NAME`` where one name means two things."""
    return places.get(f"{clause.param} {name}") or places[name]


def _stray(row: Command, word: str) -> PybpftoolError:
    """What to say to a word that no clause takes."""
    if callable(row.extra):
        return PybpftoolError(row.extra(word), status=row.status)
    return Misuse("") if row.extra == HELP else PybpftoolError(f"what is '{word}'?")
