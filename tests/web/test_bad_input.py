"""Input without sense: each is refused with a pointer to the field, and nothing has changed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from tests.support.api import NDJSON, Api, Socket, problem
from tests.support.server import Server

MIB = 1 << 20
GOOD = b'{"type":"log","message":"good"}'
TEN_TO_400 = b"1" + b"0" * 400
FIELD_OF_33 = b"[" * 33 + b"]" * 33


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    with Server(tmp_path_factory.mktemp("server") / "data") as server, Api(server.url) as api:
        yield api


@pytest.fixture
def id(api: Api) -> Iterator[str]:
    """A running job, which must be the same afterwards."""
    id = api.create(steps=["a"], meta={"k": 1})
    api.report(id, {"type": "progress", "percent": 42}, {"type": "result", "value": 1})
    before, tag = api.job(id), api.get(f"/v1/jobs/{id}").headers["etag"]
    yield id
    assert api.job(id) == before
    assert api.get(f"/v1/jobs/{id}").headers["etag"] == tag


@pytest.fixture
def no_new_job(api: Api) -> Iterator[None]:
    before = api.get("/v1/jobs?project=*").json()["counts"]
    yield
    assert api.get("/v1/jobs?project=*").json()["counts"] == before


REPORTS: dict[str, tuple[bytes, int, str]] = {
    "wrong type": (b'{"type":"progress","current":"5"}', 422, "/current"),
    "wrong type inside": (b'{"type":"count","counters":{"a":"5"}}', 422, "/counters"),
    "a boolean is no number": (b'{"type":"progress","percent":true}', 422, "/percent"),
    "not an object": (b"7", 422, ""),
    "null": (b"null", 422, ""),
    "unknown report type": (b'{"type":"zap"}', 422, "/type"),
    "type of another type": (b'{"type":7}', 422, "/type"),
    "missing type": (b'{"message":"m"}', 422, "/type"),
    "missing field": (b'{"type":"log"}', 422, "/message"),
    "missing value": (b'{"type":"result"}', 422, "/value"),
    "unknown field": (b'{"type":"log","message":"m","leval":"info"}', 422, "/leval"),
    "unknown level": (b'{"type":"log","message":"m","level":"loud"}', 422, "/level"),
    "unknown step status": (b'{"type":"step","name":"a","status":"done"}', 422, "/status"),
    "percent past 100": (b'{"type":"progress","percent":100.5}', 422, "/percent"),
    "percent below 0": (b'{"type":"progress","percent":-1}', 422, "/percent"),
    "NaN": (b'{"type":"progress","current":NaN}', 400, "/current"),
    "Infinity": (b'{"type":"progress","total":Infinity}', 400, "/total"),
    "-Infinity in a value": (b'{"type":"result","value":[-Infinity]}', 400, "/value/0"),
    "10^400": (b'{"type":"progress","current":' + TEN_TO_400 + b"}", 422, "/current"),
    "10^400 in a value": (b'{"type":"result","value":{"a":' + TEN_TO_400 + b"}}", 422, "/value"),
    "10^400 in a counter": (b'{"type":"count","counters":{"a":1e400}}', 422, "/counters"),
    "33 levels of nesting": (b'{"type":"result","value":' + FIELD_OF_33 + b"}", 422, "/value"),
    "lone surrogate": (b'{"type":"log","message":"\\ud800"}', 400, "/message"),
    "lone surrogate in a key": (b'{"type":"meta","set":{"\\udc00":1}}', 400, "/set"),
    "not UTF-8": (b'{"type":"log","message":"\xff"}', 400, ""),
    "UTF-8 of a surrogate": (b'{"type":"log","message":"\xed\xa0\x80"}', 400, ""),
    "not JSON": (b"{type:log}", 400, ""),
    "cut off": (b'{"type":"log","mess', 400, ""),
    "empty report": (b"{}", 422, "/type"),
    "over-long line": (b'{"type":"log","message":"' + b"x" * 16385 + b'"}', 422, "/message"),
    "number without producer": (b'{"type":"start","n":1}', 422, "/n"),
    "number 0": (b'{"type":"start","producer":"p","n":0}', 422, "/n"),
    "time without a zone": (b'{"type":"log","message":"m","at":"2026-01-02T03:04:05"}', 422, "/at"),
    "head too large": (b'{"type":"meta","set":{"a":"' + b"x" * 131072 + b'"}}', 422, "/set"),
}


def code(status: int, pointer: str, name: str = "") -> str:
    if name in ("head too large", "over-long line"):
        return "head_too_large" if name.startswith("head") else "line_too_long"
    return "bad_json" if status == 400 else "invalid"


@pytest.mark.parametrize("name", REPORTS)
def test_a_bad_report_is_refused_where_it_is_bad(api: Api, id: str, name: str) -> None:
    body, status, pointer = REPORTS[name]
    answer = api.post(f"/v1/jobs/{id}/reports", content=body)
    problem(answer, status, code(status, pointer, name), pointer)


@pytest.mark.parametrize("name", REPORTS)
def test_of_a_batch_with_a_bad_report_nothing_is_applied(api: Api, id: str, name: str) -> None:
    body, status, pointer = REPORTS[name]
    whole = pointer == "" and status == 400  # the array is no JSON either: nothing to point at
    answer = api.post(f"/v1/jobs/{id}/reports", content=b"[" + GOOD + b"," + body + b"]")
    expected = "" if whole else f"/1{pointer}"
    problem(answer, status, code(status, pointer, name), expected)


@pytest.mark.parametrize("name", REPORTS)
def test_a_first_line_that_is_bad_leaves_all_as_it_was(api: Api, id: str, name: str) -> None:
    body, status, pointer = REPORTS[name]
    content = body + b"\n" + GOOD
    answer = api.post(f"/v1/jobs/{id}/reports", content=content, headers=NDJSON)
    said = problem(answer, status, code(status, pointer, name), pointer)
    assert (said["line"], said["kept"]) == (1, 0)


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"", 400, "bad_json"),
        (b"[]", 422, "invalid"),
        (b"[" + b",".join([GOOD] * 1001) + b"]", 413, "batch_too_large"),
        (b'{"type":"result","value":' + b"[" * 200_000 + b"]" * 200_000 + b"}", 422, "invalid"),
        (GOOD + GOOD, 400, "bad_json"),
        (b"\x00" * 100, 400, "bad_json"),
    ],
    ids=["nothing", "empty array", "1001 reports", "bottomless", "two of them", "zeros"],
)
def test_a_body_that_is_no_report_is_refused(
    api: Api, id: str, body: bytes, status: int, code: str
) -> None:
    problem(api.post(f"/v1/jobs/{id}/reports", content=body), status, code, "")


def padded(size: int) -> bytes:
    """A report of so many bytes."""
    frame = len(b'{"type":"result","value":""}')
    return b'{"type":"result","value":"%s"}' % (b"x" * (size - frame))


def test_a_body_past_the_bound_is_refused(api: Api, id: str) -> None:
    answer = api.post(f"/v1/jobs/{id}/reports", content=padded(MIB + 1))
    problem(answer, 413, "body_too_large", "")
    answer = api.post("/v1/jobs", content=b'{"meta":{"a":"%s"}}' % (b"x" * MIB))
    problem(answer, 413, "body_too_large", "")


def test_a_body_past_the_bound_that_does_not_say_so_is_refused(api: Api, id: str) -> None:
    pieces = (padded(MIB + 1)[at : at + 50_000] for at in range(0, MIB + 1, 50_000))
    answer = api.post(f"/v1/jobs/{id}/reports", content=pieces)
    problem(answer, 413, "body_too_large", "")


def test_a_body_past_the_bound_is_refused_before_it_is_sent(api: Api, id: str) -> None:
    with Socket(api.url) as worker:
        worker.send(f"POST /v1/jobs/{id}/reports HTTP/1.1\r\nhost: localhost\r\n")
        worker.send("content-length: 1048577\r\nexpect: 100-continue\r\n\r\n")
        status, headers, said = worker.answer()
    assert (status, said["code"], headers["connection"]) == (413, "body_too_large", "close")


def test_a_body_at_the_bound_is_taken(api: Api) -> None:
    id = api.create()
    answer = api.post(f"/v1/jobs/{id}/reports", content=padded(MIB))
    assert answer.json()["accepted"] == 1


NEW_JOBS: dict[str, tuple[bytes, int, str]] = {
    "id with a slash": (b'{"id":"a/b"}', 422, "/id"),
    "id with a newline": (b'{"id":"a\\n"}', 422, "/id"),
    "id with a NUL": (b'{"id":"a\\u0000"}', 422, "/id"),
    "empty id": (b'{"id":""}', 422, "/id"),
    "long id": (b'{"id":"%s"}' % (b"a" * 129), 422, "/id"),
    "dots": (b'{"id":".."}', 422, "/id"),
    "not ASCII": ('{"id":"ä"}'.encode(), 422, "/id"),
    "project with a star": (b'{"project":"*"}', 422, "/project"),
    "project with a slash": (b'{"project":"a/b"}', 422, "/project"),
    "parent that is none": (b'{"parent":"nowhere"}', 422, "/parent"),
    "parent that can't be": (b'{"parent":"a/b"}', 422, "/parent"),
    "wrong type": (b'{"title":7}', 422, "/title"),
    "unknown field": (b'{"titel":"x"}', 422, "/titel"),
    "steps twice": (b'{"steps":["a","a"]}', 422, "/steps"),
    "step without a name": (b'{"steps":["a",{}]}', 422, "/steps/1/name"),
    "negative total": (b'{"total":-1}', 422, "/total"),
    "no time to live": (b'{"ttl_seconds":0}', 422, "/ttl_seconds"),
    "10^400": (b'{"total":' + TEN_TO_400 + b"}", 422, "/total"),
    "10^400 in meta": (b'{"meta":{"a":' + TEN_TO_400 + b"}}", 422, "/meta"),
    "NaN": (b'{"meta":{"a":NaN}}', 400, "/meta/a"),
    "33 levels of nesting": (b'{"meta":{"a":' + FIELD_OF_33 + b"}}", 422, "/meta"),
    "lone surrogate": (b'{"title":"\\ud800"}', 400, "/title"),
    "not UTF-8": (b'{"title":"\xff"}', 400, ""),
    "not JSON": (b"title", 400, ""),
    "an array": (b"[]", 422, ""),
    "null": (b"null", 422, ""),
    "head too large": (b'{"meta":{"a":"' + b"x" * 131072 + b'"}}', 422, "/meta"),
}


@pytest.mark.usefixtures("no_new_job")
@pytest.mark.parametrize("name", NEW_JOBS)
def test_a_bad_new_job_is_refused_where_it_is_bad(api: Api, name: str) -> None:
    body, status, pointer = NEW_JOBS[name]
    problem(api.post("/v1/jobs", content=body), status, code(status, pointer, name), pointer)
    put = api.put("/v1/jobs/by-put", content=body)
    problem(put, status, code(status, pointer, name), pointer)


@pytest.mark.usefixtures("no_new_job")
@pytest.mark.parametrize("id", ["a\nb", "a\n", "\n", "a b", "a\x00", "ä", "a" * 129, "-", "%2F"])
def test_an_id_in_the_address_is_held_to_the_same_rules(api: Api, id: str) -> None:
    problem(api.put(f"/v1/jobs/{quote(id, safe='')}", json={}), 422, "invalid", "/id")


@pytest.mark.usefixtures("no_new_job")
def test_an_id_in_the_address_with_a_slash_is_no_address(api: Api) -> None:
    problem(api.put("/v1/jobs/a%2Fb", json={}), 404, "not_found")


@pytest.mark.parametrize("id", ["a\nb", "a b", "a\x00", "ä", "a" * 200, "%"])
def test_an_id_that_no_job_can_have_is_not_found(api: Api, id: str) -> None:
    problem(api.get(f"/v1/jobs/{quote(id, safe='')}/logs"), 404, "job_not_found")


@pytest.mark.parametrize(
    ("path", "pointer"),
    [
        ("/v1/jobs?limit=0", "/limit"),
        ("/v1/jobs?limit=1001", "/limit"),
        ("/v1/jobs?limit=-1", "/limit"),
        ("/v1/jobs?limit=ten", "/limit"),
        ("/v1/jobs?limit=", "/limit"),
        ("/v1/jobs?limit=%D9%A1", "/limit"),
        ("/v1/jobs?limit=99999999999999999999", "/limit"),
        ("/v1/jobs?status=done", "/status"),
        ("/v1/jobs?status=queued,done", "/status"),
        ("/v1/jobs?status=queued&status=done", "/status"),
        ("/v1/jobs?q=ab", "/q"),
        ("/v1/jobs?q=" + "x" * 201, "/q"),
        ("/v1/jobs/{id}?until=later", "/until"),
        ("/v1/jobs/{id}/logs?limit=0", "/limit"),
        ("/v1/jobs/{id}/logs?after=-1", "/after"),
        ("/v1/jobs/{id}/logs?after=x", "/after"),
        ("/v1/jobs/{id}/logs?level=loud", "/level"),
        ("/v1/jobs/{id}/logs?tail=0", "/tail"),
        ("/v1/jobs/{id}/logs?tail=1001", "/tail"),
        ("/v1/jobs/{id}/results?limit=0", "/limit"),
        ("/v1/jobs/{id}/results?after=1.5", "/after"),
        ("/v1/jobs/{id}/errors?limit=1e3", "/limit"),
        ("/v1/jobs/{id}/events?view=all", "/view"),
        ("/v1/jobs/{id}/events?rate=0", "/rate"),
        ("/v1/jobs/{id}/events?rate=nan", "/rate"),
        ("/v1/jobs/{id}/events?logs=maybe", "/logs"),
        ("/v1/events?status=done", "/status"),
    ],
)
def test_a_senseless_query_parameter_is_named(api: Api, id: str, path: str, pointer: str) -> None:
    problem(api.get(path.format(id=id)), 422, "invalid", pointer)


@pytest.mark.parametrize("query", ["follow=maybe", "limit=0", "level=loud", "after=x"])
def test_a_senseless_query_parameter_of_logs_as_text_is_named(
    api: Api, id: str, query: str
) -> None:
    answer = api.get(f"/v1/jobs/{id}/logs?{query}", headers={"accept": "text/plain"})
    problem(answer, 422, "invalid", "/" + query.partition("=")[0])


def test_a_senseless_query_parameter_of_a_cancel_is_named(api: Api, id: str) -> None:
    problem(api.post(f"/v1/jobs/{id}/cancel?force=maybe"), 422, "invalid", "/force")


@pytest.mark.parametrize(
    "token", ["1", "x", "x.1", "..", "%00.1", "1.1.1", "x.99999999999999999999"]
)
def test_what_is_no_page_token_is_refused(api: Api, id: str, token: str) -> None:
    problem(api.get(f"/v1/jobs?after={token}"), 400, "bad_cursor", "/after")


def test_a_page_token_of_another_database_is_refused(api: Api, id: str, tmp_path: Path) -> None:
    with Server(tmp_path / "other") as server, Api(server.url) as other:
        for _ in range(2):
            other.create()
        token = other.get("/v1/jobs?limit=1").json()["next"]
        assert other.get(f"/v1/jobs?after={token}").status_code == 200
    problem(api.get(f"/v1/jobs?after={token}"), 400, "bad_cursor", "/after")


NASTY: list[Any] = [
    "\x00",
    "'; DROP TABLE jobs; --",
    '"',
    "\\",
    "%",
    "*",
    "a" * 5000,
    "\u2028",
    "\ufffe",
]


@pytest.mark.parametrize("name", ["project", "type", "tag", "parent", "owner", "q", "x"])
def test_a_filter_may_be_anything(api: Api, id: str, name: str) -> None:
    for value in NASTY:
        answer = api.get("/v1/jobs", params={name: value})
        if answer.status_code == 200:
            known = (name == "project" and value == "*") or name == "x"
            assert bool(answer.json()["jobs"]) == known, value
        else:
            problem(answer, 422, "invalid", f"/{name}")


def test_strings_are_kept_as_they_were_said(api: Api) -> None:
    nasty = "\x01\x1b[31m\u2028\u2029\u202e</script>\U0001f600\ufffe\"'\\\x00"
    id = api.create(title=nasty, meta={nasty: nasty}, tags=[nasty], type=nasty)
    api.report(id, {"type": "log", "message": nasty}, {"type": "result", "value": {nasty: nasty}})
    job = api.job(id)
    assert (job["title"], job["meta"], job["tags"]) == (nasty, {nasty: nasty}, [nasty])
    assert job["results"][0]["value"] == {nasty: nasty}
    assert api.get(f"/v1/jobs/{id}/logs").json()["logs"][0]["message"] == nasty
    listed = api.get("/v1/jobs", params={"tag": nasty, "type": nasty, "q": nasty[:-1]}).json()[
        "jobs"
    ]
    assert [one["id"] for one in listed] == [id]
