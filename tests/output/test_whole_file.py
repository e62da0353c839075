"""Files that appear whole or not at all."""

from __future__ import annotations

import errno
import os
import stat
import threading
from pathlib import Path

import pytest

from pybpftool.output.whole_file import WholeFile


@pytest.fixture(params=["without a name", "with a hidden one"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """With O_TMPFILE, and as on file systems that have none."""
    if request.param == "with a hidden one":
        real = os.open

        def refusing(path: str, flags: int, *args: int, **kwargs: int) -> int:
            if flags & os.O_TMPFILE == os.O_TMPFILE:
                raise OSError(errno.EOPNOTSUPP, "not here")
            return real(path, flags, *args, **kwargs)

        monkeypatch.setattr(os, "open", refusing)
    name: str = request.param
    return name


def test_kept(way: str, tmp_path: Path) -> None:
    path = tmp_path / "new"
    file = WholeFile(str(path))
    file.stream.write(b"text")
    assert not path.exists()
    file.keep()
    assert path.read_bytes() == b"text"
    assert os.listdir(tmp_path) == ["new"]
    umask = os.umask(0)
    os.umask(umask)
    assert stat.S_IMODE(path.stat().st_mode) == 0o666 & ~umask


def test_dropped(way: str, tmp_path: Path) -> None:
    path = tmp_path / "old"
    path.write_text("before")
    with WholeFile(str(path)) as file:
        file.stream.write(b"text")
    assert path.read_text() == "before"
    assert os.listdir(tmp_path) == ["old"]


def test_replaced_with_its_mode(way: str, tmp_path: Path) -> None:
    path = tmp_path / "old"
    path.write_text("before")
    path.chmod(0o640)
    file = WholeFile(str(path))
    file.stream.write(b"after")
    file.keep()
    assert path.read_text() == "after"
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


def test_a_link_is_followed(way: str, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("real")
    file = WholeFile(str(tmp_path / "link"))
    file.keep()
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real").read_bytes() == b""


def test_a_pipe_is_written_to(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    found = []
    reader = threading.Thread(target=lambda: found.append(path.read_bytes()))
    reader.start()
    file = WholeFile(str(path))
    file.stream.write(b"text")
    file.keep()
    reader.join(10)
    assert found == [b"text"]
    assert stat.S_ISFIFO(path.stat().st_mode)


@pytest.mark.parametrize(("name", "error"), [("no/where", errno.ENOENT), (".", errno.EISDIR)])
def test_nowhere(name: str, error: int, tmp_path: Path) -> None:
    with pytest.raises(OSError) as caught:
        WholeFile(str(tmp_path / name))
    assert caught.value.errno == error
