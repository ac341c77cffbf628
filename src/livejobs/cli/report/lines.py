"""Lines of stdin, read ahead by a thread, within bounds."""

from __future__ import annotations

import os
import threading
from collections import deque
from typing import Final, NamedTuple

LONGEST: Final = 1024 * 1024  # bytes of a line: the server's default limit for a body
ROOM: Final = 4 * 1024 * 1024  # bytes that are read ahead; then the program before us waits
COST: Final = 100  # bytes that a line takes beside its text
PIECE: Final = 64 * 1024


class Line(NamedTuple):
    number: int  # from 1, as an editor counts
    text: bytes
    cut: bool = False  # longer than LONGEST: the rest was not kept


class Splitter:
    """Bytes as they come, made into lines. A line that is too long takes no more memory."""

    def __init__(self) -> None:
        self._number = 0
        self._rest = bytearray()
        self._cut = False

    def feed(self, piece: bytes) -> list[Line]:
        *whole, begun = piece.split(b"\n")
        found = [self._ended(part) for part in whole]
        self._add(begun)
        return found

    def end(self) -> list[Line]:
        """The last line, if it has no line break."""
        return [self._ended(b"")] if self._rest or self._cut else []

    def _add(self, part: bytes) -> None:
        room = LONGEST - len(self._rest)
        self._cut = self._cut or len(part) > room
        self._rest += part[:room]

    def _ended(self, part: bytes) -> Line:
        self._add(part)
        self._number += 1
        line = Line(self._number, bytes(self._rest), self._cut)
        self._rest.clear()
        self._cut = False
        return line


class Input:
    """`take` waits for lines that a thread reads from a file descriptor.

    The thread uses `os.read`: a buffered stdin has a lock, and the interpreter's exit fails when a
    daemon thread holds that.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._lines: deque[Line] = deque()
        self._bytes = 0
        self._over = False
        self._changed = threading.Condition()
        threading.Thread(target=self._read, name="stdin", daemon=True).start()

    def take(self, most: int, room: int) -> list[Line]:
        """The next lines: at least one, at most so many and so many bytes. None left: empty."""
        with self._changed:
            self._changed.wait_for(lambda: self._lines or self._over)
            found: list[Line] = []
            size = 0
            while self._lines and len(found) < most and (size < room or not found):
                found.append(self._lines.popleft())
                size += _size(found[-1])
            self._bytes -= size
            self._changed.notify_all()
            return found

    @property
    def left(self) -> int:
        """Lines that were read ahead."""
        with self._changed:
            return len(self._lines)

    def _read(self) -> None:
        splitter = Splitter()
        try:
            while piece := os.read(self._descriptor, PIECE):
                self._put(splitter.feed(piece))
        except OSError:
            pass  # a closed stdin has no lines
        self._put(splitter.end(), over=True)

    def _put(self, lines: list[Line], *, over: bool = False) -> None:
        with self._changed:
            self._changed.wait_for(lambda: self._bytes < ROOM)
            self._lines += lines
            self._bytes += sum(map(_size, lines))
            self._over = over
            self._changed.notify_all()


def _size(line: Line) -> int:
    return len(line.text) + COST
