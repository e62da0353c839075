"""Every question to the kernel is one row, which states only what is not the default.

``since`` is the release of Linux that first says yes, ``config`` the option it must be built with.
Only tests read these two: the tool asks the kernel and never looks at its version.
Sources: linux/bpf.h; the questions: spec 5.2.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, TypeAlias

    Fields: TypeAlias = dict[str, int | str]

EBADF, EFAULT, ENODEV, EINVAL, EOPNOTSUPP, EAFNOSUPPORT = 9, 14, 19, 22, 95, 97
ENOTSUPP = 524
"""Errnos as numbers: one is known by name inside the kernel only."""

BPF_F_SLEEPABLE = 1 << 4
"""flag of prog_load: such programs may wait, and those of type syscall must be such."""


class Ask:
    """One question: fields of its arm of bpf_attr that are neither 0 nor the default.

    A field's value may be a word, which the runner puts a number for: an attach type, or one of
    ``kernel version``, ``page size``, ``inner map`` and ``storage BTF``.
    ``errno``, ``says``: the refusal (and what is in its log) by which a kernel shows that it knows
    the thing, where there is nothing that it could grant; 0: it grants it.
    ``instead``: what to ask where this way is forbidden (EPERM) to everyone.
    """

    __slots__ = ("config", "errno", "fields", "instead", "says", "since")

    def __init__(
        self,
        since: str,
        config: str = "",
        fields: Fields | None = None,
        *,
        errno: int = 0,
        says: bytes = b"",
        instead: tuple[Ask, ...] = (),
    ) -> None:
        self.since = since
        self.config = config
        self.fields = fields or {}
        self.errno = errno
        self.says = says
        self.instead = instead


class Hook:
    """One question about a place where programs are attached; ``since``, ``config`` as in Ask.

    ``cmd``: the command by which to ask, one that cannot do what it says: it is given no program
    or no target.  ``fields``: of its arm, beside the attach type.  ``prog_type``: PROG_LOAD loads
    such a program for the attach type, LINK_CREATE attaches it.
    ``attach_type``: where that is not the word asked for.
    ``errno``, ``says``: as in Ask; 0: any answer but EINVAL shows that the kernel knows it.
    """

    __slots__ = (
        "attach_type",
        "cmd",
        "config",
        "errno",
        "fields",
        "prog_type",
        "says",
        "since",
    )

    def __init__(
        self,
        since: str,
        config: str = "",
        *,
        cmd: str = "PROG_QUERY",
        prog_type: str = "",
        attach_type: str = "",
        fields: dict[str, Any] | None = None,
        errno: int = 0,
        says: bytes = b"",
    ) -> None:
        self.since = since
        self.config = config
        self.cmd = cmd
        self.prog_type = prog_type
        self.attach_type = attach_type
        self.fields = fields or {}
        self.errno = errno
        self.says = says


# Programs that belong to a function of the kernel are asked for with type 1 in its place, which is
# none: only a kernel that knows such programs says so.

PROG_TYPES = {
    "socket_filter": Ask("3.19", "CONFIG_NET"),
    "kprobe": Ask("4.1", "CONFIG_BPF_EVENTS", {"kern_version": "kernel version"}),
    "sched_cls": Ask("4.1", "CONFIG_NET"),
    "sched_act": Ask("4.1", "CONFIG_NET"),
    "tracepoint": Ask("4.7", "CONFIG_BPF_EVENTS"),
    "xdp": Ask("4.8", "CONFIG_NET"),
    "perf_event": Ask("4.9", "CONFIG_BPF_EVENTS"),
    "cgroup_skb": Ask("4.10", "CONFIG_CGROUP_BPF"),
    "cgroup_sock": Ask("4.10", "CONFIG_CGROUP_BPF"),
    "lwt_in": Ask("4.10", "CONFIG_NET"),
    "lwt_out": Ask("4.10", "CONFIG_NET"),
    "lwt_xmit": Ask("4.10", "CONFIG_NET"),
    "sock_ops": Ask("4.13", "CONFIG_NET"),
    "sk_skb": Ask("4.14", "CONFIG_NET"),
    "cgroup_device": Ask("4.15", "CONFIG_CGROUP_BPF"),
    "sk_msg": Ask("4.17", "CONFIG_NET"),
    "raw_tracepoint": Ask("4.17", "CONFIG_BPF_EVENTS"),
    "cgroup_sock_addr": Ask(
        "4.17", "CONFIG_CGROUP_BPF", {"expected_attach_type": "cgroup_inet4_connect"}
    ),
    "lwt_seg6local": Ask("4.18", "CONFIG_NET"),
    "lirc_mode2": Ask("4.18", "CONFIG_BPF_LIRC_MODE2", {"expected_attach_type": "lirc_mode2"}),
    "sk_reuseport": Ask("4.19", "CONFIG_INET"),
    "flow_dissector": Ask("4.20", "CONFIG_NET"),
    "cgroup_sysctl": Ask("5.2", "CONFIG_CGROUP_BPF"),
    "raw_tracepoint_writable": Ask("5.2", "CONFIG_BPF_EVENTS"),
    "cgroup_sockopt": Ask(
        "5.3", "CONFIG_CGROUP_BPF", {"expected_attach_type": "cgroup_getsockopt"}
    ),
    "tracing": Ask(
        "5.5",
        "CONFIG_DEBUG_INFO_BTF",
        {"expected_attach_type": "trace_fentry", "attach_btf_id": 1},
        errno=EINVAL,
        says=b"is not a function",
        # a kernel may keep functions from being traced, and yet load what traces tracepoints
        instead=(
            Ask(
                "5.5",
                "CONFIG_DEBUG_INFO_BTF",
                {"expected_attach_type": "trace_raw_tp", "attach_btf_id": 1},
                errno=EINVAL,
                says=b"is not a typedef",
            ),
        ),
    ),
    "struct_ops": Ask("5.6", "CONFIG_DEBUG_INFO_BTF", errno=ENOTSUPP),
    "ext": Ask(
        "5.6",
        "CONFIG_DEBUG_INFO_BTF",
        {"attach_btf_id": 1},
        errno=EINVAL,
        says=b"Cannot replace kernel functions",
    ),
    "lsm": Ask(
        "5.7",
        "CONFIG_BPF_LSM",
        {"expected_attach_type": "lsm_mac", "attach_btf_id": 1},
        errno=EINVAL,
        says=b"is not a function",
    ),
    "sk_lookup": Ask("5.9", "CONFIG_INET", {"expected_attach_type": "sk_lookup"}),
    "syscall": Ask("5.14", "CONFIG_BPF_SYSCALL", {"prog_flags": BPF_F_SLEEPABLE}),
    "netfilter": Ask("6.4", "CONFIG_NETFILTER_BPF_LINK", {"expected_attach_type": "netfilter"}),
}
"""word -> question.  The default: ``r0 = 0; exit`` under the licence GPL."""

BY_BTF = ("tracing", "struct_ops", "ext", "lsm")
"""Types whose programs load for a certain function or type of the kernel only."""

TARGETS = {
    "tracing": ("btf_trace_sched_switch", 8, "trace_raw_tp"),
    "struct_ops": ("tcp_congestion_ops", 4, ""),
    "lsm": ("bpf_lsm_file_open", 12, "lsm_mac"),
}
"""Such a type of program -> what one can be loaded for: a type of the kernel, its BTF kind, and
the attach type."""

CALLERS = [word for word in PROG_TYPES if word != "ext"]
"""The types to ask for a function with: an ext program may call what the program it replaces may,
and so says nothing of its own."""

_NO_PREALLOC: Fields = {"map_flags": 1 << 0}
_STORAGE: Fields = {
    "btf_fd": "storage BTF",
    **_NO_PREALLOC,
    "value_size": 8,
    "max_entries": 0,
    "btf_key_type_id": 1,
    "btf_value_type_id": 3,
}
_PER_CGROUP: Fields = {"key_size": 16, "value_size": 8, "max_entries": 0}
_PAGES: Fields = {"key_size": 0, "value_size": 0}

MAP_TYPES = {
    "hash": Ask("3.19"),
    "array": Ask("3.19"),
    "prog_array": Ask("4.2"),
    "perf_event_array": Ask("4.3", "CONFIG_PERF_EVENTS"),
    "percpu_hash": Ask("4.6"),
    "percpu_array": Ask("4.6"),
    "stack_trace": Ask("4.6", "CONFIG_PERF_EVENTS", {"value_size": 8}),
    "cgroup_array": Ask("4.8", "CONFIG_CGROUPS"),
    "lru_hash": Ask("4.10"),
    "lru_percpu_hash": Ask("4.10"),
    "lpm_trie": Ask("4.11", "", {"key_size": 8, "value_size": 8, **_NO_PREALLOC}),
    "array_of_maps": Ask("4.12", "", {"inner_map_fd": "inner map"}),
    "hash_of_maps": Ask("4.12", "", {"inner_map_fd": "inner map"}),
    "devmap": Ask("4.14", "CONFIG_NET"),
    "sockmap": Ask("4.14", "CONFIG_NET"),
    "cpumap": Ask("4.15", "CONFIG_NET"),
    "xskmap": Ask("4.18", "CONFIG_XDP_SOCKETS"),
    "sockhash": Ask("4.18", "CONFIG_NET"),
    "cgroup_storage": Ask("4.19", "CONFIG_CGROUP_BPF", _PER_CGROUP),
    "reuseport_sockarray": Ask("4.19", "CONFIG_INET"),
    "percpu_cgroup_storage": Ask("4.20", "CONFIG_CGROUP_BPF", _PER_CGROUP),
    "queue": Ask("4.20", "", {"key_size": 0}),
    "stack": Ask("4.20", "", {"key_size": 0}),
    "sk_storage": Ask("5.2", "CONFIG_NET", _STORAGE),
    "devmap_hash": Ask("5.4", "CONFIG_NET"),
    "struct_ops": Ask(
        "5.6", "CONFIG_DEBUG_INFO_BTF", {"btf_vmlinux_value_type_id": 1}, errno=ENOTSUPP
    ),
    "ringbuf": Ask("5.8", "", {"max_entries": "page size", **_PAGES}),
    "inode_storage": Ask("5.10", "CONFIG_BPF_LSM", _STORAGE),
    "task_storage": Ask("5.11", "CONFIG_BPF_EVENTS", _STORAGE),
    "bloom_filter": Ask("5.16", "", {"key_size": 0}),
    "user_ringbuf": Ask("6.1", "", {"max_entries": "page size", **_PAGES}),
    "cgrp_storage": Ask("6.2", "CONFIG_CGROUPS", _STORAGE),
    "arena": Ask("6.9", "CONFIG_BPF_JIT", {"map_flags": 1 << 10, **_PAGES}),  # BPF_F_MMAPABLE
    "insn_array": Ask("6.19", "", {"value_size": 16}),
    "rhash": Ask("7.2", "", _NO_PREALLOC),  # in no release yet
}
"""word -> question.  The default: keys and values of 4 bytes, and one entry."""

_NOWHERE = 0xFFFFFFFF
"""No descriptor; as a device, none either."""


def _of_function(since: str, config: str, prog_type: str, attach_type: str = "") -> Hook:
    return Hook(
        since,
        config,
        cmd="PROG_LOAD",
        prog_type=prog_type,
        attach_type=attach_type,
        fields={"attach_btf_id": 1},
        errno=EINVAL,
        says=b"is not a function",
    )


def _link(
    since: str, config: str, prog_type: str, attach_type: str, errno: int = EBADF, **fields: Any
) -> Hook:
    return Hook(
        since,
        config,
        cmd="LINK_CREATE",
        prog_type=prog_type,
        attach_type=attach_type,
        fields={"target_fd": _NOWHERE, **fields},
        errno=errno,
    )


_KPROBES = {"cnt": 1, "syms": 1}  # an address at which no process has anything
_UPROBES = {"cnt": 1, "path": "root", "offsets": "root"}  # no file to have code in

LINK_TYPES = {
    "raw_tracepoint": Hook("5.8", "CONFIG_BPF_EVENTS", cmd="LINK_GET_NEXT_ID"),
    "tracing": _of_function("5.8", "CONFIG_DEBUG_INFO_BTF", "tracing", "trace_fentry"),
    "cgroup": _link("5.7", "CONFIG_CGROUP_BPF", "cgroup_skb", "cgroup_inet_ingress"),
    "iter": _of_function("5.8", "CONFIG_DEBUG_INFO_BTF", "tracing", "trace_iter"),
    "netns": _link("5.8", "CONFIG_NET", "flow_dissector", "flow_dissector"),
    # nothing runs programs for the loopback device in hardware: refused after all else is right
    "xdp": _link("5.9", "CONFIG_NET", "xdp", "xdp", EOPNOTSUPP, target_fd=1, flags=1 << 3),
    "perf_event": _link("5.15", "CONFIG_BPF_EVENTS", "perf_event", "perf_event"),
    "kprobe_multi": _link(
        "5.18", "CONFIG_FPROBE", "kprobe", "trace_kprobe_multi", EFAULT, kprobe_multi=_KPROBES
    ),
    # maps that are to have links bear a flag of their own, BPF_F_LINK
    "struct_ops": Hook(
        "6.4",
        "CONFIG_DEBUG_INFO_BTF",
        cmd="MAP_CREATE",
        fields={"map_type": 26, "map_flags": 1 << 13, "btf_vmlinux_value_type_id": 1},
        errno=ENOTSUPP,
    ),
    "netfilter": _link(
        "6.4",
        "CONFIG_NETFILTER_BPF_LINK",
        "netfilter",
        "netfilter",
        EAFNOSUPPORT,
        netfilter={"pf": 255},
    ),
    "tcx": _link("6.6", "CONFIG_NET_XGRESS", "sched_cls", "tcx_ingress", ENODEV),
    "uprobe_multi": _link(
        "6.6", "CONFIG_UPROBE_EVENTS", "kprobe", "trace_uprobe_multi", uprobe_multi=_UPROBES
    ),
    "netkit": _link("6.7", "CONFIG_NETKIT", "sched_cls", "netkit_primary", ENODEV),
    "sockmap": _link("6.10", "CONFIG_NET", "sk_msg", "sk_msg_verdict"),
    "tracing_multi": _of_function(  # in no release yet
        "7.2", "CONFIG_DEBUG_INFO_BTF", "tracing", "trace_fentry_multi"
    ),
}
"""word -> question.  Most are answered by the refusal of a link to no descriptor or device."""

ATTACH_TYPES = {
    "cgroup_inet_ingress": Hook("4.10", "CONFIG_CGROUP_BPF"),
    "cgroup_inet_egress": Hook("4.10", "CONFIG_CGROUP_BPF"),
    "cgroup_inet_sock_create": Hook("4.10", "CONFIG_CGROUP_BPF"),
    "cgroup_sock_ops": Hook("4.13", "CONFIG_CGROUP_BPF"),
    "sk_skb_stream_parser": Hook("4.14", "CONFIG_NET", cmd="PROG_ATTACH"),
    "sk_skb_stream_verdict": Hook("4.14", "CONFIG_NET", cmd="PROG_ATTACH"),
    "cgroup_device": Hook("4.15", "CONFIG_CGROUP_BPF"),
    "sk_msg_verdict": Hook("4.17", "CONFIG_NET", cmd="PROG_ATTACH"),
    "cgroup_inet4_bind": Hook("4.17", "CONFIG_CGROUP_BPF"),
    "cgroup_inet6_bind": Hook("4.17", "CONFIG_CGROUP_BPF"),
    "cgroup_inet4_connect": Hook("4.17", "CONFIG_CGROUP_BPF"),
    "cgroup_inet6_connect": Hook("4.17", "CONFIG_CGROUP_BPF"),
    "cgroup_inet4_post_bind": Hook("4.17", "CONFIG_CGROUP_BPF"),
    "cgroup_inet6_post_bind": Hook("4.17", "CONFIG_CGROUP_BPF"),
    "cgroup_udp4_sendmsg": Hook("4.18", "CONFIG_CGROUP_BPF"),
    "cgroup_udp6_sendmsg": Hook("4.18", "CONFIG_CGROUP_BPF"),
    "lirc_mode2": Hook("4.18", "CONFIG_BPF_LIRC_MODE2"),
    "flow_dissector": Hook("4.20", "CONFIG_NET"),
    "cgroup_sysctl": Hook("5.2", "CONFIG_CGROUP_BPF"),
    "cgroup_udp4_recvmsg": Hook("5.2", "CONFIG_CGROUP_BPF"),
    "cgroup_udp6_recvmsg": Hook("5.2", "CONFIG_CGROUP_BPF"),
    "cgroup_getsockopt": Hook("5.3", "CONFIG_CGROUP_BPF"),
    "cgroup_setsockopt": Hook("5.3", "CONFIG_CGROUP_BPF"),
    "trace_raw_tp": Hook(
        "5.5",
        "CONFIG_DEBUG_INFO_BTF",
        cmd="PROG_LOAD",
        prog_type="tracing",
        fields={"attach_btf_id": 1},
        errno=EINVAL,
        says=b"is not a typedef",
    ),
    "trace_fentry": _of_function("5.5", "CONFIG_DEBUG_INFO_BTF", "tracing"),
    "trace_fexit": _of_function("5.5", "CONFIG_DEBUG_INFO_BTF", "tracing"),
    "modify_return": _of_function("5.7", "CONFIG_DEBUG_INFO_BTF", "tracing"),
    "lsm_mac": _of_function("5.7", "CONFIG_BPF_LSM", "lsm"),
    "trace_iter": _of_function("5.8", "CONFIG_DEBUG_INFO_BTF", "tracing"),
    "cgroup_inet4_getpeername": Hook("5.8", "CONFIG_CGROUP_BPF"),
    "cgroup_inet6_getpeername": Hook("5.8", "CONFIG_CGROUP_BPF"),
    "cgroup_inet4_getsockname": Hook("5.8", "CONFIG_CGROUP_BPF"),
    "cgroup_inet6_getsockname": Hook("5.8", "CONFIG_CGROUP_BPF"),
    # values of 8 bytes, an index and a program, came with the programs themselves
    "xdp_devmap": Hook(
        "5.8", "CONFIG_NET", cmd="MAP_CREATE", fields={"map_type": 14, "value_size": 8}
    ),
    "cgroup_inet_sock_release": Hook("5.9", "CONFIG_CGROUP_BPF"),
    "xdp_cpumap": Hook(
        "5.9", "CONFIG_NET", cmd="MAP_CREATE", fields={"map_type": 16, "value_size": 8}
    ),
    "sk_lookup": Hook("5.9", "CONFIG_INET"),
    "xdp": LINK_TYPES["xdp"],
    "sk_skb_verdict": Hook("5.13", "CONFIG_NET", cmd="PROG_ATTACH"),
    "sk_reuseport_select": Hook("5.14", "CONFIG_INET", cmd="PROG_LOAD", prog_type="sk_reuseport"),
    "sk_reuseport_select_or_migrate": Hook(
        "5.14", "CONFIG_INET", cmd="PROG_LOAD", prog_type="sk_reuseport"
    ),
    "perf_event": LINK_TYPES["perf_event"],
    "trace_kprobe_multi": LINK_TYPES["kprobe_multi"],
    "lsm_cgroup": Hook("6.0", "CONFIG_CGROUP_BPF"),
    "struct_ops": LINK_TYPES["struct_ops"],
    "netfilter": LINK_TYPES["netfilter"],
    "tcx_ingress": Hook("6.6", "CONFIG_NET_XGRESS"),
    "tcx_egress": Hook("6.6", "CONFIG_NET_XGRESS"),
    "trace_uprobe_multi": LINK_TYPES["uprobe_multi"],
    "cgroup_unix_connect": Hook("6.7", "CONFIG_CGROUP_BPF"),
    "cgroup_unix_sendmsg": Hook("6.7", "CONFIG_CGROUP_BPF"),
    "cgroup_unix_recvmsg": Hook("6.7", "CONFIG_CGROUP_BPF"),
    "cgroup_unix_getpeername": Hook("6.7", "CONFIG_CGROUP_BPF"),
    "cgroup_unix_getsockname": Hook("6.7", "CONFIG_CGROUP_BPF"),
    "netkit_primary": Hook("6.7", "CONFIG_NETKIT"),
    "netkit_peer": Hook("6.7", "CONFIG_NETKIT"),
    "trace_kprobe_session": _link(
        "6.10", "CONFIG_FPROBE", "kprobe", "trace_kprobe_session", EFAULT, kprobe_multi=_KPROBES
    ),
    "trace_uprobe_session": _link(
        "6.13", "CONFIG_UPROBE_EVENTS", "kprobe", "trace_uprobe_session", uprobe_multi=_UPROBES
    ),
    "trace_fsession": _of_function("7.0", "CONFIG_DEBUG_INFO_BTF", "tracing"),
    # in no release yet
    "trace_fentry_multi": _of_function("7.2", "CONFIG_DEBUG_INFO_BTF", "tracing"),
    "trace_fexit_multi": _of_function("7.2", "CONFIG_DEBUG_INFO_BTF", "tracing"),
    "trace_fsession_multi": _of_function("7.2", "CONFIG_DEBUG_INFO_BTF", "tracing"),
}
"""word -> question.  The default: which programs are attached in that way to no descriptor."""

_EXIT = (1, 0x95, 0, 0, 0)

MISC: dict[str, tuple[str, str, tuple[tuple[int, int, int, int, int], ...]]] = {
    "large_insn_limit": (
        "5.2",
        "Large program size limit",
        ((4096, 0xB7, 0, 0, 1), _EXIT),
    ),
    "bounded_loops": (
        "5.3",
        "Bounded loop support",
        ((1, 0xB7, 0, 0, 10), (1, 0x17, 0, 0, 1), (1, 0x55, 0, -2, 0), _EXIT),
    ),
    "v2_isa_extension": (
        "4.14",
        "ISA extension v2",
        ((1, 0xB7, 0, 0, 0), (1, 0xA5, 0, 1, 0), (1, 0xB7, 0, 0, 1), _EXIT),
    ),
    "v3_isa_extension": (
        "5.1",
        "ISA extension v3",
        ((1, 0xB7, 0, 0, 0), (1, 0xA6, 0, 1, 0), (1, 0xB7, 0, 0, 1), _EXIT),
    ),
    "v4_isa_extension": (
        "6.6",
        "ISA extension v4",
        # w0 = (s8) w0 comes first: older kernels took the long jump for one on no condition
        (
            (1, 0xB7, 0, 0, 0),
            (1, 0xBC, 0, 8, 0),
            (1, 0x16, 0, 1, 1),
            (1, 0x06, 0, 0, 1),
            (1, 0xB7, 0, 0, 1),
            _EXIT,
        ),
    ),
}
"""word -> since, title, and a socket filter that only a kernel with the feature loads: runs of
instructions as (how many, opcode, register, offset, immediate); RFC 9669."""

NOISY = ("trace_printk", "probe_write_user", "trace_vprintk")
"""Helpers whose mere mention in a program makes the kernel write to its log."""

SYSCTLS = {
    "unprivileged_bpf_disabled": "kernel/unprivileged_bpf_disabled",
    "bpf_jit_enable": "net/core/bpf_jit_enable",
    "bpf_jit_harden": "net/core/bpf_jit_harden",
    "bpf_jit_kallsyms": "net/core/bpf_jit_kallsyms",
    "bpf_jit_limit": "net/core/bpf_jit_limit",
}
"""key -> path below /proc/sys."""

OPTIONS = """
BPF BPF_SYSCALL HAVE_EBPF_JIT BPF_JIT BPF_JIT_ALWAYS_ON DEBUG_INFO_BTF DEBUG_INFO_BTF_MODULES
CGROUPS CGROUP_BPF CGROUP_NET_CLASSID SOCK_CGROUP_DATA BPF_EVENTS KPROBE_EVENTS UPROBE_EVENTS
TRACING FTRACE_SYSCALLS FUNCTION_ERROR_INJECTION BPF_KPROBE_OVERRIDE NET XDP_SOCKETS LWTUNNEL_BPF
NET_ACT_BPF NET_CLS_BPF NET_CLS_ACT NET_SCH_INGRESS XFRM IP_ROUTE_CLASSID IPV6_SEG6_BPF
BPF_LIRC_MODE2 BPF_STREAM_PARSER NETFILTER_XT_MATCH_BPF TEST_BPF HZ
""".split()
"""Options the kernel was built with, each without its ``CONFIG_``."""
