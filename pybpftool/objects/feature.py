"""Ask the kernel which eBPF features it has.

Features are found out by trying them: tiny programs and maps are offered to the kernel, and none
of them stays.
"""

from __future__ import annotations

from ..command import IGNORE, Command, Many, Object, One, Place
from ..errors import BadData, KernelError, PybpftoolError, during

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

    from ..command import Call, Options, Record, Words
    from ..probe.run import Prober, Verdict

    Reasons = dict[str, str]
    """What could not be told: JSON key and why."""


# ------------------------------------------------------------------ one result, three spellings

_TITLES = {
    "bpf_syscall": "bpf() syscall",
    "large_insn_limit": "Large program size limit",
    "bounded_loops": "Bounded loop support",
    "v2_isa_extension": "ISA extension v2",
    "v3_isa_extension": "ISA extension v3",
    "v4_isa_extension": "ISA extension v4",
}


_KINDS = {
    "_prog_type": "program_type",
    "_map_type": "map_type",
    "_attach_type": "attach_type",
    "_link_type": "link_type",
    "_helper": "helper",
    "_kfunc": "kfunc",
}
"""How a JSON key ends -> what it is about."""


def _title(key: str) -> str:
    """The subject of a sentence about ``have_NAME_KIND``: ``eBPF program_type NAME``."""
    name = key.removeprefix("have_")
    for ending, kind in _KINDS.items():
        if name.endswith(ending):
            return f"eBPF {kind} {name.removesuffix(ending)}"
    return _TITLES.get(name, name)


def _sentence(key: str, known: bool | None, why: str) -> str:
    """A result for people."""
    if known is None:
        return f"{_title(key)} can't be probed: {why}\n"
    return f"{_title(key)} is {'' if known else 'NOT '}available\n"


def _define(key: str, known: bool | None, why: str, prefix: str) -> str:
    """A result for the C preprocessor."""
    name = key.upper()
    if known is None:
        return f"/* {prefix}{name} can't be probed: {why} */\n"
    return f"#define {prefix}{'' if known else 'NO_'}{name}\n"


_UNREADABLE, _OTHER = -1, None

_SYSCTLS: dict[str, dict[int | None, str]] = {
    "unprivileged_bpf_disabled": {
        0: "bpf() syscall for unprivileged users is enabled",
        1: "bpf() syscall restricted to privileged users (without recovery)",
        2: "bpf() syscall restricted to privileged users (admin can change)",
        _UNREADABLE: "Unable to retrieve required privileges for bpf() syscall",
        _OTHER: "bpf() syscall restriction has unknown value {}",
    },
    "bpf_jit_enable": {
        0: "JIT compiler is disabled",
        1: "JIT compiler is enabled",
        2: "JIT compiler is enabled with debugging traces in kernel logs",
        _UNREADABLE: "Unable to retrieve JIT-compiler status",
        _OTHER: "JIT-compiler status has unknown value {}",
    },
    "bpf_jit_harden": {
        0: "JIT compiler hardening is disabled",
        1: "JIT compiler hardening is enabled for unprivileged users",
        2: "JIT compiler hardening is enabled for all users",
        _UNREADABLE: "Unable to retrieve JIT hardening status",
        _OTHER: "JIT hardening status has unknown value {}",
    },
    "bpf_jit_kallsyms": {
        0: "JIT compiler kallsyms exports are disabled",
        1: "JIT compiler kallsyms exports are enabled for root",
        _UNREADABLE: "Unable to retrieve JIT kallsyms export status",
        _OTHER: "JIT kallsyms exports status has unknown value {}",
    },
    "bpf_jit_limit": {
        _UNREADABLE: "Unable to retrieve global memory limit for JIT compiler for unprivileged "
        "users",
        _OTHER: "Global memory limit for JIT compiler for unprivileged users is {} bytes",
    },
}
"""key -> the sentence for each value; None: for every other one."""


def _setting(key: str, value: Any) -> str:
    """A line of the system configuration."""
    if key in _SYSCTLS:
        texts = _SYSCTLS[key]
        return texts.get(value, texts[_OTHER]).format(value) + "\n"
    return f"{key} is not set\n" if value is None else f"{key} is set to {value}\n"


# ------------------------------------------------------------------ the whole, two layouts

_SECTIONS = {
    "system_config": ("system configuration", "Misc kernel config items"),
    "syscall_config": ("system call availability", "System call availability"),
    "program_types": ("eBPF program types", "eBPF program types"),
    "map_types": ("eBPF map types", "eBPF map types"),
    "helpers": ("eBPF helper functions", "eBPF helper functions"),
    "misc": ("miscellaneous eBPF features", "eBPF misc features"),
    "attach_types": ("eBPF attach types", "eBPF attach types"),
    "link_types": ("eBPF link types", "eBPF link types"),
}
"""JSON key -> what is scanned, and the comment over its macros."""

_HELPERS_OF = "_available_helpers"


def _listing(record: Record, reasons: Reasons) -> str:
    """All that was found, for people."""
    text = ""
    for section, found in record.items():
        text += f"Scanning {_SECTIONS[section][0]}...\n"
        for key, value in found.items():
            if section == "system_config":
                text += _setting(key, value)
            elif section == "helpers":
                text += _helpers(key.removesuffix(_HELPERS_OF), value, record["program_types"])
            else:
                text += _sentence(key, value, reasons.get(key, ""))
        text += "\n"
    return text


def _helpers(prog_type: str, names: list[str], prog_types: dict[str, bool | None]) -> str:
    text = f"eBPF helpers supported for program type {prog_type}:"
    text += "".join(f"\n\t- {name}" for name in names) + "\n"
    if not names:
        known = prog_types[f"have_{prog_type}_prog_type"]
        text += "\tProgram type not supported\n" if known is False else _UNDETERMINED
    return text


_UNDETERMINED = "\tCould not determine which helpers are available\n"

_HELPERS_HEAD = """\
/*
 * Use {0}HAVE_PROG_TYPE_HELPER(prog_type_name, helper_name)
 * to determine if <helper_name> is available for <prog_type_name>,
 * e.g.
 *	#if {0}HAVE_PROG_TYPE_HELPER(xdp, bpf_redirect)
 *		// do stuff with this helper
 *	#elif
 *		// use a workaround
 *	#endif
 */
#define {0}HAVE_PROG_TYPE_HELPER(prog_type, helper)	\\
	{0}BPF__PROG_TYPE_ ## prog_type ## __HELPER_ ## helper
"""


def _macros(record: Record, reasons: Reasons, prefix: str, helpers: list[str]) -> str:
    """All that was found, as C macros; ``helpers``: the names of those that were asked for."""
    text = ""
    for section, found in record.items():
        text += f"/*** {_SECTIONS[section][1]} ***/\n"
        if section == "helpers":
            text += _HELPERS_HEAD.format(prefix)
        for key, value in found.items():
            if section == "helpers":
                lead = f"#define {prefix}BPF__PROG_TYPE_{key.removesuffix(_HELPERS_OF)}__HELPER_"
                there = set(value)
                text += "".join(f"{lead}{name} {int(name in there)}\n" for name in helpers)
            elif section != "system_config":
                text += _define(key, value, reasons.get(key, ""), prefix)
            elif key == "CONFIG_HZ":
                text += (
                    f"/* {prefix}{key} is not set */\n"
                    if value is None
                    else f"#define {prefix}{key} {value}\n"
                )
        text += "\n"
    return text


# ------------------------------------------------------------------ probe


def probe(
    options: Options,
    component: int = 0,
    full: bool = False,
    unprivileged: bool = False,
    macros: bool = False,
    prefix: str = "",
) -> One:
    """Find out what the kernel, or the device NAME by offload, has of eBPF.

    ``full`` also asks for helpers whose mention the kernel writes to its log; ``unprivileged``
    asks as a user without privileges would; ``macros`` tells it to the C preprocessor, every
    name led by PREFIX.
    """
    from ..kernel.capabilities import for_bpf, held, without
    from ..probe.functions import helper_ids
    from ..probe.run import Prober

    needed = for_bpf()
    having = held(needed)
    if unprivileged:
        with without(having):
            record, reasons = _probed(Prober(ifindex=component, unprivileged=True), options, full)
    else:
        missing = [name for name in needed if name not in having]
        if missing:
            raise PybpftoolError(
                f"missing {', '.join(missing)}, required for full feature probing; "
                "run as root or use 'unprivileged'"
            )
        record, reasons = _probed(Prober(ifindex=component), options, full)

    def plain(record: Record) -> str:
        if macros:
            return _macros(record, reasons, prefix, _helper_names(helper_ids(full)))
        return _listing(record, reasons)

    return One(record, plain)


def _probed(prober: Prober, options: Options, full: bool) -> tuple[Record, Reasons]:
    """Every section, and why some questions have no answer."""
    from ..probe import functions, tables
    from ..probe.run import side_by_side

    record: Record = {}
    reasons: Reasons = {}
    verdict = prober.syscall()
    if not prober.ifindex:
        record["system_config"] = _system_config(options)
    record["syscall_config"] = {"have_bpf_syscall": verdict.known}
    if not verdict.known:
        return record, reasons
    prog_types, map_types = list(tables.PROG_TYPES), list(tables.MAP_TYPES)
    if prober.ifindex:
        prog_types, map_types = ["sched_cls", "xdp"], ["hash", "array"]

    questions: list[tuple[str, str, Callable[[str], Verdict], str]] = [
        *(("program_types", f"have_{w}_prog_type", prober.prog_type, w) for w in prog_types),
        *(("map_types", f"have_{w}_map_type", prober.map_type, w) for w in map_types),
        *(("misc", f"have_{w}", prober.misc, w) for w in tables.MISC),
    ]
    verdicts = side_by_side(lambda question: question[2](question[3]), questions)
    record.update({"program_types": {}, "map_types": {}, "helpers": {}, "misc": {}})
    for (section, key, _, _), verdict in zip(questions, verdicts, strict=True):
        record[section][key] = verdict.known
        if verdict.known is None:
            reasons[key] = verdict.why

    asked = [
        word
        for word in prog_types
        if record["program_types"][f"have_{word}_prog_type"] and word not in tables.BY_BTF
    ]
    ids = functions.helper_ids(full)
    found = side_by_side(lambda word: functions.helpers(prober, word, ids), asked)
    allowed = dict(zip(asked, found, strict=True))
    record["helpers"] = {
        f"{word}{_HELPERS_OF}": _helper_names(allowed.get(word, [])) for word in prog_types
    }
    return record, reasons


def _helper_names(ids: list[int]) -> list[str]:
    from ..kernel.words import HELPERS

    return [f"bpf_{HELPERS[number]}" for number in ids]


def _system_config(options: Options) -> Record:
    from ..probe import config, tables

    settings: Record = {}
    sysctls = config.sysctls()
    if sysctls is None:
        options.warn("/* procfs not mounted, skipping related probes */")
    else:
        settings.update(sysctls)
    try:
        settings.update(config.options(tables.OPTIONS))
    except PybpftoolError as error:
        options.warn(f"skipping kernel config, {error}")
    return settings


def _read_component(words: Words, call: Call) -> int:
    from ..kernel.netdev import ifindex

    device = "dev".startswith(words.take()) and not "kernel".startswith(words.last)
    if "component" in call.bound:
        raise PybpftoolError("component to probe already specified")
    if not device:
        return 0
    name = words.take()
    with during(f"unrecognized netdevice '{name}'"):
        return ifindex(name)


def _stray(word: str) -> str:
    return f"expected no more arguments, 'kernel', 'dev', 'macros' or 'prefix', got: '{word}'?"


def _read_macros(words: Words, call: Call) -> bool:
    if "macros" in call.bound:
        raise PybpftoolError(_stray(words.last))
    return True


def _read_prefix(words: Words, call: Call) -> str:
    if "macros" not in call.bound:
        raise PybpftoolError("'prefix' argument can only be use after 'macros'")
    if call.bound.get("prefix"):
        raise PybpftoolError("'prefix' already defined")
    return words.take()


# ------------------------------------------------------------------ probe, one thing


def probe_feature(options: Options, feature: tuple[str, str], type: str | None = None) -> One:
    """Find out one thing: a type, a helper function or a kernel function.

    The exit status is 0 where the kernel has it, 1 where it has not, 2 where that cannot be told.
    A helper or kfunc is asked for with every type of program, or with PROG_TYPE only.
    To ask for bpf_trace_printk, bpf_trace_vprintk or bpf_probe_write_user makes the kernel write
    a line to its log.
    """
    from ..probe.run import Prober

    kind, name = feature
    prober = Prober()
    if kind in ("helper", "kfunc"):
        return _function(prober, kind, name, type)
    if type is not None:
        raise PybpftoolError("'type' can only be used with 'helper' or 'kfunc'")
    verdict: Verdict = getattr(prober, kind)(name)
    key = f"have_{name}_{kind}"
    record: Record = {key: verdict.known}
    if verdict.known is None:
        record["reason"] = verdict.why
    return One(record, _sentence(key, verdict.known, verdict.why), status=_STATUS[verdict.known])


_STATUS: dict[bool | None, int] = {True: 0, False: 1, None: 2}


def _function(prober: Prober, kind: str, name: str, prog_type: str | None) -> One:
    """Whether a helper or a kfunc is there, and for which types of programs."""
    from ..probe import tables

    prog_types = [prog_type] if prog_type else tables.CALLERS
    verdicts = (_helper_for if kind == "helper" else _kfunc_for)(prober, name, prog_types)
    allowed = [word for word, verdict in verdicts.items() if verdict.known]
    unknown = {word: verdict.why for word, verdict in verdicts.items() if verdict.known is None}
    known = True if allowed else None if unknown else False
    key = f"have_{name}_{kind}"
    record: Record = {key: known, "program_types": allowed}
    if unknown:
        record["unknown_program_types"] = list(unknown)
    why = next(iter(unknown.values()), "")
    if known is None:
        record["reason"] = why
    text = _sentence(key, known, why)
    if known:
        text = f"{text[:-1]} for program type{'s' * (prog_type is None)} {', '.join(allowed)}\n"
    elif known is False and prog_type:
        text = f"{text[:-1]} for program type {prog_type}\n"
    return One(record, text, status=_STATUS[known])


def _helper_for(prober: Prober, name: str, prog_types: list[str]) -> dict[str, Verdict]:
    from ..kernel.words import HELPERS
    from ..probe import functions

    number = HELPERS.index(name.removeprefix("bpf_"))
    verdicts = functions.helper(prober, number, prog_types)
    absent = functions.ABSENT in verdicts.values()
    return dict.fromkeys(prog_types, functions.ABSENT) if absent else verdicts


def _kfunc_for(prober: Prober, name: str, prog_types: list[str]) -> dict[str, Verdict]:
    from ..btf.types import FUNC
    from ..probe import functions
    from ..probe.run import Verdict

    try:
        found = functions.find_type(name, FUNC)
    except KernelError as error:
        reason = f"can't look for the function: {error.reason}"
        return dict.fromkeys(prog_types, Verdict(None, reason))
    if found is None:
        return dict.fromkeys(prog_types, functions.ABSENT)
    number, module = found
    verdicts = functions.kfuncs(prober, [number], module, prog_types)
    if module:
        module.close()
    return {word: verdict for word, [verdict] in verdicts.items()}


def _read_feature(words: Words, call: Call) -> tuple[str, str]:
    from ..kernel import words as names

    tables = {
        "prog_type": names.PROG_TYPES,
        "map_type": names.MAP_TYPES,
        "attach_type": names.ATTACH_TYPES,
        "link_type": names.LINK_TYPES,
        "helper": names.HELPERS,
    }
    keyword = words.take()
    kind = next((each for each in (*tables, "kfunc") if each.startswith(keyword)), "")
    name = words.take()
    if kind == "kfunc":
        return kind, name
    plain = name.removeprefix("bpf_") if kind == "helper" else name
    if plain == "unspec" or plain not in tables[kind]:
        raise PybpftoolError(f"unrecognized {kind.replace('_', ' ')}: {name}")
    return kind, f"bpf_{plain}" if kind == "helper" else name


def _read_prog_type(words: Words, call: Call) -> str:
    from ..kernel.words import PROG_TYPES

    name = words.take()
    if name == "unspec" or name not in PROG_TYPES:
        raise PybpftoolError(f"unrecognized prog type: {name}")
    return name


# ------------------------------------------------------------------ probe, further sections


def probe_section(options: Options, section: str) -> One:
    """Find out what bpftool does not ask for: attach types, link types, kernel functions.

    The kfuncs are those that the BTF of the kernel and its modules marks, each with the types of
    programs that may call it.
    """
    from ..probe import tables
    from ..probe.run import Prober, side_by_side

    prober = Prober()
    if section == "kfuncs":
        records = _kfuncs(prober)
        if not records:
            options.warn("the BTF of this kernel marks no kfuncs")
        return One({section: records}, _kfunc_listing)
    words, ask = {
        "attach_types": (tables.ATTACH_TYPES, prober.attach_type),
        "link_types": (tables.LINK_TYPES, prober.link_type),
    }[section]
    found: dict[str, bool | None] = {}
    reasons: Reasons = {}
    for word, verdict in zip(words, side_by_side(ask, list(words)), strict=True):
        key = f"have_{word}_{section.removesuffix('s')}"
        found[key] = verdict.known
        reasons[key] = verdict.why
    return One({section: found}, lambda record: _listing(record, reasons))


def _kfuncs(prober: Prober) -> list[Record]:
    from ..probe import functions, tables

    records: list[Record] = []
    for name, marked in functions.marked_kfuncs():
        if not marked:
            continue
        module = functions.module_btf(name)
        found = functions.kfuncs(prober, list(marked), module, tables.CALLERS)
        if module:
            module.close()
        for at, kfunc in enumerate(marked.values()):
            allowed = [word for word in tables.CALLERS if found[word][at].known]
            records.append({"name": kfunc, "btf": name, "program_types": allowed})
    return records


def _kfunc_listing(record: Record) -> str:
    text = "Scanning eBPF kernel functions...\n"
    for each in record["kfuncs"]:
        module = "" if each["btf"] == "vmlinux" else f" [{each['btf']}]"
        text += f"{each['name']}{module}: {', '.join(each['program_types']) or '-'}\n"
    return text


def _read_section(words: Words, call: Call) -> str:
    word = words.take()
    return next(each for each in ("attach_types", "link_types", "kfuncs") if each.startswith(word))


# ------------------------------------------------------------------ diff


def diff(options: Options, old: Record, new: Record) -> Many:
    """Compare two documents that ``feature probe -j`` wrote: what is gained, lost or otherwise.

    The exit status is 0 whether or not they differ.
    """
    return Many(_changes(old, new), _change)


def _changes(old: Record, new: Record) -> Iterator[Record]:
    """Every difference, in the order of the old document; what only the new one has behind it."""
    for section in {**old, **new}:
        before, after = _flat(old, section), _flat(new, section)
        for name in {**before, **after}:
            was = before.get(name, _absent(old, section, name))
            now = after.get(name, _absent(new, section, name))
            if was == now:
                continue
            change = "changed"
            if isinstance(was, bool) and isinstance(now, bool):
                change = "gained" if now else "lost"
            yield {"change": change, "section": section, "name": name, "old": was, "new": now}


def _flat(document: Record, section: str) -> dict[str, Any]:
    """A section as name -> value; every helper of a list under a name of its own."""
    flat: dict[str, Any] = {}
    for key, value in document.get(section, {}).items():
        if isinstance(value, list):
            flat.update({f"{key.removesuffix(_HELPERS_OF)} {each}": True for each in value})
        else:
            flat[key] = value
    return flat


def _absent(document: Record, section: str, name: str) -> bool | None:
    """What it means that a document does not have a name: no where its list was made, else None.

    An older tool does not ask for what it does not know.
    """
    asked = name.partition(" ")[0] + _HELPERS_OF in document.get(section, {})
    return False if section == "helpers" and asked else None


def _change(record: Record) -> str:
    """A line of the comparison."""
    name = record["name"]
    unknown = "unknown"
    if record["section"] == "helpers":
        prog_type, _, helper = name.partition(" ")
        name = f"eBPF helper {helper} for program type {prog_type}"
    elif record["section"] == "system_config":
        unknown = "not set"
    else:
        name = _title(name)
    if record["change"] != "changed":
        return _printable(f"{'+' if record['change'] == 'gained' else '-'} {name}") + "\n"
    spelled = {"True": "available", "False": "NOT available", "None": unknown}
    old, new = (spelled.get(str(record[key]), str(record[key])) for key in ("old", "new"))
    return _printable(f"~ {name}: {old} -> {new}") + "\n"


def _printable(text: str) -> str:
    """A line with what comes from a file, and can't do anything to a terminal."""
    return text if text.isprintable() else ascii(text)[1:-1]


def _read_document(words: Words, call: Call) -> Record:
    import json

    path = words.take()
    try:
        with during(path), open(path, "rb") as file:
            document = json.loads(file.read(_LARGEST))
    except (ValueError, RecursionError) as error:
        raise BadData(f"{path}: no JSON document") from error
    if not isinstance(document, dict) or not all(isinstance(s, dict) for s in document.values()):
        raise BadData(f"{path}: not written by 'feature probe -j'")
    return document


_LARGEST = 16 << 20
"""Bytes of a document that are read; a true one has some 100 KiB."""


# ------------------------------------------------------------------ list_builtins


def list_builtins(options: Options, group: list[str]) -> Many:
    """List the names that this tool knows of, whether or not the kernel has what they name."""
    return Many(group, "{}\n".format)


def _read_group(words: Words, call: Call) -> list[str]:
    from ..kernel import words as names

    groups = {
        "prog_types": names.PROG_TYPES,
        "map_types": names.MAP_TYPES,
        "attach_types": names.ATTACH_TYPES,
        "link_types": names.LINK_TYPES,
        "helpers": names.HELPERS,
    }
    word = words.take()
    for name, table in groups.items():
        if name.startswith(word):
            return [f"bpf_{each}" for each in table] if name == "helpers" else table
    raise PybpftoolError(
        "expected 'prog_types', 'map_types', 'attach_types', 'link_types' or 'helpers', "
        f"got: {word}"
    )


# ------------------------------------------------------------------ rows

COMPONENT = Place("COMPONENT", _read_component, definition="{ kernel | dev NAME }")
GROUP = Place(
    "GROUP",
    _read_group,
    definition="{ prog_types | map_types | attach_types | link_types | helpers }",
)

FEATURE = Place(
    "FEATURE",
    _read_feature,
    definition="""\
{ prog_type TYPE | map_type TYPE | attach_type TYPE |
                    link_type TYPE | helper NAME | kfunc NAME }""",
)
SECTION = Place("SECTION", _read_section, definition="{ attach_types | link_types | kfuncs }")

OBJECT = Object(
    "feature",
    (
        Command(
            "probe [COMPONENT] [full] [unprivileged] [macros [prefix PREFIX]]",
            probe,
            (COMPONENT, Place("macros", _read_macros), Place("PREFIX", _read_prefix)),
            extra=_stray,
        ),
        Command(
            "probe FEATURE [type PROG_TYPE]",
            probe_feature,
            (FEATURE, Place("PROG_TYPE", _read_prog_type)),
        ),
        Command("probe SECTION", probe_section, (SECTION,)),
        Command(
            "diff OLD NEW",
            diff,
            (Place("OLD", _read_document), Place("NEW", _read_document)),
            words=(2,),
        ),
        Command("list_builtins GROUP", list_builtins, (GROUP,), words=1, extra=IGNORE),
        Command("help"),
    ),
    (COMPONENT, FEATURE, SECTION, GROUP),
    summary=__doc__ or "",
)
