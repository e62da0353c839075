"""Ask the kernel which eBPF features it has.

Features are found out by trying them: tiny programs and maps are offered to the kernel, and none
of them stays.
"""

from __future__ import annotations

from ..command import IGNORE, Command, Many, Object, One, Place
from ..errors import PybpftoolError, during

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
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


def _title(key: str) -> str:
    """The subject of a sentence about ``have_NAME_KIND``: ``eBPF program_type NAME``."""
    name = key.removeprefix("have_")
    for ending, kind in (("_prog_type", "program_type"), ("_map_type", "map_type")):
        if name.endswith(ending):
            return f"eBPF {kind} {name.removesuffix(ending)}"
    return _TITLES[name]


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
    verdicts = side_by_side([_bound(ask, word) for _, _, ask, word in questions])
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
    found = side_by_side([_bound(functions.helpers, prober, word, ids) for word in asked])
    allowed = dict(zip(asked, found, strict=True))
    record["helpers"] = {
        f"{word}{_HELPERS_OF}": _helper_names(allowed.get(word, [])) for word in prog_types
    }
    return record, reasons


def _bound(function: Callable[..., Any], *values: Any) -> Callable[[], Any]:
    return lambda: function(*values)


def _helper_names(ids: list[int]) -> list[str]:
    from ..kernel.words import helper_word

    return [helper_word(number) or f"bpf_unknown_{number}" for number in ids]


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

OBJECT = Object(
    "feature",
    (
        Command(
            "probe [COMPONENT] [full] [unprivileged] [macros [prefix PREFIX]]",
            probe,
            (COMPONENT, Place("macros", _read_macros), Place("PREFIX", _read_prefix)),
            extra=_stray,
        ),
        Command("list_builtins GROUP", list_builtins, (GROUP,), words=1, extra=IGNORE),
        Command("help"),
    ),
    (COMPONENT, GROUP),
    summary=__doc__ or "",
)
