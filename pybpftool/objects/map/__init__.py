"""Inspect and change BPF maps.

Maps are the kernel's stores of keys and values that BPF programs and processes share.  A map is
named by its id, by its name, or by a path of the bpf file system where it is pinned.
"""

from __future__ import annotations

from ...command import HELP, IGNORE, NEEDS, WHAT, Command, Object, Place, later
from ...errors import errno_status
from ...places import FILE, MAP, PROG, read_word

TYPE_CHECKING = False
if TYPE_CHECKING:
    from . import creating, elements, events, exchange, listing
else:  # one command needs one of them
    creating, elements, events, exchange, listing = later(
        __name__, "creating elements events exchange listing"
    )

_EINVAL = 22

DATA = Place("DATA", elements.read_key, definition="{ [hex] BYTES | JSON }", absent=elements.no_key)
KEY_TO_DELETE = Place(
    "DATA", elements.read_any_key, definition=DATA.definition, absent=elements.need_key
)
EVENT_MAP = Place("MAP", events.read_event_map)
VALUE = Place(
    "VALUE", elements.read_value, definition="{ DATA | MAP | PROG }", absent=elements.no_value
)
UPDATE_FLAGS = Place("UPDATE_FLAGS", elements.read_flags, definition="{ any | exist | noexist }")
TARGET = Place("TARGET", exchange.read_target, definition="{ MAP | PATH }")
OTHER = Place("OTHER", exchange.read_other, definition="{ MAP | file FILE }")
TYPE = Place(
    "TYPE",
    creating.read_type,
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
    Place("KEY_SIZE", lambda words, call: creating.read_size(words, call, "key size")),
    Place("VALUE_SIZE", lambda words, call: creating.read_size(words, call, "value size")),
    Place("MAX_ENTRIES", lambda words, call: creating.read_size(words, call, "max entries")),
    Place("name NAME", read_word),
    Place("FLAGS", lambda words, call: creating.read_size(words, call, "flags")),
    Place("MAP", creating.read_inner),
    Place("NAME", creating.read_device),
)

OBJECT = Object(
    "map",
    (
        Command(
            "{ show | list }   [MAP]",
            listing.show,
            (MAP,),
            words=(0, 2),
            wrong=WHAT,
            access="read each",
        ),
        Command(
            """\
create     FILE type TYPE key KEY_SIZE value VALUE_SIZE \\
                                  entries MAX_ENTRIES name NAME [flags FLAGS] \\
                                  [inner_map MAP] [offload_dev NAME]""",
            creating.create,
            _NEW_MAP,
            hidden="[dev NAME]",
            words=7,
            wrong=NEEDS,
            extra="unknown arg {}".format,
            pairs=True,
        ),
        Command(
            "dump       MAP [limit N] [recursive]",
            elements.dump,
            (MAP, Place("N", elements.read_limit)),
            words=(2, 3, 4, 5),
            extra=HELP,
            access="read each",
        ),
        Command(
            "update     MAP [key DATA] [value VALUE] [UPDATE_FLAGS]",
            elements.update,
            (MAP, DATA, VALUE, UPDATE_FLAGS),
            words=2,
            extra=elements.stray,
            access="write",
        ),
        Command(
            "lookup     MAP [key DATA]", elements.lookup, (MAP, DATA), words=2, extra=elements.stray
        ),
        Command(
            "getnext    MAP [key DATA]",
            elements.getnext,
            (MAP, Place("DATA", elements.read_any_key)),
            words=2,
            extra=elements.stray,
        ),
        Command(
            "delete     MAP  key DATA",
            elements.delete,
            (MAP, KEY_TO_DELETE),
            words=2,
            extra=elements.stray,
            access="write",
        ),
        Command(
            "pin        MAP  FILE",
            elements.pin,
            (MAP, FILE),
            words=3,
            wrong=NEEDS,
            status=errno_status(_EINVAL),
            extra=IGNORE,
        ),
        Command(
            "event_pipe MAP [cpu N index M] [type NAME [file FILE]]",
            events.event_pipe,
            (
                EVENT_MAP,
                Place("N", lambda words, call: events.read_index(words, "CPU ID")),
                Place("M", lambda words, call: events.read_index(words, "index")),
                Place("NAME", read_word),
                FILE,
            ),
            access="write",
        ),
        Command(
            "peek       MAP",
            elements.lookup,
            (MAP, DATA),
            hidden="[key DATA]",
            words=2,
            extra=elements.stray,
        ),
        Command(
            "push       MAP value VALUE",
            elements.update,
            (MAP, DATA, VALUE, UPDATE_FLAGS),
            hidden="[key DATA] [UPDATE_FLAGS]",
            words=2,
            extra=elements.stray,
            access="write",
        ),
        Command("pop        MAP", elements.pop, (MAP,), words=2, extra=IGNORE, access="write"),
        Command(
            "enqueue    MAP value VALUE",
            elements.update,
            (MAP, DATA, VALUE, UPDATE_FLAGS),
            hidden="[key DATA] [UPDATE_FLAGS]",
            words=2,
            extra=elements.stray,
            access="write",
        ),
        Command("dequeue    MAP", elements.pop, (MAP,), words=2, extra=IGNORE, access="write"),
        Command("freeze     MAP", elements.freeze, (MAP,), words=2, wrong=NEEDS, access="write"),
        Command("export     MAP [file FILE]", exchange.export, (MAP, FILE), words=2, wrong=NEEDS),
        Command(
            "import     TARGET file FILE [UPDATE_FLAGS] [dry_run]",
            exchange.import_,
            (TARGET, Place("FILE", read_word, absent=exchange.no_file), UPDATE_FLAGS),
            words=3,
            wrong=NEEDS,
            access="write",
        ),
        Command("diff       MAP OTHER", exchange.diff, (MAP, OTHER), words=4, wrong=NEEDS),
        Command(
            "watch      MAP [interval S]",
            exchange.watch,
            (MAP, Place("S", exchange.read_interval)),
            words=2,
            wrong=NEEDS,
        ),
        Command("help"),
    ),
    (MAP, DATA, PROG, VALUE, UPDATE_FLAGS, TARGET, OTHER, TYPE),
    options="{-f|--bpffs} | {-n|--nomount}",
    summary=__doc__ or "",
)
