"""``prog dump`` and ``prog graph``: the code of programs."""

from __future__ import annotations

from ...command import NOTHING, PLAIN, Bulk
from ...errors import BadData, PybpftoolError, during
from ...identity import FullNames, header, identity

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from ...btf.spec import Btf
    from ...command import One, Options, Record
    from ...insn.lines import Line
    from ...insn.native import Disassembler, Insn
    from ...kernel.handles import Prog

_FILE_MODE = 0o600
"""Of an image that is written: it holds addresses of the kernel."""


# ------------------------------------------------------------------ the commands


def xlated(
    options: Options,
    prog: list[Prog],
    file: str | None = None,
    opcodes: bool = False,
    linum: bool = False,
    visual: bool = False,
) -> Bulk | One:
    """Show the instructions of a program as the verifier left them, and their lines of source.

    opcodes adds the bytes of each, linum the place of each line of source.  visual writes the
    control flow as a graph, in the language of Graphviz.  file FILE writes the bare code to a file
    instead.
    """
    _check(options, prog, file, opcodes or linum or visual, visual=visual)
    code = [_Code(each, "xlated_prog_insns", options) for each in prog]
    if file is not None:
        return _write(code[0].image, file)
    if visual:
        [one] = code
        return Bulk(lambda form, depth: _dot(one, linum=linum, opcodes=opcodes))
    return _dump(
        code,
        lambda each: _xlated_text(each, linum=linum, opcodes=opcodes),
        lambda each: _xlated_records(each, linum=linum, opcodes=opcodes),
    )


def jited(
    options: Options,
    prog: list[Prog],
    file: str | None = None,
    opcodes: bool = False,
    linum: bool = False,
    visual: bool = False,
) -> Bulk | One:
    """Show the machine code of a program.

    It is disassembled by Capstone, a library that must be installed: pip install
    'pybpftool[disasm]'.  opcodes, linum and file FILE are as for dump xlated.
    """
    _check(options, prog, file, opcodes or linum or visual, visual=visual)
    code = [_Code(each, "jited_prog_insns", options) for each in prog]
    if file is not None:
        return _write(code[0].image, file)
    from ...insn.native import Disassembler

    disassemble = Disassembler()
    return _dump(
        code,
        lambda each: _jited_text(each, disassemble, linum=linum, opcodes=opcodes),
        lambda each: _jited_records(each, disassemble, linum=linum, opcodes=opcodes),
    )


def graph(options: Options, prog: Prog, svg: bool = False) -> Bulk:
    """Draw the control flow of a program.

    The graph is written in the language of Graphviz, DOT; with svg it is drawn by Graphviz's dot,
    which must be installed, as a picture for browsers.
    """
    if options.form != PLAIN:
        raise PybpftoolError("'graph' is not compatible with JSON output")
    code = _Code(prog, "xlated_prog_insns", options)
    if not svg:
        return Bulk(lambda form, depth: _dot(code, linum=False, opcodes=False))
    from ...output.graphviz import draw

    picture = draw("".join(_dot(code, linum=False, opcodes=False)))
    return Bulk(lambda form, depth: iter((picture,)))


def _check(
    options: Options, prog: list[Prog], file: str | None, dressed: bool, *, visual: bool
) -> None:
    """Refuse what does not go together."""
    if len(prog) > 1 and (file is not None or visual):
        raise PybpftoolError("several programs matched")
    if file is not None and dressed:
        raise PybpftoolError("'file' is not compatible with 'opcodes', 'visual', or 'linum'")
    if options.form != PLAIN and visual:
        raise PybpftoolError("'visual' is not compatible with JSON output")


def _write(image: bytes, path: str) -> One:
    from ...output.whole_file import WholeFile

    with during(f"can't open file {path}"):
        file = WholeFile(path, _FILE_MODE)
    with file, during("error writing output file"):
        file.stream.write(image)
        file.keep()
    return NOTHING


# ------------------------------------------------------------------ what the kernel has of it


class _Code:
    """The code of a program and what is known of it.

    ``image``: the code asked for.  ``protos``: the prototype of each function that func_info
    lists, in order, by the slot it begins at; None where it can't be told.  ``lines``: of source.
    ``ksyms``: addresses of its functions; empty where they are hidden, None where it is not jited.
    ``lengths``: bytes of each of them in the machine code; ``line_addresses``: of each of the
    lines there.
    """

    __slots__ = ("image", "ksyms", "lengths", "line_addresses", "lines", "prog", "protos")

    def __init__(self, prog: Prog, image: str, options: Options) -> None:
        self.prog = prog
        info = prog.info
        arrays = prog.arrays(
            *(image, "jited_ksyms", "jited_func_lens", "func_info", "line_info"),
            "jited_line_info",
        )
        self.image = arrays[image]
        if not self.image:
            raise _hidden(image, jited=bool(info.jited_prog_len))
        self.ksyms = _numbers(arrays["jited_ksyms"], "Q") if info.nr_jited_ksyms else None
        self.lengths = _numbers(arrays["jited_func_lens"], "I")
        self.line_addresses = _numbers(arrays["jited_line_info"], "Q")
        self.protos: dict[int, str | None] = {}
        self.lines: list[Line] = []
        btf = _btf(info.btf_id) if info.btf_id else None
        if btf is None:
            return
        from ...btf.proto import prototype
        from ...insn.lines import read_functions, read_lines

        functions = read_functions(arrays["func_info"], info.func_info_rec_size)
        self.protos = {slot: prototype(btf, id) for slot, id in functions.items()}
        try:
            self.lines = read_lines(arrays["line_info"], info.line_info_rec_size, _strings(btf))
        except BadData:
            options.warn("error in processing bpf_line_info.  continue without it.")


def _hidden(image: str, *, jited: bool) -> PybpftoolError:
    """That the kernel gave no code, and why."""
    from ...kernel.proc import why_hidden

    if image == "xlated_prog_insns":
        return PybpftoolError(
            "error retrieving insn dump: kernel.kptr_restrict set?", hint=why_hidden()
        )
    hint = why_hidden()
    if not jited and hint is None:
        hint = "the kernel interprets this program: sysctl net.core.bpf_jit_enable"
    return PybpftoolError(
        "error retrieving jit dump: no instructions returned or kernel.kptr_restrict set?",
        hint=hint,
    )


def _numbers(data: bytes, code: str) -> Sequence[int]:
    return memoryview(data).cast(code)  # type: ignore[call-overload, no-any-return]  # the code is one of two


def _btf(id: int) -> Btf:
    from ...sources import btf_of_id

    try:
        return btf_of_id(id)
    except PybpftoolError as error:
        raise PybpftoolError("failed to get btf", hint=str(error)) from error


def _strings(btf: Btf) -> Callable[[int], str | None]:
    text = btf.text

    def string(offset: int) -> str | None:
        try:
            return text[offset]
        except BadData:
            return None

    return string


def _dump(
    code: Sequence[_Code],
    text: Callable[[_Code], Iterable[str]],
    records: Callable[[_Code], Iterable[Record]],
) -> Bulk:
    """The dump of one program, or of several, each under what names it."""
    from ...output.emit import array

    several = len(code) > 1
    names = FullNames()

    def chunks(form: str, depth: int) -> Iterator[str]:
        if form != PLAIN:
            yield from array(documents() if several else records(code[0]), form, depth)
            return
        for place, each in enumerate(code):
            if several:
                yield ("\n" if place else "") + header(identity(each.prog, names))
            yield from text(each)

    def documents() -> Iterator[Record]:
        for each in code:
            record = identity(each.prog, names)
            record.pop("dev", None)
            yield {**record, "insns": list(records(each))}

    return Bulk(chunks, terminal="code")


# ------------------------------------------------------------------ lines of source


def _source(line: Line, *, linum: bool) -> str:
    """A line of source before an instruction, its newline included."""
    if line.source is None:
        return ""
    if not linum:
        return f"; {line.source}\n"
    place = f"file:{line.file or ''} line_num:{line.line_num} line_col:{line.line_col}"
    return f"; {line.source} [{place}]\n"


def _source_record(line: Line, *, linum: bool) -> Record:
    record: Record = {}
    if line.source is not None:
        record["src"] = line.source
    if linum:
        if line.file is not None:
            record["file"] = line.file
        if line.line_num:
            record["line_num"] = line.line_num
        if line.line_col:
            record["line_col"] = line.line_col
    return record


# ------------------------------------------------------------------ xlated


def _named(code: _Code) -> Iterator[tuple[int, str]]:
    """The instructions: slot and text."""
    from ...insn.text import Names, texts
    from ...kernel.symbols import Symbols
    from ...kernel.words import helper_word

    symbols = Symbols()
    return texts(code.image, Names(helper_word, symbols.name, symbols.call_base, code.ksyms))


def _bytes_of(image: bytes, at: int) -> bytes:
    """The slot, or the two slots, of an instruction."""
    from ...insn.code import SLOT, WIDE

    return image[at * SLOT : (at + (2 if image[at * SLOT] == WIDE else 1)) * SLOT]


def _xlated_text(code: _Code, *, linum: bool, opcodes: bool) -> Iterator[str]:
    from ...insn.lines import shown

    rows = list(_named(code))
    before = {slot: f"{proto}:\n" for slot, proto in code.protos.items() if proto}
    for at, line in shown(code.lines, (at for at, _ in rows)):
        before[at] = before.get(at, "") + _source(line, linum=linum)
    image = code.image
    if opcodes:
        return (
            f"{before.get(at, '')}{at:4}: {text}\n       {_bytes_of(image, at).hex(' ')}\n"
            for at, text in rows
        )
    if before:
        return (f"{before.get(at, '')}{at:4}: {text}\n" for at, text in rows)
    return (f"{at:4}: {text}\n" for at, text in rows)


def _xlated_records(code: _Code, *, linum: bool, opcodes: bool) -> Iterator[Record]:
    from ...insn.lines import shown

    rows = list(_named(code))
    lines = dict(shown(code.lines, (at for at, _ in rows)))
    for at, text in rows:
        record: Record = {}
        proto = code.protos.get(at)
        if proto:
            record["proto"] = proto
        if at in lines:
            record.update(_source_record(lines[at], linum=linum))
        record["disasm"] = text
        if opcodes:
            record["opcodes"] = _fields(_bytes_of(code.image, at))
        yield record


def _fields(data: bytes) -> Record:
    """The bytes of an instruction by its fields."""
    from ...insn.code import registers

    dst, src = registers(data[1])
    return {
        "code": f"0x{data[0]:02x}",
        "src_reg": f"0x{src:x}",
        "dst_reg": f"0x{dst:x}",
        "off": _spelled(data[2:4]),
        "imm": _spelled(data[4:]),
    }


def _spelled(data: bytes) -> list[str]:
    return [f"0x{byte:02x}" for byte in data]


def _dot(code: _Code, *, linum: bool, opcodes: bool) -> Iterator[str]:
    from ...insn.code import decode
    from ...insn.dot import dot
    from ...insn.graph import functions

    return dot(
        functions(decode(code.image), code.protos),
        dict(_named(code)),
        {slot: proto for slot, proto in code.protos.items() if proto},
        code.lines,
        linum=linum,
        opcodes=code.image if opcodes else b"",
    )


# ------------------------------------------------------------------ jited


class _Function:
    """A function as machine code.

    ``name``: empty where the kernel does not tell the functions apart.  ``address``: 0 where it
    is hidden.  ``lines``: of source, by the offset they begin at.
    """

    __slots__ = ("address", "image", "lines", "name", "proto")

    def __init__(
        self, proto: str | None, name: str, image: bytes, address: int, lines: Sequence[Line]
    ) -> None:
        self.proto = proto
        self.name = name
        self.image = image
        self.address = address
        self.lines = lines


def _functions(code: _Code) -> Iterator[_Function]:
    if not code.lengths:
        yield _Function(None, "", code.image, 0, ())
        return
    from ...kernel.symbols import Symbols

    symbols = Symbols()
    ksyms = code.ksyms or ()
    protos = list(code.protos.values())
    lines = _lines_by_function(code)
    end = 0
    for number, length in enumerate(code.lengths):
        start, end = end, end + length
        name, address = "unknown", 0
        if number < len(ksyms):
            address = ksyms[number]
            name = symbols.name(address) or f"0x{address:016x}"
        proto = protos[number] if number < len(protos) else None
        yield _Function(proto, name, code.image[start:end], address, lines.get(number, ()))


def _lines_by_function(code: _Code) -> dict[int, list[Line]]:
    """The lines of source of each function by its number; their offsets are in bytes there."""
    from ...insn.lines import Line

    numbers = {address: number for number, address in enumerate(code.ksyms or ())}
    found: dict[int, list[Line]] = {}
    if len(code.line_addresses) != len(code.lines) or len(numbers) != len(code.lengths):
        return found
    number = start = -1
    for line, address in zip(code.lines, code.line_addresses, strict=True):
        if address in numbers:
            number, start = numbers[address], address
        if start >= 0:
            moved = Line(address - start, line.line, line.file, line.line_num, line.line_col)
            found.setdefault(number, []).append(moved)
    return found


def _numbered(
    function: _Function, disassemble: Disassembler
) -> Iterator[tuple[Insn, bytes, Line | None]]:
    """The instructions of a function, with their bytes and the line of source before them."""
    from ...insn.lines import shown

    insns = list(disassemble(function.image, function.address))
    lines = dict(shown(function.lines, (insn.at for insn in insns)))
    for insn in insns:
        yield insn, function.image[insn.at : insn.at + insn.size], lines.get(insn.at)


def _jited_text(
    code: _Code, disassemble: Disassembler, *, linum: bool, opcodes: bool
) -> Iterator[str]:
    for function in _functions(code):
        if function.name:
            yield f"{function.proto}:\n" if function.proto else ""
            yield f"{function.name}:\n"
        for insn, data, line in _numbered(function, disassemble):
            source = _source(line, linum=linum) if line else ""
            yield f"{source}{insn.at:4x}:{insn}\n"
            if opcodes:
                yield f"\t{data.hex(' ')} \n"
        if function.name:
            yield "\n"


def _jited_records(
    code: _Code, disassemble: Disassembler, *, linum: bool, opcodes: bool
) -> Iterator[Record]:
    for function in _functions(code):
        insns = _insn_records(function, disassemble, linum=linum, opcodes=opcodes)
        if not function.name:
            yield from insns
            continue
        record: Record = {"proto": function.proto} if function.proto else {}
        yield {**record, "name": function.name, "insns": list(insns)}


def _insn_records(
    function: _Function, disassemble: Disassembler, *, linum: bool, opcodes: bool
) -> Iterator[Record]:
    for insn, data, line in _numbered(function, disassemble):
        record: Record = _source_record(line, linum=linum) if line else {}
        record["pc"] = f"0x{insn.at:x}"
        record["operation"] = insn.operation
        record["operands"] = insn.operands.translate(_PUNCTUATION).split() or [None]
        if opcodes:
            record["opcodes"] = _spelled(data)
        yield record


_PUNCTUATION = str.maketrans(",()", "   ")
"""What stands between the operands of the JSON form."""
