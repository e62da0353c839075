"""What the names of sections say."""

from __future__ import annotations

import pytest

from pybpftool.kernel.words import ATTACH_TYPES, PROG_TYPES
from pybpftool.loader.kinds import SLEEPABLE, XDP_FRAGS, kind_of, section_words, target_of

FREE, TARGET = False, True


@pytest.mark.parametrize(
    ("section", "prog_type", "attach_type", "flags", "has_target"),
    [
        ("xdp", "xdp", "xdp", 0, FREE),
        ("xdp.frags/devmap", "xdp", "xdp_devmap", XDP_FRAGS, FREE),
        ("tc", "sched_cls", "", 0, FREE),
        ("kprobe/vfs_read", "kprobe", "", 0, FREE),
        ("kprobe.multi/vfs_*", "kprobe", "trace_kprobe_multi", 0, FREE),
        ("uprobe.s//bin/sh:main", "kprobe", "", SLEEPABLE, FREE),
        ("tp.s/sched/sched_switch", "tracepoint", "", SLEEPABLE, FREE),
        ("raw_tp.s/sys_enter", "raw_tracepoint", "", SLEEPABLE, FREE),
        ("tp_btf.s/sys_enter", "tracing", "trace_raw_tp", SLEEPABLE, TARGET),
        ("fsession/vfs_read", "tracing", "trace_fsession", 0, TARGET),
        ("fsession.s/vfs_read", "tracing", "trace_fsession", SLEEPABLE, TARGET),
        ("fentry.multi/vfs_*", "tracing", "trace_fentry_multi", 0, FREE),
        ("fexit.multi.s/vfs_*", "tracing", "trace_fexit_multi", SLEEPABLE, FREE),
        ("fsession.multi/vfs_*", "tracing", "trace_fsession_multi", 0, FREE),
        ("lsm/file_open", "lsm", "lsm_mac", 0, TARGET),
        ("struct_ops.s/init", "struct_ops", "", SLEEPABLE, FREE),
    ],
)
def test_kinds(
    section: str, prog_type: str, attach_type: str, flags: int, has_target: bool
) -> None:
    kind = kind_of(section)
    assert kind is not None
    assert kind.prog_type == PROG_TYPES.index(prog_type)
    assert kind.attach_type == (ATTACH_TYPES.index(attach_type) if attach_type else 0)
    assert (kind.flags, kind.has_target) == (flags, has_target)


@pytest.mark.parametrize("section", ["", "xdpx", "xdp/x", "kprobes", "fentry.multix/a", ".text"])
def test_names_that_say_nothing(section: str) -> None:
    assert kind_of(section) is None


def test_every_row_is_found_by_its_own_name() -> None:
    for word in section_words():
        kind = kind_of(word.rstrip("+"))
        assert kind is not None
        assert (kind.word, kind.more) == (word.rstrip("+"), word.endswith("+"))


def test_target() -> None:
    assert target_of("tp/sched/sched_switch") == "sched/sched_switch"
    assert target_of("xdp") == ""
