#!/usr/bin/env python3
"""Make a map whose keys and values have types, and pin it: ``typed_map.py /sys/fs/bpf/traffic``.

``map create`` on the command line makes maps without types, as bpftool does; types come from the
program a map belongs to.  Here they come from a BTF file, so that the dump has names to show.
"""

from __future__ import annotations

import sys

from traffic import BLOB, read_entries, read_types

from pybpftool.kernel.bpffs import pin
from pybpftool.kernel.calls import btf_load, map_create, map_update

HASH = 1  # BPF_MAP_TYPE_HASH (linux/bpf.h)

btf, key, value = read_types()

# The kernel gets the blob once and answers with a descriptor; a map then names that descriptor
# and two ids in it.  Both descriptors are closed at the end of the block, and the map lives on
# by its pin, the BTF by the map.
with (
    btf_load(BLOB) as types,
    map_create(
        HASH,
        btf.size_of(key),
        btf.size_of(value),
        1024,
        "traffic",
        btf_fd=types.fileno(),
        btf_key_type_id=key,
        btf_value_type_id=value,
    ) as created,
):
    for one_key, one_value in read_entries():
        map_update(created, one_key, one_value)
    pin(created, sys.argv[1])
