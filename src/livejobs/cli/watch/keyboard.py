"""Single keys from a terminal, without waiting for Enter."""

from __future__ import annotations

import codecs
import os
import select
import sys
import termios
import tty
from contextlib import suppress
from types import TracebackType
from typing import Final, Self

NAMES: Final = {
    "\x1b[A": "up", "\x1bOA": "up", "\x1b[B": "down", "\x1bOB": "down",
    "\x1b[5~": "pageup", "\x1b[6~": "pagedown",
    "\x1b[H": "home", "\x1b[1~": "home", "\x1bOH": "home",
    "\x1b[F": "end", "\x1b[4~": "end", "\x1bOF": "end",
    "\x1b": "escape", "\r": "enter", "\n": "enter", "\x7f": "backspace", "\b": "backspace",
}  # fmt: skip
LONGEST: Final = 1024  # bytes at once: more is something that was pasted


class Keyboard:
    """As a block it reads keys. Without a terminal on stdin there are none. Ctrl-C is a signal."""

    def __init__(self) -> None:
        self._descriptor: int | None = None
        self._decoder = codecs.getincrementaldecoder("utf-8")("ignore")
        self._woken, self._waker = os.pipe()
        for end in (self._woken, self._waker):
            os.set_blocking(end, False)

    def __enter__(self) -> Self:
        if sys.stdin is not None and sys.stdin.isatty():
            self._descriptor = sys.stdin.fileno()
            self._before = termios.tcgetattr(self._descriptor)
            tty.setcbreak(self._descriptor)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._descriptor is not None:
            termios.tcsetattr(self._descriptor, termios.TCSADRAIN, self._before)

    def wake(self) -> None:
        """End a wait, from any thread."""
        with suppress(BlockingIOError):  # it is awake already
            os.write(self._waker, b"!")

    def wait(self, seconds: float, *, wakeful: bool = True) -> list[str]:
        """The keys that were pressed. None of them: the time is over, or `wake` was called.
        `wakeful=False`: `wake` is kept for the next call."""
        sources = [one for one in (self._descriptor, self._woken if wakeful else None)
                   if one is not None]  # fmt: skip
        ready, _, _ = select.select(sources, [], [], max(0.0, seconds))
        if self._woken in ready:
            os.read(self._woken, 65536)
        return self._keys() if self._descriptor in ready else []

    def _keys(self) -> list[str]:
        assert self._descriptor is not None
        data = os.read(self._descriptor, LONGEST)
        if not data:  # the terminal has gone
            self._descriptor = None
        return keys_of(self._decoder.decode(data))


def keys_of(text: str) -> list[str]:
    """A known sequence is one key, an unknown one is none."""
    found: list[str] = []
    while text:
        size = _sequence(text)
        key = text[:size]
        if size == 1 or key in NAMES:
            found.append(NAMES.get(key, key))
        text = text[size:]
    return found


def _sequence(text: str) -> int:
    if text[0] != "\x1b" or len(text) == 1 or text[1] not in "[O":
        return 1
    size = 2
    while size < len(text) and not (text[size].isalpha() or text[size] == "~"):
        size += 1
    return min(size + 1, len(text))
