"""A verifier's log brought to a few lines."""

from __future__ import annotations

import errno
import time

import pytest

from pybpftool.btf.reader import read_btf
from pybpftool.loader.explain import explain, plain, source_at
from pybpftool.loader.patch import POISON
from tests.support.btf_builder import BtfBuilder

END = "processed 6 insns (limit 1000000) max_states_per_insn 0 total_states 0\n"

NULL = f"""\
0: R1=ctx() R10=fp0
; value = lookup(&counts, &key); @ count.c:7
5: (85) call bpf_map_lookup_elem#1    ; R0=map_value_or_null(id=1,ks=4,vs=8)
; return *value; @ count.c:8
6: (79) r0 = *(u64 *)(r0 +0)
R0 invalid mem access 'map_value_or_null'
{END}"""


def test_a_whole_explanation() -> None:
    record = explain(NULL, program="count", errno=errno.EACCES)
    assert record == {
        "program": "count",
        "reason": "R0 invalid mem access 'map_value_or_null'",
        "insn": 6,
        "code": "(79) r0 = *(u64 *)(r0 +0)",
        "source": "return *value; @ count.c:8",
        "hint": "compare the pointer with NULL before using it",
    }
    assert plain(record) == [
        "program 'count': R0 invalid mem access 'map_value_or_null'",
        "  at instruction 6: (79) r0 = *(u64 *)(r0 +0)",
        "  source: return *value; @ count.c:8",
        "  hint: compare the pointer with NULL before using it",
    ]


@pytest.mark.parametrize(
    ("said", "insn", "hint"),
    [
        ("1: (85) call unknown#9999\ninvalid func unknown#9999\n", 1, "the helper number 9999"),
        ("1: (85) call unknown#211\ninvalid func unknown#211\n", 1, "bpf_cgrp_storage_delete"),
        (f"4: (85) call unknown#{POISON}\ninvalid func unknown#{POISON}\n", 4, "no field 'gone'"),
        (f"5: (85) call unknown#{POISON}\ninvalid func unknown#{POISON}\n", 5, "CO-RE relocation"),
        (
            "1: (85) call bpf_redirect_map#51\n"
            "program of this type cannot use helper bpf_redirect_map#51\n",
            1,
            r"bpf_redirect_map \(number 51\) is not for programs of this type",
        ),
        ("2: (85) call x#51\nunknown func bpf_redirect_map#51\n", 2, "bpf_redirect_map .number 51"),
        (
            "2: (85) call bpf_map_lookup_elem#1\nR1 type=scalar expected=map_ptr\n",
            2,
            "given scalar where it takes map_ptr",
        ),
        ("1: (71) r0 = *(u8 *)(r2 +0)\ninvalid access to packet, off=0 size=1\n", 1, "data_end"),
        ("unreachable insn 2\n", 2, "never be reached"),
        ("5: (85) call bpf_tail_call#12\nexpected prog array map for tail call", 5, "prog_array"),
        ("6: (95) exit\nUnreleased reference id=2 alloc_insn=4\n", 6, "release what was acquired"),
        ("BPF program is too large. Processed 1000001 insn\n", None, "a million"),
        ("7: (15) if r0 == 0x0 goto pc+1 ; R0=0\nsurprise\n", 7, None),
    ],
)
def test_hints(said: str, insn: int | None, hint: str | None) -> None:
    import re

    record = explain(said + END, reasons={4: "the kernel's struct has no field 'gone'"})
    assert record.get("insn") == insn
    assert "processed" not in record["reason"]
    if hint is None:
        assert "hint" not in record
    else:
        assert re.search(hint, record["hint"])


def test_states_and_comments_are_no_reasons() -> None:
    log = f"3: (b7) r0 = 9\nR0 bad\nfrom 1 to 2: R0=1\n; text @ a.c:1\nmark_precise: x\n{END}"
    assert explain(log)["reason"] == "R0 bad"


def test_an_empty_log_leaves_the_errno() -> None:
    assert explain("", errno=errno.EINVAL) == {"reason": "Invalid argument"}
    assert explain("")["reason"] == "the log gives no reason"
    assert "did not fit" in explain("", errno=errno.ENOSPC)["hint"]
    assert "more instructions" in explain("", errno=errno.E2BIG)["hint"]


@pytest.mark.parametrize(
    "log",
    [
        "x" * (8 << 20),
        "\n" * (8 << 20),
        "1: (" * (2 << 20),
        "9" * (4 << 20) + ": (85)\nR0 bad\n",
        "processed " * (1 << 20),
        "R1 type=" * 1000 + " expected=\n" * 100000,
        "\ud800²: (85) x\n²: y\nunreachable insn ²\ninvalid func unknown#²\n",
    ],
    ids=["long line", "empty lines", "marks", "digits", "talk", "expected", "no digits"],
)
def test_hostile_logs(log: str) -> None:
    start = time.process_time()
    record = explain(log, errno=errno.EINVAL)
    assert time.process_time() - start < 5
    assert len(record["reason"]) < 6000


def test_source_lines_from_line_info() -> None:
    b = BtfBuilder()
    file, first, second = (b.string(text) for text in ("/src/a.c", "  x = 1;", "return x;"))
    btf = read_btf(b.blob())
    rows = [(2, file, first, 3 << 10 | 5), (4, file, second, 4 << 10), (9, 999, 999, 0)]
    found = [source_at(rows, btf, slot) for slot in (1, 2, 3, 4, 9)]
    assert found == [None, "x = 1; @ a.c:3", "x = 1; @ a.c:3", "return x; @ a.c:4", None]
    log = f"4: (95) exit\nR0 !read_ok\n{END}"
    record = explain(log, source=lambda slot: source_at(rows, btf, slot))
    assert record["source"] == "return x; @ a.c:4"
