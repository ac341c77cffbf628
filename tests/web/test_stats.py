"""Counts over time, from real servers: exact after a kill, per project, and cheap to ask for."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2 as httpx
import pytest

from tests.support.api import Api, problem
from tests.support.keyed import ADMIN, KEYED, client, make_key, make_token
from tests.support.server import Server


@pytest.fixture(scope="module")
def closed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with Server(tmp_path_factory.mktemp("data"), env=KEYED) as server:
        yield server


def stats(asker: httpx.Client, **query: str) -> Any:
    answer = asker.get("/v1/stats", params=query)
    assert answer.status_code == 200, answer.text
    return answer.json()


def sums(found: Any) -> dict[str, int]:
    names = ("created", "finished", "succeeded", "failed", "cancelled")
    return {name: sum(point[name] for point in found["points"]) for name in names}


def test_counts_are_exact_after_a_kill(tmp_path: Path) -> None:
    with Server(tmp_path / "data") as server, Api(server.url) as api:
        before: dict[str, Any] = {}
        for n in range(6):
            api.create(id=f"j{n}")
        api.report("j0", {"type": "start"}, {"type": "succeed"})
        api.report("j1", {"type": "start"}, {"type": "fail", "message": "no"})
        api.post("/v1/jobs/j2/cancel")
        api.report("j3", {"type": "start"})
        api.report("j4", {"type": "start"}, {"type": "retry"})
        assert api.delete("/v1/jobs/j0").status_code == 204
        for name in ("hour", "day", "week"):
            before[name] = stats(api, range=name)
        server.kill()
        server.restart()
        for name, was in before.items():
            found = stats(api, range=name)
            assert sums(found) == sums(was)
            expected = {"created": 6, "finished": 3, "succeeded": 1, "failed": 1, "cancelled": 1}
            assert sums(found) == expected == {it: found["total"][it] for it in expected}
            last = found["points"][-1]
            assert (last["queued"], last["running"]) == (2, 1)
            assert found["now"] == {
                "queued": 2, "running": 1, "succeeded": 0, "failed": 1, "cancelled": 1,
                "stalled": 0, "waiting": 0,
            }  # fmt: skip
            assert found["total"]["p95"] is not None


def test_an_answer_that_has_not_changed_is_304(closed: Server) -> None:
    with client(closed) as admin:

        def ask(tag: str) -> httpx.Response:
            params = {"project": "tags", "range": "week"}
            return admin.get("/v1/stats", params=params, headers={"if-none-match": tag})

        first = ask('"none"')
        assert first.headers["cache-control"] == "private, no-cache"
        assert ask(first.headers["etag"]).status_code == 304
        admin.post("/v1/jobs", json={"project": "tags"})
        assert ask(first.headers["etag"]).json()["total"]["created"] == 1


def test_a_caller_sees_the_counts_of_its_projects_only(closed: Server) -> None:
    with client(closed) as admin:
        for project, jobs in (("mine", 1), ("also-mine", 2), ("theirs", 4)):
            for _ in range(jobs):
                admin.post("/v1/jobs", json={"project": project})
        assert stats(admin, project="theirs")["total"]["created"] == 4
        assert stats(admin, project="none")["total"]["created"] == 0
        everything = stats(admin, project="*")
        assert everything["total"]["created"] >= 7 <= everything["now"]["queued"]
        key = make_key(admin, "some", "view", projects=["mine", "also-mine"])["key"]
        with client(closed, key) as holder:
            assert stats(holder, project="mine")["now"]["queued"] == 1
            assert stats(holder, project="*")["total"]["created"] == 3
            problem(holder.get("/v1/stats?project=theirs"), 403, "foreign_project")
        admin.put("/v1/jobs/shared")
        token = make_token(admin, jobs=["shared"])
        problem(httpx.get(f"{closed.url}/v1/stats?token={token}"), 403, "foreign_job")


@pytest.mark.parametrize("range", ["year", "", "hour,day", "Ä"])
def test_an_unknown_range_is_refused(closed: Server, range: str) -> None:
    with client(closed, ADMIN) as admin:
        answer = admin.get("/v1/stats", params={"range": range})
        problem(answer, 422, "invalid", "/range")


def test_stalled_jobs_are_counted_and_listed(closed: Server) -> None:
    with client(closed) as admin:
        admin.post("/v1/jobs", json={"id": "s", "project": "st", "heartbeat_timeout": 1})
        admin.post("/v1/jobs", json={"id": "fine", "project": "st"})
        for id in ("s", "fine"):
            admin.post(f"/v1/jobs/{id}/reports", json={"type": "start"})
        cursor = admin.get("/v1/jobs/s").json()["cursor"]
        headers = {"prefer": "wait=30", "if-none-match": f'"{cursor}"'}
        assert admin.get("/v1/jobs/s", headers=headers).json()["stalled"]
        assert stats(admin, project="st")["now"]["stalled"] == 1
        listed = admin.get("/v1/jobs", params={"project": "st", "flag": "stalled"}).json()
        assert [it["id"] for it in listed["jobs"]] == ["s"]
        assert listed["counts"]["running"] == 1
        admin.post("/v1/jobs/s/reports", json={"type": "heartbeat"})
        listed = admin.get("/v1/jobs", params={"project": "st", "flag": "stalled"}).json()
        assert (listed["jobs"], listed["counts"]["running"]) == ([], 0)
        problem(admin.get("/v1/jobs?flag=odd"), 422, "invalid", "/flag")


def test_waiting_jobs_are_counted_and_listed(closed: Server) -> None:
    with client(closed) as admin:
        for id in ("w", "fine"):
            admin.post("/v1/jobs", json={"id": id, "project": "wt"})
        admin.post("/v1/jobs/w/reports", json={"type": "ask", "prompt": "Publish?"})
        assert stats(admin, project="wt")["now"]["waiting"] == 1
        listed = admin.get("/v1/jobs", params={"project": "wt", "flag": "waiting"}).json()
        assert [it["id"] for it in listed["jobs"]] == ["w"]
        admin.post("/v1/jobs/w/answer", json={"value": True})
        listed = admin.get("/v1/jobs", params={"project": "wt", "flag": "waiting"}).json()
        assert (listed["jobs"], listed["counts"]["running"]) == ([], 0)


def test_a_list_can_be_entered_anywhere(closed: Server) -> None:
    with client(closed) as admin:
        ids = [f"n{n}" for n in range(10)]
        for id in ids:
            admin.post("/v1/jobs", json={"id": id, "project": "long"})
        asked = {"project": "long", "limit": "3", "skip": "4"}
        page = admin.get("/v1/jobs", params=asked)
        assert [it["id"] for it in page.json()["jobs"]] == ["n5", "n4", "n3"]
        assert page.json()["counts"]["queued"] == 10
        following = admin.get(page.links["next"]["url"]).json()
        assert [it["id"] for it in following["jobs"]] == ["n2", "n1", "n0"]
        assert admin.get("/v1/jobs?project=long&skip=10").json()["jobs"] == []
        for wrong in ("-1", "x", "1000001", "1.5"):
            problem(admin.get(f"/v1/jobs?skip={wrong}"), 422, "invalid", "/skip")
