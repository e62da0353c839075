"""What a test needs of the computer, and what becomes of it where that is missing."""

from __future__ import annotations

import os
from typing import NoReturn

import pytest


def need(condition: object, reason: str) -> None:
    """Skip the test unless ``condition`` holds; with PYBPFTOOL_LIVE=1, fail it.

    For what whoever runs the tests can provide: root, a tool, a mount.  What a kernel was not
    built with is no one's fault here: ``kernel_lacks`` is for that.
    """
    if not condition:
        give_up = pytest.fail if os.environ.get("PYBPFTOOL_LIVE") == "1" else pytest.skip
        give_up(reason)


def kernel_lacks(what: str, answer: object) -> NoReturn:
    """Skip the test: the kernel itself refused ``what``, saying ``answer``."""
    pytest.skip(f"this kernel lacks {what}: {answer}")
