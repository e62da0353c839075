"""What pybpftool does where it differs from bpftool on purpose."""

from __future__ import annotations

import re
import shlex
import shutil
import struct
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import pytest

from pybpftool.insn.asm import call_function, exit_, mov64_imm
from pybpftool.kernel import calls
from tests.live.compare import Both, ours
from tests.live.normalisers import SPOKEN
from tests.live.programs import SOURCES, Source, loaded, of
from tests.live.zoo import INT, KINDS, Kind, made, types_of, u32
from tests.support.btf_builder import CHAR, BtfBuilder
from tests.support.need import need


class Case(NamedTuple):
    """A line and how it ends; ``{}`` is the id of a map of ``kind``."""

    difference: str
    line: str
    out: str = ""
    err: str = ""
    status: int = 255
    kind: str = "h_one"


NO_WALK = "maps of this type can't be walked from key to key"

CASES = [
    Case("no-match-says-so", "map show name nobody", err="Error: no map has the name 'nobody'\n"),
    Case(
        "no-match-says-so",
        "-j map dump name nobody",
        """{"error":"no map has the name 'nobody'"}\n""",
    ),
    Case(
        "no-match-says-so",
        "map update id {} key 0 0 0 0 value tag 0011223344556677",
        err="Error: no program has the tag '0011223344556677'\n",
        kind="progs_none",
    ),
    Case(
        "one-json-document",
        "-j map create /x type hash_of_maps key 4 value 4 entries 1 name x inner_map id",
        """{"error":"'inner_map' needs at least 2 arguments, 1 found"}\n""",
    ),
    Case(
        "escaped-errors",
        "-j map show '\"' 1",
        """{"error":"expected 'id', 'name' or 'pinned', got: '\\"'?"}\n""",
    ),
    Case(
        "said-once",
        "btf dump id 4294967294",
        err="Error: can't get BTF object by id (4294967294): No such file or directory\n",
        status=254,
    ),
    Case(
        "format-line",
        "btf dump map id {} format",
        err="Error: expecting value for 'format' option\n",
        status=234,
    ),
    Case(
        "missing-word",
        "btf dump file /dev/null root_id",
        err="Error: failed to load BTF from /dev/null: too short for BTF\n",
        status=251,
    ),
    Case(
        "base-btf-errors",
        "-B /nonexistent map show",
        err="Error: failed to parse base BTF at '/nonexistent': -2\n",
    ),
    Case(
        "base-btf-errors",
        "-j -B /nonexistent map show",
        """{"error":"failed to parse base BTF at '/nonexistent': -2"}\n""",
    ),
    Case(
        "profile-one-error",
        "prog profile id 4294967295 cycles",
        err="Error: get by id (4294967295): No such file or directory\n",
    ),
    Case("prog-top", "prog top count x", err="Error: can't parse x as count\n"),
    Case(
        "pop-without-keys",
        "map pop id {}",
        err="Error: a map of type hash has no next value to pop\n",
    ),
    Case(
        "batch-directory",
        "batch file /",
        err="Error: Can't open file (/): Is a directory\n",
    ),
    Case(
        "missing-word",
        "map event_pipe id",
        err="Error: 'id' needs at least 1 arguments, 0 found\n",
    ),
    Case(
        "prog-graph",
        "prog graph id 0",
        err="Error: get by id (0): No such file or directory\n",
    ),
    Case("help-ends-line", "-j -h", "null\n", status=0),
    *(
        Case(
            "undumpable-says-so",
            "map dump id {}",
            "",
            f"Error: can't dump {KINDS[kind].type} map: {NO_WALK}\n",
            status,
            kind=kind,
        )
        for kind, status in (
            ("queue", 234),
            ("stack", 234),
            ("bloom", 161),
            ("ring", 244),
            ("user_ring", 244),
            ("arena", 161),
            ("sk_storage", 244),
            ("inode_storage", 244),
            ("task_storage", 244),
            ("cgrp_storage", 244),
        )
    ),
    Case(
        "undumpable-says-so",
        "-j map dump id {}",
        f"""[{{"error":"can't dump queue map: {NO_WALK}"}}]\n""",
        status=234,
        kind="queue",
    ),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.difference}: {case.line}"[:60])
def test_our_answer(case: Case, both: Both, pins: str) -> None:
    with made(KINDS[case.kind], pins) as map:
        words = shlex.split(case.line.format(map.id))
        mine = ours(*words)
        assert (mine.out, mine.err, mine.status) == (case.out, case.err, case.status)
        assert both.reference(*words) != mine, "no difference any more"


def _typed(type: str, size: int, values: list[bytes], stack: ExitStack) -> Kind:
    """A hash of one of a few types that bpftool cannot show."""
    b = BtfBuilder(sys.byteorder)
    number = b.int("int", 4, signed=True)
    types = {
        "letters": b.array(b.int("letter", 1, encoding=CHAR), 4),
        "floats": b.struct(
            "floats", 16, [("f", b.float("float", 4), 0), ("d", b.float("double", 8), 64)]
        ),
    }
    btf = stack.enter_context(calls.btf_load(b.blob()))
    return Kind(
        type,
        "hash",
        4,
        size,
        fill=lambda stack: [(u32(at), value) for at, value in enumerate(values)],
        fields=lambda stack: {
            "btf_fd": btf.fileno(),
            "btf_key_type_id": number,
            "btf_value_type_id": types[type],
        },
    )


@pytest.mark.parametrize(
    ("type", "value", "shown"),
    [
        ("letters", b'"\\\1\n', ['"', "\\", "\1", "\n"]),
        ("floats", struct.pack("=f4xd", 0.5, -1e300), {"f": 0.5, "d": -1e300}),
    ],
    ids=["json-of-characters", "floats"],
)
def test_values_are_json(type: str, value: bytes, shown: object, both: Both, pins: str) -> None:
    with ExitStack() as stack:
        kind = _typed(type, len(value), [value], stack)
        map = stack.enter_context(made(kind, pins))
        [entry] = ours("-j", "map", "dump", "id", str(map.id)).json
        assert entry["formatted"] == {"key": 0, "value": shown}


def test_no_stale_btf_id(both: Both, pins: str) -> None:
    with made(KINDS["t_int"], pins) as typed, made(KINDS["h_one"], pins) as bare:
        listed = {record["id"]: record for record in ours("-j", "map", "list").json}
        assert listed[typed.id]["btf_id"]
        assert "btf_id" not in listed[bare.id]


def test_batch_null_and_batch_misuse(both: Both, tmp_path: Path, pins: str) -> None:
    with made(KINDS["h_one"], pins) as map:
        batch = tmp_path / "batch"
        batch.write_text(f"map show id {map.id}\nmap dump\n")
        ended = ours("-j", "batch", "file", str(batch))
        assert ended.status == 255
        first, second = ended.json
        assert first["output"]["id"] == map.id
        assert second == {"command": ["map", "dump"], "output": None}
        assert both.reference("-j", "batch", "file", str(batch)).status == 134


@pytest.fixture
def btf_file(tmp_path: Path) -> Path:
    """A BTF of a few odd types."""
    b = BtfBuilder()
    b.int("int", 4, signed=True)
    b.enum("", [("AHEAD", 1)])
    b.enum("top", [("TOP", 0xFFFFFFFF)])
    b.typedef("tagged", b.ptr(b.const(b.type_tag("user", 1))))
    path = tmp_path / "odd.btf"
    path.write_bytes(b.blob())
    return path


def test_more_words(both: Both, btf_file: Path) -> None:
    words = ["btf", "dump", "file", str(btf_file), "type", "top"]
    assert ours(*words).status == 0
    assert both.reference(*words).status
    assert "layout" in ours("btf", "help").err
    assert "layout" not in both.reference("btf", "help").err


def test_color(both: Both, pins: str) -> None:
    with made(KINDS["h_one"], pins) as map:
        words = ["--color=always", "map", "show", "id", str(map.id)]
        assert ours(*words) == ours(*words[1:])  # which has no other dress
        assert both.reference(*words).status


def test_typed_data(both: Both, pins: str) -> None:
    with made(KINDS["t_key"], pins) as map:
        handle = ["id", str(map.id)]
        for words in (
            ["update", *handle, "key", '{"kind": "BLUE"}', "value", '"RED"'],
            ["update", *handle, "key", '{"kind": "BLUE"}', "value", "GREEN"],
            ["dump", *handle, "limit", "1"],
            ["dump", *handle, "recursive"],
            ["export", *handle],
            ["diff", *handle, *handle],
        ):
            assert ours("map", *words).status == 0
            assert both.reference("map", *words).status
        assert "watch" in ours("map", "help").err
        assert "watch" not in both.reference("map", "help").err


def test_enums_in_json(both: Both, btf_file: Path) -> None:
    words = ["-j", "btf", "dump", "file", str(btf_file)]
    mine, theirs = ours(*words).json, both.reference(*words).json
    assert mine["types"][2]["values"] == [{"name": "TOP", "val": 0xFFFFFFFF}]
    assert theirs["types"][2]["values"] == [{"name": "TOP", "val": 0xFFFFFFFFFFFFFFFF}]


def test_first_type(both: Both, btf_file: Path) -> None:
    words = ["btf", "dump", "file", str(btf_file), "format", "c"]
    assert "AHEAD = 1" in ours(*words).out
    if both.reference.version >= SPOKEN:  # older ones did not sort
        assert "AHEAD = 1" not in both.reference(*words).out


def test_qualified_tags(both: Both, btf_file: Path) -> None:
    words = ["btf", "dump", "file", str(btf_file), "format", "c"]
    glued = 'typedef intconst  __attribute__((btf_type_tag("user"))) *tagged;'
    assert 'typedef int const __attribute__((btf_type_tag("user"))) *tagged;' in ours(*words).out
    assert glued in both.reference(*words).out


def test_btf_errors(both: Both, tmp_path: Path) -> None:
    path = tmp_path / "text"
    path.write_text("no BTF")
    words = ["btf", "dump", "file", str(path)]
    mine, theirs = ours(*words), both.reference(*words)
    assert mine.err == f"Error: failed to load BTF from {path}: neither BTF nor ELF\n"
    assert f"failed to load BTF from {path}: Unknown error 4001\n" in theirs.err
    assert mine.status == theirs.status == 95


def test_batch_depth(both: Both, tmp_path: Path) -> None:
    """A batch that runs itself: the innermost gives up, and all fail."""
    batch = tmp_path / "batch"
    batch.write_text(f"batch file {batch}\n")
    ended = ours("batch", "file", str(batch))
    assert (ended.out, ended.err, ended.status) == (
        "",
        "Error: batch files nest more than 32 deep\n",
        255,
    )
    assert both.reference("batch", "file", str(batch)).err != ended.err


def test_batch_comments(both: Both, tmp_path: Path) -> None:
    batch = tmp_path / "batch"
    batch.write_text("#" + " " * 65534 + " map nonsense\nversion\n")
    ended = ours("batch", "file", str(batch))
    assert (ended.err, ended.status) == ("", 0)
    assert both.reference("batch", "file", str(batch)).status == 255


def test_failed_lookups(both: Both, pins: str) -> None:
    kind = Kind("ports", "reuseport_sockarray", 4, 4, entries=1, fields=types_of(INT, INT))
    with made(kind, pins) as map:
        words = ["map", "dump", "id", str(map.id)]
        mine = ours(*words)
        assert mine.json == [
            {"key": ["0x00"] * 4, "value": {"error": "No space left on device"}},
        ]
        assert both.reference(*words).out == "[key: 00 00 00 00  value: <cannot read>\n]\n"


def test_hints(both: Both, pins: str) -> None:
    need(shutil.which("setpriv"), "needs setpriv, of util-linux")
    bare = ["setpriv", "--bounding-set=-all", "--inh-caps=-all", "--ambient-caps=-all"]
    words = ["map", "create", f"{pins}/new", *"type hash key 4 value 4 entries 1 name x".split()]
    done = subprocess.run(
        [*bare, sys.executable, "-m", "pybpftool", *words], capture_output=True, text=True
    )
    assert done.returncode == 255
    error, hint = done.stderr.splitlines()
    assert error == "Error: map create failed: Operation not permitted"
    assert hint.startswith("Hint: ") and "CAP_BPF" in hint
    theirs = subprocess.run([*bare, both.reference.path, *words], capture_output=True, text=True)
    assert theirs.stderr.splitlines()[-1] == error


def test_batch_end(both: Both, tmp_path: Path, pins: str) -> None:
    with made(KINDS["t_int"], pins) as map:
        batch = tmp_path / "batch"
        batch.write_text(f"map dump id {map.id}\n")
        assert ours("batch", "file", str(batch)).out.endswith("processed 1 commands\n")


def test_version(both: Both) -> None:
    from pybpftool import CONTRACT, __version__

    assert ours("version").out.startswith(f"bpftool v{CONTRACT}\n")
    record = ours("-j", "version").json
    assert record["version"] == record["bpftool_version"] == CONTRACT
    assert record["pybpftool_version"] == __version__


def test_holders_from_proc(both: Both, pins: str) -> None:
    with made(KINDS["h_one"], pins) as map:
        sleeper = subprocess.Popen(
            [sys.executable, "-c", "import time; print(flush=True); time.sleep(60)"],
            pass_fds=[map.fd.fileno()],
            stdout=subprocess.PIPE,
        )
        with sleeper:
            assert sleeper.stdout
            sleeper.stdout.readline()
            comm = Path(f"/proc/{sleeper.pid}/comm").read_text().strip()
            words = ["map", "show", "id", str(map.id)]
            assert ours("-j", *words).json["pids"] == [{"pid": sleeper.pid, "comm": comm}]
            assert ours(*words).out.endswith(f"\n\tpids {comm}({sleeper.pid})\n")
            sleeper.kill()


def test_own_functions(both: Both, pins: str) -> None:
    with loaded(SOURCES["functions"], pins) as prog:
        words = ["prog", "dump", "xlated", "id", str(prog.id), "visual"]
        mine = ours(*words)
        second = mine.out.partition('label="func_1 ()"')[2].partition("}\nsubgraph")[0]
        assert "; int triple(int x):" in second and "one_with_functions" not in second
        assert both.reference(*words) != mine


def test_far_calls(both: Both, pins: str) -> None:
    between = 40_000
    code = [call_function(between + 1), *[mov64_imm(0, 0)] * between, exit_(), mov64_imm(0, 1)]
    source = Source("far", of(*code, exit_()), type="sched_cls", everywhere=False)
    with loaded(source, pins) as prog:
        words = ["prog", "dump", "xlated", "id", str(prog.id), "visual"]
        second = ours(*words).out.partition('label="func_1 ()"')[2]
        assert "\n0: (b7) r0 = 1\\l" in second
        assert both.reference(*words).status != 0


def test_disassembler(both: Both, pins: str, tmp_path: Path) -> None:
    if {"llvm", "libbfd"} & set(re.findall(r"\w+", both.reference("version").out)):
        pytest.skip("the reference can disassemble")
    with loaded(SOURCES["bare"], pins) as prog:
        words = ["prog", "dump", "jited", "id", str(prog.id), "file", str(tmp_path / "image")]
        assert ours(*words).status == 0
        assert both.reference(*words).status == 255


def test_dump_file(both: Both, pins: str, tmp_path: Path) -> None:
    image, link = tmp_path / "image", tmp_path / "link"
    with loaded(SOURCES["bare"], pins) as prog:
        words = ["prog", "dump", "xlated", "id", str(prog.id), "file", str(image)]
        for tool, kept in ((ours, True), (both.reference, False)):
            image.write_bytes(b"old")
            link.unlink(missing_ok=True)
            link.hardlink_to(image)
            assert tool(*words).status == 0
            assert len(image.read_bytes()) == 16
            assert (link.read_bytes() == b"old") is kept


def test_output_errors(both: Both, pins: str) -> None:
    with made(KINDS["h_one"], pins) as map, open("/dev/full", "wb") as full:
        words = [sys.executable, "-m", "pybpftool", "map", "dump", "id", str(map.id)]
        done = subprocess.run(words, stdout=full, stderr=subprocess.PIPE, text=True)
        assert done.stderr == "Error: can't write output: No space left on device\n"
        assert done.returncode == 255
