"""Why the verifier refused a program: the end of its log, the source line, and what would help.

The log tells the walk through a program up to the instruction at fault, and then the reason; both
are at its end, so only that is read, however long it is.  Source: logs of kernels 6.1 to 6.18.
"""

from __future__ import annotations

from ..errors import BadData
from .patch import POISON

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from typing import Any

    from ..btf.spec import Btf

    Record = dict[str, Any]

_EPERM, _E2BIG, _ENOSPC = 1, 7, 28
_REASON_LINES = 12
_LINE = 400
_BACK = 1 << 20  # bytes of the log's end in which the instruction and its source line are sought

_TALK = (
    *("processed ", "verification time ", "stack depth ", "mark_precise", "from ", "last_idx "),
    *("parent ", "regs=", "func#", "; ", "caller:", "callee:", "to caller", "returning from"),
    *("insns processed", "propagating ", "Live regs", "Validating ", "first_idx"),
)
"""How lines begin that are no reason."""


def explain(
    log: str,
    *,
    program: str = "",
    errno: int = 0,
    source: Callable[[int], str | None] | None = None,
    reasons: Mapping[int, str] | None = None,
) -> Record:
    """What a failed load comes down to: program, reason, insn, code, source, hint.

    ``log``: of the verifier, level 1 or 2.  ``errno``: of the load.  ``source(slot)``: the source
    line of an instruction, for logs that do not tell it (``source_at``).  ``reasons``: by slot, why
    the loader made an instruction invalid on purpose.
    What is not known is absent; ``reason`` is always there.  The text is as long as the log's lines
    allow, each cut to 400 characters.
    """
    import os

    lines: list[str] = []
    slot, code, line = None, "", None
    for text in _backwards(log.partition("\0")[0][-_BACK:]):
        if slot is None:
            slot, code = _instruction(text)
            if slot is None and len(lines) < _REASON_LINES and not _is_talk(text):
                lines.append(text)
        elif text.startswith("; "):
            line = text[2:]
            break
    lines.reverse()
    reason = "; ".join(lines) or (os.strerror(errno) if errno else "the log gives no reason")
    named = _named_slot(reason)
    if named is not None:  # the reason knows better than the walk, which was not there
        slot, code, line = named, "", None
    if slot is not None and source is not None:
        line = source(slot) or line
    record: Record = {"program": program} if program else {}
    record["reason"] = reason
    if slot is not None:
        record["insn"] = slot
    if code:
        record["code"] = code
    if line:
        record["source"] = line
    found = _hint(reason, errno, slot, reasons or {})
    if found:
        record["hint"] = found
    return record


def plain(record: Record) -> list[str]:
    """The same as lines of text: the reason first, the others indented below."""
    subject = f"program '{record['program']}': " if "program" in record else ""
    lines = [subject + record["reason"]]
    if "insn" in record:
        lines.append(f"  at instruction {record['insn']}: {record.get('code', '')}".rstrip(": "))
    lines += [f"  {key}: {record[key]}" for key in ("source", "hint") if key in record]
    return lines


def source_at(line_info: Sequence[tuple[int, int, int, int]], btf: Btf, slot: int) -> str | None:
    """The source line of an instruction as ``text @ file:line``, None if none is told.

    ``line_info``: rows of struct bpf_line_info, ascending by their first number, the slot: then
    the string offsets of file and text, and line and column in one.
    """
    from bisect import bisect_right

    index = bisect_right(line_info, slot, key=lambda row: row[0]) - 1
    if index < 0:
        return None
    _, file, text, place = line_info[index]
    try:
        return f"{btf.string(text).strip()} @ {btf.string(file).rpartition('/')[2]}:{place >> 10}"
    except BadData:
        return None


# ------------------------------------------------------------------ reading the log


def _backwards(text: str) -> Iterator[str]:
    """The lines of a text from the last to the first, no empty ones, each cut to a sane length."""
    end = len(text)
    while end > 0:
        start = text.rfind("\n", 0, end) + 1
        line = text[start : min(end, start + _LINE)].strip()
        cut = line.find("processed ")  # some reasons come without an end of line
        if cut > 0 and "insns (limit" in line[cut:]:
            line = line[:cut]
        if line:
            yield line
        end = start - 1


def _instruction(line: str) -> tuple[int | None, str]:
    """Slot and text of a line like ``6: (79) r0 = …``; (None, "") for others."""
    number, mark, text = line.partition(": (")
    if not mark or not (number.isascii() and number.isdigit() and len(number) < 9):
        return None, ""
    return int(number), "(" + text.partition(" ; ")[0].rstrip()


def _is_talk(line: str) -> bool:
    number, mark, _ = line.partition(": ")
    return line.startswith(_TALK) or (mark != "" and number.isdigit())  # a state, no reason


def _named_slot(reason: str) -> int | None:
    """The instruction that a reason names itself: found before any was walked through."""
    for words in ("unreachable insn ", "jump out of range from insn ", "back-edge from insn "):
        _, mark, rest = reason.partition(words)
        digits = rest.split(" ", 1)[0].rstrip(";")
        if mark and digits.isascii() and digits.isdigit() and len(digits) < 9:
            return int(digits)
    return None


# ------------------------------------------------------------------ what would help

_HINTS = (
    ("_or_null'", "compare the pointer with NULL before using it"),
    ("invalid access to packet", "compare the end of the access with data_end before it"),
    ("offset is outside of the packet", "compare the end of the access with data_end before it"),
    ("invalid access to map value", "check the offset against the size of the map's value first"),
    ("is outside of the allowed memory range", "check the bounds of the offset before the access"),
    ("unbounded memory access", "limit the offset or size by a comparison or a mask first"),
    ("unbounded variable-offset", "limit the offset by a comparison or a mask before the access"),
    ("invalid mem access 'scalar'", "this is a number and no pointer that the verifier knows"),
    ("invalid mem access 'inv'", "this is a number and no pointer that the verifier knows"),
    ("non-GPL compatible", 'give the object a license section that holds "GPL"'),
    ("GPL compatible", 'give the object a license section that holds "GPL"'),
    ("BPF program is too large", "simplify the program or its loops: a million are the limit"),
    ("infinite loop detected", "give the loop an end that the verifier can see"),
    ("back-edge from insn", "this kernel takes no loops here: unroll the loop"),
    ("too many states", "simplify the program or its loops"),
    ("combined stack size", "all functions of a chain of calls share 512 bytes of stack"),
    ("invalid write to stack", "a function's stack has 512 bytes; larger data belong in a map"),
    ("invalid read from stack", "read only what was written to the stack before"),
    ("invalid indirect access to stack", "fill the whole memory before its address is passed on"),
    ("invalid indirect read from stack", "fill the whole memory before its address is passed on"),
    ("R0 !read_ok", "the program leaves without a result: set one on every way out"),
    ("!read_ok", "the register holds nothing: a value is missing, or a call has spoilt it"),
    ("Unreleased reference", "release what was acquired on every way out of the program"),
    ("pointer += pointer", "two pointers cannot be added: one of them must be a number"),
    ("pointer arithmetic", "keep such a pointer as it is and calculate with numbers only"),
    ("math between", "limit the number by a comparison before it is added to the pointer"),
    ("invalid bpf_context access", "the context of this program type has no such field"),
    ("cannot pass map_type", "the helper takes maps of another type"),
    ("expected prog array", "a tail call needs a map of type prog_array"),
    ("At program exit the register", "the result is outside what this program type may return"),
    ("not an exit or jmp", "the code ends without a return"),
    ("unreachable insn", "some code can never be reached, as behind a loop without an end"),
    ("unknown opcode", "this kernel does not know the instruction: compile for an older -mcpu"),
    ("sleepable", "such a call needs, or forbids, a program in a section with the ending .s"),
    ("calling kernel function", "the kernel does not offer that function to this program type"),
    ("is not a kernel function", "the kernel does not offer that function to programs"),
    ("is not allowed", "the kernel does not offer that to this program type"),
)
"""Words in a reason -> what it asks for; the first that fits is told."""


def _hint(reason: str, errno: int, slot: int | None, reasons: Mapping[int, str]) -> str | None:
    from ..kernel.words import helper_word

    if "invalid func unknown#" in reason:
        if slot is not None and slot in reasons:
            return reasons[slot]
        number = _number_after(reason, "invalid func unknown#")
        if number == POISON:
            return "a CO-RE relocation found nothing in this kernel for what the code needs here"
        word = helper_word(number) if number is not None else None
        return (
            f"this kernel does not have the helper {word} (number {number})"
            if word
            else f"this kernel does not have the helper number {number}"
        )
    for words in ("cannot use helper ", "unknown func "):
        name, mark, rest = reason.partition(words)[2].partition("#")
        if mark:
            number = _number_after("#" + rest, "#")
            word = (helper_word(number) if number is not None else None) or name
            return f"the helper {word} (number {number}) is not for programs of this type"
    _, mark, rest = reason.partition(" expected=")
    if mark and " type=" in reason:
        given = reason.partition(" type=")[2].split(" ", 1)[0]
        wanted = rest.partition(";")[0].replace(", ", " or ")
        return f"the call was given {given} where it takes {wanted}"
    for words, text in _HINTS:
        if words in reason:
            return text
    if errno == _ENOSPC:
        return "the log did not fit into its buffer; the reason may be missing"
    if errno == _E2BIG:
        return "the program has more instructions than this kernel takes"
    if errno == _EPERM:
        from ..kernel.proc import why_not_permitted

        return why_not_permitted(["CAP_BPF", "CAP_NET_ADMIN", "CAP_PERFMON"])
    return None


def _number_after(text: str, words: str) -> int | None:
    rest = text.partition(words)[2][:10]
    digits = rest[: len(rest) - len(rest.lstrip("0123456789"))]
    return int(digits) if digits else None
