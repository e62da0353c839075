"""``feature``: every command in plain, -j, -p and macros, on a kernel that is played here."""

from __future__ import annotations

import errno
import json
import sys
from pathlib import Path
from typing import Any, ClassVar

import pytest

from pybpftool.errors import PybpftoolError
from pybpftool.kernel import capabilities, netdev
from pybpftool.kernel.syscall import Fd
from pybpftool.kernel.words import HELPERS, PROG_TYPES
from pybpftool.probe import config, functions, tables
from tests.probe.test_run import logs
from tests.support.run import pybpftool
from tests.support.tape import Answer, Tape, memory, new_fd

CAPABLE = ["CAP_SYS_ADMIN", "CAP_BPF", "CAP_NET_ADMIN", "CAP_PERFMON"]
HELPS = {"socket_filter": ("map_lookup_elem",), "xdp": ("redirect", "xdp_adjust_head")}
"""What programs of the played kernel may call; it has no other types, and hash maps only."""


def load(arm: Any) -> int:
    """A kernel of socket filters and XDP, which will not say whether it has ext programs."""
    word = PROG_TYPES[arm.prog_type]
    if word == "ext":
        return -errno.EPERM
    if word not in HELPS or arm.prog_ifindex:
        return -errno.EINVAL
    first = bytes(memory(arm.insns, 8))
    if first[0] != 0x85:
        return new_fd() if arm.insn_cnt == 2 else -errno.E2BIG
    name = HELPERS[int.from_bytes(first[4:], sys.byteorder)]
    if name in HELPS[word]:
        return int(logs(b"R1 !read_ok", -errno.EACCES)(arm))
    return int(logs(b"program of this type cannot use helper ", -errno.EINVAL)(arm))


def machine(**rules: Answer) -> Tape:
    answers: dict[str, Answer] = {
        "PROG_LOAD": load,
        "MAP_CREATE": lambda arm: new_fd() if arm.map_type == 1 else -errno.EINVAL,
        "BTF_LOAD": lambda arm: new_fd(),
    }
    return Tape(**(answers | rules))


@pytest.fixture(autouse=True)
def quiet_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """All capabilities, one sysctl and two options, little to ask, whatever the machine is like."""
    monkeypatch.setattr(capabilities, "for_bpf", lambda: CAPABLE)
    monkeypatch.setattr(capabilities, "held", lambda names: list(names))
    monkeypatch.setattr(config, "sysctls", lambda: {"bpf_jit_enable": 1, "bpf_jit_limit": 64})
    monkeypatch.setattr(
        config, "options", lambda names: {"CONFIG_BPF": "y", "CONFIG_NET": None, "CONFIG_HZ": "250"}
    )
    monkeypatch.setattr(functions, "helper_ids", lambda full: [1, 23, 44, *([6] * full)])
    only(monkeypatch, "PROG_TYPES", "socket_filter", "xdp", "ext", "netfilter")
    only(monkeypatch, "MAP_TYPES", "hash", "arena")
    only(monkeypatch, "MISC", "bounded_loops")


def only(monkeypatch: pytest.MonkeyPatch, table: str, *words: str) -> None:
    """Leave only these rows in a table."""
    rows = getattr(tables, table)
    monkeypatch.setattr(tables, table, {word: rows[word] for word in words})


PLAIN = """\
Scanning system configuration...
JIT compiler is enabled
Global memory limit for JIT compiler for unprivileged users is 64 bytes
CONFIG_BPF is set to y
CONFIG_NET is not set
CONFIG_HZ is set to 250

Scanning system call availability...
bpf() syscall is available

Scanning eBPF program types...
eBPF program_type socket_filter is available
eBPF program_type xdp is available
eBPF program_type ext can't be probed: Operation not permitted
eBPF program_type netfilter is NOT available

Scanning eBPF map types...
eBPF map_type hash is available
eBPF map_type arena is NOT available

Scanning eBPF helper functions...
eBPF helpers supported for program type socket_filter:
\t- bpf_map_lookup_elem
eBPF helpers supported for program type xdp:
\t- bpf_redirect
\t- bpf_xdp_adjust_head
eBPF helpers supported for program type ext:
\tCould not determine which helpers are available
eBPF helpers supported for program type netfilter:
\tProgram type not supported

Scanning miscellaneous eBPF features...
Bounded loop support is NOT available

"""

RECORD = {
    "system_config": {
        "bpf_jit_enable": 1,
        "bpf_jit_limit": 64,
        "CONFIG_BPF": "y",
        "CONFIG_NET": None,
        "CONFIG_HZ": "250",
    },
    "syscall_config": {"have_bpf_syscall": True},
    "program_types": {
        "have_socket_filter_prog_type": True,
        "have_xdp_prog_type": True,
        "have_ext_prog_type": None,
        "have_netfilter_prog_type": False,
    },
    "map_types": {"have_hash_map_type": True, "have_arena_map_type": False},
    "helpers": {
        "socket_filter_available_helpers": ["bpf_map_lookup_elem"],
        "xdp_available_helpers": ["bpf_redirect", "bpf_xdp_adjust_head"],
        "ext_available_helpers": [],
        "netfilter_available_helpers": [],
    },
    "misc": {"have_bounded_loops": False},
}

MACROS = """\
/*** Misc kernel config items ***/
#define Q1_CONFIG_HZ 250

/*** System call availability ***/
#define Q1_HAVE_BPF_SYSCALL

/*** eBPF program types ***/
#define Q1_HAVE_SOCKET_FILTER_PROG_TYPE
#define Q1_HAVE_XDP_PROG_TYPE
/* Q1_HAVE_EXT_PROG_TYPE can't be probed: Operation not permitted */
#define Q1_NO_HAVE_NETFILTER_PROG_TYPE

/*** eBPF map types ***/
#define Q1_HAVE_HASH_MAP_TYPE
#define Q1_NO_HAVE_ARENA_MAP_TYPE

/*** eBPF helper functions ***/
/*
 * Use Q1_HAVE_PROG_TYPE_HELPER(prog_type_name, helper_name)
 * to determine if <helper_name> is available for <prog_type_name>,
 * e.g.
 *\t#if Q1_HAVE_PROG_TYPE_HELPER(xdp, bpf_redirect)
 *\t\t// do stuff with this helper
 *\t#elif
 *\t\t// use a workaround
 *\t#endif
 */
#define Q1_HAVE_PROG_TYPE_HELPER(prog_type, helper)\t\\
\tQ1_BPF__PROG_TYPE_ ## prog_type ## __HELPER_ ## helper
#define Q1_BPF__PROG_TYPE_socket_filter__HELPER_bpf_map_lookup_elem 1
#define Q1_BPF__PROG_TYPE_socket_filter__HELPER_bpf_redirect 0
#define Q1_BPF__PROG_TYPE_socket_filter__HELPER_bpf_xdp_adjust_head 0
#define Q1_BPF__PROG_TYPE_xdp__HELPER_bpf_map_lookup_elem 0
#define Q1_BPF__PROG_TYPE_xdp__HELPER_bpf_redirect 1
#define Q1_BPF__PROG_TYPE_xdp__HELPER_bpf_xdp_adjust_head 1
#define Q1_BPF__PROG_TYPE_ext__HELPER_bpf_map_lookup_elem 0
#define Q1_BPF__PROG_TYPE_ext__HELPER_bpf_redirect 0
#define Q1_BPF__PROG_TYPE_ext__HELPER_bpf_xdp_adjust_head 0
#define Q1_BPF__PROG_TYPE_netfilter__HELPER_bpf_map_lookup_elem 0
#define Q1_BPF__PROG_TYPE_netfilter__HELPER_bpf_redirect 0
#define Q1_BPF__PROG_TYPE_netfilter__HELPER_bpf_xdp_adjust_head 0

/*** eBPF misc features ***/
#define Q1_NO_HAVE_BOUNDED_LOOPS

"""

DEVICE = """\
Scanning system call availability...
bpf() syscall is available

Scanning eBPF program types...
eBPF program_type sched_cls is NOT available
eBPF program_type xdp is NOT available

Scanning eBPF map types...
eBPF map_type hash is available
eBPF map_type array is NOT available

Scanning eBPF helper functions...
eBPF helpers supported for program type sched_cls:
\tProgram type not supported
eBPF helpers supported for program type xdp:
\tProgram type not supported

Scanning miscellaneous eBPF features...
Bounded loop support is NOT available

"""


@pytest.mark.parametrize("line", ["feature", "feature probe", "feat p", "feature probe kernel"])
def test_plain(line: str) -> None:
    with machine():
        ended = pybpftool(*line.split())
    assert (ended.out, ended.err, ended.status) == (PLAIN, "", 0)


@pytest.mark.parametrize("line", ["-j feature probe", "-j feature probe macros prefix X_"])
def test_json(line: str) -> None:
    with machine():
        ended = pybpftool(*line.split())
    assert ended.out == json.dumps(RECORD, separators=(",", ":")) + "\n"
    assert (ended.err, ended.status) == ("", 0)


def test_pretty() -> None:
    with machine():
        ended = pybpftool("-p", "feature", "probe")
    assert ended.json == RECORD
    assert ended.out.startswith('{\n    "system_config": {\n        "bpf_jit_enable": 1,\n')
    assert '"xdp_available_helpers": ["bpf_redirect","bpf_xdp_adjust_head"\n        ]' in ended.out


def test_macros() -> None:
    with machine():
        ended = pybpftool("feature", "probe", "macros", "prefix", "Q1_")
        plain = pybpftool("feature", "probe", "macros")
    assert (ended.out, ended.err, ended.status) == (MACROS, "", 0)
    assert plain.out == MACROS.replace("Q1_", "")


def test_full_asks_for_the_noisy_too() -> None:
    with machine():
        ended = pybpftool("feature", "probe", "full", "macros")
    assert "BPF__PROG_TYPE_xdp__HELPER_bpf_trace_printk 0\n" in ended.out


def test_device(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(netdev, "ifindex", lambda name: 9)
    monkeypatch.setitem(tables.MAP_TYPES, "array", tables.Ask("3.19"))
    monkeypatch.setitem(tables.PROG_TYPES, "sched_cls", tables.Ask("4.1"))
    with machine():
        ended = pybpftool("feature", "probe", "dev", "eth0")
    assert (ended.out, ended.err, ended.status) == (DEVICE, "", 0)


def test_no_system_call() -> None:
    with machine(PROG_LOAD=-errno.ENOSYS):
        ended = pybpftool("feature", "probe")
    assert ended.out == PLAIN.partition("bpf() syscall")[0] + "bpf() syscall is NOT available\n\n"


SETTINGS = [
    ("unprivileged_bpf_disabled", 0, "bpf() syscall for unprivileged users is enabled"),
    (
        "unprivileged_bpf_disabled",
        1,
        "bpf() syscall restricted to privileged users (without recovery)",
    ),
    (
        "unprivileged_bpf_disabled",
        2,
        "bpf() syscall restricted to privileged users (admin can change)",
    ),
    (
        "unprivileged_bpf_disabled",
        -1,
        "Unable to retrieve required privileges for bpf() syscall",
    ),
    ("unprivileged_bpf_disabled", 7, "bpf() syscall restriction has unknown value 7"),
    ("bpf_jit_enable", 0, "JIT compiler is disabled"),
    ("bpf_jit_enable", 2, "JIT compiler is enabled with debugging traces in kernel logs"),
    ("bpf_jit_enable", -1, "Unable to retrieve JIT-compiler status"),
    ("bpf_jit_enable", 3, "JIT-compiler status has unknown value 3"),
    ("bpf_jit_harden", 0, "JIT compiler hardening is disabled"),
    ("bpf_jit_harden", 1, "JIT compiler hardening is enabled for unprivileged users"),
    ("bpf_jit_harden", 2, "JIT compiler hardening is enabled for all users"),
    ("bpf_jit_harden", -1, "Unable to retrieve JIT hardening status"),
    ("bpf_jit_harden", 9, "JIT hardening status has unknown value 9"),
    ("bpf_jit_kallsyms", 0, "JIT compiler kallsyms exports are disabled"),
    ("bpf_jit_kallsyms", 1, "JIT compiler kallsyms exports are enabled for root"),
    ("bpf_jit_kallsyms", -1, "Unable to retrieve JIT kallsyms export status"),
    ("bpf_jit_kallsyms", 2, "JIT kallsyms exports status has unknown value 2"),
    (
        "bpf_jit_limit",
        -1,
        "Unable to retrieve global memory limit for JIT compiler for unprivileged users",
    ),
]


@pytest.mark.parametrize(("key", "value", "sentence"), SETTINGS)
def test_settings(key: str, value: int, sentence: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(config, "sysctls", lambda: {key: value})
    with machine():
        ended = pybpftool("feature", "probe")
    assert ended.out.splitlines()[1] == sentence


def test_what_cannot_be_read_is_told_beside(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(names: list[str]) -> dict[str, str]:
        raise PybpftoolError("can't open file: No such file or directory")

    monkeypatch.setattr(config, "options", refuse)
    monkeypatch.setattr(config, "sysctls", lambda: None)
    with machine():
        ended = pybpftool("feature", "probe")
        assert pybpftool("-j", "feature", "probe").json["system_config"] == {}
    assert ended.out.startswith("Scanning system configuration...\n\n")
    assert ended.err == (
        "/* procfs not mounted, skipping related probes */\n"
        "skipping kernel config, can't open file: No such file or directory\n"
    )


# ------------------------------------------------------------------ privileges


def test_missing_capabilities(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(capabilities, "held", lambda names: ["CAP_BPF"])
    with Tape():
        ended = pybpftool("feature", "probe")
    assert ended.err == (
        "Error: missing CAP_SYS_ADMIN, CAP_NET_ADMIN, CAP_PERFMON, required for full feature "
        "probing; run as root or use 'unprivileged'\n"
    )
    assert (ended.out, ended.status) == ("", 255)


class Without:
    """Takes down what would be put out of effect."""

    log: ClassVar[list[str]] = []

    def __init__(self, names: list[str]) -> None:
        self.log.append(f"without {' '.join(names)}")

    def __enter__(self) -> None:
        return None

    def __exit__(self, *_: object) -> None:
        self.log.append("with them again")


def test_unprivileged(monkeypatch: pytest.MonkeyPatch) -> None:
    """ "unprivileged-for-one-command", "probe-own-errno"."""
    monkeypatch.setattr(Without, "log", [])
    monkeypatch.setattr(capabilities, "without", Without)

    def answer(arm: Any) -> int:
        assert Without.log[-1] == f"without {' '.join(CAPABLE)}"
        return -errno.EPERM if PROG_TYPES[arm.prog_type] == "socket_filter" else load(arm)

    with machine(PROG_LOAD=answer):
        found = pybpftool("-j", "feature", "probe", "unprivileged").json
    assert Without.log[-1] == "with them again"
    assert found["program_types"] == {
        "have_socket_filter_prog_type": False,
        "have_xdp_prog_type": True,  # the refusal of another is not its own
        "have_ext_prog_type": False,  # no rights, no programs
        "have_netfilter_prog_type": False,
    }
    assert found["helpers"]["xdp_available_helpers"] == ["bpf_redirect", "bpf_xdp_adjust_head"]


# ------------------------------------------------------------------ words that make no sense

STRAY = "expected no more arguments, 'kernel', 'dev', 'macros' or 'prefix', got: '{}'?"

ERRORS = [
    ("probe nonsense", STRAY.format("nonsense")),
    ("probe macros m", STRAY.format("m")),
    ("probe full helper", STRAY.format("helper")),
    ("probe kernel kernel", "component to probe already specified"),
    ("probe dev lo kernel", "component to probe already specified"),
    ("probe kernel dev", "component to probe already specified"),
    ("probe dev", "'dev' needs at least 1 arguments, 0 found"),
    ("probe d nosuchdev", "unrecognized netdevice 'nosuchdev': No such device"),
    ("probe prefix X", "'prefix' argument can only be use after 'macros'"),
    ("probe pre", "'prefix' argument can only be use after 'macros'"),
    ("probe macros prefix", "'prefix' needs at least 1 arguments, 0 found"),
    ("probe macros prefix A prefix B", "'prefix' already defined"),
    ("probe map_type nonsense", "unrecognized map type: nonsense"),
    ("probe map_type unspec", "unrecognized map type: unspec"),
    ("probe helper nonsense", "unrecognized helper: nonsense"),
    ("probe helper", "'helper' needs at least 1 arguments, 0 found"),
    ("probe helper redirect type x", "unrecognized prog type: x"),
    ("probe helper redirect x", "what is 'x'?"),
    ("probe map_type hash type xdp", "'type' can only be used with 'helper' or 'kfunc'"),
    ("probe kfuncs x", "what is 'x'?"),
    (
        "list_builtins x",
        "expected 'prog_types', 'map_types', 'attach_types', 'link_types' or 'helpers', got: x",
    ),
    ("diff /nonexistent /nonexistent", "/nonexistent: No such file or directory"),
]


@pytest.mark.parametrize(("line", "sentence"), ERRORS)
def test_errors(line: str, sentence: str) -> None:
    with Tape():
        ended = pybpftool("feature", *line.split())
        told = pybpftool("-j", "feature", *line.split())
    assert (ended.out, ended.err, ended.status) == ("", f"Error: {sentence}\n", 255)
    assert (told.json, told.status) == ({"error": sentence}, 255)


@pytest.mark.parametrize("line", ["feature x", "feature list_builtins", "feature diff x"])
def test_misuse_brings_the_help(line: str) -> None:
    ended = pybpftool(*line.split())
    assert ended.status == 255 and ended.err.startswith("Usage: pybpftool feature probe [COMP")


def test_empty_words() -> None:
    with machine():
        assert pybpftool("feature", "", "").out == PLAIN


# ------------------------------------------------------------------ list_builtins


@pytest.mark.parametrize(
    ("group", "first", "last", "count"),
    [
        ("prog_types", "unspec", "netfilter", 33),
        ("map", "unspec", "rhash", 36),
        ("a", "cgroup_inet_ingress", "trace_fsession_multi", 62),
        ("link_types", "unspec", "tracing_multi", 16),
        ("helpers and more", "bpf_unspec", "bpf_cgrp_storage_delete", 212),
    ],
)
def test_list_builtins(group: str, first: str, last: str, count: int) -> None:
    ended = pybpftool("feature", "list_builtins", *group.split())
    names = ended.out.splitlines()
    assert (names[0], names[-1], len(names)) == (first, last, count)
    assert pybpftool("-j", "feature", "l", *group.split()).json == names


# ------------------------------------------------------------------ one thing

ONE = [
    ("map_type hash", "eBPF map_type hash is available", {"have_hash_map_type": True}, 0),
    ("map_type arena", "eBPF map_type arena is NOT available", {"have_arena_map_type": False}, 1),
    (
        "prog_type ext",
        "eBPF program_type ext can't be probed: Operation not permitted",
        {"have_ext_prog_type": None, "reason": "Operation not permitted"},
        2,
    ),
    (
        "attach_type sk_lookup",
        "eBPF attach_type sk_lookup is available",
        {"have_sk_lookup_attach_type": True},
        0,
    ),
    ("link_type tcx", "eBPF link_type tcx is NOT available", {"have_tcx_link_type": False}, 1),
    (
        "helper bpf_redirect",
        "eBPF helper bpf_redirect is available for program types xdp",
        {"have_bpf_redirect_helper": True, "program_types": ["xdp"]},
        0,
    ),
    (
        "helper redirect type xdp",
        "eBPF helper bpf_redirect is available for program type xdp",
        {"have_bpf_redirect_helper": True, "program_types": ["xdp"]},
        0,
    ),
    (
        "helper redirect type socket_filter",
        "eBPF helper bpf_redirect is NOT available for program type socket_filter",
        {"have_bpf_redirect_helper": False, "program_types": []},
        1,
    ),
    (
        "helper sk_lookup_tcp",
        "eBPF helper bpf_sk_lookup_tcp is NOT available",
        {"have_bpf_sk_lookup_tcp_helper": False, "program_types": []},
        1,
    ),
    (
        "helper redirect type ext",
        "eBPF helper bpf_redirect can't be probed: no program of type ext can be made up",
        {
            "have_bpf_redirect_helper": None,
            "program_types": [],
            "unknown_program_types": ["ext"],
            "reason": "no program of type ext can be made up",
        },
        2,
    ),
    (
        "kfunc bpf_x",
        "eBPF kfunc bpf_x can't be probed: can't look for the function: Invalid argument",
        {
            "have_bpf_x_kfunc": None,
            "program_types": [],
            "unknown_program_types": ["socket_filter", "xdp", "netfilter"],
            "reason": "can't look for the function: Invalid argument",
        },
        2,
    ),
]


@pytest.fixture
def callers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "CALLERS", ["socket_filter", "xdp", "netfilter"])


@pytest.mark.parametrize(("words", "sentence", "record", "status"), ONE)
def test_one_thing(
    words: str, sentence: str, record: dict[str, Any], status: int, callers: None
) -> None:
    with machine(PROG_QUERY=-errno.EBADF, LINK_CREATE=-errno.EINVAL):
        ended = pybpftool("feature", "probe", *words.split())
        told = pybpftool("-j", "feature", "probe", *words.split())
    assert (ended.out, ended.err, ended.status) == (sentence + "\n", "", status)
    assert (told.out, told.status) == (json.dumps(record, separators=(",", ":")) + "\n", status)


def test_a_helper_that_the_kernel_does_not_know(callers: None) -> None:
    with machine(PROG_LOAD=logs(b"invalid func unknown#211", -errno.EINVAL)):
        ended = pybpftool("feature", "probe", "helper", "cgrp_storage_delete")
    assert (ended.out, ended.status) == (
        "eBPF helper bpf_cgrp_storage_delete is NOT available\n",
        1,
    )


@pytest.mark.parametrize(
    ("found", "said", "expected", "status"),
    [
        (None, b"", "is NOT available", 1),
        ((7, None), b"calling kernel function bpf_x is not allowed\n", "is NOT available", 1),
        (
            (7, None),
            b"R1 !read_ok",
            "is available for program types socket_filter, xdp, netfilter",
            0,
        ),
    ],
)
def test_a_kfunc(
    found: Any,
    said: bytes,
    expected: str,
    status: int,
    callers: None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(functions, "find_type", lambda name, kind: found)
    with machine(PROG_LOAD=logs(said, -errno.EACCES)):
        ended = pybpftool("feature", "probe", "kfunc", "bpf_x")
    assert (ended.out, ended.status) == (f"eBPF kfunc bpf_x {expected}\n", status)


def test_a_kfunc_of_a_module_leaves_nothing_open(
    callers: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = Fd(new_fd())
    monkeypatch.setattr(functions, "find_type", lambda name, kind: (7, module))
    with machine(PROG_LOAD=logs(b"R1 !read_ok", -errno.EACCES)):
        assert pybpftool("feature", "probe", "kfunc", "bpf_x", "type", "xdp").status == 0
    with pytest.raises(ValueError, match="is closed"):
        module.fileno()


# ------------------------------------------------------------------ further sections


def test_attach_and_link_types(monkeypatch: pytest.MonkeyPatch) -> None:
    only(monkeypatch, "ATTACH_TYPES", "lsm_mac", "sk_lookup")
    only(monkeypatch, "LINK_TYPES", "struct_ops")
    rules: dict[str, Answer] = {"PROG_QUERY": 0, "PROG_LOAD": -errno.EPERM, "MAP_CREATE": -524}
    with Tape(**rules):
        assert pybpftool("feature", "probe", "attach_types").out == (
            "Scanning eBPF attach types...\n"
            "eBPF attach_type lsm_mac can't be probed: Operation not permitted\n"
            "eBPF attach_type sk_lookup is available\n\n"
        )
        assert pybpftool("-j", "feature", "probe", "attach_types").json == {
            "attach_types": {"have_lsm_mac_attach_type": None, "have_sk_lookup_attach_type": True}
        }
        assert pybpftool("-j", "feature", "probe", "link").status == 255  # link_type, of what?
        assert pybpftool("-j", "feature", "probe", "link_types").json == {
            "link_types": {"have_struct_ops_link_type": True}
        }


def test_kfuncs(callers: None, monkeypatch: pytest.MonkeyPatch) -> None:
    marked = [("vmlinux", {7: "bpf_x", 8: "bpf_y"}), ("mod", {9: "bpf_z"}), ("other", {})]
    monkeypatch.setattr(functions, "marked_kfuncs", lambda: iter(marked))
    monkeypatch.setattr(
        functions, "module_btf", lambda name: Fd(new_fd()) if name == "mod" else None
    )

    def answer(arm: Any) -> int:
        known = arm.prog_type == 6 and memory(arm.insns, 8)[4:5] != b"\x08"
        text = b"R1 !read_ok" if known else b"calling kernel function is not allowed\n"
        return int(logs(text, -errno.EACCES)(arm))

    with Tape(PROG_LOAD=answer):
        ended = pybpftool("feature", "probe", "kfuncs")
        told = pybpftool("-j", "feature", "probe", "kfuncs").json
    assert (
        ended.out == "Scanning eBPF kernel functions...\nbpf_x: xdp\nbpf_y: -\nbpf_z [mod]: xdp\n"
    )
    assert told == {
        "kfuncs": [
            {"name": "bpf_x", "btf": "vmlinux", "program_types": ["xdp"]},
            {"name": "bpf_y", "btf": "vmlinux", "program_types": []},
            {"name": "bpf_z", "btf": "mod", "program_types": ["xdp"]},
        ]
    }


def test_a_kernel_that_marks_no_kfuncs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(functions, "marked_kfuncs", lambda: iter([("vmlinux", {})]))
    ended = pybpftool("feature", "probe", "kfuncs")
    assert ended.err == "the BTF of this kernel marks no kfuncs\n"
    assert pybpftool("-j", "feature", "probe", "kfuncs").out == '{"kfuncs":[]}\n'


# ------------------------------------------------------------------ diff

OLDER = {
    "system_config": {"bpf_jit_enable": 0, "CONFIG_HZ": "250", "CONFIG_X": "y"},
    "program_types": {"have_xdp_prog_type": True, "have_lsm_prog_type": None},
    "map_types": {"have_hash_map_type": True, "have_arena_map_type": False},
    "helpers": {"xdp_available_helpers": ["bpf_a", "bpf_b"]},
    "misc": {"have_bounded_loops": False},
}
NEWER = {
    "system_config": {"bpf_jit_enable": 1, "CONFIG_HZ": "1000", "CONFIG_X": None},
    "program_types": {"have_xdp_prog_type": False, "have_lsm_prog_type": True},
    "map_types": {"have_hash_map_type": True, "have_arena_map_type": True},
    "helpers": {"xdp_available_helpers": ["bpf_b", "bpf_c"], "lsm_available_helpers": ["bpf_d"]},
    "misc": {"have_bounded_loops": False, "have_\x1b[2J": True},
}


@pytest.fixture
def documents(tmp_path: Path) -> list[str]:
    for name, document in (("old", OLDER), ("new", NEWER)):
        (tmp_path / name).write_text(json.dumps(document))
    return [str(tmp_path / "old"), str(tmp_path / "new")]


def test_diff(documents: list[str]) -> None:
    ended = pybpftool("feature", "diff", *documents)
    assert ended.status == 0
    assert ended.out == (
        "~ bpf_jit_enable: 0 -> 1\n"
        "~ CONFIG_HZ: 250 -> 1000\n"
        "~ CONFIG_X: y -> not set\n"
        "- eBPF program_type xdp\n"
        "~ eBPF program_type lsm: unknown -> available\n"
        "+ eBPF map_type arena\n"
        "- eBPF helper bpf_a for program type xdp\n"
        "+ eBPF helper bpf_c for program type xdp\n"
        "~ eBPF helper bpf_d for program type lsm: unknown -> available\n"
        "~ \\x1b[2J: unknown -> available\n"
    )


def test_diff_in_json(documents: list[str]) -> None:
    changes = pybpftool("-j", "feature", "diff", *documents).json
    assert changes[0] == {
        "change": "changed",
        "section": "system_config",
        "name": "bpf_jit_enable",
        "old": 0,
        "new": 1,
    }
    assert [each["change"] for each in changes].count("gained") == 2
    assert pybpftool("-j", "feature", "diff", documents[0], documents[0]).out == "[]\n"
    assert pybpftool("feature", "diff", documents[1], documents[1]).out == ""


@pytest.mark.parametrize(
    "text", ["", "nonsense", "[1]", '{"map_types": 7}', "[" * 100_000, '"\\ud800"', "\xff"]
)
def test_diff_of_no_documents(text: str, documents: list[str]) -> None:
    Path(documents[0]).write_bytes(text.encode("latin-1"))
    ended = pybpftool("feature", "diff", *documents)
    assert ended.status == 255 and ended.err.startswith(f"Error: {documents[0]}: ")
    assert ended.err.count("\n") == 1


def test_diff_of_what_was_probed(documents: list[str]) -> None:
    with machine():
        Path(documents[0]).write_text(pybpftool("-j", "feature", "probe").out)
    with machine(PROG_LOAD=-errno.EINVAL):
        Path(documents[1]).write_text(pybpftool("-j", "feature", "probe").out)
    lost = pybpftool("feature", "diff", *documents).out.splitlines()
    assert "- eBPF program_type xdp" in lost
    assert "- eBPF helper bpf_redirect for program type xdp" in lost
