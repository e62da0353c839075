"""What is shipped: one wheel without machine code, a complete source archive, a working script."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from importlib.util import find_spec
from pathlib import Path

import pytest

from pybpftool import __version__
from tests import regen

ROOT = Path(__file__).resolve().parents[1]

LEFT_BEHIND = shutil.ignore_patterns(
    ".git",
    "build",
    "dist",
    "*.egg-info",
    "__pycache__",
    ".*_cache",
    ".hypothesis",
    ".tox",
    ".venv*",
)


def run(*argv: str | Path, cwd: Path) -> str:
    # a checkout on the search path would pass for an installed package
    env = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(argv, cwd=cwd, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of this checkout: building leaves files behind, and finds those of earlier builds."""
    copy = tmp_path_factory.mktemp("package") / "checkout"
    shutil.copytree(ROOT, copy, ignore=LEFT_BEHIND)
    return copy


def build(checkout: Path, kind: str) -> Path:
    """The archive that the build backend makes; ``kind``: wheel or sdist."""
    into = checkout.parent / kind
    into.mkdir(exist_ok=True)
    code = f"from setuptools import build_meta; build_meta.build_{kind}({str(into)!r})"
    run(sys.executable, "-c", code, cwd=checkout)
    [made] = into.iterdir()
    return made


@pytest.fixture(scope="module")
def wheel(checkout: Path) -> Path:
    pytest.importorskip("setuptools", minversion="70.1")  # older ones need wheel beside them
    return build(checkout, "wheel")


def test_one_wheel_for_every_machine(wheel: Path) -> None:
    assert wheel.name == f"pybpftool-{__version__}-py3-none-any.whl"


def test_wheel_holds_the_package_and_no_more(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    package = {str(path.relative_to(ROOT)) for path in (ROOT / "pybpftool").rglob("*.py")}
    package |= {"pybpftool/py.typed", "pybpftool/kernel/abi.h"}
    data = f"pybpftool-{__version__}.data"
    shared = {
        *(f"data/share/man/man8/{path.name}" for path in (ROOT / "man").iterdir()),
        "scripts/pybpftool",
        "data/share/bash-completion/completions/pybpftool",
        "data/share/zsh/site-functions/_pybpftool",
        "data/share/fish/vendor_completions.d/pybpftool.fish",
    }
    expected = package | {f"{data}/{name}" for name in shared}
    assert {name for name in names if ".dist-info/" not in name} == expected
    assert any(name.endswith("LICENSE") for name in names)


def test_wheel_says_what_it_needs(wheel: Path) -> None:
    archive = zipfile.ZipFile(wheel)
    [name] = [name for name in archive.namelist() if name.endswith(".dist-info/METADATA")]
    metadata = archive.read(name).decode()
    for line in ("Requires-Python: >=3.10", "License: BSD-2-Clause"):
        assert line in metadata
    needs = [line for line in metadata.splitlines() if line.startswith("Requires-Dist:")]
    always = {line.split()[1].partition(">")[0] for line in needs if "extra" not in line}
    assert always == {"cffi", "click", "pyelftools", "rich"}


def test_source_archive_is_complete(checkout: Path) -> None:
    pytest.importorskip("setuptools", minversion="70.1")  # older ones need wheel beside them
    with tarfile.open(build(checkout, "sdist")) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    for place in ("pybpftool", "tests", "docs", "examples", "man", "completions", "benchmarks"):
        for path in (checkout / place).rglob("*"):
            if path.is_file() and "__pycache__" not in path.parts:
                assert str(path.relative_to(checkout)) in names
    for name in ("LICENSE", "README.md", "CHANGELOG.md", "tox.ini", "run-tests", ".ci/run"):
        assert name in names


def test_installed_script(wheel: Path, tmp_path: Path) -> None:
    """In a fresh environment without a compiler; the libraries are those of this one."""
    run(sys.executable, "-m", "venv", "--without-pip", tmp_path / "venv", cwd=tmp_path)
    python = tmp_path / "venv/bin/python"
    pip = [sys.executable, "-m", "pip", "--python", str(python), "--disable-pip-version-check"]
    run(*pip, "install", "--no-deps", "--no-index", wheel, cwd=tmp_path)
    site = sysconfig.get_path("purelib", vars={"base": str(tmp_path / "venv")})
    libraries = {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}
    Path(site, "libraries.pth").write_text("\n".join(sorted(libraries)))

    script = tmp_path / "venv/bin/pybpftool"
    assert run(script, "version", cwd=tmp_path).startswith(f"pybpftool v{__version__}\n")
    located = run(python, "-c", "import pybpftool; print(pybpftool.__file__)", cwd=tmp_path)
    assert located.startswith(str(tmp_path))

    argv = [python, "-X", "importtime", script, "version"]
    told = subprocess.run(argv, capture_output=True, text=True, check=True).stderr
    brought = {line.rsplit("|", 1)[-1].strip() for line in told.splitlines()}
    assert "pybpftool.cli.main" in brought and "re" not in brought

    (tmp_path / "bpftool").symlink_to(script)
    assert run(tmp_path / "bpftool", "version", cwd=tmp_path).startswith("bpftool v7.")


def test_one_file_that_python_runs(tmp_path: Path) -> None:
    """Only Python, the file, and cffi's machine code beside it."""
    archive = tmp_path / "pybpftool.pyz"
    run(sys.executable, "-m", "tests.zipapp", archive, cwd=ROOT)
    backend = find_spec("_cffi_backend")
    assert backend is not None and backend.origin is not None
    shutil.copy(backend.origin, tmp_path)
    code = f"import runpy, sys; sys.path.insert(0, {str(tmp_path)!r}); "
    for word, first in (("version", "pybpftool v"), ("help", "Usage: pybpftool ")):
        program = f"{code}sys.argv = ['pybpftool', {word!r}]; runpy.run_path({str(archive)!r})"
        argv = [sys.executable, "-S", "-E", "-c", program]
        done = subprocess.run(argv, cwd=tmp_path, capture_output=True, text=True)
        assert (done.stdout + done.stderr).startswith(first), done


@pytest.mark.parametrize("kind", ["wheel", "sdist"])
def test_an_index_would_take_it(checkout: Path, wheel: Path, kind: str) -> None:
    pytest.importorskip("twine")
    made = wheel if kind == "wheel" else build(checkout, "sdist")
    run(sys.executable, "-m", "twine", "check", "--strict", made, cwd=checkout)


def test_generated_files_are_fresh() -> None:
    """``python -m tests.regen`` makes them anew."""
    assert list(regen.stale()) == []
