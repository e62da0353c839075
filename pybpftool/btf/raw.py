"""BTF types as the rows of ``btf dump``: lines for people, or JSON objects (spec 4.3).

A kernel has more than a hundred thousand types, so nothing is made of one but its text.  Types
with the same info word (kind, number of items, flag) differ only in some numbers and names: their
text is made once, as a template with a place for each of these.  Plain, compact and pretty are
three sets of templates over the same values.
"""

from __future__ import annotations

from itertools import pairwise

from ..command import PLAIN, PRETTY
from ..output.json_writer import closing, newline, quote
from . import types
from .types import ITEM_WORDS, KIND_NAMES, kind_of, signed, vlen_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from .spec import Btf

ANONYMOUS = "(anon)"
"""What stands for no name."""

LINKAGES = ("static", "global", "extern")
_UNKNOWN = "(unknown)"
_ENCODINGS = {0: "(none)", types.SIGNED: "SIGNED", types.CHAR: "CHAR", types.BOOL: "BOOL"}
_SIGNS = ("UNSIGNED", "SIGNED")

_REFERENCE = ("type_id", "", "")
_COMPOSITE = ("size vlen", "members", "name type_id bits_offset")
_ENUM = ("encoding size vlen", "values", "name val")
_SHAPES = {
    types.VOID: ("", "", ""),
    types.INT: ("size bits_offset nr_bits encoding", "", ""),
    types.PTR: _REFERENCE,
    types.ARRAY: ("type_id index_type_id nr_elems", "", ""),
    types.STRUCT: _COMPOSITE,
    types.UNION: _COMPOSITE,
    types.ENUM: _ENUM,
    types.FWD: ("fwd_kind", "", ""),
    types.TYPEDEF: _REFERENCE,
    types.VOLATILE: _REFERENCE,
    types.CONST: _REFERENCE,
    types.RESTRICT: _REFERENCE,
    types.FUNC: ("type_id linkage", "", ""),
    types.FUNC_PROTO: ("ret_type_id vlen", "params", "name type_id"),
    types.VAR: ("type_id, linkage", "", ""),
    types.DATASEC: ("size vlen", "vars", "type_id offset size"),
    types.FLOAT: ("size", "", ""),
    types.DECL_TAG: ("type_id component_idx", "", ""),
    types.TYPE_TAG: _REFERENCE,
    types.ENUM64: _ENUM,
}
"""kind -> its fields, the name of its items, and their fields; a comma is for plain text only."""

_TEXTS = ("encoding", "fwd_kind", "linkage", "name")
"""The fields that are words, which JSON quotes."""

_ONE_NUMBER = frozenset(
    (
        *(types.PTR, types.TYPEDEF, types.VOLATILE, types.CONST, types.RESTRICT, types.TYPE_TAG),
        *(types.FUNC, types.FLOAT),
    )
)
"""Kinds of which only the name and one number vary: most types of a kernel."""

_BITS = 24
"""Where in a member's offset its size as a bit-field begins, if the type's flag is set."""
_BLOCK = 2048
"""Types whose words are taken out at a time."""
_KEPT = 256
"""Items of a type up to which its template is kept: larger ones are rarely alike."""


def rows(btf: Btf, form: str, depth: int, ids: Sequence[int] | None = None) -> Iterator[str]:
    """The rows of a BTF in pieces of text, to be written one after the other.

    ``form``: PLAIN (lines), COMPACT or PRETTY (JSON objects with the commas between them);
    ``depth``: the brackets open around them.  ``ids``: the types to show, by default the BTF's own.
    BadData for a name that is none; ids that types refer to are shown as they are.
    """
    layout = _Plain() if form == PLAIN else _Json(form == PRETTY, depth)
    names = _Names(btf, layout)
    if ids is None:
        names.update(layout.names(btf.all_strings()))
        names[0] = ANONYMOUS
    blocks = _own(btf, layout, names) if ids is None else _asked(btf, layout, names, ids)
    mark = ""
    for texts in blocks:
        yield mark + layout.joint.join(texts)
        mark = layout.joint


def _own(btf: Btf, layout: _Layout, names: _Names) -> Iterator[list[str]]:
    at = btf.at[btf.own_start :]
    count = len(at)
    at.append(len(btf.words))
    for first in range(0, count, _BLOCK):
        end = min(first + _BLOCK, count)
        begin = at[first]
        words = btf.words[begin : at[end]].tolist()
        places = [each - begin for each in at[first : end + 1]]
        yield _texts(btf, layout, names, words, places, btf.own_start + first)


def _asked(btf: Btf, layout: _Layout, names: _Names, ids: Sequence[int]) -> Iterator[list[str]]:
    for id in ids:
        at = btf.at[id]
        words = btf.words[at : at + types.words_in(btf.words[at + 1])].tolist()
        yield _texts(btf, layout, names, words, [0, len(words)], id)


def _texts(
    btf: Btf,
    layout: _Layout,
    names: _Names,
    words: Sequence[int],
    places: Sequence[int],
    first: int,
) -> list[str]:
    """The text of each type between two of ``places``; ``first``: id of the first."""
    found: list[str] = []
    add = found.append
    for id, (at, end) in enumerate(pairwise(places), first):
        info = words[at + 1]
        if info >> 24 & 0x7F in _ONE_NUMBER:  # kind_of, without the price of a call
            add(layout[info] % (id, names[words[at]], words[at + 2]))
        else:
            add(_text(btf, layout, names, id, info, words[at:end]))
    return found


def _text(
    btf: Btf, layout: _Layout, names: _Names, id: int, info: int, words: Sequence[int]
) -> str:
    """The text of a type of a kind with more to it than one number."""
    kind = kind_of(info)
    values: list[object] = [id, names[words[0]]]
    rest: list[object] = list(words[3:])
    if kind == types.FUNC_PROTO:  # the most frequent first
        values.append(words[2])
        rest[0::2] = [names[offset] for offset in words[3::2]]
    elif kind in (types.STRUCT, types.UNION):
        values.append(words[2])
        rest[0::3] = [names[offset] for offset in words[3::3]]
        if info >> 31:
            bits = [offset >> _BITS for offset in words[5::3]]
            rest[2::3] = [offset & (1 << _BITS) - 1 for offset in words[5::3]]
            if any(bits):
                members = [rest[at : at + 3] for at in range(0, len(rest), 3)]
                for member, size in zip(members, bits, strict=True):
                    values += [*member, size] if size else member
                return layout.with_bits(info, bits) % tuple(values)
    elif kind in (types.ENUM, types.ENUM64):
        values.append(words[2])
        width, numbers = 32, list(words[4 :: ITEM_WORDS[kind]])
        if kind == types.ENUM64:
            width = 64
            numbers = [high << 32 | low for low, high in zip(numbers, words[5::3], strict=True)]
            del rest[2::3]
        if info >> 31:
            numbers = [signed(number, width) for number in numbers]
        rest[0::2] = [names[offset] for offset in words[3 :: ITEM_WORDS[kind]]]
        rest[1::2] = numbers
    elif kind == types.DATASEC:
        values.append(words[2])
        rest = []
        for at in range(3, len(words), 3):
            variable = words[at]
            known = variable < btf.type_count
            name = names[btf.named(variable)] if known else ""
            rest += [*words[at : at + 3], KIND_NAMES[btf.kind(variable) if known else 0], name]
    elif kind == types.INT:
        bits_word = words[3]
        encoding = _ENCODINGS.get(bits_word >> 24 & 15, "UNKN")
        rest = [words[2], bits_word >> 16 & 255, bits_word & 255, encoding]
    elif kind == types.VAR:
        linkage = words[3]
        rest = [words[2], LINKAGES[linkage] if linkage < len(LINKAGES) else _UNKNOWN]
    elif kind == types.DECL_TAG:
        rest = [words[2], signed(words[3], 32)]
    return layout[info] % (*values, *rest)


# ------------------------------------------------------------------ names


class _Names(dict[int, str]):
    """The text of the name at each string offset, looked up where it is not there beforehand."""

    def __init__(self, btf: Btf, layout: _Layout) -> None:
        super().__init__({0: ANONYMOUS})
        self._btf = btf
        self._layout = layout

    def __missing__(self, offset: int) -> str:
        return self._layout.name(self._btf.string(offset))


# ------------------------------------------------------------------ templates


class _Layout(dict[int, str]):
    """Info word -> the template of its types, made when it is first asked for."""

    joint = ""
    """What stands between two types."""

    if TYPE_CHECKING:

        def name(self, text: str) -> str:
            """A name as it stands between the quotes."""

        def names(self, found: dict[int, str]) -> dict[int, str]:
            """Many of them at once."""

        def _head(self, kind: int) -> str: ...

        def _field(self, field: str, value: str) -> str: ...

        def _items(self, items: str, each: list[str]) -> str: ...

        def _item(self, fields: Sequence[str], kind: int, info: int) -> str: ...

        def _end(self) -> str: ...

    def __missing__(self, info: int) -> str:
        vlen = vlen_of(info)
        _, _, item = _SHAPES[kind_of(info)]
        each = [self._item(item.split(), kind_of(info), info)] * vlen if item else []
        template = self._whole(info, each)
        if vlen <= _KEPT:
            self[info] = template
        return template

    def with_bits(self, info: int, bits: Sequence[int]) -> str:
        """The template of a struct or union some of whose members have a size in bits."""
        _, _, item = _SHAPES[kind_of(info)]
        fields = item.split()
        bare = self._item(fields, kind_of(info), info)
        sized = self._item([*fields, "bitfield_size"], kind_of(info), info)
        return self._whole(info, [sized if size else bare for size in bits])

    def _whole(self, info: int, each: list[str]) -> str:
        kind = kind_of(info)
        fields, items, _ = _SHAPES[kind]
        text = self._head(kind)
        for field in fields.split():
            text += self._field(field, _settled(field, kind, info))
        if items:
            text += self._items(items, each)
        return text + self._end()


def _settled(field: str, kind: int, info: int) -> str:
    """The value of a field where the info word settles it, else its place in the template."""
    if field == "vlen":
        return str(vlen_of(info))
    if field == "linkage" and kind == types.FUNC:
        return LINKAGES[vlen_of(info)] if vlen_of(info) < len(LINKAGES) else _UNKNOWN
    if field == "encoding" and kind != types.INT:
        return _SIGNS[info >> 31]
    if field == "fwd_kind":
        return "union" if info >> 31 else "struct"
    return "%s"


class _Plain(_Layout):
    """``[1] INT 'int' size=4 …``, items on lines of their own."""

    def name(self, text: str) -> str:
        return text

    def names(self, found: dict[int, str]) -> dict[int, str]:
        return found

    def _head(self, kind: int) -> str:
        return f"[%d] {KIND_NAMES[kind]} '%s'"

    def _field(self, field: str, value: str) -> str:
        name, comma, _ = field.partition(",")
        return f" {name}={value}{comma}"

    def _items(self, items: str, each: list[str]) -> str:
        return "".join(each)

    def _item(self, fields: Sequence[str], kind: int, info: int) -> str:
        texts = ["'%s'" if field == "name" else f"{field}=%s" for field in fields]
        if kind == types.ENUM64:
            texts[-1] += "LL" if info >> 31 else "ULL"
        elif kind == types.DATASEC:
            texts.append("(%s '%s')")
        return "\n\t" + " ".join(texts)

    def _end(self) -> str:
        return "\n"


class _Json(_Layout):
    """``{"id":1,"kind":"INT","name":"int","size":4,…}``."""

    joint = ","

    def __init__(self, pretty: bool, depth: int) -> None:
        super().__init__()
        self._pretty = pretty
        self._depth = depth

    def name(self, text: str) -> str:
        return text if text.isidentifier() else quote(text)[1:-1]

    def names(self, found: dict[int, str]) -> dict[int, str]:
        name = self.name
        return {offset: name(text) for offset, text in found.items()}

    def _head(self, kind: int) -> str:
        head = "{" + self._key("id", 1) + "%d," + self._key("kind", 1) + quote(KIND_NAMES[kind])
        return head + "," + self._key("name", 1) + '"%s"'

    def _field(self, field: str, value: str) -> str:
        name = field.rstrip(",")
        return "," + self._key(name, 1) + (f'"{value}"' if name in _TEXTS else value)

    def _items(self, items: str, each: list[str]) -> str:
        end = closing("]", bool(each), self._pretty, self._depth + 1)
        return "," + self._key(items, 1) + "[" + ",".join(each) + end

    def _item(self, fields: Sequence[str], kind: int, info: int) -> str:
        texts = [self._key(field, 3) + ('"%s"' if field in _TEXTS else "%s") for field in fields]
        # the kind and name of a section's variable are for people only
        unseen = "%.0s%.0s" if kind == types.DATASEC else ""
        return "{" + ",".join(texts) + unseen + closing("}", True, self._pretty, self._depth + 2)

    def _end(self) -> str:
        return closing("}", True, self._pretty, self._depth)

    def _key(self, name: str, deeper: int) -> str:
        if self._pretty:
            return f"{newline(self._depth + deeper)}{quote(name)}: "
        return f"{quote(name)}:"
