"""Each question is asked once, and a refusal is a no."""

from __future__ import annotations

import errno

import pytest

from pybpftool.loader import features
from tests.support.tape import Tape, new_fd

EVERY = [*features._BTF, *features._ASK]


@pytest.fixture(autouse=True)
def forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(features, "_known", {})


@pytest.mark.parametrize("feature", EVERY)
def test_a_refusal_is_a_no_and_is_kept(feature: str) -> None:
    refused = dict.fromkeys(("BTF_LOAD", "PROG_LOAD", "MAP_CREATE"), -errno.EINVAL)
    with Tape(**refused) as tape:
        assert not features.knows(feature)
        assert not features.knows(feature)
    assert len(tape.calls) == 1


@pytest.mark.parametrize(("answer", "known"), [(errno.EBADF, True), (errno.EINVAL, False)])
def test_perf_links_are_known_by_their_refusal(answer: int, known: bool) -> None:
    with Tape(PROG_LOAD=lambda arm: new_fd(), LINK_CREATE=-answer):
        assert features.knows("perf_link") is known
