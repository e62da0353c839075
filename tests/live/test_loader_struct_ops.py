"""A congestion control of TCP made of programs: laid into the kernel's struct, and taken by it."""

from __future__ import annotations

import struct

from pybpftool.btf.reader import read_btf
from pybpftool.errors import KernelError
from pybpftool.insn.asm import exit_, mov64_imm
from pybpftool.insn.code import encode
from pybpftool.kernel import calls, words
from pybpftool.loader.features import knows
from pybpftool.loader.sanitize import sanitize
from pybpftool.loader.struct_ops import lay
from pybpftool.sources import kernel_btf
from tests.support.btf_builder import BtfBuilder
from tests.support.need import kernel_lacks

NAME = b"pybpftool_lay"


def test_a_congestion_control_is_registered() -> None:
    b = BtfBuilder()
    number = b.int("unsigned int", encoding=0)
    callback = b.ptr(b.func_proto(number))
    members = [
        ("undo_cwnd", callback, 0),
        ("ssthresh", callback, 64),
        ("cong_avoid", b.ptr(b.func_proto(0)), 128),
        ("a_member_of_tomorrow", number, 192),
        ("flags", number, 224),
        ("name", b.array(b.char(), 16), 256),
    ]
    id = b.struct("tcp_congestion_ops___test", 48, members)
    data = struct.pack("=24xII16s", 0, 0, NAME)
    local = read_btf(b.blob())
    programs = {0: "undo", 8: "ssthresh", 16: "avoid"}
    laid = lay(local, id, data, programs, kernel_btf(), name="ours")
    assert {each.program for each in laid.callbacks} == set(programs.values())
    code = encode([mov64_imm(0, 2), exit_()])
    key = bytes(4)
    with calls.btf_load(sanitize(local, knows)) as btf:
        try:
            map = calls.map_create(
                words.MAP_TYPES.index("struct_ops"),
                4,
                len(laid.value),
                1,
                btf_fd=btf.fileno(),
                btf_vmlinux_value_type_id=laid.value_type_id,
            )
        except KernelError as error:
            kernel_lacks("struct_ops", error)
    loaded = []
    with map:
        for each in laid.callbacks:
            prog = calls.prog_load(
                words.PROG_TYPES.index("struct_ops"),
                code,
                name=each.program,
                attach_btf_id=laid.type_id,
                expected_attach_type=each.index,
            )
            loaded.append(prog)
            struct.pack_into("=Q", laid.value, each.offset, prog.fileno())
        calls.map_update(map, key, laid.value)
        try:
            with open("/proc/sys/net/ipv4/tcp_available_congestion_control", "rb") as file:
                assert NAME in file.read().split()
        finally:
            calls.map_delete(map, key)
    for prog in loaded:
        prog.close()
