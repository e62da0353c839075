"""Inspect BTF, the types of the kernel and of BPF programs and maps.

BTF (BPF Type Format) describes C types.  The kernel has its own, that of its modules, and that of
loaded programs and maps; object files have it in their .BTF section.
"""

from __future__ import annotations

from ..command import COMPACT, NEEDS, PLAIN, WHAT, Bulk, Command, Many, Object, One, Place
from ..errors import BadData, KernelError, Misuse, PybpftoolError, during, errno_status
from ..number import strtoul32
from ..output.json_writer import closing, newline, quote
from ..places import MAP, PROG, read_number, read_word

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ..btf.spec import Btf
    from ..command import Call, Options, Record, Words
    from ..kernel import handles

_ENOENT, _E2BIG, _EINVAL, _ENOTSUP = 2, 7, 22, 95
MOST_ROOTS, MOST_FILES = 16, 64
"""Root ids and files of one dump."""


# ------------------------------------------------------------------ show


def show(options: Options, id: handles.Btf | None = None) -> Many | One:
    """Show the BTF objects that the kernel holds, and which programs and maps use them.

    Without id every one of the system is listed, in the order of ids.
    """
    from ..kernel import handles
    from ..kernel.bpffs import multimap
    from ..kernel.calls import BPF_F_RDONLY
    from ..kernel.holders import holders

    progs = multimap(
        (prog.info.btf_id, prog.info.id) for prog in handles.Prog.listed() if prog.info.btf_id
    )
    maps = multimap(
        (map.info.btf_id, map.info.id)
        for map in handles.Map.listed(BPF_F_RDONLY)
        if map.info.btf_id
    )
    held = holders("btf")

    def record(opened: handles.Btf) -> Record:
        info = opened.info
        found: Record = {
            "id": info.id,
            "size": info.btf_size,
            "prog_ids": progs.get(info.id, []),
            "map_ids": maps.get(info.id, []),
        }
        if info.id in held:
            found["pids"] = [{"pid": pid, "comm": comm} for pid, comm in held[info.id]]
        found["kernel"] = bool(info.kernel_btf)
        if info.name:
            found["name"] = info.name
        return found

    if id is not None:
        with id:
            return One(record(id), _listing)
    return Many((record(opened) for opened in handles.Btf.listed()), _listing)


def _listing(record: Record) -> str:
    name = record.get("name", "<anon>")
    text = f"{record['id']}: name {f'[{name}]' if record['kernel'] else name}"
    text += f"  size {record['size']}B"
    for key in ("prog_ids", "map_ids"):
        if record[key]:
            text += f"  {key} {','.join(map(str, record[key]))}"
    if "pids" in record:
        text += "\n\tpids " + ", ".join(f"{p['comm']}({p['pid']})" for p in record["pids"])
    return text + "\n"


def _read_id(words: Words, call: Call) -> handles.Btf:
    from ..kernel.handles import Btf

    return Btf.by_id(read_number(words, "ID"))


# ------------------------------------------------------------------ where BTF is taken from


class Source:
    """A BTF that was asked for, and the types of it that the source itself names.

    ``roots``: type ids, None for all.  A file is read at once, what the kernel holds not before the
    rest of the line was understood.
    """

    __slots__ = ("_btf", "_id", "roots")

    def __init__(
        self, *, btf: Btf | None = None, id: int = 0, roots: Sequence[int] | None = None
    ) -> None:
        self._btf = btf
        self._id = id
        self.roots = roots

    def btf(self, options: Options) -> Btf:
        """The types.  KernelError, told as bpftool tells it, when the kernel has none by the id."""
        from ..sources import VMLINUX, btf_of_id, is_module

        if self._btf is None:
            what = f"can't get BTF object by id ({self._id})"
            try:
                if options.base_btf is None and is_module(_info(self._id)):
                    options.warn(
                        "Warning: valid base BTF was not specified with -B option, "
                        f"falling back to standard base BTF ({VMLINUX})"
                    )
                self._btf = btf_of_id(self._id, options.base_btf)
            except KernelError as error:
                raise error.said(what, status=errno_status(error.errno)) from error
        return self._btf


def _info(id: int) -> handles.BtfInfo:
    from ..kernel.handles import Btf

    with Btf.by_id(id) as opened:
        return opened.info


def _read_source(words: Words, call: Call) -> Source:
    """``BTF_SRC`` of dump."""
    _need_two(words)
    word = words.take()
    keyword = _keyword(word)
    if keyword == "map":
        _need_two(words)
        with MAP.read(words, call) as map:
            info = map.info
        part = next((each for each in _PARTS if _begins(words, each)), None)
        if part is not None:
            words.take()
        roots = []
        if part in ("key", "kv", None):
            roots.append(info.btf_key_type_id)
        if part in ("value", "kv", None):
            roots.append(info.btf_value_type_id)
        return Source(id=info.btf_id, roots=None if part == "all" else roots)
    if keyword == "prog":
        _need_two(words)
    if keyword == "file":
        return _read_files(words, call)
    if not keyword:
        raise PybpftoolError(f"unrecognized BTF source specifier: '{word}'")
    return _read_one(keyword, words, call)


def _read_btf(words: Words, call: Call) -> Btf:
    """``BTF``: all types of one source, read at once; a word that is no keyword is a file."""
    word = words.take()
    keyword = _keyword(word)
    if keyword and len(words):
        return _read_one(keyword, words, call).btf(call.options)
    return _of_file(word, call.options.base_btf)


def _read_one(keyword: str, words: Words, call: Call) -> Source:
    if keyword == "map":
        with MAP.read(words, call) as map:
            return Source(id=map.info.btf_id)
    if keyword == "prog":
        with PROG.read(words, call) as prog:
            return Source(id=prog.info.btf_id)
    if keyword == "id":
        return Source(id=read_number(words, "ID"))
    path = words.take()
    base = call.options.base_btf
    return Source(btf=_of_file(path, base or _base_of([path])))


def _keyword(word: str) -> str:
    return next((each for each in ("map", "prog", "id", "file") if each.startswith(word)), "")


_PARTS = ("key", "value", "all", "kv")
"""Which types of a map are meant, in the order in which abbreviations are tried."""


def _begins(words: Words, keyword: str) -> bool:
    return words.next is not None and keyword.startswith(words.next)


def _need_two(words: Words) -> None:
    if len(words) < 2:
        raise Misuse(f"'{words.last}' needs at least 2 arguments, {len(words)} found")


def _read_files(words: Words, call: Call) -> Source:
    """One file, or several to be merged; the kernel's own BTF is rather taken as their base."""
    from ..sources import VMLINUX

    files: list[str] = []
    while True:
        path = words.take()
        if path == VMLINUX:
            call.options.warn(f"skipping {path} (will be loaded as base)")
        elif len(files) == MOST_FILES:
            raise PybpftoolError(
                f"too many BTF files (max {MOST_FILES})", status=errno_status(_E2BIG)
            )
        else:
            files.append(path)
        if not _begins(words, "file"):
            break
        words.take()
        words.need(1, status=errno_status(_EINVAL))
    base = call.options.base_btf or _base_of(files)
    if len(files) < 2:
        return Source(btf=_of_file(files[0] if files else VMLINUX, base))
    if base is None:
        raise PybpftoolError(
            "base BTF is required when merging multiple BTF files; "
            "use -B/--base-btf or use sysfs paths",
            status=errno_status(_EINVAL),
        )
    from ..btf.merge import merge

    return Source(btf=merge(base, [_of_file(path, base) for path in files]))


def _base_of(paths: Sequence[str]) -> Btf | None:
    """The kernel's own BTF where one of its modules' is among the files, which continue it."""
    from ..sources import SYSFS, VMLINUX, kernel_btf

    if not any(path.startswith(SYSFS) and path != VMLINUX for path in paths):
        return None
    with during(f"failed to load BTF from {VMLINUX}", leak=True):
        return kernel_btf()


def _of_file(path: str, base: Btf | None) -> Btf:
    from ..sources import btf_of_file

    what = f"failed to load BTF from {path}"
    try:
        with during(what, leak=True):
            return btf_of_file(path, base)
    except BadData as error:
        raise PybpftoolError(f"{what}: {error}", status=error.status) from error


# ------------------------------------------------------------------ dump


def dump(
    options: Options,
    btf_src: Source,
    format: str = "raw",
    root_id: Sequence[int] = (),
    type: Sequence[str] = (),
    unsorted: bool = False,
) -> Bulk:
    """Show the types of a BTF, one a line, or as a C header.

    format raw shows all types with their ids; of a map, those of its key and value unless told
    otherwise.  format c writes a header, ordered by kind and name, or by id if unsorted.
    root_id and type select types; in C they come with all they need, which makes a small header.
    """
    btf = btf_src.btf(options)
    roots = btf_src.roots
    if root_id or type:
        roots = [*root_id, *(id for name in type for id in _named(btf, name))]
    for id in roots or ():
        if id >= btf.type_count:
            raise PybpftoolError(f"invalid root ID: {id}", status=errno_status(_EINVAL))
    if format == "c" and options.form != PLAIN:
        raise PybpftoolError(
            "JSON output for C-syntax dump is not supported", status=errno_status(_ENOTSUP)
        )

    def chunks(form: str, depth: int) -> Iterator[str]:
        if format == "c":
            from ..btf.ctext import header

            yield from header(btf, roots, unsorted=unsorted)
        else:
            yield from _rows(btf, form, depth, roots)

    return Bulk(chunks)


def _rows(btf: Btf, form: str, depth: int, roots: Sequence[int] | None) -> Iterator[str]:
    from ..btf.raw import rows

    if form == PLAIN:
        yield from rows(btf, form, depth, roots)
        return
    pretty = form != COMPACT
    yield "{" + (newline(depth + 1) if pretty else "") + quote("types") + ":" + " " * pretty + "["
    filled = False
    for text in rows(btf, form, depth + 2, roots):
        filled = True
        yield text
    yield closing("]", filled, pretty, depth + 1) + closing("}", True, pretty, depth)


def _named(btf: Btf, name: str) -> list[int]:
    """The types of a name; ``struct NAME`` and its like leave out those of another kind."""
    from ..btf import types

    word, blank, rest = name.partition(" ")
    kinds: tuple[int, ...] = ()
    if blank:
        kinds = {
            "struct": (types.STRUCT, types.FWD),
            "union": (types.UNION, types.FWD),
            "enum": (types.ENUM, types.ENUM64),
        }.get(word, ())
    found = list(btf.find_all(rest.strip() if kinds else name, *kinds))
    if not found:
        raise PybpftoolError(f"{btf.label} has no type '{name}'", status=errno_status(_ENOENT))
    return found


# ------------------------------------------------------------------ one type, and two BTFs


def layout(options: Options, type: str, btf: Btf | None = None, expand: bool = False) -> Many | One:
    """Show where the members of a struct or union lie, its holes, padding and cachelines.

    TYPE is a name, with struct or union before it (in one word) where a typedef has the same one.
    Without BTF it is looked up among the types of the running kernel.  expand shows the insides
    of members that are structs themselves.
    """
    from ..btf.layout import PLACE, plain
    from ..btf.layout import layout as layout_of
    from ..btf.spell import spell

    found = btf or _kernel()
    ids = dict.fromkeys(
        found.skip_modifiers(id, typedefs=True)
        for id in _named(found, type)
        if _is_shape(found, id)
    )
    if not ids:
        raise PybpftoolError(f"'{type}' is no struct or union", status=errno_status(_EINVAL))

    def record(id: int) -> Record:
        return layout_of(found, id, lambda each: spell(found, each, PLACE), expand=expand)

    if len(ids) == 1:
        return One(record(next(iter(ids))), plain)
    return Many((record(id) for id in ids), plain)


def diff(options: Options, old: Btf, new: Btf) -> Many:
    """Show what changed in the named types between two BTFs, of two kernels or objects.

    Types that were added and removed; structs and unions whose size or members are not the same,
    enums with other values, functions and variables of another type.  A word that is no keyword
    names a file.  The exit status is 0 whether there are changes or not.
    """
    from ..btf.diff import diff as changes
    from ..btf.diff import plain

    return Many(changes(old, new), plain)


def _is_shape(btf: Btf, id: int) -> bool:
    from ..btf import types

    end = btf.skip_modifiers(id, typedefs=True)
    return btf.kind(end) in (types.STRUCT, types.UNION)


def _kernel() -> Btf:
    from ..sources import kernel_btf

    return kernel_btf()


def _read_format(words: Words, call: Call) -> str:
    if not len(words):
        raise PybpftoolError("expecting value for 'format' option", status=errno_status(_EINVAL))
    word = words.take()
    if word not in ("raw", "c"):
        raise PybpftoolError(
            f"unrecognized format specifier: '{word}', possible values: raw, c",
            status=errno_status(_EINVAL),
        )
    return word


def _may_select(call: Call) -> None:
    if call.bound["btf_src"].roots is not None:
        raise PybpftoolError(
            f"cannot use {call.keyword} with other type filtering", status=errno_status(_EINVAL)
        )


def _read_root(words: Words, call: Call) -> list[int]:
    """The root ids so far, and one more."""
    _may_select(call)
    before: list[int] = call.bound.get("root_id", [])
    if len(before) == MOST_ROOTS:
        raise PybpftoolError(
            f"only {MOST_ROOTS} root_id are supported", status=errno_status(_E2BIG)
        )
    word = words.take()
    root = strtoul32(word)
    if root is None:
        raise PybpftoolError(f"can't parse {word} as root ID")
    if root in before:
        raise PybpftoolError(f"duplicate root_id {root} supplied", status=errno_status(_EINVAL))
    return [*before, root]


def _read_type(words: Words, call: Call) -> list[str]:
    """The names so far, and one more."""
    _may_select(call)
    return [*call.bound.get("type", []), words.take()]


# ------------------------------------------------------------------ rows

BTF_SRC = Place(
    "BTF_SRC",
    _read_source,
    definition="""\
{ id BTF_ID | prog PROG | map MAP [{key | value | kv | all}] |
                    file FILE [file FILE]... }""",
)
BTF = Place("BTF", _read_btf, definition="{ id BTF_ID | prog PROG | map MAP | file FILE }")
_EITHER = "{ id BTF_ID | prog PROG | map MAP | [file] FILE }"
OLD = Place("OLD", _read_btf, definition=_EITHER)
NEW = Place("NEW", _read_btf, definition=_EITHER)
FORMAT = Place("FORMAT", _read_format, definition="{ raw | c }")

OBJECT = Object(
    "btf",
    (
        Command(
            "{ show | list } [id BTF_ID]",
            show,
            (Place("BTF_ID", _read_id),),
            words=(0, 2),
            wrong=WHAT,
            extra="expected 'id', got: '{}'?".format,
        ),
        Command(
            "dump BTF_SRC [format FORMAT] [unsorted] \\\n"
            "                          [root_id ROOT_ID]... [type NAME]...",
            dump,
            (BTF_SRC, FORMAT, Place("ROOT_ID", _read_root), Place("NAME", _read_type)),
            extra="unrecognized option: '{}'".format,
            status=errno_status(_EINVAL),
        ),
        Command("layout TYPE [BTF] [expand]", layout, (Place("TYPE", read_word), BTF), words=1),
        Command("diff OLD NEW", diff, (OLD, NEW), words=2, wrong=NEEDS),
        Command("help"),
    ),
    (BTF_SRC, FORMAT, BTF, OLD, NEW, MAP, PROG),
    options="{-B|--base-btf}",
    summary=__doc__ or "",
)
