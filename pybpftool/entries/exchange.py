"""A map's entries out as lines, and in from them: a map that is there, or a new one."""

from __future__ import annotations

import errno

from ..command import COMPACT, PLAIN
from ..errors import KernelError, PybpftoolError, during, errno_status
from ..output.json_writer import closing
from .lines import EntryReader, EntryWriter, create, header_of
from .read import read
from .shape import Shape
from .typed import typed_entries
from .write import Writer

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..kernel.handles import Map
    from .lines import Header, Lines
    from .typed import TypedEntries


def exported(map: Map) -> Iterator[list[str]]:
    """The lines of a map: the header, then those of many entries at a time.

    KernelError where the map cannot be walked or an entry not be looked up.
    """
    from ..kernel import handles

    info, shape, typed = map.info, Shape.of(map.info), typed_entries(map.info)
    blob = b""
    if typed and not info.btf_vmlinux_value_type_id:
        with handles.Btf.by_id(info.btf_id) as btf:
            blob = b"" if btf.info.kernel_btf else btf.blob()
    writer = EntryWriter(shape, typed)
    begun = False
    with during(f"can't export {shape.type} map", leak=True):
        for batch in read(map, shape):
            if batch.errno == errno.ENOENT:
                continue  # an empty place, or gone meanwhile
            if batch.errno:
                raise KernelError(batch.errno, "")
            if not begun:
                yield [header_of(info, typed, blob)]
                begun = True
            yield writer.lines(batch)
    if not begun:
        yield [header_of(info, typed, blob)]


def joined(lines: Iterator[list[str]], form: str, depth: int) -> Iterator[str]:
    """Lines as they are, or as the elements of an array."""
    if form == PLAIN:
        for some in lines:
            yield "\n".join(some) + "\n"
        return
    mark = "["
    for some in lines:
        yield mark + ",".join(some)
        mark = ","
    yield closing("]", True, form != COMPACT, depth)


def fill(map: Map, header: Header | None, lines: Lines, flags: int, dry_run: bool) -> int:
    """Write the lines' entries into a map: how many went in, or with ``dry_run`` would.

    ``header``: of the lines, None where there was none; its types count where the map has none.
    ``flags``: BPF_ANY, BPF_NOEXIST or BPF_EXIST.
    PybpftoolError, told with the number of the line and how many went in before, for a line that
    is no entry or that the kernel refuses.
    """
    from .changes import same_shape

    shape = Shape.of(map.info)
    typed = typed_entries(map.info)
    if header:
        same_shape(header.shape, shape)
        typed = typed or header.typed
    return _fill(lines, shape, typed, None if dry_run else Writer(map, shape, flags))


def make(path: str, nomount: bool, header: Header | None, lines: Lines, dry_run: bool) -> int:
    """The same for a map that is made as the header says, and pinned when all is in."""
    from ..kernel import bpffs

    if header is None:
        raise PybpftoolError("the first line is no header, and a new map needs one")
    if dry_run:
        return _fill(lines, header.shape, header.typed, None)
    with create(header, lines) as made:
        count = _fill(lines, header.shape, header.typed, Writer(made, header.shape))
        bpffs.pin(made, path, nomount)
    return count


def _fill(lines: Lines, shape: Shape, typed: TypedEntries | None, writer: Writer | None) -> int:
    from ..output.progress import watched

    lines.of_entries(shape)
    entries = lines.entries(EntryReader(shape, typed))
    count = 0
    try:
        for numbers, keys, values in watched(entries, "import", lines.size, lambda _: lines.at):
            if writer is not None:
                _write(writer, numbers, keys, values, count)
            count += len(keys)
    except PybpftoolError as error:
        went = 0 if writer is None else writer.written
        raise PybpftoolError(
            f"{error}; {went} entries went in", status=error.status, hint=error.hint
        ) from error
    return count


def _write(
    writer: Writer, numbers: list[int], keys: list[bytes], values: list[bytes], before: int
) -> None:
    """Write entries; a refusal is told with the number of its line."""
    try:
        writer.write(keys, values)
    except KernelError as error:
        at = numbers[writer.written - before]
        status = errno_status(error.errno)
        raise error.said(f"line {at}: update failed", status=status) from error
