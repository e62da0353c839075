"""Lists, names that several maps bear, pins in lists, frozen maps, and the help."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from pybpftool.kernel import calls
from pybpftool.objects import OBJECTS
from tests.live.compare import FORMS, Both, ours
from tests.live.normalisers import SPOKEN, is_json
from tests.live.zoo import KINDS, Kind, Made, hashed, made
from tests.support.run import Ended

SOME = ["h4_4", "a4", "ph4_12", "t_int", "queue", "progs", "t_bss", "lpm", "dev", "aom"]
TWINS = [
    Kind("twin", "hash", 4, 4, fill=hashed(4, 4)),
    Kind("twin2", "array", 4, 20),
    Kind("twin3", "hash", 1, 1),
]


@pytest.fixture
def some(pins: str) -> Iterator[list[Made]]:
    """A handful of maps."""
    with ExitStack() as stack:
        yield [stack.enter_context(made(KINDS[name], pins)) for name in SOME]


def ours_of(ended: Ended, words: list[str], maps: list[Made]) -> object:
    """What a list says of ``maps``, in order; other maps may come and go under the tests.

    Without BTF ids: see "no-stale-btf-id" in ``differences``.
    """
    assert not ended.status
    ids = [map.id for map in maps]
    if is_json(words):
        found = [record for record in ended.json if record["id"] in ids]
        for record in found:
            record.pop("btf_id", None)
        return [list(record.items()) for record in found]
    parts = re.split(r"^(?=\d+: )", ended.out, flags=re.M)[1:]
    parts = [part for part in parts if int(part.split(":")[0]) in ids]
    # the id shares its line with "frozen"
    return [re.sub(r"\n\tbtf_id \d+$|btf_id \d+  (?=frozen)", "", part[:-1]) for part in parts]


@pytest.mark.parametrize(
    "words",
    [
        "map",
        "map show",
        "map list",
        "map l -j",
        "-p map s",
        "-f map",
        "-jf map list",
        "map -p --bpffs",
    ],
)
def test_list(words: str, both: Both, some: list[Made]) -> None:
    line = words.split()
    calls.map_freeze(some[0].fd)
    calls.map_freeze(some[3].fd)
    found = ours_of(ours(*line), line, some)
    assert len(found) == len(some)  # type: ignore[arg-type]
    assert found == ours_of(both.reference(*line), line, some)


def test_pins_of_one_map(both: Both, some: list[Made], pins: str) -> None:
    directory = os.path.join(pins, "deeper", "still")
    os.makedirs(directory)
    again = os.path.join(directory, "name with blanks")
    calls.obj_pin(some[0].fd, again)
    lines = [["-f", "map", "show", "id", str(map.id), *form] for map in some for form in FORMS]
    try:
        both.check(lines)  # two pins of one map come in the order in which they are found
        record = ours("-fj", "map", "show", "id", str(some[0].id)).json
        assert sorted(record["pinned"]) == sorted([some[0].path, again])
    finally:
        os.unlink(again)
        os.removedirs(directory)  # up to the first that is not empty


@pytest.fixture
def twins(pins: str) -> Iterator[list[Made]]:
    """Maps that bear one name."""
    with ExitStack() as stack:
        yield [stack.enter_context(made(kind, pins, name="twin")) for kind in TWINS]


def test_several_of_one_name(both: Both, twins: list[Made]) -> None:
    name = twins[0].name
    assert {map.name for map in twins} == {name}
    both.check(
        [
            *(
                ["map", command, "name", name, *form]
                for command in ("show", "dump")
                for form in FORMS
            ),
            ["map", "lookup", "name", name, "key", "1", "2", "3", "4"],
            ["-j", "map", "freeze", "name", name],
            ["map", "pin", "name", name, "/nowhere"],
            ["map", "update", "name", name, "key", "0"],
        ]
    )


def test_several_with_types(both: Both, pins: str) -> None:
    kinds = [KINDS["t_int"], KINDS["t_key"], KINDS["t_empty"]]
    with ExitStack() as stack:
        maps = [stack.enter_context(made(kind, pins, name="typed")) for kind in kinds]
        name = maps[0].name
        both.check(["map", "dump", "name", name, *form] for form in FORMS)


@pytest.mark.parametrize("name", ["h4_4", "t_int", "progs", "a_mmap"])
def test_frozen(name: str, both: Both, pins: str) -> None:
    with made(KINDS[name], pins) as map:
        calls.map_freeze(map.fd)
        handle = ["pinned", map.path]
        key = ["key", *["0"] * map.kind.key]
        value = ["value", *["0"] * map.kind.value]
        both.check(
            [
                *(["map", "show", *handle, *form] for form in FORMS),
                ["map", "freeze", *handle],
                ["-j", "map", "freeze", *handle],
                ["map", "delete", *handle, *key],
                ["map", "dump", *handle],
                *([["map", "update", *handle, *key, *value]] if name != "progs" else []),
            ]
        )


@pytest.mark.parametrize(
    "line",
    [
        "",
        "help",
        "-h",
        "map help",
        "m h",
        "map he",
        "-j map help",
        "-p help",
        "-j",
        "map help me",
        "--help map",
    ],
)
def test_help(line: str, both: Both) -> None:
    both.check([line.split()])


OTHERWISE = (
    "btf dump BTF_SRC [format FORMAT] [root_id ROOT_ID]",
    "FORMAT  := { raw | c [unsorted] }",
    "{-L|--use-loader} | [ {-S|--sign }",
)
"""Beginnings of lines of bpftool's help that ours words otherwise: see "more-words" in
``differences``."""


@pytest.mark.parametrize("name", OBJECTS)
def test_help_line_by_line(name: str, both: Both) -> None:
    """Every line of bpftool's help is there, in its order; some of ours go on where it ends."""
    if both.reference.version != SPOKEN:
        pytest.skip("the reference has another help")
    mine = iter(ours(name, "help").err.splitlines())
    for line in both.reference(name, "help").err.splitlines():
        if not line.strip().removeprefix("bpftool ").startswith(OTHERWISE):
            start = line.rstrip().removesuffix(" }")
            assert any(each.startswith(start) for each in mine), line


@pytest.mark.parametrize(
    "text",
    [
        "",
        "# nothing\n\n",
        "map show pinned {path}\n",
        "map show pinned {path} # rest\n\tmap lookup pinned '{path}' key 0 0 0 0\n",
        'map lookup pinned "{path}" \\\n key 0 0 0 0\n',
        "map lookup pinned {path} key 9 9 9 9\nmap show pinned {path}\n",
        "map show 'pinned\n",
        "map show \\\n",
        "map show pinned {path}\nmap nonsense pinned\nmap show\n",
        "-j map show\n",
        "map dump pinned {path}\nmap show pinned {path}\n",
        "map update pinned {path} key 0 0 0 0 value 1 2 3 4\nmap show pinned {path}\n",
        "batch file {other}\nmap show pinned {path}\n",
        "map show pinned " + "x" * 65536 + "\n",
        "map lookup pinned {path} key" + " 1" * 5000 + "\n",
    ],
    ids=lambda text: text[:40],
)
def test_batch(text: str, both: Both, pins: str, tmp_path: Path) -> None:
    with made(KINDS["a4"], pins) as map:
        other = tmp_path / "other"
        other.write_text(f"map lookup pinned {map.path} key 1 0 0 0\n")
        batch = tmp_path / "batch"
        batch.write_text(text.format(path=map.path, other=other))
        both.check([["batch", "file", str(batch)]])
        if not NOT_IN_JSON & set(text.split()):
            both.check([[form, "batch", "file", str(batch)] for form in ("-j", "-p")])


NOT_IN_JSON = {"nonsense", "-j"}
"""See "batch-misuse" in ``differences``."""
