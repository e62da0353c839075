"""Under each of Debian's kernels: the machine has what the live tests need, and they pass in it.

Where a machine cannot be made, for want of qemu or of a kernel, these tests are skipped; with
PYBPFTOOL_LIVE=1 in the environment they fail. No compiler is inside: objects are compiled before,
and $PYBPFTOOL_OBJECTS names their directory to the tests.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.live.test_load_kernels import make
from tests.vm.image import CHECKOUT, MODULES
from tests.vm.machine import SERIES, Unavailable, kernel, run

pytestmark = pytest.mark.vm

IFF_UP = 1
SUITES = [name for name in ("tests/live", "tests/kernel") if (CHECKOUT / name).is_dir()]

Result = tuple[int, str]


def run_suites(series: str, objects: Path) -> Result:
    if not SUITES:
        raise Unavailable("the checkout has neither tests/live nor tests/kernel")
    files = [objects]
    environment = ["PYBPFTOOL_LIVE=1", "PYBPFTOOL_EMULATED=1", f"PYBPFTOOL_OBJECTS={objects}"]
    argv = ["env", *environment, "python3", "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    argv += ["-o", "faulthandler_timeout=300"]  # of a test that hangs, tell where
    return run(kernel(series), argv + SUITES, timeout=900, files=files)


def demand(machine_run: Callable[[], Result]) -> Result:
    """The result of a run that this computer may be unable to make."""
    try:
        return machine_run()
    except Unavailable as reason:
        give_up = pytest.fail if os.environ.get("PYBPFTOOL_LIVE") == "1" else pytest.skip
        give_up(str(reason))


@pytest.fixture(scope="module", params=SERIES)
def series(request: pytest.FixtureRequest) -> str:
    chosen: str = request.param
    return chosen


@pytest.fixture(scope="module")
def facts(series: str) -> dict[str, Any]:
    status, output = demand(lambda: run(kernel(series), ["python3", "tests/vm/facts.py"]))
    assert status == 0, output
    found: dict[str, Any] = json.loads(output)
    return found


@pytest.fixture(scope="module")
def suites(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, Future[Result]]]:
    """The suites under way, side by side, on every kernel they were asked for."""
    tests = [item for item in request.session.items if isinstance(item, pytest.Function)]
    wanted = {
        str(test.callspec.params["series"]) for test in tests if "suites" in test.fixturenames
    }
    objects = tmp_path_factory.mktemp("objects")
    if shutil.which("clang"):  # otherwise the tests inside say what is missing
        make(objects)
    with ThreadPoolExecutor() as pool:
        yield {series: pool.submit(run_suites, series, objects) for series in wanted}


def test_release(series: str, facts: dict[str, Any]) -> None:
    assert facts["release"] == kernel(series).release
    assert facts["release"].startswith(f"{series}.")


def test_bpftool(facts: dict[str, Any]) -> None:
    assert facts["version"]["status"] == 0, facts["version"]
    assert facts["version"]["stdout"].startswith("bpftool v")
    assert facts["prog"]["status"] == 0, facts["prog"]
    assert isinstance(json.loads(facts["prog"]["stdout"]), list)


def test_python(facts: dict[str, Any]) -> None:
    assert facts["imports"] == ""


def test_places(facts: dict[str, Any]) -> None:
    expected = {
        "/sys/fs/bpf": "bpf",
        "/sys/fs/cgroup": "cgroup2",
        "/sys/kernel/debug": "debugfs",
        "/sys/kernel/tracing": "tracefs",
    }
    assert expected.items() <= facts["mounts"].items()
    assert facts["loopback"] & IFF_UP


def test_tracing(facts: dict[str, Any]) -> None:
    assert facts["kprobe_events"]
    assert "bpf" in facts["lsm"]


def test_split_btf(facts: dict[str, Any]) -> None:
    assert {"vmlinux", *MODULES} <= set(facts["btf"])
    assert set(MODULES) <= set(facts["modules"])


def test_live_suites(series: str, suites: dict[str, Future[Result]]) -> None:
    status, output = demand(suites[series].result)
    assert status == 0, output
