"""``prog check``: would the programs of an object file load here, or on a kernel known by files?"""

from __future__ import annotations

from ...command import One
from ...errors import BadData
from .loading import read_spec

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from ...command import Options, Record

_STATUS: dict[bool | None, int] = {True: 0, False: 1, None: 2}
_WORDS: dict[bool | None, str] = {True: "would load", False: "would not load", None: "may not load"}


def check(options: Options, obj: str, btf: str | None = None, features: str | None = None) -> One:
    """Say for each program of an object file whether it would load, without loading it.

    Looked for is all that it needs of the kernel: types and fields (CO-RE), helpers, kernel
    functions and symbols, types of programs and maps, what it attaches to.  The kernel is the
    running one, or another: "btf" names a file with its types, "features" what "feature probe -j"
    wrote there.  Of another kernel, what the files do not tell is taken to be there.  A program may
    not load where it depends on the verifier whether an instruction is reached that cannot work.
    Whether the verifier takes a program for safe, is not foretold.
    The exit status is 0 where every program would load, 1 where one would not, and 2 where
    one may not; programs in sections with a leading "?" do not count.
    """
    from ...loader.check import Facts
    from ...loader.check import check as check_object
    from ...loader.kernels import Kernel, KernelOfFile
    from ...sources import btf_of_file
    from .known import Running, saved

    spec = read_spec(options, obj)
    kernel: Kernel | KernelOfFile = Kernel()
    if btf is not None:
        try:
            kernel = KernelOfFile(btf_of_file(btf))
        except BadData as error:
            raise BadData(f"{btf}: {error.message}") from error
    if features is not None:
        facts: Facts = saved(features)
    else:
        facts = Running(spec.license) if btf is None else Facts()
    record = check_object(spec, kernel, facts)
    return One(record, _plain, status=_STATUS[record["loads"]])


def _plain(record: Record) -> str:
    text = ""
    for program in record["programs"]:
        text += f"{program['name']} ({program['section']}) {_WORDS[program['loads']]}\n"
        text += "".join(_lines(program["problems"]))
    if record["problems"]:
        text += f"{record['object']} {_WORDS[record['loads']]}\n"
        text += "".join(_lines(record["problems"]))
    return text


def _lines(problems: list[Record]) -> Iterator[str]:
    for each in problems:
        yield f"\t{each['reason']}{'' if each['certain'] else ', if that is reached'}\n"
        if "insn" in each:
            source = f": {each['source']}" if "source" in each else ""
            yield f"\t  at instruction {each['insn']}{source}\n"
