"""What the documents say, held against what is."""

from __future__ import annotations

import doctest
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import pybpftool as pybpftool_module
from pybpftool.kernel.handles import Map
from tests.live.differences import DIFFERENCES
from tests.support.need import need
from tests.support.run import pybpftool

ROOT = Path(__file__).resolve().parents[1]
PAGES = [*sorted(ROOT.glob("*.md")), *sorted(ROOT.glob("docs/*.md"))]


def rows() -> list[list[str]]:
    """The table of differences, without its head."""
    lines = (ROOT / "docs/differences.md").read_text().splitlines()
    table = [line for line in lines if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table[2:]]


def test_differences_are_those_of_the_data() -> None:
    assert [row[0] for row in rows()] == list(DIFFERENCES)


@pytest.mark.parametrize("row", rows(), ids=lambda row: row[0])
def test_a_difference_is_told_and_tested(row: list[str]) -> None:
    name, theirs, ours, test = row
    assert theirs.endswith(".") and ours.endswith(".")
    file, _, function = test.rpartition("::")
    source = (ROOT / (file or "tests/live/test_differences.py")).read_text()
    assert f"def {function}(" in source
    # the test names the row, or is named for it
    assert f'"{name}"' in source or name.replace("-", "_") in source


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)", page.read_text()):
        assert target.startswith("https://") or (page.parent / target).exists(), target


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_files_that_are_named_exist(page: Path) -> None:
    named = re.findall(r"`((?:tests|pybpftool|docs|examples)/[\w./*-]+)`", page.read_text())
    for name in named:
        assert list(ROOT.glob(name)), name


RUN = [
    "README.md",
    "docs/cookbook.md",
    "docs/man-examples.md",
    "docs/tutorial.md",
    "docs/typed-data.md",
]
"""The pages whose lines behind ``#`` are run."""


@pytest.mark.parametrize("page", RUN)
def test_lines_of_a_page(page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The lines of a page, run on maps of other names, answer as it says."""
    need(os.geteuid() == 0 and os.path.ismount("/sys/fs/bpf"), "needs root and /sys/fs/bpf")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    tool_path = tmp_path / "bin" / "pybpftool"
    tool_path.parent.mkdir()
    tool_path.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m pybpftool "$@"\n')
    tool_path.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tool_path.parent}:{os.environ['PATH']}")
    place = f"/sys/fs/bpf/page_{os.getpid()}_"
    text = (ROOT / page).read_text().replace("/sys/fs/bpf/", place)
    parts = re.findall(r"^    # (.*)\n((?:    [^#\n].*\n|\n(?=        ))*)", text, re.MULTILINE)
    assert len(parts) > 5
    if any(line.startswith("clang ") for line, _ in parts):
        need(shutil.which("clang"), "needs clang")
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    try:
        for line, answer in parts:
            tool, *words = shlex.split(line)
            if {"|", ">", "$("} & set(re.findall(r"\$\(|(?<= )[|>](?= )", line)):
                need(shutil.which("jq"), "no jq in PATH")
                done = subprocess.run(["bash", "-c", line], capture_output=True, text=True)
                assert _same(done.stderr + done.stdout) == _same(answer)
            elif tool.startswith("examples/"):
                subprocess.run([sys.executable, ROOT / tool, *words], check=True)
            elif tool != "pybpftool":
                done = subprocess.run([tool, *words], capture_output=True, text=True)
                assert (_same(done.stderr + done.stdout), done.returncode) == (_same(answer), 0)
            else:
                ended = pybpftool(*words)
                fails = answer.lstrip().startswith("Error:") or " is NOT " in answer
                assert bool(ended.status) == fails, ended
                assert _same(ended.err + ended.out) == _same(answer)
    finally:
        for left in Path("/sys/fs/bpf").glob(f"{Path(place).name}*"):
            shutil.rmtree(left) if left.is_dir() else left.unlink()


def test_the_program_of_the_tutorial_is_the_example() -> None:
    text = (ROOT / "docs/tutorial.md").read_text()
    [shown] = re.findall(
        r"^    #include \"vmlinux.h\"\n(?:    .*\n|\n(?=    ))+", text, re.MULTILINE
    )
    whole = (ROOT / "examples/tasks.bpf.c").read_text()
    assert whole.endswith("\n\n" + re.sub("^    ", "", shown, flags=re.MULTILINE))


def test_lines_of_the_api(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every ``>>>`` of docs/api.md, on a map of another name."""
    need(os.geteuid() == 0 and os.path.ismount("/sys/fs/bpf"), "needs root and /sys/fs/bpf")
    monkeypatch.chdir(ROOT)
    text = api_text(loading=False)
    place = f"/sys/fs/bpf/api_{os.getpid()}"
    argv = [sys.executable, "examples/typed_map.py", place]
    subprocess.run(argv, check=True, env={**os.environ, "PYTHONPATH": str(ROOT)})
    try:
        with Map.pinned(place) as map:
            text = text.replace("/sys/fs/bpf/traffic", place)
            text = text.replace('info.name == "traffic"', f"info.id == {map.info.id}")
        lines = doctest.DocTestParser().get_doctest(text, {}, "api.md", "docs/api.md", 0)
        assert len(lines.examples) > 10
        told: list[str] = []
        doctest.DocTestRunner().run(lines, out=told.append)
        assert not told, "".join(told)
    finally:
        Path(place).unlink(missing_ok=True)


def api_text(*, loading: bool) -> str:
    """The section on object files, which needs a compiler, or all the others."""
    head, part, rest = (ROOT / "docs/api.md").read_text().partition("## Loading an object file\n")
    assert part
    part, mark, rest = rest.partition("\n## ")
    return part if loading else head + mark + rest


def test_lines_of_the_api_on_an_object_file(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    need(os.geteuid() == 0 and os.path.ismount("/sys/fs/bpf"), "needs root and /sys/fs/bpf")
    need(shutil.which("clang"), "needs clang")
    text = api_text(loading=True)
    [command] = re.findall(r"^    # (clang .*)$", text, re.MULTILINE)
    made = tmp_path / "packets.bpf.o"
    subprocess.run(["bash", "-c", command.replace(made.name, str(made))], check=True, cwd=ROOT)
    monkeypatch.chdir(tmp_path)
    text = text.replace("/sys/fs/bpf/", f"/sys/fs/bpf/api_{os.getpid()}_")
    known = {"pybpftool": pybpftool_module}  # imported further up on the page
    lines = doctest.DocTestParser().get_doctest(text, known, "api.md", "docs/api.md", 0)
    assert len(lines.examples) > 4
    told: list[str] = []
    doctest.DocTestRunner().run(lines, out=told.append)
    assert not told, "".join(told)
    assert not list(Path("/sys/fs/bpf").glob(f"api_{os.getpid()}_*"))


def _same(text: str) -> str:
    """A text without what differs from one map or kernel to the next, and without indentation."""
    text = re.sub(r"^\s*\d+: ", "ID: ", text, flags=re.MULTILINE)
    return re.sub(r"^\s+", "", re.sub(r"memlock \d+B", "memlock", text), flags=re.MULTILINE)


def test_ci_runs_the_command_of_the_readme() -> None:
    command = "./run-tests"
    assert f"    sudo {command}\n" in (ROOT / "README.md").read_text()
    lines = (ROOT / ".ci/run").read_text().splitlines()
    [code] = [line for line in lines if line and not line.startswith("#")]
    assert code == f'cd "$(dirname "${{BASH_SOURCE[0]}}")/.." && exec {command}'
