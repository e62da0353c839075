"""How the kernel was built and is set: /proc/sys, and the .config it was made from."""

from __future__ import annotations

from ..errors import PybpftoolError
from ..kernel import bpffs, config
from ..kernel.proc import read_text
from .tables import SYSCTLS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

PROC_SUPER_MAGIC = 0x9FA0
"""linux/magic.h."""

_SECOND_LINE = "# Automatically generated file; DO NOT EDIT."
_LONG = 1 << 63


def sysctls() -> dict[str, int] | None:
    """key -> number, -1 where the file holds none; None where /proc is not the kernel's."""
    if bpffs.fs_magic("/proc") != PROC_SUPER_MAGIC:
        return None
    return {key: _number(read_text(f"/proc/sys/{path}")) for key, path in SYSCTLS.items()}


def _number(text: str | None) -> int:
    first, end, _ = (text or "").partition("\n")
    digits = first.lstrip(" \t").lstrip("+-")
    if not end or not (digits.isascii() and digits.isdigit()) or len(digits) > 19:
        return -1
    try:
        number = int(first)
    except ValueError:  # more than one sign
        return -1
    return number if -_LONG <= number < _LONG else -1


def options(names: Iterable[str]) -> dict[str, str | None]:
    """``CONFIG_NAME`` -> its value as written, None where it is not set; the first of two wins.

    Raises PybpftoolError with why the file, /boot/config-RELEASE or /proc/config.gz, is no use.
    """
    text = "\n" + _config()
    found: dict[str, str | None] = {}
    for name in names:
        mark = f"\nCONFIG_{name}="
        at = text.find(mark)
        value = text[at + len(mark) : text.find("\n", at + 1)] if at >= 0 else ""
        found[mark[1:-1]] = value or None
    return found


def _config() -> str:
    try:
        text = config.text()
    except OSError as error:
        raise PybpftoolError(f"can't open file: {error.strerror}") from error
    if text.split("\n", 2)[1:2] != [_SECOND_LINE]:
        raise PybpftoolError("can't find correct file")
    return text if text.endswith("\n") else text + "\n"
