"""A progress bar on stderr, where that is a terminal; it has no colours."""

from __future__ import annotations

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from typing import TypeVar

    T = TypeVar("T")


def watched(
    steps: Iterable[T], title: str, total: int | None, done: Callable[[T], int]
) -> Iterator[T]:
    """The same steps, with a bar while they last.

    ``total``: what ``done`` of the last step will give, None where nobody knows.
    """
    if not sys.stderr.isatty():
        yield from steps
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True, no_color=True), transient=True) as bar:
        task = bar.add_task(title, total=total)
        for step in steps:
            bar.update(task, completed=done(step))
            yield step
