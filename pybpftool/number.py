"""Numbers as C's strtoul reads them."""

from __future__ import annotations

_DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"
_ULONG_MAX = (1 << 64) - 1


def strtoul(word: str, base: int = 0) -> int | None:
    """The number that strtoul(3) makes of the whole word, None if letters are left over.

    Leading blanks and a sign are allowed; ``base`` 0 knows ``0x`` and a leading ``0``; too large
    is ULONG_MAX.  A word without any digit is 0 if it is empty (nothing is left over), else None.
    """
    text = word.lstrip(" \t\n\v\f\r")
    negative = text.startswith("-")
    digits = text[1:] if text[:1] in ("+", "-") else text
    if digits[:2] in ("0x", "0X") and base in (0, 16) and _is_digit(digits[2:3], 16):
        digits = digits[2:]
        base = 16
    elif base == 0:
        base = 8 if digits.startswith("0") else 10
    if not digits:
        return 0 if not word else None
    if not all(_is_digit(letter, base) for letter in digits):
        return None
    # 64 digits hold any number in any base; a longer one is too large or begins with zeroes
    digits = digits.lstrip("0")[:65] or "0"
    number = int(digits, base) if len(digits) <= 64 else _ULONG_MAX + 1
    if number > _ULONG_MAX:
        return _ULONG_MAX
    return -number & _ULONG_MAX if negative else number


def strtoul32(word: str) -> int | None:
    """The same cut to 32 bits: ids, sizes and flags of the command line (spec, notation)."""
    number = strtoul(word)
    return None if number is None else number & 0xFFFFFFFF


def _is_digit(letter: str, base: int) -> bool:
    return letter != "" and letter.lower() in _DIGITS[:base]
