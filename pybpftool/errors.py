"""Every way to fail, each ending in one sentence and one exit status.

A room that meets trouble raises; only ``cli.main`` turns the exception into text.
Nothing here prints, and nothing here knows of JSON.
"""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import TracebackType

FAILURE = 255
"""Status of an ordinary failure: what a C program leaves behind by returning -1."""


def errno_status(errno: int) -> int:
    """Exit status of a command that returns ``-errno`` (only its low eight bits survive).

    Source: spec 1.5; ENOENT becomes 254, EINVAL 234.
    """
    return -errno & 0xFF


class PybpftoolError(Exception):
    """A failure that a user can be told in one sentence.

    ``message`` is the sentence without ``Error:``; ``status`` the exit status (0..255);
    ``hint`` an optional second sentence saying what would help.  ``told`` turns true when a JSON
    document already holds the sentence, so that it is not written twice.
    """

    def __init__(self, message: str, *, status: int = FAILURE, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.status = status
        self.hint = hint
        self.told = False


class Misuse(PybpftoolError):
    """Words that make no sense where they stand; the object's help follows the sentence.

    ``message`` may be empty: then the help alone is the answer.
    """


class BadData(PybpftoolError):
    """Bytes from outside (BTF, ELF, a file) that cannot be what they claim to be."""


class KernelError(PybpftoolError):
    """The kernel said no: ``what`` was attempted and ``errno`` (positive) came back.

    ``reason`` replaces the text of errno where the tool knows better.
    """

    def __init__(
        self,
        errno: int,
        what: str,
        *,
        status: int = FAILURE,
        hint: str | None = None,
        reason: str | None = None,
    ) -> None:
        self.errno = errno
        self.what = what
        self.reason = reason or os.strerror(errno)
        super().__init__(f"{what}: {self.reason}", status=status, hint=hint)

    def said(self, what: str, *, status: int | None = None) -> KernelError:
        """The same refusal told as ``what: reason``; ``status`` replaces the exit status."""
        return KernelError(
            self.errno,
            what,
            status=self.status if status is None else status,
            hint=self.hint,
            reason=self.reason,
        )


class during:  # noqa: N801 - reads as a word: ``with during("map create failed"):``
    """Tell a kernel or file refusal inside the block as ``what: strerror``.

    ``what``: the words before the colon.  ``leak``: leave with the errno as status
    (``errno_status``) instead of the ordinary failure.
    A class, not a generator: importing contextlib would be felt on every start.
    """

    def __init__(self, what: str, *, leak: bool = False) -> None:
        self.what = what
        self.leak = leak

    def __enter__(self) -> None:
        return None

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        if isinstance(error, KernelError):
            raise error.said(
                self.what, status=errno_status(error.errno) if self.leak else None
            ) from error
        if isinstance(error, OSError) and error.errno is not None:
            status = errno_status(error.errno) if self.leak else FAILURE
            raise KernelError(error.errno, self.what, status=status) from error
