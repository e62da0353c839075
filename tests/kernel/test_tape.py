"""The played kernel itself: it must not let an unexpected call pass."""

from __future__ import annotations

import errno
import struct

import pytest

from pybpftool.errors import KernelError
from pybpftool.kernel import calls, syscall
from pybpftool.kernel.handles import Map
from tests.support.tape import Kernel, Tape


def test_a_tape_holds_to_its_script() -> None:
    real = syscall.invoke
    other = pytest.raises(AssertionError, match="MAP_FREEZE was called where LINK_DETACH")
    with other, Tape(("LINK_DETACH", 0)):
        calls.map_freeze(3)
    with pytest.raises(AssertionError, match="never called: "), Tape(("LINK_DETACH", 0)):
        pass
    with pytest.raises(AssertionError, match="unexpected call of MAP_FREEZE"), Tape(LINK_DETACH=0):
        calls.map_freeze(3)
    assert syscall.invoke is real


def test_a_played_kernel_keeps_maps() -> None:
    entries = {struct.pack("=I", n): struct.pack("=I", n * n) for n in range(10)}
    with Kernel() as kernel:
        kernel.add_map(5, type=1, key_size=4, value_size=4, max_entries=11, entries=entries)
        with Map.by_id(5) as opened:
            walked, key = [], calls.map_next_key(opened, None, 4)
            while key is not None:
                walked.append(key)
                key = calls.map_next_key(opened, key, 4)
            assert walked == list(entries)
            keys, values, at = bytearray(32), bytearray(32), bytearray(4)
            assert calls.map_lookup_batch(opened, None, at, keys, values, 8) == (8, False)
            assert calls.map_lookup_batch(opened, at, at, keys, values, 8) == (2, True)
            assert calls.map_lookup(opened, b"none", 4) is None
            calls.map_update(opened, b"none", b"some")
            assert kernel.maps[5].entries[b"none"] == b"some"
            for key, flags, error in (
                (b"none", 1, errno.EEXIST),
                (b"more", 2, errno.ENOENT),
                (b"more", 0, errno.E2BIG),
            ):
                with pytest.raises(KernelError) as caught:
                    calls.map_update(opened, key, b"some", flags)
                assert caught.value.errno == error
            calls.map_delete(opened, b"none")
            with pytest.raises(KernelError):
                calls.map_delete(opened, b"none")
