"""What the name of a section says of its programs: their type, where they attach, how they load.

Source: the names that libbpf gives a meaning; spec 2.8.
"""

from __future__ import annotations

from ..kernel.words import ATTACH_TYPES, PROG_TYPES

SLEEPABLE, XDP_FRAGS = 1 << 4, 1 << 5
"""BPF_F_SLEEPABLE and BPF_F_XDP_HAS_FRAGS (uapi/linux/bpf.h)."""


class ProgKind:
    """A row of the table.

    ``word``: the name; ``more``: whether a slash and a target may follow it.  ``prog_type``,
    ``attach_type``: numbers of the kernel's (0 for an attach type that is none).  ``flags``: of
    BPF_PROG_LOAD.  ``optional``: kernels that know no attach types load it without.
    ``has_target``: the target is a type of the kernel's BTF.
    """

    __slots__ = ("attach_type", "flags", "has_target", "more", "optional", "prog_type", "word")

    def __init__(self, word: str, prog_type: str, attach_type: str = "-", notes: str = "") -> None:
        self.word = word.removesuffix("+")
        self.more = word.endswith("+")
        self.prog_type = PROG_TYPES.index(prog_type)
        self.attach_type = ATTACH_TYPES.index(attach_type) if attach_type != "-" else 0
        self.flags = ("sleepable" in notes) * SLEEPABLE | ("frags" in notes) * XDP_FRAGS
        self.optional = "optional" in notes
        self.has_target = "target" in notes


_TABLE = """
socket socket_filter
sk_reuseport/migrate sk_reuseport sk_reuseport_select_or_migrate
sk_reuseport sk_reuseport sk_reuseport_select
kprobe+ kprobe
uprobe+ kprobe
uprobe.s+ kprobe - sleepable
kretprobe+ kprobe
uretprobe+ kprobe
uretprobe.s+ kprobe - sleepable
kprobe.multi+ kprobe trace_kprobe_multi
kretprobe.multi+ kprobe trace_kprobe_multi
kprobe.session+ kprobe trace_kprobe_session
uprobe.multi+ kprobe trace_uprobe_multi
uretprobe.multi+ kprobe trace_uprobe_multi
uprobe.session+ kprobe trace_uprobe_session
uprobe.multi.s+ kprobe trace_uprobe_multi sleepable
uretprobe.multi.s+ kprobe trace_uprobe_multi sleepable
uprobe.session.s+ kprobe trace_uprobe_session sleepable
ksyscall+ kprobe
kretsyscall+ kprobe
usdt+ kprobe
usdt.s+ kprobe - sleepable
tc/ingress sched_cls tcx_ingress
tc/egress sched_cls tcx_egress
tcx/ingress sched_cls tcx_ingress
tcx/egress sched_cls tcx_egress
tc sched_cls
classifier sched_cls
action sched_act
netkit/primary sched_cls netkit_primary
netkit/peer sched_cls netkit_peer
tracepoint+ tracepoint
tp+ tracepoint
tracepoint.s+ tracepoint - sleepable
tp.s+ tracepoint - sleepable
raw_tracepoint+ raw_tracepoint
raw_tp+ raw_tracepoint
raw_tracepoint.s+ raw_tracepoint - sleepable
raw_tp.s+ raw_tracepoint - sleepable
raw_tracepoint.w+ raw_tracepoint_writable
raw_tp.w+ raw_tracepoint_writable
tp_btf+ tracing trace_raw_tp target
tp_btf.s+ tracing trace_raw_tp target,sleepable
fentry+ tracing trace_fentry target
fmod_ret+ tracing modify_return target
fexit+ tracing trace_fexit target
fentry.s+ tracing trace_fentry target,sleepable
fmod_ret.s+ tracing modify_return target,sleepable
fexit.s+ tracing trace_fexit target,sleepable
fsession+ tracing trace_fsession target
fsession.s+ tracing trace_fsession target,sleepable
fsession.multi+ tracing trace_fsession_multi
fsession.multi.s+ tracing trace_fsession_multi sleepable
fentry.multi+ tracing trace_fentry_multi
fexit.multi+ tracing trace_fexit_multi
fentry.multi.s+ tracing trace_fentry_multi sleepable
fexit.multi.s+ tracing trace_fexit_multi sleepable
freplace+ ext - target
lsm+ lsm lsm_mac target
lsm.s+ lsm lsm_mac target,sleepable
lsm_cgroup+ lsm lsm_cgroup target
iter+ tracing trace_iter target
iter.s+ tracing trace_iter target,sleepable
syscall syscall - sleepable
xdp.frags/devmap xdp xdp_devmap frags
xdp/devmap xdp xdp_devmap
xdp.frags/cpumap xdp xdp_cpumap frags
xdp/cpumap xdp xdp_cpumap
xdp.frags xdp xdp frags,optional
xdp xdp xdp optional
perf_event perf_event
lwt_in lwt_in
lwt_out lwt_out
lwt_xmit lwt_xmit
lwt_seg6local lwt_seg6local
sockops sock_ops cgroup_sock_ops optional
sk_skb/stream_parser sk_skb sk_skb_stream_parser optional
sk_skb/stream_verdict sk_skb sk_skb_stream_verdict optional
sk_skb/verdict sk_skb sk_skb_verdict optional
sk_skb sk_skb
sk_msg sk_msg sk_msg_verdict optional
lirc_mode2 lirc_mode2 lirc_mode2 optional
flow_dissector flow_dissector flow_dissector optional
cgroup_skb/ingress cgroup_skb cgroup_inet_ingress optional
cgroup_skb/egress cgroup_skb cgroup_inet_egress optional
cgroup/skb cgroup_skb
cgroup/sock_create cgroup_sock cgroup_inet_sock_create
cgroup/sock_release cgroup_sock cgroup_inet_sock_release
cgroup/sock cgroup_sock cgroup_inet_sock_create optional
cgroup/post_bind4 cgroup_sock cgroup_inet4_post_bind
cgroup/post_bind6 cgroup_sock cgroup_inet6_post_bind
cgroup/bind4 cgroup_sock_addr cgroup_inet4_bind
cgroup/bind6 cgroup_sock_addr cgroup_inet6_bind
cgroup/connect4 cgroup_sock_addr cgroup_inet4_connect
cgroup/connect6 cgroup_sock_addr cgroup_inet6_connect
cgroup/connect_unix cgroup_sock_addr cgroup_unix_connect
cgroup/sendmsg4 cgroup_sock_addr cgroup_udp4_sendmsg
cgroup/sendmsg6 cgroup_sock_addr cgroup_udp6_sendmsg
cgroup/sendmsg_unix cgroup_sock_addr cgroup_unix_sendmsg
cgroup/recvmsg4 cgroup_sock_addr cgroup_udp4_recvmsg
cgroup/recvmsg6 cgroup_sock_addr cgroup_udp6_recvmsg
cgroup/recvmsg_unix cgroup_sock_addr cgroup_unix_recvmsg
cgroup/getpeername4 cgroup_sock_addr cgroup_inet4_getpeername
cgroup/getpeername6 cgroup_sock_addr cgroup_inet6_getpeername
cgroup/getpeername_unix cgroup_sock_addr cgroup_unix_getpeername
cgroup/getsockname4 cgroup_sock_addr cgroup_inet4_getsockname
cgroup/getsockname6 cgroup_sock_addr cgroup_inet6_getsockname
cgroup/getsockname_unix cgroup_sock_addr cgroup_unix_getsockname
cgroup/sysctl cgroup_sysctl cgroup_sysctl
cgroup/getsockopt cgroup_sockopt cgroup_getsockopt
cgroup/setsockopt cgroup_sockopt cgroup_setsockopt
cgroup/dev cgroup_device cgroup_device optional
struct_ops+ struct_ops
struct_ops.s+ struct_ops - sleepable
sk_lookup sk_lookup sk_lookup
netfilter netfilter netfilter
"""
"""Name (a ``+`` for one with a target), program type, attach type or ``-``, notes."""


_found: dict[str, ProgKind | None] = {}
"""By section, what was asked for: a file has many programs in sections of one name."""


def kind_of(section: str) -> ProgKind | None:
    """What a section's name says, None for one that says nothing; the first row that fits."""
    if section not in _found:
        rows = (line.split() for line in _TABLE.strip().split("\n"))
        fitting = (row for row in rows if _fits(row[0], section))
        _found[section] = next((ProgKind(*row) for row in fitting), None)
    return _found[section]


def _fits(word: str, section: str) -> bool:
    """Whether a section's name is that of a row."""
    if word[-1] == "+":
        return section == word[:-1] or section.startswith(word[:-1] + "/")
    return section == word


def target_of(section: str) -> str:
    """What stands behind the first slash of a section's name."""
    return section.partition("/")[2]


def section_words() -> list[str]:
    """All names, as the table has them."""
    return [line.split()[0] for line in _TABLE.strip().split("\n")]
