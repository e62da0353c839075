"""abi.h against the running kernel's own description of itself, and against its product."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from pybpftool.btf.reader import read_btf
from pybpftool.btf.spec import Btf
from pybpftool.btf.types import ENUM, ENUM64, STRUCT, UNION
from pybpftool.kernel import _abi, abi_build, words
from pybpftool.kernel._abi import ffi

VMLINUX = Path("/sys/kernel/btf/vmlinux")

needs_vmlinux = pytest.mark.skipif(
    not VMLINUX.exists(), reason="this kernel carries no BTF (CONFIG_DEBUG_INFO_BTF)"
)

OURS_ALONE = {
    ("perf_event_attr", "later_flags"),  # a group of flags without use here
    ("perf_event_mmap_page", "unused"),  # counters, clocks and reserved bytes in one
}


LATER = {"tracing_multi"}
"""Members of arms that came with no new command."""


@pytest.fixture(scope="module")
def vmlinux() -> Btf:
    return read_btf(VMLINUX.read_bytes())


def our_members(kind: Any, at: int = 0) -> dict[str, tuple[int, int, Any]]:
    """name -> (bits from the start, size in bits, type); nameless members opened up."""
    found = {}
    for name, field in kind.fields:
        offset = at + field.offset * 8
        if not name:
            found.update(our_members(field.type, offset))
        elif field.bitsize >= 0:
            found[name] = (offset + field.bitshift, field.bitsize, field.type)
        else:
            found[name] = (offset, ffi.sizeof(field.type) * 8, field.type)
    return found


def kernel_members(btf: Btf, number: int, at: int = 0) -> dict[str, tuple[int, int, int]]:
    """The same of a struct or union of the kernel; the third is a type id."""
    found = {}
    for member in btf.type(number).members:  # type: ignore[attr-defined]  # a Composite
        offset = at + member.bits_offset
        target = btf.skip_modifiers(member.type_id, typedefs=True)
        if not member.name:
            found.update(kernel_members(btf, target, offset))
        else:
            bits = member.bitfield_size or btf.size_of(target) * 8
            found[member.name] = (offset, bits, target)
    return found


def missing(kind: Any, btf: Btf, number: int) -> list[str]:
    """The members of ours that the kernel has not; fails where both have one but elsewhere."""
    absent = []
    theirs = kernel_members(btf, number)
    for name, (offset, bits, inner) in our_members(kind).items():
        if (kind.cname.split()[-1], name) in OURS_ALONE:
            continue
        if name not in theirs:
            absent.append(name)
            continue
        there, size, target = theirs[name]
        assert offset == there, f"{kind.cname}.{name}"
        if inner.kind in ("struct", "union"):
            absent += [f"{name}.{each}" for each in missing(inner, btf, target)]
        else:
            assert bits == size, f"{kind.cname}.{name}"
    return absent


def is_as_new_as_abi_h(btf: Btf) -> bool:
    """Whether the kernel has the newest command of abi.h (Linux 6.17), and so all the rest.

    An older kernel may lack what was added later.
    """
    return "BPF_PROG_STREAM_READ_BY_FD" in kernel_enum(btf, "bpf_cmd")


@needs_vmlinux
@pytest.mark.parametrize(
    "name",
    "bpf_prog_info bpf_map_info bpf_btf_info bpf_link_info "
    "perf_event_attr perf_event_mmap_page perf_event_header".split(),
)
def test_every_field_lies_where_the_kernel_has_it(vmlinux: Btf, name: str) -> None:
    number = vmlinux.find(name, STRUCT)
    assert number is not None
    absent = missing(ffi.typeof(f"struct {name}"), vmlinux, number)
    assert not (absent and is_as_new_as_abi_h(vmlinux)), absent


@needs_vmlinux
@pytest.mark.parametrize("arm", [name for name, _ in ffi.typeof("union bpf_attr").fields])
def test_every_arm_lies_where_the_kernel_has_it(vmlinux: Btf, arm: str) -> None:
    """An arm is the kernel's of the same name, or the nameless one that begins alike."""
    ours = dict(ffi.typeof("union bpf_attr").fields)[arm].type
    number = vmlinux.find("bpf_attr", UNION)
    assert number is not None
    begins = next(iter(our_members(ours)))
    arms = {}
    for member in vmlinux.type(number).members:  # type: ignore[attr-defined]  # a Composite
        target = vmlinux.skip_modifiers(member.type_id)
        arms[member.name or next(iter(kernel_members(vmlinux, target)))] = target
    target = arms.get(arm) or arms.get(begins, 0)
    if not target:
        assert not is_as_new_as_abi_h(vmlinux), f"no arm {arm}"
        return
    absent = set(missing(ours, vmlinux, target)) - LATER
    assert not (absent and is_as_new_as_abi_h(vmlinux)), absent


@needs_vmlinux
@pytest.mark.parametrize("name", "bpf_prog_info bpf_map_info bpf_btf_info bpf_link_info".split())
def test_nothing_the_kernel_answers_is_left_out(vmlinux: Btf, name: str) -> None:
    """Within the length we ask for; a later kernel may have more behind it."""
    number = vmlinux.find(name, STRUCT)
    assert number is not None
    kind = ffi.typeof(f"struct {name}")
    end = ffi.sizeof(kind) * 8
    theirs = kernel_members(vmlinux, number)
    unknown = {each for each, (offset, _, target) in theirs.items() if offset < end}
    unknown -= our_members(kind).keys()
    arms = {each for each in unknown if vmlinux.kind(theirs[each][2]) == STRUCT}
    assert not unknown - arms, unknown  # an arm for a new type of link is no harm


def kernel_enum(btf: Btf, name: str) -> dict[str, int]:
    number = btf.find(name, ENUM, ENUM64)
    assert number is not None
    return {each.name: each.val for each in btf.type(number).values}  # type: ignore[attr-defined]


@needs_vmlinux
def test_commands_have_the_kernels_numbers(vmlinux: Btf) -> None:
    theirs = kernel_enum(vmlinux, "bpf_cmd")
    ours = ffi.typeof("enum bpf_cmd").relements
    assert ours.keys() >= {"BPF_MAP_CREATE", "BPF_PROG_STREAM_READ_BY_FD"}
    for name, number in ours.items():
        assert theirs.get(name, number) == number, name
    last = theirs.get("__MAX_BPF_CMD", max(theirs.values()) + 1)
    missing = {name for name, number in ours.items() if number < last} - theirs.keys()
    assert not missing


@needs_vmlinux
@pytest.mark.parametrize(
    ("enum", "prefix", "table"),
    [
        ("bpf_prog_type", "BPF_PROG_TYPE_", words.PROG_TYPES),
        ("bpf_map_type", "BPF_MAP_TYPE_", words.MAP_TYPES),
        ("bpf_attach_type", "BPF_", words.ATTACH_TYPES),
        ("bpf_link_type", "BPF_LINK_TYPE_", words.LINK_TYPES),
        ("bpf_func_id", "BPF_FUNC_", words.HELPERS),
    ],
)
def test_words_are_the_kernels_names(
    vmlinux: Btf, enum: str, prefix: str, table: list[str]
) -> None:
    names: dict[int, set[str]] = {}
    for name, number in kernel_enum(vmlinux, enum).items():
        if not name.startswith(("__", "MAX_")):  # a count
            names.setdefault(number, set()).add(name.removeprefix(prefix).lower())
    for number, known in names.items():
        if number < len(table):
            assert table[number] in known
    assert len(names) >= 10


def test_generated_module_is_what_the_header_says(tmp_path: Path) -> None:
    fresh = tmp_path / "_abi.py"
    abi_build.build(os.fspath(fresh))
    assert fresh.read_text() == Path(_abi.__file__).read_text(), (
        "run python -m pybpftool.kernel.abi_build"
    )
