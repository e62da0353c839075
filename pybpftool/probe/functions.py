"""Which functions of the kernel (helpers, kfuncs) programs of each type may call.

A program calls the function without regard for its arguments and then reads a register that no
call leaves behind.  So no kernel ever loads it, and nothing has to be taken away again; but the
verifier looks at the call first and says whether the function may be called at all.
"""

from __future__ import annotations

from ..kernel.words import HELPERS, PROG_TYPES
from . import tables
from .run import NO, YES, Loader, insn, numbers

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .run import Prober, Verdict

_CALL, _MOV_X, _EXIT = 0x85, 0xBF, 0x95

_NO_HELPER = (
    b"invalid func ",
    b"unknown func ",
    b"program of this type cannot use helper ",
)
_NO_OFFLOAD = (b"not supported by FW", b"unsupported function id")
"""What the verifier and the drivers of devices say to a helper that is not for this program."""


def helper_ids(full: bool) -> list[int]:
    """The helpers to ask for; ``full``: also those whose mention the kernel writes to its log."""
    return [
        number
        for number, word in enumerate(HELPERS)
        if number and (full or word not in tables.NOISY)
    ]


def helpers(prober: Prober, prog_type: str, ids: list[int]) -> list[int]:
    """Those of the helpers ``ids`` that programs of ``prog_type`` may call."""
    loader = _caller(prober, prog_type)
    return [number for number in ids if helper(prober, loader, number).known]


def helper(prober: Prober, loader: Loader, number: int) -> Verdict:
    """Whether the programs of ``loader`` may call a helper."""
    result, log = loader.offer(number)
    reasons = _NO_HELPER + _NO_OFFLOAD if prober.ifindex else _NO_HELPER
    if any(reason in log for reason in reasons):
        return NO
    # without a word of the verifier the program did not even get to it
    return YES if log else prober.judge(result)


def _caller(prober: Prober, prog_type: str, fields: dict[str, int] | None = None) -> Loader:
    if fields is None:
        fields = {} if prober.ifindex else numbers(tables.PROG_TYPES[prog_type].fields)
    code = insn(_CALL) + insn(_MOV_X, src=1) + insn(_EXIT)
    number = PROG_TYPES.index(prog_type)
    return Loader(number, code, {**fields, "prog_ifindex": prober.ifindex})
