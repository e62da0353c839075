"""The types of a kernel, the running one or that of a file."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..btf.spec import Btf


class Kernel:
    """The types of the running kernel, read when the first question comes.

    ``btf_path``: the BTF for CO-RE, where it is not to be the kernel's own.
    """

    def __init__(self, btf_path: str | None = None) -> None:
        self._path = btf_path
        self._own: Btf | None = None
        self._modules: list[tuple[int, Btf]] | None = None

    @property
    def btf(self) -> Btf:
        """The kernel's own; KernelError or BadData where there is none."""
        from ..sources import kernel_btf

        if self._own is None:
            self._own = kernel_btf()
        return self._own

    def modules(self) -> Iterator[tuple[int, Btf]]:
        """Id and BTF of each module."""
        from ..sources import module_btfs

        if self._modules is None:
            self._modules = list(module_btfs(self.btf))
        yield from self._modules

    def targets(self) -> Iterator[Btf]:
        """Where CO-RE looks for types, one after the other."""
        if self._path is not None:
            from ..sources import btf_of_file

            yield btf_of_file(self._path)
            return
        yield self.btf
        for _, btf in self.modules():
            yield btf


class KernelOfFile:
    """The types of a kernel that is known by the BTF of its file alone; see ``Kernel``."""

    def __init__(self, btf: Btf) -> None:
        self.btf = btf

    def modules(self) -> Iterator[tuple[int, Btf]]:
        """None are known."""
        return iter(())

    def targets(self) -> Iterator[Btf]:
        """Where CO-RE looks for types."""
        yield self.btf
