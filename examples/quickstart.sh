#!/bin/sh
# Install pybpftool into a virtual environment of its own and walk through the life of a map.
#
#   sudo ./examples/quickstart.sh
#
# Without the privilege to use bpf(2) it says what is missing and shows a job that needs none.
# VENV names the environment to use (made if missing, and kept); without it one is made beside
# the temporary files and removed at the end, as everything else that is made here.
set -eu

here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
scratch=$(mktemp -d)
venv=${VENV:-$scratch/venv}
bpffs=/sys/fs/bpf
map=$bpffs/quickstart_$$
mounted=no

clean_up() {
    rm -f "$map" "${map}_typed"
    if [ "$mounted" = yes ]; then umount "$bpffs"; fi
    rm -rf "$scratch"
}
trap clean_up EXIT
trap 'exit 130' INT TERM

step() { printf '\n== %s\n' "$*"; }

# Print a command, then run it.
show() {
    printf '\n$ %s\n' "$*"
    "$@"
}

find_python() {
    for python in python3 python3.14 python3.13 python3.12 python3.11 python3.10; do
        if "$python" -c 'import sys; sys.exit(sys.version_info < (3, 10))' 2>/dev/null; then
            echo "$python"
            return
        fi
    done
    echo "quickstart: no Python 3.10 or newer found" >&2
    return 1
}

make_venv() {
    python=$(find_python)
    if ! "$python" -c 'import ensurepip' 2>/dev/null && [ "$(id -u)" = 0 ]; then
        apt-get update -qq >"$scratch/log" 2>&1
        DEBIAN_FRONTEND=noninteractive apt-get install -y -qq python3-venv >>"$scratch/log" 2>&1
    fi
    "$python" -m venv "$venv"
}

# What stands between this process and bpf(2), one line each; nothing where all is well.
missing() {
    "$venv/bin/python" - "$bpffs" <<'PYTHON'
import os, sys
from pybpftool.errors import KernelError
from pybpftool.kernel.bpffs import is_bpffs
from pybpftool.kernel.calls import map_create, map_next_id
from pybpftool.kernel.proc import effective

say = sys.stdout.write
lacking = []
try:
    map_create(2, 4, 4, 1).close()
    map_next_id(0)
except KernelError as error:
    has = effective()
    for name in ("CAP_BPF", "CAP_SYS_ADMIN"):
        if not has(name):
            lacking.append(f"{name}: this process, of uid {os.geteuid()}, does not have it")
    say(f"bpf(2): {error}" + (f" ({error.hint})" if error.hint else "") + "\n")
place = sys.argv[1]
if not os.path.isdir(place):
    lacking.append(f"{place}: there is no such directory to mount a BPF file system on")
elif not is_bpffs(place) and os.geteuid():
    lacking.append(f"{place}: no BPF file system is mounted there, and only root can do it")
elif is_bpffs(place) and not os.access(place, os.W_OK):
    lacking.append(f"{place}: uid {os.geteuid()} may not write to it")
say("".join(line + "\n" for line in lacking))
PYTHON
}

mount_bpffs() {
    if ! grep -q " $bpffs bpf " /proc/mounts; then
        show mount -t bpf bpf "$bpffs" && mounted=yes
    fi
}

walk() {
    step "A map is made, filled, read and taken away"
    show pybpftool map create "$map" type hash key 4 value 8 entries 16 name quickstart
    show pybpftool map list pinned "$map"
    show pybpftool map update pinned "$map" key 10 0 0 7 value 1 2 3 4 5 6 7 8
    show pybpftool map update pinned "$map" key hex 0a 00 00 08 value hex de ad be ef 00 00 00 00
    show pybpftool map dump pinned "$map"
    show pybpftool map lookup pinned "$map" key 10 0 0 7
    show pybpftool -p map lookup pinned "$map" key 10 0 0 7
    show pybpftool map delete pinned "$map" key 10 0 0 7
    show pybpftool map dump pinned "$map"
    show rm "$map"

    step "A map whose types are known is shown by them"
    show python "$here/typed_map.py" "${map}_typed"
    show pybpftool map dump pinned "${map}_typed"
    show rm "${map}_typed"
}

step "Installing pybpftool into $venv"
make_venv
"$venv/bin/pip" install --quiet --disable-pip-version-check "$here/.."
PATH="$venv/bin:$PATH"
show pybpftool version

lacking=$(missing)
if [ -z "$lacking" ] && mount_bpffs; then
    walk
else
    step "The kernel's part cannot be shown here"
    printf '%s\n' "${lacking:-$bpffs: the BPF file system could not be mounted}"
    echo "With that in place the whole walk is shown; mostly this will do: sudo $0"
    step "Recorded entries shown by their types, which needs no kernel"
    show python "$here/offline.py"
fi
step "Done"
