"""Debian's cloud kernels, and a way to run a command under each of them.

The kernels are unpacked from their packages into a cache ($PYBPFTOOL_VM_CACHE), never installed.
The machine is emulated (`-accel tcg`), so neither root nor /dev/kvm is needed.

From a shell: `python -m tests.vm.machine 6.1 bpftool prog`.
"""

from __future__ import annotations

import functools
import os
import re
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from tests.vm.image import TOOLS, build, which

SERIES = ("6.1", "6.12")


class Unavailable(Exception):
    """This computer lacks something that a test machine is made of."""


class MachineError(Exception):
    """The machine ended, or was ended, before its command did."""


class Kernel(NamedTuple):
    release: str  # as `uname -r` prints it
    image: Path  # a bzImage
    modules: Path  # the directory that would be /lib/modules/<release>


def cache() -> Path:
    if chosen := os.environ.get("PYBPFTOOL_VM_CACHE"):
        return Path(chosen)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache", "pybpftool-vm")


@functools.lru_cache
def kernel(series: str) -> Kernel:
    """The newest cloud kernel of a series ("6.1") that apt knows or, without apt, the cache holds.

    Raises Unavailable.
    """
    stem = rf"linux-image-{re.escape(series)}\.[0-9].*-cloud-amd64-unsigned"
    packages = known_packages(stem)
    if not packages:
        raise Unavailable(f"apt knows no package {stem} (is `apt-get update` due?)")
    package = max(packages, key=lambda name: [int(number) for number in re.findall(r"\d+", name)])
    unpacked = cache() / package
    if not unpacked.is_dir():
        unpack(package, unpacked)
    [image] = unpacked.glob("boot/vmlinuz-*")
    release = image.name.removeprefix("vmlinuz-")
    [modules] = unpacked.glob(f"**/lib/modules/{release}")
    return Kernel(release, image, modules)


def known_packages(pattern: str) -> list[str]:
    if not which("apt-cache"):
        found = [path.name for path in cache().glob("linux-image-*")]
        return [name for name in found if re.fullmatch(pattern, name)]
    search = ["apt-cache", "search", "--names-only", f"^{pattern}$"]
    listing = subprocess.run(search, capture_output=True, text=True).stdout
    return [line.split()[0] for line in listing.splitlines()]


def unpack(package: str, to: Path) -> None:
    """Download a package and unpack it into a directory, whole or not at all."""
    try:
        to.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise Unavailable(f"no place to keep kernels in: {error}") from None
    with tempfile.TemporaryDirectory(dir=to.parent) as directory:
        call("apt-get", "download", package, cwd=directory)
        [deb] = Path(directory).glob("*.deb")
        call("dpkg-deb", "-x", deb.name, "unpacked", cwd=directory)
        try:
            Path(directory, "unpacked").rename(to)
        except OSError:
            if not to.is_dir():  # otherwise a test process beside this one was faster
                raise


def call(*argv: str, cwd: str) -> None:
    try:
        done = subprocess.run(argv, cwd=cwd, capture_output=True, text=True)
    except FileNotFoundError:
        raise Unavailable(f"{argv[0]} is not installed") from None
    if done.returncode:
        raise Unavailable(f"`{shlex.join(argv)}` failed: {done.stderr.strip()}")


def run(
    kernel: Kernel, argv: Sequence[str], *, timeout: float = 120, files: Sequence[Path] = ()
) -> tuple[int, str]:
    """Exit status and output (stdout and stderr as they came) of a command under a kernel.

    It runs as root in the checkout. The machine holds the package, its tests, the Python that
    runs this with the libraries it has, and the tools in image.TOOLS.

    Args:
        argv: the command; a name without a slash is looked up in the machine's $PATH.
        timeout: seconds for boot and command together.
        files: more files or directories of this computer to have inside, at the same path.

    Raises:
        Unavailable: a program to boot with or to bring along is not installed here.
        MachineError: no end within the timeout, or the kernel died.
    """
    packages = {**TOOLS, "busybox": "busybox-static", "qemu-system-x86_64": "qemu-system-x86"}
    for tool, package in packages.items():
        if not which(tool):
            raise Unavailable(f"{tool} is not installed (package {package})")

    with tempfile.TemporaryDirectory(prefix="pybpftool-vm-") as directory:
        initramfs = Path(directory, "initramfs")
        console = Path(directory, "console")
        result = Path(directory, "result")
        config = kernel.image.with_name(f"config-{kernel.release}")
        command = f"exec {shlex.join(argv)}"
        build(kernel.modules, config, command, list(files)).write(initramfs)
        qemu = ["qemu-system-x86_64", "-accel", "tcg,thread=multi", "-cpu", "max"]
        qemu += ["-smp", "2", "-m", "2G", "-nographic", "-monitor", "none", "-nic", "none"]
        qemu += ["-no-reboot", "-serial", f"file:{console}", "-serial", f"file:{result}"]
        qemu += ["-kernel", str(kernel.image), "-initrd", str(initramfs)]
        qemu += ["-append", "console=ttyS0 quiet panic=-1 mitigations=off"]
        try:
            done = subprocess.run(
                qemu, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=timeout
            )
            end = f"qemu ended with status {done.returncode}: {done.stderr.strip()}"
        except subprocess.TimeoutExpired:
            end = f"no end within {timeout:g} s"

        output, log = (
            path.read_text(errors="backslashreplace") if path.exists() else ""
            for path in (result, console)
        )
    output, _, status = output.rpartition("\nstatus ")
    if not re.fullmatch(r"\d+\n", status):
        raise MachineError(f"{kernel.release}: {end}\n{log[-4000:]}\n{output}{status}")
    return int(status), output


if __name__ == "__main__":
    status, output = run(kernel(sys.argv[1]), sys.argv[2:], timeout=600)
    sys.stdout.write(output)
    sys.exit(status)
