"""Object files for tests, made by clang."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from tests.support.need import need

HEAD = """
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
char _license[] SEC("license") = "GPL";
"""


def compiled(directory: Path, name: str, text: str, *, head: str = HEAD) -> str:
    """Path of ``name.o``, made of a C text behind ``head``; the test is skipped without clang."""
    need(shutil.which("clang"), "needs clang")
    source, made = directory / f"{name}.c", directory / f"{name}.o"
    source.write_text(head + text)
    include = f"-I/usr/include/{os.uname().machine}-linux-gnu"
    command = ["clang", "-g", "-O2", "-target", "bpf", include, "-c", source, "-o", made]
    subprocess.run(command, check=True)
    return str(made)
