"""What differs between the named types of two BTFs: of two kernels, or of two builds of a program.

Types are compared by what they say, never by id.  Each side turns its types into numbers out of
one table, so that types are equal exactly if their numbers are; only what differs is looked at
more closely.  A reference to something with a name is its name: what changed behind the name is
told where the name is, once.  Tags on declarations are not compared, nor are types without a name
but as parts of others.
"""

from __future__ import annotations

from ..errors import BadData
from . import types
from .spell import spell

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable, Iterator
    from typing import Any, TypeAlias, TypeVar

    from .spec import Btf

    Record: TypeAlias = dict[str, Any]
    Groups: TypeAlias = dict[tuple[str, str], list[tuple[int, int]]]
    Thing = TypeVar("Thing", types.Member, types.Enumerator)

_KINDS = {
    types.INT: "int",
    types.STRUCT: "struct",
    types.UNION: "union",
    types.ENUM: "enum",
    types.ENUM64: "enum",
    types.TYPEDEF: "typedef",
    types.FUNC: "func",
    types.VAR: "var",
    types.DATASEC: "datasec",
    types.FLOAT: "float",
}
"""The word for each kind that is compared; a FWD goes by what it declares."""

_WITH_FIELDS = (types.Composite, types.Datasec)
_LINKAGES = ("static", "global", "extern")
_TAGGED = frozenset(("struct", "union", "enum"))  # named apart from all else, as in C
_MAX_DEPTH = 64  # types without a name, one inside the other
_MOST_FIELDS = 1 << 14  # members of nameless members; a small BTF can nest millions
_LONGEST = 100  # columns of a line; what is longer is broken in two


def diff(a: Btf, b: Btf) -> Iterator[Record]:
    """A record for each named type that differs, by kind and name.

    ``{"change": "added" | "removed" | "changed", "kind", "name", …}``.  What was added or removed
    has its ``size`` or ``type``, or is ``declared`` only.  What changed has an ``{"old", "new"}``
    under each property that did, and lists of the same sort of records under ``members``, ``vars``
    or ``values``.  Members of nameless structs count as the outer one's; offsets are in bits.

    Of a split BTF only its own types are compared.  Several types of a name are paired with their
    equals first, then in order.  BadData when a BTF is broken, or a type is made of itself.
    """
    numbers: dict[Hashable, int] = {}
    old, new = _Side(a, numbers), _Side(b, numbers)
    before, after = old.groups(), new.groups()
    keys = [key for key in before.keys() | after.keys() if not _alike(before, after, key)]
    for kind, name in sorted(keys):
        these, those = before.get((kind, name), []), after.get((kind, name), [])
        left, right = _without(these, those), _without(those, these)
        for one, other in zip(left, right, strict=False):
            yield _changed(kind, name, old, one, new, other)
        for one in left[len(right) :]:
            yield {"change": "removed", "kind": kind, "name": name, **_told(old, one)}
        for one in right[len(left) :]:
            yield {"change": "added", "kind": kind, "name": name, **_told(new, one)}


def _alike(before: Groups, after: Groups, key: tuple[str, str]) -> bool:
    """Whether the types of a name are the same in the same order: nearly all are."""
    these, those = before.get(key, []), after.get(key, [])
    return [number for number, _ in these] == [number for number, _ in those]


def _without(these: list[tuple[int, int]], those: list[tuple[int, int]]) -> list[int]:
    """The ids among these (number, id) that have no counterpart of their number among those."""
    spare: dict[int, int] = {}
    for number, _ in those:
        spare[number] = spare.get(number, 0) + 1
    left = []
    for number, own in these:
        if spare.get(number):
            spare[number] -= 1
        else:
            left.append(own)
    return left


# ------------------------------------------------------------------ types as numbers


class _Side:
    """One BTF and its types as numbers."""

    def __init__(self, btf: Btf, numbers: dict[Hashable, int]) -> None:
        from array import array

        self.btf = btf
        self._numbers = numbers
        self._references = array("i", [-1]) * btf.type_count

    def _number(self, *what: Hashable) -> int:
        return self._numbers.setdefault(what, len(self._numbers))

    def groups(self) -> Groups:
        """The own types that have a name: (kind, name) -> number and id of each.

        A declaration beside its definition says nothing and is left out.
        """
        groups: Groups = {}
        declared: dict[tuple[str, str], int] = {}
        for own in range(self.btf.own_start, self.btf.type_count):
            found = self.btf.type(own)
            if not found.name:
                continue
            if isinstance(found, types.Fwd):
                declared[found.fwd_kind, found.name] = own
            elif found.kind in _KINDS:
                key = _KINDS[found.kind], found.name
                groups.setdefault(key, []).append((self._definition(found, 0), own))
                self._references[own] = self._name(found)
        fwd = self._number(types.FWD)
        for key, own in declared.items():
            groups.setdefault(key, [(fwd, own)])
        return groups

    def reference(self, id: int, depth: int = 0) -> int:
        """The number of a type as part of another: of its name, or else of what is in it."""
        number = self._references[id]
        if number >= 0:
            return number
        if depth > _MAX_DEPTH:
            raise self.btf.bad(id, "is nested too deeply, or in itself")
        found = self.btf.type(id)
        named = found.name and (found.kind in _KINDS or found.kind == types.FWD)
        number = self._name(found) if named else self._definition(found, depth)
        self._references[id] = number
        return number

    def _name(self, type: types.Type) -> int:
        """The number of a name, and of struct, union or enum before it."""
        if isinstance(type, types.Fwd):
            return self._number(type.fwd_kind, type.name)
        word = _KINDS[type.kind]
        return self._number(word if word in _TAGGED else "", type.name)

    def _definition(self, type: types.Type, depth: int) -> int:
        """The number of all that a type says."""

        def of(id: int) -> int:
            return self.reference(id, depth + 1)

        what: list[Hashable] = [type.kind]
        if isinstance(type, types.Composite):
            what.append(type.size)
            for member in type.members:
                what += member.name, of(member.type_id), member.bits_offset, member.bitfield_size
        elif isinstance(type, types.Enum):
            what += type.size, type.signed
            for value in type.values:
                what += value.name, value.val
        elif isinstance(type, types.Array):
            what += of(type.type_id), type.nr_elems
        elif isinstance(type, types.FuncProto):
            what += of(type.type_id), *[of(param.type_id) for param in type.params]
        elif isinstance(type, types.Func):
            what.append(type.linkage)
            proto = self.btf.type(type.type_id)
            if isinstance(proto, types.FuncProto):
                what.append(of(proto.type_id))
                for param in proto.params:
                    what += param.name, of(param.type_id)
        elif isinstance(type, types.Var):
            what += type.linkage, of(type.type_id)
        elif isinstance(type, types.Datasec):
            what.append(type.size)
            for var in type.vars:
                what += self.btf.type(var.type_id).name, of(var.type_id), var.offset, var.size
        elif isinstance(type, types.Int):
            what += type.size, type.encoding, type.bits_offset, type.nr_bits
        elif isinstance(type, types.Float):
            what.append(type.size)
        elif isinstance(type, types.Reference):
            what += type.name, of(type.type_id)
        return self._number(*what)

    # -------------------------------------------------------------- for what differs

    def text(self, id: int) -> str:
        """A type in C."""
        return spell(self.btf, id)

    def size(self, id: int) -> int | None:
        """Bytes of a type, None if it has no size."""
        try:
            return self.btf.size_of(id)
        except BadData:
            return None

    def target(self, type: types.Type) -> types.Type:
        """The nameless struct, union or enum that a typedef is all there is of, or the type itself.

        How it changed is told better in its own words.
        """
        if isinstance(type, types.Reference) and type.kind == types.TYPEDEF:
            target = self.btf.type(type.type_id)
            if isinstance(target, (types.Composite, types.Enum)) and not target.name:
                return target
        return type

    def fields(self, type: types.Composite | types.Datasec) -> list[types.Member]:
        """Members, for those that are nameless structs or unions theirs, or a section's variables.

        Names are then paths, as in C: ``outer.inner``.
        """
        if isinstance(type, types.Datasec):
            return [
                types.Member(self.btf.type(var.type_id).name, var.type_id, 8 * var.offset, 0)
                for var in type.vars
            ]
        self._left = _MOST_FIELDS
        return list(self._spread(type, "", 0, 0))

    def _spread(
        self, type: types.Composite, prefix: str, base: int, depth: int
    ) -> Iterator[types.Member]:
        for member in type.members:
            self._left -= 1
            name = prefix + member.name
            place = base + member.bits_offset
            inner = self.btf.type(self.btf.skip_modifiers(member.type_id))
            if (
                isinstance(inner, types.Composite)
                and not inner.name
                and self._left > 0
                and depth < _MAX_DEPTH
            ):
                dotted = f"{name}." if member.name else prefix
                yield from self._spread(inner, dotted, place, depth + 1)
            else:
                yield types.Member(name, member.type_id, place, member.bitfield_size)


# ------------------------------------------------------------------ what became of a type


def _told(side: _Side, id: int) -> Record:
    """What there is to say of a type that is on one side only."""
    found = side.btf.type(id)
    if isinstance(found, types.Fwd):
        return {"declared": True}
    if isinstance(found, (types.Reference, types.Var)):
        return {"type": side.text(found.type_id)}
    return (
        {"type": side.text(id)} if isinstance(found, types.Func) else {"size": _get(found, "size")}
    )


def _get(type: types.Type, field: str) -> Any:
    return getattr(type, field, None)


def _note(record: Record, key: str, old: object, new: object) -> None:
    """Have both values in a record if they differ."""
    if old != new:
        record[key] = {"old": old, "new": new}


def _note_list(record: Record, key: str, items: Iterable[Record]) -> None:
    """Have the records of what is inside in a record if there are any."""
    found = list(items)
    if found:
        record[key] = found


def _changed(kind: str, name: str, old: _Side, one: int, new: _Side, other: int) -> Record:
    was, now = old.btf.type(one), new.btf.type(other)
    a, b = old.target(was), new.target(now)
    record: Record = {"change": "changed", "kind": kind, "name": name}
    if isinstance(a, types.Fwd) or isinstance(b, types.Fwd):
        _note(record, "declared", isinstance(a, types.Fwd), isinstance(b, types.Fwd))
        _note(record, "size", _get(a, "size"), _get(b, "size"))
    elif isinstance(a, _WITH_FIELDS) and isinstance(b, _WITH_FIELDS) and a.kind == b.kind:
        _note(record, "size", a.size, b.size)
        key = "vars" if isinstance(a, types.Datasec) else "members"
        _note_list(record, key, _fields(old, old.fields(a), new, new.fields(b)))
    elif isinstance(a, types.Enum) and isinstance(b, types.Enum):
        _note(record, "size", a.size, b.size)
        _note(record, "signed", a.signed, b.signed)
        _note_list(record, "values", _values(a, b))
    elif was.kind in (types.INT, types.FLOAT):
        for field in ("size", "encoding", "bits_offset", "nr_bits"):
            _note(record, field, _get(a, field), _get(b, field))
    else:
        _note(record, "linkage", _linkage(was), _linkage(now))
        texts = _type_text(old, was), _type_text(new, now)
        # Of a large nameless type the text is cut, so what differs may not be seen in it.
        if texts[0] != texts[1] or "linkage" not in record:
            record["type"] = {"old": texts[0], "new": texts[1]}
    return record


def _linkage(type: types.Type) -> str | None:
    number = _get(type, "linkage")
    return None if number is None else _LINKAGES[number] if number < len(_LINKAGES) else str(number)


def _fields(
    old: _Side, before: list[types.Member], new: _Side, after: list[types.Member]
) -> Iterator[Record]:
    for a, b in _pairs(before, after):
        if a is None or b is None:
            side, field, change = (new, b, "added") if a is None else (old, a, "removed")
            assert field is not None
            record: Record = {
                "change": change,
                "name": field.name,
                "type": side.text(field.type_id),
                "bits_offset": field.bits_offset,
            }
            if field.bitfield_size:
                record["bitfield_size"] = field.bitfield_size
            yield record | {"size": side.size(field.type_id)}
            continue
        found: Record = {"change": "changed", "name": a.name}
        _note(found, "bits_offset", a.bits_offset, b.bits_offset)
        _note(found, "bitfield_size", a.bitfield_size, b.bitfield_size)
        _note(found, "size", old.size(a.type_id), new.size(b.type_id))
        if old.reference(a.type_id) != new.reference(b.type_id):
            found["type"] = {"old": old.text(a.type_id), "new": new.text(b.type_id)}
        if len(found) > len(("change", "name")):
            yield found


def _values(old: types.Enum, new: types.Enum) -> Iterator[Record]:
    for a, b in _pairs(old.values, new.values):
        if b is None:
            assert a is not None
            yield {"change": "removed", "name": a.name, "val": a.val}
        elif a is None:
            yield {"change": "added", "name": b.name, "val": b.val}
        elif a.val != b.val:
            yield {"change": "changed", "name": a.name, "val": {"old": a.val, "new": b.val}}


def _pairs(old: list[Thing], new: list[Thing]) -> Iterator[tuple[Thing | None, Thing | None]]:
    """What has the same name on both sides, in the order of the new; the n-th with the n-th.

    What is only on one side stands alone, about where it is or was.
    """
    before, after = _keyed(old), _keyed(new)
    places = {key: place for place, key in enumerate(before)}
    row = list(before.items())
    at = 0
    for key, thing in after.items():
        place = places.get(key, at)
        for other, gone in row[at:place]:
            if other not in after:
                yield gone, None
        at = max(at, place)
        yield before.get(key), thing
    for other, gone in row[at:]:
        if other not in after:
            yield gone, None


def _keyed(things: list[Thing]) -> dict[tuple[str, int], Thing]:
    """Each thing by its name and the number of those before it that have the same."""
    seen: dict[str, int] = {}
    found = {}
    for thing in things:
        nth = seen[thing.name] = seen.get(thing.name, -1) + 1
        found[thing.name, nth] = thing
    return found


def _type_text(side: _Side, type: types.Type) -> str:
    if isinstance(type, (types.Reference, types.Var)):
        return side.text(type.type_id)
    return side.text(type.id)


# ------------------------------------------------------------------ as text


def plain(record: Record) -> str:
    """The record as lines: what it is about and, indented, what is inside.

    ``+`` stands for added, ``-`` for removed, ``!`` for changed.  Offsets are in bytes, and of a
    bit-field ``byte:bit``.
    """
    head = f"{record['kind']} {record['name']}: "
    if record["change"] != "changed":
        facts = [record["change"]]
        if "declared" in record:
            facts.append("declared only")
        elif "type" in record:
            facts.append(record["type"])
        else:
            facts.append(f"size {record['size']}")
        return f"{head}{', '.join(facts)}\n"
    facts, lines = _facts(record), list(_inside(record))
    text = ", ".join(facts)
    if "type" in record and len(head) + len(text) > _LONGEST:
        text = ", ".join(facts[:-1])
        lines += [f"- {record['type']['old']}", f"+ {record['type']['new']}"]
    if not text and not lines:
        text = "changed inside"
    return f"{head}{text}".rstrip() + "\n" + "".join(f"    {line}\n" for line in lines)


def _facts(record: Record) -> list[str]:
    """``key old -> new`` for all that changed about one thing, its type last."""
    facts = []
    for key, pair in record.items():
        if not isinstance(pair, dict) or key == "type":
            continue
        old, new = pair["old"], pair["new"]
        if key == "bits_offset":
            bits = old % 8 or new % 8 or "bitfield_size" in record
            facts.append(f"offset {_place(old, bits)} -> {_place(new, bits)}")
        elif key == "declared":
            facts.append("declared -> defined" if old else "defined -> declared")
        elif key == "signed":
            facts.append("unsigned -> signed" if new else "signed -> unsigned")
        elif old is None or new is None:
            facts += [] if new is None else [f"{key} {new}"]
        else:
            facts.append(f"{_WORDS.get(key, key)} {old} -> {new}")
    if "type" in record:
        facts.append(f"{record['type']['old']} -> {record['type']['new']}")
    return facts


_WORDS = {"bitfield_size": "bits", "nr_bits": "bits"}


def _place(bits: int, exact: object) -> str:
    return f"{bits // 8}:{bits % 8}" if exact else str(bits // 8)


def _inside(record: Record) -> Iterator[str]:
    items = record.get("members") or record.get("vars") or record.get("values") or []
    at = 0
    while at < len(items):
        end, move = _moved(items, at)
        if end - at > _FEW:
            first, last = items[at]["name"], items[end - 1]["name"]
            way = f"{move // 8:+}" if move % 8 == 0 else f"{move:+} bits"
            yield f"! {end - at} from {first} to {last}: offset {way}"
            at = end
            continue
        yield _item(items[at])
        at += 1


_FEW = 2  # members that moved alike, one after the other, are told of one by one up to this


def _moved(items: list[Record], at: int) -> tuple[int, int]:
    """Up to where members did nothing but move by the same number of bits, and that number."""
    move = 0
    for end in range(at, len(items)):
        item = items[end]
        if item.keys() != {"change", "name", "bits_offset"} or item["change"] != "changed":
            return end, move
        way = item["bits_offset"]["new"] - item["bits_offset"]["old"]
        if end > at and way != move:
            return end, move
        move = way
    return len(items), move


def _item(item: Record) -> str:
    """The line of a member, variable or value."""
    sign = {"added": "+", "removed": "-", "changed": "!"}[item["change"]]
    if "val" in item:
        val = item["val"]
        text = f"{val['old']} -> {val['new']}" if sign == "!" else str(val)
        return f"{sign} {item['name']} = {text}"
    if sign == "!":
        return f"! {item['name']}: {', '.join(_facts(item))}"
    bits = item.get("bitfield_size")
    width = f":{bits}" if bits else ""
    size = "" if bits or item["size"] is None else f", size {item['size']}"
    place = _place(item["bits_offset"], bits)
    return f"{sign} {item['name']}: {item['type']}{width} at {place}{size}"
