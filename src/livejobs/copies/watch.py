"""How far a copy is, for whoever watches it."""

from __future__ import annotations

from typing import Protocol

from livejobs.copies.counts import Counts


class Watch(Protocol):
    def begin(self, counts: Counts) -> None:
        """This much is to be copied."""

    def jobs(self, n: int = 1) -> None:
        """So many more jobs are done."""

    def bytes(self, n: int) -> None:
        """So many more bytes of files are done. It is called in the event loop's thread."""

    def warn(self, text: str) -> None:
        """Something was left out."""


class OnlyWarnings:
    """Of a copy that is a step of another, which counts the same jobs."""

    def __init__(self, watch: Watch) -> None:
        self.warn = watch.warn

    def begin(self, counts: Counts) -> None:
        """The other has begun."""

    def jobs(self, n: int = 1) -> None:
        """The other counts them."""

    def bytes(self, n: int) -> None:
        """The other counts them."""
