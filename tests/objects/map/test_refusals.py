"""What ``map`` cannot do: wrong words of every command, and every way the kernel can refuse."""

from __future__ import annotations

import errno
import json
import os

import pytest

from tests.objects.map.machine import machine
from tests.support.run import Ended, pybpftool
from tests.support.tape import Kernel

WRONG = {
    "show what": "what is 'what'?",
    "show id 1 more": "what is 'id'?",
    "show id 99": "get map by id (99): No such file or directory",
    "show id 1x": "can't parse 1x as ID",
    "show nom x": "expected 'id', 'name' or 'pinned', got: 'nom'?",
    "show name nope": "no map has the name 'nope'",
    "show name sixteen_letters_": "can't parse name",
    "lookup id 1": "did not find key",
    "lookup name twin key 0 0 0 0": "several maps match this handle",
    "lookup id 1 key 1": "key expected 2 bytes got 1",
    "lookup id 1 key 1 x": "error parsing byte: x",
    "lookup id 1 key 1 1 key 1 1": "duplicate key",
    "lookup id 1 value 1 1": "unnecessary value",
    "lookup id 1 any": "flags specified multiple times: any",
    "lookup id 1 key 1 1 what": "expected key or value, got: what",
    "lookup id 2 key": "unnecessary key",
    "update id 1 key 1 1": "did not find value",
    "update id 1 value 1 1": "did not find key",
    "update id 1 key 1 1 value 1 1 any any": "flags specified multiple times: any",
    "update id 1 key 1 1 value 1 1 value 1 1": "duplicate value",
    "update id 1 key 1 1 value 1": "value expected 2 bytes got 1",
    "delete id 2": "did not find key",
    "delete id 1 key 1 1 value 1 1": "unnecessary value",
    "freeze id 1 more": "what is 'more'?",
    "freeze": "'freeze' needs at least 2 arguments, 0 found",
    "event_pipe": "expected 'id', 'name' or 'pinned', got: '(null)'?",
    "event_pipe id 1": "map is not a perf event array",
    "create f": "'create' needs at least 7 arguments, 1 found",
    "create f type hash key 4 value 4 entries": "'4' needs at least 2 arguments, 1 found",
    "create f type hash key 4 value 4": "map name not specified",
    "create f type hush key 4 value 4": "unrecognized map type: hush",
    "create f type 1 key 4 value 4": "unrecognized map type: 1",
    "create f type hash type hash key 4": "map type already specified",
    "create f key 4 key 4 value 4": "key size already specified",
    "create f value 4 value 4 key 4": "value size already specified",
    "create f entries 4 entries 4 key 4": "max entries already specified",
    "create f flags 4 flags 4 key 4": "flags already specified",
    "create f key 4x key 4 value 4": "can't parse 4x as key size",
    "create f flags x key 4 value 4": "can't parse x as flags",
    "create f what hash key 4 value 4": "unknown arg what",
    "create f offload_dev nope0 key 4 value 4": "unrecognized netdevice 'nope0': No such device",
}


@pytest.mark.parametrize("words", WRONG)
def test_wrong_words(kernel: Kernel, words: str) -> None:
    message = WRONG[words]
    assert pybpftool("map", *words.split()) == Ended(b"", f"Error: {message}\n".encode(), 255)
    assert pybpftool("-j", "map", *words.split()).json == {"error": message}


def test_nothing_changed_by_wrong_words(kernel: Kernel) -> None:
    before = dict(kernel.maps[1].entries)
    for words in WRONG:
        pybpftool("map", *words.split())
    assert kernel.maps[1].entries == before
    assert "MAP_UPDATE_ELEM" not in kernel.calls
    assert "MAP_CREATE" not in kernel.calls


@pytest.mark.parametrize(
    "words",
    ["dump", "dump id", "dump id 1 more", "update id", "lookup", "delete x", "pop x", "peek"],
)
def test_too_few_words_show_the_help(kernel: Kernel, words: str) -> None:
    ended = pybpftool("map", *words.split())
    assert ended.err.startswith("Usage: pybpftool map { show | list }   [MAP]\n")
    assert (ended.out, ended.status) == ("", 255)
    assert pybpftool("-j", "map", *words.split()) == Ended(b"null\n", b"", 255)


@pytest.mark.parametrize(
    ("rules", "words", "message", "status"),
    [
        ({"MAP_FREEZE": -errno.EPERM}, "freeze id 1", "failed to freeze map", 255),
        ({"MAP_FREEZE": -errno.EBUSY}, "freeze id 1", "failed to freeze map", 240),
        ({"MAP_LOOKUP_ELEM": -524}, "lookup id 1 key 0 0", "lookup failed", 244),
        ({"MAP_UPDATE_ELEM": -errno.E2BIG}, "update id 1 key 0 0 value 0 0", "update failed", 249),
        ({"MAP_DELETE_ELEM": -errno.EINVAL}, "delete id 1 key 0 0", "delete failed", 234),
        ({"MAP_LOOKUP_AND_DELETE_ELEM": -524}, "pop id 2", "pop failed", 244),
        ({"MAP_GET_NEXT_KEY": -errno.EINVAL}, "getnext id 1", "can't get next key", 234),
        ({"MAP_GET_NEXT_KEY": -errno.EIO}, "dump id 2", "can't dump queue map", 251),
        ({"OBJ_GET_INFO_BY_FD": -errno.EFAULT}, "show id 1", "can't get map info", 255),
        ({"MAP_GET_FD_BY_ID": -errno.EACCES}, "show id 1", "get map by id (1)", 255),
        (
            {"MAP_CREATE": -errno.EINVAL},
            "create f type hash name a key 4",
            "map create failed",
            255,
        ),
    ],
)
def test_refused_by_the_kernel(
    rules: dict[str, int], words: str, message: str, status: int
) -> None:
    with machine(**rules):
        ended = pybpftool("map", *words.split())
        reason = os.strerror(-next(iter(rules.values())))
        assert ended.err.startswith(f"Error: {message}: {reason}\n")
        assert (ended.out, ended.status) == ("", status)
        errors = json.dumps(pybpftool("-j", "map", *words.split()).json)
        assert f"{message}: {reason}" in errors
