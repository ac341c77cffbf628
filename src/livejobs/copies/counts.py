"""How many jobs, entries and files there are, by project."""

from __future__ import annotations

from typing import TypeAlias

import msgspec
from msgspec import Struct

from livejobs.core.model import KINDS, Head


class Count(Struct):
    """Of one project."""

    jobs: dict[str, int] = msgspec.field(default_factory=dict)  # by status
    entries: int = 0
    files: int = 0  # with their bytes in the file area
    bytes: int = 0

    def add(self, head: Head) -> None:
        self.jobs[head.status] = self.jobs.get(head.status, 0) + 1
        self.entries += sum(head.total(kind) - head.removed(kind) for kind in KINDS)
        sizes = [file.size or 0 for file in head.files if file.kept]
        self.files += len(sizes)
        self.bytes += sum(sizes)


Counts: TypeAlias = dict[str, Count]


def add(counts: Counts, head: Head) -> None:
    counts.setdefault(head.project, Count()).add(head)


def total_jobs(counts: Counts) -> int:
    return sum(sum(count.jobs.values()) for count in counts.values())
