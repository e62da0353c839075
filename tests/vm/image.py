"""The initramfs of a test machine: this checkout, the Python that runs the tests, and tools.

Files keep the path they have on the host, so that messages from inside name files a reader can
open. Python files come with bytecode: compiling them on an emulated processor would take longer
than the tests.
"""

from __future__ import annotations

import fnmatch
import importlib.util
import lzma
import marshal
import os
import re
import shlex
import shutil
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]

TOOLS = {  # command -> the Debian package that has it
    "bash": "bash",
    "bpftool": "bpftool",
    "ip": "iproute2",
    "jq": "jq",
    "tc": "iproute2",
}

# What scripts use and Debian always has. Anything else is one of busybox's. Its shell and its
# `env` would run its own `ip` whatever the $PATH, so that these have to be real ones.
BASICS = """
    awk cat cmp cut date diff env find grep head ls mktemp od sed seq setpriv setsid sh sleep sort
    stat tail timeout tr uniq wc xargs
"""

# What the package and its tests import. A name that is not installed is left out: which of these
# exist depends on the versions of Python and pytest.
LIBRARIES = """
    cffi _cffi_backend pycparser click rich markdown_it mdurl pygments elftools
    pytest _pytest py pluggy iniconfig packaging exceptiongroup tomli typing_extensions
    hypothesis sortedcontainers attr attrs
"""

# Parts of the standard library that no test needs, most of its size.
SKIPPED = """
    __pycache__ site-packages dist-packages test tests _test* idlelib tkinter _tkinter* turtledemo
    ensurepip lib2to3 pydoc_data config-*
"""

# The modules some tests need, or whose split BTF they read, or whose functions they call.
MODULES = ["dummy", "veth", "sch_ingress", "cls_bpf", "act_bpf", "nf_conntrack"]

MERGED = {"bin", "sbin", "lib", "lib64"}  # links into /usr, as on every Debian since 12


class Image:
    """A tree of files to be written as a cpio archive in the newc format."""

    def __init__(self) -> None:
        self._entries: dict[str, tuple[int, int, Path | bytes]] = {}  # path: mode, mtime, content
        for name in MERGED:
            self.link(f"/{name}", f"usr/{name}")

    def put(self, path: str | Path, content: Path | bytes, mode: int, mtime: int = 0) -> None:
        parts = Path(path).parts[1:]
        if parts[0] in MERGED and len(parts) > 1:
            parts = ("usr", *parts)
        for end in range(1, len(parts)):
            self._entries.setdefault("/".join(parts[:end]), (stat.S_IFDIR | 0o755, 0, b""))
        self._entries["/".join(parts)] = mode, mtime, content

    def link(self, path: str, target: str) -> None:
        self.put(path, target.encode(), stat.S_IFLNK | 0o777)

    def file(self, path: Path, at: str | None = None) -> None:
        """Add a file of the host; a symbolic link is added as the file it leads to."""
        status = path.stat()
        self.put(at or path, path, status.st_mode, int(status.st_mtime))
        if path.suffix == ".py" and (code := bytecode(path)):
            self.put(importlib.util.cache_from_source(str(path)), code, stat.S_IFREG | 0o644)

    def tree(self, top: Path, skipped: str = "__pycache__ .*") -> None:
        """Add a file, or a directory with all that is in it but for the names (globs) skipped."""
        if top.is_file():
            self.file(top)
            return
        for directory, names, files in os.walk(top):
            for pattern in skipped.split():
                for name in fnmatch.filter([*names, *files], pattern):
                    (names if name in names else files).remove(name)
            for name in files:
                if Path(directory, name).is_file():  # no socket, no dangling link
                    self.file(Path(directory, name))

    def shared_libraries(self) -> None:
        """Add the libraries that the programs and libraries added so far are linked with."""
        linked = [
            str(content)
            for path, (mode, _, content) in self._entries.items()
            if isinstance(content, Path) and (mode & 0o111 or ".so" in path) and is_elf(content)
        ]
        listing = subprocess.run(["ldd", *linked], capture_output=True, text=True).stdout
        for path in sorted(set(re.findall(r"^\t(?:.* => )?(/\S+) \(0x", listing, re.MULTILINE))):
            self.file(Path(path))

    def write(self, archive: Path) -> None:
        with archive.open("wb") as out:
            for inode, (path, (mode, mtime, content)) in enumerate(sorted(self._entries.items())):
                data = content.read_bytes() if isinstance(content, Path) else content
                out.write(newc_header(path, inode, mode, mtime, len(data)))
                out.write(data + bytes(-len(data) % 4))
            out.write(newc_header("TRAILER!!!", 0, 0, 0, 0))


def newc_header(path: str, inode: int, mode: int, mtime: int, size: int) -> bytes:
    """The header and name of one member, padded to four bytes (cpio(5), "New ASCII Format")."""
    name = path.encode() + b"\0"
    owner_group_links = (0, 0, 1)
    devices = (0, 0, 0, 0)
    fields = (inode, mode, *owner_group_links, mtime, size, *devices, len(name), 0)
    header = b"070701" + b"".join(b"%08x" % field for field in fields) + name
    return header + bytes(-len(header) % 4)


def is_elf(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(4) == b"\x7fELF"


def bytecode(path: Path) -> bytes:
    """The .pyc of a module, marked as valid whatever the time of its source (PEP 552); empty for
    a file that is no Python."""
    source = path.read_bytes()
    cached = Path(importlib.util.cache_from_source(str(path)))
    stamp = (0).to_bytes(4, "little")
    for number in (int(path.stat().st_mtime), len(source)):
        stamp += (number & 0xFFFFFFFF).to_bytes(4, "little")
    old = cached.read_bytes() if cached.is_file() else b""
    if old[:16] == importlib.util.MAGIC_NUMBER + stamp:
        code = old[16:]
    else:
        try:
            code = marshal.dumps(compile(source, str(path), "exec", dont_inherit=True))
        except (SyntaxError, ValueError):
            return b""
    unchecked = (0b01).to_bytes(4, "little") + importlib.util.source_hash(source)
    return importlib.util.MAGIC_NUMBER + unchecked + code


def libraries() -> Iterator[Path]:
    for name in LIBRARIES.split():
        spec = importlib.util.find_spec(name)
        if spec and spec.origin:
            path = Path(spec.origin)
            yield path.parent if path.name == "__init__.py" else path


def find_modules(tree: Path, names: list[str]) -> dict[str, bytes]:
    """Kernel modules by name with those they depend on, each after its dependencies."""
    files = {
        path.name.partition(".ko")[0].replace("-", "_"): path
        for path in tree.rglob("*.ko*")  # plain or .ko.xz
    }
    found: dict[str, bytes] = {}

    def find(name: str) -> None:
        if name in found or name not in files:  # not a file: built into this kernel
            return
        path = files[name]
        content = path.read_bytes()
        if path.suffix == ".xz":
            content = lzma.decompress(content)
        depends = re.search(rb"\0depends=([^\0]*)\0", content)
        for dependency in depends[1].decode().split(",") if depends else ():
            find(dependency)
        found[name] = content

    for name in names:
        find(name)
    return found


def which(tool: str) -> Path | None:
    """The path of a command, also where the directory for root's is not in $PATH."""
    path = shutil.which(tool, path=os.environ.get("PATH", "") + ":/usr/sbin")
    return Path(path) if path else None


def build(modules: Path, config: Path, command: str, extra: list[Path]) -> Image:
    """The whole image: a machine that loads modules, then runs the lines of shell in command.

    Args:
        modules: the kernel's own directory under /lib/modules.
        config: the kernel's configuration, put where `bpftool feature` looks for it.
        command: run by sh in the checkout, as root.
        extra: more files or directories of the host, put at the same path.
    """
    image = Image()
    image.put("/init", Path(__file__).with_name("init"), stat.S_IFREG | 0o755)
    image.put("/etc/passwd", b"root:x:0:0:root:/root:/bin/sh\n", stat.S_IFREG | 0o644)
    image.put("/etc/group", b"root:x:0:\n", stat.S_IFREG | 0o644)
    image.put("/etc/hosts", b"127.0.0.1 localhost vm\n", stat.S_IFREG | 0o644)

    image.file(config, at=f"/boot/{config.name}")

    for tool in [*TOOLS, *BASICS.split()]:
        if path := which(tool):
            image.file(path)
    if busybox := which("busybox"):
        image.file(busybox, at="/usr/bin/busybox")

    python = Path(sys.executable).resolve()  # out of the virtual environment
    image.file(python)
    image.link("/usr/bin/python3", str(python))
    image.tree(Path(os.__file__).parent, SKIPPED)
    found = list(libraries())
    for library in found:
        image.tree(library)
    # Opened by the C library when a thread ends, so no program is linked with it.
    for path in Path("/usr/lib").glob("*-linux-gnu/libgcc_s.so.1"):
        image.file(path)

    for path in (CHECKOUT / "pyproject.toml", CHECKOUT / "pybpftool", CHECKOUT / "tests", *extra):
        image.tree(path.absolute())

    contents = find_modules(modules, MODULES)
    for name, content in contents.items():
        image.put(f"/modules/{name}.ko", content, stat.S_IFREG | 0o644)
    image.put("/modules/order", "\n".join(contents).encode(), stat.S_IFREG | 0o644)

    import_path = ":".join(dict.fromkeys(str(path.parent) for path in [CHECKOUT / "tests", *found]))
    lines = f"cd {shlex.quote(str(CHECKOUT))}\n"
    lines += f"export PYTHONPATH={shlex.quote(import_path)}\n{command}\n"
    image.put("/command", lines.encode(), stat.S_IFREG | 0o644)
    image.shared_libraries()
    return image
