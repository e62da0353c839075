"""What an object wants of the kernel: configuration, addresses, variables and functions."""

from __future__ import annotations

import sys

from ..btf import types
from ..errors import PybpftoolError, during
from ..kernel.proc import kernel_version
from ..kernel.symbols import PATH as KALLSYMS
from . import features, spec
from .compare import compatible, essential

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from typing import TypeAlias

    from ..btf.spec import Btf
    from .spec import ExternSpec

    Unmet: TypeAlias = "Iterator[tuple[Extern, PybpftoolError]]"
    """What an object cannot do without and is not to be had, and the error that says why."""

_TRISTATE = {"n": 0, "y": 1, "m": 2}


class Extern:
    """What was found: ``address``, or ``btf`` (id of a module's BTF object, 0 for the kernel's own)
    and ``type_id``; neither for a weak one that is missing.  ``offset``: of a value of the
    configuration in its map.  ``number``: among all externs of the object, as libbpf counts."""

    __slots__ = ("address", "btf", "number", "offset", "spec", "type_id")

    def __init__(self, spec: ExternSpec) -> None:
        self.spec = spec
        self.address = 0
        self.btf = 0
        self.type_id = 0
        self.number = 0
        self.offset = 0


# ------------------------------------------------------------------ the kernel's configuration


def place_values(found: list[Extern], btf: Btf) -> int:
    """Bytes of the map of values; gives each extern of .kconfig its place there, and all a number.

    What is aligned most comes first, so that nothing needs padding; then come the others, by name.
    """

    def key(each: Extern) -> tuple[bool, int, int, str]:
        wanted = each.spec
        if wanted.section != spec.KCONFIG:
            return True, 0, 0, wanted.name
        align = btf.align_of(btf.target(wanted.type_id))
        return False, -align, btf.size_of(wanted.type_id), wanted.name

    end = 0
    for number, each in enumerate(sorted(found, key=key)):
        each.number = number
        _, align, size, _ = key(each)
        if each.spec.section == spec.KCONFIG:
            each.offset = end // align * align if align else end  # up, as align is negative
            end = each.offset + size
    return end


def values(found: list[Extern], btf: Btf, contents: bytearray) -> Unmet:
    """Put what the kernel's configuration says of each extern into the contents of the map.

    Unmet: one that is missing and not weak, or does not fit its variable.
    """
    wanted = [each for each in found if each.spec.section == spec.KCONFIG]
    options = {each.spec.name for each in wanted if not each.spec.name.startswith("LINUX_")}
    try:
        config = _configured(options) if options else {}
    except PybpftoolError as error:
        yield from ((each, error) for each in wanted if each.spec.name in options)
        return
    for each in wanted:
        name = each.spec.name
        number = None if name in options else virtual(name)
        text = config.get(name) if number is None else str(number)
        try:
            value = _value(btf, each.spec, text)
        except PybpftoolError as error:
            yield each, error
        else:
            contents[each.offset : each.offset + len(value)] = value


def _value(btf: Btf, wanted: ExternSpec, text: str | None) -> bytes:
    """The bytes of a variable of the configuration, which says ``text``; None for nothing."""
    if text is None:
        if wanted.weak:
            return b""
        raise PybpftoolError(f"this kernel's configuration says nothing of {wanted.name}")
    type = btf.type(btf.skip_modifiers(btf.target(wanted.type_id), typedefs=True))
    wrong = PybpftoolError(f"{wanted.name}: {text} does not fit its variable")
    if isinstance(type, types.Array):
        if len(text) < 2 or text[0] != '"' or text[-1] != '"' or btf.size_of(type.type_id) != 1:
            raise wrong
        return text[1:-1].encode("utf-8", "surrogateescape")[: max(type.nr_elems - 1, 0)]
    if isinstance(type, types.Enum) and type.name == "libbpf_tristate" and text in _TRISTATE:
        return _TRISTATE[text].to_bytes(type.size, sys.byteorder)
    if not isinstance(type, types.Int):
        raise wrong
    if text in _TRISTATE:
        if type.encoding & types.BOOL and text != "m":
            return _TRISTATE[text].to_bytes(type.size, sys.byteorder)
        if type.size == 1 and not type.encoding & types.BOOL:
            return text.encode()
        raise wrong
    try:
        number = int(text, 0)
        if type.encoding & types.BOOL and number > 1:
            raise wrong
        return number.to_bytes(type.size, sys.byteorder, signed=bool(type.encoding & types.SIGNED))
    except (ValueError, OverflowError) as error:
        raise wrong from error


def _configured(names: set[str]) -> dict[str, str]:
    """What the kernel's .config says of each of the names; of two lines the first counts."""
    from ..kernel import config

    try:
        text = config.text()
    except OSError as error:
        raise PybpftoolError(
            "this kernel tells its configuration neither in /boot nor in /proc"
        ) from error
    found: dict[str, str] = {}
    for line in text.split("\n"):
        name, sign, value = line.partition("=")
        if sign and name in names:
            found.setdefault(name, value)
    return found


def virtual(name: str) -> int | None:
    """The number behind a name in LINUX_, which is no configuration but asked for as if."""
    if name == "LINUX_KERNEL_VERSION":
        return kernel_version()
    if name == "LINUX_HAS_BPF_COOKIE":
        return int(features.knows("attach_cookie"))
    if name == "LINUX_HAS_SYSCALL_WRAPPER":
        return int(features.knows("syscall_wrapper"))
    return None


# ------------------------------------------------------------------ symbols


def addresses(found: Iterable[Extern], btf: Btf) -> Unmet:
    """Find the addresses of the externs without a type (``const void``) in /proc/kallsyms.

    Unmet: one that is missing and not weak, by name; all of them where the file cannot be read.
    """
    wanted = [each for each in found if each.spec.section == spec.KSYMS and is_void(btf, each.spec)]
    wanted.sort(key=lambda each: each.spec.name)
    try:
        there = _addresses({each.spec.name for each in wanted})
    except PybpftoolError as error:
        yield from ((each, error) for each in wanted)
        return
    for each in wanted:
        each.address = there.get(each.spec.name, 0)
        if each.spec.name not in there and not each.spec.weak:
            yield each, PybpftoolError(f"this kernel has no symbol {each.spec.name}")


def _addresses(names: set[str]) -> dict[str, int]:
    """The address of each symbol that there is; of several of one name the first's."""
    found: dict[str, int] = {}
    if names:
        with during(KALLSYMS), open(KALLSYMS) as file:
            for line in file:
                words = line.split()
                if len(words) > 2 and words[2] in names:
                    found.setdefault(words[2], int(words[0], 16))
    return found


def is_void(btf: Btf, wanted: ExternSpec) -> bool:
    """Whether an extern of .ksyms has no type, and is an address only."""
    if wanted.is_function:
        return False
    return btf.skip_modifiers(btf.target(wanted.type_id)) == 0


def typed(
    found: Iterable[Extern],
    btf: Btf,
    kernel: Callable[[], Btf],
    modules: Callable[[], Iterable[tuple[int, Btf]]],
) -> Unmet:
    """Find the externs that have a type: variables and functions of the kernel or a module.

    Unmet: one that is missing or of another type; unless it is weak and missing, or a weak
    function.
    """
    for each in found:
        if each.spec.section == spec.KSYMS and not is_void(btf, each.spec):
            try:
                _find(each, btf, kernel(), modules)
            except PybpftoolError as error:
                yield each, error


def _find(
    each: Extern, btf: Btf, kernel: Btf, modules: Callable[[], Iterable[tuple[int, Btf]]]
) -> None:
    wanted = each.spec
    kind, what = (types.FUNC, "function") if wanted.is_function else (types.VAR, "variable")
    name = essential(wanted.name) if wanted.is_function else wanted.name
    home = _home(name, kind, kernel, modules)
    if home is None:
        if not wanted.weak:
            raise PybpftoolError(_not_offered(what, name))
        return
    id, theirs, type_id = home
    if compatible(btf, btf.target(wanted.type_id), theirs, theirs.target(type_id)):
        each.btf, each.type_id = id, type_id
    elif not (wanted.weak and wanted.is_function):
        raise PybpftoolError(f"{what} {name} is of another type in this kernel")


def no_function(name: str) -> str:
    """That a function of the kernel cannot be called."""
    return _not_offered("function", name)


def _not_offered(what: str, name: str) -> str:
    return f"this kernel offers no {what} {name} to programs"


def _home(
    name: str, kind: int, kernel: Btf, modules: Callable[[], Iterable[tuple[int, Btf]]]
) -> tuple[int, Btf, int] | None:
    """(id of the BTF object of a module, or 0 for the kernel; its BTF; id of the type)."""
    own = kernel.find(name, kind)
    if own is not None:
        return 0, kernel, own
    for id, module in modules():
        there = next(module.find_all(name, kind, own=True), None)
        if there is not None:
            return id, module, there
    return None
