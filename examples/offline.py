#!/usr/bin/env python3
"""Show recorded map entries by their types: no kernel, no privilege, any machine.

A dump without types is all that is left of some maps: bytes in a bug report.  With the BTF of
the program that filled them they read like the map itself.
"""

from __future__ import annotations

import sys

from traffic import read_entries, read_types

from pybpftool.btf.values import compile_entries

btf, key, value = read_types()
entries = read_entries()

# The types are compiled into one function, once; it then prints any number of entries.  These
# come as the kernel hands them over: all keys in a row, all values in a row.
printer = compile_entries((btf, key), (btf, value), json=False, pretty=True, depth=1)
keys = b"".join(key for key, _ in entries)
values = b"".join(value for _, value in entries)
sys.stdout.write("[" + ",".join(printer.many(keys, values, len(entries))) + "\n]\n")
