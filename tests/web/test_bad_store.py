"""What clients get while the store takes no write."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import httpx2 as httpx

from livejobs import LiveJobs, Settings, create_app
from livejobs.core.errors import StorageUnavailable
from livejobs.store.memory import MemoryStore
from tests.support.api import NDJSON, problem
from tests.web.sent import LOG, SUCCEED, lines


class Full(MemoryStore):
    """A disk that can fill up, or break in a way nobody thought of."""

    error: Exception | None = None

    async def commit(self, changes: Any, on: Any = None) -> list[int]:
        if self.error is not None:
            raise self.error
        return await super().commit(changes, on)


async def refused(tmp_path: Path, error: Exception) -> tuple[list[httpx.Response], Any]:
    """What each call that writes answers, and the job before and after."""
    store = Full()
    async with LiveJobs(Settings(data=tmp_path), store=store) as live:
        await live.create(id="j")
        await live.report("j", LOG)
        await live.create(id="ended")
        await live.report("ended", SUCCEED)
        before = [await live.job("j"), await live.job("ended")]
        store.error = error
        transport = httpx.ASGITransport(
            await asyncio.to_thread(create_app, live), raise_app_exceptions=False
        )
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            answers = [
                await client.post("/v1/jobs"),
                await client.put("/v1/jobs/k"),
                await client.post("/v1/jobs/j/reports", json=LOG),
                await client.post("/v1/jobs/j/reports", content=lines(LOG, LOG), headers=NDJSON),
                await client.post("/v1/jobs/j/cancel"),
                await client.delete("/v1/jobs/ended"),
                await client.get("/readyz"),
            ]
            assert [await live.job("j"), await live.job("ended")] == before
            store.error = None
            assert (await client.post("/v1/jobs/j/reports", json=LOG)).status_code == 200
            assert (await client.get("/readyz")).status_code == 200
    return answers[:-1], answers[-1]


async def test_a_full_disk_is_an_error_until_there_is_room_again(tmp_path: Path) -> None:
    answers, ready = await refused(tmp_path, StorageUnavailable("The disk is full."))
    for answer in answers:
        problem(answer, 503, "storage_unavailable")
        assert int(answer.headers["retry-after"]) > 0
    assert ready.status_code == 503


async def test_a_bug_is_a_problem_without_its_traceback(tmp_path: Path) -> None:
    answers, _ = await refused(tmp_path, RuntimeError("secret detail"))
    for answer in answers:
        problem(answer, 500, "internal")
        assert "secret" not in answer.text
        assert "Traceback" not in answer.text
