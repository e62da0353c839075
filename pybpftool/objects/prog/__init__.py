"""Inspect and change BPF programs.

Programs are what the kernel runs for whoever loaded them, when something happens.  A program is
named by its id, by its name, by its tag (a hash of its code), or by a path of the bpf file system
where it is pinned.
"""

from __future__ import annotations

from ...command import HELP, IGNORE, NEEDS, WHAT, Command, Object, Place, later
from ...errors import PybpftoolError, errno_status
from ...places import FILE, MAP, PROG, read_number, read_word

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ...command import Call, Words
    from . import attaching, checking, dumping, listing, loading, profiling, running, top, tracing
else:  # one command needs one of them
    attaching, checking, dumping, listing, loading, profiling, running, top, tracing = later(
        __name__, "attaching checking dumping listing loading profiling running top tracing"
    )

_EINVAL = 22


def _read_path(words: Words, call: Call) -> str:
    if not len(words):
        raise PybpftoolError("expected file path")
    return words.take()


_IMAGE = Place("FILE", _read_path)

ATTACH_TYPE = Place(
    "ATTACH_TYPE",
    attaching.read_type,
    definition="""\
{ sk_msg_verdict | sk_skb_verdict | sk_skb_stream_verdict |
                        sk_skb_stream_parser | flow_dissector }""",
)
STREAMED = Place(
    "PROG", tracing.read_streamed, definition=PROG.definition, absent=tracing.no_program
)
METRIC = Place(
    "METRIC",
    read_word,
    definition="{ cycles | instructions | l1d_loads | llc_misses | itlb_misses | dtlb_misses }",
)
SORT_KEY = Place(
    "SORT_KEY", top.read_sort_key, definition="{ cpu | runs | average | id | name | type }"
)
FORMAT = Place("FORMAT", top.read_format, definition="{ csv | jsonl }")
TYPE = Place(
    "TYPE",
    loading.read_kind,
    definition="""\
{ socket | kprobe | kretprobe | classifier | action |
                 tracepoint | raw_tracepoint | xdp | perf_event | cgroup/skb |
                 cgroup/sock | cgroup/dev | lwt_in | lwt_out | lwt_xmit |
                 lwt_seg6local | sockops | sk_skb | sk_msg | lirc_mode2 |
                 sk_reuseport | flow_dissector | cgroup/sysctl |
                 cgroup/bind4 | cgroup/bind6 | cgroup/post_bind4 |
                 cgroup/post_bind6 | cgroup/connect4 | cgroup/connect6 |
                 cgroup/connect_unix | cgroup/getpeername4 | cgroup/getpeername6 |
                 cgroup/getpeername_unix | cgroup/getsockname4 | cgroup/getsockname6 |
                 cgroup/getsockname_unix | cgroup/sendmsg4 | cgroup/sendmsg6 |
                 cgroup/sendmsg_unix | cgroup/recvmsg4 | cgroup/recvmsg6 | cgroup/recvmsg_unix |
                 cgroup/getsockopt | cgroup/setsockopt | cgroup/sock_release |
                 struct_ops | fentry | fexit | fsession | freplace | sk_lookup }""",
)

OBJECT = Object(
    "prog",
    (
        Command(
            "{ show | list } [PROG]",
            listing.show,
            (PROG,),
            words=(0, 2),
            wrong=WHAT,
            access="read each",
        ),
        Command(
            "dump xlated PROG [{ file FILE | [opcodes] [linum] [visual] }]",
            dumping.xlated,
            (PROG, _IMAGE),
            words=2,
            extra=HELP,
            access="read each",
        ),
        Command(
            "dump jited  PROG [{ file FILE | [opcodes] [linum] }]",
            dumping.jited,
            (PROG, _IMAGE),
            hidden="[visual]",
            words=2,
            extra=HELP,
            access="read each",
        ),
        Command("graph PROG [svg]", dumping.graph, (PROG,), words=2),
        Command(
            "pin   PROG FILE",
            attaching.pin,
            (PROG, FILE),
            words=3,
            wrong=NEEDS,
            status=errno_status(_EINVAL),
            extra=IGNORE,
        ),
        Command(
            """\
{ load | loadall } OBJ  PATH \\
                         [type TYPE] [{ offload_dev | xdpmeta_dev } NAME] \\
                         [map { idx IDX | name NAME } MAP]\\
                         [pinmaps MAP_DIR]
                         [autoattach]
                         [kernel_btf BTF_FILE]""",
            loading.load,
            (
                Place("OBJ", loading.read_object_path),
                Place("PATH", read_word),
                TYPE,
                Place("NAME", loading.read_device),
                Place("map", loading.read_replacement),
                Place("MAP_DIR", read_word),
                Place("BTF_FILE", read_word),
            ),
            hidden="[dev NAME]",
            words=2,
            wrong=NEEDS,
            extra="expected no more arguments, 'type', 'map', 'offload_dev', 'xdpmeta_dev', "
            "'pinmaps', 'autoattach', or 'kernel_btf', got: '{}'?".format,
        ),
        Command(
            "check OBJ [btf FILE] [features FILE]",
            checking.check,
            (Place("OBJ", read_word), Place("FILE", read_word)),
            words=1,
            wrong=NEEDS,
        ),
        Command(
            "attach PROG ATTACH_TYPE [MAP]",
            attaching.attach,
            (PROG, ATTACH_TYPE, MAP),
            words=3,
            wrong=NEEDS,
            status=errno_status(_EINVAL),
            extra=IGNORE,
            access="write",
        ),
        Command(
            "detach PROG ATTACH_TYPE [MAP]",
            attaching.detach,
            (PROG, ATTACH_TYPE, MAP),
            words=3,
            wrong=NEEDS,
            status=errno_status(_EINVAL),
            extra=IGNORE,
            access="write",
        ),
        Command(
            """\
run PROG \\
                         data_in FILE \\
                         [data_out FILE [data_size_out L]] \\
                         [ctx_in FILE [ctx_out FILE [ctx_size_out M]]] \\
                         [repeat N]""",
            running.run,
            (
                PROG,
                Place("data_in FILE", running.read_input),
                Place("ctx_in FILE", running.read_input),
                FILE,
                Place("L", lambda words, call: read_number(words, "output data size")),
                Place("M", lambda words, call: read_number(words, "output context size")),
                Place("N", lambda words, call: read_number(words, "repeat number")),
            ),
            words=4,
            wrong=NEEDS,
            extra="expected no more arguments, 'data_in', 'data_out', 'data_size_out', 'ctx_in', "
            "'ctx_out', 'ctx_size_out' or 'repeat', got: '{}'?".format,
            clear=True,
        ),
        Command(
            "profile PROG [duration DURATION] METRICs",
            profiling.profile,
            (
                PROG,
                Place("DURATION", profiling.read_duration),
                Place("METRICs", profiling.read_metrics),
            ),
            words=3,
            wrong=NEEDS,
            status=errno_status(_EINVAL),
        ),
        Command("tracelog", tracing.tracelog, words=(0,)),
        Command(
            "tracelog { stdout | stderr } PROG",
            tracing.stream,
            (STREAMED,),
            words=1,
            extra=HELP,
        ),
        Command(
            """\
top [interval SECONDS] [count N] [once] [sort SORT_KEY] \\
                         [name NAME] [type TYPE] [pid PID] [FORMAT]""",
            top.top,
            (
                Place("SECONDS", top.read_interval),
                Place("N", top.read_count),
                SORT_KEY,
                Place("NAME", read_word),
                Place("TYPE", top.read_prog_type),
                Place("PID", top.read_pid),
                FORMAT,
            ),
        ),
        Command("help"),
    ),
    (MAP, PROG, TYPE, ATTACH_TYPE, METRIC, SORT_KEY, FORMAT),
    options="{-f|--bpffs} | {-m|--mapcompat} | {-n|--nomount} |\n"
    "                    {-L|--use-loader}",
    summary=__doc__ or "",
)
