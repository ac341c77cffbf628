"""Requests that the server refuses, and methods and types that it takes."""

from __future__ import annotations

import gzip
import json

import pytest

from tests.support.api import Api, problem
from tests.web.sent import LOG, TEXT

NOWHERE = "/v1/jobs/nowhere"


@pytest.mark.parametrize("path", ["", "/reports", "/cancel", "/logs", "/results", "/errors"])
def test_a_job_that_is_not_there_is_said_so(api: Api, path: str) -> None:
    method = "POST" if path in ("/reports", "/cancel") else "GET"
    answer = api.request(method, NOWHERE + path, json=LOG if method == "POST" else None)
    said = problem(answer, 404, "job_not_found")
    assert "nowhere" in said["detail"]
    assert answer.headers["cache-control"] == "no-store"


@pytest.mark.parametrize(
    "path", ["/v1", "/v1/nothing", "/v1/jobs/a/b", "/v1/jobs/a/reports/1", "/x"]
)
def test_an_unknown_address_is_404(api: Api, path: str) -> None:
    problem(api.get(path), 404, "not_found")


@pytest.mark.parametrize(
    ("method", "path", "allow"),
    [
        ("DELETE", "/v1/jobs", "GET, HEAD, POST"),
        ("PATCH", NOWHERE, "DELETE, GET, HEAD, PUT"),
        ("GET", f"{NOWHERE}/reports", "POST"),
        ("GET", f"{NOWHERE}/cancel", "POST"),
        ("POST", f"{NOWHERE}/logs", "GET, HEAD"),
        ("PUT", "/healthz", "GET, HEAD"),
    ],
)
def test_a_wrong_method_is_405_with_the_right_ones(
    api: Api, method: str, path: str, allow: str
) -> None:
    answer = api.request(method, path)
    problem(answer, 405, "method_not_allowed")
    assert ", ".join(sorted(answer.headers["allow"].split(", "))) == allow


@pytest.mark.parametrize("sent", ["text/plain", "application/x-www-form-urlencoded", "x"])
def test_a_body_of_another_type_is_refused(api: Api, id: str, sent: str) -> None:
    headers = {"content-type": sent}
    for path in ("/v1/jobs", f"/v1/jobs/{id}/reports"):
        answer = api.post(path, content="{}", headers=headers)
        problem(answer, 415, "unsupported_media_type")
        assert "application/json" in answer.headers["accept-post"]
    assert api.job(id)["status"] == "queued"


def test_a_compressed_body_is_refused(api: Api, id: str) -> None:
    for path in ("/v1/jobs", f"/v1/jobs/{id}/reports"):
        headers = {"content-encoding": "gzip", "content-type": "application/json"}
        answer = api.post(path, content=gzip.compress(b"{}"), headers=headers)
        problem(answer, 415, "unsupported_media_type")
        assert answer.headers["accept-encoding"] == "identity"
    assert api.post("/v1/jobs", headers={"content-encoding": "identity"}).status_code == 201


@pytest.mark.parametrize(
    "sent", ["application/json; charset=utf-8", "application/vnd.x+json", None]
)
def test_json_is_taken_by_all_of_its_names(api: Api, id: str, sent: str | None) -> None:
    headers = {} if sent is None else {"content-type": sent}
    answer = api.post(f"/v1/jobs/{id}/reports", content=json.dumps(LOG), headers=headers)
    assert answer.status_code == 200


HEADS = ["/v1/jobs", "/healthz", "/readyz", "/v1/jobs/{id}", "/v1/jobs/{id}/logs",
         "/v1/jobs/{id}/results", "/v1/jobs/{id}/errors"]  # fmt: skip


@pytest.mark.parametrize("path", [*HEADS, NOWHERE, "/x"])
def test_head_is_get_without_its_body(api: Api, spoken: str, path: str) -> None:
    path = path.replace("{id}", spoken)
    get, head = api.get(path), api.head(path)
    assert (head.status_code, head.content) == (get.status_code, b"")
    passing = {"date"}
    assert {k: v for k, v in head.headers.items() if k not in passing} == {
        k: v for k, v in get.headers.items() if k not in passing
    }


def test_head_of_logs_that_are_followed_ends_at_once(api: Api, id: str) -> None:
    answer = api.head(f"/v1/jobs/{id}/logs?follow=1", headers=TEXT)
    assert (answer.status_code, answer.content) == (200, b"")
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    assert api.job(id)["id"] == id  # over the same connection


def test_the_probes_answer(api: Api) -> None:
    assert api.get("/healthz").json() == {"status": "ok"}
    found = {"running": {"ok": True}, "store": {"ok": True}, "disk": {"ok": True}}
    assert api.get("/readyz").json() == {"status": "ready", "checks": found}
