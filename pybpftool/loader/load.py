"""An object in the kernel: its maps made, its programs relocated and verified; or nothing at all.

In the order of libbpf: what is wanted of the kernel is found, code is put together and relocated,
then come BTF, maps, and programs at last.
"""

from __future__ import annotations

import errno
import os
import struct
from itertools import chain

from ..btf.reader import read_btf
from ..errors import BadData, KernelError, PybpftoolError, during
from ..insn.code import BTF_ID, KFUNC_CALL, MAP_FD, MAP_VALUE, SLOT, Insn, encode, registers
from ..kernel import calls
from ..kernel.proc import kernel_version
from ..kernel.syscall import Closing
from . import maps, spec
from .kernels import Kernel
from .link import link
from .mapdefs import MAPS_OF_MAPS, PROG_ARRAY
from .sanitize import fix_datasecs, sanitize

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import SupportsIndex

    from ..kernel.syscall import Fd
    from .core import Core
    from .externs import Extern
    from .kinds import ProgKind
    from .link import Linked
    from .spec import MapSpec, ObjectSpec, ProgramSpec
    from .struct_ops import Laid

_KPROBE, _STRUCT_OPS = 2, 27
"""BPF_PROG_TYPE_KPROBE and _STRUCT_OPS (uapi/linux/bpf.h)."""
_UPROBE_MULTI = 48
"""BPF_TRACE_UPROBE_MULTI."""
_USDT = "usdt", "usdt.s"
_NO_KFUNC = 2002000000
"""The first of the helpers that are called in the place of missing functions, as in libbpf."""
_LOG, _LARGEST_LOG = (1 << 24) - 1, 1 << 26
"""Bytes of the verifier's log: at first as many as every kernel takes, for each try costs another
verification; and at most."""


class LoadedMap:
    """A map of an object in the kernel; ``path``: where it is pinned by its name.

    ``value``: of a struct_ops, what registers it once it is written to the map.
    """

    __slots__ = ("fd", "path", "spec", "value")

    def __init__(self, spec: MapSpec, fd: SupportsIndex, path: str = "") -> None:
        self.spec = spec
        self.fd = fd
        self.path = path
        self.value: bytearray | None = None


class LoadedProgram:
    """A program of an object in the kernel; ``fd`` is None for one that was not wanted (``?``)."""

    __slots__ = ("fd", "spec")

    def __init__(self, spec: ProgramSpec, fd: Fd | None) -> None:
        self.spec = spec
        self.fd = fd


class Loaded(Closing):
    """What was loaded; leaving the block closes all, and undoes all unless ``keep`` was called."""

    def __init__(self, spec: ObjectSpec) -> None:
        self.spec = spec
        self.maps: list[LoadedMap] = []
        self.programs: list[LoadedProgram] = []
        self._held: list[Fd] = []
        self._pins: list[str] = []

    def keep(self) -> None:
        """Let the pins stay that were made on the way."""
        self._pins.clear()

    def hold(self, fd: Fd) -> Fd:
        """The same descriptor, which is closed with the rest; what was opened last goes first."""
        self._held.append(fd)
        return fd

    def pin(self, fd: Fd, path: str) -> None:
        """Pin a map by its name."""
        calls.obj_pin(fd, path)
        self._pins.append(path)

    def close(self) -> None:
        """Give everything back."""
        for path in self._pins:
            if os.path.lexists(path):
                os.unlink(path)
        self._pins.clear()
        for fd in reversed(self._held):
            fd.close()


def load(
    found: ObjectSpec,
    *,
    kernel_btf: str | None = None,
    reused: Mapping[int, SupportsIndex] | None = None,
    log_level: int = 0,
    tell: Callable[[str], None] = lambda text: None,
) -> Loaded:
    """The programs and maps of an object, loaded.

    ``kernel_btf``: a file with the BTF that CO-RE looks into.  ``reused``: open maps in the
    place of those of the file, by their index.  ``log_level``: of the verifier (1, 2, 4), whose log
    ``tell`` gets.
    PybpftoolError, one sentence that names the program or map, when anything fails; nothing of the
    object is left in the kernel then.
    """
    loaded = Loaded(found)
    try:
        _Load(found, loaded, Kernel(kernel_btf), reused or {}, log_level, tell).run()
    except BaseException:
        loaded.close()
        raise
    return loaded


class _Load:
    """One load under way: what its steps hand on to each other."""

    def __init__(
        self,
        found: ObjectSpec,
        loaded: Loaded,
        kernel: Kernel,
        reused: Mapping[int, SupportsIndex],
        log_level: int,
        tell: Callable[[str], None],
    ) -> None:
        self.found = found
        self.loaded = loaded
        self.kernel = kernel
        self.reused = reused
        self.log_level = log_level
        self.tell = tell
        self.core: Core | None = None
        self.externs: list[Extern] = []
        self.btf_fd: Fd | None = None
        self.btf_is_whole = False
        self.module_fds: dict[int, Fd] = {}
        self.fd_array: list[int] = [0]
        self.poisoned: dict[str, dict[int, str]] = {}
        self.maps: dict[int, LoadedMap] = {}
        self.tables: dict[tuple[str, int], Fd] = {}
        self.operations: dict[str, tuple[int, Laid]] = {}
        self.members: dict[str, tuple[int, int, int]] = {}

    def run(self) -> None:
        """All steps, in order."""
        self._resolve_externs()
        self._lay_operations()
        linked = {
            program.name: link(self.found, program)
            for program in self.found.programs
            if program.autoload
        }
        for name, code in linked.items():
            self._relocate_core(name, code)
        self._load_btf()
        self._create_maps()
        for program in self.found.programs:
            fd = None
            if program.autoload:
                code = linked[program.name]
                self._relocate(program, code)
                fd = self._load_program(program, code)
            self.loaded.programs.append(LoadedProgram(program, fd))
        self._fill_prog_arrays()
        self._fill_operations()

    # -------------------------------------------------------------- what is wanted of the kernel

    def _resolve_externs(self) -> None:
        found = self.found
        if not found.externs or found.btf is None:
            return
        from . import externs

        self.externs = [externs.Extern(each) for each in found.externs]
        contents = bytearray(externs.place_values(self.externs, found.btf))
        for _, error in chain(
            externs.addresses(self.externs, found.btf),
            externs.typed(self.externs, found.btf, lambda: self.kernel.btf, self.kernel.modules),
            externs.values(self.externs, found.btf, contents),
        ):
            raise error
        if contents:
            map = next(each for each in found.maps if each.section == spec.KCONFIG)
            map.contents = bytes(contents)
            places = {
                each.spec.name: each.offset
                for each in self.externs
                if each.spec.section == spec.KCONFIG
            }
            found.variables[spec.KCONFIG] = (len(contents), places)

    def _lay_operations(self) -> None:
        """Lay each struct_ops into the kernel's struct, which says what its programs are for."""
        found = self.found
        types = {each.name: each.prog_type for each in found.programs}
        unwanted: set[str] = set()
        for map in found.maps:
            if map.type != maps.STRUCT_OPS or found.btf is None or map.contents is None:
                continue
            programs = found.operations[map.name]
            if map.section.startswith("?"):
                unwanted.update(programs.values())
                continue
            from .struct_ops import home, lay

            id, kernel = home(found.btf, map.value_type_id, self.kernel.btf, self.kernel.modules())
            laid = lay(found.btf, map.value_type_id, map.contents, programs, kernel, name=map.name)
            map.value_size = len(laid.value)
            self.operations[map.name] = id, laid
            for each in laid.callbacks:
                label = f"struct_ops '{map.name}': member '{each.member}'"
                if types.get(each.program) != _STRUCT_OPS:
                    raise BadData(f"{label}: '{each.program}' is no program of a struct_ops")
                member = id, laid.type_id, each.index
                if self.members.setdefault(each.program, member) != member:
                    raise BadData(f"{label}: program '{each.program}' is that of another member")
        for program in found.programs:
            if program.name in self.members or program.name in unwanted:
                program.autoload = program.name in self.members

    def _module(self, id: int) -> Fd:
        """An open BTF object of a module, kept until all is loaded."""
        if id not in self.module_fds:
            self.module_fds[id] = self.loaded.hold(calls.btf_fd_by_id(id))
        return self.module_fds[id]

    # -------------------------------------------------------------- types and maps

    def _load_btf(self) -> None:
        btf = self.found.btf
        if btf is None:
            return
        blob = fix_datasecs(btf, self.found.variables, self.found.hidden)
        try:
            self.btf_fd = self.loaded.hold(calls.btf_load(blob))
            self.btf_is_whole = True
            return
        except KernelError:
            pass  # something in it is younger than the kernel
        if not _knows("btf"):
            return
        blob = sanitize(read_btf(blob, btf.base, name=btf.name), _knows)
        try:
            self.btf_fd = self.loaded.hold(calls.btf_load(blob))
        except KernelError as error:
            if any(each.type == maps.STRUCT_OPS for each in self.found.maps):
                raise error.said("the BTF, without which there is no struct_ops") from error
            # nothing but names and lines is lost without it
            self.tell(f"{self.found.path}: the kernel does not take its BTF: {error.reason}")

    def _create_maps(self) -> None:
        for index, wanted in enumerate(self.found.maps):
            if wanted.type != maps.STRUCT_OPS or wanted.name in self.operations:
                self.maps[index] = self._map(index, wanted)
                self.loaded.maps.append(self.maps[index])
        for map in self.loaded.maps:
            if map.spec.type in MAPS_OF_MAPS:
                inner = [(slot, self._named(name)) for slot, name in map.spec.slots.items()]
                maps.put(map.spec, map.fd, inner)

    def _map(self, index: int, wanted: MapSpec) -> LoadedMap:
        if index in self.reused:
            differs = maps.fits(wanted, self.reused[index])
            if differs:
                raise PybpftoolError(f"map '{wanted.name}' cannot be reused: {differs}")
            return LoadedMap(wanted, self.reused[index])
        path = ""
        if wanted.pinned_by_name:
            path, there = maps.by_name(wanted)
            if there is not None:
                return LoadedMap(wanted, self.loaded.hold(there), path)
        fields = {}
        if wanted.name in self.operations:
            module, laid = self.operations[wanted.name]
            fields["btf_vmlinux_value_type_id"] = laid.value_type_id
            if module:
                fields["value_type_btf_obj_fd"] = self._module(module).fileno()
        fd = self.loaded.hold(maps.create(wanted, self.btf_fd, _knows, **fields))
        maps.fill(wanted, fd, _knows)
        if path:
            with during(f"map '{wanted.name}': cannot be pinned at {path}"):
                self.loaded.pin(fd, path)
        return LoadedMap(wanted, fd, path)

    def _named(self, name: str) -> SupportsIndex:
        for map in self.loaded.maps:
            if map.spec.name == name:
                return map.fd
        raise PybpftoolError(f"there is no map '{name}' to put into another")

    def _fill_prog_arrays(self) -> None:
        programs = {each.spec.name: each.fd for each in self.loaded.programs}
        for map in self.loaded.maps:
            if map.spec.type != PROG_ARRAY:
                continue
            things = [(slot, programs.get(name)) for slot, name in map.spec.slots.items()]
            maps.put(map.spec, map.fd, [(slot, fd) for slot, fd in things if fd is not None])

    def _fill_operations(self) -> None:
        programs = {each.spec.name: each.fd for each in self.loaded.programs}
        for map in self.loaded.maps:
            if map.spec.name not in self.operations:
                continue
            _, laid = self.operations[map.spec.name]
            for each in laid.callbacks:
                fd = programs[each.program]
                assert fd is not None
                struct.pack_into("=Q", laid.value, each.offset, fd.fileno())
            map.value = laid.value

    # -------------------------------------------------------------- relocations

    def _relocate_core(self, name: str, code: Linked) -> None:
        if not code.core_relos or self.found.btf is None:
            return
        if self.core is None:
            from .core import Core

            self.core = Core(self.found.btf, self.kernel.targets)
        reasons = self.poisoned.setdefault(name, {})
        for slot, relo in code.core_relos:
            try:
                reason = self.core.relocate(code.code, slot, relo)
            except PybpftoolError as error:
                what = f"program '{name}', instruction {slot}"
                raise PybpftoolError(f"{what}: {error.message}") from error
            if reason is not None:
                reasons[slot] = reason

    def _relocate(self, program: ProgramSpec, linked: Linked) -> None:
        """Put descriptors, addresses and ids of types where the code refers to them."""
        code = linked.code
        for slot, reference in linked.references:
            at = slot * SLOT
            if reference.kind in (spec.MAP, spec.DATA):
                map = self.maps[reference.index]
                fd, offset = map.fd.__index__(), reference.offset
                if reference.kind == spec.MAP:
                    _point(code, at, MAP_FD, fd)
                    continue
                if map.spec.type == maps.ARENA:
                    offset += maps.arena_offset(map.spec, _knows)
                _point(code, at, MAP_VALUE, fd, offset)
            elif reference.kind == spec.TABLE:
                key = program.name, reference.offset
                if key not in self.tables:
                    self.tables[key] = self.loaded.hold(maps.jump_table(linked.tables[slot]))
                _point(code, at, MAP_VALUE, self.tables[key].fileno())
            elif reference.kind == spec.EXTERN_CALL:
                self._call_kernel(program, code, slot, self.externs[reference.index])
            else:
                self._refer_to_kernel(code, at, self.externs[reference.index])

    def _call_kernel(self, program: ProgramSpec, code: bytearray, slot: int, to: Extern) -> None:
        at = slot * SLOT
        if not to.type_id:
            from .externs import no_function
            from .patch import poison

            poison(code, slot, _NO_KFUNC + to.number)
            self.poisoned.setdefault(program.name, {})[slot] = no_function(to.spec.name)
            return
        index = 0
        if to.btf:
            fd = self._module(to.btf).fileno()
            if fd not in self.fd_array:
                self.fd_array.append(fd)
            index = self.fd_array.index(fd)
        code[at : at + SLOT] = encode([Insn(code[at], 0, KFUNC_CALL, index, to.type_id)])

    def _refer_to_kernel(self, code: bytearray, at: int, to: Extern) -> None:
        if to.spec.section == spec.KCONFIG:
            map = next(each for each in self.loaded.maps if each.spec.section == spec.KCONFIG)
            _point(code, at, MAP_VALUE, map.fd.__index__(), to.offset)
        elif to.type_id:
            module = self._module(to.btf).fileno() if to.btf else 0
            _point(code, at, BTF_ID, to.type_id, module)
        else:
            low, high = struct.unpack("=ii", struct.pack("=Q", to.address))
            _point(code, at, 0, low, high)

    # -------------------------------------------------------------- programs

    def _load_program(self, program: ProgramSpec, linked: Linked) -> Fd:
        fields = self._fields(program, linked)
        level = self.log_level
        room = bytearray(_LOG if level else 0)
        while True:
            fd, error = calls.try_prog_load(
                program.prog_type,
                linked.code,
                self.found.license.encode("utf-8", "surrogateescape"),
                name=program.name.encode("utf-8", "surrogateescape"),
                log=room if level else None,
                log_level=level,
                **fields,
            )
            if fd is not None:
                break
            if not level:
                level, room = 1, bytearray(_LOG)
            elif error == errno.ENOSPC and len(room) < _LARGEST_LOG:
                room = bytearray(_LARGEST_LOG)
            else:
                raise self._refused(program, linked, error, room)
        if level:
            self.tell(_text(room))
        self.loaded.hold(fd)
        try:
            # so that constants, names of metadata among them, are found by the program
            for map in self.loaded.maps:
                if map.spec.frozen and map.spec.section != spec.KCONFIG:
                    calls.prog_bind_map(fd, map.fd)
        except KernelError:
            pass  # it does not know how, before Linux 5.10
        return fd

    def _fields(self, program: ProgramSpec, linked: Linked) -> dict[str, object]:
        """The further fields of BPF_PROG_LOAD."""
        kind = program.kind
        if kind is not None and kind.prog_type != program.prog_type:
            kind = None  # whoever gave it another type does not mean what the section's name says
        fields: dict[str, object] = {
            "expected_attach_type": program.attach_type,
            "prog_flags": program.flags | (kind.flags if kind is not None else 0),
            "kern_version": self.found.version,
        }
        if program.prog_type == _KPROBE and not self.found.version:
            fields["kern_version"] = kernel_version()  # the only type that once needed it
        if kind is not None and kind.optional and not _knows("expected_attach_type"):
            fields["expected_attach_type"] = 0
        if kind is not None and kind.word in _USDT and _knows("uprobe_multi"):
            fields["expected_attach_type"] = _UPROBE_MULTI  # what attaches them then
        if program.ifindex:
            fields["prog_ifindex"] = program.ifindex
        btf = self.btf_fd if linked.func_info else None
        if btf is not None and (self.btf_is_whole or _knows("btf_func")):
            fields["prog_btf_fd"] = btf.fileno()
            for name, rows, words in (
                ("func_info", linked.func_info, 2),
                ("line_info", linked.line_info, 4),
            ):
                pack = struct.Struct(f"={words}I").pack
                fields[name] = b"".join(pack(*row) for row in rows)
                fields[f"{name}_rec_size"] = 4 * words
                fields[f"{name}_cnt"] = len(rows)
        module = self._aim(program, kind, fields)
        if module:
            fields["attach_btf_obj_fd"] = self._module(module).fileno()
        if len(self.fd_array) > 1:
            fields["fd_array"] = struct.pack(f"={len(self.fd_array)}i", *self.fd_array)
        return fields

    def _aim(self, program: ProgramSpec, kind: ProgKind | None, fields: dict[str, object]) -> int:
        """Say what a program attaches to, or which member of a struct_ops it is.

        Gives the id of the BTF object of the module that has it, 0 for the kernel.
        """
        module = 0
        if kind is not None and kind.has_target:
            from .target import target_of_program

            try:
                module, fields["attach_btf_id"] = target_of_program(
                    program, self.kernel.btf, self.kernel.modules()
                )
            except PybpftoolError as error:
                raise PybpftoolError(f"program '{program.name}': {error.message}") from error
        elif program.prog_type == _STRUCT_OPS:
            if program.name not in self.members:
                raise BadData(
                    f"program '{program.name}' is in no struct_ops; was it forgotten there?"
                )
            member = self.members[program.name]
            module, fields["attach_btf_id"], fields["expected_attach_type"] = member
        elif ":" in program.target:
            from .target import MULTI, where_to_trace

            if program.attach_type in MULTI:
                module, *_ = where_to_trace(program.target, self.kernel.btf, self.kernel.modules())
        return module

    def _refused(
        self, program: ProgramSpec, linked: Linked, error: int, room: bytearray
    ) -> PybpftoolError:
        from .explain import explain, plain, source_at

        btf = self.found.btf
        lines = [(at, file, text, place) for at, file, text, place in linked.line_info]

        def source(slot: int) -> str | None:
            return None if btf is None else source_at(lines, btf, slot)

        record = explain(
            _text(room),
            program=program.name,
            errno=error,
            source=source,
            reasons=self.poisoned.get(program.name),
        )
        hint = record.pop("hint", None)
        return PybpftoolError("\n".join(plain(record)), hint=hint)


def _knows(feature: str) -> bool:
    """``features.knows``: what the kernel takes at once, it need not be asked for."""
    from .features import knows

    return knows(feature)


def _text(room: bytearray) -> str:
    return room[: room.find(0)].decode("utf-8", "replace")  # the kernel ends it in any case


def _point(code: bytearray, at: int, kind: int, low: int, high: int = 0) -> None:
    """Let a 64-bit immediate stand for something in the kernel."""
    target, _ = registers(code[at + 1])

    code[at : at + 2 * SLOT] = encode([Insn(code[at], target, kind, 0, low, high)])
