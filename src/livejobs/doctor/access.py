"""Who may use the server: keys, open mode, and how far it can be reached."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence

from livejobs import clock
from livejobs.config import SettingError, Settings, first_admin_key, is_loopback
from livejobs.copies.errors import NoDatabase
from livejobs.copies.snapshots.choice import snapshot_of
from livejobs.doctor.finding import Finding, failure, ok, warning
from livejobs.store.base import StoreUnusable
from livejobs.store.keys import Key

MAKE = "livejobs key create --name NAME --scope admin, or set LIVEJOBS_ADMIN_KEY."


async def look(settings: Settings) -> Sequence[Finding]:
    try:
        first = await asyncio.to_thread(first_admin_key, settings)
    except SettingError as error:
        return [failure("keys", f"admin_key_file {error.wrong}.", "Correct the file or its mode.")]
    try:
        source = await asyncio.to_thread(snapshot_of, settings.data, settings.database)
        async with source as snapshot:
            keys = await snapshot.keys()
    except NoDatabase:
        keys = ()
    except StoreUnusable:  # its own check says why
        return []
    return list(_found(settings, keys, first=first is not None))


def _found(settings: Settings, keys: Sequence[Key], *, first: bool) -> Iterator[Finding]:
    if keys or first or settings.jwks_url:
        yield from _keys(keys, first=first)
    elif not is_loopback(settings.host) and not settings.open:
        yield failure(
            "keys", f"There are no keys, and {settings.host} can be reached from outside.", MAKE
        )
    elif is_loopback(settings.host):
        yield ok("keys", "There are no keys: everyone on this machine is admin.")
    if settings.open and not is_loopback(settings.host):
        yield warning(
            "open", f"Everyone who can reach {settings.host} is admin.", f"Unset open. {MAKE}"
        )


def _keys(keys: Sequence[Key], *, first: bool) -> Iterator[Finding]:
    now = clock.now_ms()
    valid = [key for key in keys if key.expires_at is None or key.expires_at > now]
    admins = sum("admin" in key.scopes for key in valid)
    own = ", and the first admin key of the settings" if first else ""
    found = f"Valid keys: {len(valid)}{own}. Expired: {len(keys) - len(valid)}."
    if admins or first:
        yield ok("keys", found)
    else:
        yield warning("keys", f"{found} None has the scope admin.", MAKE)
