"""What the live tests stand on: root, a reference, a bpf file system of their own; and no leaks."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from pybpftool.errors import KernelError
from pybpftool.kernel import calls
from tests.live.compare import Both
from tests.live.zoo import TOKEN
from tests.support.leaks import no_descriptors_left, no_objects_left
from tests.support.need import need
from tests.support.reference import Reference

MOST_EMULATED = 20
"""Cases of one test that an emulated machine runs, unless the test is marked ``whole``.  The others
have run on this very kernel's machine; what another kernel answers differently, every test sees."""


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker("live")
    if os.environ.get("PYBPFTOOL_EMULATED") == "1":
        config.hook.pytest_deselected(items=_too_many(items))


def _too_many(items: list[pytest.Item]) -> list[pytest.Item]:
    """Takes the ``native`` out of ``items``, and beyond MOST_EMULATED all but an even part."""
    cases: dict[str, list[pytest.Item]] = {}
    left_out = set()
    for item in items:
        if item.get_closest_marker("native"):
            left_out.add(item)
        elif not item.get_closest_marker("whole"):
            cases.setdefault(item.nodeid.partition("[")[0], []).append(item)
    for each in cases.values():
        kept = {at * len(each) // MOST_EMULATED for at in range(MOST_EMULATED)}
        if len(each) > MOST_EMULATED:
            left_out.update(item for at, item in enumerate(each) if at not in kept)
    found = [item for item in items if item in left_out]
    items[:] = [item for item in items if item not in left_out]
    return found


@pytest.fixture(scope="session")
def reference() -> Reference:
    """The bpftool to be compared with."""
    found = Reference.find()
    need(found, "no bpftool in PATH (Debian: apt install bpftool)")
    assert found
    return found


@pytest.fixture(scope="session")
def both(reference: Reference, bpf: None) -> Both:
    """The two tools."""
    return Both(reference)


@pytest.fixture(scope="session")
def bpf() -> None:
    """Leave to use bpf(2)."""
    need(os.geteuid() == 0, "the live tests need root")
    try:
        calls.map_next_id(0)
    except KernelError as error:
        need(False, f"bpf(2) is not for us: {error}")


@pytest.fixture(scope="session")
def bpffs(bpf: None) -> Iterator[str]:
    """A bpf file system of this session."""
    with tempfile.TemporaryDirectory(prefix="pybpftool-") as place:
        mounted = subprocess.run(["mount", "-t", "bpf", "bpf", place], stderr=subprocess.PIPE)
        need(mounted.returncode == 0, f"can't mount a bpf file system: {mounted.stderr!r}")
        yield place
        subprocess.run(["umount", place], check=True)


@pytest.fixture
def pins(bpffs: str) -> Iterator[str]:
    """An empty directory of the bpf file system; what a test leaves in it is a leak."""
    place = os.path.join(bpffs, "test")
    os.mkdir(place)
    yield place
    left = [os.path.join(place, name) for name in os.listdir(place)]
    for path in left:
        os.unlink(path)
    os.rmdir(place)
    assert not left, f"pins left behind: {left}"


@pytest.fixture(autouse=True)
def no_leaks(request: pytest.FixtureRequest) -> Iterator[None]:
    """Fails a test that leaves a descriptor open, or one of its own maps or programs alive."""
    for name in {"both", "bpffs", "zoo"} & set(request.fixturenames):
        request.getfixturevalue(name)  # what outlives the test is there before it begins
    with no_descriptors_left(), no_objects_left(lambda name: name.startswith(TOKEN)):
        yield
