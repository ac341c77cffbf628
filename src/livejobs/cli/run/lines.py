"""A program's output as a terminal would show it: finished lines, and texts that were rewritten.

Pure: bytes in, text out. Everything that is kept between two calls is bounded.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final, NamedTuple

LONGEST: Final = 64 * 1024  # bytes without a line break that are kept
ENTRY: Final = 4000  # characters of joined lines in one entry: in UTF-8, less than the server takes
UPS: Final = 1000  # lines that are taken for redrawn ones at most

_ESCAPE: Final = re.compile(
    r"\x1b(?:\[[0-?]*[ -/]*[@-~]"  # colours and movements
    r"|\][^\x07\x1b]*(?:\x07|\x1b\\)"  # titles and links
    r"|[PX^_][^\x1b]*\x1b\\"
    r"|[ -/]*[0-~])"
)
_CONTROL: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_UP: Final = re.compile(r"\x1b\[(\d*)[AF]")
_ERASE: Final = re.compile(r"\x1b\[[0-2]?K")
_SCREEN: Final = re.compile(r"\x1b\[\?(?:1049|1047|47)([hl])")


class Text(NamedTuple):
    text: str
    rewritten: bool = False  # the program wrote over it, so it is no line of the log


def clean(text: str) -> str:
    """Without colours, movements and other control characters."""
    if "\x1b" in text:
        text = _ESCAPE.sub("", text)
    return _CONTROL.sub("", text)


class Lines:
    """One stream of a program."""

    def __init__(self, *, terminal: bool = False) -> None:
        """`terminal`: a NUL is padding, not a sign of binary data."""
        self.binary = 0  # bytes that were no text
        self._terminal = terminal
        self._in_binary = False
        self._pending = b""
        self._after_return = False  # the pending text is written over what was there
        self._screen = False  # the alternate screen of a full-screen program is shown
        self._redrawn = 0  # lines that the cursor went up: the next ones are written over

    def feed(self, data: bytes) -> str:
        """The text that is complete now: up to a line break or a return to the line's start."""
        if not self._terminal and self._is_binary(data):
            self.binary += len(data)
            self._pending = b""
            return ""
        data = self._pending + data
        # A return at the very end may be half of a line break.
        end = max(data.rfind(b"\n"), data.rfind(b"\r", 0, len(data) - 1)) + 1
        if len(data) - end > LONGEST:
            end = len(data)
        self._pending = data[end:]
        self._after_return = data[end - 1 : end] == b"\r" if end else self._after_return
        return self._visible(data[:end].decode("utf-8", "replace"))

    def end(self) -> str:
        """The text that no line break has followed."""
        data, self._pending = self._pending, b""
        return self._visible(data.decode("utf-8", "replace"))

    def bar(self) -> str:
        """What is drawn over the line at this moment, "" if nothing is."""
        if self._screen or not (self._after_return or self._pending.endswith(b"\r")):
            return ""
        return clean(self._pending[:LONGEST].decode("utf-8", "replace"))

    def _is_binary(self, data: bytes) -> bool:
        if b"\0" in data:
            self._in_binary = True
        elif self._in_binary:
            self._in_binary = not _is_text(data)
        return self._in_binary

    def _visible(self, text: str) -> str:
        text = text.replace("\r\r\n", "\n").replace("\r\n", "\n")
        if not self._screen and "\x1b[?" not in text:
            return text
        shown = []
        for at, part in enumerate(_SCREEN.split(text)):
            if at % 2:
                self._screen = part == "h"
            elif not self._screen:
                shown.append(part)
        return "".join(shown)

    def texts(self, block: str) -> Iterator[Text]:
        """One by one, in order."""
        *lines, rest = block.split("\n")
        for line in lines:
            yield from self._line(line)
        *over, cut = rest.split("\r")
        for part in over:
            self._go_up(part)
            if text := clean(part):
                yield Text(text, rewritten=True)
        if text := clean(cut):  # of a line that is too long to wait for its end
            yield Text(text)

    def _line(self, line: str) -> Iterator[Text]:
        self._go_up(line)
        *over, last = line.split("\r")
        for part in over:
            if text := clean(part):
                yield Text(text, rewritten=True)
        text = clean(last)
        if over and not text and not _ERASE.search(last):
            text = next(filter(None, map(clean, reversed(over))), "")
        redrawn = self._redrawn > 0
        self._redrawn = max(0, self._redrawn - 1)
        if text or not (over or redrawn or "\x1b" in last):
            yield Text(text, rewritten=redrawn)

    def _go_up(self, text: str) -> None:
        if "\x1b[" in text:
            ups = sum(int(found or "1") for found in _UP.findall(text))
            self._redrawn = min(UPS, self._redrawn + ups)


def joined(block: str) -> list[str]:
    """Many lines in few entries. No line is lost or cut, unless it is longer than an entry."""
    text = clean(block.replace("\r", "\n")) if "\r" in block else clean(block)
    most = 4 * ENTRY if text.isascii() else ENTRY
    found = []
    start, text = 0, text.removesuffix("\n")
    while start < len(text):
        end = min(start + most, len(text))
        if end < len(text):
            line = text.rfind("\n", start, end + 1)
            end = line if line > start else end
        found.append(text[start:end])
        start = end + (text[end : end + 1] == "\n")
    return found


def _is_text(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError as error:
        # Half a character at the end is the beginning of the next one.
        return error.start >= len(data) - 3 and error.start > 0
    return True
