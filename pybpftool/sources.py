"""Where BTF comes from: the running kernel, its objects by id, and files.

``btf`` decodes bytes and knows nothing of their origin; ``kernel`` and ``elf`` fetch bytes and know
nothing of BTF.  Here the two meet.
"""

from __future__ import annotations

from .btf.reader import MAGIC, read_btf
from .errors import BadData, KernelError, PybpftoolError, during, errno_status

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from mmap import mmap

    from .btf.spec import Btf
    from .kernel.handles import BtfInfo

SYSFS = "/sys/kernel/btf/"
"""Where the kernel shows its own BTF and that of its modules.  Since Linux 5.4 and 5.11."""
VMLINUX = SYSFS + "vmlinux"

_ENOENT, _EIO, _EINVAL, _ENODATA = 2, 5, 22, 61
_FORMAT = 4001
"""What libbpf calls a file that is neither ELF nor BTF; 161 of it are left in an exit status."""


def kernel_btf() -> Btf:
    """The BTF of the running kernel.  KernelError where it shows none, BadData if it is broken."""
    with during(VMLINUX):
        return read_btf(_contents(VMLINUX), name="vmlinux")


def btf_of_id(id: int, base: Btf | None = None) -> Btf:
    """The BTF that the kernel holds under an id.

    ``base``: what a split one continues; that of a module is the kernel's own if none is given.
    KernelError when there is no such id.
    """
    from .kernel import handles

    with handles.Btf.by_id(id) as handle:
        if base is None and is_module(handle.info):
            base = kernel_btf()
        return read_btf(handle.blob(), base, name=handle.info.name or str(id))


def is_module(info: BtfInfo) -> bool:
    """Whether a BTF object is that of a kernel module, which continues that of the kernel."""
    return bool(info.kernel_btf) and info.name != "vmlinux"


def module_btfs(kernel: Btf) -> Iterator[tuple[int, Btf]]:
    """Id and BTF of each module that is loaded, over that of the kernel.

    One that is gone before it is read is passed over.  Since Linux 5.11.
    """
    from .kernel.handles import Btf as Handle

    for id in Handle.ids():
        module = _module_btf(id, kernel)
        if module is not None:
            yield id, module


def _module_btf(id: int, kernel: Btf) -> Btf | None:
    from .kernel import handles

    try:
        with handles.Btf.by_id(id) as handle:
            if is_module(handle.info):
                return read_btf(handle.blob(), kernel, name=handle.info.name)
    except KernelError as error:
        if error.errno != _ENOENT:
            raise
    return None


def btf_of_file(path: str, base: Btf | None = None) -> Btf:
    """The BTF in a file, raw or the .BTF section of an ELF file, of either byte order.

    ``base``: what a split BTF continues; one that stands alone has no use for it.  KernelError when
    the file cannot be read; BadData when no sound BTF is in it, with the exit status that bpftool
    has for the reason.
    """
    with during(path):
        data = _contents(path)
    if data[:4] == b"\x7fELF":
        from .elf.sections import section

        try:
            found = section(path, ".BTF")
        except BadData as error:
            raise BadData(str(error), status=errno_status(_FORMAT)) from error
        if found is None:
            raise BadData("no .BTF section", status=errno_status(_ENODATA))
        data = found
    elif len(data) < 2:
        raise BadData("too short for BTF", status=errno_status(_EIO))
    elif int.from_bytes(data[:2], "little") not in (MAGIC, _swapped(MAGIC)):
        raise BadData("neither BTF nor ELF", status=errno_status(_FORMAT))
    try:
        btf = _read(data, base, path)
        if not path.startswith(SYSFS):  # those the kernel has checked itself
            btf.check()
    except BadData as error:
        reason = str(error).removeprefix(f"BTF '{path}': ")
        raise BadData(reason, status=errno_status(_EINVAL)) from error
    return btf


def _contents(path: str) -> bytes | mmap:
    """All that is in a file.

    The kernel gives out a page of its BTF at a time, but lets it be mapped.  Since Linux 6.16.
    """
    with open(path, "rb") as file:
        if path == VMLINUX:
            import mmap

            try:
                return mmap.mmap(file.fileno(), 0, flags=mmap.MAP_PRIVATE, prot=mmap.PROT_READ)
            except (OSError, ValueError):
                pass  # an older kernel
        return file.read()


def _read(data: bytes | mmap, base: Btf | None, path: str) -> Btf:
    if base is not None:
        try:
            return read_btf(data, name=path)
        except BadData:
            pass  # its strings do not begin with the empty one: they continue those of the base
    return read_btf(data, base, name=path)


def base_btf(path: str) -> Btf:
    """The BTF of ``-B FILE``.  PybpftoolError, one sentence, when there is none in it."""
    what = f"failed to parse base BTF at '{path}'"
    try:
        return btf_of_file(path)
    except KernelError as error:
        raise PybpftoolError(f"{what}: {-error.errno}") from error
    except BadData as error:
        raise PybpftoolError(f"{what}: {error}") from error


def _swapped(number: int) -> int:
    return (number & 0xFF) << 8 | number >> 8
