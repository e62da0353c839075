"""pybpftool as a process among others: pipes, signals, descriptors, its own modules."""

from __future__ import annotations

import re
import signal
import subprocess
import sys

import pytest

from tests.live.compare import Both, difference, ours
from tests.live.zoo import KINDS, Kind, indexed, made
from tests.support.run import Ended

OURS = [sys.executable, "-m", "pybpftool"]
LARGE = Kind("large", "array", 4, 8, entries=200_000, fill=indexed(8, 3))


def run(*words: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    """Run ``pybpftool WORDS…`` as a process."""
    return subprocess.run([*OURS, *words], input=stdin, capture_output=True, text=True, timeout=60)


def test_same_as_in_this_process(both: Both, pins: str) -> None:
    with made(KINDS["a4"], pins) as map:
        for words in (
            ["map", "dump", "id", str(map.id)],
            ["map", "show", "id"],
            ["-j", "map", "nonsense"],
        ):
            done = run(*words)
            here = ours(*words)
            spoken = done.stderr.replace("Usage: pybpftool", "Usage: bpftool").replace(
                "  pybpftool", "  bpftool"
            )
            assert (done.stdout, spoken, done.returncode) == (here.out, here.err, here.status)


@pytest.mark.parametrize("form", [[], ["-j"], ["-p"]], ids=["plain", "compact", "pretty"])
def test_head(form: list[str], both: Both, pins: str) -> None:
    """Behind ``| head -c`` it stops at once and says nothing."""
    with made(LARGE, pins) as map:
        process = subprocess.Popen(
            [*OURS, *form, "map", "dump", "id", str(map.id)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        with process:
            assert process.stdout and process.stderr
            assert process.stdout.read(10)
            process.stdout.close()
            assert process.wait(20) == -signal.SIGPIPE
            assert process.stderr.read() == b""


def test_interrupt(both: Both, pins: str) -> None:
    """Ctrl-C ends it by SIGINT, without a word."""
    with made(LARGE, pins) as map:
        process = subprocess.Popen(
            [*OURS, "-p", "map", "dump", "id", str(map.id)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            # whoever runs the tests in the background had it ignored
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL) and None,
        )
        with process:
            assert process.stdout and process.stderr
            assert process.stdout.read(10)  # it is at work, and stuck until somebody reads on
            process.send_signal(signal.SIGINT)
            assert process.wait(20) == -signal.SIGINT
            assert process.stderr.read() == b""


def test_batch_from_a_pipe(both: Both, pins: str) -> None:
    with made(KINDS["a4"], pins) as map:
        lines = f"map show id {map.id}\nmap lookup id {map.id} key 0 0 0 0\n"
        done = run("batch", "file", "-", stdin=lines)
        theirs = both.reference("batch", "file", "-", stdin=lines.encode())
        mine = Ended(done.stdout.encode(), done.stderr.encode(), done.returncode)
        mine.out = re.sub(r"\n\tpids .*", "", mine.out)  # this process holds the map
        problem = difference(["batch"], mine, theirs, both.reference)
        assert not problem, problem


def test_start_imports_little(both: Both, pins: str) -> None:
    """What would be felt on every start is not imported for a map in hexadecimal."""
    with made(KINDS["a4"], pins) as map:
        done = subprocess.run(
            [
                sys.executable,
                "-X",
                "importtime",
                "-m",
                "pybpftool",
                "map",
                "dump",
                "id",
                str(map.id),
            ],
            capture_output=True,
            text=True,
        )
    assert done.returncode == 0
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert "pybpftool.kernel.calls" in imported
    assert not imported & {"click", "rich", "elftools", "re", "json", "typing", "dataclasses"} - {
        "runpy"
    }
