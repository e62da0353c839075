"""What the running kernel says of the BTF that the loader makes for it."""

from __future__ import annotations

import pytest

from pybpftool.btf.reader import read_btf
from pybpftool.kernel.calls import btf_load
from pybpftool.loader import features
from pybpftool.loader.sanitize import fix_datasecs, sanitize
from tests.loader.test_sanitize import LACKS, SECTIONS, everything, objects_btf


@pytest.mark.parametrize("lacks", ["", *LACKS, "all"])
def test_the_kernel_takes_what_is_left(lacks: str) -> None:
    btf, _ = everything()

    def knows(word: str) -> bool:
        return lacks not in ("all", word) and features.knows(word)

    btf_load(sanitize(btf, knows)).close()


def test_the_kernel_takes_an_object_s_btf() -> None:
    b, _ = objects_btf()
    btf_load(sanitize(fix_datasecs(read_btf(b.blob()), SECTIONS), features.knows)).close()


@pytest.mark.parametrize("feature", ["btf", "btf_func", "btf_datasec", "global_data", "prog_name"])
def test_the_kernel_is_asked(feature: str) -> None:
    assert features.knows(feature)
