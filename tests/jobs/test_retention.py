"""How long finished jobs are kept. Their files are removed with them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from livejobs import LiveJobs, Settings
from livejobs.core import reducer
from livejobs.core.model import File
from livejobs.core.reports import NewJob
from livejobs.jobs.changes.expiry import FILES_AT_ONCE
from livejobs.store.base import Change
from livejobs.store.memory import MemoryStore
from tests.support.api import Api
from tests.support.desk import Desk, eventually
from tests.support.server import Server

WEEK = 7 * 24 * 3600


@pytest.mark.parametrize(
    ("args", "seconds"),
    [
        ((), WEEK),
        (("--retention-seconds", "90"), 90),
        (("--retention-seconds", "0"), None),
    ],
)
def test_a_finished_job_is_kept_for_a_week_or_as_the_setting_says(
    tmp_path: Path, args: tuple[str, ...], seconds: int | None
) -> None:
    with Server(tmp_path / "data", *args) as server, Api(server.url) as api:
        id = api.create()
        assert api.job(id)["expires_at"] is None
        api.report(id, {"type": "succeed"})
        job = api.job(id)
    if seconds is None:
        assert job["expires_at"] is None
    else:
        ended, expires = (datetime.fromisoformat(job[it]) for it in ("completed_at", "expires_at"))
        assert (expires - ended).total_seconds() == seconds


@pytest.mark.parametrize(
    ("new", "seconds"),
    [
        ({"type": "a", "project": "p", "ttl_seconds": 5}, 5),
        ({"type": "a", "project": "p"}, 60),
        ({"type": "b", "project": "p"}, 7200),
        ({"type": "b"}, 90),
        ({"type": "c", "project": "p"}, None),
        ({"project": "p"}, 7200),
    ],
)
async def test_the_job_wins_then_its_type_then_its_project(
    tmp_path: Path, new: dict[str, Any], seconds: float | None
) -> None:
    settings = Settings(
        data=tmp_path,
        retention_seconds=90,
        retention_types=(("a", 60), ("c", 0)),
        retention_projects=(("p", 7200),),
    )
    async with LiveJobs(settings, store=MemoryStore()) as live:
        job = await live.create(**new)
        await job.succeed()
        head = (await live.find(job.id)).head
    assert head.completed_at is not None
    assert head.expires_at == (seconds and head.completed_at + seconds * 1000)


def test_a_job_that_expires_takes_its_files_with_it(tmp_path: Path) -> None:
    desk = Desk(tmp_path, "--retention-seconds", "0.01")
    try:
        job = desk.job()
        for name in ("a", "b"):
            assert desk.put(job, name, b"data").status_code == 201
        assert len(desk.kept()) == 2
        desk.http.post(f"{job}/reports", json={"type": "succeed"})
        eventually(lambda: desk.http.get(job).status_code == 404)
        eventually(lambda: desk.kept() == [])
    finally:
        desk.close()


class Counting(MemoryStore):
    """Records how many files each commit removed."""

    def __init__(self) -> None:
        super().__init__()
        self.removed: list[int] = []

    async def commit(
        self, changes: Sequence[Change], on: Mapping[str, int] | None = None
    ) -> list[int]:
        gone = [change.before for change in changes if change.after is None and change.before]
        if gone:
            self.removed.append(sum(len(head.files) for head in gone))
        return await super().commit(changes, on)


async def test_jobs_with_many_files_expire_a_bounded_number_at_a_time(tmp_path: Path) -> None:
    store = Counting()
    await store.project("default")
    for n, count in enumerate((FILES_AT_ONCE - 1, 2 * FILES_AT_ONCE, FILES_AT_ONCE - 1, 0, 1)):
        head = reducer.create(NewJob(), id=f"j{n}", project="default", owner="a", now=0)
        files = tuple(
            File(f"f{i}", None, "text/plain", key=f"{n}.{i}", url="http://a/") for i in range(count)
        )
        head = replace(head, status="succeeded", expires_at=n, files=files)
        await store.commit([Change(None, head)])
    async with LiveJobs(Settings(data=tmp_path), store=store) as live:
        for _ in range(3):
            await live.sweeper.sweep()
        assert sum(store.removed) == 4 * FILES_AT_ONCE - 1  # all of them
    assert store.removed == [FILES_AT_ONCE - 1, 2 * FILES_AT_ONCE, FILES_AT_ONCE]
