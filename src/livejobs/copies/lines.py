"""The lines of an export: one JSON object each. The entries of a job follow the line of its head.

The values of entries go through as bytes. The rest is read and written as the stores do, so a copy
has the same heads as its source.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import BinaryIO, Final, Self, TypeAlias

import msgspec
from msgspec import Raw, Struct
from msgspec.structs import replace

from livejobs.copies.errors import Damaged
from livejobs.core.hooks import Hook
from livejobs.core.model import ID_PATTERN, PROJECT_PATTERN, Entry, EntryKind, Head
from livejobs.private import FILE
from livejobs.store.audit import AuditRecord
from livejobs.store.files import Tally
from livejobs.store.keys import Key


class JobLine(Struct, frozen=True, tag="job"):
    head: Head


class EntryLine(Struct, frozen=True, tag="entry"):
    kind: EntryKind
    n: int
    level: int
    value: Raw

    @property
    def entry(self) -> Entry:
        return Entry(self.kind, self.n, self.level, Raw(bytes(self.value)))


class KeyLine(Struct, frozen=True, tag="key"):
    key: Key


class HookLine(Struct, frozen=True, tag="webhook"):
    """A webhook of a project, with its secrets."""

    hook: Hook


class AuditLine(Struct, frozen=True, tag="audit"):
    record: AuditRecord


class DownloadsLine(Struct, frozen=True, tag="downloads"):
    """Of the file with this key. They change without a change of the job."""

    key: str
    tally: Tally


Line: TypeAlias = JobLine | EntryLine | KeyLine | HookLine | AuditLine | DownloadsLine

_encode = msgspec.json.Encoder().encode
_decode: Final = msgspec.json.Decoder(Line).decode
_ID: Final = re.compile(ID_PATTERN)
_PROJECT: Final = re.compile(PROJECT_PATTERN)
_HOOK: Final = re.compile(r"wh_[0-9a-f]{24}\Z")
_KEY: Final = re.compile(r"[0-9a-f]{32}\Z")  # it becomes a part of paths


class Piece(Struct, frozen=True):
    """A file of lines, as it must be."""

    name: str
    bytes: int
    lines: int
    jobs: int
    sha256: str


class PieceWriter:
    """Writes a piece. The file has its name only when it is complete and on disk."""

    def __init__(self, folder: Path, name: str) -> None:
        self.bytes = self.lines = self.jobs = 0
        self._path = folder / name
        self._part = self._path.with_name(f"{name}.part")
        self._file = new_file(self._part)
        self._digest = sha256()

    def write(self, line: Line) -> None:
        data = _encode(line) + b"\n"
        self._file.write(data)
        self._digest.update(data)
        self.bytes += len(data)
        self.lines += 1
        self.jobs += isinstance(line, JobLine)

    def finish(self) -> Piece:
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        self._part.rename(self._path)
        name, digest = self._path.name, self._digest.hexdigest()
        return Piece(name, self.bytes, self.lines, self.jobs, digest)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self._file.close()


def new_file(path: Path) -> BinaryIO:
    """A file that other users of the machine can't read: the folder may be open to them."""
    return os.fdopen(
        os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, FILE), "wb"
    )


def read(folder: Path, piece: Piece) -> Iterator[tuple[Line, int]]:
    """The lines of a piece, with their sizes. Raise Damaged where it is not as it was written."""
    digest = sha256()
    number = 0
    try:
        with (folder / piece.name).open("rb") as file:
            for number, data in enumerate(file, 1):
                digest.update(data)
                yield _checked(piece, number, data), len(data)
    except FileNotFoundError:
        raise Damaged(piece.name, "it is missing") from None
    if number < piece.lines:
        raise Damaged(piece.name, f"it ends after line {number} of {piece.lines}")
    if digest.hexdigest() != piece.sha256:
        raise Damaged(piece.name, "it has been changed since")


def _checked(piece: Piece, number: int, data: bytes) -> Line:
    try:
        line: Line = _decode(data)
    except (msgspec.MsgspecError, ValueError) as error:
        cut = "it ends there" if not data.endswith(b"\n") else str(error)
        raise Damaged(piece.name, cut, number) from None
    if isinstance(line, HookLine) and not _is_of_project(line.hook):
        raise Damaged(piece.name, "it is not a webhook of a project", number)
    if not isinstance(line, JobLine):
        return line
    if not _is_sound(line.head):
        raise Damaged(piece.name, "it is not a job", number)
    return JobLine(replace(line.head, hooks=()))  # they could name webhooks that are there


def _is_of_project(hook: Hook) -> bool:
    """One of a job could take the events of a job that is there."""
    return hook.job is None and bool(_PROJECT.match(hook.project) and _HOOK.match(hook.id))


def _is_sound(head: Head) -> bool:
    """A folder that somebody else wrote must not lead out of the folders that we write to."""
    keys = [file.key for file in head.files if file.kept]
    return bool(_ID.match(head.id) and _PROJECT.match(head.project) and all(map(_KEY.match, keys)))
