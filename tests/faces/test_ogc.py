"""The face `ogc`, as OWSLib sees it and as the standard words it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import httpx2 as httpx
import pytest

from livejobs.core.times import rfc3339
from livejobs.faces.ogc.listing import FOREVER, interval
from livejobs.faces.ogc.shapes import results, status_info
from tests.faces.jobs import CREATED, created
from tests.support.api import PROBLEM, Api
from tests.support.server import Server

ADMIN = "the-first-admin-key"
TYPES = "http://www.opengis.net/def/exceptions/ogcapi-processes-1/1.0/"
REL = "http://www.opengis.net/def/rel/ogc/1.0/"
START = {"type": "start"}


class World(NamedTuple):
    api: Api  # as admin
    other: str  # a key for another project
    canceller: str


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    environment = {"LIVEJOBS_ADMIN_KEY": ADMIN, "LIVEJOBS_FACES": "ogc"}
    with (
        Server(tmp_path_factory.mktemp("data"), env=environment) as server,
        Api(server.url) as api,
    ):
        api.headers["x-api-key"] = ADMIN
        keys = []
        for project, scope in (("other", "admin"), ("default", "cancel")):
            asked = {"name": project, "scopes": [scope], "projects": [project]}
            keys.append(api.post("/v1/keys", json=asked).json()["key"])
        yield World(api, *keys)


def told(world: World, path: str, **query: Any) -> Any:
    answer = world.api.get(f"/ogc{path}", params=query)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/json"
    return answer.json()


def error(answer: httpx.Response, status: int, code: str, type: str = "about:blank") -> str:
    """The sentence of an error, once all else about it is as it must be."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == PROBLEM
    body = answer.json()
    assert (body["status"], body["code"], body["type"]) == (status, code, type)
    return str(body["detail"])


def ids(page: Any) -> list[str]:
    return [it["jobID"] for it in page["jobs"]]


def links(said: Any) -> dict[str, str]:
    return {it["rel"]: it["href"] for it in said["links"]}


# OWSLib


def test_owslib_reads_the_status_of_a_job(world: World) -> None:
    # Not for each process of the tests: this import takes a quarter of a second.
    from owslib.ogcapi.processes import (  # type: ignore[import-untyped]  # noqa: PLC0415
        Processes,
    )

    id = world.api.create(type="render", title="Teaser", total=10)
    api = Processes(f"{world.api.url}/ogc", headers={"Authorization": f"Bearer {ADMIN}"})
    assert (
        f"{TYPES.partition('/def')[0]}/spec/ogcapi-processes-1/1.0/conf/job-list"
        in (api.conformance()["conformsTo"])
    )
    assert api._request(path=f"jobs/{id}")["status"] == "accepted"
    world.api.report(id, START, {"type": "progress", "current": 4, "message": "Frame 4"})
    running = api._request(path=f"jobs/{id}")
    native = world.api.job(id)
    assert running == {
        "jobID": id,
        "id": id,
        "type": "process",
        "processingEntityType": "ogc-api-processes",
        "processID": "render",
        "title": "Teaser",
        "status": "running",
        "message": "Frame 4",
        "progress": 40,
        "created": native["created_at"],
        "started": native["started_at"],
        "updated": native["updated_at"],
        "links": [
            {"href": f"/ogc/jobs/{id}", "rel": "self", "type": "application/json"},
            {"href": "/ogc/jobs", "rel": "up", "type": "application/json"},
        ],
    }
    world.api.report(id, {"type": "succeed", "result": {"frames": 10}})
    done = api._request(path=f"jobs/{id}")
    assert (done["status"], done["progress"]) == ("successful", 100)
    assert done["finished"] == world.api.job(id)["completed_at"]
    assert api._request(path=f"jobs/{id}/results") == {"result": {"value": {"frames": 10}}}
    with pytest.raises(RuntimeError, match="no-such-job"):
        api._request(path="jobs/none")
    found = api._request(path="jobs", kwargs={"processID": "render", "status": "successful"})
    assert ids(found) == [id]


# Shapes


def test_every_status_has_its_word() -> None:
    job = created()
    waits = job.later(1, START, {"type": "ask", "prompt": "Continue?"})
    failed = job.later(1, START, {"type": "fail", "message": "No disk", "detail": [1]})
    seen = {
        "accepted": job,
        "running": waits,
        "successful": job.later(1, {"type": "succeed"}),
        "failed": failed,
        "dismissed": job.cancelled(1),
    }
    for word, it in seen.items():
        assert it.seen(status_info)["status"] == word
    assert waits.seen(status_info)["message"] == "Continue?"
    assert failed.seen(status_info)["message"] == "No disk"
    assert failed.seen(status_info)["exception"] == {
        "type": "about:blank", "title": "Job failed", "detail": "No disk",
    }  # fmt: skip
    assert "exception" not in job.cancelled(1).seen(status_info)


def test_members_that_do_not_apply_are_absent() -> None:
    time = rfc3339(CREATED)
    assert created().seen(status_info).keys() == {
        "jobID", "id", "type", "processingEntityType", "status", "created", "updated", "links",
    }  # fmt: skip
    assert created().seen(status_info)["created"] == time
    early = created().cancelled(5).seen(status_info)
    assert "started" not in early
    assert early["finished"] == rfc3339(CREATED + 5)


def test_files_are_links_and_outputs() -> None:
    job = created().with_file("results").with_file("a b.png", "image/png")
    done = job.later(1, {"type": "result", "value": 1}, {"type": "result", "value": None})
    done = done.later(2, {"type": "succeed", "result": [7]})
    url = "/base/v1/jobs/j/files/a%20b.png"
    assert done.seen(status_info, "/base")["links"][-1] == {
        "href": url, "rel": "enclosure", "type": "image/png", "title": "a b.png",
    }  # fmt: skip
    outputs = done.seen(results, "/base")
    assert outputs.pop("files/a b.png") == {"href": url, "type": "image/png", "title": "a b.png"}
    assert outputs.pop("files/results")["href"] == "/base/v1/jobs/j/files/results"
    assert outputs == {"result": {"value": [7]}, "results": {"value": [1, None]}}
    assert created().later(1, {"type": "succeed"}).seen(results) == {}


def test_all_results_are_there_however_many(world: World) -> None:
    id = world.api.create()
    for at in (0, 1000):
        world.api.report(id, *({"type": "result", "value": n} for n in range(at, at + 1000)))
    world.api.report(id, {"type": "result", "value": 2000}, {"type": "succeed"})
    assert told(world, f"/jobs/{id}/results")["results"]["value"] == [*range(2001)]


# Pages of the API


def test_the_landing_page_and_the_classes_need_no_key(world: World) -> None:
    for path in ("", "/"):
        page = httpx.get(f"{world.api.url}/ogc{path}").json()
        found = links(page)
        for rel in ("self", "service-desc", "service-doc", REL + "conformance"):
            assert httpx.get(world.api.url + found[rel]).status_code == 200
        assert httpx.get(world.api.url + found[REL + "job-list"]).status_code == 401
    described = httpx.get(world.api.url + found["service-desc"]).json()["paths"]
    assert {"/ogc/", "/ogc/jobs", "/ogc/jobs/{id}", "/ogc/jobs/{id}/results"} <= described.keys()


def test_what_is_not_there_is_404_in_the_words_of_the_standard(world: World) -> None:
    id = world.api.create()
    error(world.api.get("/ogc/jobs/none"), 404, "job_not_found", TYPES + "no-such-job")
    for method, path in (("GET", ""), ("GET", "/results"), ("DELETE", "")):
        answer = world.api.request(
            method, f"/ogc/jobs/{id}{path}", headers={"x-api-key": world.other}
        )
        error(answer, 404, "job_not_found", TYPES + "no-such-job")
    for path in ("/ogc/processes", "/ogc/jobs/", f"/ogc/jobs/{id}/x"):
        error(world.api.get(path), 404, "not_found")
    error(world.api.post("/ogc/jobs"), 405, "method_not_allowed")
    assert world.api.job(id)["status"] == "queued"


def test_results_come_once_the_job_has_succeeded(world: World) -> None:
    id, failed, dropped = (world.api.create() for _ in range(3))
    for start in ((), (START,)):
        world.api.report(id, {"type": "heartbeat"}, *start)
        answer = world.api.get(f"/ogc/jobs/{id}/results")
        error(answer, 404, "result_not_ready", TYPES + "result-not-ready")
    world.api.report(failed, START, {"type": "fail", "message": "No disk"})
    answer = world.api.get(f"/ogc/jobs/{failed}/results")
    assert "No disk" in error(answer, 409, "job_not_succeeded")
    world.api.post(f"/v1/jobs/{dropped}/cancel")
    error(world.api.get(f"/ogc/jobs/{dropped}/results"), 409, "job_not_succeeded")


# Dismissing


def test_a_job_is_dismissed_and_then_removed(world: World) -> None:
    id = world.api.create()
    mine = {"x-api-key": world.canceller}
    dismissed = world.api.delete(f"/ogc/jobs/{id}", headers=mine)
    assert dismissed.json()["status"] == "dismissed"
    assert links(dismissed.json()) == {"up": "/ogc/jobs"}
    assert world.api.job(id)["status"] == "cancelled"
    error(world.api.delete(f"/ogc/jobs/{id}", headers=mine), 403, "missing_scope")
    assert world.api.delete(f"/ogc/jobs/{id}").json()["status"] == "dismissed"
    assert world.api.get(f"/v1/jobs/{id}").status_code == 404
    error(world.api.delete(f"/ogc/jobs/{id}"), 404, "job_not_found", TYPES + "no-such-job")


def test_a_running_job_only_hears_of_it(world: World) -> None:
    id = world.api.create()
    world.api.report(id, START)
    assert world.api.delete(f"/ogc/jobs/{id}").json()["status"] == "dismissed"
    assert told(world, f"/jobs/{id}")["status"] == "running"
    assert world.api.job(id)["cancel_requested"]
    world.api.report(id, {"type": "cancelled"})
    assert told(world, f"/jobs/{id}")["status"] == "dismissed"


# The list


@pytest.fixture(scope="module")
def listed(world: World) -> list[str]:
    """Six jobs of a project: of two types in turn, the last two with an end."""
    made = [
        world.api.create(project="listed", type=("a", "b", "c")[n % 3], id=f"l{n}")
        for n in range(6)
    ]
    world.api.report("l4", {"type": "succeed"})
    world.api.report("l5", START, {"type": "fail", "message": ""})
    return made


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ({}, "543210"),
        ({"type": "process"}, "543210"),
        ({"type": "service"}, ""),
        ({"processID": "a"}, "30"),
        ({"processID": "a,c"}, "5320"),
        ({"processID": "none"}, ""),
        ({"status": "accepted"}, "3210"),
        ({"status": "successful,failed"}, "54"),
        ({"status": "failed", "processID": "a"}, ""),
        ({"datetime": "2020-01-01T00:00:00Z/.."}, "543210"),
        ({"datetime": "../2020-01-01T00:00:00Z"}, ""),
        ({"maxDuration": "60"}, "54"),  # those that have not started have no duration
        ({"minDuration": "60"}, ""),
        ({"minDuration": "0", "maxDuration": "60", "status": "failed"}, "5"),
    ],
)
def test_a_list_has_what_is_asked_for(
    world: World, listed: list[str], query: dict[str, str], found: str
) -> None:
    page = told(world, "/jobs", project="listed", **query)
    assert "".join(ids(page)).replace("l", "") == found
    assert links(page).keys() == {"self"}


@pytest.mark.parametrize("query", ["", "&processID=a,c"])
def test_pages_are_linked(world: World, listed: list[str], query: str) -> None:
    """With filters that the store can't look for, a page can be short and not the last."""
    path, pages = f"/ogc/jobs?project=listed&limit=2{query}", []
    while path:
        answer = world.api.get(path).json()
        pages.append(ids(answer))
        assert len(pages[-1]) <= 2
        path = links(answer).get("next", "")
    wanted = [id for id in reversed(listed) if not query or id in ("l0", "l2", "l3", "l5")]
    assert [id for page in pages for id in page] == wanted


def test_a_time_is_an_instant(world: World, listed: list[str]) -> None:
    at = world.api.job("l2")["created_at"]
    same = [id for id in reversed(listed) if world.api.job(id)["created_at"] == at]
    assert ids(told(world, "/jobs", project="listed", datetime=at)) == same


def test_a_list_is_of_one_project(world: World, listed: list[str]) -> None:
    mine = world.api.create()
    ours = ids(told(world, "/jobs", limit=1000))
    assert mine in ours
    assert {*listed}.isdisjoint(ours)
    theirs = world.api.get("/ogc/jobs", headers={"x-api-key": world.other}).json()
    assert ids(theirs) == []
    answer = world.api.get("/ogc/jobs?project=listed", headers={"x-api-key": world.other})
    error(answer, 403, "foreign_project")


def test_a_next_link_keeps_the_token_of_the_address(world: World, listed: list[str]) -> None:
    token = world.api.post("/v1/tokens", json={"project": "listed"}).json()["token"]
    page = httpx.get(f"{world.api.url}/ogc/jobs?project=listed&limit=4&token={token}").json()
    rest = httpx.get(world.api.url + links(page)["next"])
    assert (rest.status_code, ids(rest.json())) == (200, ["l1", "l0"])


@pytest.mark.parametrize(
    "query",
    [
        "limit=0", "limit=-1", "limit=x", "limit=1.5", f"limit={'9' * 99}", "status=done",
        "status=accepted,done", "minDuration=-1", "maxDuration=x", "datetime=yesterday",
        "datetime=2026-13-01T00:00:00Z", "datetime=2026-01-01", "datetime=/", "datetime=a/b",
        "datetime=2026-01-02T00:00:00Z/2026-01-01T00:00:00Z", "datetime=2026-01-01T00:00:60Z",
        "datetime=../../..", "datetime=%D9%A2026-01-01T00:00:00Z",
    ],
)  # fmt: skip
def test_a_list_refuses_what_it_does_not_understand(world: World, query: str) -> None:
    if query != "datetime=/":
        error(world.api.get(f"/ogc/jobs?{query}"), 400, "invalid")
    else:  # open at both ends
        told(world, "/jobs", datetime="/")


def test_a_place_that_is_not_of_the_list_is_refused(world: World) -> None:
    error(world.api.get("/ogc/jobs?after=x.1"), 400, "bad_cursor")


def test_a_limit_has_a_largest(world: World) -> None:
    told(world, "/jobs", limit=10**9)


@pytest.mark.parametrize(
    ("text", "first", "last"),
    [
        ("../..", 0, FOREVER * 1000),
        ("/1970-01-01T00:00:01Z", 0, 1000),
        ("1970-01-01T00:00:01.5z/..", 1500, FOREVER * 1000),
        ("1970-01-01T01:00:00+01:00", 0, 0),
        ("1970-01-01T01:00:00 01:00/1970-01-01t00:00:00.0019Z", 0, 1),
    ],
)
def test_an_interval_may_be_open(text: str, first: int, last: int) -> None:
    assert interval(text) == (first, last)


def test_it_is_off_unless_it_is_named(tmp_path: Path) -> None:
    with Server(tmp_path) as server:
        answer = httpx.get(server.url + "/ogc")
    assert (answer.status_code, json.loads(answer.text)["code"]) == (404, "not_found")
