"""``prog``: lists, dumps, pins and refusals, by both tools."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import struct
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from pybpftool.insn.asm import exit_, ld_map_value, mov64_imm
from pybpftool.kernel import calls
from pybpftool.kernel.syscall import Fd
from tests.live.compare import FORMS, Both, ours
from tests.live.normalisers import SPOKEN, is_json
from tests.live.programs import SOURCES, Function, Loaded, Source, loaded, of
from tests.live.zoo import TOKEN, full_name
from tests.support.btf_builder import BtfBuilder
from tests.support.need import need
from tests.support.run import Ended

NAMES = list(SOURCES)
OLD_WORDS = [name for name in NAMES if name != "newer"]
"""Programs whose instructions every reference knows how to write."""


@pytest.fixture
def some(pins: str) -> Iterator[list[Loaded]]:
    """A handful of programs."""
    with ExitStack() as stack:
        names = ("bare", "closed", "maps", "functions", "nolines")
        yield [stack.enter_context(loaded(SOURCES[name], pins)) for name in names]


# ------------------------------------------------------------------ show


@pytest.mark.parametrize("name", NAMES)
def test_show(name: str, both: Both, pins: str) -> None:
    with loaded(SOURCES[name], pins) as prog:
        handles = (["id", str(prog.id)], ["pinned", prog.path])
        both.check(
            [*option, "prog", "show", *handle, *form]
            for handle in handles
            for form in FORMS
            for option in ((), ("-f",))
        )


def of_these(ended: Ended, words: list[str], progs: list[Loaded]) -> object:
    """What a list says of ``progs``, in order; others may come and go under the tests."""
    assert not ended.status
    ids = [prog.id for prog in progs]
    if is_json(words):
        found = [record for record in ended.json if record["id"] in ids]
        for record in found:
            record.pop("orphaned", None)
            record.pop("loaded_at")
        return [list(record.items()) for record in found]
    parts = re.split(r"^(?=\d+: )", ended.out, flags=re.M)[1:]
    parts = [part for part in parts if int(part.split(":")[0]) in ids]
    return [re.sub(r"loaded_at \S+", "", part) for part in parts]


@pytest.mark.parametrize(
    "words", ["prog", "prog show", "p l -j", "-p prog list", "-f p", "-jf p l"]
)
def test_list(words: str, both: Both, some: list[Loaded]) -> None:
    line = words.split()
    found = of_these(ours(*line), line, some)
    assert len(found) == len(some)  # type: ignore[arg-type]  # a list of strings or of lists
    assert found == of_these(both.reference(*line), line, some)


def test_full_names(both: Both, pins: str) -> None:
    """A name that the kernel had to cut is told, and asked for, by the function's."""
    name = f"x_{TOKEN}_of_a_function_that_is_very_long_indeed"
    source = Source("long", of(mov64_imm(0, 0), exit_()), (Function(0, name, static=False),))
    with loaded(source, pins, name="x_of_a_function_that") as prog:
        assert len(prog.info.name) == 15
        lines = [["prog", "show", "name", name], ["prog", "show", "id", str(prog.id)]]
        both.check([*line, *form] for line in lines for form in FORMS)
        assert f"name {name}  tag" in ours(*lines[0]).out
        assert ours("prog", "show", "name", prog.info.name).status == 255


def test_twins(both: Both, pins: str) -> None:
    """Programs that share their name, and a tag."""
    source = SOURCES["bare"]
    other = Source("bare2", of(mov64_imm(0, 0), exit_()), type="sched_cls")
    with loaded(source, pins, name="twin") as one, loaded(other, pins, name="twin"):
        name = one.info.name
        tag = one.info.tag.hex()
        both.check(
            [
                *(["prog", "show", "name", name, *form] for form in FORMS),
                *(["prog", "dump", "xlated", "name", name, *form] for form in FORMS),
                ["prog", "dump", "xlated", "name", name, "visual"],
                ["prog", "dump", "xlated", "name", name, "file", "/nowhere"],
                ["prog", "pin", "name", name, "/nowhere"],
                ["-j", "prog", "pin", "tag", tag, "/nowhere"],
            ]
        )


def test_metadata(both: Both, pins: str) -> None:
    b = BtfBuilder()
    number = b.int("int", 4, signed=True)
    array = b.array(b.char(), 8)
    pair = b.struct("pair", 8, [("a", number, 0), ("b", number, 32)])
    section = b.datasec(
        ".rodata",
        24,
        [
            (b.var("bpf_metadata_version", b.const(number)), 0, 4),
            (b.var("unrelated", number), 4, 4),
            (b.var("bpf_metadata_author", array), 8, 8),
            (b.var("bpf_metadata_pair", pair), 16, 8),
        ],
    )
    with calls.btf_load(b.blob()) as btf, ExitStack() as stack:

        def uses(inner: ExitStack) -> tuple[object, ...]:
            return (ld_map_value(1, rodata.fileno()), mov64_imm(0, 0), exit_())

        rodata: Fd = stack.enter_context(
            calls.map_create(
                2,
                4,
                24,
                1,
                full_name("m.rodata"),
                1 << 7,
                btf_fd=btf.fileno(),
                btf_value_type_id=section,
            )
        )
        calls.map_update(rodata, bytes(4), struct.pack("=ii8sii", -7, 1, b"me", 3, 4))
        calls.map_freeze(rodata)
        prog = stack.enter_context(loaded(Source("meta", uses), pins))  # type: ignore[arg-type]  # a tuple of instructions
        both.check(["prog", "show", "id", str(prog.id), *form] for form in FORMS)
        record = ours("-j", "prog", "show", "id", str(prog.id)).json
        assert record["metadata"] == {"version": -7, "author": "me", "pair": {"a": 3, "b": 4}}


# ------------------------------------------------------------------ dump


@pytest.mark.parametrize("name", OLD_WORDS)
def test_xlated(name: str, both: Both, pins: str) -> None:
    lines = (["opcodes"], ["linum"], ["-j", "opcodes"], ["-p", "linum"])
    with loaded(SOURCES[name], pins) as prog:
        both.check(["prog", "dump", "xlated", "id", str(prog.id), *line] for line in lines)


@pytest.mark.parametrize("name", NAMES)
def test_xlated_of_today(name: str, both: Both, pins: str) -> None:
    """Newer instructions, several options at once, graphs."""
    if both.reference.version != SPOKEN:
        pytest.skip("the reference has other words and options")
    options = ["", "opcodes", "linum opcodes"]
    if not SOURCES[name].functions:  # see "visual-own-functions" in ``differences``
        options += ["visual", "visual opcodes linum"]
    with loaded(SOURCES[name], pins) as prog:
        both.check(
            ["prog", "dump", "xlated", "id", str(prog.id), *option.split(), *form]
            for option in options
            for form in FORMS
        )


@pytest.mark.parametrize("name", NAMES)
def test_jited(name: str, both: Both, pins: str) -> None:
    pytest.importorskip("capstone")
    if "llvm" not in both.reference("version").out:
        pytest.skip("the reference was built without LLVM")
    if os.uname().machine != "x86_64":
        pytest.skip("the text of machine code is LLVM's on x86-64 alone")
    with loaded(SOURCES[name], pins) as prog:
        both.check(
            ["prog", "dump", "jited", "id", str(prog.id), *option.split(), *form]
            for option in ("", "opcodes", "linum", "opcodes linum", "visual")
            for form in FORMS
        )


@pytest.mark.parametrize("image", ["xlated", "jited"])
def test_file(image: str, both: Both, pins: str, tmp_path: Path) -> None:
    if image == "jited" and "llvm" not in both.reference("version").out:
        pytest.skip("the reference has no disassembler, without which it writes no machine code")
    path = tmp_path / "image"
    left = []
    with loaded(SOURCES["functions"], pins) as prog:
        for tool in (ours, both.reference):
            for form in FORMS:
                ended = tool("prog", "dump", image, "id", str(prog.id), "file", str(path), *form)
                left.append((ended, path.read_bytes(), path.stat().st_mode))
                path.unlink()
    assert left[:3] == left[3:]
    assert len(left[0][1]) > 16


@pytest.mark.parametrize("image", ["xlated", "jited"])
def test_without_the_right_to_see_addresses(image: str, both: Both, pins: str) -> None:
    """Code whose addresses the kernel zeroed, and code that it keeps to itself."""
    need(shutil.which("setpriv"), "needs setpriv, of util-linux")
    if image == "jited" and "llvm" not in both.reference("version").out:
        pytest.skip("the reference has no disassembler")
    bare = ["setpriv", "--bounding-set=-syslog", "--inh-caps=-syslog"]
    with loaded(SOURCES["functions"], pins) as prog:
        words = ["prog", "dump", image, "id", str(prog.id)]
        ends = [
            subprocess.run([*bare, *tool, *words], capture_output=True, text=True)
            for tool in ([sys.executable, "-m", "pybpftool"], [both.reference.path])
        ]
    mine, theirs = ends
    assert re.sub("^Hint: .*\n", "", mine.stderr, flags=re.M) == theirs.stderr
    assert (mine.stdout, mine.returncode) == (theirs.stdout, theirs.returncode)


# ------------------------------------------------------------------ refusals

LINES = """
prog nonsense
prog help
prog show id
prog show foo
prog show id {id} extra
prog show id 0
prog show id 08
prog show id x
prog show id 999999999
prog show tag
prog show tag 12
prog show tag zz
prog show tag 00112233445566
prog show name
prog show pinned
prog show pinned /
prog show pinned /nonexistent
prog show pinned /etc/passwd
prog show pinned {map}
prog show nothing 1
prog show '' {id}
prog l i {id}
prog dump foo
prog dump foo id {id}
prog dump xlated
prog dump xlated id
prog dump xlated nothing 1
prog dump xlated id 0
prog dump x id {id}
prog d xl id {id}
prog dump xlated id {id} nonsense
prog dump xlated id {id} file
prog dump xlated id {id} f /nonexistent/x
prog dump xlated pinned {map}
prog pin
prog pin id
prog pin id {id}
prog pin nothing 1 /x
prog pin id 0 /x
prog pin id {id} {path}
prog pin id {id} {dir}/a.b
prog pin id {id} /nonexistent/x
-n prog pin id {id} /proc/x
"""


def test_refusals(both: Both, pins: str) -> None:
    with ExitStack() as stack:
        prog = stack.enter_context(loaded(SOURCES["bare"], pins))
        map = os.path.join(pins, "map")
        with calls.map_create(2, 4, 4, 1, full_name("m")) as fd:
            calls.obj_pin(fd, map)
        stack.callback(os.unlink, map)
        lines = [
            shlex.split(line.format(id=prog.id, path=prog.path, dir=pins, map=map))
            for line in LINES.strip().splitlines()
        ]
        # a misuse in JSON prints null behind the error: see "one-json-document"
        both.check([*line, *form] for line in lines for form in ((), ("-j",)))


def test_pin(both: Both, pins: str) -> None:
    with loaded(SOURCES["bare"], pins) as prog:
        for tool in (ours, both.reference):
            path = os.path.join(pins, "again")
            ended = tool("prog", "pin", "id", str(prog.id), path, "ignored")
            assert (ended.out, ended.err, ended.status) == ("", "", 0)
            assert ours("-j", "prog", "show", "pinned", path).json["id"] == prog.id
            os.unlink(path)
            assert tool("-j", "prog", "pin", "id", str(prog.id), path).out == "null\n"
            os.unlink(path)
