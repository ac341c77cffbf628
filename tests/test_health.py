"""The server's state, as /readyz and the metrics show it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterable, Sequence
from pathlib import Path, PosixPath
from typing import Any

import httpx2 as httpx
import pytest

from livejobs import LiveJobs, Settings, clock, create_app
from livejobs.core.errors import StorageUnavailable
from livejobs.service.health import LONGEST_BEHIND, Check
from livejobs.store.base import Beat, Pulse
from livejobs.store.memory import MemoryStore
from livejobs.telemetry import disk
from livejobs.telemetry.disk import Disk, least_free
from tests.support.server import Server

TOO_MUCH = str(1 << 52)  # bytes that no disk has free


def wrong(checks: Iterable[Check]) -> set[str]:
    return {check.name for check in checks if not check.ok}


async def ready(live: LiveJobs) -> tuple[int, set[str]]:
    """The status of /readyz, and the checks that are not ok."""
    transport = httpx.ASGITransport(await asyncio.to_thread(create_app, live))
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        answer = await client.get("/readyz")
    body = answer.json()
    assert body["status"] == ("ready" if answer.status_code == 200 else "unavailable")
    assert all(found["ok"] or found["why"].endswith(".") for found in body["checks"].values())
    bad = {name for name, found in body["checks"].items() if not found["ok"]}
    assert answer.is_success == (not bad)
    return answer.status_code, bad


class Shared(MemoryStore):
    """A store whose database is elsewhere, and can be away."""

    shared = True
    away = False

    async def commit(self, changes: Any, on: Any = None) -> list[int]:
        if self.away:
            raise StorageUnavailable("The database at 192.0.2.1 is away.")
        return await super().commit(changes, on)

    async def pulse(self, beats: Sequence[Beat]) -> Pulse:
        if self.away:
            raise StorageUnavailable("The database at 192.0.2.1 is away.")
        return await super().pulse(beats)


async def test_a_server_is_ready_while_it_runs(tmp_path: Path) -> None:
    live = LiveJobs(Settings(data=tmp_path), store=MemoryStore())
    assert await ready(live) == (503, {"running"})
    async with live:
        assert await ready(live) == (200, set())
        live.let_go()  # as on SIGTERM
        assert await ready(live) == (503, {"running"})
    assert await ready(live) == (503, {"running"})
    async with live:
        assert await ready(live) == (200, set())


async def test_a_node_without_its_database_is_not_ready(tmp_path: Path) -> None:
    store = Shared()
    async with LiveJobs(Settings(data=tmp_path), store=store) as live:
        await live.create(id="j")
        assert wrong(await live.health.checks()) == set()
        store.away = True
        await live.nodes.pulse()
        assert await ready(live) == (503, {"store", "database"})
        assert "192.0.2.1" not in str(await live.health.checks())  # anyone may read it
        store.away = False
        await live.nodes.pulse()
        await live.committer.probe()
        assert await ready(live) == (200, set())


async def test_a_node_that_stays_behind_is_not_ready(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = clock.monotonic()
    monkeypatch.setattr(clock, "monotonic", lambda: now)
    # It does not run, so it learns nothing.
    live = LiveJobs(Settings(data=tmp_path), store=Shared())
    live.committer.hear("default", 2)
    now += LONGEST_BEHIND - 1
    live.committer.hear("default", 3)  # later news are no new beginning
    assert "current" not in wrong(await live.health.checks())
    now += 1
    assert "current" in wrong(await live.health.checks())
    running = asyncio.create_task(live.committer.run())
    await live.committer.reach("default", 3)
    live.committer.close()
    await running
    assert "current" not in wrong(await live.health.checks())


def test_a_server_without_disk_space_is_not_ready_and_says_so_in_its_metrics(
    tmp_path: Path,
) -> None:
    with Server(tmp_path / "data", "--min-free-bytes", TOO_MUCH) as server:
        answer = httpx.get(server.url + "/readyz")
        metrics = httpx.get(server.url + "/metrics").text
        assert httpx.get(server.url + "/healthz").status_code == 200
    assert answer.status_code == 503
    assert answer.headers["cache-control"] == "no-store"
    checks = answer.json()["checks"]
    assert checks["store"] == {"ok": True}
    assert "min_free_bytes" in checks["disk"]["why"]
    assert str(tmp_path) not in answer.text
    assert 'livejobs_ready{check="disk"} 0.0' in metrics
    assert 'livejobs_ready{check="store"} 1.0' in metrics


def test_the_free_space_is_that_of_the_fullest_disk(tmp_path: Path) -> None:
    here, shared = least_free([tmp_path]), least_free([Path("/dev/shm")])
    both = least_free([tmp_path, Path("/dev/shm")])
    assert here is not None
    assert shared is not None
    assert both is not None
    assert both <= max(here, shared)  # other processes write meanwhile
    assert least_free([tmp_path / "not" / "made"]) is not None
    assert least_free([Path("x" * 5000)]) is None


class Hanging(PosixPath):
    """On a network disk that hangs until it is told."""

    asked = 0
    go = threading.Event()

    def exists(self, **_: Any) -> bool:
        type(self).asked += 1
        self.go.wait()
        return super().exists()


async def test_a_disk_that_hangs_takes_one_thread(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(disk, "PATIENCE", 0.01)
    hanging = Disk([Hanging(tmp_path)])
    try:
        answers = await asyncio.gather(*(hanging.free() for _ in range(20)))
        assert answers == [None] * 20
        assert await hanging.free() is None
        assert Hanging.asked == 1
    finally:
        Hanging.go.set()
    monkeypatch.setattr(disk, "PATIENCE", 30)
    assert await hanging.free() == await hanging.free() or Hanging.asked > 1


async def test_a_disk_that_does_not_answer_is_no_number(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    live = LiveJobs(Settings(data=Path("/dev/null/x")), store=MemoryStore())
    checks = {check.name: check.why for check in live.health.given(None)}
    assert checks["disk"] == "The disk does not answer."


async def test_the_census_counts_flags_and_the_longest_wait(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with LiveJobs(Settings(data=tmp_path), store=MemoryStore()) as live:
        assert await live.health.census() == ({"stalled": 0, "waiting": 0}, 0)
        await live.create(id="queued")
        asking = await live.create(id="asking")
        await asking.report({"type": "ask", "prompt": "Go on?"})
        ended = await live.create(id="ended")
        await ended.succeed()
        now = clock.now_ms() + 60_000
        monkeypatch.setattr(clock, "now_ms", lambda: now)
        flagged, longest = await live.health.census()
        assert flagged == {"stalled": 0, "waiting": 1}
        assert 60 <= longest < 120
