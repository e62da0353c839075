"""Object files that lie: they end in a result or in one sentence, soon and in little memory."""

from __future__ import annotations

import os
import shutil
import struct
import subprocess
import time
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pybpftool.btf.reader import read_btf
from pybpftool.btf.spec import Btf
from pybpftool.elf.file import REL, SYMTAB
from pybpftool.errors import BadData, PybpftoolError
from pybpftool.loader.core import BYTE_OFFSET, Core
from pybpftool.loader.ext import CoreRelo
from pybpftool.loader.link import link
from pybpftool.loader.read import read_object
from pybpftool.loader.sanitize import fix_datasecs, sanitize
from pybpftool.loader.spec import KCONFIG, ObjectSpec
from tests.support.btf_builder import BtfBuilder
from tests.support.elf_builder import ElfBuilder
from tests.support.need import need

SOURCE = """
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
char _license[] SEC("license") = "GPL";
int _version SEC("version") = 7;
struct task_struct { int pid, tgid; unsigned flags : 3; char comm[16];
                     struct task_struct *real_parent; } __attribute__((preserve_access_index));
enum kind { ONE = 3, TWO = 1 };
struct inner { __uint(type, BPF_MAP_TYPE_ARRAY); __uint(max_entries, 2); __type(key, int);
               __type(value, int); } first SEC(".maps");
struct { __uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS); __uint(max_entries, 4); __type(key, int);
         __array(values, struct inner); } outer SEC(".maps") = { .values = { [1] = &first } };
struct { __uint(type, BPF_MAP_TYPE_HASH); __uint(max_entries, 8); __type(key, int);
         __type(value, struct task_struct); __uint(pinning, 1); } counts SEC(".maps");
int total = 3; const volatile int limit = 9; static long hidden; int zeroes[5];
extern int CONFIG_HZ __kconfig __weak;
extern const void address __ksym;
extern int call(int) __ksym __weak;
struct ops { int (*run)(void *); int n; };
SEC("struct_ops/run") int run(void *ctx) { return 0; }
SEC(".struct_ops.link") struct ops some = { .run = (void *)run, .n = 3 };
static long each(unsigned int index, int *sum) { *sum += index; return 0; }
__attribute__((noinline)) int middle(int x) { return x * limit + 1; }
SEC("tp_btf/sched_switch") int one(unsigned long long *ctx) {
    struct task_struct *task = (void *)ctx[1];
    int sum = 0, k = 1;
    sum += task->pid + task->real_parent->tgid + task->comm[3] + task->flags;
    sum += __builtin_preserve_enum_value(*(enum kind *)ONE, 1);
    sum += __builtin_preserve_type_info(*(struct task_struct *)0, 1);
    bpf_loop(5, each, &sum, 0);
    bpf_printk("limit %d", limit);
    total += middle(sum) + CONFIG_HZ + (long)&address; hidden++; zeroes[2]++;
    if (call) sum += call(3);
    bpf_map_lookup_elem(&counts, &k);
    return sum + !!bpf_map_lookup_elem(&outer, &k);
}
SEC("?xdp") int two(void *ctx) { return middle(2); }
"""

_SECONDS = 2
"""Of the processor, for one object; a sound one takes some milliseconds."""


def compiled(target: str, directory: Path) -> bytes:
    need(shutil.which("clang"), "needs clang")
    source, made = directory / "hostile.c", directory / "hostile.o"
    source.write_text(SOURCE)
    include = f"-I/usr/include/{os.uname().machine}-linux-gnu"
    words = ["clang", "-g", "-O2", "-target", target, include, "-c", str(source), "-o", str(made)]
    subprocess.run(words, check=True)
    return made.read_bytes()


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return compiled("bpf", tmp_path_factory.mktemp("sound"))


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("hostile") / "made.o"


@pytest.fixture(scope="module")
def kernel() -> Btf:
    """Types as another kernel has them."""
    b = BtfBuilder()
    number, wide = b.int("int", 4, signed=True), b.int("long", 8)
    char, index = b.int("char", 1), b.int("index", 4)
    text = b.array(char, 20, index)
    b.enum("kind", [("ONE", 4), ("TWO", 1)])
    fields = [("x", wide, 0), ("pid", number, 64), ("tgid", number, 96), ("comm", text, 160)]
    b.struct("task_struct", 40, fields)
    return read_btf(b.blob())


def all_the_way(path: Path, kernel: Btf) -> ObjectSpec:
    """All that is done with an object before the kernel hears of it."""
    found = read_object(str(path))
    core = Core(found.btf, lambda: [kernel]) if found.btf is not None else None
    for program in found.programs:
        linked = link(found, program)
        assert len(linked.code) % 8 == 0
        for slot, relo in linked.core_relos:
            if core is not None:
                core.relocate(linked.code, slot, relo)
    if found.btf is not None:
        found.variables[KCONFIG] = (4, {"CONFIG_HZ": 0})
        hidden = {each.name for each in found.functions if each.hidden}
        fixed = fix_datasecs(found.btf, found.variables, hidden)
        read_btf(sanitize(read_btf(fixed), lambda word: False))
    return found


def survives(blob: bytes, place: Path, kernel: Btf) -> None:
    """The object ends in a result or in one sentence, and soon."""
    place.write_bytes(blob)
    begun = time.process_time()
    try:
        all_the_way(place, kernel)
    except PybpftoolError as error:
        assert "\n" not in error.message
        assert 0 < len(error.message) < 2000
    assert time.process_time() - begun < _SECONDS


def test_the_sound_one(sound: bytes, place: Path, kernel: Btf) -> None:
    place.write_bytes(sound)
    found = all_the_way(place, kernel)
    assert {each.name for each in found.programs} == {"run", "one", "two"}
    assert {each.name for each in found.functions} == {"each", "middle"}
    assert {each.name for each in found.externs} == {"CONFIG_HZ", "address", "call"}
    assert {"first", "outer", "counts", "some"} < {each.name for each in found.maps}
    assert (found.license, found.version) == ("GPL", 7)


def test_truncated(sound: bytes, place: Path, kernel: Btf) -> None:
    for end in range(0, len(sound), 7):
        survives(sound[:end], place, kernel)


FORMATS = {1: "<B", 2: "<H", 4: "<I", 8: "<Q"}
VALUES = (0, 1, 0xFF00, 1 << 31, 1 << 60, (1 << 64) - 1)


def spoiled(blob: bytes, at: int, size: int, values: tuple[int, ...]) -> Iterator[bytes]:
    """The same with other numbers in one field: those given, and the neighbours of the true one."""
    (old,) = struct.unpack_from(FORMATS[size], blob, at)
    most = (1 << 8 * size) - 1
    for value in {each & most for each in (*values, old + 1, old - 1, old ^ 1 << 24)} - {old}:
        changed = bytearray(blob)
        struct.pack_into(FORMATS[size], changed, at, value)
        yield bytes(changed)


def headers(blob: bytes) -> list[tuple[int, tuple[int, ...]]]:
    """Where the header of each section is, and its fields."""
    (at,), (count,) = struct.unpack_from("<Q", blob, 40), struct.unpack_from("<H", blob, 60)
    places = range(at, at + 64 * count, 64)
    return [(place, struct.unpack_from("<IIQQQQIIQQ", blob, place)) for place in places]


def named(blob: bytes, name: bytes) -> tuple[int, int]:
    """Byte and size of a section's contents."""
    (names,) = struct.unpack_from("<H", blob, 62)
    found = headers(blob)
    for _, fields in found:
        if blob[found[names][1][4] + fields[0] :].startswith(name + b"\0"):
            return fields[4], fields[5]
    raise AssertionError(name)


def test_fields_of_the_header(sound: bytes, place: Path, kernel: Btf) -> None:
    fields = [*((at, 1) for at in range(16)), (16, 2), (18, 2), (20, 4), (24, 8), (32, 8), (40, 8)]
    for at, size in [*fields, (48, 4), *((at, 2) for at in range(52, 64, 2))]:
        for blob in spoiled(sound, at, size, VALUES):
            survives(blob, place, kernel)


@pytest.mark.parametrize(
    ("at", "size"),
    [(0, 4), (4, 4), (8, 8), (24, 8), (32, 8), (40, 4), (44, 4), (56, 8)],
    ids="name type flags offset size link info entry".split(),
)
def test_fields_of_sections(at: int, size: int, sound: bytes, place: Path, kernel: Btf) -> None:
    for start, _ in headers(sound):
        for blob in spoiled(sound, start + at, size, VALUES if size == 8 else (0, 2, 8, 9)):
            survives(blob, place, kernel)


SYMBOL = [(0, 4), (4, 1), (5, 1), (6, 2), (8, 8), (16, 8)]
RELOCATION = [(0, 8), (8, 4), (12, 4)]


@pytest.mark.parametrize(
    ("type", "length", "fields"), [(SYMTAB, 24, SYMBOL), (REL, 16, RELOCATION)]
)
def test_fields_of_symbols_and_relocations(
    type: int,
    length: int,
    fields: list[tuple[int, int]],
    sound: bytes,
    place: Path,
    kernel: Btf,
) -> None:
    for _, header in headers(sound):
        if header[1] != type:
            continue
        for start in range(header[4], header[4] + min(header[5], 40 * length), length):
            for at, size in fields:
                for blob in spoiled(sound, start + at, size, (0, 16)):
                    survives(blob, place, kernel)


@pytest.mark.parametrize("section", [".BTF", ".BTF.ext"])
def test_words_of_types(section: str, sound: bytes, place: Path, kernel: Btf) -> None:
    """All of the header, and then every third word, is another number."""
    begin, size = named(sound, section.encode())
    for at in [*range(begin, begin + 32, 4), *range(begin + 32, begin + size - 4, 12)]:
        for blob in spoiled(sound, at, 4, (0, 0x7FFFFFFF)):
            survives(blob, place, kernel)


def test_the_other_byte_order(tmp_path: Path) -> None:
    path = tmp_path / "big.o"
    path.write_bytes(compiled("bpfeb" if struct.pack("=H", 1)[0] else "bpfel", tmp_path))
    with pytest.raises(BadData, match="in the other byte order than this machine's"):
        read_object(str(path))


@settings(
    max_examples=400,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
@given(
    changes=st.lists(
        st.tuples(
            st.integers(0, 1 << 30),
            st.one_of(
                st.binary(min_size=1, max_size=8),
                st.integers(0, 100).map(lambda number: struct.pack("<I", number)),
                st.integers(0, 1 << 30),  # bytes of the object itself, from there
            ),
        ),
        min_size=1,
        max_size=12,
    )
)
def test_mutations(
    changes: list[tuple[int, bytes | int]], sound: bytes, place: Path, kernel: Btf
) -> None:
    blob = bytearray(sound)
    for at, what in changes:
        data = what if isinstance(what, bytes) else sound[what % len(sound) :][:16]
        start = at % len(sound) & ~3
        blob[start : start + len(data)] = data
    survives(bytes(blob[: len(sound)]), place, kernel)


# ------------------------------------------------------------------ out of all proportion


def test_zeroes_take_no_memory(place: Path, kernel: Btf) -> None:
    b = ElfBuilder()
    b.section(".bss", type=8, size=0xFFFFFFF8)
    b.section(".bss.more", type=8, size=0xFFFFFFF8)
    place.write_bytes(b.blob())
    tracemalloc.start()
    try:
        found = all_the_way(place, kernel)
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()
    assert [each.value_size for each in found.maps] == [0xFFFFFFF8] * 2


def test_functions_do_not_overlap(place: Path) -> None:
    b = ElfBuilder()
    code = b.code("xdp", 1000)
    for number in range(1000):
        b.symbol(f"f{number}", code, 8 * number, 8000 - 8 * number)
    place.write_bytes(b.blob())
    with pytest.raises(BadData, match="'f1' begins in the middle of another"):
        read_object(str(place))


def test_sections_of_code_have_names_of_their_own(place: Path) -> None:
    b = ElfBuilder()
    for number in range(2):
        b.symbol(f"f{number}", b.code("xdp"), 0, 16)
    place.write_bytes(b.blob())
    with pytest.raises(BadData, match="two sections xdp of code"):
        read_object(str(place))


def test_many_of_all(place: Path, kernel: Btf) -> None:
    """Time grows with the file and not with the product of what is in it."""
    b = ElfBuilder()
    for number in range(2000):
        code = b.code(f"xdp/{number}", 4)
        at = b.symbol(f"f{number}", code, 0, 32)
        b.section(f"rel{number}", struct.pack("<QQ", 8, at << 32), 4, info=0)
    survives(b.blob(), place, kernel)
    assert len(read_object(str(place)).programs) == 2000


def test_relocations_of_a_large_struct() -> None:
    """Thousands, each of another of its members."""
    count = 3000
    btfs = []
    for shift in (0, 32):
        b = BtfBuilder()
        number = b.int("int", 4, signed=True)
        members = [(f"m{each}", number, 32 * each + shift) for each in range(count)]
        large = b.struct("large", 4 * count + 4, members)
        btfs.append(read_btf(b.blob()))
    core = Core(btfs[0], lambda: btfs[1:])
    code = bytearray(struct.pack("<BBhi", 0x61, 0, 0, 0) * count)
    for each in range(count):
        struct.pack_into("<h", code, 8 * each + 2, 4 * each)
    begun = time.process_time()
    for each in range(count):
        assert core.relocate(code, each, CoreRelo(each, large, f"0:{each}", BYTE_OFFSET)) is None
    assert time.process_time() - begun < _SECONDS
    assert struct.unpack_from("<h", code, 8 * count - 6) == (4 * count,)
