"""The bpftool that pybpftool is held against."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from typing import Any

from tests.support.run import Ended


class Reference:
    """An installed bpftool: ``path``, ``version`` (such as (7, 1)).

    The one that PYBPFTOOL_REFERENCE names, else the one in PATH.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        first = self("version").out.partition("\n")[0]
        self.version = tuple(int(number) for number in re.findall(r"\d+", first)[:2])

    @classmethod
    def find(cls) -> Reference | None:
        """The reference, None where there is none."""
        path = os.environ.get("PYBPFTOOL_REFERENCE") or shutil.which("bpftool")
        return cls(path) if path else None

    def start(self, *words: str, **how: object) -> subprocess.Popen[bytes]:
        """Start ``bpftool WORDS…``; ``how``: arguments of Popen."""
        # by its plain name: older ones repeat in their help what they were called
        popen: Any = subprocess.Popen
        started: subprocess.Popen[bytes] = popen(["bpftool", *words], executable=self.path, **how)
        return started

    def __call__(
        self, *words: str, stdin: bytes = b"", env: Mapping[str, str] | None = None
    ) -> Ended:
        """Run ``bpftool WORDS…`` to its end."""
        environment = {**os.environ, **(env or {})}
        pipe = subprocess.PIPE
        process = self.start(*words, stdin=pipe, stdout=pipe, stderr=pipe, env=environment)
        out, err = process.communicate(stdin, timeout=30)
        status = process.returncode
        return Ended(out, err, status if status >= 0 else 128 - status)
