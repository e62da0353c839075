"""Run inside a test machine: prints as JSON what the machine offers to the live tests."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path


def bpftool(*argv: str) -> dict[str, object]:
    done = subprocess.run(["bpftool", *argv], capture_output=True, text=True)
    return {"status": done.returncode, "stdout": done.stdout, "stderr": done.stderr}


def imports(*names: str) -> str:
    """The error of importing these with a new interpreter; empty when there is none."""
    argv = [sys.executable, "-c", "import " + ", ".join(names)]
    return subprocess.run(argv, capture_output=True, text=True).stderr


mounts = [line.split() for line in Path("/proc/mounts").read_text().splitlines()]
modules = [line.split() for line in Path("/proc/modules").read_text().splitlines()]
json.dump(
    {
        "release": os.uname().release,
        "mounts": {place: kind for _, place, kind, *_ in mounts},
        "modules": [name for name, *_ in modules],
        "btf": os.listdir("/sys/kernel/btf"),
        "lsm": Path("/sys/kernel/security/lsm").read_text().split(","),
        "kprobe_events": os.path.exists("/sys/kernel/tracing/kprobe_events"),
        "loopback": int(Path("/sys/class/net/lo/flags").read_text(), 16),
        "imports": imports("_cffi_backend", "click", "rich", "elftools", "pytest", "pybpftool"),
        "version": bpftool("version"),
        "prog": bpftool("-j", "prog"),
    },
    sys.stdout,
)
