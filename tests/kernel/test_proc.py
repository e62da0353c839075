"""What is read from /proc and /sys, from friendly and from hostile text."""

from __future__ import annotations

import os

import pytest

from pybpftool.errors import BadData
from pybpftool.kernel import proc
from tests.support.live import needs_kernel


@pytest.mark.parametrize(
    ("text", "cpus"),
    [
        ("0\n", [0]),
        ("0-3\n", [0, 1, 2, 3]),
        ("0-1,4,6-7\n", [0, 1, 4, 6, 7]),
        ("5,0-2,1", [0, 1, 2, 5]),
    ],
)
def test_lists_of_cpus(text: str, cpus: list[int]) -> None:
    assert proc.cpu_list(text) == cpus


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\n",
        "0-",
        "-3",
        "3-1",
        "a",
        "0,,1",
        "0-4294967295",
        "0-99999999999999999999",
        "1-2-3",
        "٣",
        "0x1",
        "65536",
        "1.5",
        "0 1",
    ],
)  # fmt: skip - one line of bad words
def test_other_text_is_no_list_of_cpus(text: str) -> None:
    with pytest.raises(BadData):
        proc.cpu_list(text)


def test_cpus_of_this_machine() -> None:
    assert proc.possible_cpus() >= len(proc.online_cpus()) >= 1
    assert set(os.sched_getaffinity(0)) <= set(proc.online_cpus())


def test_a_machine_without_sysfs_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(proc, "read_text", lambda path: None)
    with pytest.raises(BadData, match="can't read /sys/devices/system/cpu/possible"):
        proc.possible_cpus()


@pytest.mark.parametrize(
    ("word", "plain"),
    [
        ("/sys/fs/bpf", "/sys/fs/bpf"),
        (r"/mnt/a\040b", "/mnt/a b"),
        (r"\011\012\134\043", "\t\n\\#"),
        (r"/a\134040", r"/a\040"),
        (r"bad\04", r"bad\04"),
        (r"bad\089", r"bad\089"),
        (r"bad\777", r"bad\777"),
        ("end\\", "end\\"),
        (r"\\040", r"\ "),
    ],
)
def test_escapes_of_mounts(word: str, plain: str) -> None:
    assert proc.unescape(word) == plain


def test_mounts() -> None:
    text = (
        "proc /proc proc rw,nosuid 0 0\n"
        "none /run/my\\040bpf bpf rw,mode=700,delegate_cmds=prog_load 0 0\n"
        "broken line\n"
    )
    found = [(m.source, m.path, m.type, m.options) for m in proc.mounts(text)]
    assert found == [
        ("proc", "/proc", "proc", ["rw", "nosuid"]),
        ("none", "/run/my bpf", "bpf", ["rw", "mode=700", "delegate_cmds=prog_load"]),
    ]
    assert any(mount.path == "/" for mount in proc.mounts())


def test_fdinfo() -> None:
    with open(os.devnull) as file:
        assert proc.fdinfo(file.fileno())["pos"] == "0"
    assert proc.fdinfo(1 << 20) == {}
    assert proc.fields("a:\t1\nno colon\nb:\na: 2 3 \n") == {"a": "2 3", "b": ""}


def test_kinds_of_descriptors() -> None:
    with open(os.devnull) as file:
        assert proc.fd_kind(file.fileno()) == "unknown"
    assert proc.kind_of("anon_inode:bpf-map") == "map"
    assert proc.kind_of("anon_inode:bpf_link") == "link"
    assert proc.kind_of("/mnt/anon_inode:bpf-map") == "unknown"


def test_wall_clock_of_now_is_now() -> None:
    import time

    up = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
    assert abs(proc.wall_clock(up) - time.time()) <= 2
    assert proc.wall_clock(up) - proc.wall_clock(up - 60 * 10**9) == 60


def test_capabilities(monkeypatch: pytest.MonkeyPatch) -> None:
    files = {"/proc/self/status": "Name:\tx\nCapEff:\t0000008000001000\n"}
    monkeypatch.setattr(proc, "read_text", files.get)
    has = proc.effective()
    assert [has(name) for name in ("CAP_NET_ADMIN", "CAP_BPF", "CAP_SYS_ADMIN")] == [
        True,
        True,
        False,
    ]
    files["/proc/self/status"] = "CapEff:\t0000000000200000\n"
    has = proc.effective()
    assert [has(name) for name in ("CAP_PERFMON", "CAP_BPF", "CAP_SYSLOG")] == [True, True, False]
    files.clear()
    assert not proc.effective()("CAP_BPF")


@needs_kernel
def test_whoever_may_use_bpf_has_the_capability() -> None:
    assert proc.effective()("CAP_BPF")


ALL, NO_SYSLOG, NOTHING = "000001ffffffffff", "000001fbffffffff", "0000000000000000"


@pytest.mark.parametrize(
    ("held", "level", "reason"),
    [
        (ALL, "0", None),
        (ALL, "1", None),
        (ALL, "2", "kernel.kptr_restrict is 2, which hides addresses from everyone"),
        (NO_SYSLOG, "1", "this process lacks CAP_SYSLOG, and kernel.kptr_restrict is 1"),
        (NO_SYSLOG, None, "this process lacks CAP_SYSLOG, and kernel.kptr_restrict is 0"),
        (NOTHING, "2", "this process lacks CAP_BPF"),
    ],
)
def test_why_code_is_hidden(
    held: str, level: str | None, reason: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = {"/proc/self/status": f"CapEff:\t{held}\n"}
    if level is not None:
        files["/proc/sys/kernel/kptr_restrict"] = f"{level}\n"
    monkeypatch.setattr(proc, "read_text", files.get)
    assert proc.why_hidden() == reason


@pytest.mark.parametrize(
    ("release", "version", "signature", "expected"),
    [
        ("6.18.44-1", "#1 SMP", None, (6, 18, 44)),
        ("6.1.0-9-amd64", "#1 SMP Debian 6.1.27-1 (2023-05-08)", None, (6, 1, 27)),
        ("5.4.0-12", "#15-Ubuntu", "Ubuntu 5.4.0-12.15-generic 5.4.8", (5, 4, 8)),
        ("4.19.300", "#1", None, (4, 19, 255)),
        ("6.18.0+", "", None, (6, 18, 0)),
        ("strange", "Debian strange", "Ubuntu x", (0, 0, 0)),
        ("6.1", "", None, (0, 0, 0)),
    ],
)
def test_version_of_the_kernel(
    release: str,
    version: str,
    signature: str | None,
    expected: tuple[int, int, int],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    system = os.uname_result(("Linux", "host", release, version, "x86_64"))
    monkeypatch.setattr(os, "uname", lambda: system)
    monkeypatch.setattr(proc, "read_text", lambda path: signature)
    major, minor, patch = expected
    assert proc.kernel_version() == major << 16 | minor << 8 | patch
