"""What other nodes have changed in a project, read from the store they share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

from livejobs.core.model import KINDS, Record, Stored
from livejobs.store.base import Gone, JobStore, is_full

JOBS: Final = 1_000  # in one page
HEAD_BYTES: Final = 4 * 1024 * 1024
ENTRIES: Final = 5_000
ENTRY_BYTES: Final = 1024 * 1024


class News(NamedTuple):
    """A page of what happened in a project after a seq, in order of seq."""

    project: str
    jobs: Sequence[Stored]
    gone: Sequence[Gone]
    entries: Sequence[Record]  # of these jobs; empty unless `whole`
    upto: int  # everything up to here is in this page, or was in one before
    whole: bool  # False: there was too much at once, so the entries are left in the store
    last: bool  # whether this was all


async def read_news(
    store: JobStore, project: str, after: int, *, with_entries: bool = True
) -> News:
    """A node that was cut off reads many pages, and leaves the entries to those who need them.
    It must do so up to the last page: a job of a later page may have entries of an earlier one."""
    changes = await store.changes(project, after, limit=JOBS, most_bytes=HEAD_BYTES)
    seqs = [it.seq for it in changes.jobs] + [it.seq for it in changes.gone]
    upto = max(seqs, default=after)
    if not (changes.complete and with_entries):
        last = changes.complete
        return News(project, changes.jobs, changes.gone, (), upto, whole=False, last=last)
    # Every change writes its job's head. So the seq of no change is above these, and an entry with
    # a lower seq was there when they were read.
    entries = await store.feed_entries(
        project, after, upto, limit=ENTRIES, kinds=KINDS, most_bytes=ENTRY_BYTES
    )
    whole = len(entries) < ENTRIES and not is_full(entries, ENTRY_BYTES)
    found = entries if whole else ()
    return News(project, changes.jobs, changes.gone, found, upto, whole=whole, last=True)
