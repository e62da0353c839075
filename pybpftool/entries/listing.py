"""Maps dumped whole: as lines of bytes, or as a JSON document and its likeness for people."""

from __future__ import annotations

import errno

from ..command import COMPACT, PLAIN
from ..errors import KernelError, PybpftoolError, during
from ..output.emit import told
from ..output.json_writer import closing, dumps, newline, quote
from .read import read
from .render import entry_printer
from .shape import Shape

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from ..command import Record
    from ..kernel.handles import Map
    from .render import EntryPrinter
    from .typed import TypedEntries

    Dumped = tuple[Map, Shape, TypedEntries | None]

_RDONLY = 1 << 3
"""BPF_F_RDONLY (uapi/linux/bpf.h)."""


class Listing:
    """The dump of some maps.

    ``identity``: the record that names a map, and ``title`` its line, where there are several.
    ``limit``: the first so many entries of each.  ``recursive``: with those of the maps in them.
    """

    __slots__ = ("_dumped", "_identity", "_limit", "_recursive", "_title")

    def __init__(
        self,
        dumped: Sequence[Dumped],
        identity: Callable[[Map], Record],
        title: Callable[[Record], str],
        limit: int | None = None,
        recursive: bool = False,
    ) -> None:
        self._dumped = dumped
        self._identity = identity
        self._title = title
        self._limit = limit
        self._recursive = recursive

    def _inner(self, id: int) -> Listing:
        """That of the map in a map; of none where it is gone by now."""
        from ..kernel.handles import Map
        from .typed import typed_entries

        dumped: list[Dumped] = []
        try:
            inner = Map.by_id(id, _RDONLY)
        except KernelError:
            pass
        else:
            dumped = [(inner, Shape.of(inner.info), typed_entries(inner.info))]
        return Listing(dumped, self._identity, self._title, self._limit)

    def _texts(
        self,
        opened: Map,
        shape: Shape,
        printer: EntryPrinter,
        below: Callable[[str, int], str] | None = None,
    ) -> Iterator[tuple[str, int]]:
        """The text of a map's entries in pieces, and how many entries each shows.

        ``below``: the text of an entry with that of the map in it, whose id comes along.
        """
        with during(f"can't dump {shape.type} map", leak=True):
            for batch in read(opened, shape, self._limit):
                if below is not None and not batch.errno:
                    ids = memoryview(batch.values)[: 4 * batch.count].cast("I")
                    for at, text in enumerate(printer.each(batch.keys, batch.values, batch.count)):
                        yield below(text, ids[at]), 1
                elif not batch.errno:
                    yield printer.many(batch.keys, batch.values, batch.count), batch.count
                elif not (batch.errno == errno.ENOENT and (shape.of_maps or shape.of_progs)):
                    yield printer.failure(batch.keys, batch.errno), 0

    def lines(self) -> Iterator[str]:
        """Maps as lines of bytes, each closed by its count."""

        def below(text: str, id: int) -> str:
            """An entry, and the entries of the map in it, set in."""
            inner = self._inner(id)
            if not inner._dumped:
                return text
            typed = all(typed for _, _, typed in inner._dumped)
            listed = "".join(inner.document(PLAIN, 0) if typed else inner.lines())
            return text + "".join(f"    {line}\n" for line in listed.splitlines())

        dumped = self._dumped
        for place, (opened, shape, _) in enumerate(dumped):
            if len(dumped) > 1:
                yield ("\n" if place else "") + self._title(self._identity(opened))
            found = 0
            printer = entry_printer(shape, None, PLAIN, 0)
            expand = below if self._recursive and shape.of_maps else None
            for text, count in self._texts(opened, shape, printer, expand):
                yield text
                found += count
            yield f"Found {found} element{'' if found == 1 else 's'}\n"

    def document(self, form: str, depth: int) -> Iterator[str]:
        """Maps as a JSON document, or in its likeness for people where all have types.

        One map is the array of its entries; of several each is an object that ends in it.
        """
        pretty = form != COMPACT
        dumped = self._dumped

        def below(text: str, id: int) -> str:
            """An entry with the array of those of the map in it as its last member."""
            inner = "".join(self._inner(id).document(form, level + 2)).rstrip("\n")
            body = text[: -len(closing("}", True, pretty, level + 1))]
            name = (newline(level + 2) if pretty else "") + quote("elements") + ":" + " " * pretty
            return f"{body},{name}{inner or '[]'}{closing('}', True, pretty, level + 1)}"

        several = len(dumped) > 1
        failed: PybpftoolError | None = None
        for place, (opened, shape, typed) in enumerate(dumped):
            level = depth
            before = "["
            if several:
                level = depth + 2
                head = dumps(self._identity(opened), pretty=pretty, depth=depth + 1)
                head = head[: -len(closing("}", True, pretty, depth + 1))] + ","
                head += (newline(level) if pretty else "") + quote("elements") + ":" + " " * pretty
                before = ("," if place else "[") + head + "["
            printer = entry_printer(shape, typed, form, level + 1)
            try:
                expand = below if self._recursive and shape.of_maps else None
                for text, _ in self._texts(opened, shape, printer, expand):
                    yield before + text
                    before = ","
            except PybpftoolError as error:
                failed = error
                if form != PLAIN:
                    yield before + dumps(told(error), pretty=pretty, depth=level + 1)
                    before = ","
                elif not place and before != ",":
                    raise  # nothing is shown yet: the sentence says it all
            yield closing("]", True, pretty, level) if before == "," else before + "]"
            if several:
                yield closing("}", True, pretty, depth + 1)
            if failed:
                break
        if several:
            yield closing("]", True, pretty, depth)
        if form == PLAIN:
            yield "\n"
        if failed:
            raise failed
