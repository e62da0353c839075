"""A type on one line, as a C declaration: ``int (*name)(struct file *, ...)``.

For people to read and for texts to be compared; what has a name is called by it, so every text
ends.  A type tag is written as kernel sources do: ``__user``.
"""

from __future__ import annotations

from . import types

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from .spec import Btf

_QUALIFIERS = {types.CONST: "const", types.VOLATILE: "volatile", types.RESTRICT: "restrict"}
_WORDS = {types.STRUCT: "struct", types.UNION: "union", types.ENUM: "enum", types.ENUM64: "enum"}
_FOLLOWING = (types.ARRAY, types.FUNC_PROTO)  # written behind the name, and binding closer than *
_MOST = 64  # types told of in one text; what is more is left out, as "..."


def spell(btf: Btf, id: int, name: str = "") -> str:
    """The declaration of ``name`` as of type ``id``; the type alone without a name.

    Of nameless structs, unions and enums some of the members are given.
    BadData for a type that is not there.
    """
    return _Speller(btf).declare(id, name)


class _Speller:
    """One text in the making, and how many types it may still tell of."""

    def __init__(self, btf: Btf) -> None:
        self._btf = btf
        self._left = _MOST

    def declare(self, id: int, name: str) -> str:
        """``name`` surrounded, type by type, by what makes a declaration of it."""
        btf = self._btf
        at = id
        qualifiers: list[str] = []
        tags: list[str] = []
        while self._more():
            found = btf.type(at)
            if isinstance(found, types.Array):
                name += f"[{found.nr_elems}]"
                at = found.type_id
            elif isinstance(found, types.FuncProto):
                name += f"({self._params(found)})"
                at = found.type_id
            elif isinstance(found, (types.Var, types.Func)):
                at = found.type_id
            elif found.kind in types.MODIFIERS:
                if found.kind == types.TYPE_TAG:
                    tags.append(f"__{found.name}")
                else:
                    qualifiers.append(_QUALIFIERS[found.kind])
                at = btf.target(at)
            elif found.kind == types.PTR:
                name = "*" + " ".join([*qualifiers, *tags, name]).rstrip()
                qualifiers, tags = [], []
                at = btf.target(at)
                if btf.kind(btf.skip_modifiers(at)) in _FOLLOWING:
                    name = f"({name})"
            else:
                return " ".join([*qualifiers, self._last(found), *tags, name]).rstrip()
        return f"... {name}".rstrip()

    def _more(self) -> bool:
        self._left -= 1
        return self._left >= 0

    def _params(self, proto: types.FuncProto) -> str:
        if not proto.params:
            return "void"
        return self._joined(
            ", ",
            (
                self.declare(param.type_id, param.name) if param.type_id else "..."
                for param in proto.params
            ),
        )

    def _last(self, type: types.Type) -> str:
        """The text of a type that refers to no other, or has a name of its own."""
        if isinstance(type, types.Fwd):
            return f"{type.fwd_kind} {type.name}"
        word = _WORDS.get(type.kind)
        if not word:
            return type.name if type.kind else "void"
        if type.name:
            return f"{word} {type.name}"
        if isinstance(type, types.Composite):
            members = (self.declare(member.type_id, member.name) for member in type.members)
            return f"{word} {{ {self._joined('; ', members)}; }}"
        assert isinstance(type, types.Enum)
        values = (f"{value.name} = {value.val}" for value in type.values)
        return f"{word} {{ {self._joined(', ', values)} }}"

    def _joined(self, mark: str, texts: Iterable[str]) -> str:
        found: list[str] = []
        for text in texts:
            if not self._more():
                found.append("...")
                break
            found.append(text)
        return mark.join(found)
