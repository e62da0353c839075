"""``feature`` by both tools, and held against what kernels are known to have."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from pybpftool.btf.reader import read_btf
from pybpftool.errors import PybpftoolError
from pybpftool.kernel.handles import Map, Prog
from pybpftool.probe import config, functions, tables
from pybpftool.probe.run import Prober
from tests.live.compare import FORMS, Both, difference, ours
from tests.support.need import kernel_lacks, need
from tests.support.run import Ended

PROBES = """
feature
feature p kernel
-j feature probe
-p feature probe
-j feature probe full
feature probe macros prefix X_
-j feature probe macros
feature probe full macros
feature probe macros prefix '' prefix B
feature probe dev lo
-p feature probe dev lo
feature probe dev lo macros prefix Z_
feature probe full unprivileged kernel
-j feature probe unprivileged
feature probe unprivileged macros
""".strip().splitlines()

LINES = """
feature probe nonsense
feature probe macros macros
feature probe kernel kernel
feature probe kernel dev lo
feature probe dev lo dev lo
feature probe dev
feature probe dev nosuchdevice
feature probe prefix
feature probe prefix X
feature probe macros prefix
feature probe macros prefix A prefix B
feature list_builtins prog_types
feature list_builtins map_types
feature list_builtins attach_types
feature list_builtins link_types
feature list_builtins helpers
feature list_builtins nonsense
feature list_builtins
feature nonsense
feature help
""".strip().splitlines()


@pytest.mark.parametrize("line", PROBES)
def test_same_probe(line: str, both: Both) -> None:
    both.check([["" if word == "''" else word for word in line.split()]])


@pytest.mark.parametrize("line", LINES)
def test_same(line: str, both: Both) -> None:
    both.check([*form, *line.split()] for form in FORMS)


def as_nobody(*words: str) -> Ended:
    """A line run without any privilege, by another process."""
    need(shutil.which("setpriv"), "no setpriv (Debian: util-linux)")
    argv = ["setpriv", "--reuid", "65534", "--clear-groups", *words]
    done = subprocess.run(argv, capture_output=True)
    return Ended(done.stdout, done.stderr, done.returncode)


def reachable() -> bool:
    """Whether someone without privileges can start this interpreter and read this checkout."""
    return as_nobody(sys.executable, "-B", "-c", "import pybpftool.probe.run").status == 0


@pytest.mark.parametrize(
    "line", ["feature probe", "-j feature probe", "feature probe unprivileged"]
)
def test_same_for_nobody(line: str, both: Both) -> None:
    if not reachable():
        pytest.skip("this checkout, or the interpreter, is not for everyone to read")
    words = line.split()
    mine = as_nobody(sys.executable, "-B", "-m", "pybpftool", *words)
    theirs = as_nobody(both.reference.path, *words)
    problem = difference(words, mine, theirs, both.reference)
    assert not problem, problem


# ------------------------------------------------------------------ the truth


def release() -> tuple[int, int]:
    """The version of the running kernel; tests alone may look at it."""
    major, minor = os.uname().release.split(".")[:2]
    return int(major), int("".join(filter(str.isdigit, minor)))


def built_with(option: str) -> bool | None:
    """Whether the kernel has an option, None where it does not tell."""
    try:
        found = config.options([option.removeprefix("CONFIG_")])
    except PybpftoolError:
        return None
    return found[option] is not None


def since(word: str) -> tuple[int, int]:
    major, minor = word.split(".")
    return int(major), int(minor)


def rows() -> Iterator[tuple[str, str, str, str]]:
    for kind, table in (
        ("prog_type", tables.PROG_TYPES),
        ("map_type", tables.MAP_TYPES),
        ("attach_type", tables.ATTACH_TYPES),
        ("link_type", tables.LINK_TYPES),
    ):
        for word, row in table.items():
            yield kind, word, row.since, row.config
    for word, (version, _, _) in tables.MISC.items():
        yield "misc", word, version, ""


@pytest.mark.whole
@pytest.mark.parametrize(("kind", "word", "version", "option"), [*rows()])
def test_answers_are_true(kind: str, word: str, version: str, option: str, bpf: None) -> None:
    """Yes on every kernel that is new enough and built for it, no on every older one.

    So with "isa-v4", too.
    """
    known = getattr(Prober(), kind)(word).known
    if known is None:
        pytest.skip("this kernel does not tell")
    if release() < since(version):
        # distributions bring features to older kernels, but not to those that tests run on
        assert known is False
    elif not known:
        built = option and built_with(option)
        if built is False or (option and built is None):
            kernel_lacks(word, option)
        raise AssertionError(f"Linux {version} and newer have it: {option}")


def test_helpers_that_everyone_knows(bpf: None) -> None:
    probed = ours("-j", "feature", "probe").json["helpers"]
    assert "bpf_redirect_map" in probed["xdp_available_helpers"]
    assert "bpf_redirect_map" not in probed["kprobe_available_helpers"]
    assert "bpf_skb_store_bytes" in probed["sched_cls_available_helpers"]
    assert "bpf_skb_store_bytes" not in probed["socket_filter_available_helpers"]
    for names in probed.values():
        assert "bpf_trace_printk" not in names


def test_one_thing_agrees_with_the_whole(bpf: None) -> None:
    probed = ours("-j", "feature", "probe").json
    for line, section, key in (
        ("map_type hash", "map_types", "have_hash_map_type"),
        ("map_type rhash", "map_types", "have_rhash_map_type"),
        ("prog_type lirc_mode2", "program_types", "have_lirc_mode2_prog_type"),
        ("prog_type lsm", "program_types", "have_lsm_prog_type"),
    ):
        ended = ours("-j", "feature", "probe", *line.split())
        known = probed[section][key]
        assert ended.json[key] is known
        assert ended.status == {True: 0, False: 1, None: 2}[known]
    for prog_type in ("xdp", "kprobe", "sk_lookup"):
        ended = ours("feature", "probe", "helper", "redirect", "type", prog_type)
        there = "bpf_redirect" in probed["helpers"][f"{prog_type}_available_helpers"]
        assert ended.status == int(not there)


def test_types_of_the_kernel_are_found(bpf: None) -> None:
    """The program that asks, against the BTF that it spares us to read."""
    try:
        found = functions.find_type("task_struct", 4)
    except PybpftoolError as error:
        kernel_lacks("bpf_btf_find_by_name_kind for us", error)
    assert found and found[1] is None
    with open("/sys/kernel/btf/vmlinux", "rb") as file:
        btf = read_btf(file.read())
    assert btf.find("task_struct", 4) == found[0]
    assert functions.find_type("no_such_struct_anywhere", 4) is None


def test_kfuncs(bpf: None) -> None:
    """Each that BTF marks can be asked for by its name, and the answers agree."""
    marked = ours("-j", "feature", "probe", "kfuncs").json["kfuncs"]
    if not marked:
        kernel_lacks("marks of kfuncs in its BTF", "pahole 1.26 writes them")
    some = [each for each in marked if each["program_types"]][:: max(1, len(marked) // 20)]
    assert some
    for each in some:
        one = ours("-j", "feature", "probe", "kfunc", each["name"])
        assert one.json["program_types"] == each["program_types"]
        assert one.status == 0
    assert ours("feature", "probe", "kfunc", "vfs_read").status != 0
    assert ours("feature", "probe", "kfunc", "no_such_function").status == 1


def test_sections(bpf: None) -> None:
    attach = ours("-j", "feature", "probe", "attach_types").json["attach_types"]
    assert attach["have_cgroup_inet_ingress_attach_type"] is True
    links = ours("-j", "feature", "probe", "link_types").json["link_types"]
    assert len(links) == len(tables.LINK_TYPES)


# ------------------------------------------------------------------ what it must not do


def test_nothing_stays(bpf: None) -> None:
    def loaded() -> tuple[set[int], set[int]]:
        return set(Prog.ids()), set(Map.ids())

    def nameless(id: int, kind: type[Prog] | type[Map]) -> bool:
        try:
            with kind.by_id(id) as each:
                return not each.info.name
        except PybpftoolError:
            return False  # gone meanwhile

    before = loaded()
    for line in ("probe", "probe kfuncs", "probe attach_types", "probe link_types"):
        ours("feature", *line.split())
    for _ in range(100):  # the kernel frees what is closed when it finds time
        progs, maps = (now - then for now, then in zip(loaded(), before, strict=True))
        if not any(nameless(id, Prog) for id in progs) and not any(
            nameless(id, Map) for id in maps
        ):
            return
        time.sleep(0.02)
    raise AssertionError("programs or maps are left")


def test_nothing_is_logged(bpf: None) -> None:
    dmesg = shutil.which("dmesg")
    need(dmesg, "no dmesg")
    read = subprocess.run(["dmesg"], capture_output=True, text=True)
    if read.returncode:
        pytest.skip(f"dmesg: {read.stderr.strip()}")
    before = read.stdout.count("\n")
    ours("feature", "probe")
    after = subprocess.run(["dmesg"], capture_output=True, text=True).stdout.splitlines()
    assert not [line for line in after[before:] if "bpf" in line.lower() or "printk" in line]


# ------------------------------------------------------------------ where we differ on purpose


def test_probe_cannot_tell(both: Both) -> None:
    """A type that the kernel forbids even root to try is not said to be absent."""
    mine = ours("-j", "feature", "probe")
    theirs = both.reference("-j", "feature", "probe").json["program_types"]
    found = mine.json["program_types"]
    told_otherwise = [key for key, known in found.items() if known is None]
    if found["have_tracing_prog_type"] and not theirs["have_tracing_prog_type"]:
        told_otherwise.append("have_tracing_prog_type")
    if not told_otherwise:
        kernel_lacks("anything that it would not tell", "all types can be probed")
    for key in told_otherwise:
        assert theirs[key] is False


def test_feature_more(both: Both) -> None:
    for words in ("feature probe helper bpf_redirect", "feature diff a b"):
        assert both.reference(*words.split()).status == 255
    assert ours("feature", "probe", "helper", "bpf_redirect").status == 0


def test_unprivileged_for_one_command(both: Both, tmp_path: Path) -> None:
    """Behind ``feature probe unprivileged`` a batch goes on with the rights it had."""
    batch = tmp_path / "batch"
    batch.write_text("feature probe unprivileged\nmap show id 4294967295\n")
    mine = ours("batch", "file", str(batch))
    theirs = both.reference("batch", "file", str(batch))
    assert mine.err == "Error: get map by id (4294967295): No such file or directory\n"
    assert "Operation not permitted" in theirs.err
