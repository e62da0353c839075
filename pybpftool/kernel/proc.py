"""What /proc and /sys tell about this machine, this process and its descriptors."""

from __future__ import annotations

import os

from ..errors import BadData

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from typing import SupportsIndex

CAPABILITIES = {
    "CAP_NET_ADMIN": 12,
    "CAP_SYS_ADMIN": 21,
    "CAP_SYSLOG": 34,
    "CAP_PERFMON": 38,
    "CAP_BPF": 39,
}
"""The capabilities that matter to BPF, by number (linux/capability.h)."""

_PIECE = 1 << 16
"""Bytes read at a time: any of these files fits, so one call more tells that it has ended."""

_MOST_CPUS = 1 << 16
"""More than any kernel can be built for: a list that names more is not a list of CPUs."""


def read_text(path: str) -> str | None:
    """The text of a small file of /proc or /sys; None where it is absent or forbidden.

    By descriptor: thousands are read to find out who holds what, and ``open`` costs four times
    as much.
    """
    parts = []
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            while part := os.read(fd, _PIECE):
                parts.append(part)
        finally:
            os.close(fd)
    except OSError:
        return None
    return b"".join(parts).decode("utf-8", "surrogateescape")


def fdinfo(fd: SupportsIndex, pid: int | str = "self") -> dict[str, str]:
    """``/proc/PID/fdinfo/FD`` as key -> value; empty where it is gone or forbidden."""
    return fields(read_text(f"/proc/{pid}/fdinfo/{fd.__index__()}") or "")


def fields(text: str) -> dict[str, str]:
    """The lines ``key:<blanks>value`` of a /proc file; a later line of one key wins."""
    pairs = (line.partition(":") for line in text.splitlines())
    return {key: value.strip() for key, colon, value in pairs if colon}


def fd_kind(fd: SupportsIndex) -> str:
    """What a descriptor of this process is: ``prog``, ``map``, ``link``, ``btf`` or ``unknown``."""
    return kind_of(os.readlink(f"/proc/self/fd/{fd.__index__()}"))


def kind_of(target: str) -> str:
    """The same from the text of the descriptor's link in /proc."""
    return {
        "anon_inode:bpf-prog": "prog",
        "anon_inode:bpf-map": "map",
        "anon_inode:bpf_link": "link",
        "anon_inode:bpf-link": "link",
        "anon_inode:btf": "btf",
        "anon_inode:[btf]": "btf",
    }.get(target, "unknown")


# ------------------------------------------------------------------ CPUs, pages, clocks


def cpu_list(text: str) -> list[int]:
    """The numbers of a list of CPUs such as ``0-3,5``, ascending.

    Raises BadData for any other text.  Source: Documentation/admin-guide/cputopology.
    """
    cpus: set[int] = set()
    for part in text.strip().split(","):
        first, dash, last = part.partition("-")
        if not (_is_number(first) and (_is_number(last) if dash else not last)):
            raise BadData(f"'{text.strip()[:64]}' is not a list of CPUs")
        low, high = int(first), int(last or first)
        if not low <= high < _MOST_CPUS:
            raise BadData(f"'{part}' is not a range of CPUs")
        cpus.update(range(low, high + 1))
    return sorted(cpus)


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 8


def _cpus(which: str) -> list[int]:
    path = f"/sys/devices/system/cpu/{which}"
    text = read_text(path)
    if text is None:
        raise BadData(f"can't read {path}")
    return cpu_list(text)


def possible_cpus() -> int:
    """How many values a per-CPU map holds for each key: one for every possible CPU."""
    return len(_cpus("possible"))


def online_cpus() -> list[int]:
    """The CPUs that run now, ascending."""
    return _cpus("online")


def page_size() -> int:
    """Bytes in a page of memory."""
    return os.sysconf("SC_PAGESIZE")


def kernel_version() -> int:
    """KERNEL_VERSION(a, b, c) of the running kernel, for programs that name or compare it.

    Kprobe programs had to name it before Linux 5.0.  0 where it cannot be told.  Ubuntu and Debian
    tell the true one elsewhere than in the release.
    """
    system = os.uname()
    ubuntu = (read_text("/proc/version_signature") or "").split()[2:3]
    debian = system.version.partition("Debian ")[2].split()[:1]
    for word in (*ubuntu, *debian, system.release):
        parts = word.split("-")[0].split("+")[0].split(".")[:3]
        if len(parts) == 3 and all(part.isascii() and part.isdigit() for part in parts):
            major, minor, patch = (int(part[:8]) for part in parts)
            return (major << 16 | minor << 8 | min(patch, 255)) & 0xFFFFFFFF
    return 0


def wall_clock(since_boot: int) -> int:
    """Unix seconds of a moment that the kernel told in ns since boot (spec 2.1).

    The two clocks are read one after the other, so two runs may differ by a second.
    """
    import time

    now = time.clock_gettime_ns(time.CLOCK_REALTIME)
    up = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
    whole = now // 10**9 - up // 10**9
    return whole + (now % 10**9 - up % 10**9 + since_boot) // 10**9


# ------------------------------------------------------------------ mounts


class Mount:
    """One line of /proc/mounts: ``source``, ``path``, ``type``, ``options`` (a list)."""

    __slots__ = ("options", "path", "source", "type")

    def __init__(self, source: str, path: str, type: str, options: list[str]) -> None:
        self.source = source
        self.path = path
        self.type = type
        self.options = options


def mounts(text: str | None = None) -> Iterator[Mount]:
    """The mounts this process sees, in the kernel's order; ``text`` replaces /proc/mounts."""
    if text is None:
        text = read_text("/proc/mounts") or ""
    for line in text.split("\n"):
        words = line.split(" ")
        if len(words) >= 4:
            source, path, kind, options = map(unescape, words[:4])
            yield Mount(source, path, kind, options.split(","))


def unescape(word: str) -> str:
    r"""A word of /proc/mounts as it was before blank, tab, newline and ``\`` became ``\ooo``."""
    first, *others = word.split("\\")
    for other in others:
        octal = other[:3]
        if len(octal) == 3 and all(digit in "01234567" for digit in octal) and octal[0] < "4":
            first += chr(int(octal, 8)) + other[3:]
        else:
            first += "\\" + other
    return first


# ------------------------------------------------------------------ permissions


def effective() -> Callable[[str], bool]:
    """A function that tells whether this process has the capability of a name now.

    Before Linux 5.8 CAP_SYS_ADMIN was what CAP_BPF and CAP_PERFMON are now; it still implies
    them.
    """
    held = int(fields(read_text("/proc/self/status") or "").get("CapEff", "0"), 16)
    admin = held >> CAPABILITIES["CAP_SYS_ADMIN"] & 1

    def has(name: str) -> bool:
        implied = admin and name in ("CAP_BPF", "CAP_PERFMON")
        return bool(implied or held >> CAPABILITIES[name] & 1)

    return has


def knows_cap_bpf() -> bool:
    """Whether this kernel splits CAP_BPF and CAP_PERFMON off CAP_SYS_ADMIN (Linux 5.8)."""
    last = read_text("/proc/sys/kernel/cap_last_cap") or ""
    return not _is_number(last.strip()) or int(last) >= CAPABILITIES["CAP_BPF"]


def why_not_permitted(needs: Sequence[str]) -> str | None:
    """What stands between this process and a refused bpf(2), or None where nothing is known.

    ``needs``: the capabilities whose lack can be the reason.
    """
    has = effective()
    missing = [name for name in needs if not has(name)]
    if missing:
        if not knows_cap_bpf():
            split = ("CAP_BPF", "CAP_PERFMON")
            missing = sorted({"CAP_SYS_ADMIN" if name in split else name for name in missing})
        text = f"this process lacks {', '.join(missing)}"
        sysctl = (read_text("/proc/sys/kernel/unprivileged_bpf_disabled") or "0").strip()
        if "CAP_BPF" in needs and not has("CAP_BPF") and sysctl != "0":
            text += f", and kernel.unprivileged_bpf_disabled is {sysctl}"
        return text
    if not needs:
        return None
    lockdown = read_text("/sys/kernel/security/lockdown") or ""
    level = lockdown.partition("[")[2].partition("]")[0]
    if level not in ("", "none"):
        return f"the kernel is locked down ({level})"
    if (read_text("/proc/self/uid_map") or "").split() not in ([], ["0", "0", "4294967295"]):
        return "capabilities count only in the first user namespace, and this is another"
    return None


def why_hidden() -> str | None:
    """Why the kernel keeps code and addresses from this process, None where nothing is known.

    Source: bpf_prog_get_info_by_fd and kallsyms_show_value of the kernel.
    """
    has = effective()
    if not has("CAP_BPF"):
        return why_not_permitted(["CAP_BPF"])
    level = (read_text("/proc/sys/kernel/kptr_restrict") or "0").strip()
    if level == "2":
        return "kernel.kptr_restrict is 2, which hides addresses from everyone"
    if not has("CAP_SYSLOG"):
        return f"this process lacks CAP_SYSLOG, and kernel.kptr_restrict is {level}"
    return None
