"""A file that is written whole or not at all (``-o FILE``)."""

from __future__ import annotations

import os
import stat

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import TracebackType
    from typing import BinaryIO


class WholeFile:
    """What is written here appears under its name at ``keep``, and nowhere if that never comes.

    ``path``: the file to make or to replace; a link is followed, and the mode of a file that was
    there before is kept.  ``mode``: of a new file, less the umask.  Devices and pipes cannot be
    replaced: they are written to at once.  OSError where nothing can be made in the directory.

    As a context manager it is dropped at the end of the block unless it was kept.

    The file has no name until it is whole (O_TMPFILE, since Linux 3.11), so that not even SIGKILL
    leaves anything behind; file systems without that get a hidden name beside the path.
    """

    __slots__ = ("_hidden", "_path", "stream")

    def __init__(self, path: str, mode: int = 0o666) -> None:
        self._path = os.path.realpath(path)
        self._hidden: str | None = None
        kept = False
        try:
            there = os.stat(self._path)
        except FileNotFoundError:
            pass
        else:
            if stat.S_ISDIR(there.st_mode):
                raise IsADirectoryError(21, os.strerror(21))
            if not stat.S_ISREG(there.st_mode):
                self._path = ""
                self.stream: BinaryIO = open(path, "wb")  # noqa: SIM115 - closed by keep or drop
                return
            mode, kept = stat.S_IMODE(there.st_mode), True
        directory = os.path.dirname(self._path)
        try:
            fd = os.open(directory, os.O_TMPFILE | os.O_WRONLY | os.O_CLOEXEC, mode)
        except OSError as error:
            if error.errno not in _NO_TMPFILE:
                raise
            self._hidden = self._beside()
            fd = os.open(self._hidden, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, mode)
        if kept:
            os.fchmod(fd, mode)  # umask is for new files
        self.stream = open(fd, "wb")  # noqa: SIM115 - closed by keep or drop

    def __enter__(self) -> WholeFile:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        self.drop()

    def keep(self) -> None:
        """Put the file in its place."""
        self.stream.flush()
        if self._path:
            if self._hidden is None:
                self._hidden = self._name()
            os.replace(self._hidden, self._path)
            self._hidden = None
        self.stream.close()

    def drop(self) -> None:
        """Leave no trace of it, if it was not kept."""
        try:
            self.stream.close()
        except OSError:
            pass  # what could not be written is not wanted any more
        if self._hidden is not None:
            os.unlink(self._hidden)
            self._hidden = None

    def _name(self) -> str:
        """Give the file without a name a hidden one: only that can take another's place."""
        hidden = self._beside()
        fd = os.open(os.path.dirname(hidden), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            # only with a directory given does Python call linkat(2), which follows the link
            source = f"/proc/self/fd/{self.stream.fileno()}"
            os.link(source, hidden, src_dir_fd=fd, follow_symlinks=True)
        finally:
            os.close(fd)
        return hidden

    def _beside(self) -> str:
        directory, name = os.path.split(self._path)
        return os.path.join(directory, f".{name[:200]}.{os.getpid()}")


_NO_TMPFILE = (21, 22, 95)
"""EISDIR, EINVAL and EOPNOTSUPP: the answers of kernels and file systems without O_TMPFILE."""
