"""``prog``: what is shown, dumped and pinned, in every form, and every refusal, without root."""

from __future__ import annotations

import errno
import json
import os
import shutil
import struct
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from pybpftool.insn import code as c
from pybpftool.insn.asm import call, exit_, jump_imm, ld_map_fd, mov64_imm
from pybpftool.insn.code import Insn, encode
from pybpftool.kernel import bpffs, handles, holders, proc, symbols
from tests.support.btf_builder import BtfBuilder
from tests.support.need import need
from tests.support.run import Ended, pybpftool
from tests.support.tape import Answer, Kernel

FILTER, CLS, XDP = 1, 3, 6
ARRAY = 2
BASE = 0xFFFFFFFF81000000
FIRST, SECOND = 0xFFFFFFFFC0001000, 0xFFFFFFFFC0002000
TAG = bytes.fromhex("a04f5eef06a7f555")
NAME = "a_name_of_fifteen_and_more"

KALLSYMS = f"""\
{BASE:016x} T __bpf_call_base
{BASE + 1000:016x} T __htab_map_lookup_elem
{FIRST:016x} t bpf_prog_a04f5eef06a7f555_main\t[bpf]
"""


@pytest.fixture(autouse=True)
def quiet_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No processes, no pins, three symbols, clocks that stand still, whatever the machine."""
    kallsyms = tmp_path / "kallsyms"
    kallsyms.write_text(KALLSYMS)
    monkeypatch.setattr(symbols, "PATH", str(kallsyms))
    monkeypatch.setattr(holders, "holders", lambda kind: {8: [(42, "loader")]})
    monkeypatch.setattr(proc, "fdinfo", lambda fd: {"memlock": "4096"})
    monkeypatch.setattr(proc, "wall_clock", lambda since_boot: 1700000000 + since_boot // 10**9)
    monkeypatch.setattr(proc, "why_hidden", lambda: None)
    monkeypatch.setattr(handles, "fd_kind", lambda fd: "prog")
    monkeypatch.setenv("TZ", "UTC-2")
    time.tzset()

    def no_mount(kind: str, target: str) -> None:
        raise AssertionError(f"a {kind} would have been mounted on {target}")

    monkeypatch.setattr(bpffs, "mount_fs", no_mount)


CODE = encode(
    [
        ld_map_fd(1, 5),
        call(1000),
        jump_imm(c.JEQ, 0, 0, 1),
        Insn(c.JMP | c.CALL, 0, c.PSEUDO_CALL, 1, 1),
        exit_(),
        mov64_imm(0, 2),
        exit_(),
    ]
)
"""Two functions: slots 0 and 6."""

JITED = bytes.fromhex("55 b8 07 00 00 00 c9 c3") + bytes.fromhex("f0 48 01 7d e8 eb fe")


def types() -> tuple[bytes, bytes, bytes]:
    """BTF, func_info and line_info of CODE."""
    b = BtfBuilder()
    number = b.int("int", 4, signed=True)
    main = b.func(NAME, b.func_proto(number, [("ctx", b.ptr(0))]))
    second = b.func("second", b.func_proto(number))
    lines = [(0, '\tx = "1";', 3, 5), (6, "return 2;", 9, 0)]
    file = b.string("dir/file.c")
    info = [(slot, file, b.string(text), line << 10 | col) for slot, text, line, col in lines]
    return (
        b.blob(),
        struct.pack("=4I", 0, main, 6, second),
        b"".join(struct.pack("=4I", *record) for record in info),
    )


def constants() -> bytes:
    """BTF of a map of global constants with metadata."""
    b = BtfBuilder()
    number = b.int("int", 4, signed=True)
    text = b.array(b.char(), 8)
    b.datasec(
        ".rodata",
        16,
        [
            (b.var("bpf_metadata_version", number), 0, 4),
            (b.var("other", number), 4, 4),
            (b.var("bpf_metadata_author", text), 8, 8),
        ],
    )
    return b.blob()


def machine(**rules: Answer) -> Kernel:
    """A kernel with a few programs in it."""
    kernel = Kernel(**rules)
    kernel.add_prog(
        3, type=FILTER, name="bare", tag=TAG, arrays={"xlated_prog_insns": CODE}, gpl_compatible=1
    )
    blob, functions, lines = types()
    kernel.add_btf(11, blob)
    kernel.add_prog(
        8,
        type=CLS,
        name=NAME[:15],
        tag=bytes(range(8)),
        load_time=5 * 10**9,
        created_by_uid=1000,
        btf_id=11,
        run_time_ns=70,
        run_cnt=2,
        recursion_misses=1,
        arrays={
            "xlated_prog_insns": CODE,
            "jited_prog_insns": JITED,
            "jited_ksyms": struct.pack("=QQ", FIRST, SECOND),
            "jited_func_lens": struct.pack("=II", 8, 7),
            "func_info": functions,
            "line_info": lines,
            "jited_line_info": struct.pack("=QQ", FIRST, SECOND),
            "map_ids": struct.pack("=II", 20, 21),
        },
    )
    kernel.add_map(20, type=ARRAY, key_size=4, value_size=4, name="plain")
    kernel.add_map(
        21,
        type=ARRAY,
        key_size=4,
        value_size=16,
        name="obj.rodata",
        max_entries=1,
        btf_id=12,
        btf_value_type_id=7,
        entries={bytes(4): struct.pack("=ii8s", -5, 1, b'me "x"')},
    )
    kernel.add_btf(12, constants())
    for id in (30, 31):
        kernel.add_prog(id, type=99, name="twin", arrays={"xlated_prog_insns": CODE[-16:]})
    return kernel


@pytest.fixture
def kernel() -> Iterator[Kernel]:
    with machine() as kernel:
        yield kernel


# ------------------------------------------------------------------ show

SHOWN_3 = """\
3: socket_filter  name bare  tag a04f5eef06a7f555  gpl
\txlated 64B  not jited  memlock 4096B
"""
SHOWN_8 = f"""\
8: sched_cls  name {NAME}  tag 0001020304050607 run_time_ns 70 run_cnt 2 recursion_misses 1
\tloaded_at 2023-11-15T00:13:25+0200  uid 1000
\txlated 64B  jited 15B  memlock 4096B  map_ids 20,21
\tbtf_id 11
\tpids loader(42)
\tmetadata:
\t\tversion = -5
\t\tauthor = "me \\"x\\""
"""
RECORD_8 = {
    "id": 8,
    "type": "sched_cls",
    "name": NAME,
    "tag": "0001020304050607",
    "gpl_compatible": False,
    "run_time_ns": 70,
    "run_cnt": 2,
    "recursion_misses": 1,
    "loaded_at": 1700000005,
    "uid": 1000,
    "orphaned": False,
    "bytes_xlated": 64,
    "jited": True,
    "bytes_jited": 15,
    "bytes_memlock": 4096,
    "map_ids": [20, 21],
    "btf_id": 11,
    "pids": [{"pid": 42, "comm": "loader"}],
    "metadata": {"version": -5, "author": 'me "x"'},
}
TWINS = """\
30: type 99  name twin  tag 0000000000000000
\txlated 16B  not jited  memlock 4096B
31: type 99  name twin  tag 0000000000000000
\txlated 16B  not jited  memlock 4096B
"""


@pytest.mark.parametrize(
    ("words", "out"),
    [
        ("prog show id 3", SHOWN_3),
        ("p l tag A04f5eef06a7f555", SHOWN_3),
        ("prog show id 8", SHOWN_8),
        (f"prog show name {NAME}", SHOWN_8),
        ("prog", SHOWN_3 + SHOWN_8 + TWINS),
        ("prog list name twin", TWINS),
        (
            "-j prog show id 3",
            '{"id":3,"type":"socket_filter","name":"bare","tag":"a04f5eef06a7f555",'
            '"gpl_compatible":true,"orphaned":false,"bytes_xlated":64,"jited":false,'
            '"bytes_memlock":4096}\n',
        ),
        (
            "-p prog show id 30",
            '{\n    "id": 30,\n    "type": 99,\n    "name": "twin",\n'
            '    "tag": "0000000000000000",\n    "gpl_compatible": false,\n'
            '    "orphaned": false,\n    "bytes_xlated": 16,\n    "jited": false,\n'
            '    "bytes_memlock": 4096\n}\n',
        ),
    ],
)
def test_show(words: str, out: str, kernel: Kernel) -> None:
    assert pybpftool(*words.split()) == Ended(out.encode(), b"", 0)


def test_record(kernel: Kernel) -> None:
    record = pybpftool("-j", "prog", "show", "id", "8").json
    assert list(record.items()) == list(RECORD_8.items())
    assert [each["id"] for each in pybpftool("-p", "prog", "list").json] == [3, 8, 30, 31]


def test_pins(kernel: Kernel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(handles, "pinned_paths", lambda kind: {3: ["/a b", "/c"]})
    assert "4096B\n\tpinned /a b\n\tpinned /c\n" in pybpftool("-f", "prog", "show", "id", "3").out
    assert pybpftool("-fj", "prog", "show", "id", "3").json["pinned"] == ["/a b", "/c"]
    assert pybpftool("-fj", "prog", "show", "id", "30").json["pinned"] == []


def test_one_call_tells_a_program_and_its_maps(kernel: Kernel) -> None:
    kernel.calls.clear()
    pybpftool("prog", "show", "id", "3")
    assert kernel.calls == ["PROG_GET_FD_BY_ID", "OBJ_GET_INFO_BY_FD"]


def test_more_maps_than_expected() -> None:
    with Kernel() as kernel:
        ids = list(range(100, 200))
        kernel.add_prog(1, type=XDP, arrays={"map_ids": struct.pack("=100I", *ids)})
        assert pybpftool("-j", "prog", "show", "id", "1").json["map_ids"] == ids


@pytest.mark.parametrize("blob", [b"", b"nonsense", BtfBuilder().blob()], ids=len)
def test_a_name_that_btf_cannot_tell(blob: bytes) -> None:
    """BTF that is gone, broken or has no such function: the kernel's name it is."""
    with machine() as kernel:
        kernel.btfs[11].blob = blob
        assert pybpftool("-j", "prog", "show", "id", "8").json["name"] == NAME[:15]
        del kernel.btfs[11]
        assert pybpftool("-j", "prog", "show", "id", "8").json["name"] == NAME[:15]


def test_short_names_need_no_btf(kernel: Kernel) -> None:
    pybpftool("prog", "show", "name", "bare")
    assert kernel.calls.count("BTF_GET_FD_BY_ID") == 1  # of the one whose name may be cut


def test_metadata_that_cannot_be_read(kernel: Kernel) -> None:
    del kernel.btfs[12]
    assert "metadata" not in pybpftool("-j", "prog", "show", "id", "8").json


def test_programs_that_vanish_are_skipped() -> None:
    def gone(arm: object) -> int:
        return -errno.ENOENT if arm.prog_id == 8 else Kernel._prog_get_fd_by_id(kernel, arm)  # type: ignore[attr-defined]  # the arm is cffi's

    with machine(PROG_GET_FD_BY_ID=gone) as kernel:
        listed = pybpftool("prog", "list")
    assert (listed.out, listed.status) == (SHOWN_3 + TWINS, 0)


def test_a_program_whose_device_is_gone() -> None:
    with machine(OBJ_GET_INFO_BY_FD=-errno.ENODEV):
        ended = pybpftool("prog", "show", "id", "3")
    assert ended.out == (
        "0: unspec  tag 0000000000000000\n\txlated 0B  not jited  memlock 4096B  orphaned\n"
    )


# ------------------------------------------------------------------ dump xlated

XLATED_3 = """\
   0: (18) r1 = map[id:5]
   2: (85) call __htab_map_lookup_elem#1000
   3: (15) if r0 == 0x0 goto pc+1
   4: (85) call pc+1
   5: (95) exit
   6: (b7) r0 = 2
   7: (95) exit
"""
XLATED_8 = f"""\
int {NAME}(void * ctx):
; x = "1"; [file:dir/file.c line_num:3 line_col:5]
   0: (18) r1 = map[id:5]
       18 11 00 00 05 00 00 00 00 00 00 00 00 00 00 00
   2: (85) call __htab_map_lookup_elem#1000
       85 00 00 00 e8 03 00 00
   3: (15) if r0 == 0x0 goto pc+1
       15 00 01 00 00 00 00 00
   4: (85) call pc+1#0x{SECOND:x}
       85 10 01 00 01 00 00 00
   5: (95) exit
       95 00 00 00 00 00 00 00
int second():
; return 2; [file:dir/file.c line_num:9 line_col:0]
   6: (b7) r0 = 2
       b7 00 00 00 02 00 00 00
   7: (95) exit
       95 00 00 00 00 00 00 00
"""
FIRST_RECORD = {
    "proto": f"int {NAME}(void * ctx)",
    "src": 'x = "1";',
    "file": "dir/file.c",
    "line_num": 3,
    "line_col": 5,
    "disasm": "(18) r1 = map[id:5]",
    "opcodes": {
        "code": "0x18",
        "src_reg": "0x1",
        "dst_reg": "0x1",
        "off": ["0x00", "0x00"],
        "imm": ["0x05", *["0x00"] * 11],
    },
}
EXIT = "   0: (b7) r0 = 2\n   1: (95) exit\n"


@pytest.mark.parametrize(
    ("words", "out"),
    [
        ("dump xlated id 3", XLATED_3),
        ("d x id 3", XLATED_3),
        ("dump xlated id 8 opcodes linum", XLATED_8),
        ("dump xlated id 8 l o", XLATED_8),
        (
            "dump xlated name twin",
            f"30: type 99  name twin  tag 0000000000000000\n{EXIT}\n"
            f"31: type 99  name twin  tag 0000000000000000\n{EXIT}",
        ),
        (
            "-j dump xlated id 30",
            '[{"disasm":"(b7) r0 = 2"},{"disasm":"(95) exit"}]\n',
        ),
        (
            "-p dump xlated id 30",
            '[{\n        "disasm": "(b7) r0 = 2"\n    },'
            '{\n        "disasm": "(95) exit"\n    }\n]\n',
        ),
        (
            "-j dump xlated name twin",
            "["
            + ",".join(
                f'{{"id":{id},"type":99,"name":"twin","tag":"0000000000000000",'
                '"gpl_compatible":false,"insns":[{"disasm":"(b7) r0 = 2"},{"disasm":"(95) exit"}]}'
                for id in (30, 31)
            )
            + "]\n",
        ),
    ],
)
def test_dump_xlated(words: str, out: str, kernel: Kernel) -> None:
    option, *rest = words.split() if words.startswith("-") else ("", *words.split())
    assert pybpftool(*filter(None, (option, "prog", *rest))) == Ended(out.encode(), b"", 0)


def test_records_of_xlated(kernel: Kernel) -> None:
    records = pybpftool("-j", "prog", "dump", "xlated", "id", "8", "opcodes", "linum").json
    assert list(records[0].items()) == list(FIRST_RECORD.items())
    assert [record.get("proto") for record in records].count("int second()") == 1
    assert records[5]["line_num"] == 9
    assert "line_col" not in records[5]


def test_symbols_are_read_only_for_calls(kernel: Kernel, monkeypatch: pytest.MonkeyPatch) -> None:
    def never(self: object) -> None:
        raise AssertionError("kallsyms was read")

    monkeypatch.setattr(symbols.Symbols, "_read", never)
    assert pybpftool("prog", "dump", "xlated", "id", "30").out == EXIT


def test_visual(kernel: Kernel) -> None:
    ended = pybpftool("prog", "dump", "xlated", "id", "8", "visual")
    assert ended.status == 0
    assert ended.out.startswith('digraph "DOT graph for eBPF program" {\n')
    second = ended.out.partition('label="func_1 ()"')[2]
    assert "; int second():\\l\\\n; return\\ 2;\\l\\\n0: (b7) r0 = 2\\l\\\n" in second
    assert pybpftool("prog", "graph", "id", "8") == ended
    with_lines = pybpftool(*"prog dump xlated id 8 visual linum opcodes".split())
    assert "[dir/file.c line:9 col:0]" in with_lines.out
    assert "\\ \\ \\ \\ b7 00 00 00 02 00 00 00" in with_lines.out


def test_a_picture(kernel: Kernel) -> None:
    need(shutil.which("dot"), "needs dot, of Graphviz")
    ended = pybpftool("prog", "graph", "id", "3", "svg")
    assert "<svg" in ended.out and "__htab_map_lookup_elem" in ended.out
    assert ended.out.endswith("</svg>\n")


def test_no_picture_without_dot(kernel: Kernel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    assert pybpftool("prog", "graph", "id", "3", "svg") == Ended(
        b"",
        b"Error: can't draw the graph: there is no dot\n"
        b"Hint: the package graphviz brings it along\n",
        255,
    )


# ------------------------------------------------------------------ dump jited

JITED_8 = f"""\
int {NAME}(void * ctx):
bpf_prog_a04f5eef06a7f555_main:
; x = "1"; [file:dir/file.c line_num:3 line_col:5]
   0:\tpushq\t%rbp
   1:\tmovl\t$7, %eax
   6:\tleave
   7:\tretq

int second():
0x{SECOND:016x}:
; return 2; [file:dir/file.c line_num:9 line_col:0]
   0:\tlock
   1:\taddq\t%rdi, -24(%rbp)
   5:\tjmp\t0x{SECOND + 5:x}

"""
JITED_RECORDS = [
    {
        "proto": f"int {NAME}(void * ctx)",
        "name": "bpf_prog_a04f5eef06a7f555_main",
        "insns": [
            {
                "src": 'x = "1";',
                "pc": "0x0",
                "operation": "pushq",
                "operands": ["%rbp"],
                "opcodes": ["0x55"],
            },
            {
                "pc": "0x1",
                "operation": "movl",
                "operands": ["$7", "%eax"],
                "opcodes": ["0xb8", "0x07", "0x00", "0x00", "0x00"],
            },
            {"pc": "0x6", "operation": "leave", "operands": [None], "opcodes": ["0xc9"]},
            {"pc": "0x7", "operation": "retq", "operands": [None], "opcodes": ["0xc3"]},
        ],
    },
    {
        "proto": "int second()",
        "name": f"0x{SECOND:016x}",
        "insns": [
            {
                "src": "return 2;",
                "pc": "0x0",
                "operation": "lock",
                "operands": [None],
                "opcodes": ["0xf0"],
            },
            {
                "pc": "0x1",
                "operation": "addq",
                "operands": ["%rdi", "-24", "%rbp"],
                "opcodes": ["0x48", "0x01", "0x7d", "0xe8"],
            },
            {
                "pc": "0x5",
                "operation": "jmp",
                "operands": [f"0x{SECOND + 5:x}"],
                "opcodes": ["0xeb", "0xfe"],
            },
        ],
    },
]


@pytest.fixture
def x86(monkeypatch: pytest.MonkeyPatch) -> None:
    """Machine code is that of x86-64, wherever the tests run."""
    pytest.importorskip("capstone")
    monkeypatch.setattr(os, "uname", lambda: SimpleNamespace(machine="x86_64"))


def test_dump_jited(kernel: Kernel, x86: None) -> None:
    assert pybpftool(*"prog dump jited id 8 linum".split()) == Ended(JITED_8.encode(), b"", 0)
    assert pybpftool(*"prog dump j id 8 linum visual".split()).out == JITED_8


def test_records_of_jited(kernel: Kernel, x86: None) -> None:
    assert pybpftool(*"-j prog dump jited id 8 opcodes".split()).json == JITED_RECORDS
    plain = pybpftool(*"prog dump jited id 8 opcodes".split()).out
    assert "   1:\tmovl\t$7, %eax\n\tb8 07 00 00 00 \n" in plain


def test_functions_that_are_not_told_apart(x86: None) -> None:
    """As kernels before 4.18 have it."""
    with Kernel() as kernel:
        kernel.add_prog(1, type=XDP, arrays={"jited_prog_insns": b"\xc9\xc3"})
        assert pybpftool(*"prog dump jited id 1".split()).out == "   0:\tleave\n   1:\tretq\n"
        assert len(pybpftool(*"-j prog dump jited id 1".split()).json) == 2


def test_hidden_addresses(kernel: Kernel, x86: None) -> None:
    kernel.progs[8].hidden = {"jited_ksyms", "jited_line_info"}
    out = pybpftool(*"prog dump jited id 8".split()).out
    assert out.startswith(f"int {NAME}(void * ctx):\nunknown:\n   0:\tpushq")
    assert ";" not in out


def test_without_a_disassembler(kernel: Kernel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "capstone", None)
    assert pybpftool(*"prog dump jited id 8".split()) == Ended(
        b"",
        b"Error: No JIT disassembly support\n"
        b"Hint: pip install 'pybpftool[disasm]' brings the Capstone disassembler along\n",
        255,
    )


# ------------------------------------------------------------------ file


@pytest.mark.parametrize(("image", "data"), [("xlated", CODE), ("jited", JITED)])
def test_file(image: str, data: bytes, kernel: Kernel, tmp_path: Path) -> None:
    path = tmp_path / "image"
    line = ["prog", "dump", image, "id", "8", "file", str(path)]
    assert pybpftool(*line) == Ended(b"", b"", 0)
    assert path.read_bytes() == data
    assert path.stat().st_mode & 0o777 == 0o600
    assert pybpftool("-j", *line) == Ended(b"null\n", b"", 0)
    assert pybpftool(*line[:-1], "/nonexistent/x").err == (
        "Error: can't open file /nonexistent/x: No such file or directory\n"
    )


def test_a_file_that_cannot_be_written(kernel: Kernel) -> None:
    need(Path("/dev/full").exists(), "needs /dev/full")
    ended = pybpftool(*"prog dump xlated id 3 file /dev/full".split())
    assert (ended.err, ended.status) == (
        "Error: error writing output file: No space left on device\n",
        255,
    )


# ------------------------------------------------------------------ refusals

TRUNCATED = b"\x18" + bytes(7)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("show foo", "what is 'foo'?"),
        ("show id 3 more", "what is 'id'?"),
        ("show id 99", "get by id (99): No such file or directory"),
        ("show id x", "can't parse x as ID"),
        ("show tag 12", "can't parse tag"),
        ("show tag 0011223344556677", "no program has the tag '0011223344556677'"),
        (f"show name {NAME[:15]}", f"no program has the name '{NAME[:15]}'"),
        (f"show name {'x' * 128}", "can't parse name"),
        ("show nothing 1", "expected 'id', 'tag', 'name' or 'pinned', got: 'nothing'?"),
        ("dump", "expected 'xlated' or 'jited', got: (null)"),
        ("dump foo", "expected 'xlated' or 'jited', got: foo"),
        ("dump xlated id 99", "get by id (99): No such file or directory"),
        ("dump xlated id 3 file", "expected file path"),
        ("dump xlated name twin file /x", "several programs matched"),
        ("dump xlated name twin visual", "several programs matched"),
        (
            "dump xlated id 3 opcodes file /x",
            "'file' is not compatible with 'opcodes', 'visual', or 'linum'",
        ),
        (
            "dump jited id 3",
            "error retrieving jit dump: no instructions returned or kernel.kptr_restrict set?\n"
            "Hint: the kernel interprets this program: sysctl net.core.bpf_jit_enable",
        ),
        ("graph name twin", "several programs match this handle"),
        ("pin name twin /x", "several programs match this handle"),
        ("pin id 3 /", "can't pin BPF object: path '/' already exists"),
    ],
)
def test_refused(words: str, message: str, kernel: Kernel) -> None:
    assert pybpftool("prog", *words.split()) == Ended(b"", f"Error: {message}\n".encode(), 255)


def test_pin_needs_its_words(kernel: Kernel) -> None:
    assert pybpftool("prog", "pin", "id", "3") == Ended(
        b"", b"Error: 'pin' needs at least 3 arguments, 2 found\n", 234
    )


@pytest.mark.parametrize("words", ["dump xlated", "dump jited id", "dump xlated id 3 more", "x"])
def test_misuse(words: str, kernel: Kernel) -> None:
    ended = pybpftool("prog", *words.split())
    assert (ended.out, ended.status) == ("", 255)
    assert ended.err.startswith("Usage: pybpftool prog { show | list } [PROG]\n")
    assert pybpftool("-j", "prog", *words.split()).out == "null\n"


@pytest.mark.parametrize("words", ["dump xlated id 3 visual", "graph id 3"])
def test_graphs_are_no_json(words: str, kernel: Kernel) -> None:
    what = "visual" if "visual" in words else "graph"
    assert pybpftool("-j", "prog", *words.split()).json == {
        "error": f"'{what}' is not compatible with JSON output"
    }


@pytest.mark.parametrize(
    ("image", "message"),
    [
        ("xlated", "error retrieving insn dump: kernel.kptr_restrict set?"),
        (
            "jited",
            "error retrieving jit dump: no instructions returned or kernel.kptr_restrict set?",
        ),
    ],
)
def test_hidden_code(
    image: str, message: str, kernel: Kernel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(proc, "why_hidden", lambda: "this process lacks CAP_SYSLOG")
    kernel.progs[8].hidden = {f"{image}_prog_insns"}
    ended = pybpftool("prog", "dump", image, "id", "8")
    assert ended == Ended(
        b"", f"Error: {message}\nHint: this process lacks CAP_SYSLOG\n".encode(), 255
    )
    assert pybpftool("-j", "prog", "dump", image, "id", "8").json == {"error": message}


def test_btf_that_cannot_be_read(kernel: Kernel) -> None:
    del kernel.btfs[11]
    ended = pybpftool("prog", "dump", "xlated", "id", "8")
    assert ended.err.startswith("Error: failed to get btf\nHint: ")


@pytest.mark.parametrize(
    ("array", "data"),
    [
        ("xlated_prog_insns", TRUNCATED),
        ("func_info", struct.pack("=4I", 0, 77, 6, 1 << 31)),
        ("line_info", struct.pack("=8I", 0, 1 << 30, 1 << 31, 0, 5, 0, 1 << 30, 7)),
        ("jited_line_info", struct.pack("=QQ", 0, 1 << 63)),
        ("jited_func_lens", struct.pack("=II", 1 << 31, 0)),
        ("jited_ksyms", struct.pack("=Q", 1)),
    ],
)
def test_information_that_contradicts_itself(
    array: str, data: bytes, kernel: Kernel, x86: None
) -> None:
    """An answer or one sentence, never a traceback."""
    kernel.progs[8].arrays[array] = data
    for image in ("xlated", "jited"):
        for options in ([], ["visual"], ["linum", "opcodes"]):
            ended = pybpftool("prog", "dump", image, "id", "8", *options)
            assert "unexpected" not in ended.err
            if options != ["visual"]:
                document = pybpftool("-j", "prog", "dump", image, "id", "8", *options)
                assert json.loads(document.out) is not None


@pytest.mark.parametrize(
    ("rules", "words", "message"),
    [
        ({"PROG_GET_NEXT_ID": -errno.EPERM}, "list", "can't get next program: "),
        (
            {"PROG_GET_NEXT_ID": -errno.EINVAL},
            "list",
            "can't get next program: Invalid argument -- kernel too old?",
        ),
        ({"PROG_GET_FD_BY_ID": -errno.EACCES}, "list", "can't get prog by id (3): "),
        ({"OBJ_GET_INFO_BY_FD": -errno.EFAULT}, "show id 3", "can't get prog info: Bad address"),
        ({"OBJ_GET_INFO_BY_FD": -errno.EFAULT}, "dump xlated id 3", "can't get prog info: "),
        ({"OBJ_PIN": -errno.EPERM}, "pin id 3 {}/x", "can't pin the object ({}/x): "),
    ],
)
def test_the_kernel_says_no(
    rules: dict[str, Answer],
    words: str,
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(bpffs, "is_bpffs", lambda path: True)
    with machine(**rules):
        ended = pybpftool("prog", *words.format(tmp_path).split())
    assert ended.err.startswith(f"Error: {message.format(tmp_path)}")
    assert ended.status == 255
