"""Records as JSON text, in the two layouts of spec 1.4.

One walk serves both: compact has no blanks at all; pretty breaks before each key and before the
closing bracket of what is not empty, and nowhere else (so an array's elements stay on its line).
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

INDENT = "    "


_ESCAPES = {
    **{code: f"\\u{code:04x}" for code in range(0x20)},
    ord("\t"): "\\t",
    ord("\n"): "\\n",
    ord("\r"): "\\r",
    ord("\f"): "\\f",
    ord("\b"): "\\b",
    ord("\\"): "\\\\",
    ord('"'): '\\"',
}


def quote(text: str) -> str:
    """A JSON string; other bytes than the control characters stand as they are.

    Names from the kernel and paths may hold bytes that are no UTF-8: they come as lone surrogates
    (``surrogateescape``) and leave as the bytes they were.
    """
    return f'"{text.translate(_ESCAPES)}"'


def dumps(value: Any, *, pretty: bool = False, depth: int = 0) -> str:
    """The JSON text of a record.

    ``value``: dict, list, tuple, str, int, bool, float or None.  ``depth``: the number of
    brackets already open around it, which sets the indentation of the pretty layout.
    """
    kind = type(value)
    if kind is str:
        return quote(value)
    if value is None:
        return "null"
    if kind is bool:
        return "true" if value else "false"
    if isinstance(value, dict):
        key_end = ": " if pretty else ":"
        lead = newline(depth + 1) if pretty else ""
        return opened(
            "{}",
            [
                f"{lead}{quote(key)}{key_end}{dumps(item, pretty=pretty, depth=depth + 1)}"
                for key, item in value.items()
            ],
            pretty=pretty,
            depth=depth,
        )
    if kind is list or kind is tuple:
        return opened(
            "[]",
            [dumps(item, pretty=pretty, depth=depth + 1) for item in value],
            pretty=pretty,
            depth=depth,
        )
    if kind is float and value - value != 0:  # JSON has no word for these
        return f'"{value}"'
    return str(value)


def opened(brackets: str, items: list[str], *, pretty: bool, depth: int) -> str:
    """Items between two brackets, the closing one on a line of its own if pretty and needed."""
    return brackets[0] + ",".join(items) + closing(brackets[1], bool(items), pretty, depth)


def closing(bracket: str, filled: bool, pretty: bool, depth: int) -> str:
    """The bracket that closes a container standing at ``depth``."""
    return newline(depth) + bracket if pretty and filled else bracket


def newline(depth: int) -> str:
    """A line break and the indentation of ``depth`` open brackets."""
    return "\n" + INDENT * depth
