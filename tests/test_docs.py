"""What the documents say, held against what is."""

from __future__ import annotations

import configparser
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
from pybpftool import CONTRACT
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


def tool_in(directory: Path) -> Path:
    """The directory, made with a ``pybpftool`` in it that runs what is tested here."""
    directory.mkdir()
    tool = directory / "pybpftool"
    tool.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m pybpftool "$@"\n')
    tool.chmod(0o755)
    return directory


@pytest.mark.parametrize("page", RUN)
def test_lines_of_a_page(page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The lines of a page, run on maps of other names, answer as it says."""
    need(os.geteuid() == 0 and os.path.ismount("/sys/fs/bpf"), "needs root and /sys/fs/bpf")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("PATH", f"{tool_in(tmp_path / 'bin')}:{os.environ['PATH']}")
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


def indented(page: str) -> list[str]:
    """The lines of a page that are set off by four blanks."""
    return re.findall(r"^    (\S.*)$", (ROOT / page).read_text(), re.MULTILINE)


def test_lines_that_put_it_in_bpftools_place(tmp_path: Path) -> None:
    """Run in a home, and with a directory of alternatives, that are thrown away."""
    need(shutil.which("update-alternatives"), "needs update-alternatives")
    for name in ("bin", "sbin", "alternatives", "admin"):
        (tmp_path / name).mkdir()
    tool = tmp_path / "pybpftool"
    tool.write_text(
        f"#!{sys.executable}\n"
        "import sys\n"
        f"sys.path.insert(0, {str(ROOT)!r})\n"
        "from pybpftool.cli.main import main\n"
        "main()\n"
    )
    tool.chmod(0o755)
    elsewhere = (
        f"update-alternatives() {{ command update-alternatives --altdir {tmp_path}/alternatives "
        f'--admindir {tmp_path}/admin --log {tmp_path}/log --quiet "$@"; }}\n'
    )
    environment = {"HOME": str(tmp_path), "PATH": f"{tmp_path}:/usr/sbin:/usr/bin:/sbin:/bin"}
    link, alternative = tmp_path / "bin/bpftool", tmp_path / "sbin/bpftool"
    there = []
    for line in indented("docs/replacing-bpftool.md"):
        line = line.replace("/usr/local/sbin", str(alternative.parent))
        subprocess.run(["bash", "-ec", elsewhere + line], env=environment, check=True)
        there.append([path for path in (link, alternative) if path.exists()])
        for path in there[-1]:
            said = subprocess.run([path, "version"], env=environment, capture_output=True)
            assert said.stdout.decode().startswith(f"bpftool v{CONTRACT}\n")
    assert there == [[link], [link, alternative], [link]]


@pytest.mark.parametrize(
    ("shell", "ask"),
    [
        ("bash", "complete -p pybpftool"),
        ("zsh", "print -r -- $_comps[pybpftool]"),
        ("fish", "complete -c pybpftool"),
    ],
)
def test_lines_that_tell_a_shell_of_the_completion(shell: str, ask: str, tmp_path: Path) -> None:
    """Run over the files of an environment, laid out as the package lays them out."""
    need(shutil.which(shell), f"{shell} is not installed")
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg")
    for directory, files in setup["options.data_files"].items():
        (tmp_path / directory).mkdir(parents=True)
        for file in files.split():
            shutil.copy(ROOT / file, tmp_path / directory)
    startup = {"bash": "~/.bashrc", "zsh": "~/.zshrc", "fish": "config.fish"}[shell]
    [line] = [line for line in indented("docs/tutorial.md") if line.endswith(f"# {startup}")]
    bare = {"bash": "--norc", "zsh": "-f", "fish": "--no-config"}[shell]
    environment = {**os.environ, "VIRTUAL_ENV": str(tmp_path), "HOME": str(tmp_path)}
    done = subprocess.run(
        [shell, bare, "-c", f"{line}\n{ask}"], env=environment, capture_output=True, text=True
    )
    assert done.stderr == ""
    assert "_pybpftool" in done.stdout


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


def test_the_tables_of_performance_can_be_made_anew(tmp_path: Path) -> None:
    """By the command that the page names: every section, of small maps, in a copy of the page."""
    types = os.path.exists("/sys/kernel/btf/vmlinux")
    need(os.geteuid() == 0 and types, "needs root and the kernel's types")
    for tool in ("bpftool", "clang"):
        need(shutil.which(tool), f"needs {tool}")
    page = "docs/performance.md"
    for file in ("benchmarks/run.py", page):
        (tmp_path / file).parent.mkdir()
        shutil.copy(ROOT / file, tmp_path / file)
    for room in ("pybpftool", "tests"):
        (tmp_path / room).symlink_to(ROOT / room)
    tools = tool_in(tmp_path / "bin")
    (tools / "python").symlink_to(sys.executable)
    environment = {
        **os.environ,
        "PATH": f"{tools}:{os.environ['PATH']}",
        "PYTHONPATH": ":".join([str(tmp_path), *filter(None, sys.path)]),
        "PYBPFTOOL_NEWER_REFERENCE": "",
    }
    [command] = [line for line in indented(page) if line.startswith("python ")]
    words = [*shlex.split(command), "--once", "--entries", "1000"]
    done = subprocess.run(words, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert (done.stderr, done.returncode) == ("", 0)
    assert (tmp_path / page).read_text() != (ROOT / page).read_text()
    (prose, rows), (new_prose, new_rows) = map(_without_figures, (ROOT, tmp_path))
    assert prose == new_prose
    assert rows <= new_rows


def _without_figures(root: Path) -> tuple[list[str], set[str]]:
    """The lines of the page outside of its tables, and the names of all rows; without numbers."""
    lines = re.sub(r"[\d.,]+", "N", (root / "docs/performance.md").read_text()).splitlines()
    in_tables = {line for line in lines if line.startswith("|")}
    return [line for line in lines if line not in in_tables], {
        line.split("|")[1] for line in in_tables
    }


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
