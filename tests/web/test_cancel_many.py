"""Cancel many jobs with one request."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.api import Api, problem
from tests.support.keyed import KEYED, client, make_key, make_token
from tests.support.server import Server


@pytest.fixture(scope="module")
def closed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with Server(tmp_path_factory.mktemp("data"), env=KEYED) as server:
        yield server


def results(asker: Any, **body: Any) -> dict[str, Any]:
    answer = asker.post("/v1/cancel", json=body)
    assert answer.status_code == 200, answer.text
    return {it["job"]: it.get("status") or it["code"] for it in answer.json()["results"]}


def test_each_job_has_its_own_result(closed: Server) -> None:
    with client(closed) as admin:
        key = make_key(admin, "mine", "cancel", projects=["mine"])["key"]
        for id, project in (("q", "mine"), ("r", "mine"), ("f", "mine"), ("theirs", "other")):
            admin.put(f"/v1/jobs/{id}", json={"project": project})
        admin.post("/v1/jobs/r/reports", json={"type": "start"})
        admin.post("/v1/jobs/f/reports", json={"type": "succeed"})
        with client(closed, key) as mine:
            asked = ["q", "r", "f", "theirs", "none", "q"]
            assert results(mine, jobs=asked) == {
                "q": "cancelled", "r": "running", "f": "job_finished",
                "theirs": "job_not_found", "none": "job_not_found",
            }  # fmt: skip
            assert mine.get("/v1/jobs/r").json()["cancel_requested"]
            assert results(mine, jobs=["r"], force=True) == {"r": "cancelled"}
            acts = mine.get("/v1/jobs/r/audit").json()["acts"]
            assert [it["detail"] for it in acts if it["by"] == "key:mine"] == [{"force": True}, {}]
        token = make_token(admin, jobs=["theirs"], scopes=["cancel"])
        with client(closed, token) as guest:
            assert results(guest, jobs=["theirs", "q"]) == {
                "theirs": "cancelled", "q": "job_not_found"
            }  # fmt: skip


def test_a_thousand_jobs_are_cancelled_in_few_commits(server: Server) -> None:
    with Api(server.url) as api:

        def commits() -> float:
            lines = api.get("/metrics").text.splitlines()
            return float(next(it for it in lines if it.startswith("livejobs_commits_total"))[22:])

        ids = [api.create() for _ in range(1000)]
        before = commits()
        assert set(results(api, jobs=ids).values()) == {"cancelled"}
        assert commits() - before <= 30
        assert api.get("/v1/jobs").json()["counts"]["cancelled"] == 1000


@pytest.mark.parametrize(
    "body",
    [{}, {"jobs": []}, {"jobs": ["a"] * 1001}, {"jobs": [1]}, {"jobs": "a"}, {"jobs": ["/"]},
     {"jobs": ["a"], "force": "yes"}, {"jobs": ["a"], "why": 1}, [], 7],
    ids=str,
)  # fmt: skip
def test_a_wrong_body_is_refused(closed: Server, body: Any) -> None:
    with client(closed) as admin:
        problem(admin.post("/v1/cancel", json=body), 422, "invalid")
