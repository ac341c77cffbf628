"""A poll of a face is answered from memory; what memory can't know is read once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2 as httpx
import pytest

from livejobs import LiveJobs, Settings, create_app
from livejobs.faces.given import LOG_SIZE
from livejobs.jobs.state import Registry
from livejobs.store.base import EntryQuery
from livejobs.store.sqlite.store import SqliteStore

MANY = 2500  # more than the native job shows
# What runs by the clock, beside requests.
SWEPT = ("expires", "FROM files", "deliveries", "BEGIN", "COMMIT")


class Traced(SqliteStore):
    """SQLite itself says which statements it ran."""

    @asynccontextmanager
    async def watched(self) -> AsyncIterator[list[str]]:
        """The statements of a while; not the sweeper's, which may look at any moment."""
        seen: list[str] = []
        for connection in self._connections:
            await connection.set_trace_callback(seen.append)
        said: list[str] = []
        yield said
        for connection in self._connections:
            await connection.set_trace_callback(None)  # type: ignore[arg-type]  # sqlite3 takes it
        said += [sql for sql in seen if not any(word in sql for word in SWEPT)]


class World:
    def __init__(self, store: Traced, live: LiveJobs, http: httpx.AsyncClient) -> None:
        self.store, self.live, self.http = store, live, http

    async def task(self, id: str = "j", **headers: str) -> Any:
        answer = await self.http.get(f"/api/tasks/{id}/status/", headers=headers)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def say(self, *reports: dict[str, Any]) -> None:
        for at in range(0, len(reports), 1000):
            await self.live.report("j", *reports[at : at + 1000])


@asynccontextmanager
async def world_in(folder: Path) -> AsyncIterator[World]:
    store = Traced(folder / "livejobs.db")
    live = LiveJobs(Settings(data=folder), store=store)
    transport = httpx.ASGITransport(await asyncio.to_thread(create_app, live))
    async with live, httpx.AsyncClient(transport=transport, base_url="http://localhost") as http:
        yield World(store, live, http)


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with world_in(tmp_path) as world:
        await world.live.create(id="j", total=10_000)
        yield world


def segments(start: int, count: int) -> list[dict[str, Any]]:
    return [{"type": "result", "value": {"segment_id": i}} for i in range(start, start + count)]


def failures(start: int, count: int) -> list[dict[str, Any]]:
    return [
        {"type": "error", "item": i, "message": "no voice"} for i in range(start, start + count)
    ]


def ids(task: Any) -> list[Any]:
    return [segment["segment_id"] for segment in task["completed_segments"]]


async def test_no_statement_is_run_for_a_task_that_runs(world: World) -> None:
    for at in range(0, 50, 5):
        await world.say(*segments(at, 4), *failures(at, 1), {"type": "progress", "current": at})
        async with world.store.watched() as statements:
            task = await world.task()
        assert statements == []
        assert len(task["completed_segments"]) == (at // 5 + 1) * 4


async def test_the_trace_would_have_seen_one(world: World) -> None:
    async with world.store.watched() as statements:
        assert (await world.http.get("/api/tasks/none/status/")).status_code == 404
    assert statements


async def test_no_statement_is_run_for_any_face_of_a_job_in_memory(world: World) -> None:
    await world.say(*segments(0, 3), {"type": "log", "message": "hello"})
    async with world.store.watched() as statements:
        for path in (
            "/api/v1/consolidation/status/j",
            "/api/v1/status/j",
            "/api/jobs/j",
            "/api/tasks/j/status",
        ):
            assert (await world.http.get(path)).status_code == 200
        asked = await world.http.post("/v1/toolkit/job/status", json={"job_id": "j"})
        assert asked.status_code == 200
    assert statements == []


async def test_all_segments_are_shown_however_many_and_come_from_memory(world: World) -> None:
    await world.task()  # asked for once, it is followed
    await world.say(*segments(0, MANY), *failures(0, 1200))
    async with world.store.watched() as statements:
        task = await world.task()
    assert statements == []
    assert ids(task) == [*range(MANY)]
    assert [error["segment_id"] for error in task["errors"]] == [*range(1200)]


async def test_what_memory_does_not_have_is_read_once(world: World) -> None:
    await world.say(*segments(0, MANY))  # never asked for: memory has the last thousand
    async with world.store.watched() as statements:
        assert ids(await world.task()) == [*range(MANY)]
    assert statements
    await world.say(*segments(MANY, 7))
    async with world.store.watched() as statements:
        assert ids(await world.task()) == [*range(MANY + 7)]
    assert statements == []


async def test_after_a_restart_it_is_read_once(tmp_path: Path) -> None:
    async with world_in(tmp_path) as first:
        await first.live.create(id="j")
        await first.say(*segments(0, 20))
    async with world_in(tmp_path) as again:
        assert ids(await again.task()) == [*range(20)]
        async with again.store.watched() as statements:
            await again.say({"type": "heartbeat"})
            assert ids(await again.task()) == [*range(20)]
        assert statements == []


async def test_what_is_said_while_it_is_read_is_neither_lost_nor_doubled(world: World) -> None:
    class Slow(Traced):
        async def entries(self, query: EntryQuery) -> Any:
            found = await super().entries(query)
            await world.say(*segments(said[0], 3))
            said[0] += 3
            return found

    await world.say(*segments(0, MANY))
    said = [MANY]
    world.store.__class__ = Slow
    assert ids(await world.task()) == [*range(said[0])]
    assert said[0] > MANY


async def test_entries_kept_for_faces_are_let_go_under_pressure(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    await world.say(*segments(0, MANY))
    await world.task()
    slot = await world.live.find("j")
    assert slot.whole is not None
    monkeypatch.setattr("livejobs.jobs.state.ENTRY_BYTES_KEPT", slot.size - 1)
    registry: Registry = world.live.registry
    registry.trim()
    assert slot.size == 0
    assert ids(await world.task()) == [*range(MANY)]


async def test_the_same_bytes_are_sent_until_the_job_changes(world: World) -> None:
    await world.say(*segments(0, 2))
    first = await world.http.get("/api/tasks/j/status/")
    tag = first.headers["etag"]
    same = await world.http.get("/api/tasks/j/status/", headers={"if-none-match": tag})
    assert (same.status_code, same.content) == (304, b"")
    await world.say(*segments(2, 1))
    third = await world.http.get("/api/tasks/j/status/", headers={"if-none-match": tag})
    assert third.status_code == 200
    assert ids(third.json()) == [0, 1, 2]


async def test_every_change_is_read_by_consolidation_too(world: World) -> None:
    await world.say(*({"type": "result", "value": f"chg-{i}"} for i in range(MANY)))
    seen = (await world.http.get("/api/v1/consolidation/status/j")).json()
    assert seen["consolidation_changes"] == [f"chg-{i}" for i in range(MANY)]


async def test_the_whole_log_of_a_failed_render_is_there(world: World) -> None:
    lines = [f"frame {i}" for i in range(MANY)]
    await world.say(*({"type": "log", "message": line} for line in lines))
    assert "logs" not in (await world.http.get("/api/jobs/j")).json()
    await world.say({"type": "fail", "message": "no codec"})
    assert (await world.http.get("/api/jobs/j")).json()["logs"] == "\n".join(lines)


async def test_the_newest_lines_of_a_very_long_log_are_there(world: World) -> None:
    line = "x" * 16_000
    count = LOG_SIZE // len(line) + 20
    for at in range(0, count, 40):
        await world.say(*({"type": "log", "message": line} for _ in range(at, at + 40)))
    await world.say({"type": "log", "message": "the last"}, {"type": "fail", "message": "enough"})
    logs = (await world.http.get("/api/jobs/j")).json()["logs"]
    assert logs.endswith("\nthe last")
    assert LOG_SIZE * 0.9 < len(logs) <= LOG_SIZE


async def test_a_job_that_was_removed_is_not_there_any_more(world: World) -> None:
    await world.say({"type": "succeed"})
    assert (await world.task())["status"] == "COMPLETED"
    await world.live.delete("j")
    for path in (
        "/api/v1/consolidation/status/j",
        "/api/v1/status/j",
        "/api/v1/download/j",
        "/api/jobs/j",
        "/api/jobs/j/download",
        "/api/tasks/j/status/",
    ):
        assert (await world.http.get(path)).status_code == 404
    asked = await world.http.post("/v1/toolkit/job/status", json={"job_id": "j"})
    assert asked.status_code == 404


async def test_toolkit_knows_how_many_wait(world: World) -> None:
    async def length(id: str) -> Any:
        asked = await world.http.post("/v1/toolkit/job/status", json={"job_id": id})
        return asked.json()["queue_length"]

    for id in ("a", "b", "c"):
        await world.live.create(id=id, type="transcribe")
    assert [await length(id) for id in ("a", "c", "j")] == [3, 3, 1]
    await world.live.report("a", {"type": "succeed"})
    assert [await length(id) for id in ("a", "c", "j")] == [2, 2, 1]
