"""``prog load`` and ``loadall``: programs and maps of an object file into the kernel."""

from __future__ import annotations

import os

from ...command import NOTHING
from ...errors import KernelError, PybpftoolError, during
from ...number import strtoul
from ...places import MAP, read_word

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import SupportsIndex

    from ...command import Call, One, Options, Words
    from ...kernel.handles import Map
    from ...kernel.syscall import Fd
    from ...loader.kinds import ProgKind
    from ...loader.load import Loaded, LoadedProgram
    from ...loader.spec import ObjectSpec

_XDP = 6
_DEV_BOUND_ONLY = 1 << 6
"""BPF_F_XDP_DEV_BOUND_ONLY (uapi/linux/bpf.h): metadata of this device, but run by the kernel."""


def load(
    options: Options,
    obj: str,
    path: str,
    every: bool = False,
    type: ProgKind | None = None,
    map: list[tuple[int | str, Map]] | None = None,
    offload_dev: int = 0,
    dev: int = 0,
    xdpmeta_dev: int = 0,
    pinmaps: str | None = None,
    autoattach: bool = False,
    kernel_btf: str | None = None,
) -> One:
    """Load all programs and maps of an object file, and pin the first program at PATH.

    "loadall" pins each program at PATH/NAME, "pinmaps" each map in a directory.  "type" takes the
    programs for another type than their sections say, "map" puts an open map in the place of one
    of the file, "autoattach" attaches what says to what, and pins the links.  "kernel_btf" is the
    kernel's BTF, where that is not to be found at its usual place.  Nothing stays behind when
    anything fails.
    """
    from ...loader.load import load as load_object

    spec = read_spec(options, obj)
    _describe(spec, type, offload_dev or dev, xdpmeta_dev)
    reused = _replacements(spec, map or [])
    try:
        loaded = load_object(
            spec,
            kernel_btf=kernel_btf,
            reused=reused,
            log_level=7 if options.debug else 0,
            tell=options.warn,
        )
    except PybpftoolError as error:
        message = f"failed to load object file: {obj}: {error.message}"
        raise PybpftoolError(message, hint=error.hint) from error
    with loaded:
        with _Pins() as pins:
            _pin_programs(options, loaded, pins, path, every=every, attach=autoattach)
            if pinmaps is not None:
                _pin_maps(options, loaded, pins, pinmaps)
        loaded.keep()
    return NOTHING


def read_spec(options: Options, obj: str) -> ObjectSpec:
    """What an object file says; PybpftoolError, naming it, for one that cannot be read."""
    from ...loader.read import read_object

    try:
        return read_object(obj, relaxed_maps=options.mapcompat)
    except PybpftoolError as error:
        reason = error.reason if isinstance(error, KernelError) else error.message
        raise PybpftoolError(f"failed to open object file: {obj}: {reason}") from error


# ------------------------------------------------------------------ what the line changes


def _describe(spec: ObjectSpec, kind: ProgKind | None, offload: int, metadata: int) -> None:
    for program in spec.programs:
        known = kind or program.kind
        if known is None:
            raise _no_such_type(program.section_name)
        program.prog_type, program.attach_type = known.prog_type, known.attach_type
        if program.prog_type == _XDP and metadata:
            program.flags |= _DEV_BOUND_ONLY
            program.ifindex = metadata
        else:
            program.ifindex = offload
    for map in spec.maps:
        map.ifindex = offload


def _no_such_type(word: str) -> PybpftoolError:
    from ...loader.kinds import section_words

    return PybpftoolError(
        f"failed to guess program type from ELF section '{word}'",
        hint=f"supported section(type) names are: {' '.join(section_words())}",
    )


def _replacements(spec: ObjectSpec, given: list[tuple[int | str, Map]]) -> dict[int, Map]:
    found: dict[int, Map] = {}
    names = [map.whole_name for map in spec.maps]
    by_index: list[tuple[int, Map]] = []
    for which, map in given:
        if isinstance(which, str):
            if which not in names:
                raise PybpftoolError(f"unable to find map '{which}'")
            by_index.append((names.index(which), map))
        else:
            by_index.append((which, map))
    for index, map in sorted(by_index, key=lambda each: each[0]):
        if index in found:
            raise PybpftoolError(f"replacement for map idx {index} specified more than once")
        if index >= len(names):
            raise PybpftoolError(f"map idx '{index}' not used")
        found[index] = map
    return found


# ------------------------------------------------------------------ pins


class _Pins:
    """What was pinned so far; taken away again when the block fails."""

    def __init__(self) -> None:
        self.made: list[str] = []
        self.directories: list[str] = []

    def __enter__(self) -> _Pins:
        return self

    def __exit__(self, kind: object, error: object, tb: object) -> None:
        if error is None:
            return
        for path in reversed(self.made):
            _forget(os.unlink, path)
        for path in reversed(self.directories):
            _forget(os.rmdir, path)

    def directory(self, path: str) -> None:
        """Make a directory of a bpf file system unless it is there."""
        if not os.path.isdir(path):
            with during(f"failed to create dir '{path}'"):
                os.mkdir(path, 0o700)
            self.directories.append(path)

    def pin(self, descriptor: SupportsIndex, path: str) -> None:
        """Pin an open object."""
        from ...kernel import calls

        with during(f"can't pin the object ({path})"):
            calls.obj_pin(descriptor, path)
        self.made.append(path)


def _forget(take_away: Callable[[str], None], path: str) -> None:
    try:
        take_away(path)
    except OSError:
        pass


def _pin_programs(
    options: Options, loaded: Loaded, pins: _Pins, path: str, *, every: bool, attach: bool
) -> None:
    from ...kernel import bpffs

    if every:
        bpffs.prepare_directory(path, options.nomount)
    else:
        bpffs.prepare_file(path, options.nomount)
    programs = loaded.programs
    if not every:
        if not programs:
            raise PybpftoolError("object file doesn't contain any bpf program")
        programs = programs[:1]
    elif programs:
        pins.directory(path)
    for program in programs:
        what = "failed to pin all programs"
        if not every:
            what = f"failed to pin program {program.spec.section_name}"
        try:
            if program.fd is None:
                raise PybpftoolError(f"program '{program.spec.name}' was not loaded")
            where = f"{path}/{program.spec.name}" if every else path
            held = _attached(options, program) if attach else None
            pins.pin(held or program.fd, where)
            if held is not None:
                held.close()
        except PybpftoolError as error:
            raise PybpftoolError(f"{what}: {error.message}", hint=error.hint) from error


def _attached(options: Options, program: LoadedProgram) -> Fd | None:
    from ...loader.attach import attach

    assert program.fd is not None
    link = None
    try:
        link = attach(program.fd, program.spec)
    except PybpftoolError as error:
        options.warn(". ".join(filter(None, (error.message, error.hint))))
    if link is None:
        options.warn(
            f"Program {program.spec.name} does not support autoattach, falling back to pinning"
        )
    return link


def _pin_maps(options: Options, loaded: Loaded, pins: _Pins, directory: str) -> None:
    from ...kernel import bpffs

    bpffs.prepare_directory(directory, options.nomount)
    if loaded.maps:
        pins.directory(directory)
    try:
        for map in loaded.maps:
            if map.path:
                raise PybpftoolError(f"map '{map.spec.name}' is pinned at {map.path} already")
            # no name in a bpf file system may hold a dot; bpftool changes those of the whole path
            pins.pin(map.fd, f"{directory}/{map.spec.whole_name}".replace(".", "_"))
    except PybpftoolError as error:
        raise PybpftoolError(f"failed to pin all maps: {error.message}") from error


# ------------------------------------------------------------------ the words of the line


def read_object_path(words: Words, call: Call) -> str:
    """OBJ; which of the two commands this is, the word before it tells."""
    call.bound["every"] = not "load".startswith(words.last)
    if call.options.use_loader and not call.bound["every"]:
        raise PybpftoolError("loader programs (-L) are not made by pybpftool; leave -L out")
    return words.take()


def read_kind(words: Words, call: Call) -> ProgKind:
    """The TYPE of all programs, a name of a section as in object files."""
    from ...loader.kinds import kind_of

    if "type" in call.bound:
        raise PybpftoolError("program type already specified")
    word = words.take()
    found = kind_of(word) or kind_of(word + "/")
    if found is None:
        raise _no_such_type(word + "/")
    return found


def read_replacement(words: Words, call: Call) -> list[tuple[int | str, Map]]:
    """Which map of the file, and the open one in its place; all that were given so far."""
    words.need(4)
    word = words.take()
    which: int | str
    if "idx".startswith(word):
        number = strtoul(words.take())
        if number is None:
            raise PybpftoolError(f"can't parse {words.last} as IDX")
        which = number
    elif "name".startswith(word):
        which = words.take()
    else:
        raise PybpftoolError(f"expected 'idx' or 'name', got: '{word}'?")
    given: list[tuple[int | str, Map]] = call.bound.get("map", [])
    return [*given, (which, MAP.read(words, call))]


def read_device(words: Words, call: Call) -> int:
    """Index of the network interface NAME; programs are for one at most."""
    from ...kernel.netdev import ifindex

    keyword = call.keyword
    offloaded = call.bound.get("offload_dev") or call.bound.get("dev")
    if keyword == "dev":
        call.options.warn(
            "Warning: 'bpftool prog load [...] dev <ifname>' syntax is deprecated.\n"
            "Going further, please use 'offload_dev <ifname>' to offload program to device.\n"
            "For applications using XDP hints only, use 'xdpmeta_dev <ifname>'."
        )
        keyword = "offload_dev"
    if offloaded if keyword == "offload_dev" else call.bound.get("xdpmeta_dev"):
        raise PybpftoolError(f"{keyword} already specified")
    if call.bound.get("xdpmeta_dev") if keyword == "offload_dev" else offloaded:
        raise PybpftoolError("xdpmeta_dev and offload_dev are mutually exclusive")
    name = read_word(words, call)
    with during(f"unrecognized netdevice '{name}'"):
        return ifindex(name)
