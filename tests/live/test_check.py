"""``prog check``: what it foretells is what comes of ``prog loadall`` here."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from pybpftool.kernel import syscall
from tests.live.compare import ours
from tests.live.test_load import CORE, OBJECTS
from tests.support.btf_builder import BtfBuilder
from tests.support.clang import HEAD, compiled
from tests.support.need import need

pytestmark = [
    pytest.mark.native,  # the emulated machines have no compiler
    pytest.mark.usefixtures("bpf"),
]

ROOT = Path(__file__).resolve().parents[2]
XDP_TOOLS = sorted(Path("/usr/lib").glob("*/bpf/*.o"))

TASK = """
struct task_struct { int pid; int tgid; int no_such_thing; }
    __attribute__((preserve_access_index));
"""
READ = "bpf_probe_read_kernel(&value, 4, &task->{});"
KFUNC = "extern void bpf_rcu_read_lock(void) __ksym; extern void bpf_rcu_read_unlock(void) __ksym;"
GONE = "extern void bpf_no_such_thing(void) {} __ksym;"

CASES: dict[str, tuple[str, bool | None, list[str]]] = {
    "a_field": (
        TASK
        + 'SEC("raw_tp/sched_switch") int one(unsigned long *ctx) {'
        + f"struct task_struct *task = (void *)ctx[1]; int value; {READ.format('tgid')}"
        + "return value; }",
        True,
        [],
    ),
    "a_missing_field": (
        TASK
        + 'SEC("raw_tp/sched_switch") int one(unsigned long *ctx) {'
        + f"struct task_struct *task = (void *)ctx[1]; int value; {READ.format('no_such_thing')}"
        + "return value; }",
        False,
        ["core struct task_struct.no_such_thing"],
    ),
    "a_missing_field_behind_a_question": (
        TASK
        + 'SEC("raw_tp/sched_switch") int one(unsigned long *ctx) {'
        + "struct task_struct *task = (void *)ctx[1]; int value = 0;"
        + "if (__builtin_preserve_field_info(task->no_such_thing, 2))"
        + READ.format("no_such_thing")
        + "return value; }",
        True,
        [],
    ),
    "a_missing_field_behind_a_constant": (
        TASK
        + "const volatile int wanted = 0;"
        + 'SEC("raw_tp/sched_switch") int one(unsigned long *ctx) {'
        + "struct task_struct *task = (void *)ctx[1]; int value = 0;"
        + f"if (wanted) {{ {READ.format('no_such_thing')} }} return value; }}",
        True,
        [],
    ),
    "a_helper_of_others": (
        'SEC("xdp") int one(void *ctx) { return bpf_get_current_pid_tgid() + '
        "bpf_skb_load_bytes(ctx, 0, ctx, 1); }",
        False,
        ["helper bpf_skb_load_bytes"],
    ),
    "a_helper_of_nobody": (
        "static long (*gone)(void) = (void *)99999;"
        'SEC("xdp") int one(void *ctx) { return gone(); }',
        False,
        ["helper number 99999"],
    ),
    "a_helper_of_nobody_behind_a_constant": (
        "static long (*gone)(void) = (void *)99999; const volatile int new = 0;"
        'SEC("xdp") int one(void *ctx) { return new ? gone() : 2; }',
        True,
        [],
    ),
    "a_helper_behind_the_version": (
        "static long (*gone)(void) = (void *)99999; extern int LINUX_KERNEL_VERSION __kconfig;"
        'SEC("xdp") int one(void *ctx) { return LINUX_KERNEL_VERSION < 0x40000 ? gone() : 2; }',
        True,
        [],
    ),
    "a_kfunc": (
        KFUNC + 'SEC("tc") int one(void *ctx) { bpf_rcu_read_lock(); bpf_rcu_read_unlock();'
        " return 0; }",
        True,
        [],
    ),
    "a_missing_kfunc": (
        GONE.format("") + 'SEC("tc") int one(void *ctx) { bpf_no_such_thing(); return 0; }',
        False,
        ["kfunc bpf_no_such_thing"],
    ),
    "a_missing_weak_kfunc": (
        GONE.format("__weak") + 'SEC("tc") int one(void *ctx) { bpf_no_such_thing(); return 0; }',
        False,
        ["kfunc bpf_no_such_thing"],
    ),
    "a_missing_weak_kfunc_behind_a_question": (
        GONE.format("__weak") + 'SEC("tc") int one(void *ctx) {'
        " if (bpf_no_such_thing) bpf_no_such_thing(); return 0; }",
        True,
        [],
    ),
    "a_kfunc_of_others": (
        "extern void bpf_throw(unsigned long) __ksym; struct xdp_md;"
        "extern int bpf_xdp_metadata_rx_timestamp(const struct xdp_md *, unsigned long *) __ksym;"
        'SEC("tc") int one(void *ctx) { unsigned long t;'
        " return bpf_xdp_metadata_rx_timestamp(ctx, &t); }",
        False,
        ["kfunc bpf_xdp_metadata_rx_timestamp"],
    ),
    "a_missing_symbol": (
        "extern const void no_such_symbol __ksym;"
        'SEC("tc") int one(void *ctx) { return (long)&no_such_symbol; }',
        False,
        ["ksym no_such_symbol"],
    ),
    "a_missing_option": (
        'extern int CONFIG_NO_SUCH_THING __kconfig; SEC("tc") int one(void *ctx) {'
        " return CONFIG_NO_SUCH_THING; }",
        False,
        ["kconfig CONFIG_NO_SUCH_THING"],
    ),
    "a_missing_target": (
        'SEC("fentry/no_such_function") int one(void *ctx) { return 0; }',
        False,
        ["attach_target no_such_function"],
    ),
    "a_missing_map_type": (
        "struct { __uint(type, 999); __uint(max_entries, 1); __type(key, int); __type(value, int);"
        ' } none SEC(".maps");'
        'SEC("tc") int one(void *ctx) { int k = 0; return !!bpf_map_lookup_elem(&none, &k); }',
        False,
        ["map_type none"],
    ),
    "an_unknown_section": (
        'SEC("nothing/known") int one(void *ctx) { return 0; }',
        False,
        ["section nothing/known"],
    ),
    "tracing": ('SEC("fentry/tcp_connect") int one(void *ctx) { return 0; }', None, []),
    "lsm": ('SEC("lsm/file_open") int one(void *ctx) { return 0; }', None, []),
    "core": (CORE, None, []),
    **{name: (text, None, []) for name, text in OBJECTS.items()},
}
"""Text, whether it loads (None: that depends on the kernel), and kind and name of each problem."""


def checked(*words: str) -> Any:
    """What ``prog check`` says; the exit status is that of the record."""
    ended = ours("-j", "prog", "check", *words)
    assert ended.err == ""
    record = ended.json
    assert ended.status == {True: 0, False: 1, None: 2}[record["loads"]]
    return record


def problems(record: Any) -> list[str]:
    found = [*record["problems"], *(each for p in record["programs"] for each in p["problems"])]
    return [f"{each['kind']} {each['name']}" for each in found]


@pytest.fixture
def place(pins: str) -> Any:
    yield f"{pins}/checked"
    shutil.rmtree(f"{pins}/checked", ignore_errors=True)


def loads(path: str, place: str) -> bool:
    """Whether ``prog loadall`` loads the object; what it cannot pin does not count."""
    ended = ours("prog", "loadall", path, place)
    return not ended.status or "failed to pin all programs: program '" in ended.err


@pytest.mark.parametrize("name", CASES)
def test_it_is_as_foretold(name: str, tmp_path: Path, place: str) -> None:
    text, known, expected = CASES[name]
    made = compiled(tmp_path, name, text)
    record = checked(made)
    assert record["loads"] is loads(made, place)
    if known is not None:
        assert (record["loads"], problems(record)) == (known, expected)


def test_licences(tmp_path: Path, place: str) -> None:
    """A helper that is for the GPL alone."""
    head = HEAD.replace("GPL", "Proprietary")
    made = compiled(tmp_path, "licence", CASES["a_field"][0], head=head)
    record = checked(made)
    assert (record["loads"], problems(record)) == (False, ["helper bpf_probe_read_kernel"])
    assert "GPL" in record["programs"][0]["problems"][0]["reason"]
    assert not loads(made, place)


ALONE = 'mount -t bpf bpf /sys/fs/bpf && exec "$@"'
"""Before a command that pins maps by their names: nobody else sees them, and nothing stays."""


@pytest.mark.parametrize("path", XDP_TOOLS, ids=lambda path: path.stem)
def test_objects_of_xdp_tools(path: Path) -> None:
    need(shutil.which("unshare"), "needs unshare")
    load = [sys.executable, "-m", "pybpftool", "prog", "loadall", path, "/sys/fs/bpf/checked"]
    done = subprocess.run(
        ["unshare", "--mount", "sh", "-c", ALONE, "sh", *load],
        capture_output=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert checked(str(path))["loads"] is (done.returncode == 0), done.stderr


def test_plain(tmp_path: Path) -> None:
    made = compiled(tmp_path, "both", "".join(CASES["a_missing_field"][0]))
    ended = ours("prog", "check", made)
    assert (ended.err, ended.status) == ("", 1)
    head, reason, place = ended.out.splitlines()
    assert head == "one (raw_tp/sched_switch) would not load"
    assert reason.startswith("\tstruct task_struct.no_such_thing: not in any type task_struct of")
    assert place.startswith("\t  at instruction ") and " @ both.c:" in place
    made = compiled(tmp_path, "fine", CASES["a_field"][0])
    assert ours("prog", "check", made).out == "one (raw_tp/sched_switch) would load\n"


def older() -> bytes:
    """The types of a kernel with an older task_struct, two helpers and two types of programs."""
    b = BtfBuilder()
    number = b.int("int", 4, signed=True)
    b.struct("task_struct", 4, [("pid", number, 0)])
    b.enum("bpf_func_id", [("BPF_FUNC_unspec", 0), ("BPF_FUNC_map_lookup_elem", 1)])
    names = [("BPF_PROG_TYPE_UNSPEC", 0), ("BPF_PROG_TYPE_XDP", 6), ("BPF_PROG_TYPE_SCHED_CLS", 3)]
    b.enum("bpf_prog_type", names)
    b.enum("bpf_map_type", [("BPF_MAP_TYPE_HASH", 1), ("BPF_MAP_TYPE_ARRAY", 2)])
    return b.blob()


def test_an_older_kernel_known_by_its_types(tmp_path: Path) -> None:
    types = tmp_path / "older.btf"
    types.write_bytes(older())

    def on_older(name: str) -> list[str]:
        made = compiled(tmp_path, name, CASES[name][0])
        return problems(checked(made, "btf", str(types)))

    assert (
        on_older("a_field")
        == ["prog_type raw_tracepoint"]
        + [*("core struct task_struct.tgid", "helper bpf_probe_read_kernel")][:1]
    )
    assert on_older("plain") == []
    assert "map_type ring" in on_older("maps")
    assert on_older("iterator") == ["prog_type tracing"]
    assert on_older("a_helper_of_others")[0] == "helper bpf_get_current_pid_tgid"
    assert on_older("a_kfunc") == ["kfunc bpf_rcu_read_lock", "kfunc bpf_rcu_read_unlock"]
    # what the version of that kernel is, nobody tells
    made = compiled(tmp_path, "version", CASES["a_helper_behind_the_version"][0])
    record = checked(made, "btf", str(types))
    assert record["loads"] is None
    plain = ours("prog", "check", made, "btf", str(types))
    assert plain.status == 2
    assert plain.out.splitlines()[:2] == [
        "one (xdp) may not load",
        "\tthis kernel has no helper number 99999, if that is reached",
    ]


def test_the_types_of_this_kernel_from_a_file(tmp_path: Path) -> None:
    path = "/sys/kernel/btf/vmlinux"
    need(os.path.exists(path), f"no {path}")
    for name in ("a_field", "a_missing_field", "a_missing_kfunc", "maps"):
        made = compiled(tmp_path, name, CASES[name][0])
        assert checked(made, "btf", path)["loads"] is checked(made)["loads"]


def test_a_saved_probe(tmp_path: Path) -> None:
    saved, less = tmp_path / "here.json", tmp_path / "less.json"
    ended = ours("-j", "feature", "probe")
    saved.write_text(ended.out)
    document = ended.json
    document["helpers"]["sched_cls_available_helpers"].remove("bpf_loop")
    document["map_types"]["have_ringbuf_map_type"] = False
    document["program_types"]["have_xdp_prog_type"] = False
    less.write_text(json.dumps(document))

    def found(name: str, path: Path) -> list[str]:
        made = compiled(tmp_path, name, CASES[name][0])
        return problems(checked(made, "features", str(path)))

    for name in ("callback", "maps", "plain", "data"):
        assert found(name, saved) == []
    assert found("callback", less) == ["helper bpf_loop"]
    assert found("maps", less) == ["map_type ring", "prog_type xdp"]
    assert found("data", less) == ["prog_type xdp"]  # bpf_trace_printk is asked for by nobody


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (["{none}"], "failed to open object file: {none}: No such file or directory"),
        ([], "'check' needs at least 1 arguments, 0 found"),
        (["{made}", "btf", "{none}"], "{none}: No such file or directory"),
        (["{made}", "btf", "{text}"], "{text}: neither BTF nor ELF"),
        (["{made}", "features", "{none}"], "{none}: No such file or directory"),
        (["{made}", "features", "{text}"], "{text}: no JSON document"),
        (["{made}", "features", "{list}"], "{list}: not written by 'feature probe -j'"),
        (["{made}", "features", "{flat}"], "{flat}: not written by 'feature probe -j'"),
    ],
)
def test_files_that_are_none(words: list[str], error: str, tmp_path: Path) -> None:
    files = {name: str(tmp_path / name) for name in ("none", "text", "list", "flat")}
    for name, text in (("text", "no"), ("list", "[]"), ("flat", '{"program_types":1}')):
        Path(files[name]).write_text(text)
    files["made"] = compiled(tmp_path, "plain", OBJECTS["plain"])
    ended = ours("prog", "check", *(word.format(**files) for word in words))
    assert (ended.out, ended.err) == ("", f"Error: {error.format(**files)}\n")
    assert ended.status


def test_nothing_is_loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernel is asked by programs that it takes for broken, and by maps that go at once."""
    taken = []
    invoke = syscall.invoke

    def watched(cmd: int, attr: Any, size: int) -> int:
        result = invoke(cmd, attr, size)
        if cmd == syscall.lib.BPF_PROG_LOAD and result >= 0:
            taken.append(attr.prog_load.insn_cnt)
        return result

    monkeypatch.setattr(syscall, "invoke", watched)
    for name in ("maps", "data", "a_kfunc", "a_helper_of_others"):
        checked(compiled(tmp_path, name, CASES[name][0]))
    assert max(taken, default=0) <= 2  # r0 = 0; exit
