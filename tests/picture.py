"""The picture of a terminal in the README, of a real session: ``python -m tests.picture`` (root).

It makes a map with types and a program, shows them, and takes them away again.
"""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import ExitStack
from io import StringIO
from pathlib import Path

from rich.console import Console
from rich.text import Text

from pybpftool.insn import code as c
from pybpftool.insn.asm import exit_, jump, jump_imm, ldx, mov64_imm
from pybpftool.kernel import calls
from tests.live.programs import Function, Source, load, of

ROOT = Path(__file__).resolve().parents[1]
MAP, PROG = "/sys/fs/bpf/traffic", "/sys/fs/bpf/drop_small"
LINES = (
    f"pybpftool map show pinned {MAP}",
    f"pybpftool map update pinned {MAP} key '"
    '{"address": "10.0.0.7", "port": 70000}'
    "' value '{}'",
    f"pybpftool -j map dump pinned {MAP} | jq -c '.[].formatted | [.key.port, .value.packets]'",
    f"pybpftool prog dump xlated pinned {PROG}",
    "pybpftool feature probe helper bpf_redirect type xdp",
)
SMALL = Source(
    "drop_small",
    of(
        ldx(c.W, 2, 1, 0),
        jump_imm(c.JGT, 2, 63, 2),
        mov64_imm(0, 2),
        jump(1),
        mov64_imm(0, 0),
        exit_(),
    ),
    (Function(0, "drop_small", static=False),),
    (
        (0, "if (skb->len < 64)", 4, 9),
        (2, "return TC_ACT_SHOT;", 5, 3),
        (4, "return TC_ACT_OK;", 6, 2),
    ),
    type="sched_cls",
)


def main() -> None:
    """Run the session and write docs/terminal.svg."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    tool = f'pybpftool() {{ {sys.executable} -m pybpftool --color=always "$@"; }}; '
    console = Console(record=True, width=106, file=StringIO(), force_terminal=True)
    with ExitStack() as stack:
        typed = [sys.executable, ROOT / "examples/typed_map.py", MAP]
        subprocess.run(typed, check=True, env=environment)
        stack.callback(os.unlink, MAP)
        calls.obj_pin(load(SMALL, stack), PROG)
        stack.callback(os.unlink, PROG)
        for line in LINES:
            done = subprocess.run(
                ["bash", "-c", tool + line],
                env=environment,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            )
            answer = Text.from_ansi(done.stdout.expandtabs())
            # a piece of text that begins or ends with blanks loses them in some programs that
            # draw SVG: pieces of their own take their place
            answer.highlight_regex(" +", "blink")
            console.print(Text("# ", style="bold green") + Text(line, style="bold"))
            console.print(answer)
    (ROOT / "docs/terminal.svg").write_text(console.export_svg(title="pybpftool", unique_id="t"))


if __name__ == "__main__":
    main()
