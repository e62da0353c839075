"""``prog check`` of another kernel: what a saved probe tells, and how it all reads."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pybpftool.errors import BadData
from pybpftool.kernel.words import HELPERS, MAP_TYPES, PROG_TYPES
from pybpftool.loader.spec import ProgramSpec
from pybpftool.objects.prog.checking import _plain
from pybpftool.objects.prog.known import saved

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pybpftool.command import Record

DOCUMENT = {
    "program_types": {"have_xdp_prog_type": True, "have_netfilter_prog_type": False},
    "map_types": {"have_hash_map_type": True, "have_arena_map_type": False},
    "helpers": {
        "xdp_available_helpers": ["bpf_redirect"],
        "tracing_available_helpers": [],
        "cgroup_sock_available_helpers": ["bpf_redirect"],
    },
}


def program(prog_type: str) -> ProgramSpec:
    made = ProgramSpec("one", "section", 0, b"", hidden=False)
    made.prog_type = PROG_TYPES.index(prog_type)
    return made


@pytest.fixture
def path(tmp_path: Path) -> str:
    file = tmp_path / "saved.json"
    file.write_text(json.dumps(DOCUMENT))
    return str(file)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("hash", ""),
        ("arena", "this kernel has no maps of type arena"),
        ("ringbuf", ""),  # nothing is said of it
    ],
)
def test_map_types(name: str, reason: str, path: str) -> None:
    assert saved(path).map_type(MAP_TYPES.index(name)) == reason


@pytest.mark.parametrize(
    ("name", "reason"),
    [("xdp", ""), ("netfilter", "this kernel has no programs of type netfilter"), ("lsm", "")],
)
def test_prog_types(name: str, reason: str, path: str) -> None:
    assert saved(path).program(program(name), None) == reason


@pytest.mark.parametrize(
    ("prog_type", "helper", "allowed"),
    [
        ("xdp", "redirect", True),
        ("xdp", "loop", False),
        ("xdp", "trace_printk", True),  # nobody asks for it, as the kernel would write to its log
        ("tracing", "loop", True),  # which depends on what is traced
        ("cgroup_sock", "loop", True),  # which depends on the attach type
        ("lsm", "loop", True),
    ],
)
def test_helpers(prog_type: str, helper: str, allowed: bool, path: str) -> None:
    reason = saved(path).helper(program(prog_type), None, HELPERS.index(helper))
    assert reason == ("" if allowed else f"programs of type {prog_type} may not call bpf_{helper}")
    assert saved(path).helper(program(prog_type), None, 1 << 30) == ""


@pytest.mark.parametrize("text", ["", "[]", "7", "{}", '{"program_types": 1}', "[" * 100_000])
def test_what_is_no_saved_probe(text: str, tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_text(text)
    with pytest.raises(BadData, match=r"no JSON document|not written by 'feature probe -j'"):
        saved(str(path))


def problem(reason: str, *, certain: bool = True, **more: object) -> Record:
    return {"kind": "k", "name": "n", "reason": reason, **more, "certain": certain}


def test_plain() -> None:
    heads = {"section": "xdp", "type": "xdp", "autoload": True}
    record = {
        "object": "x.o",
        "loads": False,
        "problems": [problem("map 'm': no")],
        "programs": [
            {"name": "a", **heads, "loads": True, "problems": []},
            {"name": "b", **heads, "loads": False, "problems": [problem("no", insn=3)]},
            {
                "name": "c",
                **heads,
                "loads": None,
                "problems": [problem("no", certain=False, insn=4, source="x @ x.c:1")],
            },
        ],
    }
    assert _plain(record) == (
        "a (xdp) would load\n"
        "b (xdp) would not load\n"
        "\tno\n"
        "\t  at instruction 3\n"
        "c (xdp) may not load\n"
        "\tno, if that is reached\n"
        "\t  at instruction 4: x @ x.c:1\n"
        "x.o would not load\n"
        "\tmap 'm': no\n"
    )
