"""What every object that shows programs tells of one: its whole name, the head of its record.

The kernel keeps 15 bytes of a name; the rest is in the BTF of the program (spec 2.2).
"""

from __future__ import annotations

from .errors import PybpftoolError
from .kernel.words import prog_type_word

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .btf.spec import Btf
    from .command import Record
    from .kernel.handles import Prog

_CUT = 15
"""Bytes that a name has when it may have been cut: BPF_OBJ_NAME_LEN less its NUL."""
_NAME_MAX = 127
"""Bytes of a whole name that are shown."""


class FullNames:
    """The whole names of programs: ``names(prog)``.

    The BTF is looked at only where the kernel's name may be cut.  The one read last is kept:
    programs that were loaded together come one after the other and share theirs.
    """

    __slots__ = ("_btf", "_id")

    def __init__(self) -> None:
        self._id = 0
        self._btf: Btf | None = None

    def __call__(self, prog: Prog) -> str:
        info = prog.info
        name = info.name
        if len(name.encode("utf-8", "surrogateescape")) < _CUT:
            return name
        if not info.btf_id or not info.nr_func_info:
            return name
        return self._by_btf(prog) or name

    def _by_btf(self, prog: Prog) -> str | None:
        """The name of the function that the program begins with; None where it can't be told."""
        from .btf.types import FUNC
        from .insn.lines import read_functions
        from .sources import btf_of_id

        info = prog.info
        try:
            if info.btf_id != self._id:
                self._btf = btf_of_id(info.btf_id)
                self._id = info.btf_id
            functions = read_functions(
                prog.arrays("func_info")["func_info"], info.func_info_rec_size
            )
            first = next(iter(functions.values()), 0)
            if self._btf is None or self._btf.kind(first) != FUNC:
                return None
            raw = self._btf.name_of(first).encode("utf-8", "surrogateescape")
        except PybpftoolError:
            return None
        return raw[:_NAME_MAX].decode("utf-8", "surrogateescape")


def identity(prog: Prog, names: FullNames) -> Record:
    """What names a program: the head of its record, up to ``dev``."""
    info = prog.info
    record: Record = {"id": info.id, "type": prog_type_word(info.type) or info.type}
    if info.name:
        record["name"] = names(prog)
    record["tag"] = info.tag.hex()
    record["gpl_compatible"] = bool(info.gpl_compatible)
    if info.run_time_ns:
        record["run_time_ns"] = info.run_time_ns
        record["run_cnt"] = info.run_cnt
    if info.recursion_misses:
        record["recursion_misses"] = info.recursion_misses
    if info.ifindex:
        from .kernel import netdev

        record["dev"] = netdev.record(info.ifindex, info.netns_dev, info.netns_ino)
    return record


def header(record: Record) -> str:
    """The first line of a program in a listing, and its title in a dump of several."""
    kind = record["type"]
    text = f"{record['id']}: {kind if isinstance(kind, str) else f'type {kind}'}  "
    if "name" in record:
        text += f"name {record['name']}  "
    text += f"tag {record['tag']}"
    if "dev" in record:
        from .kernel.netdev import spoken

        text += f"  offloaded_to {spoken(record['dev'])}"
    if record["gpl_compatible"]:
        text += "  gpl"
    if "run_time_ns" in record:
        text += f" run_time_ns {record['run_time_ns']} run_cnt {record['run_cnt']}"
    if "recursion_misses" in record:
        text += f" recursion_misses {record['recursion_misses']}"
    return text + "\n"
