"""The picture of a terminal in the README, of a real session: ``python -m tests.picture`` (root).

It makes a map with types, shows it, and takes it away again.
"""

from __future__ import annotations

import os
import subprocess
import sys
from io import StringIO
from pathlib import Path

from rich.console import Console
from rich.text import Text

ROOT = Path(__file__).resolve().parents[1]
PLACE = "/sys/fs/bpf/traffic"
LINES = (
    f"pybpftool map show pinned {PLACE}",
    f"pybpftool map update pinned {PLACE} key '"
    '{"address": "10.0.0.7", "port": 70000}'
    "' value '{}'",
    f"pybpftool -j map dump pinned {PLACE} | jq -c '.[].formatted | [.key.port, .value.packets]'",
    "pybpftool btf layout list_head",
    "pybpftool feature probe helper bpf_redirect type xdp",
)


def main() -> None:
    """Run the session and write docs/terminal.svg."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    subprocess.run(
        [sys.executable, ROOT / "examples/typed_map.py", PLACE], check=True, env=environment
    )
    tool = f'pybpftool() {{ {sys.executable} -m pybpftool "$@"; }}; '
    console = Console(record=True, width=112, file=StringIO(), force_terminal=True)
    try:
        for line in LINES:
            done = subprocess.run(
                ["bash", "-c", tool + line],
                env=environment,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            )
            console.print(Text("# ", style="bold green") + Text(line, style="bold"))
            console.print(Text.from_ansi(done.stdout.expandtabs()))
    finally:
        Path(PLACE).unlink()
    (ROOT / "docs/terminal.svg").write_text(console.export_svg(title="pybpftool", unique_id="t"))


if __name__ == "__main__":
    main()
