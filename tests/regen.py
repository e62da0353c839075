"""What is made from other files of the project, made anew: ``python -m tests.regen``.

``--check`` writes nothing and fails where a file is not what it would be made to be.
"""

from __future__ import annotations

import io
import sys
import tempfile
from collections.abc import Iterator
from contextlib import redirect_stdout
from pathlib import Path

from pybpftool.cli.complete import shown, table
from pybpftool.cli.main import load
from pybpftool.cli.manpage import page, top_page
from pybpftool.kernel.abi_build import build
from pybpftool.objects import OBJECTS

ROOT = Path(__file__).resolve().parents[1]


def generated() -> Iterator[tuple[str, str]]:
    """Every generated file: its path in the project, and the text it ought to hold."""
    with tempfile.TemporaryDirectory() as directory:
        target = Path(directory, "_abi.py")
        with redirect_stdout(io.StringIO()):  # cffi tells what it does
            build(str(target))
        yield "pybpftool/kernel/_abi.py", target.read_text()
    things = [load(name) for name in OBJECTS]
    yield "man/pybpftool.8", top_page(things, _differences())
    examples = (ROOT / "docs/man-examples.md").read_text().split("\n## ")
    texts = dict(section.split("\n", 1) for section in examples[1:])
    for thing in things:
        yield f"man/pybpftool-{thing.name}.8", page(thing, texts[thing.name])
    yield from _completions()


def _differences() -> list[list[str]]:
    """The rows of docs/differences.md: name, bpftool's way, ours."""
    lines = (ROOT / "docs/differences.md").read_text().splitlines()
    rows = [line.strip("|").split("|") for line in lines if line.startswith("|")]
    return [[cell.strip() for cell in row[:3]] for row in rows[2:]]


TABLES = {
    "completions/pybpftool": ('_pybpftool_states=(""', ")", "_pybpftool_options=(", ")"),
    "completions/_pybpftool": (
        "typeset -ga _pybpftool_states=(",
        ")",
        "typeset -ga _pybpftool_options=(",
        ")",
    ),
    "completions/pybpftool.fish": (
        "set -g __pybpftool_states \\",
        "",
        "set -g __pybpftool_options \\",
        "",
    ),
}
"""How each shell writes two lists: their heads and ends.  bash counts from 0, the states from 1."""


def _completions() -> Iterator[tuple[str, str]]:
    """The scripts, with the words of the rows between their two marks."""
    states = [f"'{state}'" for state in table()]
    for name, (begin, end, begin_options, end_options) in TABLES.items():
        more = " \\\n" if not end else "\n"
        lists = [
            f"{head}\n    {f'{more}    '.join(words)}\n{tail}".rstrip("\n")
            for head, words, tail in ((begin, states, end), (begin_options, shown(), end_options))
        ]
        before, mark, rest = (ROOT / name).read_text().partition("# begin table\n")
        after = rest[rest.index("# end table\n") :]
        yield name, before + mark + "\n".join(lists) + "\n" + after


def stale() -> dict[str, str]:
    """The generated files that are missing or differ: path and the text they ought to hold."""
    return {
        name: text
        for name, text in generated()
        if not (ROOT / name).is_file() or (ROOT / name).read_text() != text
    }


def main() -> int:
    """Write what is stale, or with ``--check`` only name it; gives the exit status."""
    checking = sys.argv[1:] == ["--check"]
    found = stale()
    for name, text in found.items():
        sys.stderr.write(f"{name}: {'is stale' if checking else 'written'}\n")
        if not checking:
            (ROOT / name).parent.mkdir(exist_ok=True)
            (ROOT / name).write_text(text)
    return int(checking and bool(found))


if __name__ == "__main__":
    sys.exit(main())
