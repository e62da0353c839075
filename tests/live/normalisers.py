"""What is known to differ between pybpftool and the reference, made alike before comparing.

Each normaliser is one function; its docstring is the reason.  Those of ``OLD`` are for references
older than the bpftool whose words are spoken here.  What differs for good and on purpose is not
made alike but listed in ``differences``.
"""

from __future__ import annotations

import copy
import datetime
import re
from collections.abc import Callable, Sequence

from pybpftool import CONTRACT
from pybpftool.kernel.words import HELPERS, MAP_TYPES, PROG_TYPES
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


def help_of_objects(words: Sequence[str], mine: Ended, theirs: Ended) -> Pair:
    """The help of an object has what only pybpftool can do (see "more-words" in
    ``differences``), and lacks what came after the reference: only that it is shown is compared.
    """
    pattern = r"Usage: bpftool \w+ (?!\[OPTIONS\])(.*\n)+"
    return _with(mine, err=re.sub(pattern, "(help)", mine.err)), _with(
        theirs, err=re.sub(pattern, "(help)", theirs.err)
    )


def moment_of_loading(words: Sequence[str], mine: Ended, theirs: Ended) -> Pair:
    """When a program was loaded is reckoned from two clocks anew: it may be a second off."""
    pattern = r'loaded_at (\S+)|"loaded_at": ?(\d+)'

    def seconds(found: re.Match[str]) -> float:
        return float(found[2]) if found[2] else _moment(found[1])

    pairs = zip(re.finditer(pattern, mine.out), re.finditer(pattern, theirs.out), strict=False)
    for ours, other in pairs:
        if abs(seconds(ours) - seconds(other)) == 1:
            theirs = _with(theirs, out=theirs.out.replace(other[0], ours[0], 1))
    return mine, theirs


def _moment(text: str) -> float:
    return datetime.datetime.strptime(text, "%Y-%m-%dT%H:%M:%S%z").timestamp()


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


def features_not_told(words: Sequence[str], mine: Ended, theirs: Ended) -> Pair:
    """Where nothing can be known bpftool says no: see "probe-cannot-tell" in ``differences``."""
    out = re.sub(r"^(.*) can't be probed: .*", r"\1 is NOT available", mine.out, flags=re.M)
    out = re.sub(r"^/\* (\w*?)(HAVE_\w+) is NOT available", r"#define \1NO_\2", out, flags=re.M)
    out = re.sub(r'("have_\w+"): ?null', lambda found: found[0].replace("null", "false"), out)
    for no, yes in (
        ("program_type tracing is NOT available", "program_type tracing is available"),
        ("NO_HAVE_TRACING_PROG_TYPE", "HAVE_TRACING_PROG_TYPE"),
        ('"have_tracing_prog_type":false', '"have_tracing_prog_type":true'),
        ('"have_tracing_prog_type": false', '"have_tracing_prog_type": true'),
    ):
        if no in theirs.out and no not in out:
            out = out.replace(yes, no)
    for word in ("tracing", "ext", "lsm"):
        title = f"eBPF helpers supported for program type {word}:\n\t"
        if f"{title}Program type not supported" in theirs.out:
            undetermined = f"{title}Could not determine which helpers are available"
            out = out.replace(undetermined, f"{title}Program type not supported")
    return _with(mine, out=out), theirs


def query_hint(words: Sequence[str], mine: Ended, theirs: Ended) -> Pair:
    """What bpftool says under a refused ``perf`` in its own way: see "hints" in ``differences``."""
    err = re.sub(r"^HINT: non root or kernel .*\n", "", theirs.err, flags=re.M)
    if err != theirs.err:
        mine = _with(mine, err=re.sub(r"^Hint: .*\n", "", mine.err, flags=re.M))
    return mine, _with(theirs, err=err)


def durations(words: Sequence[str], mine: Ended, theirs: Ended) -> Pair:
    """The time that a program ran is another one each time."""
    pattern = r'(duration(?: \(average\))?"?: ?)\d+'
    return tuple(_with(end, out=re.sub(pattern, r"\g<1>0", end.out)) for end in (mine, theirs))  # type: ignore[return-value]  # two of two


def hints(words: Sequence[str], mine: Ended, theirs: Ended) -> Pair:
    """See "hints" in ``differences``."""
    return _with(mine, err=re.sub(r"^Hint: .*\n", "", mine.err, flags=re.M)), theirs


# ------------------------------------------------------------------ older references


def orphans(words: Sequence[str], mine: Ended, theirs: Ended) -> Pair:
    """That the device of a program is gone was not told."""
    return _with(mine, out=re.sub(r'\s*"orphaned": ?false,', "", mine.out)), theirs


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


def _any(names: Sequence[str]) -> str:
    return f"(?:{'|'.join(names)})"


NEW_PROG_TYPES, NEW_HELPERS = _any(PROG_TYPES[32:]), _any(HELPERS[210:])
NEW_TYPES = _any([*PROG_TYPES[32:], *MAP_TYPES[OLD_MAP_TYPES:]])
OLD_COUNTS = {"prog_types": 32, "map_types": 32, "attach_types": 44, "link_types": 10}


def new_features(words: Sequence[str], mine: Ended, theirs: Ended) -> Pair:
    """Types, helpers and instructions that came after the reference are unknown to it."""
    if "feature" not in words:
        return mine, theirs
    out = mine.out
    if "list_builtins" in words and mine.status == 0:
        count = OLD_COUNTS.get(words[-1], 210)
        if is_json(words):
            out = ",".join(out.split(",")[:count]) + out[out.rindex('"') + 1 :]
        else:
            out = "".join(out.splitlines(keepends=True)[:count])
        return _with(mine, out=out), theirs
    for pattern in (
        rf"^eBPF (program|map)_type {NEW_TYPES} .*\n",
        rf"^eBPF helpers supported for program type {NEW_PROG_TYPES}:\n(\t.*\n)*",
        rf"^\t- bpf_{NEW_HELPERS}\n",
        r"^ISA extension v4 .*\n",
        rf"^#define \w*HAVE_{NEW_TYPES.upper()}_(PROG|MAP)_TYPE\n",
        rf"^#define \w*BPF__PROG_TYPE_{NEW_PROG_TYPES}__.*\n",
        rf"^#define \w*__HELPER_bpf_{NEW_HELPERS} [01]\n",
        r"^#define \w*HAVE_V4_ISA_EXTENSION\n",
        rf',\s*"have_{NEW_TYPES}_(prog|map)_type": ?\w+',
        rf',\s*"{NEW_PROG_TYPES}_available_helpers": ?\[[^]]*\]',
        rf',"bpf_{NEW_HELPERS}"',
        r',\s*"have_v4_isa_extension": ?\w+',
    ):
        out = re.sub(pattern, "", out, flags=re.M)
    return _with(mine, out=out), theirs


def options_of_old_kernels(words: Sequence[str], mine: Ended, theirs: Ended) -> Pair:
    """Two options that kernels no longer have were asked for."""
    pattern = r'^CONFIG_BPFILTER(_UMH)? .*\n|,\s*"CONFIG_BPFILTER(_UMH)?": ?(null|"\w+")'
    return mine, _with(theirs, out=re.sub(pattern, "", theirs.out, flags=re.M))


def helpers_of_newer_kernels(words: Sequence[str], mine: Ended, theirs: Ended) -> Pair:
    """Kernels refuse a helper in other words since: the reference took that for a yes.

    It is believed no more once it says that kprobe programs may write packets: then only those
    helpers are compared that pybpftool finds.
    """
    found = _helpers(mine.out)
    if "skb_store_bytes" not in _helpers(theirs.out).get("kprobe", ()):
        return mine, theirs
    prog_type = ""

    def keep(line: str) -> str:
        nonlocal prog_type
        if title := re.match(r"eBPF helpers supported for program type (\w+):", line):
            prog_type = title[1]
        elif entry := re.match(r"\t- bpf_(\w+)", line):
            return line if entry[1] in found.get(prog_type, ()) else ""
        elif macro := re.match(r"(#define .*BPF__PROG_TYPE_(\w+)__HELPER_bpf_(\w+)) 1$", line):
            return f"{macro[1]} {int(macro[3] in found.get(macro[2], ()))}\n"
        return line

    def array(match: re.Match[str]) -> str:
        names = re.findall(r'"bpf_(\w+)"', match[3])
        kept = [f'"bpf_{name}"' for name in names if name in found.get(match[2], ())]
        end = re.search(r"\s*$", match[3])
        return f"{match[1]}[{','.join(kept)}{end[0] if end and kept else ''}]"

    out = "".join(keep(line) for line in theirs.out.splitlines(keepends=True))
    return mine, _with(theirs, out=re.sub(_HELPERS_ARRAY, array, out))


_HELPERS_ARRAY = r'("(\w+)_available_helpers": ?)\[([^]]*)\]'


def _helpers(text: str) -> dict[str, set[str]]:
    """Program type -> helpers, from any form of ``feature probe``."""
    found: dict[str, set[str]] = {}
    for title, block in re.findall(
        r"^eBPF helpers supported for program type (\w+):\n((?:\t.*\n)*)", text, flags=re.M
    ):
        found[title] = set(re.findall(r"^\t- bpf_(\w+)$", block, flags=re.M))
    for _, title, block in re.findall(_HELPERS_ARRAY, text):
        found[title] = set(re.findall(r'"bpf_(\w+)"', block))
    for title, name in re.findall(r"BPF__PROG_TYPE_(\w+)__HELPER_bpf_(\w+) 1$", text, flags=re.M):
        found.setdefault(title, set()).add(name)
    return found


ALWAYS: list[Normaliser] = [
    libbpf_texts,
    objects_of_the_top_help,
    help_of_objects,
    moment_of_loading,
    stale_errno_of_batch,
    features_not_told,
    query_hint,
    durations,
    hints,
]
OLD: list[Normaliser] = [
    orphans,
    pointers,
    backslashes,
    inner_map_ids,
    new_map_types,
    pins_not_looked_at,
    warnings_of_create,
    new_features,
    options_of_old_kernels,
    helpers_of_newer_kernels,
]
