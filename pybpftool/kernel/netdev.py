"""Network devices: their names and numbers."""

from __future__ import annotations

import errno
import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def ifindex(name: str) -> int:
    """The number of a device of this network namespace; OSError where there is none."""
    import socket

    try:
        return socket.if_nametoindex(name)
    except OSError as error:  # Python before 3.13 forgets the errno
        raise OSError(errno.ENODEV, os.strerror(errno.ENODEV)) from error


def record(index: int, ns_dev: int, ns_inode: int) -> dict[str, Any]:
    """The device that an object was made for: ifindex, ns_dev, ns_inode, and ifname.

    ``ns_dev``, ``ns_inode``: the network namespace as bpf(2) tells it; the name is known only
    where that is our own.
    """
    import socket

    found: dict[str, Any] = {"ifindex": index, "ns_dev": ns_dev, "ns_inode": ns_inode}
    try:
        ours = os.stat("/proc/self/ns/net")
        if (ours.st_dev, ours.st_ino) == (ns_dev, ns_inode):
            found["ifname"] = socket.if_indextoname(index)
    except OSError:
        pass  # no /proc, or the device is gone: then it has no name
    return found


def spoken(dev: dict[str, Any]) -> str:
    """How a listing names the device of a ``record``: by its name where that is known."""
    place = f"ifindex {dev['ifindex']} ns_dev {dev['ns_dev']} ns_ino {dev['ns_inode']}"
    name: str = dev.get("ifname", place)
    return name
