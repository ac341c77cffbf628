"""Durable Streams over HTTP: what is refused, and to whom."""

from __future__ import annotations

from collections.abc import Iterator

import httpx2 as httpx
import pytest

from tests.faces.streaming import (
    NEXT,
    SUCCEED,
    batches,
    events_of,
    line,
    read,
)
from tests.support.api import Api, problem
from tests.support.server import Server

ADMIN = "the-first-admin-key"


@pytest.fixture(scope="module")
def api(streams: Api) -> Api:
    return streams


# Refusals


@pytest.mark.parametrize(
    "query",
    [
        "offset=",
        "offset=0,1",
        "offset=0+1",
        "offset=-2",
        "offset=NOW",
        "offset=now&offset=now",
        "offset=1&live=sse",
        "offset=%00",
        "offset=a.0_%D9%A3%D9%A3%D9%A3%D9%A3%D9%A3%D9%A3%D9%A3%D9%A3%D9%A3%D9%A3%D9%A3%D9%A3",
        "offset=" + "9" * 5000,
        "live=sse",
        "live=long-poll",
    ],
)
def test_an_offset_that_is_none_is_400(api: Api, query: str) -> None:
    job = api.create()
    answer = api.get(f"/streams/{job}/logs?{query}")
    problem(answer, 400, "bad_cursor")
    assert answer.headers["x-content-type-options"] == "nosniff"


def test_another_kind_of_live_is_400(api: Api) -> None:
    problem(read(api, api.create(), "-1", live="websocket"), 400, "bad_request")


def test_what_a_client_adds_to_its_query_does_not_matter(api: Api) -> None:
    job = api.create()
    api.report(job, line(1))
    for known in ("", "x", "-5", "9" * 400, "1e9", "\u0663"):
        answer = read(api, job, "-1", cursor=known, live="long-poll", foo="bar")
        assert (answer.status_code, len(answer.json())) == (200, 1)
        assert answer.headers["stream-cursor"].isdigit()


def test_an_offset_of_a_job_that_had_the_same_id_is_gone(api: Api) -> None:
    api.put("/v1/jobs/again")
    api.report("again", line(1), line(2), SUCCEED)
    old = read(api, "again").headers[NEXT]
    assert api.delete("/v1/jobs/again").status_code == 204
    problem(read(api, "again", old), 404, "job_not_found")
    api.put("/v1/jobs/again")
    api.report("again", *map(line, range(5)))
    problem(read(api, "again", old), 410, "offset_gone")
    problem(read(api, "again", old, live="sse"), 410, "offset_gone")
    problem(read(api, "again", old, live="long-poll"), 410, "offset_gone")


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
def test_nobody_writes_to_a_stream(api: Api, method: str) -> None:
    answer = api.request(method, f"/streams/{api.create()}/logs", content=b"[]")
    problem(answer, 405, "method_not_allowed")
    assert answer.headers["allow"] == "GET, HEAD"


@pytest.mark.parametrize("path", ["", "/", "/j", "/j/", "/j/steps", "/j/logs/", "/j/logs/1"])
def test_other_addresses_below_it_are_404(api: Api, path: str) -> None:
    problem(api.get("/streams" + path), 404, "not_found")


@pytest.mark.parametrize("id", ["none", "%2e%2e", "a%00b", "ä", "x" * 200])
def test_a_job_that_is_not_there_is_404(api: Api, id: str) -> None:
    for query in ("", "?offset=now", "?offset=-1&live=sse", "?offset=-1&live=long-poll"):
        problem(api.get(f"/streams/{id}/logs{query}"), 404, "job_not_found")


# Access


@pytest.fixture(scope="module")
def closed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    data = tmp_path_factory.mktemp("closed") / "data"
    environment = {"LIVEJOBS_ADMIN_KEY": ADMIN, "LIVEJOBS_FACES": "streams"}
    with Server(data, env=environment) as server:
        yield server


QUERIES = ("", "?offset=-1&live=sse", "?offset=-1&live=long-poll")


@pytest.mark.parametrize("query", QUERIES)
def test_a_stream_is_for_those_who_may_see_the_job(closed: Server, query: str) -> None:
    with (
        httpx.Client(base_url=closed.url, headers={"x-api-key": ADMIN}) as admin,
        httpx.Client(base_url=closed.url) as anyone,
    ):
        job = admin.post("/v1/jobs", json={"project": "mine"}).json()["id"]
        admin.post(f"/v1/jobs/{job}/reports", json=[line(1), SUCCEED])
        keys = {}
        for project in ("mine", "other"):
            name = f"{project}-{job[-12:]}"
            wanted = {"name": name, "scopes": ["view"], "projects": [project]}
            keys[project] = admin.post("/v1/keys", json=wanted).json()["key"]

        def ask(**headers: str) -> httpx.Response:
            return anyone.get(f"/streams/{job}/logs{query}", headers=headers)

        assert ask(authorization=f"Bearer {keys['mine']}").status_code == 200
        problem(ask(**{"x-api-key": keys["other"]}), 404, "job_not_found")
        nobody = ask()
        problem(nobody, 401, "unauthorized")
        assert nobody.headers["www-authenticate"].startswith("Bearer")
        token = admin.post("/v1/tokens", json={"jobs": [job], "scopes": ["view"]}).json()["token"]
        shared = f"/streams/{job}/logs{query}{'&' if query else '?'}token={token}"
        assert anyone.get(shared).status_code == 200


def test_a_stream_ends_with_its_credential(closed: Server) -> None:
    with httpx.Client(base_url=closed.url, headers={"x-api-key": ADMIN}) as admin:
        admin.put("/v1/jobs/k")
        made = admin.post("/v1/keys", json={"name": "brief", "scopes": ["view"]}).json()
        headers = {"x-api-key": made["key"]}
        with httpx.Client(base_url=closed.url, headers=headers) as viewer:
            with events_of(viewer, "k", "-1") as answer:
                heard = batches(answer)
                next(heard)
                admin.delete(f"/v1/keys/{made['id']}")
                assert list(heard) == []
            assert read(viewer, "k").status_code == 401
