"""``btf``: lines and documents from files, every wrong word, and files written whole."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from pybpftool.kernel._abi import ffi
from tests.support.btf_builder import BtfBuilder
from tests.support.run import Ended, pybpftool
from tests.support.tape import Tape, gives, memory, new_fd


def types() -> BtfBuilder:
    b = BtfBuilder()
    b.int("int", 4, signed=True)
    b.struct("point", 8, [("x", 1, 0), ("y", 1, 32)])
    b.ptr(2)
    b.typedef("point_t", 2)
    return b


@pytest.fixture
def file(tmp_path: Path) -> str:
    path = tmp_path / "types.btf"
    path.write_bytes(types().blob())
    return str(path)


def frame(text: str) -> str:
    """What a header holds between its first and last lines."""
    _, _, rest = text.partition("__attribute__((bpf_fastcall))\n#else\n")
    return rest.partition("#endif\n#endif\n\n")[2].partition("#ifndef BPF_NO_PRES")[0]


# ------------------------------------------------------------------ dump


def test_raw(file: str) -> None:
    assert pybpftool("btf", "dump", "file", file).out == (
        "[1] INT 'int' size=4 bits_offset=0 nr_bits=32 encoding=SIGNED\n"
        "[2] STRUCT 'point' size=8 vlen=2\n"
        "\t'x' type_id=1 bits_offset=0\n"
        "\t'y' type_id=1 bits_offset=32\n"
        "[3] PTR '(anon)' type_id=2\n"
        "[4] TYPEDEF 'point_t' type_id=2\n"
    )


def test_raw_in_json(file: str) -> None:
    compact = pybpftool("-j", "btf", "dump", "file", file, "root_id", "3", "root_id", "4")
    assert compact.out == (
        '{"types":[{"id":3,"kind":"PTR","name":"(anon)","type_id":2},'
        '{"id":4,"kind":"TYPEDEF","name":"point_t","type_id":2}]}\n'
    )
    pretty = pybpftool("-p", "bt", "d", "f", file, "fo", "raw", "r", "3")
    assert (
        pretty.out
        == """\
{
    "types": [{
            "id": 3,
            "kind": "PTR",
            "name": "(anon)",
            "type_id": 2
        }
    ]
}
"""
    )


def test_nothing_to_dump(tmp_path: Path) -> None:
    path = tmp_path / "none"
    path.write_bytes(BtfBuilder().blob())
    assert pybpftool("btf", "dump", "file", str(path)) == Ended(b"", b"", 0)
    assert pybpftool("-j", "btf", "dump", "file", str(path)).out == '{"types":[]}\n'
    assert pybpftool("-p", "btf", "dump", "file", str(path)).out == '{\n    "types": []\n}\n'


def test_types_by_name(file: str) -> None:
    lines = pybpftool("btf", "dump", "file", file, "type", "point_t", "type", "int").out
    assert [line[:3] for line in lines.splitlines()] == ["[4]", "[1]"]
    text = pybpftool("btf", "dump", "file", file, "type", "struct point", "format", "c").out
    assert frame(text) == "struct point {\n\tint x;\n\tint y;\n};\n\n"
    text = pybpftool("btf", "dump", "file", file, "format", "c", "type", "point_t").out
    assert frame(text).endswith("typedef struct point point_t;\n\n")
    for name in ("nothing", "union point", "struct nothing"):
        ended = pybpftool("btf", "dump", "file", file, "type", name)
        assert ended.err == f"Error: BTF '{file}' has no type '{name}'\n"
        assert (ended.out, ended.status) == ("", 254)


WRONG = [
    ("btf dump foo x", "unrecognized BTF source specifier: 'foo'", 255),
    ("btf dump file {} blah", "unrecognized option: 'blah'", 234),
    ("btf dump file {} format", "expecting value for 'format' option", 234),
    (
        "btf dump file {} format C",
        "unrecognized format specifier: 'C', possible values: raw, c",
        234,
    ),
    ("btf dump file {} root_id 5", "invalid root ID: 5", 234),
    ("btf dump file {} root_id x", "can't parse x as root ID", 255),
    ("btf dump file {} root_id 1 root_id 1", "duplicate root_id 1 supplied", 234),
    ("btf dump file {} root_id", "'root_id' needs at least 1 arguments, 0 found", 255),
    (f"btf dump file {{}}{' root_id {}' * 17}", "only 16 root_id are supported", 249),
    ("btf dump file {} file", "'file' needs at least 1 arguments, 0 found", 234),
    (
        "btf dump file {} file {}",
        "base BTF is required when merging multiple BTF files; use -B/--base-btf or use sysfs "
        "paths",
        234,
    ),
    (f"btf dump{' file {}' * 65}", "too many BTF files (max 64)", 249),
    ("btf dump id x", "can't parse x as ID", 255),
    ("btf show foo 1", "expected 'id', got: 'foo'?", 255),
    ("btf show id", "what is 'id'?", 255),
    ("btf show id 1 2", "what is 'id'?", 255),
    ("btf layout int file {}", "'int' is no struct or union", 234),
    ("btf layout no file {}", "BTF '{}' has no type 'no'", 254),
]


@pytest.mark.parametrize(
    ("line", "message", "status"), WRONG, ids=[line[:40] for line, *_ in WRONG]
)
def test_wrong_words(line: str, message: str, status: int, file: str) -> None:
    words = line.split()
    roots = iter(range(2, 99))
    for at, word in enumerate(words):
        if word == "{}":
            words[at] = str(next(roots)) if words[at - 1] == "root_id" else file
    if "root_id" in words and len(words) > 20:  # more ids than the little file has
        assert words.count("root_id") == 17
    ended = pybpftool(*words)
    assert (ended.out, ended.err, ended.status) == (
        "",
        f"Error: {message.replace('{}', file)}\n",
        status,
    )
    ended = pybpftool("-j", *words)
    assert ended.json == {"error": message.replace("{}", file)}
    assert ended.status == status


@pytest.mark.parametrize(
    "line", ["btf dump", "btf dump file", "btf dump map id", "btf dump prog id"]
)
def test_too_few_words(line: str) -> None:
    ended = pybpftool(*line.split())
    last, found = line.split()[1:2] or [""], len(line.split()) - 2
    if line.split()[-2] in ("map", "prog"):
        last, found = [line.split()[-2]], 1
    assert ended.err.startswith(
        f"Error: '{last[0]}' needs at least 2 arguments, {found} found\nUsage: pybpftool btf "
    )
    assert ended.status == 255


BAD_FILES = [
    (b"", "too short for BTF", 251),
    (b"#!/bin/sh\n", "neither BTF nor ELF", 95),
    (b"\x7fELF", "not a sound ELF file", 95),
    (b"\x9f\xeb\1\0", "4 bytes are less than a header of 24", 234),
    (types().blob()[:-1], "string section at byte", 234),
    (BtfBuilder().blob()[:16] + b"\xff" * 8 + b"\0", "past the end", 234),
]


@pytest.mark.parametrize(("content", "reason", "status"), BAD_FILES)
def test_bad_files(content: bytes, reason: str, status: int, tmp_path: Path) -> None:
    path = tmp_path / "bad"
    path.write_bytes(content)
    ended = pybpftool("btf", "dump", "file", str(path))
    assert ended.err.startswith(f"Error: failed to load BTF from {path}: ")
    assert reason in ended.err
    assert ended.err.count("\n") == 1 and ended.err.count(str(path)) == 1
    assert (ended.out, ended.status) == ("", status)


def test_no_file() -> None:
    ended = pybpftool("btf", "dump", "file", "/nonexistent")
    assert ended.err == "Error: failed to load BTF from /nonexistent: No such file or directory\n"
    assert ended.status == 254


def test_c_is_no_json(file: str) -> None:
    ended = pybpftool("-j", "btf", "dump", "file", file, "format", "c")
    assert ended.json == {"error": "JSON output for C-syntax dump is not supported"}
    assert ended.status == 161


# ------------------------------------------------------------------ several files, and bases


def test_split_and_whole_files_over_a_base(file: str, tmp_path: Path) -> None:
    """What continues the base and what does not: "alone-over-base" of the differences."""
    split = BtfBuilder(base=types())
    split.typedef("mine", 2)
    (tmp_path / "split").write_bytes(split.blob())
    alone = types()
    alone.typedef("other", 2)
    (tmp_path / "alone").write_bytes(alone.blob())
    base = ["-B", file]
    assert pybpftool("btf", "dump", "file", str(tmp_path / "split"), *base).out == (
        "[5] TYPEDEF 'mine' type_id=2\n"
    )
    ended = pybpftool("btf", "dump", "file", str(tmp_path / "alone"), *base)
    assert ended.out.startswith("[1] INT 'int' ")  # it continues nothing
    both = [word for name in ("split", "alone") for word in ("file", str(tmp_path / name))]
    assert pybpftool("btf", "dump", *both, *base).out == (
        "[5] TYPEDEF 'mine' type_id=2\n[6] TYPEDEF 'other' type_id=2\n"
    )


# ------------------------------------------------------------------ layout


def test_layout(file: str) -> None:
    text = pybpftool("btf", "layout", "point_t", "file", file).out
    assert (
        text
        == """\
struct point {
    int x;  /*     0        4 */
    int y;  /*     4        4 */

    /* size 8: 8 bytes in 2 members */
    /* 1 cacheline of 64, 8 in the last */
};
"""
    )
    record = pybpftool("-j", "btf", "layout", "struct point", "file", file).json
    assert record["size"] == 8
    assert [member["name"] for member in record["members"]] == ["x", "y"]


def test_diff(file: str, tmp_path: Path) -> None:
    b = BtfBuilder()
    b.int("int", 4, signed=True)
    b.struct("point", 12, [("x", 1, 0), ("z", 1, 32), ("y", 1, 64)])
    newer = tmp_path / "newer"
    newer.write_bytes(b.blob())
    ended = pybpftool("btf", "diff", file, "file", str(newer))
    assert ended == Ended(
        b"struct point: size 8 -> 12\n"
        b"    + z: int at 4, size 4\n"
        b"    ! y: offset 4 -> 8\n"
        b"typedef point_t: removed, struct point\n",
        b"",
        0,
    )
    changes = pybpftool("-j", "btf", "diff", "file", file, str(newer)).json
    assert [(each["change"], each["name"]) for each in changes] == [
        ("changed", "point"),
        ("removed", "point_t"),
    ]
    assert changes[0]["members"][1]["bits_offset"] == {"old": 32, "new": 64}
    assert pybpftool("-j", "btf", "diff", file, file).out == "[]\n"
    assert pybpftool("btf", "diff", file, file) == Ended(b"", b"", 0)


# ------------------------------------------------------------------ show, played by a tape


def _info(blob: bytes, name: bytes, kernel: int) -> dict[str, object]:
    return {"id": 7, "btf_size": len(blob), "name": name, "kernel_btf": kernel}


def _tape(blob: bytes, name: bytes = b"", kernel: int = 0) -> Tape:
    """A kernel with one BTF, id 7, and nothing else."""

    def info(arm: object) -> int:
        raw = ffi.cast("struct bpf_btf_info *", arm.info)  # type: ignore[attr-defined]  # an arm of bpf_attr
        if raw.name and name:
            memory(raw.name, len(name) + 1)[:] = name + b"\0"
        if raw.btf:
            memory(raw.btf, len(blob))[:] = blob
        raw.id, raw.btf_size, raw.name_len, raw.kernel_btf = 7, len(blob), len(name), kernel
        return 0

    def following(arm: object) -> int:
        if arm.start_id >= 7:  # type: ignore[attr-defined]  # an arm of bpf_attr
            return -errno.ENOENT
        return gives(next_id=7)(arm)

    return Tape(
        PROG_GET_NEXT_ID=-errno.ENOENT,
        MAP_GET_NEXT_ID=-errno.ENOENT,
        BTF_GET_NEXT_ID=following,
        BTF_GET_FD_BY_ID=lambda arm: new_fd() if arm.btf_id == 7 else -errno.ENOENT,
        OBJ_GET_INFO_BY_FD=info,
    )


@pytest.fixture
def no_holders(monkeypatch: pytest.MonkeyPatch) -> None:
    from pybpftool.kernel import holders

    monkeypatch.setattr(holders, "holders", lambda kind: {})


@pytest.mark.parametrize(
    ("name", "kernel", "shown"),
    [(b"", 0, "<anon>"), (b"obj", 0, "obj"), (b"vmlinux", 1, "[vmlinux]"), (b"mod", 1, "[mod]")],
)
def test_show(name: bytes, kernel: int, shown: str, no_holders: None) -> None:
    blob = types().blob()
    with _tape(blob, name, kernel):
        assert pybpftool("btf").out == f"7: name {shown}  size {len(blob)}B\n"
        one = pybpftool("-j", "btf", "show", "id", "7").json
        assert pybpftool("-j", "btf", "list").json == [one]
    record = {"id": 7, "size": len(blob), "prog_ids": [], "map_ids": [], "kernel": bool(kernel)}
    assert one == {**record, **({"name": name.decode()} if name else {})}


def test_show_what_is_not_there() -> None:
    with _tape(b""):
        ended = pybpftool("btf", "show", "id", "8")
    assert ended.err == "Error: can't get BTF object by id (8): No such file or directory\n"
    assert ended.status == 255


def test_dump_by_id() -> None:
    with _tape(types().blob()):
        assert pybpftool("btf", "dump", "id", "7", "root_id", "3").out == (
            "[3] PTR '(anon)' type_id=2\n"
        )
        ended = pybpftool("btf", "dump", "id", "8")
    assert ended.err == "Error: can't get BTF object by id (8): No such file or directory\n"
    assert ended.status == 254


# ------------------------------------------------------------------ -o FILE


def test_output_into_a_file(file: str, tmp_path: Path) -> None:
    out = tmp_path / "out"
    for words in (["-o", str(out)], [f"-o{out}"], [f"--output={out}"], ["--out", str(out)]):
        ended = pybpftool("btf", "dump", "file", file, "root_id", "3", *words)
        assert ended == Ended(b"", b"", 0)
        assert out.read_text() == "[3] PTR '(anon)' type_id=2\n"
        out.unlink()


def test_a_failure_leaves_the_file_as_it_was(file: str, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.write_text("before")
    for form in ([], ["-j"]):
        ended = pybpftool(*form, "-o", str(out), "btf", "dump", "file", file, "root_id", "99")
        assert ended == Ended(b"", b"Error: invalid root ID: 99\n", 234)
        assert out.read_text() == "before"
    b = BtfBuilder()
    b.int()
    b.struct("fine", 4, [("a", 1, 0)])
    b.struct("s", 8, [("a", 3, 0)])
    bad = tmp_path / "bad"
    bad.write_bytes(b.blob())
    line = ["btf", "dump", "file", str(bad), "format", "c", "unsorted"]
    assert "struct fine" in pybpftool(*line).out
    ended = pybpftool("-o", str(out), *line)
    assert ended.err == f"Error: BTF '{bad}': type [3] at byte 64 holds itself\n"
    assert out.read_text() == "before"
    assert sorted(os.listdir(tmp_path)) == ["bad", "out", "types.btf"]


def test_output_to_nowhere(tmp_path: Path) -> None:
    ended = pybpftool("-o", str(tmp_path / "no" / "where"), "version")
    assert ended.err == f"Error: can't write {tmp_path}/no/where: No such file or directory\n"
    assert ended.status == 255
