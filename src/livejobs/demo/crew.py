"""The server's side of the demo: run the process of the workers for as long as the server runs."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from shutil import rmtree
from typing import Final

from livejobs import clock
from livejobs.access.keyring import Grant
from livejobs.config import PREFIX
from livejobs.core.access import Principal
from livejobs.service import LiveJobs

PAUSE: Final = 2  # seconds until workers that died are started again
PATIENCE: Final = 5  # seconds that they may take to end
MONTH: Final = 30 * 86_400_000  # ms

log = logging.getLogger("livejobs.demo")


@asynccontextmanager
async def working(live: LiveJobs, url: str, *, pace: float = 1) -> AsyncIterator[None]:
    """Workers report to this server, inside the `async with`."""
    task = asyncio.create_task(_keep_running(live, url, pace))
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def _keep_running(live: LiveJobs, url: str, pace: float) -> None:
    while True:
        try:
            code = await _run(live, url, pace)
            log.warning("The demo's workers died (exit code %d). They are started again.", code)
        except OSError as error:
            log.warning("The demo's workers can't be started: %s", error)
        await asyncio.sleep(PAUSE)


async def _run(live: LiveJobs, url: str, pace: float) -> int:
    # What earlier workers left is of no use: the new ones end the jobs of the old.
    await asyncio.to_thread(rmtree, _spool(live), ignore_errors=True)
    process = await asyncio.create_subprocess_exec(
        # -P: no module of the current folder gets between ours.
        *(sys.executable, "-P", "-m", "livejobs.demo", str(pace)),
        stdin=PIPE, stdout=DEVNULL, env=_environment(live, url),
    )  # fmt: skip
    try:
        return await process.wait()
    finally:
        await _end(process)


async def _end(process: Process) -> None:
    """The process ends with its standard input. So it also ends when this one is killed."""
    assert process.stdin is not None
    process.stdin.close()
    try:
        await asyncio.wait_for(process.wait(), PATIENCE)
    except TimeoutError:
        process.kill()
        await process.wait()


def _environment(live: LiveJobs, url: str) -> dict[str, str]:
    """Where the workers report to, and nothing of what is set for other clients."""
    ours = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}
    ours |= {
        "LIVEJOBS_URL": url,
        "LIVEJOBS_SPOOL": str(_spool(live)),
        "no_proxy": "*",
    }
    if live.keyring.closed:
        ours["LIVEJOBS_KEY"] = _token(live)
    if live.settings.ssl_certfile is not None:
        ours["SSL_CERT_FILE"] = str(live.settings.ssl_certfile)
    return ours


def _spool(live: LiveJobs) -> Path:
    return live.settings.data.absolute() / "demo-spool"


def _token(live: LiveJobs) -> str:
    """A token, not a key: a key would stay in the database after the demo."""
    now = clock.now_ms()
    grant = Grant("report", projects=None, jobs=None, expires_at=now + MONTH)
    return live.keyring.mint(Principal("demo"), grant, now)
