"""The file area: whether a file can be written, read and removed, and whether nodes share it."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from livejobs import clock
from livejobs.backups.carrying import opened
from livejobs.config import SettingError, Settings
from livejobs.core.errors import LivejobsError
from livejobs.doctor.finding import Finding, failure, ok, skew, warning
from livejobs.doctor.machine import is_owner
from livejobs.files.areas.area import Area
from livejobs.files.areas.chosen import chosen_area
from livejobs.files.areas.proof import ID
from livejobs.files.threads import Threads
from livejobs.files.upload import Upload

PROBE = b"livejobs doctor"


async def look(settings: Settings) -> AsyncIterator[Finding]:
    where = settings.files or str(settings.files_folder)
    folder = await asyncio.to_thread(_folder, settings, where)
    if folder is not None:
        yield folder
        return
    threads = Threads(2, "livejobs-doctor")
    try:
        area = await asyncio.to_thread(chosen_area, settings, threads)
        await area.open()
        modified = await _probe(area, threads, settings.files_folder / "incoming")
        yield ok("files", f"A file was written, read and removed at {where}.")
        if settings.object_store is not None:
            yield skew("files clock", clock.now_ms() - modified, "the object store")
        if settings.database is not None:
            yield await _shared(area, settings.database, where)
    except SettingError as error:
        yield failure("files", f"{where} {error.wrong}.", "Correct the setting files.")
    except (LivejobsError, OSError) as error:
        why = error.detail if isinstance(error, LivejobsError) else error.strerror
        yield failure("files", f"{where}: {why}", "Make it writable for the user of the server.")
    finally:
        await asyncio.to_thread(threads.shutdown)


def _folder(settings: Settings, where: str) -> Finding | None:
    """Why no file can be written yet. None: it can be tried."""
    folder = settings.files_folder
    if settings.object_store is not None or (folder.is_dir() and is_owner(folder)):
        return None
    if settings.files is None and not folder.exists():
        return ok("files", f"{where} is not there yet. The first file creates it.")
    return failure(
        "files",
        f"{where} is missing, or belongs to another user than the one who runs this.",
        "Run this command as the user of the server, or correct the setting files.",
    )


async def _probe(area: Area, threads: Threads, incoming: Path) -> int:
    """Return when the area says that the file was written."""
    key = secrets.token_hex(16)
    upload = Upload(incoming / f"{key}.probe", threads)
    try:
        await upload.write(PROBE)
        await upload.finish()
        await area.keep(key, upload.path, "probe.txt", "text/plain")
        async with opened(area, key) as file:
            data, modified = await file.read(0, len(PROBE)), file.modified
    finally:
        upload.abandon()
    await area.remove([key])
    if data != PROBE:
        raise OSError(0, "it returns other bytes than were written")
    return modified


async def _shared(area: Area, database: str, where: str) -> Finding:
    marker = await area.marker()
    known = await _known(database)
    if known is None or (marker is not None and marker.id == known):
        return ok("shared files", f"{where} is where the nodes of the database keep their files.")
    return warning(
        "shared files",
        f"{where} is not where the nodes of the database keep their files.",
        "Give all nodes the same object store, or one folder that all share, as the setting files.",
    )


async def _known(database: str) -> str | None:
    """The marker that the database knows; None if it knows none, or can't be asked."""
    from livejobs.store.postgres.opening import (  # noqa: PLC0415 - an extra
        DatabaseUnusable,
        connect,
        unusable,
    )
    from livejobs.store.postgres.sql import nodes  # noqa: PLC0415 - an extra

    try:
        with unusable(database):
            db: Any = await connect(database)
    except DatabaseUnusable:  # another check reports it
        return None
    try:
        if await db.fetchval("SELECT to_regclass('livejobs.meta')"):
            found: str | None = await db.fetchval(nodes.FACT, ID)
            return found
        return None
    finally:
        db.terminate()
