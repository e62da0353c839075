"""An ELF file to an ObjectSpec: what each symbol is, and who refers to it."""

from __future__ import annotations

import struct
from bisect import bisect_right

from ..btf import types
from ..btf.reader import read_btf
from ..elf import file as elf
from ..errors import BadData
from ..insn.code import CALL, FUNC, JMP, PSEUDO_CALL, SLOT, WIDE, registers
from ..kernel.proc import page_size
from . import spec
from .ext import read_ext
from .kinds import kind_of, target_of
from .mapdefs import PROG_ARRAY, user_maps
from .sanitize import EXTERN, GLOBAL, STATIC
from .spec import ExternSpec, FunctionSpec, MapSpec, ObjectSpec, ProgramSpec, Reference

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..btf.spec import Btf
    from ..elf.file import ElfFile, Section, Symbol

_NAME = 15  # characters of a name that the kernel keeps
_ARRAY, _ARENA, _STRUCT_OPS = 2, 33, 26
_RDONLY_PROG, _MMAPABLE, _LINK = 1 << 7, 1 << 10, 1 << 13
_OPERATIONS = (".struct_ops", ".struct_ops.link", "?.struct_ops", "?.struct_ops.link")
_CODE_WITHOUT_PROGRAMS = ".text"
_CATCHER = "exception_callback:"
"""What a tag on a program says before the name of the function that takes its exceptions."""
_ARENA_VARIABLES = ".addr_space.1"
_JUMP_TABLES = ".jumptables"


def read_object(path: str, *, relaxed_maps: bool = False) -> ObjectSpec:
    """What a file made by a compiler for BPF says.

    ``relaxed_maps``: properties of maps that are not known do not matter.  KernelError when the
    file cannot be read; BadData, one sentence, for what is wrong in it.
    """
    file = elf.read_file(path)
    name = path.rsplit("/", 1)[-1][:_NAME].split(".")[0]
    found = ObjectSpec(path, name)
    _own_words(file, found)
    _types(file, found)
    for section in file.sections:
        if section.is_code:
            _functions(file, section, found)
    _catchers(found)
    tables = file.section(_JUMP_TABLES)
    found.jump_tables = tables.data if tables is not None else b""
    found.variables = {
        section.name: (section.size, _variables(file, section))
        for section in file.sections
        if section.type in (elf.PROGBITS, elf.NOBITS) and not section.is_code
    }
    found.hidden = {each.name for each in found.functions if each.hidden}
    found.hidden.update(
        each.name for each in file.symbols if each.hidden and each.type == elf.OBJECT
    )
    externs = dict(_externs(file, found))
    found.externs = list(externs.values())
    _maps(file, found, relaxed=relaxed_maps)
    places = {index: place for place, index in enumerate(externs)}
    maps = _places(found)
    for section in file.sections:
        if section.is_code:
            found.references[section.name].update(_references(file, section, maps, places))
    return found


# ------------------------------------------------------------------ what stands by itself


def _own_words(file: ElfFile, found: ObjectSpec) -> None:
    if file.section("maps"):
        raise BadData("its maps are in a section 'maps', a form that was given up for '.maps'")
    license = file.section("license")
    if license:
        found.license = license.data.split(b"\0")[0].decode("utf-8", "surrogateescape")
    version = file.section("version")
    if version:
        if len(version.data) != 4:
            raise BadData(f"section version holds {len(version.data)} bytes, not 4")
        found.version = struct.unpack("=I", version.data)[0]


def _types(file: ElfFile, found: ObjectSpec) -> None:
    section = file.section(".BTF")
    if section is None:
        return
    found.btf = read_btf(section.data, name=found.path)
    found.btf.check()
    ext = file.section(".BTF.ext")
    if ext is not None:
        found.ext = read_ext(ext.data, found.btf)


def _is_data(section: Section) -> bool:
    """Whether it becomes a map of variables."""
    stem = "." + section.name[1:].split(".")[0]
    if section.type == elf.NOBITS:
        return stem == ".bss" and section.size > 0
    return section.type == elf.PROGBITS and stem in (".data", ".rodata") and section.size > 0


def _variables(file: ElfFile, section: Section) -> dict[str, int]:
    return {
        symbol.name: symbol.value
        for symbol in file.by_section.get(section.index, ())
        if symbol.type in (elf.OBJECT, elf.NOTYPE)
    }


# ------------------------------------------------------------------ functions


def _functions(file: ElfFile, section: Section, found: ObjectSpec) -> None:
    """The functions of a section of code; all but those of .text are programs."""
    if len(section.data) % SLOT:
        raise BadData(f"section {section.name} does not hold whole instructions")
    if section.name in found.references:
        raise BadData(f"there are two sections {section.name} of code")
    found.references[section.name] = {}
    is_text = section.name == _CODE_WITHOUT_PROGRAMS
    symbols = [each for each in file.by_section.get(section.index, ()) if each.type == elf.FUNC]
    last = 0
    for symbol in sorted(symbols, key=lambda each: each.value):
        end = symbol.value + symbol.size
        if symbol.value % SLOT or symbol.size % SLOT or not symbol.size or end > section.size:
            raise BadData(
                f"function '{symbol.name}' is no part of section {section.name}:"
                f" bytes {symbol.value} to {end} of {section.size}"
            )
        if symbol.value < last:
            raise BadData(f"function '{symbol.name}' begins in the middle of another")
        last = end
        if not is_text and symbol.bind == elf.LOCAL:
            raise BadData(f"program '{symbol.name}' in section {section.name} is static")
        hidden = symbol.hidden or symbol.bind == elf.LOCAL
        place = symbol.name, section.name, symbol.value // SLOT, section.data[symbol.value : end]
        if is_text:
            found.functions.append(FunctionSpec(*place, hidden=hidden))
        else:
            program = ProgramSpec(*place, hidden=hidden)
            _describe(program)
            found.programs.append(program)


def _describe(program: ProgramSpec) -> None:
    program.autoload = not program.section.startswith("?")
    program.section_name = program.section.removeprefix("?")
    program.kind = kind_of(program.section_name)
    program.target = target_of(program.section_name)
    program.ifindex = program.flags = program.prog_type = program.attach_type = 0
    if program.kind is not None:
        program.prog_type = program.kind.prog_type
        program.attach_type = program.kind.attach_type


def _catchers(found: ObjectSpec) -> None:
    """Which functions take the exceptions of a program: tags on it say so."""
    if found.btf is None:
        return
    for id, kind in enumerate(found.btf.kinds_of_all()):
        if kind != types.DECL_TAG or not found.btf.name_of(id).startswith(_CATCHER):
            continue
        tag = found.btf.type(id)
        assert isinstance(tag, types.DeclTag)
        if tag.component_idx != -1:
            continue
        program = found.btf.type(tag.type_id)
        if not isinstance(program, types.Func) or program.linkage != GLOBAL:
            raise BadData(f"'{tag.name}' is on '{program.name}', which is no global function")
        found.catchers.setdefault(program.name, []).append(tag.name.removeprefix(_CATCHER))


# ------------------------------------------------------------------ maps


def _maps(file: ElfFile, found: ObjectSpec, *, relaxed: bool) -> None:
    section = file.section(".maps")
    if section is not None:
        if found.btf is None:
            raise BadData("section .maps is described by no BTF")
        found.maps += user_maps(found.btf, _variables(file, section), relaxed=relaxed)
        _initial_slots(file, section, found)
    _arena_variables(file, found)
    for section in file.sections:
        if _is_data(section):
            found.maps.append(_variable_map(section, found))
    if found.externs and found.btf is not None:
        from .externs import Extern, place_values

        size = place_values([Extern(each) for each in found.externs], found.btf)
        if size:
            found.maps.append(_kconfig_map(found, size))
    for section in file.sections:
        if section.name in _OPERATIONS and section.data:
            found.maps += _operations(file, section, found)


def _arena_variables(file: ElfFile, found: ObjectSpec) -> None:
    """Give the arena, of which there is one at most, the variables that are to be in it."""
    arenas = [each for each in found.maps if each.type == _ARENA]
    if len(arenas) > 1:
        raise BadData(
            f"maps '{arenas[0].name}' and '{arenas[1].name}': there can be one arena only"
        )
    section = file.section(_ARENA_VARIABLES)
    if section is None or not section.size:
        return
    if not arenas:
        raise BadData(f"section {section.name} holds variables for an arena, but there is none")
    if section.size > arenas[0].max_entries * page_size():
        raise BadData(f"map '{arenas[0].name}' is too small for {section.size} bytes of variables")
    arenas[0].contents = section.data or bytes(section.size)


def _initial_slots(file: ElfFile, section: Section, found: ObjectSpec) -> None:
    """What is put into maps of maps and of programs: a relocation for every slot."""
    owners = sorted(found.maps, key=lambda each: each.offset)
    starts = [each.offset for each in owners]
    heads: dict[str, int] = {}
    for at, symbol in file.relocations.get(section.index, ()):
        place = bisect_right(starts, at) - 1
        owner = owners[max(place, 0)] if owners else None
        if owner is not None and owner.name not in heads:
            heads[owner.name] = _head(found, owner)
        size = heads[owner.name] if owner is not None else 0
        if owner is None or at - owner.offset < size or (at - owner.offset - size) % 8:
            raise BadData(f"byte {at} of section .maps is no slot of a map")
        wanted = elf.FUNC if owner.type == PROG_ARRAY else elf.OBJECT
        if symbol.type != wanted:
            raise BadData(f"map '{owner.name}': '{symbol.name}' cannot be put into it")
        owner.slots[(at - owner.offset - size) // 8] = symbol.name


def _head(found: ObjectSpec, owner: MapSpec) -> int:
    """Bytes of a map's definition before its slots."""
    assert found.btf is not None
    for id in found.btf.find_all(owner.name, types.VAR):
        struct = found.btf.type(found.btf.skip_modifiers(found.btf.target(id), typedefs=True))
        if isinstance(struct, types.Composite) and struct.members:
            last = struct.members[-1]
            if last.name == "values":
                return last.bits_offset // 8
    raise BadData(f"map '{owner.name}' has no slots")


def _variable_map(section: Section, found: ObjectSpec) -> MapSpec:
    made = MapSpec(_map_name(found.name, section.name), section.name, _ARRAY)
    made.key_size, made.value_size, made.max_entries = 4, section.size, 1
    made.contents = section.data
    made.frozen = section.name.startswith(".rodata")
    made.flags = _RDONLY_PROG if made.frozen else 0
    describe_variables(made, found)
    return made


def describe_variables(made: MapSpec, found: ObjectSpec) -> None:
    """Give a map of variables the type of its section; it can be mapped if any can be seen."""
    if found.btf is None:
        return
    id = found.btf.find(made.section, types.DATASEC)
    if id is None:
        return
    made.value_type_id = id
    datasec = found.btf.type(id)
    assert isinstance(datasec, types.Datasec)
    for each in datasec.vars:
        variable = found.btf.type(each.type_id)
        if not isinstance(variable, types.Var) or variable.linkage == STATIC:
            continue
        if variable.name not in found.hidden:
            made.flags |= _MMAPABLE
            return


def _map_name(object_name: str, section: str) -> str:
    """How a map of variables is called: spec 2.8."""
    suffix = min(max(7, len(section)), _NAME)
    prefix = "" if "." in section[1:] else object_name[: _NAME - suffix]
    name = (prefix + section[:suffix])[:_NAME]
    return "".join(
        each if each.isascii() and (each.isalnum() or each in "_.") else "_" for each in name
    )


def _kconfig_map(found: ObjectSpec, size: int) -> MapSpec:
    """The map of the values that the kernel's configuration gives to the program's variables.

    ``size``: its bytes, which whoever loads the object knows.
    """
    made = MapSpec(_map_name(found.name, spec.KCONFIG), spec.KCONFIG, _ARRAY)
    made.key_size, made.value_size, made.max_entries = 4, size, 1
    made.contents, made.frozen = b"", True
    made.flags = _RDONLY_PROG | _MMAPABLE
    if found.btf is not None:
        made.value_type_id = found.btf.find(spec.KCONFIG, types.DATASEC) or 0
    return made


def _operations(file: ElfFile, section: Section, found: ObjectSpec) -> Iterator[MapSpec]:
    """The maps of a section of structs of functions, one for each variable."""
    if found.btf is None:
        raise BadData(f"section {section.name} is described by no BTF")
    id = found.btf.find(section.name, types.DATASEC)
    if id is None:
        raise BadData(f"section {section.name} is described by no BTF")
    datasec = found.btf.type(id)
    assert isinstance(datasec, types.Datasec)
    offsets = _variables(file, section)
    rows = [(at, symbol.name) for at, symbol in file.relocations.get(section.index, ())]
    rows.sort()
    room = section.size
    for each in datasec.vars:
        variable = found.btf.type(each.type_id)
        if not isinstance(variable, types.Var) or variable.name not in offsets:
            raise BadData(f"section {section.name}: there is no symbol for [{each.type_id}]")
        made = MapSpec(variable.name, section.name, _STRUCT_OPS)
        made.offset = offsets[variable.name]
        made.key_size, made.max_entries = 4, 1
        made.value_type_id = found.btf.skip_modifiers(variable.type_id, typedefs=True)
        made.value_size = found.btf.size_of(made.value_type_id)
        end = made.offset + made.value_size
        room -= made.value_size
        if end > section.size or room < 0:
            raise BadData(f"section {section.name} is too small for '{variable.name}'")
        made.contents = section.data[made.offset : end]
        made.flags = _LINK if section.name.endswith(".link") else 0
        found.operations[variable.name] = {
            at - made.offset: name
            for at, name in rows[bisect_right(rows, (made.offset,)) : bisect_right(rows, (end,))]
        }
        yield made


# ------------------------------------------------------------------ what is wanted of the kernel


def _externs(file: ElfFile, found: ObjectSpec) -> Iterator[tuple[int, ExternSpec]]:
    """Number of the symbol and the extern, for each symbol that is defined elsewhere."""
    wanted = [
        symbol
        for symbol in file.symbols
        if symbol.section == elf.UNDEFINED and symbol.name and symbol.bind != elf.LOCAL
    ]
    if not wanted:
        return
    known: dict[str, tuple[int, str, bool]] = {}
    if found.btf is not None:
        for section in (spec.KCONFIG, spec.KSYMS):
            id = found.btf.find(section, types.DATASEC)
            for each in found.btf.items(id)[0] if id is not None else ():
                is_function = found.btf.kind(each) == types.FUNC
                if _linkage(found.btf, each) != EXTERN:
                    continue
                known[found.btf.name_of(each)] = each, section, is_function
    for symbol in wanted:
        if symbol.name not in known:
            raise BadData(f"'{symbol.name}' is defined nowhere, nor asked of the kernel")
        id, section, is_function = known[symbol.name]
        weak = symbol.bind == elf.WEAK
        yield (
            symbol.index,
            ExternSpec(symbol.name, section, id, weak=weak, is_function=is_function),
        )


def _linkage(btf: Btf, id: int) -> int | None:
    """Of a variable or function."""
    found = btf.type(id)
    return found.linkage if isinstance(found, (types.Var, types.Func)) else None


# ------------------------------------------------------------------ references


def _places(found: ObjectSpec) -> dict[tuple[str, int], int]:
    """Section and byte -> index of the map that begins there; -1 for all of a map of variables."""
    places = {}
    for index, map in reversed(list(enumerate(found.maps))):
        has_variables = map.contents is not None
        places[map.section, -1 if map.type == _ARRAY and has_variables else map.offset] = index
        if map.type == _ARENA and has_variables:
            places[_ARENA_VARIABLES, -1] = index
    return places


def _references(
    file: ElfFile,
    section: Section,
    maps: dict[tuple[str, int], int],
    externs: dict[int, int],
) -> Iterator[tuple[int, Reference]]:
    """Slot of the section and what it refers to, for each relocation of a section of code."""
    for at, symbol in file.relocations.get(section.index, ()):
        label = f"section {section.name}, instruction {at // SLOT}: '{symbol.name}'"
        if at % SLOT or at + SLOT > len(section.data):
            raise BadData(f"{label}: byte {at} begins no instruction")
        code = section.data[at]
        imm = struct.unpack_from("=i", section.data, at + 4)[0]
        source = registers(section.data[at + 1])[1]
        if code not in (WIDE, JMP | CALL):
            raise BadData(f"{label}: an instruction with opcode {code:#04x} refers to nothing")
        if code == WIDE and at + 2 * SLOT > len(section.data):
            raise BadData(f"{label}: half an instruction")
        yield at // SLOT, _reference(file, maps, externs, symbol, label, code, source, imm)


def _reference(
    file: ElfFile,
    maps: dict[tuple[str, int], int],
    externs: dict[int, int],
    symbol: Symbol,
    label: str,
    code: int,
    source: int,
    imm: int,
) -> Reference:
    is_call = code == JMP | CALL
    if symbol.index in externs:
        return Reference(spec.EXTERN_CALL if is_call else spec.EXTERN, externs[symbol.index])
    if symbol.section in (elf.UNDEFINED,) or symbol.section >= elf.RESERVED:
        raise BadData(f"{label} is in no section; was it forgotten to give it a value?")
    target = file.sections[symbol.section]
    if is_call:
        if source != PSEUDO_CALL or target.name != _CODE_WITHOUT_PROGRAMS:
            raise BadData(f"{label} in section {target.name} cannot be called")
        return Reference(spec.CALL, symbol.value // SLOT + imm + 1)
    if target.name == _CODE_WITHOUT_PROGRAMS:
        if source not in (0, FUNC) or (symbol.value + imm) % SLOT:
            raise BadData(f"{label} is no function whose address could be taken")
        return Reference(spec.ADDRESS, (symbol.value + imm) // SLOT)
    if target.name == _JUMP_TABLES:
        if symbol.value % 8 or symbol.size % 8 or symbol.value + symbol.size > len(target.data):
            raise BadData(f"{label}: bytes {symbol.value}+{symbol.size} are no table of jumps")
        return Reference(spec.TABLE, symbol.size // 8, symbol.value)
    if (target.name, -1) in maps:
        return Reference(spec.DATA, maps[target.name, -1], symbol.value + imm)
    if target.name == ".maps" and (target.name, symbol.value) in maps:
        return Reference(spec.MAP, maps[target.name, symbol.value])
    raise BadData(f"{label} in section {target.name} is neither a map nor a variable")
