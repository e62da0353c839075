"""The options of spec 1.1: anywhere on the line, clustered, abbreviated.

Read here rather than by argparse or click, which cost several start-ups each and know neither
GNU's permutation nor the words bpftool answers with.
"""

from __future__ import annotations

import os

from ..command import COMPACT, PRETTY, WHEN, Options
from ..errors import Misuse, PybpftoolError, errno_status

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from ..output.emit import Console

_EINVAL = 22

LONG = {
    "json": "j",
    "help": "h",
    "pretty": "p",
    "version": "V",
    "bpffs": "f",
    "mapcompat": "m",
    "nomount": "n",
    "debug": "d",
    "use-loader": "L",
    "sign": "S",
    "base-btf": "B",
    "output": "o",
    "color": "color",
}
"""The letter of each option, or its own name where it has none."""
SHORT = frozenset("jhpVfmndLS")
WITH_VALUE = ("B", "k", "i", "o", "color")


def read(argv: list[str], console: Console) -> tuple[Options, list[str]]:
    """The options of a line and its other words.

    ``argv``: the whole line, the program's name first.  ``console`` learns of ``-j`` and ``-p``
    at once, for an error further right is told in that form already; of ``-o`` and ``--color`` as
    well.
    ``-h`` stops the reading and leaves ``help`` as the only word, ``-V`` leaves ``version``.
    Raises Misuse for an unknown option, PybpftoolError for a base BTF that cannot be read.
    """
    seen: dict[str, str] = {}
    base_btf = None

    def take(letter: str, value: str) -> bool:
        nonlocal base_btf
        seen[letter] = value
        if letter in ("j", "p"):
            console.form = PRETTY if "p" in seen else COMPACT
        elif letter == "B":
            from ..sources import base_btf as read_base

            base_btf = read_base(value)
        elif letter == "o":
            console.into(value)
        elif letter == "color":
            console.color = _when(value)
        return letter != "h"

    words = scan(argv, take)
    if "h" in seen:
        words = ["help"]
    else:
        _check_signing(seen)
        if "V" in seen:
            words = ["version"]
    return Options(
        form=console.form,
        bpffs="f" in seen,
        mapcompat="m" in seen,
        nomount="n" in seen,
        debug="d" in seen,
        use_loader="L" in seen or "S" in seen,
        base_btf=base_btf,
        prog=called(argv),
        warn=console.warn,
    ), words


def called(argv: Sequence[str]) -> str:
    """The name to go by in help texts: ``bpftool`` when started under that name."""
    return "bpftool" if os.path.basename(argv[0]) == "bpftool" else "pybpftool"


def scan(argv: list[str], took: Callable[[str, str], bool]) -> list[str]:
    """Hand each option to ``took(letter, value)``; gives the other words in order.

    ``took`` gives False to stop at once; then the words read so far are returned.
    Raises Misuse; ``POSIXLY_CORRECT`` in the environment stops at the first other word.
    """
    words: list[str] = []
    at = 1
    while at < len(argv):
        word = argv[at]
        if word == "--":
            return words + argv[at + 1 :]
        if not word.startswith("-") or word == "-":
            if "POSIXLY_CORRECT" in os.environ:
                return words + argv[at:]
            words.append(word)
            at += 1
            continue
        before = words[-1] if words else argv[at - 1]
        following = argv[at + 1] if at + 1 < len(argv) else None
        for letter, value, used in _options_of(word, following, before):
            at += used
            if not took(letter, value):
                return words
        at += 1
    return words


def _options_of(word: str, following: str | None, before: str) -> Iterator[tuple[str, str, int]]:
    """The options in one word: letter, value, and how many words more the value took.

    Lazily, for what stands left of a bad letter has its effect already (``-jx`` fails in JSON).
    ``before``: the word that GNU getopt stands on while it is inside a cluster; bpftool blames
    that one for a bad letter that is not the cluster's last (spec 1.1).
    """
    if word.startswith("--"):
        name, equals, value = word[2:].partition("=")
        letters = {LONG[name]} if name in LONG else {LONG[n] for n in LONG if n.startswith(name)}
        letter = letters.pop() if len(letters) == 1 else ""
        wants = letter in WITH_VALUE and not equals
        lacks = wants and following is None and letter != "color"  # _when has the better answer
        if not letter or (equals and letter not in WITH_VALUE) or lacks:
            raise Misuse(f"unrecognized option '{word}'")
        yield letter, following or "" if wants else value, int(wants)
        return
    for place, letter in enumerate(word[1:], 1):
        rest = word[place + 1 :]
        if letter in WITH_VALUE and (rest or following is not None):
            yield letter, rest or following or "", 0 if rest else 1
            return
        if letter not in SHORT:
            raise Misuse(f"unrecognized option '{before if rest else word}'")
        yield letter, "", 0


def _when(word: str) -> str:
    if word not in WHEN:
        given = f", not '{word}'" if word else ""
        raise PybpftoolError(f"--color takes {', '.join(WHEN[:-1])} or {WHEN[-1]}{given}")
    return word


def _check_signing(seen: dict[str, str]) -> None:
    """Hold the three options of signing together."""
    pair = "k" in seen and "i" in seen
    if "S" in seen and not pair:
        raise PybpftoolError(
            "-i <identity_x509_cert> and -k <private_key> must be supplied with -S for signing",
            status=errno_status(_EINVAL),
        )
    if "S" not in seen and ("k" in seen or "i" in seen):
        raise PybpftoolError(
            "--sign (or -S) must be explicitly passed with -i <identity_x509_cert> and "
            "-k <private_key> to sign the programs",
            status=errno_status(_EINVAL),
        )
