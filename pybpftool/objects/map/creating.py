"""Making maps, and the words that say what kind."""

from __future__ import annotations

import os

from ...command import NOTHING, One
from ...errors import Misuse, PybpftoolError, during
from ...places import read_number
from .elements import read_map

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ...command import Call, Options, Words
    from ...kernel.handles import Map


NAME_MAX = 15
"""Bytes of a map's name: BPF_OBJ_NAME_LEN less its NUL (uapi/linux/bpf.h)."""


def create(
    options: Options,
    file: str,
    name: str | None = None,
    type: int = 0,
    key: int = 0,
    value: int = 0,
    entries: int = 0,
    flags: int = 0,
    inner_map: Map | None = None,
    offload_dev: int = 0,
    dev: int = 0,
) -> One:
    """Create a new map and pin it to FILE.

    The bpf file system is mounted over the directory of FILE if it is none, unless -n forbids.
    """
    from ...kernel import bpffs, calls

    if name is None:
        raise PybpftoolError("map name not specified")
    raw = os.fsencode(name)
    if len(raw) > NAME_MAX:
        options.warn(
            f"Warning: map name is longer than {NAME_MAX} characters, it will be truncated."
        )
    with during("map create failed"):
        created = calls.map_create(
            type,
            key,
            value,
            entries,
            raw[:NAME_MAX],
            flags,
            inner_map_fd=inner_map.fileno() if inner_map else 0,
            map_ifindex=offload_dev or dev,
        )
    with created:
        bpffs.pin(created, file, options.nomount)
    return NOTHING


def read_type(words: Words, call: Call) -> int:
    from ...kernel.words import MAP_TYPES, number

    if call.bound.get("type"):
        raise PybpftoolError("map type already specified")
    word = words.take()
    found = number(MAP_TYPES, word)
    if found is None:
        raise PybpftoolError(f"unrecognized map type: {word}")
    return found


def read_size(words: Words, call: Call, what: str) -> int:
    """One of create's numbers, which must not be given twice."""
    if call.bound.get(call.keyword):
        raise PybpftoolError(f"{what} already specified")
    return read_number(words, what)


def read_device(words: Words, call: Call) -> int:
    from ...kernel.netdev import ifindex

    if call.keyword == "dev":
        options = call.options
        options.warn(
            f"Warning: '{options.prog} map create [...] dev <ifname>' syntax is deprecated.\n"
            "Going further, please use 'offload_dev <ifname>' to request hardware offload for "
            "the map."
        )
    if call.bound.get("dev") or call.bound.get("offload_dev"):
        raise PybpftoolError("offload device already specified")
    word = words.take()
    with during(f"unrecognized netdevice '{word}'"):
        return ifindex(word)


def read_inner(words: Words, call: Call) -> Map:
    if len(words) < 2:
        raise Misuse(f"'{words.last}' needs at least 2 arguments, {len(words)} found")
    return read_map(words, call)
