"""The help texts, laid out from the rows."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..command import Object

_COMMON = "{ {-j|--json} [{-p|--pretty}] | {-d|--debug} |"
MARGIN = " " * 7
"""What every line of a help begins with, but the first: the width of ``Usage: ``."""


def top(prog: str, objects: Sequence[str]) -> str:
    """The help of the tool itself.

    ``prog``: the name it was called by.  ``objects``: the OBJECT words.
    """
    words = " | ".join(objects)
    return (
        f"Usage: {prog} [OPTIONS] OBJECT {{ COMMAND | help }}\n"
        f"{MARGIN}{prog} batch file FILE\n"
        f"{MARGIN}{prog} version\n"
        "\n"
        f"{MARGIN}OBJECT := {{ {words} }}\n"
        f"{MARGIN}OPTIONS := {_COMMON}\n"
        f"{' ' * 20}{{-V|--version}} | {{-o|--output}} FILE |\n"
        f"{' ' * 20}--color {{ auto | always | never }} }}\n"
    )


def of_object(thing: Object, prog: str, typed: str) -> str:
    """The help of one object.

    ``typed``: the object word as the user wrote it, which the lines repeat (spec 1.6).
    """
    lead = f"{MARGIN}{prog} {typed} "
    lines = [lead + row.usage for row in thing.commands]
    text = "Usage: " + "\n".join(lines)[len(MARGIN) :] + "\n\n"
    for place in thing.definitions:
        text += f"{MARGIN}{place.name} := {place.definition}\n"
    if not thing.options:
        return text + f"{MARGIN}OPTIONS := {_COMMON.removesuffix(' |')} }}\n"
    return text + f"{MARGIN}OPTIONS := {_COMMON}\n{' ' * 20}{thing.options} }}\n"
