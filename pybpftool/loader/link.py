"""A program and the functions it calls put into one row of instructions, as the kernel wants them.

Functions follow the program in the order in which they are first called, depth first, each once:
the order that libbpf has, so that tags agree.
"""

from __future__ import annotations

import struct
from bisect import bisect_left

from ..errors import BadData
from ..insn.code import CALL, FUNC, JMP, PSEUDO_CALL, SLOT, WIDE, Insn, encode, registers
from . import spec

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from .ext import CoreRelo
    from .spec import FunctionSpec, ObjectSpec, ProgramSpec, Reference

_CALL = JMP | CALL
_MOST = 1_000_000
"""Instructions of a program that any kernel takes."""


class Linked:
    """A whole program: ``code`` is changed by the relocations that are still to come.

    ``references``, ``core_relos``: by slot of ``code``.  ``func_info``, ``line_info``: the rows the
    kernel takes, empty where the file has none for some function.  ``tables``: where an instruction
    that refers to a table of jumps may lead to.
    """

    __slots__ = (
        "code",
        "core_relos",
        "func_info",
        "functions",
        "line_info",
        "references",
        "tables",
    )

    def __init__(self) -> None:
        self.code = bytearray()
        self.functions: list[tuple[int, FunctionSpec]] = []
        self.references: list[tuple[int, Reference]] = []
        self.core_relos: list[tuple[int, CoreRelo]] = []
        self.func_info: list[tuple[int, ...]] = []
        self.line_info: list[tuple[int, ...]] = []
        self.tables: dict[int, list[int]] = {}


def link(found: ObjectSpec, program: ProgramSpec) -> Linked:
    """The program with all functions behind it that it calls or takes the address of; the one that
    takes its exceptions, which nobody calls, comes last.

    BadData for a call of what is no function.
    """
    linked = Linked()
    places: dict[int, int] = {}
    waiting: list[tuple[int, int, bool]] = []
    functions = {each.slot: each for each in found.functions}

    def append(function: FunctionSpec) -> Iterator[tuple[int, int, bool]]:
        base = len(linked.code) // SLOT
        if base + len(function.code) // SLOT > _MOST:
            raise BadData(f"program '{program.name}' has more than {_MOST} instructions")
        linked.code += function.code
        linked.functions.append((base, function))
        return _calls(found, function, base)

    def follow(first: Iterator[tuple[int, int, bool]]) -> None:
        # not recursive: a chain of calls may be longer than Python's stack
        open_calls = [first]
        while open_calls:
            call = next(open_calls[-1], None)
            if call is None:
                open_calls.pop()
                continue
            target = call[1]
            waiting.append(call)
            if target not in places:
                if target not in functions:
                    raise BadData(
                        f"program '{program.name}' calls instruction {target} of .text,"
                        " where no function begins"
                    )
                places[target] = len(linked.code) // SLOT
                open_calls.append(append(functions[target]))

    follow(append(program))
    catchers = found.catchers.get(program.name, [])
    if len(catchers) == 1:  # the verifier refuses to choose
        catcher = _catcher(found, program, catchers[0])
        if catcher.slot not in places:
            places[catcher.slot] = len(linked.code) // SLOT
            follow(append(catcher))
    for slot, called, is_address in waiting:
        at, distance = slot * SLOT, places[called] - slot - 1
        struct.pack_into("=i", linked.code, at + 4, distance)
        if is_address:  # compilers leave it to the loader to say what the immediate is
            register, _ = registers(linked.code[at + 1])
            linked.code[at : at + 2 * SLOT] = encode([Insn(WIDE, register, FUNC, 0, distance)])
    _add_rest(found, linked)
    return linked


def _catcher(found: ObjectSpec, program: ProgramSpec, name: str) -> FunctionSpec:
    for each in found.functions:
        if each.name == name and not each.hidden:
            return each
    raise BadData(
        f"program '{program.name}': there is no global function '{name}' to take its exceptions"
    )


def _calls(found: ObjectSpec, function: FunctionSpec, base: int) -> Iterator[tuple[int, int, bool]]:
    """(slot in the whole, slot in .text that is called, whether only its address is taken)."""
    references = found.references.get(function.section, {})
    code = function.code
    slot = 0
    while slot < len(code) // SLOT:
        opcode = code[slot * SLOT]
        if opcode in (_CALL, WIDE):
            source = registers(code[slot * SLOT + 1])[1]
            known = references.get(function.slot + slot)
            if known is not None and known.kind in (spec.CALL, spec.ADDRESS):
                yield base + slot, known.index, known.kind == spec.ADDRESS
            elif known is None and opcode == _CALL and source == PSEUDO_CALL:
                distance = struct.unpack_from("=i", code, slot * SLOT + 4)[0]
                if function.section != ".text":
                    raise BadData(
                        f"'{function.name}' calls a function in section {function.section}"
                    )
                yield base + slot, function.slot + slot + 1 + distance, False
            elif known is None and opcode == WIDE and source == FUNC:
                raise BadData(f"'{function.name}' takes the address of nothing at {slot}")
        slot += 2 if opcode == WIDE else 1


def _add_rest(found: ObjectSpec, linked: Linked) -> None:
    """References, CO-RE relocations and debug information, moved to where the code is now."""
    whole, left = True, _MOST
    for base, function in linked.functions:
        move = base - function.slot
        references = found.references.get(function.section, {})
        for slot in range(function.slot, function.end) if references else ():
            reference = references.get(slot)
            if reference is None or reference.kind in (spec.CALL, spec.ADDRESS):
                continue
            if linked.code[(slot + move) * SLOT] == WIDE and slot + 1 == function.end:
                raise BadData(f"'{function.name}' ends with half an instruction")
            linked.references.append((slot + move, reference))
            if reference.kind == spec.TABLE:
                left -= reference.index
                if left < 0:
                    raise BadData(f"'{function.name}' may jump to more than {_MOST} places")
                entries = struct.unpack_from(
                    f"={reference.index}Q", found.jump_tables, reference.offset
                )
                linked.tables[slot + move] = [each // SLOT + move for each in entries]
                if not all(0 <= each < 1 << 32 for each in linked.tables[slot + move]):
                    raise BadData(f"'{function.name}' has a table of jumps that leads nowhere")
        if found.ext is None:
            continue
        relos = found.ext.core_relos.get(function.section, [])
        first = bisect_left(relos, function.slot, key=lambda each: each.slot)
        last = bisect_left(relos, function.end, key=lambda each: each.slot)
        linked.core_relos += [(each.slot + move, each) for each in relos[first:last]]
        names = _rows(found.ext.func_info.get(function.section, ()), function, move)
        whole = whole and bool(names)
        linked.func_info += names
        linked.line_info += _rows(found.ext.line_info.get(function.section, ()), function, move)
    if not whole:  # the kernel takes them for all functions or for none
        linked.func_info, linked.line_info = [], []


def _rows(
    rows: Sequence[tuple[int, ...]], function: FunctionSpec, move: int
) -> list[tuple[int, ...]]:
    first = bisect_left(rows, (function.slot,))
    last = bisect_left(rows, (function.end,))
    return [(slot + move, *rest) for slot, *rest in rows[first:last]]
