"""An object file as a description: its programs, functions, maps and what they refer to.

Made by ``read``; nothing here has been near the kernel.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..btf.spec import Btf
    from .ext import Ext
    from .kinds import ProgKind

MAP, DATA, CALL, ADDRESS, EXTERN, EXTERN_CALL, TABLE = range(7)
"""What an instruction refers to: a map, a variable in one, a function it calls, the address of a
function, something of the kernel, a function of the kernel it calls, a table of jumps."""

KCONFIG, KSYMS = ".kconfig", ".ksyms"
"""The sections in which BTF lists what is wanted of the kernel."""


class Reference:
    """What an instruction refers to: ``index`` of the map, extern or (a slot) function; of a table,
    how many entries it has.

    ``offset``: in bytes into the contents of the map, or the section of tables.
    """

    __slots__ = ("index", "kind", "offset")

    def __init__(self, kind: int, index: int, offset: int = 0) -> None:
        self.kind = kind
        self.index = index
        self.offset = offset


class FunctionSpec:
    """A function in a section of code, be it a program or called by some.

    ``slot``: its first in the section; ``code``: bytes; ``hidden``: only seen within the object,
    so that the kernel need not verify it by itself though its symbol is global.
    """

    __slots__ = ("code", "hidden", "name", "section", "slot")

    def __init__(self, name: str, section: str, slot: int, code: bytes, *, hidden: bool) -> None:
        self.name = name
        self.section = section
        self.slot = slot
        self.code = code
        self.hidden = hidden

    @property
    def end(self) -> int:
        """The slot behind it."""
        return self.slot + len(self.code) // 8


class ProgramSpec(FunctionSpec):
    """A program, as its section describes it; whoever loads may still change what is a field.

    ``kind``: None for a section whose name says nothing.  ``target``: what the name says behind the
    slash.  ``autoload``: false for a section with a leading ``?``.
    """

    __slots__ = (
        "attach_type",
        "autoload",
        "flags",
        "ifindex",
        "kind",
        "prog_type",
        "section_name",
        "target",
    )

    section_name: str
    kind: ProgKind | None
    target: str
    autoload: bool
    prog_type: int
    attach_type: int
    flags: int
    ifindex: int


class MapSpec:
    """A map.  ``name``: what libbpf calls it; ``section``: of the ELF file, where ``offset`` is its
    first byte; sizes in bytes.

    ``contents``: what a map of variables begins with, nothing for zeroes, else None; ``frozen``:
    whether nobody may write it from then on.  ``slots``: what is put into a map of maps or
    programs, names by index.
    ``type_name``: of the variable, for struct_ops.
    """

    __slots__ = (
        "contents",
        "flags",
        "frozen",
        "ifindex",
        "inner",
        "key_size",
        "key_type_id",
        "map_extra",
        "max_entries",
        "name",
        "numa_node",
        "offset",
        "pinned_by_name",
        "section",
        "slots",
        "type",
        "value_size",
        "value_type_id",
    )

    def __init__(self, name: str, section: str, type: int = 0) -> None:
        self.name = name
        self.section = section
        self.type = type
        self.offset = 0
        self.key_size = self.value_size = self.max_entries = 0
        self.key_type_id = self.value_type_id = 0
        self.flags = self.numa_node = self.map_extra = self.ifindex = 0
        self.pinned_by_name = False
        self.inner: MapSpec | None = None
        self.slots: dict[int, str] = {}
        self.contents: bytes | None = None
        self.frozen = False

    @property
    def whole_name(self) -> str:
        """What a user calls it: not cut to what the kernel keeps, where the section is its name."""
        return self.section if self.section.startswith((".data.", ".rodata.")) else self.name


class ExternSpec:
    """Something the program wants of the kernel: ``section`` is .kconfig or .ksyms.

    ``type_id``: of the VAR or FUNC in the object's BTF; ``weak``: may be missing.
    """

    __slots__ = ("index", "is_function", "name", "section", "type_id", "weak")

    def __init__(
        self, name: str, section: str, type_id: int, *, weak: bool, is_function: bool
    ) -> None:
        self.name = name
        self.section = section
        self.type_id = type_id
        self.weak = weak
        self.is_function = is_function


class ObjectSpec:
    """An object file.

    ``name``: the file's, up to its first dot, at most 15 characters; ``license`` and ``version``:
    what it says of itself.  ``functions``: those of .text, by their first slot ascending.
    ``references``: by section and slot.  ``variables``: where the ELF symbols of each section of
    data lie, for BTF that does not say: section -> (bytes, {name: offset}).  ``hidden``: names of
    the variables and of the functions of .text that only the object sees.  ``catchers``: program ->
    functions that are to take its exceptions.  ``jump_tables``: the section of such tables, 8 bytes
    for a place to jump to, which is a byte of the section of code.
    """

    __slots__ = (
        "btf",
        "catchers",
        "ext",
        "externs",
        "functions",
        "hidden",
        "jump_tables",
        "license",
        "maps",
        "name",
        "operations",
        "path",
        "programs",
        "references",
        "variables",
        "version",
    )

    def __init__(self, path: str, name: str) -> None:
        self.path = path
        self.name = name
        self.license = ""
        self.version = 0
        self.jump_tables = b""
        self.programs: list[ProgramSpec] = []
        self.functions: list[FunctionSpec] = []
        self.maps: list[MapSpec] = []
        self.externs: list[ExternSpec] = []
        self.references: dict[str, dict[int, Reference]] = {}
        self.variables: dict[str, tuple[int, Mapping[str, int]]] = {}
        self.operations: dict[str, dict[int, str]] = {}
        self.hidden: set[str] = set()
        self.catchers: dict[str, list[str]] = {}
        self.btf: Btf | None = None
        self.ext: Ext | None = None
