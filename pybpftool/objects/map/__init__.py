"""Inspect and change BPF maps.

Maps are the kernel's stores of keys and values that BPF programs and processes share.  A map is
named by its id, by its name, or by a path of the bpf file system where it is pinned.
"""

from __future__ import annotations

import errno

from ...command import HELP, IGNORE, NEEDS, WHAT, Command, Object, Place
from ...errors import errno_status
from ...places import FILE, MAP, PROG, read_word
from .creating import create, read_device, read_inner, read_type, sized
from .elements import (
    delete,
    dump,
    freeze,
    getnext,
    lookup,
    no_key,
    no_value,
    pin,
    pop,
    read_flags,
    read_key,
    read_limit,
    read_value,
    stray,
    update,
)
from .events import event_pipe, read_event_map, read_index
from .exchange import diff, export, import_, no_file, read_interval, read_other, read_target, watch
from .listing import show

DATA = Place("DATA", read_key, definition="{ [hex] BYTES | JSON }", absent=no_key)
EVENT_MAP = Place("MAP", read_event_map)
VALUE = Place("VALUE", read_value, definition="{ DATA | MAP | PROG }", absent=no_value)
UPDATE_FLAGS = Place("UPDATE_FLAGS", read_flags, definition="{ any | exist | noexist }")
TARGET = Place("TARGET", read_target, definition="{ MAP | PATH }")
OTHER = Place("OTHER", read_other, definition="{ MAP | file FILE }")
TYPE = Place(
    "TYPE",
    read_type,
    definition="""\
{ hash | array | prog_array | perf_event_array | percpu_hash |
                 percpu_array | stack_trace | cgroup_array | lru_hash |
                 lru_percpu_hash | lpm_trie | array_of_maps | hash_of_maps |
                 devmap | devmap_hash | sockmap | cpumap | xskmap | sockhash |
                 cgroup_storage | reuseport_sockarray | percpu_cgroup_storage |
                 queue | stack | sk_storage | struct_ops | ringbuf | inode_storage |
                 task_storage | bloom_filter | user_ringbuf | cgrp_storage | arena |
                 insn_array | rhash }""",
)
_NEW_MAP = (
    FILE,
    TYPE,
    Place("KEY_SIZE", sized("key size")),
    Place("VALUE_SIZE", sized("value size")),
    Place("MAX_ENTRIES", sized("max entries")),
    Place("name NAME", read_word),
    Place("FLAGS", sized("flags")),
    Place("MAP", read_inner),
    Place("NAME", read_device),
)

OBJECT = Object(
    "map",
    (
        Command(
            "{ show | list }   [MAP]", show, (MAP,), words=(0, 2), wrong=WHAT, access="read each"
        ),
        Command(
            """\
create     FILE type TYPE key KEY_SIZE value VALUE_SIZE \\
                                  entries MAX_ENTRIES name NAME [flags FLAGS] \\
                                  [inner_map MAP] [offload_dev NAME]""",
            create,
            _NEW_MAP,
            hidden="[dev NAME]",
            words=7,
            wrong=NEEDS,
            extra="unknown arg {}".format,
            pairs=True,
        ),
        Command(
            "dump       MAP [limit N] [recursive]",
            dump,
            (MAP, Place("N", read_limit)),
            words=(2, 3, 4, 5),
            extra=HELP,
            access="read each",
        ),
        Command(
            "update     MAP [key DATA] [value VALUE] [UPDATE_FLAGS]",
            update,
            (MAP, DATA, VALUE, UPDATE_FLAGS),
            words=2,
            extra=stray,
            access="write",
        ),
        Command("lookup     MAP [key DATA]", lookup, (MAP, DATA), words=2, extra=stray),
        Command(
            "getnext    MAP [key DATA]",
            getnext,
            (MAP, Place("DATA", read_key)),
            words=2,
            extra=stray,
        ),
        Command(
            "delete     MAP  key DATA", delete, (MAP, DATA), words=2, extra=stray, access="write"
        ),
        Command(
            "pin        MAP  FILE",
            pin,
            (MAP, FILE),
            words=3,
            wrong=NEEDS,
            status=errno_status(errno.EINVAL),
            extra=IGNORE,
        ),
        Command(
            "event_pipe MAP [cpu N index M] [type NAME [file FILE]]",
            event_pipe,
            (
                EVENT_MAP,
                Place("N", read_index("CPU ID")),
                Place("M", read_index("index")),
                Place("NAME", read_word),
                FILE,
            ),
            access="write",
        ),
        Command("peek       MAP", lookup, (MAP, DATA), hidden="[key DATA]", words=2, extra=stray),
        Command(
            "push       MAP value VALUE",
            update,
            (MAP, DATA, VALUE, UPDATE_FLAGS),
            hidden="[key DATA] [UPDATE_FLAGS]",
            words=2,
            extra=stray,
            access="write",
        ),
        Command("pop        MAP", pop, (MAP,), words=2, extra=IGNORE, access="write"),
        Command(
            "enqueue    MAP value VALUE",
            update,
            (MAP, DATA, VALUE, UPDATE_FLAGS),
            hidden="[key DATA] [UPDATE_FLAGS]",
            words=2,
            extra=stray,
            access="write",
        ),
        Command("dequeue    MAP", pop, (MAP,), words=2, extra=IGNORE, access="write"),
        Command("freeze     MAP", freeze, (MAP,), words=2, wrong=NEEDS, access="write"),
        Command("export     MAP [file FILE]", export, (MAP, FILE), words=2, wrong=NEEDS),
        Command(
            "import     TARGET file FILE [UPDATE_FLAGS] [dry_run]",
            import_,
            (TARGET, Place("FILE", read_word, absent=no_file), UPDATE_FLAGS),
            words=3,
            wrong=NEEDS,
            access="write",
        ),
        Command("diff       MAP OTHER", diff, (MAP, OTHER), words=4, wrong=NEEDS),
        Command(
            "watch      MAP [interval S]",
            watch,
            (MAP, Place("S", read_interval)),
            words=2,
            wrong=NEEDS,
        ),
        Command("help"),
    ),
    (MAP, DATA, PROG, VALUE, UPDATE_FLAGS, TARGET, OTHER, TYPE),
    options="{-f|--bpffs} | {-n|--nomount}",
    summary=__doc__ or "",
)
