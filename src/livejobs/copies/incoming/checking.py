"""Look at an export and at the database that it goes into, before anything is written there."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from livejobs.copies.counts import Counts, add
from livejobs.copies.errors import Damaged, WrongPlace
from livejobs.copies.folder import Folder, Manifest
from livejobs.copies.lines import JobLine, Piece, read
from livejobs.copies.loop import Loop
from livejobs.copies.snapshots.readable import Readable
from livejobs.core.model import KINDS, EntryKind, File, Head
from livejobs.store.base import Query

IDS_AT_ONCE: Final = 200
SHOWN: Final = 10  # ids in a sentence


class Found(Struct):
    """What an import has to do."""

    counts: Counts
    there: int = 0  # jobs of the export that the database has, whole or in part
    others: int = 0  # jobs that only the database has
    changed: Sequence[str] = ()  # ids of jobs that are not the same in both; at most SHOWN
    changes: int = 0  # how many those are


def check(loop: Loop, folder: Folder, manifest: Manifest, target: Readable | None) -> Found:
    """Read the whole export. Raise Damaged if it is not as it was written. `target`: None if there
    is no database yet."""
    for piece in manifest.pieces:
        _check_size(folder, piece)
    found = Found({})
    for piece in manifest.pieces:
        for heads in _checked(folder, manifest, piece):
            for head in heads:
                add(found.counts, head)
            if target is not None:
                _compare(found, heads, known(loop, target, [head.id for head in heads]))
    if target is not None:
        found.others = sum(loop.call(target.counts, Query(None)).values()) - found.there
    return found


def refuse_mixing(found: Found) -> None:
    """Never mix jobs of two servers unless that is wanted."""
    if found.changes:
        ids = ", ".join(found.changed) + (" …" if found.changes > SHOWN else "")
        raise WrongPlace(
            f"Some of these jobs are in the database in another state: {ids}. Import into an "
            "empty database, or pass --merge to leave those jobs as they are."
        )
    if found.others:
        raise WrongPlace(
            f"The database has jobs that the export does not have: {found.others}. Import into an "
            "empty database, or pass --merge to keep both."
        )


def _check_size(folder: Folder, piece: Piece) -> None:
    """A first look: most damage shows here."""
    path = folder.path / piece.name
    if not path.is_file():
        raise Damaged(piece.name, "it is missing")
    if path.stat().st_size < piece.bytes:
        with path.open("rb") as file:
            lines = sum(line.endswith(b"\n") for line in file)
        raise Damaged(piece.name, f"it has only {lines} of {piece.lines} whole lines", lines + 1)


def _checked(folder: Folder, manifest: Manifest, piece: Piece) -> Iterator[list[Head]]:
    """The jobs of a piece, some at a time."""
    heads: list[Head] = []
    for line, _ in read(folder.path, piece):
        if isinstance(line, JobLine):
            for file in () if manifest.files_left else brought(line.head, manifest):
                _check_file(folder, file)
            heads.append(line.head)
            if len(heads) == IDS_AT_ONCE:
                yield heads
                heads = []
    yield heads


def brought(head: Head, manifest: Manifest) -> list[File]:
    """The files of a job whose bytes belong to the export."""
    return [file for file in head.files if file.kept and file.key not in manifest.lost]


def _check_file(folder: Folder, file: File) -> None:
    if not folder.has(file.key, file.size):
        place = folder.place(file.key).relative_to(folder.path)
        raise Damaged(str(place), f"{file.name!r} is missing there, or has another size")


def known(loop: Loop, target: Readable, ids: Sequence[str]) -> dict[str, Head]:
    """Those of the jobs that the database has."""
    if not ids:
        return {}
    page = loop.call(target.list, Query(None, ids=tuple(ids)), limit=len(ids))
    return {stored.head.id: stored.head for stored in page.jobs}


def _compare(found: Found, heads: Sequence[Head], there: Mapping[str, Head]) -> None:
    found.there += len(there)
    ids = [head.id for head in heads if head.id in there and not is_part(there[head.id], head)]
    found.changes += len(ids)
    found.changed = [*found.changed, *ids][:SHOWN]


def is_part(there: Head, head: Head) -> bool:
    """Whether the job in the database is this one, perhaps still without some entries."""
    fewer = all(there.total(kind) <= head.total(kind) for kind in KINDS)
    return fewer and with_totals(head, there.total) == there


def with_totals(head: Head, total: Callable[[EntryKind], int]) -> Head:
    """The job with only so many entries."""
    return replace(
        head,
        logs_total=total("logs"),
        results_total=total("results"),
        errors_total=total("errors"),
    )
