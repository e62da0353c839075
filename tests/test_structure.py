"""The order of the rooms, what a start may cost, and other rules that hold for every file."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "pybpftool"
FILES = sorted(PACKAGE.rglob("*.py"))

# ------------------------------------------------------------------ who may import whom

ROOMS = """
    errors
    number
    signals
    command     errors
    output      errors signals command
    btf         errors command output
    kernel      errors signals
    elf         errors
    insn        errors
    sources     errors btf kernel elf
    loader      errors btf elf insn kernel sources
    entries     errors number command output btf kernel sources
    identity    errors command btf kernel insn sources
    probe       errors btf kernel insn sources
    api         errors btf kernel sources loader entries
    places      errors number command kernel identity
    objects     errors number signals command output btf kernel insn sources entries probe \
                loader identity places
    cli         errors number command output kernel probe sources places objects
"""
"""Each room and those it may import; within a room everything goes, but an object never imports
another (the modules of an object that is a package may import each other).  Everyone may read the
constants of the package itself."""

THIRD_PARTY = {
    "capstone": ["insn/native.py"],
    "_cffi_backend": ["kernel/_abi.py"],
    "cffi": ["kernel/abi_build.py"],
    "click": ["cli/complete.py"],
    "elftools": ["elf/sections.py"],
    "rich": ["output/live.py", "output/progress.py"],
    "typing_extensions": ["kernel/handles.py"],  # read by the type checker alone
}
"""Every library from elsewhere and the file that imports it."""

ALLOWED = {
    line.split()[0]: set(line.split()[1:])
    for line in ROOMS.replace("\\\n", "").strip().splitlines()
}


def name(path: Path) -> str:
    return str(path.relative_to(PACKAGE))


def room(module: str) -> str:
    """The room of a module given as ``pybpftool.kernel.calls`` or as a path in the package."""
    return re.split(r"[./]", module.removeprefix("pybpftool").lstrip("."))[0]


def imported(path: Path) -> Iterator[str]:
    """The full names of the modules that a file imports, wherever in it."""
    package = ["pybpftool", *path.relative_to(PACKAGE).parent.parts]
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else []
            stem = ".".join([*above, *([node.module] if node.module else [])])
            for alias in node.names:
                full = f"{stem}.{alias.name}"
                is_module = PACKAGE.parent.joinpath(*full.split(".")).with_suffix(".py").exists()
                is_room = PACKAGE.parent.joinpath(*full.split(".")).is_dir()
                yield full if is_module or is_room else stem


@pytest.mark.parametrize("path", FILES, ids=name)
def test_imports_go_leftwards(path: Path) -> None:
    here = room(name(path))
    if here in ("__init__", "__main__"):  # the way in
        return
    for module in imported(path):
        if module.startswith("pybpftool.") and room(module) != here:
            assert room(module) in ALLOWED[here], f"{here} must not import {module}"
        if here == "objects" and room(module) == "objects":
            ours = "pybpftool." + ".".join(path.relative_to(PACKAGE).parts[:2])
            same = path.parent != PACKAGE / "objects" and f"{module}.".startswith(f"{ours}.")
            assert same, f"one object must not import another: {module}"


def test_every_room_is_in_the_table() -> None:
    rooms = {path.name.removesuffix(".py") for path in PACKAGE.iterdir() if path.suffix != ".h"}
    assert rooms - {"__init__", "__main__", "__pycache__", "py.typed"} == set(ALLOWED)


@pytest.mark.parametrize("path", FILES, ids=name)
def test_libraries_have_one_door_each(path: Path) -> None:
    ours = {"pybpftool", "__future__", *sys.stdlib_module_names}
    for module in imported(path):
        top = module.partition(".")[0]
        assert top in ours or name(path) in THIRD_PARTY.get(top, []), f"imports {module}"


# ------------------------------------------------------------------ what a start may cost

SLOW = frozenset(
    """
    argparse asyncio collections contextlib dataclasses datetime enum functools importlib.util
    inspect json logging pathlib re shutil signal socket subprocess tempfile textwrap threading
    traceback typing
    click rich elftools cffi
    """.split()
)
"""What takes long enough to import to be felt on every start: imported only by the function that
needs it."""

OFF_THE_PATH = {
    "api.py": "for programs that import the package, which are no command",
    "cli/complete.py": "asked by a shell, and loads click anyway",
    "cli/manpage.py": "makes the man pages, when the package is made",
    "output/colours.py": "for terminals alone, who look at one dump at a time",
    "output/live.py": "for terminals alone, and loads rich anyway",
    "kernel/abi_build.py": "makes _abi.py, when abi.h changes",
}
"""Files no ordinary command loads, and why they are free to import at the top."""

MOST_MODULES = 20
"""Modules of the package that the help of an object may load."""


def on_import(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    """The statements that run when a module is imported."""
    for node in body:
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            continue
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            continue
        yield node
        for part in ("body", "orelse", "finalbody"):
            yield from on_import(getattr(node, part, []))


@pytest.mark.parametrize("path", FILES, ids=name)
def test_nothing_slow_is_imported_at_the_top(path: Path) -> None:
    if name(path) in OFF_THE_PATH:
        return
    for node in on_import(ast.parse(path.read_text()).body):
        if isinstance(node, ast.Import):
            modules = {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            modules = {node.module or ""}
        else:
            continue
        assert not modules & SLOW, f"line {node.lineno}"


def loaded(*argv: str, code: str = "") -> set[str]:
    """The modules that one run imports; without site-packages' own start-up code."""
    libraries = {str(Path(find_spec(name).origin).parent) for name in ("_cffi_backend",)}  # type: ignore[union-attr, arg-type]  # it is installed, and a file
    code = code or f"import sys; sys.argv[:] = {['pybpftool', *argv]!r}\n" + (
        "from pybpftool.cli.main import main; main()"
    )
    done = subprocess.run(
        [sys.executable, "-S", "-X", "importtime", "-c", code],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": ":".join([str(ROOT), *sorted(libraries)])},
    )
    lines = [line for line in done.stderr.splitlines() if line.startswith("import time:")]
    assert "Traceback" not in done.stderr
    return {line.rpartition("|")[2].strip() for line in lines}


@pytest.mark.parametrize(
    ("line", "granted"),
    [
        ("help", "pass"),
        ("map help", "pass"),
        ("map no_such_command", "pass"),
        ("map list", "pass"),
        ("perf list", "pass"),
        ("feature probe map_type hash", "pass"),
        ("-j map show id 0", "pass"),
        ("version", "import importlib.util"),
    ],
)
def test_start(line: str, granted: str) -> None:
    brought = loaded(*line.split()) - loaded(code=granted)
    assert "pybpftool.cli.main" in brought
    assert not brought & SLOW


@pytest.mark.parametrize("name", ["map", "prog"])
def test_help_of_an_object_loads_little(name: str) -> None:
    """Neither types nor what only talks to the kernel; its tables of words are in some helps."""
    brought = loaded(name, "help")
    ours = {module for module in brought if module.startswith("pybpftool")}
    assert f"pybpftool.objects.{name}" in ours
    assert len(ours) <= MOST_MODULES, sorted(ours)
    assert not {room(module) for module in ours} & {"btf", "elf"}
    assert "_cffi_backend" not in brought


# ------------------------------------------------------------------ every file

MACHINE = re.compile(
    # paths of the place where this was written, which mean nothing anywhere else
    r"/(root|home|opt|tmp)/\w"
)
KINDS = {".py", ".sh", ".md", ".cfg", ".toml", ".ini", ".h", ".c", ".8", ".fish", ".in", ""}


def texts() -> Iterator[Path]:
    """The files of the project that were written by hand or are shipped."""
    listing = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    names = listing.stdout.split("\0") if listing.returncode == 0 else []
    paths = [ROOT / name for name in names if name] or [*ROOT.rglob("*")]
    return (path for path in paths if path.is_file() and path.suffix in KINDS)


@pytest.mark.parametrize("path", FILES, ids=name)
def test_says_what_it_is(path: Path) -> None:
    tree = ast.parse(path.read_text())
    assert not tree.body or ast.get_docstring(tree) or name(path) == "kernel/_abi.py"


@pytest.mark.parametrize("path", FILES, ids=name)
def test_only_the_console_writes(path: Path) -> None:
    if name(path) == "output/emit.py":
        return
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            assert called != "print", f"line {node.lineno}"
            assert not re.search(r"\bstd(out|err)(\.buffer)?\.write", called), f"line {node.lineno}"


def test_names_no_place_of_one_machine() -> None:
    found = {
        f"{path.relative_to(ROOT)}: {match[0]}"
        for path in texts()
        if path.resolve() != Path(__file__).resolve()
        for match in MACHINE.finditer(path.read_text(errors="replace"))
    }
    assert not found
