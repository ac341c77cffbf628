"""Go through what does not fit into memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import TypeVar

T = TypeVar("T")


def walk(
    read: Callable[[int | None], tuple[Sequence[T], int | None]],
) -> Iterator[tuple[int | None, Sequence[T]]]:
    """The pages from the newest on, each with what it was asked for."""
    before: int | None = None
    while True:
        page, next = read(before)
        yield before, page
        if next is None:
            return
        before = next


def in_groups(items: Iterator[T], size: int) -> Iterator[list[T]]:
    while group := list(islice(items, size)):
        yield group
