"""CO-RE: instructions that depend on the layout of types, made to fit those of a kernel.

Source: enum bpf_core_relo_kind in linux/bpf.h.
"""

from __future__ import annotations

import sys

from ..btf import types
from ..errors import BadData
from .compare import ENUMS, Pair, essential, steps_of_an_object
from .patch import NoAnswer, Value, patch, poison

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from typing import TypeAlias

    from ..btf.spec import Btf
    from .ext import CoreRelo

    _Answer: TypeAlias = "tuple[Value, tuple[Btf | None, Value]]"

BYTE_OFFSET, BYTE_SIZE, FIELD_EXISTS, SIGNED, LSHIFT, RSHIFT = range(6)
ID_LOCAL, ID_TARGET, TYPE_EXISTS, TYPE_SIZE, ENUMVAL_EXISTS, ENUMVAL, TYPE_MATCHES = range(6, 13)
"""The kinds of relocation."""

_LONGEST = 64  # indices in an access, and in what it becomes
_DEPTH = 32


class _Step:
    """One step to a field: member ``index`` of ``type_id`` called ``name``, or, without a name,
    element ``index`` of an array of ``type_id``."""

    __slots__ = ("index", "name", "type_id")

    def __init__(self, type_id: int, index: int, name: str = "") -> None:
        self.type_id = type_id
        self.index = index
        self.name = name


class Core:
    """The relocations of one object.

    ``local``: its BTF.  ``targets``: gives the BTF of the kernel, then those of its modules, each
    looked at only if none before has a type of the name.
    """

    def __init__(self, local: Btf, targets: Callable[[], Iterable[Btf]]) -> None:
        self._local = local
        self._targets = targets
        self._read: list[Btf] | None = None
        self._more: Iterator[Btf] = iter(())
        self._candidates: dict[tuple[str, int], list[tuple[Btf, int]]] = {}
        # a type is one and the same all over an object: what was not it once, is not it later
        self._left: dict[int, list[tuple[Btf, int]]] = {}
        self._answers: dict[tuple[int, str, int], _Answer] = {}
        self._budget = steps_of_an_object()

    def relocate(self, code: bytearray, slot: int, relo: CoreRelo) -> str | None:
        """Patch the instruction in ``slot`` of ``code``; None, or of what there is none and why.

        In that case the instruction is one that no verifier accepts, should it be reached.
        BadData for a relocation that makes no sense or has several answers; it does not say which.
        """
        if not 0 <= slot < len(code) // 8:
            raise BadData("CO-RE relocation where no instruction is")
        try:
            local, target = self._answer(relo)
            patch(code, slot, relo.kind, local, target, self._local)
        except NoAnswer as error:
            poison(code, slot)
            return f"{self.spelled(relo)}: {error}"
        return None

    def spelled(self, relo: CoreRelo) -> str:
        """What a relocation is about, as C has it; of one that makes no sense its type alone."""
        try:
            root = self._local.type(relo.type_id)
        except BadData:
            return f"[{relo.type_id}]"
        try:
            steps, _ = _parse(self._local, relo)
        except BadData:
            steps = []
        return _spell(root, steps)

    def _answer(self, relo: CoreRelo) -> _Answer:
        """What ``_resolve`` says, asked once: code comes back to the same field again and again."""
        key = relo.type_id, relo.access, relo.kind
        if key not in self._answers:
            self._answers[key] = self._resolve(relo)
        return self._answers[key]

    def _resolve(self, relo: CoreRelo) -> _Answer:
        btf, kind = self._local, relo.kind
        if not BYTE_OFFSET <= kind <= TYPE_MATCHES:
            raise BadData(f"CO-RE relocation of unknown kind {kind}")
        root = btf.type(relo.type_id)
        steps, bit = _parse(btf, relo)
        if kind == ID_LOCAL:
            own = Value(relo.type_id, sure=False)
            return own, (btf, own)
        what = _spell(root, steps)
        if not root.name:
            raise BadData(f"CO-RE relocation of {what}, which has no name to be found by")
        local = _value(btf, relo.type_id, kind, steps, bit)
        found: tuple[Btf, int, Value] | None = None
        candidates = self._left.get(relo.type_id) or self.candidates(root)
        matching = []
        for other, id in candidates:
            match = self._match(relo, steps, other, id)
            if match is None:
                continue
            matching.append((other, id))
            value = _value(other, id, kind, *match)
            if found and (found[2].bit, found[2].value) != (value.bit, value.value):
                raise BadData(
                    f"{what} is ambiguous: {found[2].value} by type [{found[1]}] of"
                    f" {found[0].label}, {value.value} by type [{id}] of {other.label}"
                )
            found = found or (other, id, value)
        if found:
            self._left[relo.type_id] = matching
            return local, (found[0], found[2])
        if kind in (FIELD_EXISTS, ENUMVAL_EXISTS, *range(ID_TARGET, TYPE_SIZE + 1), TYPE_MATCHES):
            return local, (None, Value(0))
        if not candidates:
            raise NoAnswer(f"the kernel has no type {essential(root.name)}")
        ids = ", ".join(f"[{id}] of {other.label}" for other, id in candidates[:8])
        raise NoAnswer(f"not in any type {essential(root.name)} of the kernel ({ids})")

    # -------------------------------------------------------------- candidates

    def candidates(self, root: types.Type) -> list[tuple[Btf, int]]:
        """The types of the first target that has any of the kind and essential name of ``root``."""
        name = essential(root.name)
        key = name, root.kind
        if key not in self._candidates:
            kinds = ENUMS if root.kind in ENUMS else (root.kind,)
            found: list[tuple[Btf, int]] = []
            for btf in self._each_target():
                found += _find(btf, name, kinds)
                if found and btf.base is None:
                    break  # only where the kernel itself has none are the modules looked at
            self._candidates[key] = found
        return self._candidates[key]

    def _each_target(self) -> Iterator[Btf]:
        if self._read is None:
            self._read = []
            self._more = iter(self._targets())
        at = 0
        while True:
            if at == len(self._read):
                following = next(self._more, None)
                if following is None:
                    return
                self._read.append(following)
            yield self._read[at]
            at += 1

    # -------------------------------------------------------------- matching

    def _match(
        self, relo: CoreRelo, steps: list[_Step], btf: Btf, id: int
    ) -> tuple[list[_Step], int] | None:
        """The steps and the bit offset in a target's type; None if it does not match."""
        if relo.kind in (ENUMVAL_EXISTS, ENUMVAL):
            under = btf.skip_modifiers(id, typedefs=True)
            found = btf.type(under)
            if isinstance(found, types.Enum):
                wanted = essential(steps[0].name)
                for index, each in enumerate(found.values):
                    if essential(each.name) == wanted:
                        return [_Step(under, index, each.name)], 0
            return None
        pair = Pair(self._local, btf, self._budget)
        if relo.kind == TYPE_MATCHES:
            return ([], 0) if pair.match(relo.type_id, id) else None
        if relo.kind > RSHIFT:
            return ([], 0) if pair.compatible(relo.type_id, id) else None
        taken: list[_Step] = []
        bit = 0
        for step in steps:
            id = btf.skip_modifiers(id, typedefs=True)
            if step.name:
                member = self._local.type(step.type_id)
                assert isinstance(member, types.Composite)
                local_id = member.members[step.index].type_id
                hit = _member(btf, id, step.name, 0)
                if hit is None or not pair.fields(local_id, hit[0].type_id):
                    return None
                taken.append(hit[1])
                bit += hit[2]
                id = hit[0].type_id
                continue
            if taken:
                array = btf.type(id)
                if not isinstance(array, types.Array):
                    return None
                if step.index >= array.nr_elems and not _flexible(btf, taken[-1], array):
                    return None
                id = btf.skip_modifiers(array.type_id, typedefs=True)
            taken.append(_Step(id, step.index))
            bit += step.index * btf.size_of(id) * 8
        return taken, bit


def _find(btf: Btf, name: str, kinds: tuple[int, ...]) -> list[tuple[Btf, int]]:
    """The types of a target that are called so, with or without a flavour; its base's aside."""
    own = btf.base is not None
    offsets = [at for at, whole in btf.beginning(name) if essential(whole) == name]
    if not offsets:
        return [(btf, id) for id in btf.find_all(name, *kinds, own=own)]
    return [(btf, id) for id in btf.named_at(offsets, *kinds, own=own)]


def _spell(root: types.Type, steps: list[_Step]) -> str:
    word = {types.STRUCT: "struct ", types.UNION: "union ", types.ENUM: "enum "}.get(root.kind, "")
    text = f"{word}{root.name or '<anonymous>'}"
    for index, step in enumerate(steps):
        text += f".{step.name}" if step.name else f"[{step.index}]" if index or step.index else ""
    return text


def _parse(btf: Btf, relo: CoreRelo) -> tuple[list[_Step], int]:
    """The named members and array elements of an access, and its offset in bits."""
    if TYPE_EXISTS - 2 <= relo.kind <= TYPE_SIZE or relo.kind == TYPE_MATCHES:
        if relo.access != "0":
            raise BadData(f"CO-RE access '{relo.access}' into a type as a whole")
        return [], 0
    parts = relo.access.split(":")
    if len(parts) > _LONGEST or not all(
        part.isascii() and part.isdigit() and len(part) < 10 for part in parts
    ):
        raise BadData(f"'{relo.access[:80]}' is no CO-RE access")
    first, *rest = map(int, parts)
    id = btf.skip_modifiers(relo.type_id, typedefs=True)
    wrong = BadData(f"CO-RE access '{relo.access}' leads nowhere in type [{relo.type_id}]")
    if relo.kind in (ENUMVAL_EXISTS, ENUMVAL):
        enum = btf.type(id)
        if not isinstance(enum, types.Enum) or rest or first >= len(enum.values):
            raise wrong
        return [_Step(id, first, enum.values[first].name)], 0
    steps = [_Step(id, first)]
    bit = first * btf.size_of(id) * 8
    for index in rest:
        id = btf.skip_modifiers(id, typedefs=True)
        found = btf.type(id)
        if isinstance(found, types.Composite) and index < len(found.members):
            member = found.members[index]
            bit += member.bits_offset
            if member.name:
                steps.append(_Step(id, index, member.name))
            id = member.type_id
        elif isinstance(found, types.Array):
            if index >= found.nr_elems and not _flexible(btf, steps[-1], found):
                raise wrong
            id = btf.skip_modifiers(found.type_id, typedefs=True)
            steps.append(_Step(id, index))
            bit += index * btf.size_of(id) * 8
        else:
            raise wrong
    return steps, bit


def _flexible(btf: Btf, step: _Step, array: types.Array) -> bool:
    """Whether an array reached by ``step`` has no end: the last member, of no elements."""
    return bool(step.name) and not array.nr_elems and step.index == btf.vlen(step.type_id) - 1


def _member(btf: Btf, id: int, name: str, depth: int) -> tuple[types.Member, _Step, int] | None:
    """(member, step, bit offset) of a name in a struct, be it in nameless members of it."""
    if depth > _DEPTH:
        raise BadData(f"{btf.label}: type [{id}] is nested too deeply, or in itself")
    id = btf.skip_modifiers(id, typedefs=True)
    found = btf.type(id)
    if not isinstance(found, types.Composite):
        return None
    for index, member in enumerate(found.members):
        if member.name == name:
            return member, _Step(id, index, name), member.bits_offset
        if not member.name:
            inner = _member(btf, member.type_id, name, depth + 1)
            if inner:
                return inner[0], inner[1], inner[2] + member.bits_offset
    return None


def _value(btf: Btf, root: int, kind: int, steps: list[_Step], bit: int) -> Value:
    """What a relocation asks of a type: its own or a target's."""
    if kind in (FIELD_EXISTS, ENUMVAL_EXISTS, TYPE_EXISTS, TYPE_MATCHES):
        return Value(1, bit=bit)
    if kind == ID_TARGET:
        return Value(root, sure=False)
    if kind == TYPE_SIZE:
        return Value(btf.size_of(root))
    last = steps[-1]
    holder = btf.type(last.type_id)
    if kind == ENUMVAL:
        assert isinstance(holder, types.Enum)
        number = holder.values[last.index].val
        if holder.kind == types.ENUM:  # sign-extended, whatever the flag says: compilers do so
            number = types.signed(number & 0xFFFFFFFF, 32)
        return Value(number & 0xFFFFFFFFFFFFFFFF)
    bits = 0
    id = last.type_id
    if last.name:
        assert isinstance(holder, types.Composite)
        bits = holder.members[last.index].bitfield_size
        id = btf.skip_modifiers(holder.members[last.index].type_id, typedefs=True)
    elif kind not in (BYTE_OFFSET, BYTE_SIZE):
        raise BadData("CO-RE relocation of a kind that an element of an array does not have")
    size = btf.size_of(id)
    at = bit // 8
    if bits:
        if not size:
            raise btf.bad(id, "has a bit-field of no size")
        at = bit // 8 // size * size
        while bit + bits > (at + size) * 8:
            if size >= 8:
                raise BadData("CO-RE relocation of a bit-field that no load of 8 bytes holds")
            size *= 2
            at = bit // 8 // size * size
    width = bits or size * 8
    if kind == BYTE_OFFSET:
        value = Value(at, bit=bit, sure=not bits)
        if not bits:
            element = id
            for _ in range(_DEPTH):
                found = btf.type(element)
                if not isinstance(found, types.Array):
                    break
                element = btf.skip_modifiers(found.type_id, typedefs=True)
            value.size = btf.size_of(element)
            value.type_id = id
        return value
    if kind == BYTE_SIZE:
        return Value(size, bit=bit, sure=not bits)
    if kind == SIGNED:
        field = btf.type(id)
        signed = (isinstance(field, types.Enum) and field.signed) or (
            isinstance(field, types.Int) and bool(field.encoding & types.SIGNED)
        )
        return Value(int(signed), bit=bit)
    if kind == RSHIFT:
        return Value((64 - width) & 0xFFFFFFFFFFFFFFFF, bit=bit)
    if sys.byteorder == "little":
        left = 64 - (bit + width - at * 8)
    else:
        left = (8 - size) * 8 + bit - at * 8
    return Value(left & 0xFFFFFFFFFFFFFFFF, bit=bit, sure=not bits)
