"""Jobs whose worker is silent, and a server that restarts."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.api import Api, problem
from tests.support.server import Server
from tests.web.sent import LOG, SUCCEED


@pytest.fixture(scope="module")
def impatient(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """A server that takes a second's silence for the end."""
    data = tmp_path_factory.mktemp("impatient") / "data"
    with Server(data, "--lost-after", "1") as server, Api(server.url) as api:
        yield api


def test_a_silent_job_is_stalled_then_lost(impatient: Api) -> None:
    id = impatient.create(heartbeat_timeout=0.001)
    impatient.report(id, {"type": "start"})
    stalled = impatient.until(id, lambda job: job["stalled"] or job["completed_at"])
    lost = impatient.ended(id)
    assert (stalled["stalled"], stalled["status"]) in ((True, "running"), (False, "failed"))
    assert (lost["status"], lost["stalled"], lost["error"]["code"]) == ("failed", False, "lost")
    problem(impatient.post(f"/v1/jobs/{id}/reports", json=LOG), 409, "job_finished")


def test_a_queued_job_is_not_lost(impatient: Api) -> None:
    queued, running = impatient.create(), impatient.create()
    impatient.report(running, {"type": "start"})
    assert impatient.ended(running)["status"] == "failed"
    assert impatient.job(queued)["status"] == "queued"


def test_a_restart_keeps_all(tmp_path: Path) -> None:
    with Server(tmp_path / "data") as server:
        with Api(server.url) as api:
            made = [api.create(id=f"j{n}", tags=["t"], meta={"n": n}) for n in range(4)]
            api.report("j0", LOG, {"type": "result", "value": {"x": 1}}, SUCCEED)
            api.report("j1", {**LOG, "producer": "w", "n": 5}, {"type": "error", "message": "e"})
            api.report("j2", {"type": "retry"})
            key = {"idempotency-key": "k"}
            repeated = api.post("/v1/jobs", json={}, headers=key).json()["id"]
            paths = [f"/v1/jobs/{id}" for id in made]
            paths += [f"{path}/{kind}" for path in paths for kind in ("logs", "results", "errors")]
            paths += ["/v1/jobs", "/v1/jobs?tag=t&status=running,succeeded"]
            before = {path: api.get(path).json() for path in paths}
            tags = [api.get(f"/v1/jobs/{id}").headers["etag"] for id in made]
        server.restart()
        with Api(server.url) as api:
            assert {path: api.get(path).json() for path in paths} == before
            assert [api.get(f"/v1/jobs/{id}").headers["etag"] for id in made] == tags
            assert api.report("j1", {**LOG, "producer": "w", "n": 5})["accepted"] == 0
            again = api.post("/v1/jobs", json={}, headers=key)
            assert (again.status_code, again.json()["id"]) == (200, repeated)
