"""What is known to differ between pybpftool and the reference, made alike before comparing.

Each normaliser is one function; its docstring is the reason.  Those of ``OLD`` are for references
older than the bpftool whose words are spoken here.  What differs for good and on purpose is not
made alike but listed in ``differences``.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Callable, Sequence

from pybpftool import CONTRACT
from pybpftool.kernel.words import MAP_TYPES
from tests.support.run import Ended

Pair = tuple[Ended, Ended]
Normaliser = Callable[[Sequence[str], Ended, Ended], Pair]

OLD_MAP_TYPES = MAP_TYPES.index("cgrp_storage")
"""The first type that bpftool 7.1 does not know."""

SPOKEN = tuple(int(number) for number in CONTRACT.split(".")[:2])


def normalised(
    words: Sequence[str], mine: Ended, theirs: Ended, version: tuple[int, ...]
) -> tuple[Ended, Ended]:
    """Two ends of a line without what is known to differ; ``version``: of the reference."""
    for normaliser in ALWAYS + (OLD if version < SPOKEN else []):
        mine, theirs = normaliser(words, mine, theirs)
    return mine, theirs


def _with(ended: Ended, **parts: object) -> Ended:
    changed = copy.copy(ended)
    for name, part in parts.items():
        setattr(changed, name, part)
    return changed


def is_json(words: Sequence[str]) -> bool:
    """Whether a line asks for JSON."""
    return any(re.fullmatch(r"-\w*[jp]\w*|--json|--pretty", word) for word in words)


# ------------------------------------------------------------------ every reference


def libbpf_texts(words: Sequence[str], mine: Ended, theirs: Ended) -> Pair:
    """libbpf says on stderr what it thinks of a failure; there is no libbpf here."""
    return mine, _with(theirs, err=re.sub(r"^libbpf: .*\n", "", theirs.err, flags=re.M))


def objects_of_the_top_help(words: Sequence[str], mine: Ended, theirs: Ended) -> Pair:
    """The top help lists the objects and options that there are, which are fewer here."""
    pattern = r"OBJECT := .*(\n.*)+ }\n"
    return _with(mine, err=re.sub(pattern, "", mine.err)), _with(
        theirs, err=re.sub(pattern, "", theirs.err)
    )


def stale_errno_of_batch(words: Sequence[str], mine: Ended, theirs: Ended) -> Pair:
    """A batch that went well: see "batch-end" in ``differences``."""
    pattern = r'Error: reading batch .*\n|,\{\s*"error": ?"reading batch file failed: [^"]*"\s*\}'
    if "batch" in words and mine.status == 0 and theirs.status == 255:
        theirs = _with(
            theirs,
            out=re.sub(pattern, "", theirs.out),
            err=re.sub(pattern, "", theirs.err),
            status=0,
        )
        mine = _with(mine, out=re.sub(r"processed \d+ commands\n\Z", "", mine.out))
    return mine, theirs


def durations(words: Sequence[str], mine: Ended, theirs: Ended) -> Pair:
    """The time that a program ran is another one each time."""
    pattern = r'(duration(?: \(average\))?"?: ?)\d+'
    return tuple(_with(end, out=re.sub(pattern, r"\g<1>0", end.out)) for end in (mine, theirs))  # type: ignore[return-value]  # two of two


def hints(words: Sequence[str], mine: Ended, theirs: Ended) -> Pair:
    """See "hints" in ``differences``."""
    return _with(mine, err=re.sub(r"^Hint: .*\n", "", mine.err, flags=re.M)), theirs


def help_of_prog(words: Sequence[str], mine: Ended, theirs: Ended) -> Pair:
    """The help of ``prog`` has ``top`` in it: only that it is shown is compared."""
    pattern = r"Usage: bpftool p\w* (.*\n)+"
    return _with(mine, err=re.sub(pattern, "(help)", mine.err)), _with(
        theirs, err=re.sub(pattern, "(help)", theirs.err)
    )


# ------------------------------------------------------------------ older references


def help_of_map(words: Sequence[str], mine: Ended, theirs: Ended) -> Pair:
    """The help of ``map`` grew options and map types since: only that it is shown is compared."""
    pattern = r"Usage: bpftool m\w* (.*\n)+"
    return _with(mine, err=re.sub(pattern, "(help)", mine.err)), _with(
        theirs, err=re.sub(pattern, "(help)", theirs.err)
    )


def pointers(words: Sequence[str], mine: Ended, theirs: Ended) -> Pair:
    """Pointers of the typed plain form had no quotes around them."""
    if not is_json(words):
        mine = _with(mine, out=re.sub(r'": "(0x[0-9a-f]+|\(nil\))"', r'": \1', mine.out))
    return mine, theirs


def backslashes(words: Sequence[str], mine: Ended, theirs: Ended) -> Pair:
    """A backslash in a JSON string came out as the escape of a line break."""
    return _with(mine, out=mine.out.replace("\\\\", "\\n")), theirs


def inner_map_ids(words: Sequence[str], mine: Ended, theirs: Ended) -> Pair:
    """The value of a map in a map was shown as its bytes only."""
    out = re.sub(
        r"inner_map_id:(\s)(\d+) \n",
        lambda found: f"value:{found[1]}{int(found[2]).to_bytes(4, 'little').hex(' ')}\n",
        mine.out,
    )
    return _with(mine, out=re.sub(r',\s*"inner_map_id": ?\d+', "", out)), theirs


def new_map_types(words: Sequence[str], mine: Ended, theirs: Ended) -> Pair:
    """The types of maps that came after the reference had only their numbers."""
    out = mine.out
    for number, word in enumerate(MAP_TYPES[OLD_MAP_TYPES:], OLD_MAP_TYPES):
        out = out.replace(f": {word}  ", f": type {number}  ")
        out = re.sub(rf'"type":( ?)"{word}"', rf'"type":\g<1>{number}', out)
    return _with(mine, out=out), theirs


def pins_not_looked_at(words: Sequence[str], mine: Ended, theirs: Ended) -> Pair:
    """A path to pin at was not looked at before: the kernel or mount refused it in other words."""
    exists = r"can't pin the object \((.*)\): File exists"
    absent = r"can't mount BPF file system .* mount --make-private (.*) failed: No such file .*tory"
    for pattern, words_now in (
        (exists, r"can't pin BPF object: path '\1' already exists"),
        (absent, r"can't pin BPF object: dir '\1' doesn't exist"),
    ):
        for stream in ("out", "err"):
            text, count = re.subn(pattern, words_now, getattr(theirs, stream))
            if count:
                theirs = _with(theirs, status=255, **{stream: text})
    return mine, theirs


def warnings_of_create(words: Sequence[str], mine: Ended, theirs: Ended) -> Pair:
    """``map create`` did not warn of a name cut short or of its old word for a device."""
    pattern = r"^Warning: (map name is longer|'bpftool map create).*\n(Going further.*\n)?"
    return _with(mine, err=re.sub(pattern, "", mine.err, flags=re.M)), theirs


ALWAYS: list[Normaliser] = [
    libbpf_texts,
    objects_of_the_top_help,
    stale_errno_of_batch,
    durations,
    hints,
    help_of_prog,
]
OLD: list[Normaliser] = [
    help_of_map,
    pointers,
    backslashes,
    inner_map_ids,
    new_map_types,
    pins_not_looked_at,
    warnings_of_create,
]
