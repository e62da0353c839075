"""Where the members of a struct or union lie, and where nothing lies.

The record has one entry per member and per gap, in the order of memory; ``plain`` lays it out as
C with offsets and sizes behind.
"""

from __future__ import annotations

from . import types
from .spec import MAX_DEPTH

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any, TypeAlias

    from .spec import Btf

    Entry: TypeAlias = dict[str, Any]

PLACE = "\0"
"""Stands where the name belongs in the text of a type: no name can hold it."""

CACHELINE = 64
_KINDS = {types.STRUCT: "struct", types.UNION: "union"}
_MOST_NESTED = 1 << 12  # entries within members; a small BTF can nest millions
_WIDEST = 60  # columns a declaration may take before its numbers
_LONGEST = 80  # columns from which on the inside of a nameless type is left out


def layout(
    btf: Btf,
    id: int,
    type_text: Callable[[int], str],
    *,
    cacheline: int = CACHELINE,
    expand: bool = False,
) -> dict[str, Any]:
    """The record of a struct or union, or of what a typedef or qualified type says is one.

    ``type_text``: the C declaration of a type on one line, with ``PLACE`` for the name.
    ``cacheline``: bytes.  Nameless structs and unions show their ``members``; with ``expand``
    those that have a name do so too, one level deep.

    Offsets and sizes are in bytes and count from the outermost struct.  A bit-field is placed in
    its storage unit (``offset``, ``size``) by ``bit_offset`` and ``bit_size``.  A gap is an entry
    of its own: ``hole`` and, behind the last member, ``padding`` in bytes, or ``bit_hole`` and
    ``bit_padding``.  BadData when it is no struct or union, is only declared, or has a member
    without a size.
    """
    found = _composite(btf, id)
    if found is None:
        raise btf.bad(id, "is no struct or union that is defined here")
    entries = list(_Walk(btf, type_text).entries(found, 0, expand, 0))
    return {
        "name": found.name,
        "kind": _KINDS[found.kind],
        "size": found.size,
        "members": entries,
        "summary": _summary(found, entries, cacheline),
    }


def _composite(btf: Btf, id: int) -> types.Composite | None:
    found = btf.type(btf.skip_modifiers(id, typedefs=True))
    return found if isinstance(found, types.Composite) else None


def _summary(type: types.Composite, entries: list[Entry], cacheline: int) -> dict[str, int]:
    def total(key: str) -> int:
        return sum(entry.get(key, 0) for entry in entries)

    def count(key: str) -> int:
        return sum(key in entry for entry in entries)

    return {
        "size": type.size,
        "members": count("name"),
        "sum_members": total("size")
        - sum(entry["size"] for entry in entries if "bit_size" in entry),
        "bit_fields": count("bit_size"),
        "sum_bit_fields": total("bit_size"),
        "holes": count("hole"),
        "sum_holes": total("hole"),
        "bit_holes": count("bit_hole"),
        "sum_bit_holes": total("bit_hole"),
        "padding": total("padding"),
        "bit_padding": total("bit_padding"),
        "cacheline_size": cacheline,
        "cachelines": -(-type.size // cacheline),
        "last_cacheline": type.size and (type.size - 1) % cacheline + 1,
    }


class _Walk:
    """The entries of one struct and what is nested in it."""

    def __init__(self, btf: Btf, type_text: Callable[[int], str]) -> None:
        self._btf = btf
        self._type_text = type_text
        self._left = _MOST_NESTED

    def entries(
        self, type: types.Composite, base: int, expand: bool, depth: int
    ) -> Iterator[Entry]:
        """Members and the gaps between and behind them; ``base``: the byte they begin at."""
        at, unit_end = 0, 0  # bits: where memory is free, and where a bit-field's storage ends
        for member in type.members:
            size = self._btf.size_of(member.type_id)
            start = member.bits_offset
            if type.kind == types.STRUCT:
                yield from _gap(at, start, unit_end, base, "hole")
            text = self._type_text(member.type_id)
            entry: Entry = {
                "name": member.name,
                "type": " ".join(text.replace(PLACE, "").split()),
                "declaration": text.replace(PLACE, member.name).rstrip(),
                "offset": base + start // 8,
                "size": size,
            }
            end = start + 8 * size
            if member.bitfield_size:
                end = start + member.bitfield_size
                unit = start // (8 * size) * size if size else start // 8
                if end > 8 * (unit + size):  # packed: it lies across two units
                    unit = start // 8
                    entry["size"] = -(-end // 8) - unit
                entry["declaration"] += f":{member.bitfield_size}"
                entry["offset"] = base + unit
                entry["bit_offset"] = start - 8 * unit
                entry["bit_size"] = member.bitfield_size
                unit_end = 8 * (unit + entry["size"])
            else:
                unit_end = 0
                self._nest(entry, member.type_id, expand, depth)
            at = max(at, end)
            yield entry
        yield from _gap(at, 8 * type.size, unit_end, base, "padding")

    def _nest(self, entry: Entry, id: int, expand: bool, depth: int) -> None:
        inner = self._btf.type(self._btf.skip_modifiers(id, typedefs=expand))
        if not isinstance(inner, types.Composite) or (inner.name and not expand):
            return
        self._left -= len(inner.members)
        if self._left >= 0 and depth < MAX_DEPTH:
            entry["members"] = list(self.entries(inner, entry["offset"], False, depth + 1))


def _gap(at: int, start: int, unit_end: int, base: int, what: str) -> Iterator[Entry]:
    """The gap from bit ``at`` to ``start``: the rest of a bit-field's unit, bytes, single bits."""
    for end in (min(max(at, unit_end), start), start // 8 * 8, start):
        bits = end - at
        if bits <= 0:
            continue
        if at % 8 or bits % 8 or end == unit_end:
            yield {"offset": base + at // 8, "bit_offset": at % 8, f"bit_{what}": bits}
        else:
            yield {"offset": base + at // 8, what: bits // 8}
        at = end


# ------------------------------------------------------------------ as text


def plain(record: dict[str, Any]) -> str:
    """The record as C, each member with its offset and size in bytes.

    A bit-field's offset is followed by that of its first bit: ``104:3``.
    """
    lines: list[tuple[str, str]] = []  # a declaration and its numbers, or a remark
    _lay(record["members"], 1, lines, _Boundaries(record["summary"]["cacheline_size"]))
    width = max((min(len(text), _WIDEST) for text, numbers in lines if numbers), default=0)
    head = f"{record['kind']} {record['name']}".rstrip()
    body = "".join(f"{text:{width}}  {numbers}".rstrip() + "\n" for text, numbers in lines)
    blank = "\n" if body else ""
    remarks = "".join(f"    /* {remark} */\n" for remark in _remarks(record))
    return f"{head} {{\n{body}{blank}{remarks}}};\n"


class _Boundaries:
    """The cacheline that was last come to."""

    __slots__ = ("_line", "_size")

    def __init__(self, size: int) -> None:
        self._size = size
        self._line = 0

    def remark(self, offset: int) -> str:
        """What is to be said before a member at this offset, if it is the first in its line."""
        line, inside = divmod(offset, self._size)
        if line <= self._line:
            return ""
        self._line = line
        back = f", {_count(inside, 'byte')} back" if inside else ""
        return f"/* --- cacheline {line} from byte {line * self._size}{back} --- */"


def _lay(
    entries: list[Entry], depth: int, lines: list[tuple[str, str]], boundaries: _Boundaries
) -> None:
    indent = 4 * depth * " "
    for entry in entries:
        if "name" not in entry:
            what, number = list(entry.items())[-1]
            unit = "bit" if what.startswith("bit_") else "byte"
            text = f"/* {what.removeprefix('bit_')}: {_count(number, unit)} */"
            lines.append((indent + text, ""))
            continue
        remark = boundaries.remark(entry["offset"])
        if remark:
            lines.append((indent + remark, ""))
        declaration = entry["declaration"]
        if "members" in entry:
            head = entry["type"].partition("{")[0].rstrip()
            lines.append((f"{indent}{head} {{", ""))
            _lay(entry["members"], depth + 1, lines, boundaries)
            declaration = f"}} {entry['name']}".rstrip()
        elif "{" in declaration and len(indent) + len(declaration) > _LONGEST:
            before, inside = declaration.split("{", 1)
            declaration = f"{before}{{ ... }}{inside.rpartition('}')[2]}"
        bit = f":{entry['bit_offset']}" if "bit_offset" in entry else ""
        numbers = f"/* {entry['offset']:>5}{bit:3} {entry['size']:>5} */"
        lines.append((f"{indent}{declaration};", numbers))


def _remarks(record: dict[str, Any]) -> Iterator[str]:
    """What the size is made of, and how it falls into cachelines."""
    get = record["summary"].__getitem__
    ordinary = get("members") - get("bit_fields")
    used = [
        (ordinary, f"{_count(get('sum_members'), 'byte')} in {_count(ordinary, 'member')}"),
        (
            get("bit_fields"),
            f"{_count(get('sum_bit_fields'), 'bit')} in {_count(get('bit_fields'), 'bit-field')}",
        ),
    ]
    unused = [
        ("holes", f"{_count(get('sum_holes'), 'byte')} in {_count(get('holes'), 'hole')}"),
        (
            "bit_holes",
            f"{_count(get('sum_bit_holes'), 'bit')} in {_count(get('bit_holes'), 'hole')}",
        ),
        ("padding", f"{_count(get('padding'), 'byte')} of padding"),
        ("bit_padding", f"{_count(get('bit_padding'), 'bit')} of padding"),
    ]
    made = ", ".join(text for some, text in used if some)
    if record["kind"] == "union":  # whose members share their place
        made = _count(get("members"), "member")
    yield f"size {get('size')}: {made or 'nothing'}"
    idle = ", ".join(text for key, text in unused if get(key))
    if idle:
        yield f"unused: {idle}"
    count = get("cachelines")
    if count:
        lines = _count(count, "cacheline")
        yield f"{lines} of {get('cacheline_size')}, {get('last_cacheline')} in the last"


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"
