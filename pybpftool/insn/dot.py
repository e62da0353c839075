"""A program's control flow as a picture for Graphviz: the DOT text (spec 2.6).

What bpftool gets wrong is right here: the prototype and lines of source of every function are its
own (there, all functions show those of the first), and gotol leads where it goes.
"""

from __future__ import annotations

from .code import SLOT, WIDE
from .graph import ENTRY, EXIT
from .lines import in_force

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from .code import Data
    from .graph import Block, Function
    from .lines import Line

_MOST_TEXT = 63
"""Bytes of an instruction's text, its line break included, that are shown."""
_MOST_PATH = 32
"""Bytes of a path that are shown in full."""
_BREAK = "\\l\\\n"
"""Ends a line of a label, set to the left; the label goes on in the next line of the file."""

_INSN_ESCAPES = {ord(letter): f"\\{letter}" for letter in "<>|&"} | {ord("\n"): _BREAK}
_SOURCE_ESCAPES = {ord(letter): f"\\{letter}" for letter in '\\"{}<>| '}


def dot(
    functions: Iterable[Function],
    texts: Mapping[int, str],
    protos: Mapping[int, str] | None = None,
    lines: Sequence[Line] = (),
    *,
    linum: bool = False,
    opcodes: Data = b"",
) -> Iterator[str]:
    """The graph of ``functions``, in pieces of a block or so.

    ``texts``: of the instructions, by slot.  ``protos``: prototypes, by the slot at which their
    function begins.  ``lines``: of source; ``linum``: with file, line and column.
    ``opcodes``: the code itself, if its bytes are to be shown.
    """
    sources = dict(in_force(lines, texts))
    yield 'digraph "DOT graph for eBPF program" {\n'
    for function in functions:
        number = function.index
        yield (
            f'subgraph "cluster_{number}" {{\n\tstyle="dashed";\n\tcolor="black";\n'
            f'\tlabel="func_{number} ()";\n'
        )
        yield _node(number, ENTRY, "Mdiamond", "ENTRY")
        for block in function.blocks:
            label = "".join(_label(function, block, texts, protos or {}, sources, linum, opcodes))
            yield _node(number, block.index, "record", f"{{\\\n{label}}}")
        yield _node(number, EXIT, "Mdiamond", "EXIT")
        solid = 'style="solid,bold", color=black, weight=10, constraint=true'
        yield _edge(number, ENTRY, function.blocks[0].index, solid)
        for block in function.blocks:
            for successor in block.successors:
                yield _edge(number, block.index, successor, solid)
        yield _edge(number, ENTRY, EXIT, 'style="invis", constraint=true') + "}\n"
    yield "}\n"


def _node(function: int, block: int, shape: str, label: str) -> str:
    return f'\tfn_{function}_bb_{block} [shape={shape},style=filled,label="{label}"];\n\n'


def _edge(function: int, block: int, successor: int, looks: str) -> str:
    # it leaves the one at its south side and enters the other at the north
    return f"\tfn_{function}_bb_{block}:s -> fn_{function}_bb_{successor}:n [{looks}];\n"


def _label(
    function: Function,
    block: Block,
    texts: Mapping[int, str],
    protos: Mapping[int, str],
    sources: Mapping[int, Line],
    linum: bool,
    opcodes: Data,
) -> Iterator[str]:
    """The lines of a block: what stands before each instruction, it, its bytes."""
    before = None
    for at in range(block.start, block.end):
        if at not in texts:
            continue  # a second slot
        if at in protos:
            yield f"; {protos[at]}:{_BREAK}"
        line = sources.get(at)
        if line and line is not before:
            before = line
            yield _source(line, linum)
        yield f"{at - function.start}: " + f"{texts[at]}\n"[:_MOST_TEXT].translate(_INSN_ESCAPES)
        if opcodes:
            slots = 2 if opcodes[at * SLOT] == WIDE else 1
            code = bytes(opcodes[at * SLOT : (at + slots) * SLOT]).hex(" ")
            yield f"\\ \\ \\ \\ {code}{_BREAK}"
        if at + 1 != block.end:
            # Behind a last instruction of two slots as well, for bpftool leaves an empty field.
            yield "| "


def _source(line: Line, linum: bool) -> str:
    if not line.line:
        return ""
    text = f"; {(line.source or '').translate(_SOURCE_ESCAPES)}{_BREAK}"
    if linum:
        where = _short(line.file or "")
        text = f"; [{where} line:{line.line_num} col:{line.line_col}]{_BREAK}{text}"
    return text


def _short(path: str) -> str:
    """A path as it is shown, escaped: of a long one the end, from a slash on, behind ``...``."""
    raw = path.encode("utf-8", "surrogateescape")
    cut = 0
    if len(raw) > _MOST_PATH:
        cut = raw.find(b"/", len(raw) - _MOST_PATH)
        if cut < 0:
            cut = max(0, raw.rfind(b"/"))  # the name alone is too long, but stays whole
        elif cut < len("..."):
            cut = 0  # nothing to be gained
    end = raw[cut:].decode("utf-8", "surrogateescape").translate(_SOURCE_ESCAPES)
    return f"...{end}" if cut else end
