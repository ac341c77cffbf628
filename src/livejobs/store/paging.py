"""Where an answer ends when it is bounded in bytes. Every store cuts its answers by these rules."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from operator import attrgetter
from typing import TypeVar

from livejobs.core.model import Record, Stored
from livejobs.store.base import Changes, Gone, Page

T = TypeVar("T")


def up_to(rows: Iterable[T], size_of: Callable[[T], int], most_bytes: int | None) -> list[T]:
    """The first rows, up to the row that makes them reach the size."""
    found: list[T] = []
    size = 0
    for row in rows:
        found.append(row)
        size += size_of(row)
        if most_bytes is not None and size >= most_bytes:
            break
    return found


def newest(
    rows: Iterable[tuple[int, T | None]],
    make: Callable[[T], tuple[Stored, int]],
    limit: int,
    most_bytes: int | None,
    scanned: int,
) -> Page:
    """A page of those rows that are wanted, which are not None. Each row has its seq, and `make`
    returns a job and its size. Where `scanned` rows were read, there may be more."""
    found: list[Stored] = []
    size = read = last = 0
    for last, row in rows:  # noqa: B007 - where the next page begins
        read += 1
        if row is None:
            continue
        if len(found) == limit or (most_bytes is not None and found and size >= most_bytes):
            return Page(tuple(found), found[-1].seq)
        stored, one = make(row)
        found.append(stored)
        size += one
    return Page(tuple(found), last if read == scanned else None)


def whole_changes(records: Iterable[Record], most_bytes: int | None) -> list[Record]:
    """The first records, up to the end of the change that makes them reach the size."""
    found: list[Record] = []
    size = 0
    for record in records:
        if most_bytes is not None and size >= most_bytes and record.seq != found[-1].seq:
            break
        found.append(record)
        size += len(bytes(record.entry.value))
    return found


def merged(
    jobs: Sequence[Stored], gone: Sequence[Gone], limit: int, *, more: bool = False
) -> Changes:
    """The first `limit` of both, in order of seq. `more`: there are jobs after these."""
    last = jobs[-1].seq if more else None
    known = [one for one in gone if last is None or one.seq < last]
    both = sorted([*jobs, *known], key=attrgetter("seq"))
    first = both[:limit]
    return Changes(
        tuple(one for one in first if isinstance(one, Stored)),
        tuple(one for one in first if isinstance(one, Gone)),
        complete=len(both) <= limit and not more,
    )
