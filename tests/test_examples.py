"""The examples do what they say."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.support.need import need
from tests.support.run import pybpftool

ROOT = Path(__file__).resolve().parents[1]

FIRST = {
    "key": {"address": [10, 0, 0, 7], "port": 443, "protocol": "TCP"},
    "value": {"packets": 1204, "bytes": 918203, "verdict": "PASS", "owner": "nginx"},
}


def example(name: str, *words: str) -> str:
    done = subprocess.run(
        [sys.executable, ROOT / "examples" / name, *words],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert (done.stderr, done.returncode) == ("", 0)
    return done.stdout


def entries(text: str) -> list[Any]:
    """The entries of a typed dump, which here is also JSON, in the order of ports."""
    return sorted(json.loads(text), key=lambda entry: -entry["key"]["port"])


def test_recorded_entries_read_as_those_of_a_map() -> None:
    shown = example("offline.py")
    assert len(entries(shown)) == 3
    assert entries(shown)[0] == FIRST

    need(os.geteuid() == 0 and os.path.ismount("/sys/fs/bpf"), "needs root and /sys/fs/bpf")
    place = f"/sys/fs/bpf/example_{os.getpid()}"
    try:
        assert example("typed_map.py", place) == ""
        dumped = pybpftool("map", "dump", "pinned", place)
        assert (dumped.err, dumped.status) == ("", 0)
        assert entries(dumped.out) == entries(shown)
    finally:
        Path(place).unlink(missing_ok=True)
