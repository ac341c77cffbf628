"""What the files of jobs need from a database: FileStore, and the counts of downloads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from msgspec import Struct

from livejobs.store.audit import AuditRecord


class Tally(Struct, frozen=True):
    """How often a file was downloaded, and when last."""

    count: int = 0
    last_at: int | None = None


class FileStore(Protocol):
    """The files that `commit` gave to jobs, by key. Their bytes lie elsewhere (see files/)."""

    async def file_bytes(self) -> Mapping[str, int]:
        """Return the bytes that each project has in the file area."""

    async def ended_files(self, *, limit: int) -> Sequence[str]:
        """Return keys of files that no job has any more and that are not forgotten yet."""

    async def forget_files(self, keys: Sequence[str]) -> None:
        """Forget ended files, whose bytes have been removed."""

    async def known_files(self, keys: Sequence[str]) -> set[str]:
        """Return those of the keys that belong to a file of a job or to an ended file."""

    async def downloaded(
        self, tallies: Mapping[str, Tally], records: Sequence[AuditRecord]
    ) -> None:
        """Add to the counts of these keys and write the audit records, in one transaction. Keys
        that are not known are skipped."""

    async def downloads(self, keys: Sequence[str]) -> Mapping[str, Tally]:
        """Return the counts of those of the keys that are known."""
