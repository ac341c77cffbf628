"""All checks, in order. A check that fails in an unknown way is a finding too."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from typing import TypeVar

from livejobs.config import SettingError, Settings, load, unknown_variables
from livejobs.doctor import access, files, machine, proxy, sqlite
from livejobs.doctor.finding import Finding, failure, ok, warning

P = TypeVar("P")


async def examine(
    flags: Mapping[str, object], environ: Mapping[str, str], url: str | None, key: str | None
) -> Sequence[Finding]:
    """`url`: that of clients, to check the way through proxies."""
    found: list[Finding] = []
    try:
        settings = await asyncio.to_thread(load, flags, environ)
    except SettingError as error:
        return [failure("settings", f"{error}.", "Correct it: see docs/settings.md.")]
    found += _settings(environ)
    for name, check in (
        ("machine", _in_thread(machine.look, settings)),
        ("database", _database(settings)),
        ("files", files.look(settings)),
        ("keys", _access(settings)),
        ("public url", _proxy(url, key)),
    ):
        found += await _guarded(name, check)
    return found


async def _guarded(name: str, check: AsyncIterator[Finding]) -> Sequence[Finding]:
    found: list[Finding] = []
    try:
        async for finding in check:
            found.append(finding)  # noqa: PERF401 - what was found before an error stays
    except Exception as error:  # noqa: BLE001 - one check must not hide what the others find
        kind = type(error).__name__  # its text may hold a secret
        wrong = f"The check could not be made ({kind})."
        found.append(failure(name, wrong, "Please report this: it is a bug of livejobs doctor."))
    return found


def _settings(environ: Mapping[str, str]) -> Sequence[Finding]:
    unknown = unknown_variables(environ)
    if unknown:
        names = ", ".join(unknown)
        return [warning("settings", f"There is no such setting: {names}.", "Correct the names.")]
    return [ok("settings", "All settings are valid.")]


async def _in_thread(look: Callable[[P], Iterator[Finding]], at: P) -> AsyncIterator[Finding]:
    for finding in await asyncio.to_thread(lambda: list(look(at))):
        yield finding


async def _database(settings: Settings) -> AsyncIterator[Finding]:
    if settings.database is None:
        async for finding in _in_thread(sqlite.look, settings.data / "livejobs.db"):
            yield finding
        return
    try:
        look = await asyncio.to_thread(_postgres)
    except ImportError:
        remedy = 'pip install "livejobs[postgres]"'
        yield failure("database", "The package asyncpg is missing.", remedy)
        return
    async for finding in look(settings.database):
        yield finding


def _postgres() -> Callable[[str], AsyncIterator[Finding]]:
    from livejobs.doctor import postgres  # noqa: PLC0415 - an extra

    return postgres.look


async def _access(settings: Settings) -> AsyncIterator[Finding]:
    for finding in await access.look(settings):
        yield finding


async def _proxy(url: str | None, key: str | None) -> AsyncIterator[Finding]:
    if url is None:
        yield ok("public url", "Not checked. Give --url, and streams through proxies are checked.")
        return
    async for finding in proxy.look(url, key):
        yield finding
