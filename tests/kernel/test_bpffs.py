"""Pinning: where a file system is needed, what is said without one, and the order of pins."""

from __future__ import annotations

import inspect
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from pybpftool.errors import KernelError, PybpftoolError
from pybpftool.kernel import bpffs, calls
from pybpftool.kernel.syscall import Fd, lib
from tests.support.live import BPFFS, needs_kernel

needs_bpffs = pytest.mark.skipif(
    not bpffs.is_bpffs(BPFFS), reason=f"no BPF file system is mounted on {BPFFS}"
)


@pytest.fixture
def array() -> Iterator[Fd]:
    with calls.map_create(2, 4, 4, 1, "pinned") as fd:
        yield fd


@pytest.fixture
def directory() -> Iterator[Path]:
    """A directory of the BPF file system, removed with what is in it."""
    path = Path(BPFFS) / f"pybpftool_test_{os.getpid()}"
    path.mkdir()
    yield path
    for below, directories, files in os.walk(path, topdown=False):
        for name in files:
            os.unlink(os.path.join(below, name))
        for name in directories:
            os.rmdir(os.path.join(below, name))
    path.rmdir()


@pytest.fixture
def mounts_undone(tmp_path: Path) -> Iterator[Path]:
    """A directory whose mounts are taken down afterwards."""
    yield tmp_path
    MNT_DETACH = 2  # noqa: N806 - the name it has in sys/mount.h
    for path in (tmp_path / "dir", tmp_path):
        while lib.umount2(os.fsencode(path), MNT_DETACH) == 0:
            pass


@pytest.mark.parametrize(
    ("path", "directory"),
    [
        ("/sys/fs/bpf/x", "/sys/fs/bpf"),
        ("/x", "/"),
        ("x", "."),
        ("/a/b/", "/a"),
        ("/", "/"),
        ("a/b", "a"),
        ("", "."),
    ],
)
def test_dirname(path: str, directory: str) -> None:
    assert bpffs.dirname(path) == directory


def test_fs_magic(tmp_path: Path) -> None:
    assert bpffs.fs_magic("/proc") == 0x9FA0
    assert bpffs.fs_magic(str(tmp_path / "absent")) is None
    assert not bpffs.is_bpffs(str(tmp_path))


# ------------------------------------------------------------------ files


@needs_kernel
@needs_bpffs
def test_a_pin_and_its_refusals(array: Fd, directory: Path) -> None:
    path = str(directory / "map")
    bpffs.pin(array, path)
    with pytest.raises(PybpftoolError) as caught:
        bpffs.pin(array, path)
    assert caught.value.message == f"can't pin BPF object: path '{path}' already exists"
    dotted = str(directory / "a.b")
    with pytest.raises(KernelError) as refused:
        bpffs.pin(array, dotted)
    assert refused.value.message == f"can't pin the object ({dotted}): Operation not permitted"
    assert refused.value.hint is None


def test_a_missing_directory_is_named(tmp_path: Path) -> None:
    path = str(tmp_path / "absent" / "map")
    with pytest.raises(PybpftoolError) as caught:
        bpffs.prepare_file(path)
    assert caught.value.message == f"can't pin BPF object: dir '{tmp_path}/absent' doesn't exist"


def test_nothing_is_mounted_against_the_users_will(tmp_path: Path) -> None:
    sentence = "no BPF file system found, not mounting it due to --nomount option"
    for prepare in (bpffs.prepare_file, bpffs.prepare_directory):
        with pytest.raises(PybpftoolError) as caught:
            prepare(str(tmp_path / "new"), nomount=True)
        assert caught.value.message == sentence
    assert not (tmp_path / "new").exists()


@needs_kernel
def test_a_file_system_is_mounted_where_there_is_none(array: Fd, mounts_undone: Path) -> None:
    path = str(mounts_undone / "map")
    bpffs.pin(array, path)
    assert bpffs.is_bpffs(str(mounts_undone))
    assert mounts_undone.stat().st_mode & 0o777 == 0o700
    with calls.obj_get(path) as again:
        assert calls.obj_id(again) == calls.obj_id(array)


@pytest.mark.parametrize(
    ("fails", "sentence"),
    [
        ([1], "mount --make-private {0} failed: Operation not permitted"),
        ([22, 13], "mount --bind {0} {0} failed: Permission denied"),
        ([22, 0, 22], "mount --make-private {0} failed: Invalid argument"),
        ([0, 19], "mount -t bpf bpf {0} failed: No such device"),
    ],
)
def test_a_mount_that_fails(
    fails: list[int], sentence: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = iter(fails)

    def refuse(*_: object) -> KernelError | None:
        error = next(answers)
        return KernelError(error, "mount") if error else None

    monkeypatch.setattr(bpffs, "_mount", refuse)
    path, said = f"{tmp_path}/map", sentence.format(tmp_path)
    with pytest.raises(PybpftoolError) as caught:
        bpffs.prepare_file(path)
    assert caught.value.message == f"can't mount BPF file system to pin the object '{path}': {said}"


# ------------------------------------------------------------------ directories


@needs_kernel
@needs_bpffs
def test_a_directory_below_a_bpffs_needs_nothing(directory: Path) -> None:
    bpffs.prepare_directory(str(directory), nomount=True)
    bpffs.prepare_directory(str(directory / "new"), nomount=True)
    assert not (directory / "new").exists()


def test_a_directory_without_a_parent_is_not_made(tmp_path: Path) -> None:
    path = f"{tmp_path}/absent/dir"
    with pytest.raises(PybpftoolError) as caught:
        bpffs.prepare_directory(path)
    assert caught.value.message == (
        f"can't create dir '{path}' to pin BPF object: parent dir '{tmp_path}/absent' doesn't exist"
    )


def test_a_directory_is_removed_when_its_mount_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bpffs, "_mount", lambda *_: KernelError(1, "mount"))
    path = f"{tmp_path}/dir"
    with pytest.raises(PybpftoolError) as caught:
        bpffs.prepare_directory(path)
    assert caught.value.message == (
        f"can't mount BPF file system on given dir '{path}': "
        f"mount --make-private {path} failed: Operation not permitted"
    )
    assert not os.path.exists(path)


def test_a_directory_that_cannot_be_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: str, mode: int) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "mkdir", refuse)
    with pytest.raises(KernelError) as caught:
        bpffs.prepare_directory(f"{tmp_path}/dir")
    assert caught.value.message == f"failed to create dir '{tmp_path}/dir': Permission denied"


@needs_kernel
def test_a_directory_is_made_and_mounted(mounts_undone: Path) -> None:
    bpffs.prepare_directory(f"{mounts_undone}/dir")
    assert bpffs.is_bpffs(f"{mounts_undone}/dir")


# ------------------------------------------------------------------ the table of pins


@needs_kernel
@needs_bpffs
def test_pins_are_found_by_kind_and_id(array: Fd, directory: Path) -> None:
    (directory / "sub").mkdir()
    paths = [str(directory / "one"), str(directory / "sub" / "two")]
    for path in paths:
        calls.obj_pin(array, path)
    found = bpffs.pinned_paths("map")
    assert sorted(found[calls.obj_id(array)]) == sorted(paths)
    assert calls.obj_id(array) not in bpffs.pinned_paths("prog")


def test_files_below_a_deep_tree(tmp_path: Path) -> None:
    """Deeper than the stack of calls may grow."""
    deep = tmp_path.joinpath(*("d" for _ in range(200)))
    deep.mkdir(parents=True)
    (deep / "inner").touch()
    (tmp_path / "top").touch()
    (tmp_path / "link").symlink_to(deep)
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(len(inspect.stack()) + 50)
    try:
        found = list(bpffs.files_below(str(tmp_path)))
    finally:
        sys.setrecursionlimit(limit)
    assert sorted(found) == [str(deep / "inner"), str(tmp_path / "top")]
    assert list(bpffs.files_below(str(tmp_path / "absent"))) == []


def model(pairs: list[tuple[int, int]]) -> dict[int, list[int]]:
    """Spec 1.12 word for word."""
    lists: dict[int, list[int]] = {}
    capacity = 0
    for size, (key, value) in enumerate(pairs):
        if capacity == 0 or (size + 1) * 4 // 3 > capacity:
            capacity = max(4, 2 * capacity)
            for values in lists.values():
                values.reverse()
        lists.setdefault(key, []).insert(0, value)
    return lists


@pytest.mark.parametrize("count", [0, 1, 2, 3, 4, 5, 6, 7, 12, 13, 24, 25, 100, 1000])
@pytest.mark.parametrize("keys", [1, 2, 7])
def test_the_order_of_a_multimap(count: int, keys: int) -> None:
    pairs = [(number * 5 % keys, number) for number in range(count)]
    assert bpffs.multimap(pairs) == model(pairs)


def test_a_multimap_of_known_order() -> None:
    assert bpffs.multimap((1, each) for each in "abc") == {1: ["c", "b", "a"]}
    assert bpffs.multimap((1, each) for each in "abcd") == {1: ["d", "a", "b", "c"]}
