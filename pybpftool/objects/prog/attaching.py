"""``prog pin``, ``attach`` and ``detach``: programs get a place."""

from __future__ import annotations

import errno

from ...command import NOTHING
from ...errors import KernelError, PybpftoolError, errno_status

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ...command import Call, One, Options, Words
    from ...kernel.handles import Map, Prog

INVALID = errno_status(errno.EINVAL)
"""Exit status of all that goes wrong here but a bad PROG or MAP."""

FLOW_DISSECTOR = 17

TYPES = {
    4: ("sk_skb_stream_parser", "stream_parser"),
    5: ("sk_skb_stream_verdict", "stream_verdict"),
    7: ("sk_msg_verdict", "msg_verdict"),
    FLOW_DISSECTOR: ("flow_dissector", ""),
    38: ("sk_skb_verdict", "skb_verdict"),
}
"""enum bpf_attach_type -> its word, and the older one, which alone may be abbreviated."""


def pin(options: Options, prog: Prog, file: str) -> One:
    """Pin a program to FILE, which must lie in a bpf file system."""
    from ...kernel import bpffs

    bpffs.pin(prog, file, options.nomount)
    return NOTHING


def attach(options: Options, prog: Prog, attach_type: int, map: Map | None = None) -> One:
    """Attach a program to a map of sockets, or a flow dissector to this network namespace.

    "detach" undoes it.
    """
    from ...kernel import calls

    try:
        calls.prog_attach(map or 0, prog, attach_type)
    except KernelError as error:
        raise _refused("failed prog attach to map", error) from error
    return NOTHING


def detach(options: Options, prog: Prog, attach_type: int, map: Map | None = None) -> One:
    """Take a program off a map, or a flow dissector off this network namespace."""
    from ...kernel import calls

    try:
        calls.prog_detach(map or 0, prog, attach_type)
    except KernelError as error:
        raise _refused("failed prog detach from map", error) from error
    return NOTHING


def _refused(what: str, error: KernelError) -> PybpftoolError:
    """bpftool's sentence has no reason in it, so the hint tells it."""
    return PybpftoolError(
        what, status=INVALID, hint=error.hint or f"the kernel says: {error.reason}"
    )


def read_type(words: Words, call: Call) -> int:
    """The attach type of the next word; sees to it that a MAP follows where one has to."""
    word = words.take()
    number = _number(word)
    if number == FLOW_DISSECTOR:
        words.rest()  # as bpftool does, which looks no further
    else:
        words.need(2, status=INVALID)
    return number


def _number(word: str) -> int:
    for number, (modern, older) in TYPES.items():
        if word == modern or (older and older.startswith(word)):
            return number
    raise PybpftoolError("invalid attach/detach type", status=INVALID)
