"""Bytes of a program become lines."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from livejobs.cli.run.lines import ENTRY, LONGEST, Lines, Text, joined


def logged(*chunks: bytes, terminal: bool = False) -> list[str]:
    return [text.text for text in seen(*chunks, terminal=terminal) if not text.rewritten]


def seen(*chunks: bytes, terminal: bool = False) -> list[Text]:
    lines = Lines(terminal=terminal)
    blocks = [lines.feed(chunk) for chunk in chunks]
    return [text for block in [*blocks, lines.end() + "\n"] for text in lines.texts(block)][:-1]


@given(st.text(alphabet="ab é\n\r", max_size=40), st.integers(0, 40), st.integers(0, 40))
def test_where_the_output_is_cut_makes_no_difference(text: str, first: int, second: int) -> None:
    data = (text.rstrip("\r\n") + "\n").encode()
    low, high = sorted((first, second))
    assert logged(data[:low], data[low:high], data[high:]) == logged(data)


def test_a_rewritten_line_is_logged_once() -> None:
    assert seen(b"a\n\r 10%\r 20%\r 30%\nb\n") == [
        Text("a"), Text(" 10%", True), Text(" 20%", True), Text(" 30%"), Text("b"),
    ]  # fmt: skip


def test_windows_line_breaks_and_those_of_a_pty_are_line_breaks() -> None:
    assert logged(b"a\r", b"\nb\r\nc\r\r\n\r\n") == ["a", "b", "c", ""]


def test_what_is_drawn_now_is_seen_before_it_is_finished() -> None:
    lines = Lines()
    assert (lines.feed(b"start\n\r 10%"), lines.bar()) == ("start\n\r", " 10%")
    assert (lines.feed(b"\r 20%"), lines.bar()) == (" 10%\r", " 20%")
    lines.feed(b"\n45")
    assert lines.bar() == ""  # half a line, which is not drawn over another one
    assert lines.feed(b"%\r") == ""
    assert lines.bar() == "45%"


def test_colours_titles_and_control_characters_are_not_logged() -> None:
    data = b"\x1b[31mred\x1b[0m \x1b]0;title\x07\x1b]8;;x\x1b\\link\x07\x08\n"
    assert logged(data) == ["red link"]


def test_a_full_screen_program_is_not_logged() -> None:
    data = b"before\n\x1b[?1049h\x1b[Hmenu\nentry\n\x1b[?1049lafter\n"
    for cut in range(len(data)):
        shown = logged(data[:cut], data[cut:], terminal=True)
        assert (shown[0], shown[-1]) == ("before", "after")
    assert logged(data, terminal=True) == ["before", "after"]


def test_lines_that_are_drawn_again_are_logged_once() -> None:
    frames = [b"\r\x1b[2K\x1b[1A\x1b[2KA %d%%\nB %d%%" % (n, n) for n in range(3)]
    texts = seen(b"A\nB", *frames, b"\nend\n", terminal=True)
    assert [text.text for text in texts if not text.rewritten] == ["A", "B 2%", "end"]
    assert Text("A 2%", rewritten=True) in texts


def test_binary_output_is_counted_and_not_logged() -> None:
    lines = Lines()
    assert [lines.feed(chunk) for chunk in (b"text\n", b"\0\1\2\n", b"\xff\xfe\n", b"more\n")] == [
        "text\n", "", "", "more\n",
    ]  # fmt: skip
    assert lines.binary == 7


def test_output_without_line_breaks_is_bounded() -> None:
    lines = Lines()
    total = sum(len(lines.feed(b"x" * 1000)) for _ in range(200))
    assert total >= 200_000 - LONGEST - 1000
    assert total + len(lines.end()) == 200_000


@given(st.lists(st.text(alphabet="abé", min_size=1, max_size=30), min_size=1, max_size=50))
def test_joined_lines_are_all_there(lines: list[str]) -> None:
    entries = joined("\n".join(lines * 100) + "\n")
    assert "\n".join(entries).split("\n") == lines * 100
    assert all(len(entry.encode()) <= 4 * ENTRY for entry in entries)


@pytest.mark.parametrize("block", ["", "\n", "x" * 50_000, "é" * 50_000 + "\n", "a\rb\n"])
def test_joining_keeps_the_text_of_one_long_line(block: str) -> None:
    assert "".join(joined(block)).replace("\n", "") == block.replace("\n", "").replace("\r", "")
