"""Options anywhere, clustered, abbreviated (spec 1.1), and dispatch (1.2, 1.6, 1.7)."""

from __future__ import annotations

import io
import json

import pytest

from pybpftool import CONTRACT, __version__
from pybpftool.cli import options
from pybpftool.objects import OBJECTS
from pybpftool.output.emit import Console
from tests.support.run import pybpftool

TOP_HELP = f"""\
Usage: pybpftool [OPTIONS] OBJECT {{ COMMAND | help }}
       pybpftool batch file FILE
       pybpftool version

       OBJECT := {{ {" | ".join(OBJECTS)} }}
       OPTIONS := {{ {{-j|--json}} [{{-p|--pretty}}] | {{-d|--debug}} |
                    {{-V|--version}} | {{-o|--output}} FILE |
                    --color {{ auto | always | never }} }}
"""


@pytest.mark.parametrize("words", [(), ("help",), ("h",), ("-h",), ("--help",), ("map", "-h")])
def test_help_is_on_stderr_with_status_0(words: tuple[str, ...]) -> None:
    ended = pybpftool(*words)
    assert (ended.out, ended.err, ended.status) == ("", TOP_HELP, 0)


def test_help_stops_the_reading_of_options() -> None:
    assert pybpftool("-h", "--nonsense").status == 0


@pytest.mark.parametrize("words", [("-j", "help"), ("-jh",), ("-j", "map", "help")])
def test_help_in_json_is_null(words: tuple[str, ...]) -> None:
    ended = pybpftool(*words)
    assert (ended.out, ended.err, ended.status) == ("null\n", "", 0)


def test_unknown_object_shows_the_help_and_fails() -> None:
    ended = pybpftool("nonsense")
    assert (ended.out, ended.err, ended.status) == ("", TOP_HELP, 255)
    assert pybpftool("-j", "nonsense").out == "null\n"


def test_unknown_command_shows_the_objects_help() -> None:
    ended = pybpftool("ma", "nonsense")
    assert ended.status == 255
    assert ended.err.startswith("Usage: pybpftool ma { show | list }   [MAP]\n")


def test_called_as_bpftool_it_says_so() -> None:
    assert pybpftool("help", prog="/usr/local/sbin/bpftool").err.startswith("Usage: bpftool [OPT")
    assert pybpftool("version", prog="bpftool").out.startswith(f"bpftool v{CONTRACT}\n")
    assert pybpftool("version").out.startswith(f"pybpftool v{__version__}\n")


@pytest.mark.parametrize(
    "words",
    [
        ("-j", "version"),
        ("version", "-j"),
        ("--json", "version"),
        ("--js", "vers"),
        ("-jV",),
        ("map", "-Vj"),
        ("version", "whatever", "-j"),
        ("-j", "-k", "key", "-i", "cert", "-S", "version"),
        ("-jkkey", "-icert", "--sign", "v"),
    ],
)
def test_version_in_json(words: tuple[str, ...]) -> None:
    document = pybpftool(*words).json
    assert document["bpftool_version"] == CONTRACT
    assert set(document["features"].values()) <= {True, False}


def test_pretty_implies_json_and_stays() -> None:
    pretty = pybpftool("-p", "version").out
    assert pretty == pybpftool("-pj", "version").out == pybpftool("-j", "--pretty", "version").out
    assert pretty.startswith('{\n    "version": "')
    assert pretty.endswith("\n    }\n}\n")


@pytest.mark.parametrize(
    ("words", "blamed"),
    [
        (("-x",), "-x"),
        (("map", "-x"), "-x"),
        (("map", "show", "-xf"), "show"),
        (("-xf",), "pybpftool"),
        (("-f", "-xf"), "-f"),
        (("-fx",), "-fx"),
        (("--b",), "--b"),
        (("--nonsense",), "--nonsense"),
        (("--json=1",), "--json=1"),
        (("-B",), "-B"),
        (("--base-btf",), "--base-btf"),
        (("-l",), "-l"),
        (("-c", "always"), "-c"),
        (("map", "-1"), "-1"),
    ],
)
def test_unknown_option(words: tuple[str, ...], blamed: str) -> None:
    ended = pybpftool(*words)
    assert ended.err == f"Error: unrecognized option '{blamed}'\n{TOP_HELP}"
    assert (ended.out, ended.status) == ("", 255)


def test_unknown_option_in_json_has_no_help() -> None:
    assert pybpftool("-j", "-x").json == {"error": "unrecognized option '-x'"}
    assert pybpftool("-jx").json == {"error": "unrecognized option '-jx'"}
    assert pybpftool("-x", "-j").out == ""


@pytest.mark.parametrize("words", [("--color=always",), ("--color", "always"), ("--c=always",)])
def test_color(words: tuple[str, ...]) -> None:
    console = Console(io.BytesIO(), io.BytesIO())
    options.read(["pybpftool", *words, "version"], console)
    assert console.color == "always"


def test_color_knows_three_words() -> None:
    ended = pybpftool("version", "--color=sometimes")
    assert ended.err == "Error: --color takes auto, always or never, not 'sometimes'\n"
    assert (ended.out, ended.status) == ("", 255)
    assert pybpftool("version", "--color").err == "Error: --color takes auto, always or never\n"


def test_two_dashes_end_the_options() -> None:
    assert pybpftool("--", "-x").status == 255
    assert "unrecognized" not in pybpftool("--", "-x").err


def test_posixly_correct_ends_options_at_the_first_word(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POSIXLY_CORRECT", "1")
    assert pybpftool("version", "-j").out.startswith("pybpftool v")
    assert pybpftool("-j", "version").json


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("-S",), "must be supplied with -S for signing"),
        (("-S", "-k", "a"), "must be supplied with -S for signing"),
        (("-k", "a"), "--sign (or -S) must be explicitly passed"),
        (("-i", "a", "version"), "--sign (or -S) must be explicitly passed"),
    ],
)
def test_signing_options_go_together(words: tuple[str, ...], message: str) -> None:
    ended = pybpftool(*words)
    assert message in ended.err
    assert ended.status == 234
    assert json.loads(pybpftool("-j", *words).out)["error"] in ended.err


def test_base_btf_is_read_at_once() -> None:
    ended = pybpftool("-B", "/nonexistent", "version")
    assert ended.err == "Error: failed to parse base BTF at '/nonexistent': -2\n"
    assert ended.status == 255


def test_debug_adds_where_an_error_came_from() -> None:
    assert "Traceback" not in pybpftool("map", "show", "what").err
    assert "Traceback" in pybpftool("-d", "map", "show", "what").err
