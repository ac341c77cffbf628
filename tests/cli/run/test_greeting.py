"""The link and its QR code."""

from __future__ import annotations

import os

import pytest
import segno

from livejobs.cli.run.greeting import BORDER, greeting, qr_code

PAGE = "http://192.0.2.1:8000/jobs/01a21bdc-6496-707a-bde3-9432e1991cbd"
UPPER = {"█": 1, "▀": 1, "▄": 0, " ": 0}
LOWER = {"█": 1, "▀": 0, "▄": 1, " ": 0}


@pytest.mark.parametrize("text", [PAGE, "a", "https://example.org/" + "x" * 400])
def test_the_code_is_the_one_of_the_text(text: str) -> None:
    lines = qr_code(text)
    light = [[half[c] for c in line] for line in lines for half in (UPPER, LOWER)]
    made = segno.make(text, error="l", boost_error=False, micro=False)
    expected = [[int(not dark) for dark in row] for row in made.matrix_iter(border=BORDER)]
    assert light[: len(expected)] == expected


@pytest.mark.parametrize(
    ("columns", "lines", "shown"),
    [(80, 24, True), (36, 24, False), (80, 20, False), (37, 21, True)],
)
def test_a_code_that_does_not_fit_is_left_out(columns: int, lines: int, shown: bool) -> None:
    text = greeting(PAGE, code=True, size=os.terminal_size((columns, lines)), colour=False)
    assert text.startswith(f"livejobs: {PAGE}\n")
    assert ("▀" in text) == shown


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "[::1]", "localhost", "a.localhost"])
def test_a_link_that_no_phone_can_open_has_no_code(host: str) -> None:
    page = f"http://{host}:8000/jobs/a"
    text = greeting(page, code=True, size=os.terminal_size((80, 24)), colour=False)
    assert text == f"livejobs: {page}\n"


def test_without_colour_there_are_no_escapes() -> None:
    size = os.terminal_size((80, 24))
    assert "\x1b" not in greeting(PAGE, code=True, size=size, colour=False)
    assert "\x1b" in greeting(PAGE, code=True, size=size, colour=True)


def test_a_page_cannot_control_the_terminal() -> None:
    size = os.terminal_size((80, 24))
    text = greeting("http://a/\x1b]0;x\x07\u202e", code=False, size=size, colour=True)
    assert text == "livejobs: http://a/?]0;x??\n"
