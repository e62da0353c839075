"""Inspect and change BPF programs.

Programs are what the kernel runs for whoever loaded them, when something happens.  A program is
named by its id, by its name, by its tag (a hash of its code), or by a path of the bpf file system
where it is pinned.
"""

from __future__ import annotations

from ...command import HELP, IGNORE, NEEDS, WHAT, Command, Object, Place
from ...errors import PybpftoolError, errno_status
from ...places import FILE, PROG
from . import attaching, dumping, listing

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ...command import Call, Words

_EINVAL = 22


def _read_path(words: Words, call: Call) -> str:
    if not len(words):
        raise PybpftoolError("expected file path")
    return words.take()


_IMAGE = Place("FILE", _read_path)

OBJECT = Object(
    "prog",
    (
        Command(
            "{ show | list } [PROG]",
            listing.show,
            (PROG,),
            words=(0, 2),
            wrong=WHAT,
            access="read each",
        ),
        Command(
            "dump xlated PROG [{ file FILE | [opcodes] [linum] [visual] }]",
            dumping.xlated,
            (PROG, _IMAGE),
            words=2,
            extra=HELP,
            access="read each",
        ),
        Command(
            "dump jited  PROG [{ file FILE | [opcodes] [linum] }]",
            dumping.jited,
            (PROG, _IMAGE),
            hidden="[visual]",
            words=2,
            extra=HELP,
            access="read each",
        ),
        Command("graph PROG [svg]", dumping.graph, (PROG,), words=2),
        Command(
            "pin   PROG FILE",
            attaching.pin,
            (PROG, FILE),
            words=3,
            wrong=NEEDS,
            status=errno_status(_EINVAL),
            extra=IGNORE,
        ),
        Command("help"),
    ),
    (PROG,),
    options="{-f|--bpffs} | {-n|--nomount}",
    summary=__doc__ or "",
)
