"""The command line, run in this process: what it wrote and how it ended."""

from __future__ import annotations

import io
import json
from typing import Any

from pybpftool.cli.main import run
from pybpftool.output.emit import Console


class Ended:
    """What one run left: ``out``, ``err`` (text) and ``status``."""

    def __init__(self, out: bytes, err: bytes, status: int) -> None:
        self.out = out.decode("utf-8", "surrogateescape")
        self.err = err.decode("utf-8", "surrogateescape")
        self.status = status

    @property
    def json(self) -> Any:
        """The document on stdout; fails where it is not exactly one."""
        return json.loads(self.out)

    def __repr__(self) -> str:
        return f"Ended(out={self.out!r}, err={self.err!r}, status={self.status})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Ended) and repr(self) == repr(other)

    __hash__ = None  # type: ignore[assignment]  # compared, never kept in sets


def pybpftool(*words: str, prog: str = "pybpftool") -> Ended:
    """Run ``pybpftool WORDS…`` without a new process."""
    out, err = io.BytesIO(), io.BytesIO()
    status = run([prog, *words], Console(out, err))
    return Ended(out.getvalue(), err.getvalue(), status)
