"""Whether all nodes see the same files.

The file area has a marker, and the database holds what it knows of that marker. So two nodes with
folders of the same name on two machines do not take them for one. A copy of a folder has the id of
the original. So each node adds beats to the marker, and each node that starts must see the beats
that the database knows.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from livejobs.config import SettingError
from livejobs.core.errors import StorageUnavailable
from livejobs.files.areas.area import KEY, MARKER, Area, Marker
from livejobs.store.base import NodeStore

ID: Final = "files"  # names of what the database knows
BEATS: Final = "files-beats"

log = logging.getLogger("livejobs.files")


async def prove(area: Area, nodes: NodeStore, source: str) -> None:
    """Raise SettingError if other nodes keep their files elsewhere. `source` shows in it."""
    known, beats = await nodes.meta(ID), int(await nodes.meta(BEATS) or 0)
    found = await _marker(area, source)
    if known is None:  # the first node of this database
        found = found or await _mark(area, source)
        known = await nodes.set_meta(ID, found.id, only_new=True)
    if found is None or found.id != known or found.beats < beats:
        await _adopt(area, nodes, source, known, found)
    await beat(area, nodes, source)


async def _adopt(
    area: Area, nodes: NodeStore, source: str, known: str, found: Marker | None
) -> None:
    """Take an area that the database does not know, unless other nodes use another one."""
    if await nodes.others():
        raise _elsewhere(source, known, found)
    if found is not None and found.id == known:  # a copy gets an id of its own
        with _refusals(source):
            await area.unmark()
        found = None
    found = found or await _mark(area, source)
    await nodes.set_meta(ID, found.id)
    # Another node may have started meanwhile. Whoever sees the other one, or the other's id, gives
    # way.
    if await nodes.others() or await nodes.meta(ID) != found.id:
        raise _elsewhere(source, known, found)
    log.warning(
        "The file area (%s) is not as this database knows it. If it was moved, restored or "
        "emptied, files of jobs may be missing.",
        source,
    )


async def beat(area: Area, nodes: NodeStore, source: str) -> None:
    """Let nodes that start later see that this one uses the same area. Raise SettingError if its
    marker is not there."""
    with _refusals(source):
        await area.beat()
    marker = await _marker(area, source)
    await nodes.set_meta(BEATS, str(marker.beats if marker else 0))


async def _marker(area: Area, source: str) -> Marker | None:
    with _refusals(source):
        marker = await area.marker()
    if marker is not None and not KEY.match(marker.id):
        raise SettingError("files", source, f"has a damaged {MARKER}. Remove that file.")
    return marker


async def _mark(area: Area, source: str) -> Marker:
    with _refusals(source):
        await area.mark(secrets.token_hex(16))
    return await _marker(area, source) or Marker("")


@contextmanager
def _refusals(source: str) -> Iterator[None]:
    try:
        yield
    except StorageUnavailable as error:
        raise SettingError("files", source, error.detail) from None


def _elsewhere(source: str, known: str, found: Marker | None) -> SettingError:
    if found is None:
        wrong = f"it has no {MARKER}"
    elif found.id != known:
        wrong = f"its {MARKER} is another"
    else:
        wrong = "it is a copy"
    return SettingError(
        "files",
        source,
        f"is not where the other nodes of this database keep their files: {wrong}. "
        "Use one object store, or one folder that all nodes share.",
    )
