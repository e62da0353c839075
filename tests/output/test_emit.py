"""Results and errors to stdout and stderr."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator

import pytest

from pybpftool.command import COMPACT, NOTHING, PLAIN, PRETTY, Bulk, Many, One
from pybpftool.errors import PybpftoolError
from pybpftool.output.emit import Console
from pybpftool.output.paint import RED


def console(form: str) -> tuple[Console, io.BytesIO, io.BytesIO]:
    out, err = io.BytesIO(), io.BytesIO()
    made = Console(out, err)
    made.form = form
    return made, out, err


def broken(count: int) -> Iterator[dict[str, int]]:
    for number in range(count):
        yield {"n": number}
    raise PybpftoolError("no more")


@pytest.mark.parametrize(("form", "text"), [(PLAIN, b""), (COMPACT, b"null"), (PRETTY, b"null")])
def test_nothing(form: str, text: bytes) -> None:
    made, out, _ = console(form)
    assert made.show(NOTHING) == 0
    assert out.getvalue() == text


@pytest.mark.parametrize(
    ("form", "text"),
    [
        (PLAIN, b"n=0\nn=1\n"),
        (COMPACT, b'[{"n":0},{"n":1}]'),
        (PRETTY, b'[{\n        "n": 0\n    },{\n        "n": 1\n    }\n]'),
    ],
)
def test_many(form: str, text: bytes) -> None:
    made, out, _ = console(form)
    result = Many(({"n": n} for n in range(2)), lambda r: f"n={r['n']}\n", status=3)
    assert made.show(result) == 3
    assert out.getvalue() == text


@pytest.mark.parametrize(
    ("form", "texts"), [(PLAIN, (b"", b"onetwo")), (COMPACT, (b'["one","two"]', b""))]
)
def test_aside(form: str, texts: tuple[bytes, bytes]) -> None:
    made, out, err = console(form)
    made.show(Many(("one", "two"), str, aside=True))
    assert (out.getvalue(), err.getvalue()) == texts


class Terminal(io.BytesIO):
    def isatty(self) -> bool:
        return True


SEEN, BARE = b"\x1b[31mseen\x1b[m\n", b"seen\n"


@pytest.mark.parametrize(
    ("stream", "form", "color", "text"),
    [
        (Terminal, PLAIN, "auto", SEEN),
        (Terminal, PLAIN, "never", BARE),
        (Terminal, COMPACT, "auto", b"[1]"),
        (io.BytesIO, PLAIN, "auto", b"1\n"),
        (io.BytesIO, PLAIN, "always", SEEN),
        (io.BytesIO, PLAIN, "never", b"1\n"),
        (io.BytesIO, COMPACT, "always", b"[1]"),
    ],
)
def test_many_on_a_terminal(
    stream: type[io.BytesIO],
    form: str,
    color: str,
    text: bytes,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    made = Console(out := stream())
    made.form, made.color = form, color
    made.show(Many([1], "{}\n".format, terminal=lambda record, paint: paint("seen", RED) + "\n"))
    assert out.getvalue() == text


@pytest.mark.parametrize(("form", "text"), [(PLAIN, b""), (COMPACT, b"[]"), (PRETTY, b"[]")])
def test_many_of_none(form: str, text: bytes) -> None:
    made, out, _ = console(form)
    made.show(Many((), str))
    assert out.getvalue() == text


@pytest.mark.parametrize("count", [0, 2])
def test_an_error_under_way_ends_the_document(count: int) -> None:
    made, out, err = console(COMPACT)
    with pytest.raises(PybpftoolError) as caught:
        made.show(Many(broken(count), str))
    made.fail(caught.value)
    records = [*({"n": n} for n in range(count)), {"error": "no more"}]
    assert json.loads(out.getvalue()) == records
    assert err.getvalue() == b""


def test_an_error_under_way_in_plain_mode_follows_what_was_printed() -> None:
    made, out, err = console(PLAIN)
    with pytest.raises(PybpftoolError) as caught:
        made.show(Many(broken(1), lambda record: "one\n"))
    made.fail(caught.value)
    assert (out.getvalue(), err.getvalue()) == (b"one\n", b"Error: no more\n")


def test_hint_follows_in_plain_mode_only() -> None:
    error = PybpftoolError("no", hint="be root")
    made, out, err = console(PLAIN)
    made.fail(error)
    assert err.getvalue() == b"Error: no\nHint: be root\n"
    made, out, err = console(COMPACT)
    made.fail(error)
    assert (out.getvalue(), err.getvalue()) == (b'{"error":"no"}', b"")


def test_errors_are_quoted() -> None:
    made, out, _ = console(COMPACT)
    made.fail(PybpftoolError('say "x"\n'))
    assert json.loads(out.getvalue()) == {"error": 'say "x"\n'}


def test_warnings_are_for_people() -> None:
    made, _, err = console(PLAIN)
    made.warn("look")
    assert err.getvalue() == b"look\n"
    made, out, err = console(COMPACT)
    made.warn("look")
    assert out.getvalue() + err.getvalue() == b""


def test_one_with_its_own_status() -> None:
    made, out, _ = console(PLAIN)
    assert made.show(One(None, "Not found\n", status=254)) == 254
    assert out.getvalue() == b"Not found\n"


def test_bytes_that_are_no_text_leave_as_they_came() -> None:
    made, out, _ = console(COMPACT)
    made.show(One(b"\xff\xfe".decode("utf-8", "surrogateescape")))
    assert out.getvalue() == b'"\xff\xfe"'


@pytest.mark.parametrize("form", [PLAIN, COMPACT])
def test_bulk_is_told_form_and_depth(form: str) -> None:
    made, out, _ = console(form)
    made.depth = 2
    made.show(Bulk(lambda form, depth: iter([form, str(depth)])))
    assert out.getvalue() == f"{form}2".encode()


def test_watched_records_leave_at_once() -> None:
    made, out, _ = console(PLAIN)
    seen = []

    def records() -> Iterator[int]:
        for number in range(3):
            seen.append(out.getvalue())
            yield number

    made.show(Many(records(), lambda n: f"{n}\n", flush=True))
    assert seen == [b"", b"0\n", b"0\n1\n"]
