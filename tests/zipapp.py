"""The tool as one file that Python runs: ``python -m tests.zipapp FILE``.

In it are the package and its libraries of pure Python; cffi's ``_cffi_backend``, which is machine
code, must be where it is run (``apt install python3-cffi-backend``).  Libraries are taken from the
Python that runs this.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
import zipapp
from importlib.util import find_spec
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
LIBRARIES = ("click", "elftools", "rich", "markdown_it", "mdurl", "pygments")


def make(target: Path) -> None:
    """Write the archive, compressed, with a first line that starts it."""
    unwanted = shutil.ignore_patterns("__pycache__", "*.so", "tests")
    with tempfile.TemporaryDirectory() as directory:
        inside = Path(directory, "inside")
        shutil.copytree(ROOT / "pybpftool", inside / "pybpftool", ignore=unwanted)
        for name in LIBRARIES:
            spec = find_spec(name)
            assert spec is not None and spec.origin is not None, f"{name} is not installed"
            shutil.copytree(Path(spec.origin).parent, inside / name, ignore=unwanted)
        target.parent.mkdir(exist_ok=True)
        zipapp.create_archive(
            inside, target, "/usr/bin/env python3", "pybpftool.cli.main:main", compressed=True
        )


if __name__ == "__main__":
    make(Path(sys.argv[1]))
