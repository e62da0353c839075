"""One command line, run by both tools."""

from __future__ import annotations

from collections.abc import Iterable

from tests.live.normalisers import normalised
from tests.support.reference import Reference
from tests.support.run import Ended, pybpftool

FORMS: tuple[tuple[str, ...], ...] = ((), ("-j",), ("-p",))


def ours(*words: str) -> Ended:
    """Run a line with pybpftool, called by the name of the tool it stands in for."""
    return pybpftool(*words, prog="bpftool")


class Both:
    """The two tools side by side."""

    def __init__(self, reference: Reference) -> None:
        self.reference = reference

    def differ(self, *words: str) -> str:
        """How the two ends of a line differ, empty where they do not."""
        mine = ours(*words)
        theirs = self.reference(*words)
        return difference(words, mine, theirs, self.reference)

    def check(self, lines: Iterable[Iterable[str]]) -> None:
        """Fail for all lines together that the tools do not answer alike."""
        wrong = [text for line in lines if (text := self.differ(*line))]
        assert not wrong, "\n" + "\n".join(wrong)


def difference(words: Iterable[str], mine: Ended, theirs: Ended, reference: Reference) -> str:
    """How two ends differ after what is known to differ was made alike."""
    words = list(words)
    mine, theirs = normalised(words, mine, theirs, reference.version)
    if mine == theirs:
        return ""
    return f"{' '.join(words)}\n  ours:      {mine}\n  reference: {theirs}"
