"""Objects that need what not every kernel lets one do: probes, LSM, functions of modules.

The emulated machines, where all of it is there, have no compiler: ``make`` is for whoever boots
them, and $PYBPFTOOL_OBJECTS names the directory with what it made.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.live.compare import Both, ours
from tests.live.test_load import CORE, HEAD, OBJECTS, held
from tests.live.test_load import place as place  # a fixture
from tests.support.need import kernel_lacks, need

pytestmark = pytest.mark.whole

_PROBE = '#include <bpf/bpf_tracing.h>\nSEC("%s") int one(void *ctx) { return 0; }'

_FUNCTION = """
struct nf_conn { int mark; } __attribute__((preserve_access_index));
struct bpf_ct_opts { int netns_id, error; unsigned char l4proto, dir, reserved[2]; };
extern struct nf_conn *bpf_skb_ct_lookup(struct __sk_buff *, struct bpf_sock_tuple *, unsigned,
                                         struct bpf_ct_opts *, unsigned) __ksym;
extern void bpf_ct_release(struct nf_conn *) __ksym;
extern int pybpftool_no_such_function(void) __ksym __weak;
SEC("tc") int one(struct __sk_buff *ctx) {
    struct bpf_sock_tuple tuple = {};
    struct bpf_ct_opts opts = { .netns_id = -1, .l4proto = 6 };
    struct nf_conn *found = bpf_skb_ct_lookup(ctx, &tuple, sizeof(tuple.ipv4), &opts, sizeof(opts));
    int mark = 0;
    if (pybpftool_no_such_function) return 5;
    if (found) { mark = found->mark; bpf_ct_release(found); }
    return mark;
}
"""

_FIELDS = """
struct file___mine { unsigned f_flags; } __attribute__((preserve_access_index));
struct task_struct { int pid; struct task_struct *group_leader; char comm[16]; }
    __attribute__((preserve_access_index));
enum bpf_func_id___mine { BPF_FUNC_ringbuf_output___mine = 1, BPF_FUNC_of_tomorrow = 2 };
SEC("lsm/file_open") int one(unsigned long long *ctx) {
    struct file___mine *file = (void *)ctx[0];
    struct task_struct *task = (void *)bpf_get_current_task_btf();
    int sum = task->group_leader->pid + task->comm[2] + file->f_flags;
    sum += __builtin_preserve_enum_value(*(enum bpf_func_id___mine *)BPF_FUNC_of_tomorrow, 0);
    sum += __builtin_preserve_enum_value(
        *(enum bpf_func_id___mine *)BPF_FUNC_ringbuf_output___mine, 1);
    return sum == 77 ? -1 : 0;
}
"""

_CONFIGURATION = """
extern int CONFIG_HZ __kconfig __weak;
extern _Bool CONFIG_BPF_SYSCALL __kconfig __weak;
extern const int bpf_stats_enabled_key __ksym __weak;
extern const void bpf_prog_put __ksym;
SEC("kprobe/do_exit") int one(void *ctx) {
    bpf_printk("%lx", (long)&bpf_prog_put);
    return CONFIG_HZ + (CONFIG_BPF_SYSCALL ? 1 : 0);
}
"""

TEXTS = {
    **{name: OBJECTS[name] for name in ("several", "maps", "data", "functions", "inner", "tails")},
    "kprobe": _PROBE % "kprobe/do_exit",
    "kretprobe": _PROBE % "kretprobe/do_exit",
    "tracepoint": _PROBE % "tp/sched/sched_switch",
    "fentry": _PROBE % "fentry/vfs_read",
    "fexit": _PROBE % "fexit/vfs_read",
    "fentry_module": _PROBE % "fentry/veth_get_stats64",
    "fentry_nowhere": _PROBE % "fentry/pybpftool_nowhere",
    "lsm": _PROBE % "lsm/file_open",
    "lsm_asleep": _PROBE % "lsm.s/file_open",
    "types": CORE,
    "fields": _FIELDS,
    "configuration": _CONFIGURATION,
    "module_function": _FUNCTION,
}
FAILS = ("several", "fentry_nowhere")
_MMAPABLE = 1 << 10


def make(directory: Path) -> None:
    """All the objects, with clang."""
    include = f"-I/usr/include/{os.uname().machine}-linux-gnu"
    for name, text in TEXTS.items():
        words = ["clang", "-g", "-O2", "-target", "bpf", include, "-c", "-x", "c", "-"]
        words += ["-o", str(directory / f"{name}.o")]
        subprocess.run(words, input=HEAD + text, text=True, check=True)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    known = Path(os.environ.get("PYBPFTOOL_OBJECTS", "/nowhere"))
    if (known / "lsm.o").exists():
        return known
    need(shutil.which("clang"), "needs clang, or objects that were compiled before")
    directory = tmp_path_factory.mktemp("objects")
    make(directory)
    return directory


@pytest.mark.parametrize("name", TEXTS)
def test_loads_everywhere(name: str, both: Both, made: Path, place: str) -> None:
    """The same verdict, and the same programs and maps."""
    ends, errors = [], []
    for tool in (ours, both.reference):
        ended = tool("prog", "loadall", str(made / f"{name}.o"), place)
        ends.append((ended.status, held(place) if os.path.isdir(place) else []))
        for _, _, maps in ends[-1][1] if both.reference.version < (7, 5) else ():
            for map in maps:  # it lets all variables be mapped, be they seen from outside or not
                map["flags"] &= ~_MMAPABLE
        errors.append(ended.err)
        shutil.rmtree(place, ignore_errors=True)
    assert ends[0] == ends[1], errors
    if ends[0][0] and name not in FAILS:
        kernel_lacks(f"what {name} needs", errors[0])
