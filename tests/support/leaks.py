"""What a test may leave behind: nothing."""

from __future__ import annotations

import gc
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from pybpftool.errors import KernelError
from pybpftool.kernel import calls
from pybpftool.kernel.handles import Map, Prog

GRACE, PATIENCE = 0.3, 20
"""Seconds for the kernel to free what nobody holds any more (it does so when it finds time):
before an object is looked at, and before it counts as a leak."""


def descriptors() -> dict[int, str]:
    """The open descriptors of this process and what they are."""
    names = os.listdir("/proc/self/fd")
    links = {int(name): f"/proc/self/fd/{name}" for name in names}
    # The descriptor of the listing itself is among the names, and gone by now.
    return {fd: os.readlink(link) for fd, link in links.items() if os.path.lexists(link)}


@contextmanager
def no_descriptors_left() -> Iterator[None]:
    """Fail where the block left a descriptor open."""
    before = descriptors()
    yield
    left = {fd: what for fd, what in descriptors().items() if before.get(fd) != what}
    if left:
        gc.collect()  # a traceback kept by pytest.raises may hold one in a cycle
        left = {fd: what for fd, what in descriptors().items() if before.get(fd) != what}
    assert not left, f"descriptors left open: {left}"


@contextmanager
def no_objects_left(ours: Callable[[str], bool]) -> Iterator[None]:
    """Fail where a map or program that the block made is still alive.

    ``ours``: whether a name is one that the block gives.  An object is opened to ask for its
    name only after a while: to open and close a prog array that is just being freed makes some
    kernels keep it for ever.
    """
    before = _ids()
    yield
    made = _wait(lambda: _ids() - before, GRACE)
    made = {each for each in made if ours(_name(*each))}
    if made:
        gc.collect()
        made = _wait(lambda: made & _ids(), PATIENCE)
    assert not made, f"left alive: {[(kind, id, _name(kind, id)) for kind, id in made]}"


def _wait(look: Callable[[], set[tuple[str, int]]], patience: float) -> set[tuple[str, int]]:
    """What ``look`` shows in the end; returns at once when that is nothing."""
    deadline = time.monotonic() + patience
    while (found := look()) and time.monotonic() < deadline:
        time.sleep(0.005)
    return found


def _ids() -> set[tuple[str, int]]:
    try:
        return {(kind.word, id) for kind in (Map, Prog) for id in kind.ids()}
    except KernelError:
        return set()  # bpf(2) is not for us: nothing can have been made


def _name(kind: str, id: int) -> str:
    try:
        if kind == "prog":
            with Prog.by_id(id) as prog:
                return prog.info.name
        with Map.by_id(id, calls.BPF_F_RDONLY) as map:
            return map.info.name
    except KernelError:
        return ""
