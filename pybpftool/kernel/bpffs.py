"""The BPF file system: where it is mounted, what is pinned in it, pinning.

Source: spec 1.10 and 1.12; the magic number: linux/magic.h; flags: linux/mount.h.
"""

from __future__ import annotations

import os

from ..errors import KernelError, PybpftoolError, during
from . import calls
from ._abi import ffi
from .proc import fd_kind, mounts
from .syscall import lib

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable, Iterator
    from typing import SupportsIndex, TypeVar

    Key = TypeVar("Key", bound=Hashable)
    Value = TypeVar("Value")

BPF_FS_MAGIC = 0xCAFE4A11
TRACEFS_MAGIC = 0x74726163

_MS_BIND, _MS_REC, _MS_PRIVATE = 1 << 12, 1 << 14, 1 << 18


# ------------------------------------------------------------------ file systems


def fs_magic(path: str) -> int | None:
    """The number that tells the type of the file system ``path`` is on; None if it is nowhere."""
    answer = ffi.new("struct statfs *")
    if lib.statfs(os.fsencode(path), answer) < 0:
        return None
    magic: int = answer.f_type & 0xFFFFFFFF
    return magic


def is_bpffs(path: str) -> bool:
    """Whether ``path`` is in a BPF file system."""
    return fs_magic(path) == BPF_FS_MAGIC


def dirname(path: str) -> str:
    """The directory of ``path`` as dirname(3) gives it: never empty, trailing slashes ignored."""
    return os.path.dirname(path.rstrip("/")) or ("/" if path.startswith("/") else ".")


def mount_fs(kind: str, target: str) -> None:
    """Mount a new file system of ``kind`` (bpf, tracefs) on ``target``, for its owner alone.

    The directory is made a private mount of its own first, so that the new mount does not
    spread.  Raises KernelError, told as the mount command that would have done the same.
    """
    bound = False
    while error := _mount("", target, "none", _MS_PRIVATE | _MS_REC):
        if bound or error.errno != 22:  # EINVAL: not a mount point yet
            raise error.said(f"mount --make-private {target} failed")
        if error := _mount(target, target, "none", _MS_BIND):
            raise error.said(f"mount --bind {target} {target} failed")
        bound = True
    if error := _mount(kind, target, kind, 0, "mode=0700"):
        raise error.said(f"mount -t {kind} {kind} {target} failed")


def _mount(
    source: str, target: str, kind: str, flags: int, data: str | None = None
) -> KernelError | None:
    options = ffi.NULL if data is None else data.encode()
    if lib.mount(os.fsencode(source), os.fsencode(target), kind.encode(), flags, options) == 0:
        return None
    return KernelError(ffi.errno, "mount")


# ------------------------------------------------------------------ making ready to pin


def _may_mount(nomount: bool) -> None:
    if nomount:
        raise PybpftoolError("no BPF file system found, not mounting it due to --nomount option")


def prepare_file(path: str, nomount: bool = False) -> None:
    """See to it that an object can be pinned at ``path``: its directory becomes a bpffs.

    ``nomount``: rather fail than mount one.  Raises PybpftoolError with the words of spec 1.10.
    """
    if os.access(path, os.F_OK):
        raise PybpftoolError(f"can't pin BPF object: path '{path}' already exists")
    directory = dirname(path)
    if is_bpffs(directory):
        return
    if not os.access(directory, os.F_OK):
        raise PybpftoolError(f"can't pin BPF object: dir '{directory}' doesn't exist")
    _may_mount(nomount)
    try:
        mount_fs("bpf", directory)
    except KernelError as error:
        raise PybpftoolError(
            f"can't mount BPF file system to pin the object '{path}': {error}"
        ) from error


def prepare_directory(path: str, nomount: bool = False) -> None:
    """See to it that objects can be pinned in the directory ``path``.

    A missing directory below a bpffs is left to be made by whoever pins; elsewhere it is made
    here, and a bpffs mounted on it.  ``nomount``: rather fail than mount one.
    """
    if is_bpffs(path):
        return
    there = os.access(path, os.F_OK)
    if not there:
        parent = dirname(path)
        if is_bpffs(parent):
            return
        if not os.access(parent, os.F_OK):
            raise PybpftoolError(
                f"can't create dir '{path}' to pin BPF object: parent dir '{parent}' doesn't exist"
            )
    _may_mount(nomount)
    if not there:
        with during(f"failed to create dir '{path}'"):
            os.mkdir(path, 0o700)
    try:
        mount_fs("bpf", path)
    except KernelError as error:
        if not there:
            os.rmdir(path)
        raise PybpftoolError(
            f"can't mount BPF file system on given dir '{path}': {error}"
        ) from error


def pin(descriptor: SupportsIndex, path: str, nomount: bool = False) -> None:
    """Pin an open object at ``path``, mounting a bpffs there if need be."""
    prepare_file(path, nomount)
    with during(f"can't pin the object ({path})"):
        calls.obj_pin(descriptor, path)


# ------------------------------------------------------------------ what is pinned where


def pinned_files() -> Iterator[str]:
    """The regular files of all BPF file systems, each directory in its own order."""
    for mount in mounts():
        if mount.type.startswith("bpf"):
            yield from files_below(mount.path)


def files_below(top: str) -> Iterator[str]:
    """The regular files below a directory, in the order of reading; what is forbidden is skipped.

    Not recursive: a tree can be deeper than Python's stack.
    """
    levels = [_entries(top)]
    while levels:
        for entry in levels[-1]:
            try:
                if entry.is_dir(follow_symlinks=False):
                    levels.append(_entries(entry.path))
                    break
                if entry.is_file(follow_symlinks=False):
                    yield entry.path
            except OSError:
                continue
        else:
            levels.pop()


def _entries(path: str) -> Iterator[os.DirEntry[str]]:
    try:
        return os.scandir(path)
    except OSError:
        return iter(())


def pinned_paths(kind: str) -> dict[int, list[str]]:
    """id -> paths of all pinned objects of one ``kind`` (map, prog, link).

    Empty when nothing of the kind is pinned anywhere; otherwise objects that are not pinned are
    simply missing.  What cannot be opened is skipped.
    """
    return multimap(_pins(kind))


def _pins(kind: str) -> Iterator[tuple[int, str]]:
    for path in pinned_files():
        try:
            with calls.obj_get(path) as fd:
                if fd_kind(fd) != kind:
                    continue
                number = calls.obj_id(fd)
        except KernelError:
            continue
        yield number, path


def multimap(pairs: Iterable[tuple[Key, Value]]) -> dict[Key, list[Value]]:
    """The values of each key in the order in which bpftool lists them (spec 1.12).

    Its hash table puts a new value before the older ones of the key; when the table grows, all
    lists turn round.  Here a list grows at either end, and a flag tells which end is the first.
    """
    ends: dict[Key, tuple[list[Value], list[Value]]] = {}
    capacity = 0
    turned = False
    for size, (key, value) in enumerate(pairs, 1):
        if not capacity or size * 4 // 3 > capacity:
            capacity = max(4, 2 * capacity)
            turned = not turned
        ends.setdefault(key, ([], []))[turned].append(value)
    step = -1 if turned else 1
    return {key: (front[::-1] + back)[::step] for key, (front, back) in ends.items()}
