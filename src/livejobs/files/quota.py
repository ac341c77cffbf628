"""The bytes of files that each project has, and their limits. No I/O, no clock."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from livejobs.core.errors import BodyTooLarge
from livejobs.core.model import File
from livejobs.jobs.commit.publishing import Committed


class FileTooLarge(BodyTooLarge):
    title, default_code = "File too large", "file_too_large"


class Quota:
    def __init__(self, file_bytes: int, project_bytes: int | None) -> None:
        self._file = file_bytes
        self._project = project_bytes
        self._kept: Counter[str] = Counter()  # files of jobs
        self._coming: Counter[str] = Counter()  # uploads that are arriving

    @property
    def limited(self) -> bool:
        """Whether the bytes of a project matter."""
        return self._project is not None

    def begin(self, kept: Mapping[str, int]) -> None:
        self._kept = Counter(kept)

    def reserve(self, project: str, size: int) -> Reservation:
        """Reserve room for an upload of at least `size` bytes."""
        reservation = Reservation(self, project)
        reservation.grow(size)
        return reservation

    def check(self, project: str, size: int, more: int) -> None:
        if size > self._file:
            raise FileTooLarge(
                f"A file may have at most {self._file} bytes.", headers={"Connection": "close"}
            )
        limit = self._project
        if limit is not None and self._kept[project] + self._coming[project] + more > limit:
            raise FileTooLarge(
                f"The files of project {project!r} may have at most {limit} bytes, and this file "
                "would exceed that. Delete jobs that are no longer needed.",
                code="files_full",
                headers={"Connection": "close"},
            )

    def move(self, project: str, more: int) -> None:
        self._coming[project] += more

    def committed(self, changes: Sequence[Committed]) -> None:
        for change in changes:
            was = change.before.files if change.before else ()
            now = change.after.files if change.after else ()
            if was != now and not change.part:
                project = (change.after or change.slot.head).project
                self._kept[project] += _size(now) - _size(was)


class Reservation:
    """The room of one upload. It is released when the upload is over; from then on the file
    counts, if the upload became one."""

    def __init__(self, quota: Quota, project: str) -> None:
        self._quota = quota
        self._project = project
        self._size = 0

    def grow(self, size: int) -> None:
        """Let the upload have at least `size` bytes, if they fit."""
        if size > self._size:
            self._quota.check(self._project, size, size - self._size)
            self.note(size)

    def note(self, size: int) -> None:
        """The upload has `size` bytes, whatever the limits are now."""
        self._quota.move(self._project, size - self._size)
        self._size = size

    def release(self) -> None:
        self.note(0)


def _size(files: Sequence[File]) -> int:
    return sum(it.size or 0 for it in files if it.kept)
