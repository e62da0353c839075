"""The kernel's symbols: which function an address is, from /proc/kallsyms.

Some hundred thousand lines: they are read when the first question comes, not before, and cut up in
bulk.  Who may not see addresses (kernel.kptr_restrict, no CAP_SYSLOG) gets zeroes, which is as
good as no symbols at all.
"""

from __future__ import annotations

PATH = "/proc/kallsyms"
_DIGITS = 16
"""Hexadecimal digits of an address, on the 64-bit machines there are."""
_HIDDEN = b"0" * _DIGITS


class Symbols:
    """The symbols as they are when first asked for; ``path``: another place than PATH."""

    __slots__ = ("_call_base", "_lines", "_path")

    def __init__(self, path: str = "") -> None:
        self._path = path or PATH
        self._lines: dict[bytes, bytes] | None = None
        self._call_base = 0

    def name(self, address: int) -> str | None:
        """The name of the symbol at exactly this address, the first where it has several."""
        words = self._read().get(b"%016x" % address, b"").split(None, 3)
        return words[2].decode("utf-8", "surrogateescape") if len(words) > 2 else None

    def call_base(self) -> int:
        """The address that the immediates of patched calls are relative to; 0 if it is hidden."""
        self._read()
        return self._call_base

    def _read(self) -> dict[bytes, bytes]:
        if self._lines is None:
            self._lines = {}
            try:
                with open(self._path, "rb") as file:
                    text = file.read()
            except OSError:
                return self._lines  # no symbols in this kernel
            end = text.find(b" __bpf_call_base\n")
            start = text.rfind(b"\n", 0, max(end, 0)) + 1
            digits = text[start : start + _DIGITS]
            if end >= 0 and digits != _HIDDEN:
                self._call_base = int(digits, 16)
                lines = text.split(b"\n")
                lines.reverse()  # so that the first one of an address is the last to be kept
                self._lines = {line[:_DIGITS]: line for line in lines}
                self._lines.pop(_HIDDEN, None)
        return self._lines
