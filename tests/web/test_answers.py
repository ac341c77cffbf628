"""Questions of jobs over HTTP: asked, shown, answered, delivered, and kept through a kill."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx2 as httpx
import pytest
from websockets.sync.client import connect

from tests.support.api import NDJSON, Api, hear, problem
from tests.support.server import Server

ASK = {"type": "ask", "prompt": "Publish?", "schema": {"type": "boolean"}}
BEAT = {"type": "heartbeat"}


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    data = tmp_path_factory.mktemp("server") / "data"
    with Server(data, "--lost-after", "2", "--heartbeat-timeout", "1") as running:
        yield running


@pytest.fixture
def api(shared: Server) -> Iterator[Api]:
    with Api(shared.url) as client:
        yield client


def answer(api: Api, id: str, value: Any, **more: Any) -> httpx.Response:
    return api.post(f"/v1/jobs/{id}/answer", json={"value": value, **more})


def test_a_question_is_asked_answered_delivered_and_confirmed(api: Api) -> None:
    id = api.create()
    receipt = api.report(id, ASK)
    assert (receipt["status"], receipt["asked"], receipt["waiting"]) == ("running", 1, 1)
    assert api.job(id)["waiting"]["prompt"] == "Publish?"
    assert api.report(id, BEAT)["waiting"] == 1
    answered = answer(api, id, True, n=1)
    assert (answered.status_code, answered.json()["waiting"]) == (202, None)
    given = {"n": 1, "value": True, "by": "anonymous"}
    assert api.report(id, BEAT)["answer"] == given
    assert api.report(id, {"type": "log", "message": "x"})["answer"] == given
    done = api.report(id, {"type": "log", "message": "y", "answered": 1})
    assert not done.keys() & {"answer", "waiting", "asked"}
    (record,) = [it for it in api.get("/v1/audit").json()["acts"] if it["job"] == id]
    assert (record["action"], record["detail"]) == ("answer", {"n": 1})


def test_a_null_answer_is_an_answer(api: Api) -> None:
    id = api.create()
    api.report(id, {"type": "ask", "prompt": "Anything?"})
    assert answer(api, id, None).status_code == 202
    assert api.report(id, BEAT)["answer"] == {"n": 1, "value": None, "by": "anonymous"}


def test_an_answer_must_fit_and_must_be_waited_for(api: Api) -> None:
    id = api.create()
    problem(answer(api, id, True), 409, "not_waiting")
    api.report(id, ASK)
    problem(answer(api, id, "yes"), 422, "invalid", "/value")
    problem(answer(api, id, True, n=2), 409, "not_waiting")
    for body in (b"{}", b'{"value":1,"extra":2}', b'{"value":1,"n":"1"}', b'{"value":1,"n":0}'):
        problem(api.post(f"/v1/jobs/{id}/answer", content=body), 422, "invalid")
    for body in (b"", b"{", b'{"value":NaN}'):
        problem(api.post(f"/v1/jobs/{id}/answer", content=body), 400, "bad_json")
    deep = b'{"value":' + b"[" * 40 + b"]" * 40 + b"}"
    problem(api.post(f"/v1/jobs/{id}/answer", content=deep), 422, "invalid", "/value")
    problem(api.post("/v1/jobs/absent/answer", json={"value": 1}), 404, "job_not_found")
    assert api.job(id)["waiting"]["n"] == 1
    api.report(id, {"type": "succeed"})
    problem(answer(api, id, True), 409, "not_waiting")


def test_of_two_answers_at_once_one_counts(api: Api) -> None:
    id = api.create()
    api.report(id, {"type": "ask", "prompt": "Which?"})

    def one(value: int) -> int:
        with Api(api.url) as client:
            return answer(client, id, value).status_code

    with ThreadPoolExecutor(8) as pool:
        statuses = list(pool.map(one, range(8)))
    assert sorted(statuses) == [202] + [409] * 7
    assert api.report(id, BEAT)["answer"]["value"] == statuses.index(202)


def test_a_schema_that_reaches_out_is_refused_with_its_place(api: Api) -> None:
    id = api.create()
    bad = {**ASK, "schema": {"$ref": "http://127.0.0.1:9/schema"}}
    problem(api.post(f"/v1/jobs/{id}/reports", json=bad), 422, "invalid", "/schema")
    problem(api.post(f"/v1/jobs/{id}/reports", json=[BEAT, bad]), 422, "invalid", "/1/schema")
    assert api.job(id)["status"] == "queued"


def test_viewers_see_the_question_come_and_go(api: Api) -> None:
    id = api.create()
    with connect(api.url.replace("http", "ws") + "/v1/ws") as ws:
        ws.send(json.dumps({"op": "subscribe", "id": 1, "job": id}))
        assert [hear(ws)["op"], hear(ws)["job"]["waiting"]] == ["ack", None]
        ws.send(json.dumps({"op": "report", "id": 2, "job": id, "reports": ASK}))
        heard = {message["op"]: message for message in (hear(ws), hear(ws))}
        assert heard["ack"]["asked"] == heard["delta"]["set"]["waiting"]["n"] == 1
        answer(api, id, False)
        assert hear(ws)["set"]["waiting"] is None
        ws.send(json.dumps({"op": "report", "id": 3, "job": id, "reports": BEAT}))
        assert hear(ws)["answer"] == {"n": 1, "value": False, "by": "anonymous"}


def test_lines_carry_questions_too(api: Api) -> None:
    id = api.create()
    lines = "".join(json.dumps(it) + "\n" for it in (BEAT, ASK))
    receipt = api.post(f"/v1/jobs/{id}/reports", content=lines, headers=NDJSON).json()
    assert (receipt["asked"], receipt["accepted"]) == (1, 2)


def test_lines_may_hold_any_number_of_questions_and_an_array_only_some(api: Api) -> None:
    """The schemas of an array are read at once, and meanwhile the server does nothing else."""
    id, asks = api.create(), [{**ASK, "schema": {"pattern": f"^{n}+$"}} for n in range(30)]
    lines = "".join(json.dumps(it) + "\n" for it in asks)
    receipt = api.post(f"/v1/jobs/{id}/reports", content=lines, headers=NDJSON).json()
    assert (receipt["asked"], receipt["accepted"]) == (30, 30)
    answer = api.post(f"/v1/jobs/{id}/reports", json=asks)
    problem(answer, 413, "batch_too_large", "/20/schema")
    # Written in another way, they are not told apart before they are read.
    lines = lines.replace("ask", "\\u0061sk")
    problem(
        api.post(f"/v1/jobs/{id}/reports", content=lines, headers=NDJSON), 413, "batch_too_large"
    )


def test_a_large_answer_fits_into_a_full_head(api: Api) -> None:
    id = api.create()
    full = {"type": "meta", "set": {"k": "x" * (127 * 1024)}}
    api.report(id, full, {"type": "ask", "prompt": "More?"})
    assert answer(api, id, "y" * 16_000).status_code == 202
    assert len(api.report(id, {"type": "log", "message": "x"})["answer"]["value"]) == 16_000
    api.report(id, {"type": "progress", "message": "on it", "answered": 1})


def test_a_job_that_waits_stalls_but_is_lost_only_after_the_answer(api: Api) -> None:
    waits, silent = api.create(), api.create()
    api.report(waits, ASK)
    api.report(silent, {"type": "start"})
    assert api.ended(silent)["error"]["code"] == "lost"  # so time enough has passed
    job = api.until(waits, lambda job: job["stalled"])
    assert (job["status"], job["waiting"]["n"]) == ("running", 1)
    answer(api, waits, True)
    assert api.report(waits, BEAT)["answer"]["value"] is True
    assert api.ended(waits)["error"]["code"] == "lost"


def test_questions_and_answers_survive_a_kill(tmp_path: Path) -> None:
    with Server(tmp_path) as server, Api(server.url) as api:
        asked, answered = api.create(), api.create()
        api.report(asked, {**ASK, "producer": "p", "n": 1})
        api.report(answered, ASK)
        assert answer(api, answered, True).status_code == 202
        server.kill()
        server.restart()
        problem(answer(api, asked, 1), 422, "invalid", "/value")
        again = api.report(asked, {**ASK, "producer": "p", "n": 1})  # the receipt was lost
        assert (again["accepted"], again["asked"], again["waiting"]) == (0, 1, 1)
        assert api.report(answered, BEAT)["answer"]["value"] is True


def test_answering_needs_the_scope_that_cancelling_needs(tmp_path: Path) -> None:
    with Server(tmp_path, env={"LIVEJOBS_ADMIN_KEY": "a" * 32}) as server, Api(server.url) as api:
        api.headers["authorization"] = "Bearer " + "a" * 32
        keys = {}
        for scope in ("view", "cancel"):
            made = api.post("/v1/keys", json={"name": scope, "scopes": [scope]}).json()
            keys[scope] = {"authorization": f"Bearer {made['key']}"}
        id = api.create()
        api.report(id, ASK)
        to, body = f"/v1/jobs/{id}/answer", {"value": True}
        problem(api.post(to, json=body, headers=keys["view"]), 403, "missing_scope")
        assert api.post(to, json=body, headers=keys["cancel"]).status_code == 202
        assert api.report(id, BEAT)["answer"]["by"] == "key:cancel"


def test_an_open_server_takes_no_answer_from_a_foreign_page(api: Api) -> None:
    id = api.create()
    api.report(id, ASK)
    foreign = {"origin": "https://evil.example"}
    refused = api.post(f"/v1/jobs/{id}/answer", json={"value": True}, headers=foreign)
    problem(refused, 403, "foreign_origin")
