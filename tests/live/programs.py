"""Programs to look at: with functions, callbacks, tail calls, kernel functions, lines of source.

A ``Source`` is a program as an assembler has it; ``loaded`` brings it into the kernel, with BTF,
func_info and line_info made for it, and pins it.
"""

from __future__ import annotations

import os
import struct
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import NamedTuple

from pybpftool.errors import KernelError
from pybpftool.insn import code as c
from pybpftool.insn.asm import (
    alu32_imm,
    alu64_imm,
    alu64_reg,
    atomic,
    bswap,
    call,
    call_function,
    call_kernel,
    endian,
    exit_,
    jump,
    jump32_imm,
    jump_imm,
    jump_long,
    jump_reg,
    ld_imm64,
    ld_map_fd,
    ld_map_value,
    ldx,
    mov32_imm,
    mov64_imm,
    mov64_reg,
    st,
    stx,
)
from pybpftool.insn.code import Insn, encode
from pybpftool.kernel import calls
from pybpftool.kernel.handles import Prog, ProgInfo
from pybpftool.kernel.syscall import Fd
from pybpftool.kernel.words import HELPERS, PROG_TYPES
from pybpftool.sources import kernel_btf
from tests.live.zoo import LACKING, full_name
from tests.support.btf_builder import STATIC, BtfBuilder
from tests.support.need import kernel_lacks

ARRAY, PROG_ARRAY = 2, 3


class Function(NamedTuple):
    """A function of a program: the slot it begins at, its name, whether it is static."""

    slot: int
    name: str
    static: bool = True


class Source(NamedTuple):
    """A program.

    ``insns(stack)``: its instructions; ``stack`` keeps open what they name.  ``functions``: in
    the order of slots; without them it has no BTF.  ``lines``: slot, text, line, column.
    ``type``: the word of its type.  ``everywhere``: every kernel that pybpftool knows takes it.
    """

    name: str
    insns: Callable[[ExitStack], Sequence[Insn]]
    functions: Sequence[Function] = ()
    lines: Sequence[tuple[int, str, int, int]] = ()
    type: str = "socket_filter"
    file: str = "prog.c"
    everywhere: bool = True
    license: str = "GPL"


def helper(name: str) -> int:
    """The number of a helper."""
    return HELPERS.index(name)


def of(*insns: Insn) -> Callable[[ExitStack], Sequence[Insn]]:
    """The same instructions each time."""
    return lambda stack: insns


# ------------------------------------------------------------------ the programs

PLAIN = of(mov64_imm(0, 0), exit_())

CLASSIC = of(
    mov64_reg(6, 1),
    ldx(c.W, 2, 6, 0),
    mov64_imm(0, 7),
    alu64_imm(c.ADD, 0, -3),
    alu32_imm(c.AND, 0, 0xFF),
    jump_imm(c.JGT, 2, 64, 2),
    stx(c.DW, 10, 0, -8),
    alu64_reg(c.XOR, 0, 2),
    jump32_imm(c.JEQ, 0, 5, 1),
    st(c.H, 10, -16, -2),
    ld_imm64(3, 0x1122334455667788),
    endian(0, 16, big=True),
    jump_reg(c.JSLT, 0, 3, 1),
    alu64_imm(c.NEG, 0, 0),
    st(c.DW, 10, -24, 0),
    mov64_imm(1, 1),
    atomic(c.DW, c.ADD, 10, 1, -24),
    atomic(c.DW, c.ADD | c.FETCH, 10, 1, -24),
    exit_(),
)

NEW = of(
    mov64_imm(0, 7),
    mov64_imm(1, 3),
    alu64_imm(c.DIV, 0, 3, 1),
    alu64_reg(c.MOV, 0, 1, 8),
    bswap(0, 32),
    stx(c.DW, 10, 0, -8),
    ldx(c.B, 1, 10, -8, signed=True),
    jump_long(0),
    exit_(),
)


def _prog_array(stack: ExitStack) -> Fd:
    """A prog array that is open as long as ``stack``, and gone when that has ended.

    To open and close one that no process holds any more, as lists do, makes some kernels keep it
    for ever.
    """
    ids: list[int] = []

    def wait() -> None:
        deadline = time.monotonic() + 20
        while ids and calls.map_next_id(ids[0] - 1) == ids[0] and time.monotonic() < deadline:
            time.sleep(0.001)

    stack.callback(wait)
    array = stack.enter_context(calls.map_create(PROG_ARRAY, 4, 4, 4, full_name("tails")))
    ids.append(calls.obj_id(array))
    return array


def _maps(stack: ExitStack) -> Sequence[Insn]:
    progs = _prog_array(stack)
    array = stack.enter_context(calls.map_create(ARRAY, 4, 16, 1, full_name("array")))
    return (
        mov64_reg(6, 1),
        st(c.W, 10, -4, 0),
        mov64_reg(2, 10),
        alu64_imm(c.ADD, 2, -4),
        ld_map_fd(1, array.fileno()),
        call(helper("map_lookup_elem")),
        jump_imm(c.JEQ, 0, 0, 3),
        ld_map_value(3, array.fileno(), 8),
        stx(c.DW, 3, 6, 0),
        mov64_reg(1, 6),
        ld_map_fd(2, progs.fileno()),
        mov64_imm(3, 1),
        call(helper("tail_call")),
        call(helper("get_prandom_u32")),
        call(helper("ktime_get_ns")),
        mov64_imm(0, 0),
        exit_(),
    )


FUNCTIONS = of(
    mov64_reg(6, 1),
    mov64_imm(1, 5),
    call_function(6),  # -> 9
    jump_imm(c.JGT, 0, 3, 1),
    mov64_imm(0, 1),
    mov64_reg(1, 0),
    call_function(5),  # -> 12
    mov64_imm(0, 0),
    exit_(),
    mov64_reg(0, 1),  # 9
    alu64_imm(c.MUL, 0, 3),
    exit_(),
    mov64_imm(0, 2),  # 12
    jump_imm(c.JNE, 1, 7, 2),
    mov64_imm(0, 9),
    jump(1),
    alu64_imm(c.SUB, 0, 1),
    exit_(),
)

LINES = (
    (0, "int one_with_functions(struct __sk_buff *skb)", 10, 0),
    (1, "\treturn triple(5);", 12, 9),
    (3, '  if (x > 3) { puts("a|b"); }', 13, 6),
    (5, "", 0, 0),
    (6, "    other(x);", 15, 5),
    (9, "static int triple(int x)", 3, 0),
    (10, "\treturn x * 3;", 4, 11),
    (12, "static int other(int x)", 6, 0),
    (13, "\tif (x == 7 && y < 3)", 7, 6),
    (16, "\treturn 1;", 8, 2),
)

CALLBACK = of(
    mov64_imm(1, 3),
    ld_imm64(2, 6, c.FUNC),  # -> 8
    mov64_imm(3, 0),
    mov64_imm(4, 0),
    call(helper("loop")),
    mov64_imm(0, 0),
    exit_(),
    mov64_imm(0, 0),  # 8
    exit_(),
)


def _kernel_function(stack: ExitStack) -> Sequence[Insn]:
    id = kernel_btf().find("bpf_rcu_read_lock")
    if id is None:
        kernel_lacks("bpf_rcu_read_lock", "its BTF has no such function")
    other = kernel_btf().find("bpf_rcu_read_unlock")
    assert other is not None
    return (call_kernel(id), call_kernel(other), mov64_imm(0, 0), exit_())


SOURCES = {
    source.name: source
    for source in (
        Source("bare", PLAIN),
        Source("closed", PLAIN, license="MIT"),
        Source("classic", CLASSIC, type="sched_cls"),
        Source("newer", NEW, everywhere=False),
        Source("maps", _maps, type="sched_cls"),
        Source("xdp", of(mov32_imm(0, 2), exit_()), type="xdp"),
        Source(
            "functions",
            FUNCTIONS,
            (
                Function(0, "one_with_functions", static=False),
                Function(9, "triple"),
                Function(12, "other"),
            ),
            LINES,
            type="sched_cls",
            file="a/very/long/path/to/some/source/of/it.c",
        ),
        Source("nolines", FUNCTIONS, (Function(0, "first"), Function(9, "b"), Function(12, "c"))),
        Source(
            "callback",
            CALLBACK,
            (Function(0, "with_callback"), Function(8, "each")),
            ((0, "loop(3, each);", 2, 1), (8, "int each(void)", 5, 1)),
            everywhere=False,
        ),
        Source("kfunc", _kernel_function, (Function(0, "kf"),), type="sched_cls", everywhere=False),
    )
}


# ------------------------------------------------------------------ loading


def infos(source: Source) -> tuple[bytes, bytes, bytes]:
    """BTF, func_info and line_info of a program."""
    b = BtfBuilder()
    number = b.int("int", 4, signed=True)
    context = b.ptr(b.struct("__sk_buff", 4, [("len", number, 0)]))
    main = b.func_proto(number, [("skb", context)])
    other = b.func_proto(number, [("x", number)])
    functions = b"".join(
        struct.pack(
            "=II",
            function.slot,
            b.func(
                function.name,
                other if function.slot else main,
                linkage=STATIC if function.static else 1,
            ),
        )
        for function in source.functions
    )
    lines = b"".join(
        struct.pack("=IIII", slot, b.string(source.file), b.string(text), line << 10 | column)
        for slot, text, line, column in source.lines
    )
    return b.blob(), functions, lines


def load(source: Source, stack: ExitStack, name: str = "") -> Fd:
    """The program in the kernel; skips the test where the kernel does not take such.

    ``stack`` keeps it, and what it uses, open.
    """
    fields: dict[str, object] = {}
    if source.functions:
        blob, functions, lines = infos(source)
        btf = stack.enter_context(calls.btf_load(blob))
        fields = {
            "prog_btf_fd": btf.fileno(),
            "func_info": functions,
            "func_info_rec_size": 8,
            "func_info_cnt": len(functions) // 8,
        }
        if lines:
            fields |= {
                "line_info": lines,
                "line_info_rec_size": 16,
                "line_info_cnt": len(lines) // 16,
            }
    try:
        return stack.enter_context(
            calls.prog_load(
                PROG_TYPES.index(source.type),
                encode(source.insns(stack)),
                source.license,
                name=full_name(name or source.name),
                **fields,
            )
        )
    except KernelError as error:
        if source.everywhere or error.errno not in LACKING:
            raise
        kernel_lacks(f"what the program {source.name} does", error.reason)


class Loaded(NamedTuple):
    """A program that is there."""

    source: Source
    fd: Fd
    info: ProgInfo
    path: str

    @property
    def id(self) -> int:
        return self.info.id


@contextmanager
def loaded(source: Source, directory: str, name: str = "") -> Iterator[Loaded]:
    """A program, pinned in ``directory``; ``name``: another than its own."""
    path = os.path.join(directory, f"p_{source.name}")
    with ExitStack() as stack:
        fd = load(source, stack, name)
        calls.obj_pin(fd, path)
        stack.callback(os.unlink, path)
        yield Loaded(source, fd, Prog(fd).info, path)
