"""``map create`` and ``map pin``."""

from __future__ import annotations

import os

import pytest

from pybpftool.kernel import bpffs
from tests.objects.map.machine import HASH
from tests.support.run import Ended, pybpftool
from tests.support.tape import Kernel


@pytest.fixture
def pinned(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, bool]]:
    """The paths that were pinned, and whether mounting was forbidden."""
    done: list[tuple[str, bool]] = []
    monkeypatch.setattr(bpffs, "pin", lambda fd, path, nomount: done.append((path, nomount)))
    return done


def test_create_in_any_order(kernel: Kernel, pinned: list[tuple[str, bool]]) -> None:
    words = "create /f n new_map f 1 e 0x10 v 8 k 4 t hash".split()
    assert pybpftool("map", *words) == Ended(b"", b"", 0)
    made = kernel.maps[7].info
    assert made["name"] == b"new_map"
    assert [made[n] for n in ("type", "key_size", "value_size", "max_entries", "map_flags")] == [
        HASH,
        4,
        8,
        16,
        1,
    ]
    assert pinned == [("/f", False)]
    assert pybpftool("-jn", "map", *words).out == "null\n"
    assert pinned[1:] == [("/f", True)]


def test_long_names_are_cut_and_said_to_be(kernel: Kernel, pinned: list[tuple[str, bool]]) -> None:
    words = "create /f type hash key 4 value 4 entries 1 name a_name_of_20_letters".split()
    ended = pybpftool("map", *words)
    assert ended.err == ("Warning: map name is longer than 15 characters, it will be truncated.\n")
    assert kernel.maps[7].info["name"] == b"a_name_of_20_le"
    assert pybpftool("-j", "map", *words).err == ""


def test_old_word_for_a_device(kernel: Kernel, pinned: list[tuple[str, bool]]) -> None:
    words = "create /f type hash key 4 value 4 entries 1 name a dev lo".split()
    assert "syntax is deprecated" in pybpftool("map", *words).err
    both = [*words, "offload_dev", "lo"]
    assert pybpftool("-j", "map", *both).json == {"error": "offload device already specified"}


def test_inner_map_without_words_adds_the_help(kernel: Kernel) -> None:
    ended = pybpftool("map", *"create f type hash name x value 4 inner_map id".split())
    assert ended.err.startswith("Error: 'inner_map' needs at least 2 arguments, 1 found\nUsage: ")
    assert ended.status == 255


def test_pin_ignores_further_words(kernel: Kernel, pinned: list[tuple[str, bool]]) -> None:
    assert pybpftool("map", "pin", "id", "1", "/f", "more") == Ended(b"", b"", 0)
    assert pinned == [("/f", False)]


def test_pin_counts_its_words_with_a_status_of_its_own(kernel: Kernel) -> None:
    ended = pybpftool("map", "pin", "id", "1")
    assert ended == Ended(b"", b"Error: 'pin' needs at least 3 arguments, 2 found\n", 234)


def test_a_failed_pin_leaves_no_descriptor(kernel: Kernel, monkeypatch: pytest.MonkeyPatch) -> None:
    before = set(os.listdir("/proc/self/fd"))
    ended = pybpftool("map", *"create /nonexistent/f type hash key 4 value 4 name a".split())
    assert ended.err == "Error: can't pin BPF object: dir '/nonexistent' doesn't exist\n"
    assert ended.status == 255
    assert set(os.listdir("/proc/self/fd")) <= before
