"""Whether all nodes see the same files.

The file area has a marker, a random number, and the database holds the number that it knows. So
two nodes with folders of the same name on two machines do not take them for one.
"""

from __future__ import annotations

import logging
import secrets
from typing import Final

from livejobs.config import SettingError
from livejobs.core.errors import StorageUnavailable
from livejobs.files.area import KEY, MARKER, Area
from livejobs.store.base import NodeStore

NAME: Final = "files"  # of the number in the database

log = logging.getLogger("livejobs.files")


async def prove(area: Area, nodes: NodeStore, source: str) -> None:
    """Raise SettingError if other nodes keep their files elsewhere. `source` shows in it."""
    found, known = await _marker(area, source), await nodes.meta(NAME)
    if known is None:  # the first node of this database
        found = found or await _mark(area, source)
        known = await nodes.set_meta(NAME, found, only_new=True)
    if found == known:
        return
    if await nodes.others():
        raise _elsewhere(source, found)
    found = found or await _mark(area, source)
    await nodes.set_meta(NAME, found)
    # Another node may have started meanwhile. Whoever sees the other one, or the other's number,
    # gives way.
    if await nodes.others() or await nodes.meta(NAME) != found:
        raise _elsewhere(source, found)
    log.warning(
        "The file area (%s) is not the one that this database knew. If it was moved or emptied, "
        "files of older jobs may be missing.",
        source,
    )


async def _marker(area: Area, source: str) -> str | None:
    try:
        marker = await area.marker()
    except StorageUnavailable as error:
        raise SettingError("files", source, error.detail) from None
    if marker is not None and not KEY.match(marker):
        raise SettingError("files", source, f"has a damaged {MARKER}. Remove that file.")
    return marker


async def _mark(area: Area, source: str) -> str:
    try:
        await area.mark(secrets.token_hex(16))
    except StorageUnavailable as error:
        raise SettingError("files", source, error.detail) from None
    return await _marker(area, source) or ""


def _elsewhere(source: str, found: str | None) -> SettingError:
    other = "no" if found is None else "another"
    return SettingError(
        "files",
        source,
        "is not where the other nodes of this database keep their files: "
        f"it has {other} {MARKER}. Use one object store, or one folder that all nodes share.",
    )
