"""pybpftool: inspect and change eBPF programs, maps and types, in pure Python."""

__version__ = "0.1.0"

CONTRACT = "7.8.0"
"""The bpftool release whose words, bytes and statuses this tool gives."""
