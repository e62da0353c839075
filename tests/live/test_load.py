"""``prog load`` and ``loadall``: the same programs and maps as the reference makes, or none."""

from __future__ import annotations

import json
import mmap
import os
import shutil
import struct
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pybpftool.elf.file import REL
from pybpftool.kernel import calls
from pybpftool.kernel._abi import ffi
from pybpftool.kernel.handles import map_info
from pybpftool.kernel.syscall import lib
from pybpftool.loader.load import load
from pybpftool.loader.read import read_object
from tests.live.compare import Both, ours
from tests.support.btf_builder import BtfBuilder
from tests.support.elf_builder import EXECUTABLE, EXIT, ElfBuilder
from tests.support.need import kernel_lacks, need
from tests.support.run import Ended

pytestmark = pytest.mark.native  # the emulated machines have no compiler

HEAD = """
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
char _license[] SEC("license") = "GPL";
"""

OBJECTS = {
    "plain": 'SEC("xdp") int one(void *ctx) { return 2; }',
    "several": """
        SEC("xdp") int one(void *ctx) { return 2; }
        SEC("tc") int two(void *ctx) { return 0; }
        SEC("tc") int three(void *ctx) { return 1; }
        SEC("?socket") int unwanted(void *ctx) { return 1; }
    """,
    "maps": """
        struct { __uint(type, BPF_MAP_TYPE_HASH); __uint(max_entries, 8);
                 __type(key, int); __type(value, long); } counts SEC(".maps");
        struct { __uint(type, BPF_MAP_TYPE_ARRAY); __uint(max_entries, 3); __uint(key_size, 4);
                 __uint(value_size, 12); __uint(map_flags, BPF_F_MMAPABLE); } plain SEC(".maps");
        struct { __uint(type, BPF_MAP_TYPE_RINGBUF); __uint(max_entries, 5000); } ring SEC(".maps");
        struct { __uint(type, BPF_MAP_TYPE_PERF_EVENT_ARRAY); __uint(key_size, 4);
                 __uint(value_size, 4); } events SEC(".maps");
        SEC("xdp") int one(void *ctx) {
            int k = 1; long v = 2;
            bpf_map_update_elem(&counts, &k, &v, 0);
            return bpf_map_lookup_elem(&plain, &k) ? 1 : 2;
        }
    """,
    "data": """
        int total = 3; const volatile int limit = 9; static long hidden; char text[16] = "hello";
        int zeroes[5]; int other SEC(".data.other") = 7;
        SEC("xdp") int one(void *ctx) { total += limit; hidden++; zeroes[2]++; return text[1]; }
        SEC("tc") int two(void *ctx) { bpf_printk("limit %d", limit); return other; }
    """,
    "functions": """
        static __attribute__((noinline)) int last(int x) { return x * 3; }
        __attribute__((noinline)) int middle(int x) { return last(x) + 1; }
        __attribute__((noinline)) __hidden int unseen(int x) { return last(x) + 2; }
        SEC("xdp") int one(void *ctx) { return middle(3) + last(4); }
        SEC("tc") int two(void *ctx) { return unseen(5) + middle(1); }
    """,
    "callback": """
        static long each(unsigned int index, int *sum) { *sum += index; return 0; }
        SEC("tc") int one(void *ctx) { int sum = 0; bpf_loop(5, each, &sum, 0); return sum; }
    """,
    "inner": """
        struct inner { __uint(type, BPF_MAP_TYPE_ARRAY); __uint(max_entries, 2);
                       __type(key, int); __type(value, int); } first SEC(".maps");
        struct { __uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS); __uint(max_entries, 4);
                 __type(key, int); __array(values, struct inner); } outer SEC(".maps") = {
            .values = { [1] = &first } };
        SEC("xdp") int one(void *ctx) { int k = 1; return !!bpf_map_lookup_elem(&outer, &k); }
    """,
    "tails": """
        int target(void *ctx);
        struct { __uint(type, BPF_MAP_TYPE_PROG_ARRAY); __uint(max_entries, 2); __type(key, int);
                 __array(values, int (void *)); } jumps SEC(".maps") = {
            .values = { [1] = (void *)&target } };
        SEC("tc") int target(void *ctx) { return 7; }
        SEC("tc") int one(void *ctx) { bpf_tail_call(ctx, &jumps, 1); return 1; }
    """,
    "arena": """
        #define WIDE(name, number) enum { value_of_##name = number } name
        struct { __uint(type, 33); __uint(map_flags, BPF_F_MMAPABLE); __uint(max_entries, 10);
                 WIDE(map_extra, 0x70000000); } memory SEC(".maps");
        int before[3] SEC(".addr_space.1") = { 1, 2, 3 };
        long value SEC(".addr_space.1") = 0x1122334455667788;
        SEC("syscall") int one(void *ctx) {
            void *map = &memory;
            asm volatile("" : "+r"(map));
            return (long)&value + (long)&before[2];
        }
    """,
    "arena_anywhere": """
        struct { __uint(type, 33); __uint(map_flags, BPF_F_MMAPABLE); __uint(max_entries, 1); }
            memory SEC(".maps");
        SEC("syscall") int one(void *ctx) {
            void *map = &memory;
            asm volatile("" : "+r"(map));
            return 0;
        }
    """,
    "wanted": """
        extern int LINUX_KERNEL_VERSION __kconfig;
        extern _Bool LINUX_HAS_SYSCALL_WRAPPER __kconfig;
        extern _Bool LINUX_HAS_BPF_COOKIE __kconfig;
        extern _Bool CONFIG_BPF __kconfig __weak;
        extern int CONFIG_NOWHERE __kconfig __weak;
        extern const void bpf_prog_free __ksym;
        extern const void no_such_symbol __ksym __weak;
        extern const int bpf_prog_active __ksym __weak;
        extern void bpf_rcu_read_lock(void) __ksym;
        extern void bpf_rcu_read_unlock(void) __ksym;
        extern int bpf_rcu_read_lock___other(int, int) __ksym __weak;
        extern int no_such_function(int) __ksym __weak;
        SEC("tc") int one(void *ctx) {
            bpf_rcu_read_lock();
            bpf_rcu_read_unlock();
            if (bpf_rcu_read_lock___other) return bpf_rcu_read_lock___other(1, 2);
            if (no_such_function) return no_such_function(1);
            return LINUX_KERNEL_VERSION + LINUX_HAS_SYSCALL_WRAPPER + LINUX_HAS_BPF_COOKIE
                + CONFIG_BPF + CONFIG_NOWHERE + (&bpf_prog_free != &no_such_symbol);
        }
    """,
    "other_variable": """
        extern const char init_net __ksym __weak;
        SEC("tc") int one(void *ctx) { return (long)&init_net; }
    """,
    "other_function": """
        extern int bpf_rcu_read_lock(int) __ksym;
        SEC("tc") int one(void *ctx) { return bpf_rcu_read_lock(1); }
    """,
    "iterator": """
        SEC("iter/bpf_map") int one(void *ctx) { return 0; }
    """,
    "unseen": """
        #define MINE(name) SEC(#name) __hidden __attribute__((aligned(8)))
        MINE(.bss.mine) long locked; MINE(.data.mine) int begun = 3; int seen = 4;
        SEC("xdp") int one(void *ctx) { locked++; return begun += seen; }
    """,
    "catcher": """
        #define CATCH(name) __attribute__((btf_decl_tag("exception_callback:" #name)))
        extern void bpf_throw(unsigned long cookie) __ksym;
        __attribute__((noinline)) int deeper(int x) { return x + 2; }
        __attribute__((noinline)) int caught(unsigned long x) { return deeper(x) + 1; }
        SEC("tc") CATCH(caught) int one(struct __sk_buff *ctx) {
            if (ctx->len == 5) bpf_throw(7);
            return 1;
        }
    """,
    "usdts": """
        SEC("usdt") int one(void *ctx) { return 0; }
        SEC("usdt.s/libc.so.6:libc:setjmp") int two(void *ctx) { return 0; }
    """,
    "no_ring": """
        struct { __uint(type, BPF_MAP_TYPE_RINGBUF); } ring SEC(".maps");
        SEC("xdp") int one(void *ctx) { return bpf_ringbuf_query(&ring, 0); }
    """,
}

YOUNG = ("wanted", "arena", "arena_anywhere", "unseen", "catcher", "usdts")
"""What the reference must be young for."""
NOT_LOADED = ("several", "iterator", "other_variable", "other_function", "no_ring")

CORE = """
struct task_struct { int pid; int tgid; char comm[16]; struct task_struct *real_parent; }
    __attribute__((preserve_access_index));
struct task_struct___old { int no_such_thing; } __attribute__((preserve_access_index));
SEC("tp_btf/sched_switch") int one(unsigned long long *ctx) {
    struct task_struct *task = (void *)ctx[1];
    struct task_struct___old *old = (void *)task;
    int sum = task->pid + task->real_parent->tgid + task->comm[3];
    if (__builtin_preserve_field_info(old->no_such_thing, 2)) sum++;
    return sum & __builtin_preserve_field_info(task->tgid, 1);
}
"""


OPERATIONS = """
#include <bpf/bpf_tracing.h>
struct sock;
struct tcp_congestion_ops {
    unsigned (*ssthresh)(struct sock *);
    void (*cong_avoid)(struct sock *, unsigned, unsigned);
    unsigned (*undo_cwnd)(struct sock *);
    char name[16];
    unsigned (*of_tomorrow)(struct sock *);
};
SEC("struct_ops") unsigned BPF_PROG(threshold, struct sock *sk) { return 2; }
SEC("struct_ops") void BPF_PROG(avoid, struct sock *sk, unsigned a, unsigned b) { }
SEC("struct_ops/undo") unsigned BPF_PROG(undo, struct sock *sk) { return 3; }
#define OPS struct tcp_congestion_ops
#define USUAL .ssthresh = (void *)threshold, .cong_avoid = (void *)avoid, \\
              .undo_cwnd = (void *)undo, .name = "pybpftool_load"
"""
_OTHER = 'SEC("struct_ops") unsigned BPF_PROG(other, struct sock *sk) { return 4; }'

STRUCT_OPS = {
    "ops": 'SEC(".struct_ops") OPS mine = { USUAL };',
    "ops_link": 'SEC(".struct_ops.link") OPS mine = { USUAL };',
    "ops_one_asleep": (
        'SEC("?.struct_ops") OPS asleep = { USUAL };\nSEC(".struct_ops") OPS mine = { USUAL };'
    ),
}

NO_STRUCT_OPS = {
    "ops_asleep": ('SEC("?.struct_ops") OPS mine = { USUAL };', "was not loaded"),
    "ops_tomorrow": (
        _OTHER + 'SEC(".struct_ops") OPS mine = { USUAL, .of_tomorrow = (void *)other };',
        "member 'of_tomorrow' is set, but the kernel's 'struct tcp_congestion_ops' has none such",
    ),
    "ops_alone": (
        _OTHER + 'SEC(".struct_ops") OPS mine = { USUAL };',
        "program 'other' is in no struct_ops",
    ),
    "ops_twice": (
        'SEC(".struct_ops") OPS mine = { .ssthresh = (void *)undo, .undo_cwnd = (void *)undo };',
        "program 'undo' is that of another member",
    ),
}


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Any:
    need(shutil.which("clang"), "needs clang")
    directory = tmp_path_factory.mktemp("objects")

    def make(name: str, text: str) -> str:
        source, made = directory / f"{name}.c", directory / f"{name}.o"
        if not made.exists():
            source.write_text(HEAD + text)
            flags = [
                "-g",
                "-O2",
                "-target",
                "bpf",
                f"-I/usr/include/{os.uname().machine}-linux-gnu",
            ]
            subprocess.run(["clang", *flags, "-c", source, "-o", made], check=True)
        return str(made)

    return make


@pytest.fixture
def place(pins: str) -> Iterator[str]:
    yield f"{pins}/loaded"
    shutil.rmtree(f"{pins}/loaded", ignore_errors=True)


def held(place: str) -> list[Any]:
    """What is to be told of each program below a directory, and of its maps."""
    found = []
    for path in sorted(Path(place).iterdir()):
        prog = ours("-j", "prog", "show", "pinned", str(path)).json
        maps = []
        for id in prog.pop("map_ids", []):
            map = ours("-j", "map", "show", "id", str(id)).json
            maps.append(
                {name: map[name] for name in map if name not in ("id", "btf_id", "bytes_memlock")}
            )
            maps[-1]["entries"] = (
                ours("-j", "map", "dump", "id", str(id)).out if map["type"] == "array" else ""
            )
        for name in ("id", "loaded_at", "btf_id", "run_time_ns", "run_cnt", "bytes_memlock"):
            prog.pop(name, None)
        found.append((path.name, prog, maps))
    return found


def maps_of(path: str) -> list[Any]:
    """The maps of a pinned program."""
    ids = ours("-j", "prog", "show", "pinned", path).json["map_ids"]
    return [ours("-j", "map", "show", "id", str(id)).json for id in ids]


@pytest.mark.parametrize("name", OBJECTS)
def test_the_same_programs_and_maps(name: str, both: Both, compiled: Any, place: str) -> None:
    made = compiled(name, OBJECTS[name])
    if name in YOUNG and both.reference.version < (7, 8):
        pytest.skip("the older reference does not know it, or does it another way")
    ends = []
    for tool in (ours, both.reference):
        ended = tool("prog", "loadall", made, place)
        ends.append((ended.status, held(place) if os.path.isdir(place) else []))
        shutil.rmtree(place, ignore_errors=True)
    assert ends[0] == ends[1]
    assert ends[0][1] or name in NOT_LOADED


@pytest.mark.parametrize("section", ["iter/bpf_map", "uprobe.s", "struct_ops", "xdp/devmap", "tc"])
@pytest.mark.parametrize("kind", ["xdp", "classifier", "cgroup_skb/egress"])
def test_another_type(section: str, kind: str, both: Both, compiled: Any, place: str) -> None:
    """The section's name then has no say any more."""
    if both.reference.version < (7, 8):
        pytest.skip("sections of programs that sleep or trace had a say still")
    name = "typed_" + "".join(each if each.isalnum() else "_" for each in section)
    made = compiled(name, f'SEC("{section}")' + " int one(void *ctx) { return 1; }")
    ends = []
    for tool in (ours, both.reference):
        ended = tool("prog", "loadall", made, place, "type", kind)
        ends.append((ended.status, held(place) if os.path.isdir(place) else []))
        shutil.rmtree(place, ignore_errors=True)
    assert ends[0] == ends[1]
    assert ends[0][1]


def maps_in_order(*names: str) -> bytes:
    """An object with a map of maps, ``outer``, and what is put into it, ``inner``: as gcc makes it,
    for clang puts first what another refers to."""
    types = BtfBuilder()
    number = types.int("int", 4, signed=True)

    def define(name: str, fields: dict[str, int], *rest: tuple[str, int]) -> int:
        pairs = [(each, types.ptr(types.array(number, fields[each]))) for each in fields]
        size = 8 * len(fields)
        members = [(name, id, 64 * at) for at, (name, id) in enumerate([*pairs, *rest])]
        return types.var(name, types.struct(name, size, members))

    inner = define("inner", {"type": 2, "max_entries": 2, "key_size": 4, "value_size": 4})
    slots = types.array(types.ptr(inner - 1), 0)  # of the struct before the variable
    fields = {"type": 12, "max_entries": 4, "key_size": 4}
    variables = {"inner": inner, "outer": define("outer", fields, ("values", slots))}
    sizes = {"inner": 32, "outer": 40}
    starts = {name: sum(sizes[each] for each in names[:at]) for at, name in enumerate(names)}
    types.datasec(".maps", 0, [(variables[name], 0, sizes[name]) for name in names])
    elf = ElfBuilder()
    code = elf.section("xdp", struct.pack("<BBhi", 0xB7, 0, 0, 2) + EXIT, flags=EXECUTABLE)
    elf.symbol("one", code, 0, 16)
    maps = elf.section(".maps", bytes(72), flags=3)
    symbols = {name: elf.symbol(name, maps, starts[name], sizes[name], 0x11) for name in names}
    slot = struct.pack("<QQ", starts["outer"] + 24 + 8, symbols["inner"] << 32 | 2)
    elf.section(".rel.maps", slot, REL, info=maps)
    elf.section("license", b"GPL\0", flags=3)
    elf.section(".BTF", types.blob())
    return elf.blob()


def test_load_leaves_nothing(both: Both, compiled: Any, place: str, pins: str) -> None:
    """A map that has its place already cannot be pinned at another, too."""
    stays = Path("/sys/fs/bpf/pytest_stays")
    mounted = os.path.ismount(stays.parent)
    if not mounted:
        subprocess.run(["mount", "-t", "bpf", "bpf", str(stays.parent)], check=True)
    text = """
        struct { __uint(type, BPF_MAP_TYPE_ARRAY); __uint(max_entries, 1); __type(key, int);
                 __type(value, int); __uint(pinning, 1); } pytest_stays SEC(".maps");
        SEC("xdp") int one(void *ctx) {
            int k = 0;
            return !!bpf_map_lookup_elem(&pytest_stays, &k);
        }
    """
    line = ["prog", "loadall", compiled("stays", text), place, "pinmaps", f"{pins}/maps"]
    assert ours(*line).status == 255
    assert not stays.exists()
    try:
        assert both.reference(*line).status != 0
        assert stays.exists()
    finally:
        stays.unlink(missing_ok=True)
        shutil.rmtree(f"{pins}/maps", ignore_errors=True)
        if not mounted:
            subprocess.run(["umount", str(stays.parent)], check=True)


@pytest.mark.parametrize("names", [("inner", "outer"), ("outer", "inner")])
def test_load_slots_last(
    names: tuple[str, str], both: Both, place: str, pins: str, tmp_path: Path
) -> None:
    made = tmp_path / "slots.o"
    made.write_bytes(maps_in_order(*names))
    line = ["prog", "loadall", str(made), place, "pinmaps", f"{pins}/maps"]
    assert ours(*line).status == 0
    assert len(ours("-j", "map", "dump", "pinned", f"{pins}/maps/outer").json) == 1
    for path in (place, f"{pins}/maps"):
        shutil.rmtree(path)
    ended = both.reference(*line)
    if names[0] == "inner":
        assert ended.status == 0
        assert len(ours("-j", "map", "dump", "pinned", f"{pins}/maps/outer").json) == 1
        shutil.rmtree(f"{pins}/maps")
    else:
        assert ended.status != 0
        assert "failed to initialize slot" in ended.err


def test_load_linked_maps(both: Both, compiled: Any, place: str, tmp_path: Path) -> None:
    counts = """
        struct counts { __uint(type, BPF_MAP_TYPE_ARRAY); __uint(max_entries, 2);
                        __type(key, int); __type(value, int); };
    """
    one = """
        extern struct counts second SEC(".maps");
        struct counts first SEC(".maps");
        SEC("xdp") int one(void *ctx) {
            int k = 1;
            return !!bpf_map_lookup_elem(&first, &k) + !!bpf_map_lookup_elem(&second, &k);
        }
    """
    parts = [
        compiled("linked_one", counts + one),
        compiled("linked_two", counts + 'struct counts second SEC(".maps");'),
    ]
    made = str(tmp_path / "linked.o")
    ended = both.reference("gen", "object", made, *parts)
    need(not ended.status, f"needs a reference that links: {ended.err}")
    assert ours("prog", "loadall", made, place) == Ended(b"", b"", 0)
    assert sorted(each["name"] for each in maps_of(f"{place}/one")) == ["first", "second"]
    assert "btf_id" in ours("-j", "prog", "show", "pinned", f"{place}/one").json
    shutil.rmtree(place)
    assert both.reference("prog", "loadall", made, place).status != 0


def test_load_hidden_maps(both: Both, compiled: Any, place: str) -> None:
    text = OBJECTS["maps"].replace("struct {", "__hidden struct {", 1)
    made = compiled("hidden_map", text)
    assert ours("prog", "loadall", made, place).status == 0
    assert "counts" in [each["name"] for each in maps_of(f"{place}/one")]
    shutil.rmtree(place)
    if both.reference.version < (7, 8):
        pytest.skip("the older reference took it for what it is")
    assert both.reference("prog", "loadall", made, place).status != 0


def test_load_unsigned_numbers(both: Both, compiled: Any, place: str, pins: str) -> None:
    made = compiled("arena_high", OBJECTS["arena"].replace("0x70000000", "0xf0000000"))
    ended = ours("prog", "loadall", made, place, "pinmaps", f"{pins}/maps")
    if ended.status:
        kernel_lacks("arenas", ended.err)
    with calls.obj_get(f"{pins}/maps/memory") as fd:
        assert map_info(fd).map_extra == 0xF0000000
    for path in (place, f"{pins}/maps"):
        shutil.rmtree(path)
    assert both.reference("prog", "loadall", made, place).status != 0


def test_maps_of_variables_are_pinned_by_their_whole_names(
    both: Both, compiled: Any, place: str, pins: str
) -> None:
    """The kernel keeps fifteen characters of them; ``map name`` knows them by the same."""
    if both.reference.version < (7, 8):
        pytest.skip("the older reference knows no .bss of its own name")
    text = """
        #define AT(name) SEC(#name)
        int one_of AT(.data.of_a_long_name) = 1; const int fixed AT(.rodata.of_a_long_name) = 2;
        int none AT(.bss.of_a_long_name); int usual = 3; extern _Bool CONFIG_BPF __kconfig __weak;
        SEC("xdp") int one(void *ctx) { return CONFIG_BPF + usual++ + one_of++ + none++ + fixed; }
    """
    made = compiled("names", text)
    names = []
    for tool in (ours, both.reference):
        ended = tool("prog", "loadall", made, place, "pinmaps", f"{pins}/maps")
        assert ended.status == 0
        names.append(sorted(os.listdir(f"{pins}/maps")))
        for path in (place, f"{pins}/maps"):
            shutil.rmtree(path)
    assert names[0] == names[1]
    assert "_data_of_a_long_name" in names[0]
    words = "type array key 4 value 4 entries 1 name mine flags 0x400".split()
    assert ours("map", "create", f"{pins}/mine", *words).status == 0
    for tool in (ours, both.reference):
        line = ["map", "name", ".data.of_a_long_name", "pinned", f"{pins}/mine"]
        assert tool("prog", "loadall", made, place, *line).status == 0
        assert "mine" in [each["name"] for each in maps_of(f"{place}/one")]
        shutil.rmtree(place)
    os.unlink(f"{pins}/mine")


def test_variables_in_an_arena(both: Both, compiled: Any, place: str, pins: str) -> None:
    made = compiled("arena", OBJECTS["arena"])
    found = []
    for tool in (ours, both.reference):
        ended = tool("prog", "loadall", made, place, "pinmaps", f"{pins}/maps")
        if ended.status:
            kernel_lacks("arenas, or the reference does not know them", ended.err)
        size = 10 * mmap.PAGESIZE
        with calls.obj_get(f"{pins}/maps/memory") as fd:
            where = lib.mmap(ffi.cast("void *", 0x70000000), size, 3, 0x100001, fd.fileno(), 0)
            assert int(ffi.cast("intptr_t", where)) == 0x70000000
            found.append(ffi.buffer(where, size)[:])
            lib.munmap(where, size)
        for path in (place, f"{pins}/maps"):
            shutil.rmtree(path)
    assert found[0] == found[1]
    assert struct.pack("=3i4xQ", 1, 2, 3, 0x1122334455667788) in found[0]


_ARENA = """
    struct { __uint(type, 33); __uint(map_flags, FLAGS); __uint(max_entries, 1); }
        memory SEC(".maps")OTHER;
    int value[COUNT] SEC(".addr_space.1") = { 1 };
    SEC("syscall") int one(void *ctx) { return (long)&value[0]; }
"""


@pytest.mark.parametrize(
    ("name", "change", "says"),
    [
        ("arena_none", {"33": "2"}, "holds variables for an arena, but there is none"),
        ("arena_two", {"OTHER": ', other SEC(".maps")'}, "there can be one arena only"),
        ("arena_small", {"COUNT": "5000"}, "too small for 20000 bytes of variables"),
        ("arena_forbidden", {"FLAGS": "(BPF_F_MMAPABLE | 1 << 17)"}, "map 'memory': "),
    ],
)
def test_arenas_that_do_not_work_out(
    name: str, change: dict[str, str], says: str, both: Both, compiled: Any, place: str
) -> None:
    text = _ARENA
    for word, other in {"FLAGS": "BPF_F_MMAPABLE", "OTHER": "", "COUNT": "4", **change}.items():
        text = text.replace(word, other)
    made = compiled(name, text)
    ended = ours("prog", "loadall", made, place)
    assert ended.status == 255
    assert says in ended.err
    assert ended.err.count("\n") == 1
    assert not os.path.exists(place)
    assert both.reference("prog", "loadall", made, place).status != 0


@pytest.mark.parametrize("name", STRUCT_OPS)
def test_struct_ops(name: str, both: Both, compiled: Any, place: str, pins: str) -> None:
    """Loaded and pinned, yet not registered: the same programs and map."""
    made = compiled(name, OPERATIONS + STRUCT_OPS[name])
    ends = []
    for tool in (ours, both.reference):
        ended = tool("prog", "loadall", made, place, "pinmaps", f"{pins}/maps")
        if tool is not ours and ended.status and both.reference.version < (7, 8):
            continue  # it knows no links of structs, nor members that a kernel lacks
        map = ours("-j", "map", "show", "pinned", f"{pins}/maps/mine").json
        told = [map[each] for each in ("type", "name", "flags", "bytes_value", "max_entries")]
        ends.append((ended.status, sorted(os.listdir(place)), held(place), told))
        for path in (place, f"{pins}/maps"):
            shutil.rmtree(path)
    assert ends[0][:2] == (0, ["avoid", "threshold", "undo"])
    assert ends[0] == ends[-1]


@pytest.mark.parametrize("name", NO_STRUCT_OPS)
def test_struct_ops_that_do_not_work_out(name: str, both: Both, compiled: Any, place: str) -> None:
    text, error = NO_STRUCT_OPS[name]
    made = compiled(name, OPERATIONS + text)
    ended = ours("prog", "loadall", made, place)
    assert ended.status == both.reference("prog", "loadall", made, place).status == 255
    assert error in ended.err
    assert not os.path.exists(place)


def test_a_loaded_struct_ops_can_be_registered(compiled: Any) -> None:
    made = compiled("ops", OPERATIONS + STRUCT_OPS["ops"])
    with load(read_object(made)) as loaded:
        (map,) = loaded.maps
        calls.map_update(map.fd, bytes(4), map.value)
        try:
            with open("/proc/sys/net/ipv4/tcp_available_congestion_control") as file:
                assert "pybpftool_load" in file.read().split()
        finally:
            calls.map_delete(map.fd, bytes(4))


def test_relocations_against_the_kernel(both: Both, compiled: Any, place: str) -> None:
    """Where the kernel lets nobody trace, the refusal is the same."""
    made = compiled("core", CORE)
    ends = []
    for tool in (ours, both.reference):
        ended = tool("prog", "loadall", made, place)
        ends.append((ended.status, held(place) if os.path.isdir(place) else []))
        shutil.rmtree(place, ignore_errors=True)
    assert ends[0] == ends[1]


def test_pins(compiled: Any, pins: str, place: str) -> None:
    made = compiled("data", OBJECTS["data"])
    assert ours("-j", "prog", "load", made, f"{pins}/one") == Ended(b"null\n", b"", 0)
    assert ours("-j", "prog", "show", "pinned", f"{pins}/one").json["name"] == "one"
    os.unlink(f"{pins}/one")
    assert ours("prog", "loadall", made, place, "pinmaps", f"{place}_m") == Ended(b"", b"", 0)
    assert sorted(os.listdir(place)) == ["one", "two"]
    assert sorted(os.listdir(f"{place}_m")) == [
        *("_data_other", "data_bss", "data_data", "data_rodata"),
    ]
    shutil.rmtree(f"{place}_m")


def test_a_map_in_the_place_of_one(compiled: Any, pins: str, place: str) -> None:
    made = compiled("maps", OBJECTS["maps"])
    words = "type hash key 4 value 8 entries 8 name mine".split()
    assert ours("map", "create", f"{pins}/mine", *words).status == 0
    id = ours("-j", "map", "show", "pinned", f"{pins}/mine").json["id"]
    for which in (["name", "counts"], ["idx", "0"]):
        line = ["prog", "loadall", made, place, "map", *which, "id", str(id)]
        assert ours(*line) == Ended(b"", b"", 0)
        assert id in ours("-j", "prog", "show", "pinned", f"{place}/one").json["map_ids"]
        shutil.rmtree(place)
    os.unlink(f"{pins}/mine")


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (["map", "name", "nowhere", "id", "{map}"], "unable to find map 'nowhere'"),
        (["map", "idx", "9", "id", "{map}"], "map idx '9' not used"),
        (["map", "idx", "x", "id", "{map}"], "can't parse x as IDX"),
        (["map", "index", "0", "id", "{map}"], "expected 'idx' or 'name', got: 'index'?"),
        (["offload_dev", "nowhere0"], "unrecognized netdevice 'nowhere0': No such device"),
        (["type", "xdp", "type", "xdp"], "program type already specified"),
        (
            ["other"],
            "expected no more arguments, 'type', 'map', 'offload_dev', 'xdpmeta_dev', 'pinmaps', "
            "'autoattach', or 'kernel_btf', got: 'other'?",
        ),
    ],
)
def test_wrong_words(words: list[str], error: str, compiled: Any, pins: str, place: str) -> None:
    made = compiled("plain", OBJECTS["plain"])
    assert (
        ours(
            "map", "create", f"{pins}/m", *"type hash key 4 value 8 entries 8 name m".split()
        ).status
        == 0
    )
    id = ours("-j", "map", "show", "pinned", f"{pins}/m").json["id"]
    line = ["prog", "loadall", made, place, *(word.format(map=id) for word in words)]
    assert ours(*line) == Ended(b"", f"Error: {error}\n".encode(), 255)
    os.unlink(f"{pins}/m")
    assert not os.path.exists(place)


def test_load_reasons(both: Both, compiled: Any, place: str) -> None:
    """A refused program is told with its line, and nothing of the object stays."""
    text = 'SEC("xdp") int one(struct xdp_md *ctx) { return *(int *)(long)ctx->data; }'
    made = compiled("refused", text)
    ended = ours("-j", "prog", "loadall", made, place)
    assert ended.status == both.reference("prog", "loadall", made, place).status == 255
    error = json.loads(ended.out)["error"]
    assert error.startswith(f"failed to load object file: {made}: program 'one': ")
    assert "refused.c:" in error
    assert not os.path.exists(place)


@pytest.mark.parametrize("cut", [0, 3, 64, 200, 700])
def test_broken_files(cut: int, compiled: Any, place: str, tmp_path: Path) -> None:
    whole = Path(compiled("maps", OBJECTS["maps"])).read_bytes()
    broken = tmp_path / "broken.o"
    broken.write_bytes(whole[:cut])
    ended = ours("prog", "load", str(broken), place)
    assert ended.status == 255
    assert ended.err.startswith(f"Error: failed to open object file: {broken}: ")
    assert ended.err.count("\n") == 1


def test_load_without_loader(compiled: Any, place: str) -> None:
    ended = ours("-L", "prog", "load", compiled("plain", OBJECTS["plain"]), place)
    assert ended.status == 255
    assert ended.err == "Error: loader programs (-L) are not made by pybpftool; leave -L out\n"


ATTACHED = {
    "uprobe": 'SEC("uprobe/libc.so.6:malloc")',
    "uprobe_offset": 'SEC("uprobe/libc.so.6:malloc+0x4")',
    "uretprobe": 'SEC("uretprobe/libc.so.6:free")',
    "uprobe_program": 'SEC("uprobe/bash:main")',
    "raw_tracepoint": 'SEC("raw_tp/sched_switch")',
    "iterator": 'SEC("iter/bpf_map")',
}
NOT_ATTACHED = {
    "kprobe": ('SEC("kprobe")', ""),
    "kretprobe": ('SEC("kretprobe/vfs_read+4")', "a kretprobe has no offset: vfs_read+4"),
    "kprobe_nowhere": ('SEC("kprobe/pybpftool_nowhere")', "kprobe"),
    "ksyscall": ('SEC("ksyscall/pybpftool_nosuch")', "kprobe"),
    "kprobes": ('SEC("kprobe.multi/pybpftool_no*")', "tracefs lists no function like"),
    "uprobe_nowhere": ('SEC("uprobe/libc.so.6:pybpftool_no")', "has no function pybpftool_no"),
    "uprobe_no_file": ('SEC("uprobe/pybpftool.so:main")', "there is no pybpftool.so in"),
    "uprobe_no_name": ('SEC("uprobe/bash")', "section uprobe/bash is not uprobe/FILE:FUNCTION"),
    "uretprobe": ('SEC("uretprobe/libc.so.6:free+3")', "a uretprobe has no offset: free+3"),
    "tracepoint": ('SEC("tp/pybpftool/nosuch")', "there is no tracepoint pybpftool/nosuch"),
    "raw_tracepoint": ('SEC("raw_tp/nosuch")', "raw tracepoint nosuch: No such file"),
    "packets": ('SEC("tc")', ""),
    "perf": ('SEC("perf_event")', ""),
}
ATTACHES = (7, 2)
"""The first bpftool that knows autoattach."""
BODY = " int one(void *ctx) { return 0; }"


def attached_to(path: str) -> Any:
    """What a pinned link tells of itself, None for a program."""
    with calls.obj_get(path) as fd:
        text = Path(f"/proc/self/fdinfo/{fd.fileno()}").read_text()
    told = dict(line.split(":", 1) for line in text.splitlines() if ":" in line)
    names = "link_type attach_type name offset cnt path_cnt target_name tp_name".split()
    return {name: told[name] for name in names if name in told} if "link_type" in told else None


def attaching(both: Both) -> list[Any]:
    """The tools that know of it."""
    return [ours, both.reference] if both.reference.version >= ATTACHES else [ours]


@pytest.mark.parametrize("name", ATTACHED)
def test_attached(name: str, both: Both, compiled: Any, place: str) -> None:
    made = compiled(f"to_{name}", ATTACHED[name] + BODY)
    ends = []
    for tool in attaching(both):
        ended = tool("prog", "loadall", made, place, "autoattach")
        ends.append((ended.status, ended.err if tool is ours else "", attached_to(f"{place}/one")))
        shutil.rmtree(place)
    assert ends[0] == ends[-1]
    assert ends[0][2]


@pytest.mark.parametrize("name", NOT_ATTACHED)
def test_load_pins_the_rest(name: str, both: Both, compiled: Any, pins: str, place: str) -> None:
    """Whatever keeps a program from being attached: it is pinned, and the reason told."""
    section, reason = NOT_ATTACHED[name]
    made = compiled(f"not_{name}", section + BODY)
    ended = ours("prog", "loadall", made, place, "autoattach")
    *first, last = ended.err.splitlines()
    assert last == "Program one does not support autoattach, falling back to pinning"
    assert (len(first), ended.status) == (bool(reason), 0)
    assert not reason or first[0].startswith("program 'one': cannot be attached: ")
    assert reason in ended.err
    assert os.listdir(place) == ["one"]
    assert attached_to(f"{place}/one") is None
    shutil.rmtree(place)
    for tool in attaching(both):
        assert tool("prog", "load", made, f"{pins}/one", "autoattach").status == 0
        assert attached_to(f"{pins}/one") is None
        os.unlink(f"{pins}/one")
    assert ours("-j", "prog", "load", made, f"{pins}/one", "autoattach").out == "null\n"
    os.unlink(f"{pins}/one")


def test_load_usdt(compiled: Any, place: str) -> None:
    made = compiled("usdt", 'SEC("usdt/libc.so.6:libc:setjmp")' + BODY)
    ended = ours("prog", "loadall", made, place, "autoattach")
    assert ended.status == 0
    assert "USDT probes are not attached by pybpftool" in ended.err
    assert os.listdir(place) == ["one"]


@pytest.mark.parametrize("section", ["uprobe.multi/libc.so.6:strto*", "uretprobe.multi/bash:m*"])
def test_load_uprobe_once(section: str, both: Both, compiled: Any, place: str) -> None:
    """At the same places as the reference; of several names for one it counts each."""
    made = compiled(section.partition(".")[0] + "s", f'SEC("{section}")' + BODY)
    places = []
    for tool in (ours, both.reference):
        ended = tool("prog", "loadall", made, place, "autoattach")
        if ended.status or ended.err:
            kernel_lacks("uprobe.multi, or the reference does", ended.err)
        with calls.obj_get(f"{place}/one") as fd:
            text = Path(f"/proc/self/fdinfo/{fd.fileno()}").read_text()
        places.append([line.split()[1] for line in text.splitlines() if line.endswith(" 0x0")])
        shutil.rmtree(place)
    assert places[0]
    assert len(places[0]) == len(set(places[0]))
    assert set(places[0]) == set(places[1]) - {"0x0"}
