"""The BTF of an object file as this kernel will take it.

A compiler leaves gaps that only the symbols of the file can fill (``fix_datasecs``), and it writes
kinds that are younger than many kernels (``sanitize``).  Every type keeps its id and the words it
takes, so function and line information goes on fitting.  Sources: linux/btf.h, kernel answers.
"""

from __future__ import annotations

import struct

from ..btf import types
from ..btf.reader import MAGIC, VERSION
from .spec import KCONFIG, KSYMS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Container, Mapping

    from ..btf.spec import Btf

STATIC, GLOBAL, EXTERN = range(3)
"""Linkage of a VAR or FUNC."""

_INT_BITS = 32
_KSYM_SIZE = 4
_STANDS_IN = "dummy_ksym"
_HEADER = struct.Struct("=HBBIIIII")


class _Draft:
    """A copy of a Btf that may be written to: its own words, those of new types behind them."""

    __slots__ = ("_btf", "_names", "_strings", "next_id", "words")

    def __init__(self, btf: Btf) -> None:
        first = btf.at[btf.own_start] if btf.own_start < btf.type_count else len(btf.words)
        self._btf = btf
        self._strings = bytearray(btf.strings)
        self._names: dict[str, int] = {}
        self.words: list[int] = btf.words[first:].tolist()
        self.next_id = btf.type_count

    def place(self, id: int) -> int:
        """Index in ``words`` of the first word of one of the Btf's own types."""
        at, first = self._btf.at[id], self._btf.at[self._btf.own_start]
        return at - first

    def string(self, text: str) -> int:
        """Offset of a string, which is added: one that is there may be the tail of another."""
        if text not in self._names:
            self._names[text] = self._btf.strings_start + len(self._strings)
            self._strings += text.encode("utf-8", "surrogateescape") + b"\0"
        return self._names[text]

    def add(self, name: str, kind: int, *rest: int) -> int:
        """Id of a new type: its size or type id and the words behind that."""
        self.words.extend((self.string(name), kind << 24, *rest))
        self.next_id += 1
        return self.next_id - 1

    def blob(self) -> bytes:
        """The whole as raw BTF; a layout section is not part of it."""
        body = struct.pack(f"={len(self.words)}I", *self.words)
        sections = 0, len(body), len(body), len(self._strings)
        return _HEADER.pack(MAGIC, VERSION, 0, _HEADER.size, *sections) + body + self._strings


# ------------------------------------------------------------------ what the file knows


def fix_datasecs(
    btf: Btf,
    sections: Mapping[str, tuple[int, Mapping[str, int]]],
    hidden: Container[str] = (),
) -> bytes:
    """The same BTF, raw, with the places of variables filled in.

    ``sections``: by name of an ELF section its size in bytes and, by name of a variable, the byte
    where it begins; for ``.kconfig`` those of the map made for it.  ``hidden``: variables and
    subprograms whose symbols are not to be seen from outside: these become static.
    A DATASEC that has its size already (a linker made the file) keeps the offsets of variables
    without a symbol; those of others are the symbols', for linkers forget them where one file had
    the variable from another.  The kernel takes no extern variable: each is given a place, those of
    ``.ksyms`` an int's, and a function in there is replaced by a variable, for only such may be in
    a DATASEC.
    BadData when a variable or section is not among ``sections``.
    """
    draft = _Draft(btf)
    number = 0  # an int of four bytes, once one is needed
    stand_in = 0
    taken: set[int] = set()
    for id in range(btf.own_start, btf.type_count):
        kind = btf.kind(id)
        if kind == types.FUNC and btf.vlen(id) == GLOBAL and btf.name_of(id) in hidden:
            draft.words[draft.place(id) + 1] = types.FUNC << 24 | STATIC
        if kind != types.DATASEC:
            continue
        name = btf.name_of(id)
        rows = list(zip(*btf.items(id), strict=True))
        if name == KSYMS:
            number = number or _int_of(btf, draft)
            size = _KSYM_SIZE * len(rows)
            for index, (var, _, _) in enumerate(rows):
                other = var
                if btf.kind(var) == types.FUNC:
                    stand_in = stand_in or draft.add(_STANDS_IN, types.VAR, number, GLOBAL)
                    _take_func(btf, draft, id, var, taken)
                    other = stand_in
                else:
                    at = _var(btf, draft, id, var)
                    draft.words[at + 2 : at + 4] = (number, GLOBAL)
                rows[index] = other, _KSYM_SIZE * index, _KSYM_SIZE
        else:
            size, rows = _placed(btf, draft, id, rows, sections.get(name), hidden)
        at = draft.place(id)
        draft.words[at + 2] = size
        flat = [word for row in sorted(rows, key=lambda row: row[1]) for word in row]
        draft.words[at + 3 : at + 3 + len(flat)] = flat
    return draft.blob()


def _placed(
    btf: Btf,
    draft: _Draft,
    id: int,
    rows: list[tuple[int, ...]],
    known: tuple[int, Mapping[str, int]] | None,
    hidden: Container[str],
) -> tuple[int, list[tuple[int, ...]]]:
    """Size and rows of a DATASEC, by what is known of its section."""
    name, size = btf.name_of(id), btf.size(id)
    outside = name == KCONFIG
    fix = outside or not size
    if fix:
        if known is None or not known[0]:
            raise btf.bad(id, f"stands for a section {name!a}, which the file lacks or is empty")
        size = known[0]
    places = known[1] if known else {}
    for index, (var, offset, length) in enumerate(rows):
        at = _var(btf, draft, id, var)
        linkage = draft.words[at + 3]
        if outside:
            draft.words[at + 3] = GLOBAL
        elif linkage != GLOBAL:
            continue
        word = btf.name_of(var)
        if word in hidden and not outside:
            draft.words[at + 3] = STATIC
        if word in places:
            offset = places[word]
        elif fix:
            raise btf.bad(var, f"is a variable {word!a} of section {name!a} without a symbol")
        rows[index] = var, offset, length
    return size, rows


def _var(btf: Btf, draft: _Draft, section: int, id: int) -> int:
    """Where the words of a DATASEC's variable begin."""
    if not btf.own_start <= id < btf.type_count or btf.kind(id) != types.VAR:
        raise btf.bad(section, f"refers to [{id}], which is no VAR")
    return draft.place(id)


def _int_of(btf: Btf, draft: _Draft) -> int:
    """The first INT of 32 bits, made if there is none."""
    for id in range(1, btf.type_count):
        if btf.kind(id) == types.INT and btf.items(id)[0][0] & 0xFF == _INT_BITS:
            return id
    return draft.add("int", types.INT, 4, types.SIGNED << 24 | _INT_BITS)


def _take_func(btf: Btf, draft: _Draft, section: int, func: int, taken: set[int]) -> None:
    """Let the kernel take an extern FUNC: a global one, all of whose parameters have names.

    ``taken``: the FUNC_PROTOs that have them already.
    """
    if func < btf.own_start:
        raise btf.bad(section, f"refers to [{func}], which is not of the same BTF")
    draft.words[draft.place(func) + 1] = types.FUNC << 24 | GLOBAL
    proto = btf.target(func)
    if btf.kind(proto) != types.FUNC_PROTO:
        raise btf.bad(func, f"refers to [{proto}], which is no FUNC_PROTO")
    if proto < btf.own_start or proto in taken:
        return
    taken.add(proto)
    at = draft.place(proto) + 3
    for index, (name, type_id) in enumerate(zip(*btf.items(proto), strict=True)):
        if type_id and not name:
            draft.words[at + 2 * index] = draft.string(_STANDS_IN)


# ------------------------------------------------------------------ what the kernel knows


def sanitize(btf: Btf, knows: Callable[[str], bool]) -> bytes:
    """Raw BTF without what the kernel does not know, every type under its id.

    ``knows``: asks for a feature by its word in ``loader.features``.  What is not known is replaced
    by an older kind of the same shape.
    """
    draft = _Draft(btf)
    words = draft.words
    filler = 0
    for id in range(btf.own_start, btf.type_count):
        kind, at, vlen = btf.kind(id), draft.place(id), btf.vlen(id)
        if (kind == types.VAR and not knows("btf_datasec")) or (
            kind == types.DECL_TAG and not knows("btf_decl_tag")
        ):
            # One byte: a variable may be as small, and must not reach beyond its section.
            words[at + 1 : at + 4] = (types.INT << 24, 1, 8)
        elif kind == types.DATASEC:
            name = btf.name_of(id)
            if not knows("btf_datasec"):
                words[at] = draft.string(name.replace(".", "_").replace("?", "_"))
                words[at + 1] = types.STRUCT << 24 | vlen
                for place in range(at + 3, at + 3 + 3 * vlen, 3):
                    var, offset = words[place], words[place + 1]
                    if var >= btf.type_count or offset >= 1 << 29:
                        raise btf.bad(id, f"has no variable [{var}] at byte {offset}")
                    words[place : place + 3] = (btf.named(var), var, 8 * offset)
            elif name.startswith("?") and not knows("btf_qmark_datasec"):
                words[at] = draft.string("_" + name[1:])
        elif kind == types.FUNC_PROTO and not knows("btf_func"):
            words[at + 1 : at + 3] = (types.ENUM << 24 | vlen, 4)
            for place in range(at + 3, at + 3 + 2 * vlen, 2):
                words[place] = words[place] or draft.string("arg")  # enumerators have names
        elif kind == types.FUNC and not knows("btf_func"):
            words[at + 1] = types.TYPEDEF << 24
        elif kind == types.FUNC and not knows("btf_func_global"):
            words[at + 1] = types.FUNC << 24 | STATIC
        elif kind == types.FLOAT and not knows("btf_float"):
            words[at : at + 2] = (0, types.STRUCT << 24)
        elif kind == types.TYPE_TAG and not knows("btf_type_tag"):
            words[at : at + 2] = (0, types.CONST << 24)
        elif kind == types.ENUM and not knows("btf_enum64"):
            words[at + 1] = types.ENUM << 24 | vlen  # the flag that says signed came with ENUM64
        elif kind == types.ENUM64 and not knows("btf_enum64"):
            filler = filler or draft.add("enum64_placeholder", types.INT, 1, 8)
            words[at + 1] = types.UNION << 24 | vlen
            for place in range(at + 3, at + 3 + 3 * vlen, 3):
                words[place + 1 : place + 3] = (filler, 0)
    return draft.blob()
