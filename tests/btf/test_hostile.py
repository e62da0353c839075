"""Whatever the bytes: BTF is read, checked and dumped, or refused in a sentence; soon, and in
little memory."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pybpftool.btf.ctext import header
from pybpftool.btf.raw import rows
from pybpftool.btf.reader import read_btf
from pybpftool.command import COMPACT, PLAIN
from pybpftool.errors import BadData
from tests.btf.test_raw import every_kind
from tests.support.btf_builder import BtfBuilder

MOST = 1 << 22
"""Characters that BTFs of a few hundred bytes may come to; the gaps in structs are the most."""


def everything(blob: bytes) -> int:
    """Read, check and dump; gives the number of characters written, 0 where it is refused."""
    try:
        btf = read_btf(blob)
        btf.check()
    except BadData as error:
        assert "\n" not in str(error)
        return 0
    written = 0
    for dump in (
        rows(btf, PLAIN, 0),
        rows(btf, COMPACT, 2),
        header(btf),
        header(btf, unsorted=True),
    ):
        written += _written(dump)
    return written


def _written(dump: Iterator[str]) -> int:
    written = 0
    try:
        for piece in itertools.islice(dump, 100_000):
            written += len(piece)
    except BadData as error:
        assert "\n" not in str(error)
    return written


@pytest.fixture(scope="module")
def sound() -> bytes:
    return every_kind().blob()


def test_sound(sound: bytes) -> None:
    assert everything(sound) > 1000


def test_every_byte_wrong(sound: bytes) -> None:
    """Each byte in turn with its bits turned, and with 0 and 255 in its place."""
    for at in range(len(sound)):
        for value in {sound[at] ^ 0xFF, sound[at] ^ 1, 0, 255} - {sound[at]}:
            assert everything(sound[:at] + bytes([value]) + sound[at + 1 :]) < MOST


def test_every_length(sound: bytes) -> None:
    for length in range(len(sound)):
        assert everything(sound[:length]) == 0


words = st.integers(0, 30) | st.sampled_from([0xFFFFFFFF, 1 << 31, 1 << 24, 0xFFFFFF, 1 << 16])


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_types_of_random_words(data: st.DataObject) -> None:
    b = BtfBuilder()
    b.int()
    for _ in range(data.draw(st.integers(1, 12))):
        kind = data.draw(st.integers(1, 19))
        vlen = data.draw(st.integers(0, 4))
        length = (0, 1, 0, 3, 3, 3, 2, 0, 0, 0, 0, 0, 0, 2, 1, 3, 0, 1, 0, 3)[kind]
        count = length * (vlen if kind in (4, 5, 6, 13, 15, 19) else 1)
        rest = [data.draw(words) for _ in range(count)]
        name = data.draw(st.sampled_from(["", "a", "b"]))
        flag = data.draw(st.integers(0, 1))
        b.add(kind, name, data.draw(words), *rest, vlen=vlen, kind_flag=flag)
    assert everything(b.blob()) < MOST


def test_kernel_flipped() -> None:
    """A few thousand types, some of their bytes changed at random."""
    b = BtfBuilder()
    b.int()
    for number in range(1500):
        s = b.struct(f"s{number}", 8, [("a", 1, 0), ("b", max(1, b.next_id - 5), 32)])
        b.typedef(f"t{number}", s)
    blob = b.blob()
    chance = random.Random(2)
    for _ in range(60):
        worse = bytearray(blob)
        for _ in range(chance.randint(1, 4)):
            worse[chance.randrange(24, len(worse))] = chance.randrange(256)
        everything(bytes(worse))
