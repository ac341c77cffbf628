"""What a backup says of itself. Its manifest is written when all the rest is there."""

from __future__ import annotations

import re
import secrets
from datetime import datetime
from hashlib import file_digest
from importlib.metadata import version
from pathlib import Path
from typing import Final

import msgspec
from msgspec import Struct

from livejobs.copies.counts import Counts
from livejobs.copies.errors import CannotCopy, WrongPlace

MANIFEST: Final = "backup.json"
DATABASE: Final = "livejobs.db"  # of a backup from SQLite. A backup from PostgreSQL is an export.
KEYS: Final = "files.txt"
VERSION: Final = 1
KIND: Final = "livejobs backup"
NAME: Final = re.compile(r"\d{8}T\d{9}Z-[0-9a-f]{6}\Z", re.ASCII)
DOCUMENT: Final = re.compile(r"[a-z0-9-]+\.(db|json|ndjson|txt)\Z", re.ASCII)


class Document(Struct, frozen=True):
    """A file of a backup, as it must be."""

    name: str
    bytes: int
    sha256: str


class Manifest(Struct, frozen=True):
    name: str
    at: str  # the time of the database's state
    counts: Counts
    documents: tuple[Document, ...]
    lost: tuple[str, ...] = ()  # keys of files whose bytes were gone or damaged at the source
    livejobs: str = ""
    kind: str = KIND
    version: int = VERSION

    @property
    def from_sqlite(self) -> bool:
        return any(it.name == DATABASE for it in self.documents)


class _Kind(Struct):
    """What even a later version says of itself."""

    kind: str
    version: int


def manifest_of(folder: Path, counts: Counts, lost: tuple[str, ...], at: datetime) -> Manifest:
    """Of a backup with all documents that are in the folder now. Names sort by time."""
    name = f"{at:%Y%m%dT%H%M%S}{at.microsecond // 1000:03}Z-{secrets.token_hex(3)}"
    documents = tuple(document_of(path) for path in sorted(folder.iterdir()))
    when = at.isoformat(timespec="seconds")
    return Manifest(name, when, counts, documents, lost, livejobs=version("livejobs"))


def document_of(path: Path) -> Document:
    with path.open("rb") as file:
        digest = file_digest(file, "sha256").hexdigest()
        return Document(path.name, file.tell(), digest)


def encode(manifest: Manifest) -> bytes:
    return msgspec.json.format(msgspec.json.encode(manifest)) + b"\n"


def decode(data: bytes, where: str) -> Manifest:
    try:
        said = msgspec.json.decode(data, type=_Kind)
        if said.kind != KIND or said.version != VERSION:
            raise WrongPlace(f"{where} is of another version of livejobs. Use that version.")
        manifest = msgspec.json.decode(data, type=Manifest)
    except (msgspec.MsgspecError, ValueError) as error:
        raise CannotCopy(
            f"{where} is damaged: {error}. Restore an earlier backup: see `--list`."
        ) from None
    # A folder that somebody else wrote must not lead out of the folders that we write to.
    if not all(DOCUMENT.match(it.name) for it in manifest.documents):
        raise CannotCopy(f"{where} names files that no backup has. Restore another backup.")
    return manifest
