"""What every test of this room is held to: it gives back each descriptor it opened."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.leaks import no_descriptors_left


@pytest.fixture(autouse=True)
def no_descriptor_leaks() -> Iterator[None]:
    """Fails a test that leaves a descriptor open."""
    with no_descriptors_left():
        yield
