"""A job is created over REST, on a real server."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.support.api import Api, problem
from tests.support.server import Server


def test_creating_needs_no_body(api: Api) -> None:
    answer = api.post("/v1/jobs")
    job = answer.json()
    assert (answer.status_code, answer.headers["content-type"]) == (201, "application/json")
    assert answer.headers["location"] == f"/v1/jobs/{job['id']}"
    assert re.fullmatch(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f-]{16}", job["id"])
    assert (job["status"], job["project"], job["owner"]) == ("queued", "default", "anonymous")
    assert job == api.get(answer.headers["location"]).json()


def test_a_job_is_what_it_was_created_to_be(api: Api) -> None:
    fields = {
        "id": "teaser.1:a~b-c_d", "project": "films", "type": "render", "title": "Teaser",
        "meta": {"k": [None, 1.5]}, "tags": ["nightly", "4k"], "owner": "key:ci",
    }  # fmt: skip
    job = api.post("/v1/jobs", json={**fields, "total": 1000, "unit": "frames"}).json()
    assert {name: job[name] for name in fields} == fields
    assert job["progress"]["total"] == 1000
    assert job["progress"]["unit"] == "frames"
    assert job["links"] == {
        "self": "/v1/jobs/teaser.1:a~b-c_d",
        "events": "/v1/jobs/teaser.1:a~b-c_d/events",
        "logs": "/v1/jobs/teaser.1:a~b-c_d/logs",
        "page": "/jobs/teaser.1:a~b-c_d",
    }


def test_an_id_that_exists_is_a_conflict_whatever_the_project(api: Api, id: str) -> None:
    problem(api.post("/v1/jobs", json={"id": id}), 409, "job_exists")
    problem(api.post("/v1/jobs", json={"id": id, "project": "other"}), 409, "job_exists")


def test_put_creates_what_is_absent_and_answers_with_what_is_there(api: Api) -> None:
    made = api.put("/v1/jobs/put-1", json={"title": "first"})
    again = api.put("/v1/jobs/put-1", json={"title": "second"})
    assert (made.status_code, again.status_code) == (201, 200)
    assert made.headers["location"] == "/v1/jobs/put-1"
    assert again.json() == made.json()
    assert api.put("/v1/jobs/put-1").status_code == 200
    problem(api.put("/v1/jobs/put-1", json={"project": "other"}), 409, "job_exists")
    problem(api.put("/v1/jobs/put-1", json={"id": "put-2"}), 422, "invalid", "/id")


def test_of_many_who_put_at_once_one_creates(api: Api) -> None:
    def put(_: int) -> int:
        return api.put("/v1/jobs/put-race", json={}).status_code

    with ThreadPoolExecutor(8) as pool:
        assert sorted(pool.map(put, range(8))) == [200] * 7 + [201]


def test_a_full_queue_says_when_to_come_again(tmp_path: Path) -> None:
    with Server(tmp_path / "data", "--max-queued", "1") as server, Api(server.url) as api:
        api.create()
        answer = api.post("/v1/jobs")
        problem(answer, 429, "queue_full")
        assert int(answer.headers["retry-after"]) > 0


def test_a_project_with_too_many_unfinished_jobs_says_when_to_come_again(tmp_path: Path) -> None:
    with Server(tmp_path / "data", "--max-unfinished", "1") as server, Api(server.url) as api:
        id = api.create()
        for answer in (api.post("/v1/jobs"), api.put("/v1/jobs/another")):
            problem(answer, 429, "too_many_unfinished")
            assert int(answer.headers["retry-after"]) > 0
        assert api.put(f"/v1/jobs/{id}").status_code == 200  # it is there already
        api.report(id, {"type": "succeed"})
        assert api.put("/v1/jobs/another").status_code == 201


def test_a_crowd_that_creates_at_once_does_not_pass_the_bound_together(tmp_path: Path) -> None:
    with (
        Server(tmp_path / "data", "--max-unfinished", "5") as server,
        Api(server.url) as api,
        ThreadPoolExecutor(20) as pool,
    ):
        answers = pool.map(lambda _: api.post("/v1/jobs").status_code, range(40))
        assert sorted(answers) == [201] * 5 + [429] * 35
