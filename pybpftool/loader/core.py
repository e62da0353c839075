"""CO-RE: instructions that depend on the layout of types, made to fit those of a kernel.

Source: enum bpf_core_relo_kind in linux/bpf.h; which types go together is measured on libbpf.
"""

from __future__ import annotations

import struct
import sys

from ..btf import types
from ..errors import BadData
from ..insn.code import ALU, ALU64, CALL, DW, JMP, LD, LDX, ST, STX, WIDE, B, H, W, X

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from typing import TypeAlias

    from ..btf.spec import Btf
    from .ext import CoreRelo

    _Answer: TypeAlias = "tuple[_Value, tuple[Btf | None, _Value]]"

BYTE_OFFSET, BYTE_SIZE, FIELD_EXISTS, SIGNED, LSHIFT, RSHIFT = range(6)
ID_LOCAL, ID_TARGET, TYPE_EXISTS, TYPE_SIZE, ENUMVAL_EXISTS, ENUMVAL, TYPE_MATCHES = range(6, 13)
"""The kinds of relocation."""

POISON = 195896080
"""The helper that a program calls where a relocation has no answer: 0xbad2310, as libbpf has it."""

_ENUMS = (types.ENUM, types.ENUM64)
_COMPOSITES = (types.STRUCT, types.UNION)
_LONGEST = 64  # indices in an access, and in what it becomes
_DEPTH = 32
_STEPS = 1_000_000  # comparisons of types for one object, which may branch at every member
_INSN = "=BBhi"
_WIDTHS = {1: B, 2: H, 4: W, 8: DW}
_BYTES = {code: size for size, code in _WIDTHS.items()}


class _Poison(Exception):
    """The relocation has no answer: the sentence saying why."""


class _Value:
    """What an instruction should hold: ``value``; for the offset of a field also its ``size``
    in bytes and ``type_id``.  ``sure``: whether compilers cannot differ about it.  ``bit``: where
    the field begins.
    """

    __slots__ = ("bit", "size", "sure", "type_id", "value")

    def __init__(self, value: int, *, bit: int = 0, sure: bool = True) -> None:
        self.value = value
        self.bit = bit
        self.sure = sure
        self.size = self.type_id = 0


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
        self._flavours: dict[int, list[tuple[str, str]]] = {}
        self._answers: dict[tuple[int, str, int], _Answer] = {}
        self._budget = iter(range(_STEPS))

    def relocate(self, code: bytearray, slot: int, relo: CoreRelo) -> str | None:
        """Patch the instruction in ``slot`` of ``code``; None, or why there is no answer.

        In that case the instruction is one that no verifier accepts, should it be reached.
        BadData for a relocation that makes no sense or has several answers.
        """
        if not 0 <= slot < len(code) // 8:
            raise BadData(f"CO-RE relocation of instruction {slot}, where none is")
        try:
            local, target = self._answer(relo)
            _patch(code, slot, relo.kind, local, target, self._local)
        except _Poison as error:
            poison(code, slot)
            return str(error)
        except BadData as error:
            raise BadData(f"instruction {slot}: {error}") from error
        return None

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
            own = _Value(relo.type_id, sure=False)
            return own, (btf, own)
        what = _spell(root, steps)
        if not root.name:
            raise BadData(f"CO-RE relocation of {what}, which has no name to be found by")
        local = _value(btf, relo.type_id, kind, steps, bit)
        found: tuple[Btf, int, _Value] | None = None
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
            return local, (None, _Value(0))
        if not candidates:
            raise _Poison(f"{what}: the kernel has no type {essential(root.name)}")
        ids = ", ".join(f"[{id}] of {other.label}" for other, id in candidates[:8])
        raise _Poison(f"{what}: not in any type {essential(root.name)} of the kernel ({ids})")

    # -------------------------------------------------------------- candidates

    def candidates(self, root: types.Type) -> list[tuple[Btf, int]]:
        """The types of the first target that has any of the kind and essential name of ``root``."""
        name = essential(root.name)
        key = name, root.kind
        if key not in self._candidates:
            kinds = _ENUMS if root.kind in _ENUMS else (root.kind,)
            found: list[tuple[Btf, int]] = []
            for index, btf in enumerate(self._each_target()):
                if index and found and found[0][0].base is None:
                    break
                found += self._find(btf, index, name, kinds)
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

    def _find(
        self, btf: Btf, index: int, name: str, kinds: tuple[int, ...]
    ) -> list[tuple[Btf, int]]:
        own = btf.base is not None
        if index not in self._flavours:
            self._flavours[index] = list(_flavoured(btf))
        names = [name, *(full for short, full in self._flavours[index] if short == name)]
        ids = {id for each in names for id in btf.find_all(each, *kinds, own=own)}
        return [(btf, id) for id in sorted(ids) if essential(btf.name_of(id)) == name]

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
        pair = _Pair(self._local, btf, self._budget)
        if relo.kind == TYPE_MATCHES:
            return ([], 0) if pair.match(relo.type_id, id, False, _DEPTH) else None
        if relo.kind > RSHIFT:
            return ([], 0) if pair.compatible(relo.type_id, id, _DEPTH) else None
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


def poison(code: bytearray, slot: int, number: int = POISON) -> None:
    """Make the instruction in ``slot`` a call of a helper ``number``, which no verifier accepts."""
    call = struct.pack(_INSN, JMP | CALL, 0, 0, number)
    for at in (slot, slot + 1) if code[slot * 8] == WIDE else (slot,):
        code[at * 8 : at * 8 + 8] = call


def compatible(local: Btf, one: int, target: Btf, two: int) -> bool:
    """Whether a type of an object and one of a target are of one make, names aside."""
    return _Pair(local, target).compatible(one, two, _DEPTH)


def essential(name: str) -> str:
    """A name without its flavour: what stands before the last ``___`` between other letters."""
    if "___" not in name:
        return name
    for at in range(len(name) - 5, -1, -1):
        if name[at + 1 : at + 4] == "___" and name[at] != "_" and name[at + 4] != "_":
            return name[: at + 1]
    return name


def _flavoured(btf: Btf) -> Iterator[tuple[str, str]]:
    """(essential name, whole name) of every string with a flavour."""
    strings = btf.strings
    at = strings.find(b"___")
    while at >= 0:
        begin, end = strings.rfind(b"\0", 0, at) + 1, strings.find(b"\0", at)
        whole = strings[begin:end].decode("utf-8", "surrogateescape")
        if end - begin <= 4096 and (short := essential(whole)) != whole:
            yield short, whole
        at = strings.find(b"___", end)


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


class _Pair:
    """Whether types of an object and of a target go together; local ids come first."""

    def __init__(self, local: Btf, target: Btf, budget: Iterator[int] | None = None) -> None:
        self._btfs = local, target
        self._budget = budget or iter(range(_STEPS))

    def _under(self, one: int, two: int) -> tuple[types.Type, types.Type]:
        local, target = self._btfs
        if next(self._budget, None) is None:
            raise BadData("types are too large to be compared")
        return (
            local.type(local.skip_modifiers(one, typedefs=True)),
            target.type(target.skip_modifiers(two, typedefs=True)),
        )

    def fields(self, one: int, two: int) -> bool:
        """Whether a field of one type may be read where the other is expected."""
        for _ in range(_DEPTH):
            a, b = self._under(one, two)
            if a.kind in _COMPOSITES and b.kind in _COMPOSITES:
                return True
            if not _same_kind(a, b):
                return False
            if isinstance(a, types.Array) and isinstance(b, types.Array):
                one, two = a.type_id, b.type_id
                continue
            if isinstance(a, types.Int) and isinstance(b, types.Int):
                return not a.bits_offset and not b.bits_offset
            if a.kind in (*_ENUMS, types.FWD):
                return not a.name or not b.name or essential(a.name) == essential(b.name)
            return a.kind in (types.PTR, types.FLOAT)
        raise BadData("types are nested too deeply, or in themselves")

    def compatible(self, one: int, two: int, level: int) -> bool:
        """Whether the types are of one make, names aside."""
        for _ in range(_DEPTH):
            a, b = self._under(one, two)
            if not _same_kind(a, b):
                return False
            if isinstance(a, types.FuncProto) and isinstance(b, types.FuncProto):
                if len(a.params) != len(b.params):
                    return False
                if level <= 0:
                    break
                for p, q in zip(a.params, b.params, strict=True):
                    if not self.compatible(p.type_id, q.type_id, level - 1):
                        return False
            elif isinstance(a, types.Int) and isinstance(b, types.Int):
                return not a.bits_offset and not b.bits_offset
            elif a.kind not in (types.PTR, types.ARRAY):
                return a.kind in (types.VOID, types.FWD, *_COMPOSITES, *_ENUMS)
            one, two = _inner(a), _inner(b)
        raise BadData("types are nested too deeply, or in themselves")

    def match(self, one: int, two: int, pointed: bool, level: int) -> bool:
        """Whether all that the local type has is in the other, by name and make."""
        for _ in range(_DEPTH if level > 0 else 0):
            a, b = self._under(one, two)
            if not _same_name(a.name, b.name):
                return False
            if pointed and a.kind in (types.FWD, *_COMPOSITES):
                return _shape(a) == _shape(b)
            if not _same_kind(a, b):
                return False
            if isinstance(a, types.Fwd):
                return a.kind_flag == b.kind_flag
            if isinstance(a, types.Enum) and isinstance(b, types.Enum):
                there = {essential(each.name) for each in b.values}
                return (
                    a.size == b.size
                    and len(a.values) <= len(b.values)
                    and all(essential(each.name) in there for each in a.values)
                )
            if isinstance(a, types.Composite) and isinstance(b, types.Composite):
                named: dict[str, list[int]] = {}
                for n in b.members:
                    named.setdefault(essential(n.name), []).append(n.type_id)
                return len(a.members) <= len(b.members) and all(
                    any(
                        self.match(m.type_id, other, pointed, level - 1)
                        for other in named.get(essential(m.name), ())
                    )
                    for m in a.members
                )
            if isinstance(a, types.Int) and isinstance(b, types.Int):
                return a.size == b.size and not (a.encoding ^ b.encoding) & types.SIGNED
            if isinstance(a, types.FuncProto) and isinstance(b, types.FuncProto):
                if len(a.params) != len(b.params):
                    return False
                for p, q in zip(a.params, b.params, strict=True):
                    if not self.match(p.type_id, q.type_id, pointed, level - 1):
                        return False
            elif isinstance(a, types.Array) and isinstance(b, types.Array):
                if a.nr_elems != b.nr_elems:
                    return False
            elif a.kind == types.PTR:
                pointed = True
            else:
                return a.kind == types.VOID
            one, two = _inner(a), _inner(b)
        raise BadData("types are nested too deeply, or in themselves")


def _same_kind(a: types.Type, b: types.Type) -> bool:
    return a.kind == b.kind or (a.kind in _ENUMS and b.kind in _ENUMS)


def _same_name(local: str, target: str) -> bool:
    return essential(local) == essential(target)


def _shape(type: types.Type) -> int:
    """STRUCT or UNION for what is, or is declared to be, one; else the kind."""
    if isinstance(type, types.Fwd):
        return types.UNION if type.kind_flag else types.STRUCT
    return type.kind


def _inner(type: types.Type) -> int:
    assert isinstance(type, (types.Reference, types.Array, types.FuncProto))
    return type.type_id


def _value(btf: Btf, root: int, kind: int, steps: list[_Step], bit: int) -> _Value:
    """What a relocation asks of a type: its own or a target's."""
    if kind in (FIELD_EXISTS, ENUMVAL_EXISTS, TYPE_EXISTS, TYPE_MATCHES):
        return _Value(1, bit=bit)
    if kind == ID_TARGET:
        return _Value(root, sure=False)
    if kind == TYPE_SIZE:
        return _Value(btf.size_of(root))
    last = steps[-1]
    holder = btf.type(last.type_id)
    if kind == ENUMVAL:
        assert isinstance(holder, types.Enum)
        number = holder.values[last.index].val
        if holder.kind == types.ENUM:  # sign-extended, whatever the flag says: compilers do so
            number = types.signed(number & 0xFFFFFFFF, 32)
        return _Value(number & 0xFFFFFFFFFFFFFFFF)
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
        value = _Value(at, bit=bit, sure=not bits)
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
        return _Value(size, bit=bit, sure=not bits)
    if kind == SIGNED:
        field = btf.type(id)
        signed = (isinstance(field, types.Enum) and field.signed) or (
            isinstance(field, types.Int) and bool(field.encoding & types.SIGNED)
        )
        return _Value(int(signed), bit=bit)
    if kind == RSHIFT:
        return _Value((64 - width) & 0xFFFFFFFFFFFFFFFF, bit=bit)
    if sys.byteorder == "little":
        left = 64 - (bit + width - at * 8)
    else:
        left = (8 - size) * 8 + bit - at * 8
    return _Value(left & 0xFFFFFFFFFFFFFFFF, bit=bit, sure=not bits)


def _patch(
    code: bytearray,
    slot: int,
    kind: int,
    local: _Value,
    found: tuple[Btf | None, _Value],
    btf: Btf,
) -> None:
    """Put the target's value where the instruction has the local one."""
    other, target = found
    at = slot * 8
    op, regs, off, imm = struct.unpack_from(_INSN, code, at)
    value = target.value
    group = op & 7
    if group in (ALU, ALU64) and not op & X:
        _expect(local, imm & 0xFFFFFFFFFFFFFFFF)
        imm = value & 0xFFFFFFFF
        struct.pack_into("=I", code, at + 4, imm)
    elif group in (LDX, ST, STX):
        _expect(local, off & 0xFFFFFFFFFFFFFFFF)
        if value > 0x7FFF:
            raise BadData(f"an offset of {value} is more than an instruction can hold")
        if local.size != target.size:
            if not (other and _adjustable(btf, local.type_id, other, target.type_id)):
                raise _Poison(
                    f"a field of {local.size} bytes is one of {target.size} in the kernel, and"
                    f" only pointers and unsigned integers may differ"
                )
            if _BYTES[op & 0x18] != local.size or target.size not in _WIDTHS:
                raise BadData(f"a load or store cannot go from {local.size} bytes to {target.size}")
            code[at] = op & ~0x18 | _WIDTHS[target.size]
        struct.pack_into("=h", code, at + 2, value)
    elif group == LD:
        if op != WIDE or len(code) < at + 16 or regs >> 4 or off or any(code[at + 8 : at + 12]):
            raise BadData("a 64-bit load of unexpected form has a CO-RE relocation")
        (high,) = struct.unpack_from("=I", code, at + 12)
        _expect(local, high << 32 | imm & 0xFFFFFFFF)
        struct.pack_into("=I", code, at + 4, value & 0xFFFFFFFF)
        struct.pack_into("=I", code, at + 12, value >> 32)
    else:
        raise BadData(f"CO-RE relocation {kind} of an instruction {op:#04x} that has no value")


def _expect(local: _Value, there: int) -> None:
    if local.sure and there != local.value & 0xFFFFFFFFFFFFFFFF:
        raise BadData(f"the instruction holds {there}, but its CO-RE relocation says {local.value}")


def _adjustable(one: Btf, a: int, two: Btf, b: int) -> bool:
    """Whether a load of one type may become one of the other: it extends with zeroes."""
    x, y = one.type(a), two.type(b)
    if x.kind == y.kind == types.PTR:
        return True
    return (
        isinstance(x, types.Int)
        and isinstance(y, types.Int)
        and types.SIGNED not in (x.encoding, y.encoding)
    )
