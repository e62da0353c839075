"""The wish to stop."""

from __future__ import annotations

import os
import signal
import threading
import time

import pytest

from pybpftool.signals import Stopping
from tests.support.leaks import no_descriptors_left


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGHUP, signal.SIGTERM])
def test_a_signal_ends_the_waiting(number: int) -> None:
    before = signal.getsignal(number)
    told: list[bool] = []
    with no_descriptors_left(), Stopping(told=lambda: told.append(True)) as stopping:
        threading.Timer(0.05, os.kill, (os.getpid(), number)).start()
        begun = time.monotonic()
        assert not stopping.sleep(30)
        assert time.monotonic() - begun < 20
        os.kill(os.getpid(), number)
        assert stopping.stopped
        assert not stopping.wait(None)
    assert told == [True]
    assert signal.getsignal(number) is before


def test_a_signal_that_came_before() -> None:
    with Stopping(("SIGINT",)) as stopping:
        os.kill(os.getpid(), signal.SIGINT)
        assert not stopping.sleep(30)
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


def test_something_to_read() -> None:
    here, there = os.pipe()
    try:
        with Stopping() as stopping:
            assert not stopping.wait(0.01, here)
            os.write(there, b"x")
            assert stopping.wait(None, here)
            assert stopping.sleep(0.01)
            os.kill(os.getpid(), signal.SIGTERM)
            assert not stopping.wait(None, here)
    finally:
        os.close(here)
        os.close(there)
