"""bash and jq scripts as people write them for bpftool, run with either tool as ``bpftool``."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.live.compare import Both
from tests.live.zoo import TOKEN
from tests.support.need import need

SCRIPTS = sorted(Path(__file__).with_name("scripts").glob("*.sh"))
CHECKOUT = Path(__file__).parents[2]


@pytest.fixture(params=["ours", "reference"])
def tool(request: pytest.FixtureRequest, both: Both, tmp_path: Path) -> Path:
    """A directory for PATH with a ``bpftool`` in it."""
    directory = tmp_path / "bin"
    directory.mkdir()
    bpftool = directory / "bpftool"
    if request.param == "reference":
        bpftool.symlink_to(both.reference.path)
    else:
        bpftool.write_text(
            f"#!{sys.executable}\n"
            f"import sys\nsys.path.insert(0, {str(CHECKOUT)!r})\n"
            "from pybpftool.cli.main import main\nmain()\n"
        )
        bpftool.chmod(0o755)
    return directory


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_script(script: Path, tool: Path, tmp_path: Path, pins: str) -> None:
    for command in ("bash", "jq"):
        need(shutil.which(command), f"no {command} in PATH")
    places = {"PINS": pins, "TMP": str(tmp_path), "NAME": TOKEN}
    done = subprocess.run(
        ["bash", str(script)],
        env={**os.environ, **places, "PATH": f"{tool}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        timeout=120,
    )
    for name in os.listdir(pins):
        os.unlink(os.path.join(pins, name))
    assert done.stdout == script.with_suffix(".out").read_text(), done.stderr
    assert (done.returncode, done.stderr) == (0 if script.stem != "queue" else 254, "")
