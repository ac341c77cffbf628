"""The parts of the commands for readers that need no server."""

from __future__ import annotations

import json
import unicodedata
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from livejobs.cli import figures
from livejobs.cli.looks import LOOKS, bar, state_of
from livejobs.cli.text import JOINERS, UNSAFE, escaped, lines_of, plain
from livejobs.cli.watch.board import JOBS, LINES, Board
from livejobs.cli.watch.controls import KEYS, Act, Back, Cancel, Controls, Open, Quit, pressed
from livejobs.cli.watch.keyboard import keys_of
from livejobs.cli.watch.portrait import portrait
from livejobs.cli.watch.screen import Size, draw
from livejobs.client.reader.sse import Event

# Text


@given(st.text(st.characters(), max_size=200))
def test_no_text_controls_the_terminal(text: str) -> None:
    for shown in (plain(text), escaped(text), *lines_of(text)):
        assert [one for one in shown if unicodedata.category(one) in UNSAFE - {"Cf"}] == []
        assert [one for one in shown if unicodedata.category(one) == "Cf"] == [
            one for one in shown if one in JOINERS
        ]
        shown.encode()  # no half of a pair is left


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain", "plain"),
        ("two\r\nlines\n", "two lines"),
        ("a\tb", "a    b"),
        ("\x1b[2J\x07\x9b", "\\x1b[2J\\x07\\x9b"),
        ("back\rover", "back\\x0dover"),
        ("\u202eright\u2066", "\\u202eright\\u2066"),
        ("\ud800", "\\ud800"),
        ("\U000e0041", "\\U000e0041"),
        ("日本 👩‍💻 é", "日本 👩‍💻 é"),
    ],
)
def test_unsafe_characters_become_escapes(text: str, shown: str) -> None:
    assert plain(text) == shown


# Figures


@pytest.mark.parametrize(
    ("seconds", "shown", "short"),
    [(0, "0 s", "0s"), (59.4, "59 s", "59s"), (60, "1 min", "1min"), (70, "1 min 10 s", "1min"),
     (3600, "1 h", "1h"), (7500, "2 h 5 min", "2h"), (86400 * 3 + 7200, "3 d 2 h", "3d")],
)  # fmt: skip
def test_durations_have_two_units_at_most(seconds: float, shown: str, short: str) -> None:
    assert figures.duration(seconds) == shown
    assert figures.age(seconds) == short


@pytest.mark.parametrize(
    ("count", "shown"),
    [(0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (123_456_789, "123 MB"), (1.5e12, "1.5 TB")],
)
def test_sizes_have_a_fitting_unit(count: float, shown: str) -> None:
    assert figures.size(count) == shown


@pytest.mark.parametrize(
    ("value", "shown"), [(1000, "1,000"), (3.0, "3"), (33.14, "33.1"), (0.1234, "0.123")]
)
def test_numbers_are_short(value: float, shown: str) -> None:
    assert figures.number(value) == shown


@pytest.mark.parametrize("unicode", [True, False])
@given(value=st.one_of(st.none(), st.floats(-10, 200)), width=st.integers(1, 200))
def test_a_bar_has_its_width(unicode: bool, value: float | None, width: int) -> None:
    drawn = bar(value, width, "running", unicode=unicode)
    assert drawn.cell_len == width
    assert unicode or drawn.plain.isascii()


# Boards


def job(id: str, **fields: Any) -> dict[str, Any]:
    return {
        "id": id, "type": "t", "title": None, "status": "running", "stalled": False,
        "cancel_requested": False, "waiting": None, "attempt": 1, "steps": [], "counters": {},
        "progress": {"percent": 42, "current": 420, "total": 1000, "unit": "frames",
                     "message": None, "rate": 33.1, "eta_seconds": 17.5},
        "children": {"total": 3, "queued": 0, "running": 1, "succeeded": 2, "failed": 0,
                     "cancelled": 0},
        "results_total": 0, "errors_total": 0, "logs_total": 0, "errors": [], "files": [],
        "error": None, "queue": None, "created_at": "2026-01-02T03:04:05.678Z",
        "started_at": "2026-01-02T03:04:05.678Z", "completed_at": None,
        "timing": {"queue_seconds": 0.4, "run_seconds": None, "total_seconds": None}, **fields,
    }  # fmt: skip


def state(id: str, **fields: Any) -> Event:
    return Event("message", json.dumps(job(id, **fields)), "e.1")


def test_a_board_is_bounded_and_keeps_what_runs() -> None:
    board = Board()
    board.take(state("running"))
    for n in range(JOBS + 10):
        when = f"2026-01-02T03:{n // 60:02}:{n % 60:02}.000Z"
        board.take(state(f"j{n}", status="succeeded", completed_at=when))
    assert len(board.jobs) == JOBS
    assert board.newest_first()[0]["id"] == "running"
    assert "j0" not in board.jobs
    for start in range(0, LINES + 500, 500):
        lines = [{"n": n} for n in range(start, start + 500)]
        board.take(Event("logs", json.dumps(lines), "e.2"))
    assert (len(board.lines), board.lines[-1]["n"]) == (LINES, LINES + 499)


def test_a_board_forgets_what_is_gone() -> None:
    board = Board()
    board.take(state("a"))
    board.take(state("b"))
    board.take(Event("gone", '{"job": "a"}', "e.2"))
    assert list(board.jobs) == ["b"]
    board.cut()
    assert board.away
    board.take(Event("reset", "{}", None))
    assert (board.jobs, board.away) == ({}, False)


# Keys


def test_keys_are_told_apart() -> None:
    assert keys_of("q\x1b[A\x1bOBä\r\x1b") == ["q", "up", "down", "ä", "enter", "escape"]
    assert keys_of("\x1b[1;5Cx\x1b[200~") == ["x"]


JOBS_SHOWN = [job("a"), job("b", status="succeeded", completed_at="2026-01-02T03:04:05.678Z")]


def after(keys: str | list[str], **fields: Any) -> tuple[Controls, list[Act]]:
    now = Controls(**fields)
    acts: list[Act] = []
    for key in keys:
        now, act = pressed(now, key, JOBS_SHOWN)
        acts += [act] if act is not None else []
    return now, acts


def test_keys_do_what_the_help_says() -> None:
    assert after("q")[1] == [Quit()]
    assert after("j")[0].selected == "a"
    assert after("jjj")[0].selected == "b"
    assert after("jjjk")[0].selected == "a"
    assert after(["j", "enter"])[1] == [Open("a")]
    assert after(["j", "enter", "escape"])[1] == [Open("a"), Back()]
    assert after("ff")[0].status == "queued"
    assert after("f", alone="a")[0].level == "info"
    assert after(["/", *"Qx", "backspace", "enter"])[0].text == "Q"
    assert after(["/", "x", "enter", "escape"])[0].text == ""


def test_a_cancel_is_asked_for_twice() -> None:
    assert after("jcy")[1] == [Cancel("a")]
    assert after("jcn")[1] == []
    assert after("cy")[1] == []
    assert after("cy", alone="a")[1] == [Cancel("a")]
    ended, acts = after("jjc")
    assert (ended.notice, acts) == ("Job b has ended already.", [])


@given(st.lists(st.sampled_from([*KEYS, "x", "y", "backspace"]), max_size=30))
def test_no_keys_break_it(keys: list[str]) -> None:
    now, _ = after(keys)
    board = Board()
    for each in JOBS_SHOWN:
        board.jobs[each["id"]] = each
    for width, height in ((1, 1), (20, 3), (80, 24)):
        lines = draw(board, now, "http://x", Size(width, height, unicode=True))
        assert len(lines) == max(height, 1)
        assert max(cell_len(line.plain) for line in lines) <= width


# Pictures


def test_what_is_urgent_about_a_running_job_is_its_state() -> None:
    assert state_of(job("a")) == "running"
    assert state_of(job("a", stalled=True)) == "stalled"
    assert state_of(job("a", stalled=True, waiting={"prompt": "?"})) == "waiting"
    assert state_of(job("a", waiting={"prompt": "?"}, cancel_requested=True)) == "cancelling"
    assert state_of(job("a", status="failed", stalled=True)) in LOOKS


def test_only_a_job_that_moves_has_an_estimate() -> None:
    waits = {"waiting": {"prompt": "Publish?"}}
    for fields, left in (({}, True), (waits, False), ({"stalled": True}, False)):
        row = drawn(job("a", **fields))
        assert ("18 s left" in row) is left
        lines = portrait(job("a", **fields), 80, unicode=True)
        assert any("18 s left" in line.plain for line in lines) is left


def test_a_row_names_the_error_or_the_question() -> None:
    ended = {"completed_at": "2026-01-02T03:05:05.678Z"}
    progress = job("a")["progress"] | {"message": "Pass 2"}
    assert "Pass 2" in drawn(job("a", progress=progress))
    assert "Pass 2" not in drawn(job("a", progress=progress, status="succeeded", **ended))
    failed = drawn(
        job("a", progress=progress, status="failed", error={"message": "No disk"}, **ended)
    )
    assert "No disk" in failed
    assert "Pass 2" not in failed
    assert "Publish?" in drawn(job("a", progress=progress, waiting={"prompt": "Publish?"}))


def drawn(one: dict[str, Any]) -> str:
    """The row of a list with this job alone."""
    board = Board()
    board.take(Event("message", json.dumps(one), "e.1"))
    return draw(board, Controls(), "http://x", Size(100, 10, unicode=True))[2].plain


def test_a_job_s_picture_has_its_facts() -> None:
    steps = [
        {"name": f"s{n}", "title": None, "status": "succeeded" if n < 20 else "pending",
         "percent": 100 if n < 20 else 0, "current": None, "total": None}
        for n in range(40)
    ]  # fmt: skip
    steps[20] |= {"status": "running", "percent": 5, "current": 1, "total": 20}
    facts = {
        "steps": steps, "waiting": {"prompt": "Publish?"},
        "counters": {f"c{n}": n for n in range(20)},
        "files": [{"name": f"f{n}", "size": 1000} for n in range(9)],
        "errors_total": 1, "errors": [{"item": 17, "message": "frame broken"}],
        "queue": {"position": 1, "length": 9, "eta_seconds": 30},
    }  # fmt: skip
    for width in (40, 80, 160):
        lines = [line.plain for line in portrait(job("a", **facts), width, unicode=True)]
        text = "\n".join(lines)
        for said in ("? waiting", "● s20", "14 before", "14 more", "? Publish?", "f4  1.0 kB",
                     "livejobs answer a VALUE", "4 more", "17: frame broken",
                     "3: 1 running, 2 succeeded"):  # fmt: skip
            assert said in text, width
        assert max(map(cell_len, lines)) <= width
