"""``python -m pybpftool``."""

from .cli.main import main

main()
