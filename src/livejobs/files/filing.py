"""The files of jobs: upload, attach, open, and remove once no job has them.

A file is written to disk before its job has it, and removed from disk after its job has it no
more. A crash between the two leaves bytes that no job has, or keys whose bytes must still be
removed; the next start finds both.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
from collections.abc import AsyncIterable, Callable, Sequence
from pathlib import Path
from typing import Final, TypeAlias

from msgspec.structs import replace

from livejobs import clock
from livejobs.config import SettingError, Settings
from livejobs.core import reducer
from livejobs.core.access import Principal
from livejobs.core.errors import FieldError, Invalid, LivejobsError, NotFound, StorageUnavailable
from livejobs.core.model import File, Head
from livejobs.core.uuid7 import uuid7
from livejobs.files.areas.area import SETTLED, Opened
from livejobs.files.areas.chosen import chosen_area
from livejobs.files.areas.local import is_left
from livejobs.files.areas.proof import beat, prove
from livejobs.files.counting import Downloads
from livejobs.files.names import checked_media_type, checked_name
from livejobs.files.partial import Declared, Partial, encoded_metadata
from livejobs.files.partials import Partials
from livejobs.files.quota import Quota
from livejobs.files.reading import Reading
from livejobs.files.removing import Removing
from livejobs.files.threads import Threads
from livejobs.files.upload import Upload
from livejobs.jobs.changes.acts import act_of_other
from livejobs.jobs.commit.committer import Committer
from livejobs.jobs.commit.publishing import Committed
from livejobs.jobs.commit.transaction import Transaction
from livejobs.jobs.state import Slot
from livejobs.store.base import Store

THREADS: Final = 16  # so that one slow read does not stop the others
HEARD_EVERY: Final = 1.0  # seconds
LOOK_EVERY: Final = 10.0  # seconds between looks at what other nodes did

log = logging.getLogger("livejobs.files")

Check: TypeAlias = Callable[[], None]


def nothing() -> None:
    """The check of an upload that the program itself makes."""


class DigestMismatch(LivejobsError):
    status, title, default_code = 400, "Digest mismatch", "digest_mismatch"


class Files:
    def __init__(
        self,
        settings: Settings,
        store: Store,
        committer: Committer,
        check_size: Callable[[Head, str], None],
    ) -> None:
        self.threads = Threads(THREADS, "livejobs-files")
        self.folder = settings.files_folder
        self.incoming = self.folder / "incoming"
        own = not store.shared and self.folder == settings.data / "files"
        self._settled = None if own else SETTLED  # others may be writing there
        self.area = chosen_area(settings, self.threads, self._settled)
        self._source = settings.files or str(self.folder)
        self.quota = Quota(settings.max_file_bytes, settings.max_project_bytes)
        self.downloads = Downloads(store)
        self.partials = Partials(self.incoming, self.quota, self.threads, self._settled)
        self._next_look = 0.0  # at what other nodes did
        self._reading = Reading(self.area, settings.files_roots, self.threads)
        self._removing = Removing(self.area, store, self._reading.pinned)
        self._store = store
        self._committer = committer
        self._check_size = check_size
        committer.listeners.append(self._committed)

    # Start and stop

    async def start(self) -> None:
        await self._reading.start()
        await self.area.open()
        if self._store.shared:
            await prove(self.area, self._store, self._source)
        self.downloads = Downloads(self._store)  # its lock belongs to one event loop
        self.quota.begin(await self._store.file_bytes())
        await self._run(self._clear_incoming)
        await self.partials.start()

    async def stop(self) -> None:
        with contextlib.suppress(LivejobsError):
            await self.downloads.stop()
        await self.area.close()
        self.threads.shutdown(wait=False, cancel_futures=True)

    def _clear_incoming(self) -> None:
        """Remove the unfinished uploads of an earlier run."""
        if self.incoming.is_dir():
            for path in self.incoming.iterdir():
                # Files of resumable uploads have a suffix.
                if not path.suffix and is_left(path, self._settled):
                    path.unlink(missing_ok=True)

    def _run(self, fn: Callable[..., object], *args: object) -> asyncio.Future[object]:
        return asyncio.get_running_loop().run_in_executor(self.threads, fn, *args)

    # Upload and attach

    async def take(
        self,
        slot: Slot,
        name: str,
        body: AsyncIterable[bytes],
        *,
        media_type: str = "",
        size: int | None = None,
        sha256: bytes | None = None,
        check: Check = nothing,
        by: Principal | None = None,
    ) -> tuple[File, bool]:
        """Receive a file. Return it, and whether its name is new. The sender declared `size` and
        `sha256`; `check` raises if the sender has lost the right to upload."""
        name = checked_name(name)
        media_type = checked_media_type(media_type, name)
        refuse_finished(slot)
        project = slot.head.project
        self.quota.check(project, size or 0, size or 0)
        room = self.quota.reserve(project, 0)  # a declared size reserves nothing
        upload = Upload(self.incoming / _new_key(), self.threads)
        try:
            async for data in body:
                room.grow(upload.size + len(data))
                await upload.write(data)
                self._hear(slot)
            await upload.finish()
            check_digest(upload, sha256)
            return await self.keep(slot, name, upload, media_type, check, by)
        finally:
            upload.abandon()
            room.release()

    def _hear(self, slot: Slot) -> None:
        """Count an upload as a sign of life, at most once a second."""
        running = slot.head.status == "running" and not slot.head.stalled
        if running and clock.monotonic() - slot.silent_since >= HEARD_EVERY:
            self._committer.note_heartbeat(slot)

    async def begin(
        self, slot: Slot, name: str, *, media_type: str, length: int, metadata: str, by: Principal
    ) -> Partial:
        """Begin a resumable upload."""
        name = checked_name(name)
        media_type = checked_media_type(media_type, name)
        refuse_finished(slot)
        head = slot.head
        partial = await self.partials.create(
            Declared(_new_key(), head.id, head.project, name, media_type, length, metadata)
        )
        await self.finish(slot, partial, by=by)  # an empty file is complete
        return partial

    async def upload(self, slot: Slot, id: str) -> Partial | None:
        """The resumable upload with this id. It is known, also to other nodes, for as long as it is
        under way, or the job has the file that it became."""
        head, partial = slot.head, await self.partials.find(slot.head.id, id)
        for file in head.files if partial is None else ():
            if file.key == id and file.kept:
                metadata = encoded_metadata(filename=file.name, filetype=file.media_type)
                kind, size = file.media_type, file.size or 0
                declared = Declared(id, head.id, head.project, file.name, kind, size, metadata)
                return self.partials.completed(declared)
        return partial

    async def go_on(
        self,
        slot: Slot,
        partial: Partial,
        offset: int,
        body: AsyncIterable[bytes],
        check: Check = nothing,
        by: Principal | None = None,
    ) -> None:
        def heard() -> None:
            refuse_finished(slot)
            self._hear(slot)

        async with self.partials.claimed(partial):
            await self.partials.receive(partial, offset, body, heard)
            await self._complete(slot, partial, check, by)

    async def give_up(self, partial: Partial) -> None:
        """End a resumable upload that is not complete."""
        async with self.partials.claimed(partial):
            await self.partials.remove(partial)

    async def finish(
        self, slot: Slot, partial: Partial, check: Check = nothing, by: Principal | None = None
    ) -> None:
        """Make a complete upload a file of the job."""
        if partial.whole and not partial.done:
            async with self.partials.claimed(partial):
                await self._complete(slot, partial, check, by)

    async def _complete(
        self, slot: Slot, partial: Partial, check: Check, by: Principal | None
    ) -> None:
        if not partial.whole or partial.done:
            return
        try:
            await self.partials.read_back(partial)
            declared = partial.declared
            await self.keep(
                slot, declared.name, partial, declared.media_type, check, by, key=declared.id
            )
        except LivejobsError:
            if not await self._run(partial.path.exists):  # the area has taken it
                await self.partials.remove(partial)
            raise
        await self.partials.finished(partial)

    async def keep(
        self,
        slot: Slot,
        name: str,
        upload: Upload | Partial,
        media_type: str,
        check: Check,
        by: Principal | None = None,
        *,
        key: str | None = None,
    ) -> tuple[File, bool]:
        """Move a complete upload to the file area and give the file to the job."""
        key = key or _new_key()
        digest = upload.sha256.hex()
        self._removing.coming.add(key)
        try:
            await self.area.keep(key, upload.path, name, media_type)
            check()  # again: an object store may have taken long
            file = File(name, upload.size, media_type, digest, clock.now_ms(), key)
            return file, await self._give(slot, file, by)
        except LivejobsError as error:
            # A database that is elsewhere may have kept a commit that it seemed to refuse.
            if not (self._store.shared and isinstance(error, StorageUnavailable)):
                with contextlib.suppress(LivejobsError):
                    await self.area.remove([key])
            raise
        finally:
            self._removing.coming.discard(key)

    async def attach_path(
        self,
        slot: Slot,
        path: str,
        name: str | None = None,
        media_type: str = "",
        by: Principal | None = None,
    ) -> tuple[File, bool]:
        """Attach a file that is already on this machine."""
        refuse_finished(slot)
        name = checked_name(Path(path).name if name is None else name)
        try:
            opened = await self._reading.open_path(path)
        except NotFound as error:
            raise Invalid.at("/path", error.detail) from None
        await opened.close()
        kind = checked_media_type(media_type, name)
        file = File(name, opened.size, kind, None, clock.now_ms(), _new_key(), path=path)
        return file, await self._give(slot, file, by)

    async def attach_url(
        self, slot: Slot, file: File, by: Principal | None = None
    ) -> tuple[File, bool]:
        """Attach a file at another address. Downloads are redirected there."""
        refuse_finished(slot)
        file = replace(file, key=_new_key(), at=clock.now_ms())
        return file, await self._give(slot, file, by)

    async def _give(self, slot: Slot, file: File, by: Principal | None) -> bool:
        def operation(transaction: Transaction) -> bool:
            head = transaction.present(slot)
            after = reducer.take_file(head, file, transaction.now)
            self._check_size(after, "/name")
            act = act_of_other(head, transaction.now, by, "upload", file=file.name)
            transaction.change(slot, after, audit=act)
            return len(after.files) > len(head.files)

        with slot.held():
            return (await self._committer.submit(operation)).value

    # Open

    async def open(self, file: File) -> Opened:
        """Open the file for reading. Raises NotFound `no_file` if its bytes are gone."""
        return await self._reading.open(file)

    # Remove

    def _committed(self, changes: Sequence[Committed]) -> None:
        self.quota.committed(changes)
        for change in changes if self.partials else ():
            if change.after is None or change.after.finished:
                self.partials.job_ended(change.slot.head.id)
        self._removing.committed(changes)

    async def sweep(self) -> None:
        """Remove files first: on a full disk the download counts wait for that."""
        if self._store.shared and clock.monotonic() >= self._next_look:
            await self._look()
        await self.partials.sweep()
        await self._removing.remove_ended()
        await self.downloads.flush()

    async def _look(self) -> None:
        """Learn what other nodes did, and finish what those left that were killed."""
        self._next_look = clock.monotonic() + LOOK_EVERY
        self._removing.look_again()
        try:
            await beat(self.area, self._store, self._source)
        except SettingError as error:  # a folder that is not mounted any more
            log.warning("%s", error)
        await self.partials.look()
        if self.quota.limited:
            self.quota.begin(await self._store.file_bytes())

    async def clear_orphans(self) -> None:
        """Remove bytes that no job has because a server was killed during an upload."""
        await self._removing.remove_orphans()

    def statistics(self) -> dict[str, int]:
        return {
            "downloads": self.downloads.total,
            "download_bytes": self.downloads.bytes,
            "downloads_arriving": self.downloads.arriving,
            "files_being_read": self._reading.pinned.total(),
            "uploads_unfinished": len(self.partials),
            "files_removed": self._removing.removed,
        }


def check_digest(upload: Upload, sha256: bytes | None) -> None:
    if sha256 is not None and upload.sha256 != sha256:
        detail = (
            f"The digest does not match the {upload.size} bytes that arrived; theirs is "
            f"{upload.sha256.hex()}."
        )
        raise DigestMismatch(detail, errors=[FieldError("", detail)])


def refuse_finished(slot: Slot) -> None:
    if slot.head.finished:
        raise reducer.Finished(slot.head)


def _new_key() -> str:
    return uuid7(clock.now_ms(), os.urandom(10)).replace("-", "")
