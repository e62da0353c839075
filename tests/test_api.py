"""``import pybpftool``: what it offers, on maps without types of a played kernel."""

from __future__ import annotations

import errno
import os
import re
import struct
import subprocess
import sys
from pathlib import Path
from pkgutil import iter_modules

import pytest

import pybpftool
from pybpftool import BadData, KernelError, PybpftoolError, open_map
from tests.support.leaks import no_descriptors_left
from tests.support.tape import FakeMap, Kernel

ENOTSUPP = 524
HASH, ARRAY, ARRAY_OF_MAPS = 1, 2, 12


class Maps(Kernel):
    """A hash, an array and an array of maps."""

    def __init__(self, **rules: int) -> None:
        super().__init__(**{"MAP_UPDATE_BATCH": -ENOTSUPP, **rules})
        self.hash = self.add_map(
            7,
            type=HASH,
            key_size=2,
            value_size=4,
            name="ports",
            entries={b"a0": b"one.", b"b0": b"two."},
        )
        self.array = self.add_map(
            8,
            type=ARRAY,
            key_size=4,
            value_size=1,
            name="twin",
            max_entries=2,
            entries={struct.pack("=I", at): bytes([at]) for at in range(2)},
        )
        self.add_map(
            9,
            type=ARRAY_OF_MAPS,
            key_size=4,
            value_size=4,
            name="twin",
            entries={bytes(4): struct.pack("=I", 7)},
        )


def test_reading() -> None:
    with no_descriptors_left(), Maps(), open_map(name="ports") as ports:
        assert ports[b"a0"] == b"one."
        assert ports.get(b"zz") is None
        assert ports.get(b"zz", 5) == 5
        assert b"b0" in ports
        assert b"zz" not in ports
        assert len(ports) == 2
        assert list(ports) == list(ports.keys()) == [b"a0", b"b0"]
        assert list(ports.values()) == [b"one.", b"two."]
        assert list(ports.items()) == [(b"a0", b"one."), (b"b0", b"two.")]
        assert dict(ports) == {b"a0": b"one.", b"b0": b"two."}
        assert (b"a0", b"one.") in ports.items()
        assert b"two." in ports.values()
        assert repr(ports) == "<hash map 7 'ports'>"
        assert (ports.info.type_name, ports.info.key_size) == ("hash", 2)
        assert ports == ports
        assert ports != open_map(id=7)
        with pytest.raises(KeyError) as caught:
            ports[b"zz"]
        assert caught.value.args == (b"zz",)


def test_writing() -> None:
    with Maps() as kernel, open_map(id=7) as ports:
        ports[b"c0"] = b"3..."
        ports[b"a0"] = bytearray(b"1...")
        del ports[b"b0"]
        ports.update({b"d0": b"4..."})
        ports.update([(b"e0", b"5...")])
        ports.update(other for other in [(b"f0", b"6...")])
        assert kernel.hash.entries == {
            b"a0": b"1...",
            **{f"{at}0".encode(): f"{n}...".encode() for at, n in zip("cdef", "3456", strict=True)},
        }
        assert ports.pop(b"c0") == b"3..."
        assert ports.pop(b"c0", None) is None
        assert ports.setdefault(b"a0", b"0000") == b"1..."
        assert ports.popitem() == (b"a0", b"1...")
        with pytest.raises(KeyError):
            del ports[b"b0"]
        ports.clear()
        assert not ports
        assert kernel.hash.entries == {}


@pytest.mark.parametrize(
    ("key", "mode", "error"),
    [
        (b"a0", "noexist", errno.EEXIST),
        (b"zz", "exist", errno.ENOENT),
        (b"zz", "noexist", None),
        (b"a0", "exist", None),
    ],
)
def test_modes(key: bytes, mode: str, error: int | None) -> None:
    with Maps() as kernel, open_map(id=7) as ports:
        if error is None:
            ports.set(key, b"new.", mode)
            assert kernel.hash.entries[key] == b"new."
            return
        before = dict(kernel.hash.entries)
        with pytest.raises(KernelError, match="update failed") as caught:
            ports.set(key, b"new.", mode)
        assert caught.value.errno == error
        assert kernel.hash.entries == before


def test_update_is_one_call_for_many() -> None:
    batches: list[int] = []

    def batch(arm: object) -> int:
        batches.append(arm.count)  # type: ignore[attr-defined]  # cffi's struct has it
        return 0

    with Maps(MAP_UPDATE_BATCH=batch) as kernel, open_map(id=7) as ports:  # type: ignore[arg-type]  # rules may be functions
        ports.update((struct.pack("=H", at), b"4444") for at in range(2500))
    assert batches == [1024, 1024, 452]
    assert "MAP_UPDATE_ELEM" not in kernel.calls


def test_an_update_that_fails_says_which_error() -> None:
    with Maps() as kernel, open_map(id=7) as ports:
        with pytest.raises(KernelError, match="update failed") as caught:
            ports.update((struct.pack("=H", at), b"4444") for at in range(9))
        assert caught.value.errno == errno.E2BIG
        assert len(kernel.hash.entries) == 8


def test_keys_of_arrays_and_ids_of_maps_are_numbers() -> None:
    with Maps() as kernel, open_map(id=8) as array, open_map(id=9) as outer:
        assert dict(array) == {0: b"\0", 1: b"\1"}
        array[1] = b"\7"
        assert kernel.array.entries[struct.pack("=I", 1)] == b"\7"
        assert array[bytes(4)] == b"\0"
        assert dict(outer) == {0: 7}
        with open_map(id=9, raw=True) as raw:
            assert dict(raw) == {bytes(4): struct.pack("=I", 7)}


def test_a_closed_map_says_so() -> None:
    with Maps(), open_map(id=9) as map:
        pass
    with pytest.raises(ValueError, match="is closed"):
        map[1]


def test_inner_maps_are_given_by_id_or_open() -> None:
    with Maps() as kernel, open_map(id=9) as outer, open_map(id=7) as inner:
        outer[1] = inner
        fd = struct.unpack("=I", kernel.maps[9].entries[struct.pack("=I", 1)])[0]
        assert fd == inner.fileno()
        with no_descriptors_left():
            outer[2] = 8  # opened, entered and closed again
        with pytest.raises(KernelError, match="get map by id"):
            outer[3] = 99


@pytest.mark.parametrize(
    ("key", "value", "says"),
    [
        (b"a", b"4444", "key: 1 bytes where 2 are needed"),
        (b"aa", b"55555", "value: 5 bytes where 4 are needed"),
        (5, b"4444", "key: int where bytes are needed: it has no BTF type"),
        (b"aa", {"a": 1}, "value: dict where bytes are needed: it has no BTF type"),
    ],
)
def test_what_does_not_fit_changes_nothing(key: object, value: object, says: str) -> None:
    with Maps() as kernel, open_map(id=7) as ports:
        before = dict(kernel.hash.entries)
        for attempt in (
            lambda: ports.set(key, value),
            lambda: ports.update([(b"zz", b"4444"), (key, value)]),
        ):
            with pytest.raises(PybpftoolError) as caught:
                attempt()
            assert caught.value.message == says
        assert kernel.hash.entries == before


def test_numbers_beyond_the_array() -> None:
    with Maps(), open_map(id=8) as array:
        assert 5 not in array
        for key in (-1, 1 << 32):
            with pytest.raises(PybpftoolError, match=f"key: {key} does not fit u32"):
                array[key]


def test_per_cpu_values_are_lists(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pybpftool.kernel.proc.possible_cpus", lambda: 3)
    with Maps() as kernel:
        cells = b"".join(bytes([cpu] * 2).ljust(8, b"\0") for cpu in range(3))
        fake = kernel.add_map(10, type=5, key_size=1, value_size=2, entries={b"k": cells})
        with open_map(id=10) as counters:
            assert counters[b"k"] == [b"\0\0", b"\1\1", b"\2\2"]
            assert list(counters.items()) == [(b"k", [b"\0\0", b"\1\1", b"\2\2"])]
            counters[b"k"] = [b"aa", b"bb", b"cc"]
            assert fake.entries[b"k"] == b"aa".ljust(8, b"\0") + b"bb".ljust(8, b"\0") + (
                b"cc".ljust(8, b"\0")
            )
            for wrong in ([b"aa"], b"aa"):
                with pytest.raises(PybpftoolError, match="a list of 3 is needed"):
                    counters[b"k"] = wrong


def queue(kernel: Maps) -> FakeMap:
    return kernel.add_map(11, type=22, key_size=0, value_size=2, name="queue")


def test_queues() -> None:
    with Maps(MAP_LOOKUP_AND_DELETE_ELEM=-errno.ENOENT) as kernel:
        queue(kernel).entries[b""] = b"ab"
        with open_map(name="queue") as jobs, open_map(id=7) as ports:
            assert jobs.peek() == b"ab"
            jobs.push(b"cd")
            assert jobs.peek() == b"cd"
            with pytest.raises(IndexError):
                jobs.pop()
            with pytest.raises(TypeError):
                ports.pop()


def test_which_map() -> None:
    with Maps(), no_descriptors_left():
        with pytest.raises(PybpftoolError, match="several maps have the name 'twin': 8, 9"):
            open_map(name="twin")
        with pytest.raises(PybpftoolError, match="no map is named 'other'"):
            open_map(name="other")
        with pytest.raises(KernelError) as caught:
            open_map(id=99)
        assert caught.value.errno == errno.ENOENT
        for wrong in ({}, {"id": 7, "name": "ports"}):
            with pytest.raises(TypeError):
                open_map(**wrong)  # type: ignore[arg-type]  # that is the point


@pytest.mark.parametrize("errno_", [errno.EPERM, errno.EIO])
def test_refusals(errno_: int) -> None:
    with (
        Maps(MAP_LOOKUP_ELEM=-errno_, MAP_DELETE_ELEM=-errno_) as kernel,
        open_map(id=7, readonly=True) as ports,
    ):
        kernel.rules["MAP_LOOKUP_BATCH"] = -errno_
        for attempt in (
            lambda: ports[b"a0"],
            lambda: b"a0" in ports,
            lambda: ports.__delitem__(b"a0"),
            lambda: list(ports.items()),
        ):
            with pytest.raises(KernelError) as caught:
                attempt()
            assert caught.value.errno == errno_


def test_lists() -> None:
    with Maps(), no_descriptors_left():
        assert [(each.id, each.type_name, each.name) for each in pybpftool.maps()] == [
            (7, "hash", "ports"),
            (8, "array", "twin"),
            (9, "array_of_maps", "twin"),
        ]
        assert pybpftool.progs() == []
        assert pybpftool.btfs() == []


# ------------------------------------------------------------------ object files


@pytest.mark.parametrize(
    ("data", "error", "says"),
    [
        (None, KernelError, "No such file or directory"),
        (b"", BadData, "x.o: "),
        (b"\x7fELF\2\1\1", BadData, "x.o: "),
        (b"no object", BadData, "x.o: "),
    ],
)
def test_files_that_are_no_objects(
    data: bytes | None, error: type[Exception], says: str, tmp_path: Path
) -> None:
    path = tmp_path / "x.o"
    if data is not None:
        path.write_bytes(data)
    with Maps(), no_descriptors_left(), pytest.raises(error, match=says):
        pybpftool.load(str(path))


# ------------------------------------------------------------------ the module


def test_every_name_is_there_and_said_what_it_is() -> None:
    for name in pybpftool.__all__:
        assert getattr(pybpftool, name).__doc__, name
    assert set(pybpftool.__all__) <= set(dir(pybpftool))
    with pytest.raises(AttributeError, match="module 'pybpftool' has no attribute 'no_such'"):
        getattr(pybpftool, "no_such")  # noqa: B009 - a checker knows that it is not there


def test_types_are_those_of_the_documents(tmp_path: Path) -> None:
    """A checker sees the types of the API, although it is loaded only when asked for."""
    program = tmp_path / "program.py"
    program.write_text(
        "import pybpftool\n"
        "with pybpftool.open_map(id=7) as map:\n"
        "    reveal_type(map)\n"
        "reveal_type(pybpftool.maps()[0].key_size)\n"
        "reveal_type(pybpftool.kernel_btf().find('list_head'))\n"
        "with pybpftool.load('x.o', reuse={'m': map}) as obj:\n"
        "    reveal_type(obj.maps['m'])\n"
        "    reveal_type(obj.programs['p'].attach())\n"
        "    reveal_type(obj.programs['p'].run(b'').retval)\n"
        "pybpftool.no_such\n"
    )
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--cache-dir", tmp_path, program],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={**os.environ, "MYPYPATH": str(Path(pybpftool.__file__).parents[1])},
    )
    told = re.findall(r'Revealed type is "(.*)"', done.stdout)
    classes = ["pybpftool.api.Map", "pybpftool.api.Link"]
    assert told == ["pybpftool.api.Map", "int", "int | None", *classes, "int"]
    assert 'Module has no attribute "no_such"' in done.stdout


def test_no_module_takes_a_name_of_the_api() -> None:
    """Once imported, a module of the package would stand where the function is looked for."""
    modules = {module.name for module in iter_modules(pybpftool.__path__)}
    assert not modules & set(pybpftool.__all__)
