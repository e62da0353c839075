"""BTF types as C: declarations, definitions, and the header made of them.

A declaration is two texts with the name between them (``int (*`` and ``)[4]``).  That pair is the
same wherever a type is used, so it is made once; only what is defined in place (a struct without
a name) is written anew.  Source: spec 4.4 and 4.6.
"""

from __future__ import annotations

from itertools import repeat

from ..errors import BadData
from . import types
from .order import ALIASES, Definitions, sorted_ids
from .spec import MAX_DEPTH

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from .spec import Btf

_WORDS = {types.CONST: "const", types.VOLATILE: "volatile", types.RESTRICT: "restrict"}
_REFERRING = frozenset((types.PTR, types.ARRAY, types.FUNC_PROTO)) | types.MODIFIERS
"""Kinds that a declaration writes around its base."""
_AGGREGATES = (types.STRUCT, types.UNION)
_ENUMS = (types.ENUM, types.ENUM64)
_NUMBERS = (types.INT, types.FLOAT)
_KEYWORDS = {
    types.STRUCT: "struct",
    types.UNION: "union",
    types.ENUM: "enum",
    types.ENUM64: "enum",
}
_GNUC_VA_LIST = "__gnuc_va_list"
_PADS = (("long", 0), ("int", 32), ("short", 16), ("char", 8))
"""The types padding is written as, and their bits; a long has those of a pointer."""
_LINES = 1 << 17
"""Lines of members and padding a header may have, beside some for each word of the BTF: types
nested in themselves by the dozen, or with gaps of gigabytes, have more."""
_LINES_PER_WORD = 8


# ------------------------------------------------------------------ declarations and definitions


class CText:
    """Writes the types of one BTF; names that two types share are told apart by ``___2``.

    The number a name gets depends on what was written before, so one CText makes one header.
    """

    __slots__ = (
        "_btf",
        "_identifiers",
        "_kinds",
        "_layouts",
        "_lines",
        "_long",
        "_names",
        "_pads",
        "_pairs",
        "_tags",
        "_text",
    )

    def __init__(self, btf: Btf) -> None:
        self._btf = btf
        self._kinds = btf.kinds
        self._text = btf.text
        self._names: dict[int, str] = {}
        self._tags: dict[str, int] = {}
        self._identifiers: dict[str, int] = {}
        self._pairs: dict[int, tuple[str, str]] = {}
        self._layouts: dict[int, tuple[int, int]] = {}
        self._lines = _LINES + _LINES_PER_WORD * len(btf.words)
        self._long = 8 * btf.pointer_size
        self._pads = [(word, bits or self._long) for word, bits in _PADS]

    def top(self, id: int, whole: bool) -> str:
        """A declaration that stands by itself, without its semicolon.

        ``whole``: the type's definition, else only its announcement.
        """
        btf = self._btf
        kind = self._kinds[id]
        if not whole or kind == types.FWD:
            return f"{self._keyword(id)} {self.name(id)}"
        if kind in _AGGREGATES:
            return self._composite(id, 0, 0)
        if kind in _ENUMS:
            return self._enum(id, 0)
        if kind == types.INT:
            return f"typedef {ALIASES[btf.name_of(id)]} {btf.name_of(id)}"
        name = self.name(id)
        if name == _GNUC_VA_LIST and not btf.target(id):
            return f"typedef __builtin_va_list {_GNUC_VA_LIST}"
        return "typedef " + self.declare(btf.target(id), name)

    def declare(self, id: int, name: str = "", level: int = 0, depth: int = 0) -> str:
        """The declaration of ``name`` as a type, without its semicolon; of no name: the type alone.

        ``level``: tabs before the members of a struct that is defined in place.
        ``depth``: functions and structs this stands in.
        """
        pair = self._pairs.get(id)
        if pair is None or not (name or pair[1] == ""):
            pair = self._declarator(id, bool(name), level, depth)
        return f"{pair[0]}{name}{pair[1]}" if name or pair[1] else pair[0].removesuffix(" ")

    def _declarator(self, id: int, named: bool, level: int, depth: int) -> tuple[str, str]:
        """What stands before and after a name of this type.

        The references to the base are taken from the inside out, as C writes them.
        """
        btf, kinds = self._btf, self._kinds
        if depth > MAX_DEPTH:
            raise btf.bad(id, "is nested too deeply, or in itself")
        chain = self._chain(id)
        left, lasting = self._base(chain, level, depth)
        glued = False  # a star or a bracket stands last, so that a name needs no blank
        closings: list[str | int] = []
        while chain:
            each = chain.pop()
            kind = kinds[each]
            if kind == types.PTR:
                left += "*" if glued else " *"
                glued = True
            elif kind == types.TYPE_TAG:
                left += self._tag(each, chain)
                glued = False
            elif kind in _WORDS:
                left += f" {_WORDS[kind]}"
                glued = False
            else:
                proto = kind == types.FUNC_PROTO
                closings.append(each if proto else f"[{btf.items(each)[2][0]}]")
                while chain and kinds[chain[-1]] in types.MODIFIERS:
                    chain.pop()  # neither arrays nor functions can be qualified in C
                if not chain:
                    break
                blank = " " if proto or (named and not glued) else ""
                glued = True
                if kinds[chain[-1]] == types.ARRAY and not proto:
                    left += blank
                else:
                    left += f"{blank}("
                    closings.append(")")
        right = ""
        for closing in reversed(closings):
            if isinstance(closing, int):
                params, lasts = self._params(closing, level, depth)
                right += params
                lasting &= lasts
            else:
                right += closing
        # with nothing behind the name, the declaration without one is the same but for the blank
        pair = left if glued or (right and not named) else f"{left} ", right
        if lasting and (named or not right):
            self._pairs[id] = pair
        return pair

    def _chain(self, id: int) -> list[int]:
        """A type and those it refers to, down to the one that is the base of a declaration."""
        btf = self._btf
        kinds, words, at = self._kinds, btf.words, btf.at
        chain = [id]
        kind = kinds[id]
        while kind in _REFERRING:
            id = words[at[id] + (3 if kind == types.ARRAY else 2)]
            chain.append(id)
            kind = kinds[id]
            if len(chain) > 8 * MAX_DEPTH:
                raise btf.bad(id, "refers to itself, or to too many types in a row")
        return chain

    def _base(self, chain: list[int], level: int, depth: int) -> tuple[str, bool]:
        """What a declaration begins with, and whether it is the same everywhere.

        Taken off the chain, with its qualifiers: they stand before it.
        """
        btf, kinds = self._btf, self._kinds
        id = chain.pop()
        kind = kinds[id]
        before = ""
        while chain and kinds[chain[-1]] in _WORDS:
            before += f"{_WORDS[kinds[chain.pop()]]} "
        if kind == types.TYPEDEF:
            return before + self.name(id), True
        if kind in _NUMBERS:
            return before + btf.name_of(id), True
        if kind in _KEYWORDS or kind == types.FWD:
            if btf.named(id) or kind == types.FWD:
                return f"{before}{self._keyword(id)} {self.name(id)}", True
            if kind in _ENUMS:
                return before + self._enum(id, level), False
            return before + self._composite(id, level, depth + 1), False
        if kind == types.VOID:
            return f"{before}void", True
        raise btf.bad(id, f"is {types.KIND_NAMES[kind]}, which no value can be")

    def _tag(self, id: int, chain: list[int]) -> str:
        """A type tag; qualifiers further out come before it."""
        kinds = self._kinds
        words = ""
        while chain and kinds[chain[-1]] in _WORDS:
            words += f" {_WORDS[kinds[chain.pop()]]}"
        name = self._btf.name_of(id)
        inner = name if self._btf.flag(id) else f'btf_type_tag("{name}")'
        return f"{words} __attribute__(({inner}))"

    def _params(self, proto: int, level: int, depth: int) -> tuple[str, bool]:
        """The parameters of a function in brackets, and whether they are the same everywhere."""
        names, ids = self._btf.items(proto)
        if not ids or ids == [0]:
            return "(void)", True
        texts = []
        lasting = True
        self._line(proto, len(ids))
        for number, (offset, id) in enumerate(zip(names, ids, strict=True), 1):
            if number == len(ids) and not id:
                texts.append("...")
            else:
                texts.append(self.declare(id, self._text[offset], level, depth + 1))
                lasting = lasting and "{" not in texts[-1]
        return f"({', '.join(texts)})", lasting

    # -------------------------------------------------------------- names

    def _keyword(self, id: int) -> str:
        kind = self._kinds[id]
        if kind == types.FWD:
            return "union" if self._btf.flag(id) else "struct"
        return _KEYWORDS[kind]

    def name(self, id: int) -> str:
        """The name a type goes by, told apart from others of the same spelling."""
        name = self._names.get(id)
        if name is None:
            btf = self._btf
            name = btf.name_of(id)
            kind = self._kinds[id]
            announced = kind == types.FWD or (kind == types.ENUM and not btf.vlen(id))
            if name and not announced:
                spelled = self._identifiers if kind == types.TYPEDEF else self._tags
                name = _counted(spelled, name)
            self._names[id] = name
        return name

    # -------------------------------------------------------------- structs, unions, enums

    def _enum(self, id: int, level: int) -> str:
        btf = self._btf
        text = f"enum {self.name(id)}".rstrip()
        names, values, *high = btf.items(id)
        if not names:
            return text
        wide = bool(high)
        needs_words = wide and any(high[0])
        if wide:
            values = [top << 32 | low for low, top in zip(values, high[0], strict=True)]
        ending = "ULL" if wide else ""
        if btf.flag(id):
            values = [types.signed(value, 64 if wide else 32) for value in values]
            ending = "LL" if wide else ""
        indent = "\n" + "\t" * (level + 1)
        self._line(id, len(names))
        text += " {" + "".join(
            f"{indent}{_counted(self._identifiers, self._text[name])} = {value}{ending},"
            for name, value in zip(names, values, strict=True)
        )
        text += f"{indent[:-1]}}}"
        size = btf.size(id)
        if size == 1:
            return text + " __attribute__((mode(byte)))"
        # one with a value that needs 64 bits has them by itself
        if size == 8 and self._long == 64 and not needs_words:
            return text + " __attribute__((mode(word)))"
        return text

    def _composite(self, id: int, level: int, depth: int) -> str:
        btf = self._btf
        name = self.name(id)
        head = f"{self._keyword(id)} {name}{' ' if name else ''}{{"
        names, ids, starts = btf.items(id)
        size = btf.size(id)
        if not ids and not size:
            return head + "}"
        widths: Iterable[int] = repeat(0)
        if btf.flag(id):
            widths = [start >> 24 for start in starts]
            starts = [start & 0xFFFFFF for start in starts]
        self._line(id, len(ids))
        indent = "\n" + "\t" * (level + 1)
        texts = [head]
        gaps = []  # what fills them is known when all members were seen
        pairs, layouts, strings = self._pairs, self._layouts, self._text
        reach = 0  # the bit behind the last member
        most = 8
        loose = in_bits = False
        for offset, each, start, width in zip(names, ids, starts, widths):  # noqa: B905 - repeat has no end
            name = strings[offset]
            if name and each in pairs:
                left, right = pairs[each]
            else:
                left, name, right = self.declare(each, name, level + 1, depth), "", ""
            bits, align = layouts[each] if each in layouts else self._layout(each)
            if reach < start:
                gaps.append((len(texts), reach, start, align, in_bits and width > 0))
                texts.append("")
            if align > most:
                most = align
            if width:
                texts.append(f"{indent}{left}{name}{right}: {width};")
                reach = start + width
                in_bits = True
            else:
                if start % align:
                    loose = True
                texts.append(f"{indent}{left}{name}{right};")
                reach = start + bits
                in_bits = False
        if 8 * size % most:
            loose = True
        self._layouts[id] = 8 * size, 8 if loose else most
        packed = False
        if self._kinds[id] == types.STRUCT:
            packed = loose
            if reach < 8 * size:
                gaps.append((len(texts), reach, 8 * size, most, False))
                texts.append("")
        for at, start, end, align, between in gaps:
            texts[at] = self._padding(id, indent, start, end, 8 if packed else align, between)
        texts.append(f"{indent[:-1]}}} __attribute__((packed))" if packed else f"{indent[:-1]}}}")
        return "".join(texts)

    def _layout(self, id: int) -> tuple[int, int]:
        """Bits of a type, none for one that has no size, and those it is aligned to."""
        try:
            size = self._btf.size_of(id)
        except BadData:
            size = 0
        found = self._layouts[id] = 8 * size, 8 * self._btf.align_of(id)
        return found

    # -------------------------------------------------------------- padding

    def _padding(
        self, id: int, indent: str, start: int, end: int, align: int, in_bits: bool
    ) -> str:
        """What fills the bits from ``start`` to ``end``, so that a compiler leaves the same gap.

        ``align``: bits that what follows is aligned to by itself.  ``in_bits``: it stands between
        two bit-fields.
        """
        text = ""
        for word, unit in self._pads:  # noqa: B007 - word is read after the loop
            edge = _rounded(start, unit)
            if edge <= end:
                break
        else:
            word, unit, edge = "char", 8, start  # less than what is left of a byte
        if edge > start:
            # ``long: 0`` only where the compiler would not go to that edge by itself
            needed = _rounded(start, align) != edge if edge == end else end - edge <= edge - start
            if in_bits or needed:
                text = f"{indent}{word}: {edge - start if in_bits else 0};"
        whole, rest = divmod(end - edge, unit)
        if whole:
            self._line(id, whole)
            text += f"{indent}{word}: {unit};" * whole
        if rest:
            word = next(word for word, bits in reversed(self._pads) if bits >= rest)
            text += f"{indent}{word}: {rest};"
        return text

    def _line(self, id: int, count: int = 1) -> None:
        self._lines -= count
        if self._lines < 0:
            raise self._btf.bad(id, "would make the header absurdly long")


def _counted(spelled: dict[str, int], name: str) -> str:
    """A name with its number behind it if it was there before."""
    count = spelled[name] = spelled.get(name, 0) + 1
    return name if count == 1 else f"{name}___{count}"


def _rounded(number: int, unit: int) -> int:
    return -(-number // unit) * unit


# ------------------------------------------------------------------ the header


def header(
    btf: Btf, roots: Sequence[int] | None = None, *, unsorted: bool = False
) -> Iterator[str]:
    """A C header in pieces: the types of a BTF, those of its base included.

    ``roots``: only these types and what they need; by default all, and the kfuncs behind them.
    ``unsorted``: by id, not by kind and name.
    BadData for types that no C can express.
    """
    yield _HEAD
    if roots is None:
        btf.text_of_all()
        btf.kinds_of_all()
    text = CText(btf)
    definitions = Definitions(btf)
    order: Iterable[int] | None = roots
    if order is None:
        order = range(1, btf.type_count) if unsorted else sorted_ids(btf, definitions.brought)
    for id, whole in definitions.of(order):
        yield text.top(id, whole) + ";\n\n"
    if roots is None:
        yield from _kfuncs(btf, text)
    yield _TAIL


def _kfuncs(btf: Btf, text: CText) -> Iterator[str]:
    """The prototypes of the functions a kernel offers to BPF programs."""
    tagged: dict[str, set[int]] = {"bpf_kfunc": set(), "bpf_fastcall": set()}
    for tag, ids in tagged.items():
        for id in btf.find_all(tag, types.DECL_TAG):
            found = btf.type(id)
            assert isinstance(found, types.DeclTag)
            if found.component_idx == -1 and btf.kind(found.type_id) == types.FUNC:
                ids.add(found.type_id)
    yield "\n/* BPF kfuncs */\n#ifndef BPF_NO_KFUNC_PROTOTYPES\n"
    named = [(btf.type(id).name, id) for id in tagged["bpf_kfunc"]]
    for name, id in sorted(named):
        fast = "__bpf_fastcall " if id in tagged["bpf_fastcall"] else ""
        yield f"extern {fast}{text.declare(btf.target(id), name)} __weak __ksym;\n"
    yield "#endif\n\n"


_HEAD = """\
#ifndef __VMLINUX_H__
#define __VMLINUX_H__

#ifndef BPF_NO_PRESERVE_ACCESS_INDEX
#pragma clang attribute push (__attribute__((preserve_access_index)), apply_to = record)
#endif

#ifndef __ksym
#define __ksym __attribute__((section(".ksyms")))
#endif

#ifndef __weak
#define __weak __attribute__((weak))
#endif

#ifndef __bpf_fastcall
#if __has_attribute(bpf_fastcall)
#define __bpf_fastcall __attribute__((bpf_fastcall))
#else
#define __bpf_fastcall
#endif
#endif

"""
_TAIL = """\
#ifndef BPF_NO_PRESERVE_ACCESS_INDEX
#pragma clang attribute pop
#endif

#endif /* __VMLINUX_H__ */
"""
