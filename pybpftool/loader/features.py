"""What the running kernel takes, asked by doing it: one row for each question.

    knows("btf_enum64")

Each question is asked once in the life of the process, and only when it matters.  No version of a
kernel is ever looked at.  Sources: linux/bpf.h, linux/btf.h.
"""

from __future__ import annotations

from ..errors import KernelError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ..insn.code import Insn
    from ..kernel.syscall import Fd

_EBADF, _EINVAL = 9, 22
_NOTHING = 0xFFFFFFFF  # no descriptor
_MMAPABLE = 1 << 10
_INT = 0, 1 << 24, 4, 1 << 24 | 32
_PROTO = 0, 13 << 24 | 1, 0, 3, 1
_STATIC_VAR = 1, 14 << 24, 1, 0
_PREFIXES = {
    **{"x86_64": "x64", "i686": "ia32", "aarch64": "arm64", "armv7l": "arm"},
    **{"riscv64": "riscv", "ppc64": "powerpc", "ppc64le": "powerpc", "mips64": "mips"},
}
"""Machine as uname has it -> how it is called in names of system calls."""

_BTF: dict[str, tuple[bytes, Sequence[int]]] = {
    "btf": (b"\0int\0", (1, *_INT[1:])),
    "btf_func": (b"\0x\0a\0", (*_INT, *_PROTO, 1, 12 << 24, 2)),
    "btf_func_global": (b"\0x\0a\0", (*_INT, *_PROTO, 1, 12 << 24 | 1, 2)),
    "btf_datasec": (b"\0x\0.data\0", (*_INT, *_STATIC_VAR, 3, 15 << 24 | 1, 4, 2, 0, 4)),
    "btf_qmark_datasec": (b"\0x\0?.data\0", (*_INT, *_STATIC_VAR, 3, 15 << 24 | 1, 4, 2, 0, 4)),
    "btf_float": (b"\0float\0", (1, 16 << 24, 4)),
    "btf_decl_tag": (b"\0tag\0", (*_INT, *_STATIC_VAR, 1, 17 << 24, 2, 0xFFFFFFFF)),
    "btf_type_tag": (b"\0tag\0", (*_INT, 1, 18 << 24, 1, 0, 2 << 24, 2)),
    "btf_enum64": (b"\0a\0", (0, 1 << 31 | 19 << 24 | 1, 8, 1, 0, 1)),
}
"""feature -> strings and words of the smallest BTF that has it."""


def knows(feature: str) -> bool:
    """Whether the running kernel has a feature, by its word in one of the tables here.

    What cannot be asked (no permission) counts as a no.
    """
    if feature not in _known:
        smallest = _BTF.get(feature)
        try:
            _known[feature] = _takes_btf(*smallest) if smallest else _ASK[feature]()
        except KernelError:
            _known[feature] = False
    return _known[feature]


_known: dict[str, bool] = {}


def _takes_btf(strings: bytes, words: Sequence[int]) -> bool:
    import struct

    from ..btf.reader import MAGIC, VERSION
    from ..kernel.calls import btf_load

    size = 4 * len(words)
    head = struct.pack("=HBBIIIII", MAGIC, VERSION, 0, 24, 0, size, size, len(strings))
    with btf_load(head + struct.pack(f"={len(words)}I", *words) + strings):
        return True


# ------------------------------------------------------------------ programs, maps, links


def _prog(prog_type: str, *insns: Insn, name: str = "", expected: int = 0) -> Fd:
    """A program of these instructions, ``r0 = 0; exit`` behind them."""
    from ..insn import asm, code
    from ..kernel import calls, words

    text = code.encode([*insns, asm.mov64_imm(0, 0), asm.exit_()])
    number = words.PROG_TYPES.index(prog_type)
    return calls.prog_load(number, text, name=name, expected_attach_type=expected)


def _array(value_size: int = 32, flags: int = 0, name: str = "") -> Fd:
    from ..kernel import calls, words

    return calls.map_create(words.MAP_TYPES.index("array"), 4, value_size, 1, name, flags)


def _attach_type(word: str) -> int:
    from ..kernel import words

    return words.ATTACH_TYPES.index(word)


def _prog_name() -> bool:
    with _prog("socket_filter", name="probe"):
        return True


def _map_name() -> bool:
    with _array(name="probe"):
        return True


def _global_data() -> bool:
    from ..insn import asm, code

    with _array() as array:
        load = asm.ld_map_value(1, array.fileno(), 16)
        with _prog("socket_filter", load, asm.st(code.DW, 1, 0, 42)):
            return True


def _array_mmap() -> bool:
    with _array(4, _MMAPABLE):
        return True


def _expected_attach_type() -> bool:
    with _prog("cgroup_sock", expected=_attach_type("cgroup_inet_sock_create")):
        return True


def _calls(helper: str) -> Callable[[], bool]:
    """What asks for a helper that reads an address (``probe_read…``) or takes the context."""

    def ask() -> bool:
        from ..insn import asm, code
        from ..kernel import words

        number = words.HELPERS.index(helper)
        room = asm.mov64_reg(1, 10), asm.alu64_imm(code.ADD, 1, -8)
        read = *room, asm.mov64_imm(2, 8), asm.mov64_imm(3, 0)
        before = read if helper.startswith("probe_read") else ()
        with _prog("tracepoint", *before, asm.call(number)):
            return True

    return ask


def _perf_link() -> bool:
    """Whether a link to no event is refused for the event and not for the kind of link."""
    from ..kernel.calls import link_create

    with _prog("tracepoint") as prog:
        try:
            link_create(prog, _NOTHING, _attach_type("perf_event")).close()
        except KernelError as error:
            return error.errno == _EBADF
    return False


def _uprobe_multi() -> bool:
    """Whether such a link on a directory is refused for that, and for a process that is none."""
    from ..kernel.calls import link_create

    kind = _attach_type("trace_uprobe_multi")
    where = {"path": b"/\0", "offsets": bytes(8), "cnt": 1}
    with _prog("kprobe", expected=kind) as prog:
        # what looked at threads instead of processes did not mind the second
        for pid, refusal in ((0, _EBADF), (0xFFFFFFFF, _EINVAL)):
            try:
                link_create(prog, _NOTHING, kind, uprobe_multi={**where, "pid": pid}).close()
            except KernelError as error:
                if error.errno == refusal:
                    continue
            return False
    return True


def _arena() -> bool:
    from ..kernel import calls, words

    with calls.map_create(words.MAP_TYPES.index("arena"), 0, 0, 1, b"", _MMAPABLE):
        return True


def _syscall_wrapper() -> bool:
    from ..kernel.perf import probe

    with probe("kprobe", _wrapper("bpf"), 0, retprobe=False):
        return True


def _wrapper(name: str) -> str:
    import os

    machine = os.uname().machine
    return f"__{_PREFIXES.get(machine, machine)}_sys_{name}"


def syscall_symbol(name: str) -> str:
    """The function of the kernel that is the system call ``name``."""
    return _wrapper(name) if knows("syscall_wrapper") else f"__se_sys_{name}"


def _far_map_values() -> bool:
    """Whether an offset into a map is refused, if at all, for the map and not for its size."""
    from ..insn import asm, code
    from ..kernel import calls, words

    log = bytearray(1 << 12)
    with _array() as array:
        text = code.encode([asm.ld_map_value(1, array.fileno(), 1 << 30), asm.exit_()])
        socket_filter = words.PROG_TYPES.index("socket_filter")
        fd, _ = calls.try_prog_load(socket_filter, text, log=log, log_level=1)
    if fd is not None:
        fd.close()
    return log[0] != 0 and b"direct value offset of" not in log


_ASK: dict[str, Callable[[], bool]] = {
    "prog_name": _prog_name,
    "map_name": _map_name,
    "global_data": _global_data,
    "array_mmap": _array_mmap,
    "expected_attach_type": _expected_attach_type,
    "probe_read_kernel": _calls("probe_read_kernel"),
    "attach_cookie": _calls("get_attach_cookie"),
    "perf_link": _perf_link,
    "uprobe_multi": _uprobe_multi,
    "arena": _arena,
    "far_map_values": _far_map_values,
    "syscall_wrapper": _syscall_wrapper,
}
"""feature -> the function that tries it: true, or a refusal of the kernel."""
