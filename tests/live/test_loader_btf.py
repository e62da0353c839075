"""What the running kernel says of the BTF that the loader makes for it."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from elftools.elf.elffile import ELFFile

from pybpftool.btf import types
from pybpftool.btf.reader import read_btf
from pybpftool.kernel.calls import btf_load
from pybpftool.loader import features
from pybpftool.loader.sanitize import fix_datasecs, sanitize
from pybpftool.sources import btf_of_id
from tests.live.compare import Both
from tests.loader.test_sanitize import LACKS, SECTIONS, everything, objects_btf


@pytest.mark.parametrize("lacks", ["", *LACKS, "all"])
def test_the_kernel_takes_what_is_left(lacks: str) -> None:
    btf, _ = everything()

    def knows(word: str) -> bool:
        return lacks not in ("all", word) and features.knows(word)

    btf_load(sanitize(btf, knows)).close()


def test_the_kernel_takes_an_object_s_btf() -> None:
    b, _ = objects_btf()
    fixed = fix_datasecs(read_btf(b.blob()), SECTIONS)
    btf_load(sanitize(read_btf(fixed), features.knows)).close()


@pytest.mark.parametrize("feature", ["btf", "btf_func", "btf_datasec", "global_data", "prog_name"])
def test_the_kernel_is_asked(feature: str) -> None:
    assert features.knows(feature)


SOURCE = """
#define SEC(n) __attribute__((section(n), used))
#define HIDDEN __attribute__((visibility("hidden")))
enum wide { ONE = 1, BIG = 0x100000000000ULL } wide = BIG;
enum negative { MINUS = -1 } negative;
int second = 2, first = 1; long third = 4;
static volatile int inside = 5; const volatile int constant = 3; float real;
struct tagged { int a; } __attribute__((btf_decl_tag("marked")));
struct tagged tagged = { 1 };
struct holder { int __attribute__((btf_type_tag("user"))) *p; } holder;
extern const unsigned CONFIG_HZ __attribute__((section(".kconfig")));
extern const void init_task __attribute__((section(".ksyms"), weak));
HIDDEN __attribute__((noinline)) int local(int x) { return x + second; }
__attribute__((noinline)) int global(int x) { return x + first; }
SEC("tc") int prog(void *ctx)
{
    inside++; third++;
    return local(CONFIG_HZ) + global(constant) + (&init_task != 0) + tagged.a + inside;
}
char LICENSE[] SEC("license") = "GPL";
"""


def described(btf: Any) -> list[dict[str, Any]]:
    """The types of a BTF, all they hold by name."""

    def told(value: Any) -> Any:
        if isinstance(value, list):
            return [{name: getattr(each, name) for name in each.__slots__} for each in value]
        return value

    found = []
    for id in range(1, btf.type_count):
        each = btf.type(id)
        names = [*types.Type.__slots__, *type(each).__slots__]
        found.append({name: told(getattr(each, name)) for name in names})
    return found


def test_the_btf_is_that_of_the_reference(both: Both, tmp_path: Path, pins: str) -> None:
    if not shutil.which("clang"):
        pytest.skip("no clang here; where a kernel is emulated, none is taken along")
    (tmp_path / "a.c").write_text(SOURCE)
    path = tmp_path / "a.o"
    words = ["clang", "-O2", "-g", "-target", "bpf", "-c", "-o", str(path), str(tmp_path / "a.c")]
    subprocess.run(words, check=True)
    pin = Path(pins) / "loader_btf"
    done = both.reference("prog", "load", str(path), str(pin))
    try:
        assert done.status == 0, done.err
        shown = json.loads(both.reference("-j", "prog", "show", "pinned", str(pin)).out)
        theirs = btf_of_id(shown["btf_id"])
    finally:
        pin.unlink(missing_ok=True)
    sections: dict[str, tuple[int, dict[str, int]]] = {".kconfig": (4, {"CONFIG_HZ": 0})}
    hidden = set()
    with path.open("rb") as file:
        elf = ELFFile(file)
        for symbol in elf.get_section_by_name(".symtab").iter_symbols():
            if isinstance(symbol["st_shndx"], int):
                section = elf.get_section(symbol["st_shndx"])
                place = sections.setdefault(section.name, (section["sh_size"], {}))
                place[1][symbol.name] = symbol["st_value"]
            if symbol["st_other"]["visibility"] == "STV_HIDDEN":
                hidden.add(symbol.name)
        mine = read_btf(elf.get_section_by_name(".BTF").data())
    mine = read_btf(sanitize(read_btf(fix_datasecs(mine, sections, hidden)), features.knows))
    assert described(mine) == described(theirs)
