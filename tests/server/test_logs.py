"""The log of a real server: its two forms, ids of requests, the access log, and no secrets."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx2 as httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.testclient import TestClient
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from livejobs import LiveJobs, Settings, create_app
from livejobs.store.memory import MemoryStore
from livejobs.telemetry.logs import Json, Lines, Text, without_secrets
from livejobs.web.ids import SANE
from livejobs.web.problems import note
from tests.support.api import Api, hear, problem
from tests.support.certificate import Certificate
from tests.support.server import LONG_ENOUGH, Server

ADMIN = "the-first-admin-key-of-this-test"
PASSWORD = "hunter2-of-the-database"


@pytest.fixture(scope="module")
def talkative(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that logs all it can."""
    flags = ("--log-format", "json", "--log-level", "debug", "--access-log", "--metrics-public")
    data = tmp_path_factory.mktemp("data")
    with Server(data, *flags, env={"LIVEJOBS_ADMIN_KEY": ADMIN}) as server:
        yield server


def lines(server: Server) -> list[dict[str, Any]]:
    return [json.loads(line) for line in server.stderr.splitlines()]


def accessed(server: Server, **wanted: Any) -> list[dict[str, Any]]:
    """The lines of the access log with these fields."""
    found = [line for line in lines(server) if line["logger"] == "livejobs.access"]
    return [line for line in found if wanted.items() <= line.items()]


@pytest.fixture
def admin(talkative: Server) -> Iterator[Api]:
    with Api(talkative.url) as api:
        api.headers["authorization"] = f"Bearer {ADMIN}"
        yield api


def test_no_credential_is_logged_whichever_way_it_comes(talkative: Server, admin: Api) -> None:
    id = check_that_no_credential_is_logged(talkative, admin)
    assert accessed(talkative, path=f"/v1/jobs/{id}", status=101)  # a WebSocket, by its handshake
    assert accessed(talkative, path=f"/v1/jobs/{id}/events", status=200)


def test_nor_without_an_access_log(tmp_path: Path) -> None:
    """Then uvicorn's own loggers have the level of all others."""
    env = {"LIVEJOBS_ADMIN_KEY": ADMIN, "LIVEJOBS_LOG_LEVEL": "debug"}
    with Server(tmp_path / "data", env=env) as server, Api(server.url) as api:
        api.headers["authorization"] = f"Bearer {ADMIN}"
        check_that_no_credential_is_logged(server, api)


def check_that_no_credential_is_logged(talkative: Server, admin: Api) -> str:
    """Returns the id of the job that was used."""
    key = admin.post("/v1/keys", json={"name": "ci", "scopes": ["report"]}).json()["key"]
    token = admin.post("/v1/tokens", json={"scopes": ["view"]}).json()["token"]
    bad = "lj_aaaaaaaa_" + "b" * 43
    id = admin.create()
    url, ws = f"{talkative.url}/v1/jobs/{id}", talkative.url.replace("http", "ws")
    with httpx.Client() as http:
        http.get(url, headers={"authorization": f"Bearer {key}"})
        http.get(url, headers={"x-api-key": key})
        http.get(url, headers={"authorization": f"Bearer {bad}"})
        http.get(url, headers={"cookie": f"livejobs_token={token}"})
        http.post(f"{talkative.url}/v1/session", headers={"authorization": f"Bearer {key}"})
        for query in (
            f"token={token}",
            f"a=1&token={token}&b=2",
            f"token={bad}",
            f"token={token}x",
        ):
            http.get(f"{url}?{query}")
            http.get(f"{talkative.url}/healthz?{query}")
            http.get(f"{talkative.url}/nothing/{id}?{query}")
        with http.stream("GET", f"{url}/events?token={token}") as stream:
            assert next(stream.iter_lines())
    with connect(f"{ws}/v1/jobs/{id}?token={token}") as socket:
        assert hear(socket)
    with connect(f"{ws}/v1/ws", additional_headers={"x-api-key": ADMIN}) as socket:
        socket.send('{"op":"ping","id":1}')
        assert hear(socket)["op"] == "pong"
    with connect(f"{ws}/v1/ws") as socket:
        socket.send(json.dumps({"op": "auth", "id": 1, "token": token}))
        assert hear(socket)["op"] == "ack"
    with connect(f"{ws}/v1/ws?token={bad}") as socket, suppress(ConnectionClosed):
        hear(socket)
    printed = talkative.stderr
    for secret in (ADMIN, key, token, bad):
        assert secret not in printed
        assert secret.rpartition("_")[2] not in printed  # a key without its id
        assert secret.rpartition(".")[2] not in printed  # the signature of a token
    assert "token=" not in printed.replace("token=…", "")
    return id


def test_every_line_is_an_object_that_names_its_time_and_level(talkative: Server) -> None:
    answer = httpx.get(f"{talkative.url}/v1/jobs/%C3%A9%0aERROR%20forged?q=%0a")
    assert answer.status_code == 401
    for line in lines(talkative):
        assert line.keys() >= {"at", "level", "logger", "message"}
        assert line["at"].endswith("Z")
        assert line["level"] in {"debug", "info", "warning", "error"}
    [forged] = accessed(talkative, path="/v1/jobs/%C3%A9%0AERROR%20forged?q=%0a")
    assert forged["method"] == "GET"


def test_a_stream_has_its_line_when_it_begins(talkative: Server, admin: Api) -> None:
    id = admin.create()
    headers = {"x-request-id": "stream-1"}
    with admin.stream("GET", f"/v1/jobs/{id}/events", headers=headers) as stream:
        assert next(stream.iter_lines())
        [line] = accessed(talkative, request_id="stream-1")
    assert line["client"] == "127.0.0.1"
    assert (line["method"], line["path"]) == ("GET", f"/v1/jobs/{id}/events")
    assert line["status"] == 200
    assert line["seconds"] >= 0


def test_the_fast_path_is_in_the_access_log_too(talkative: Server, admin: Api) -> None:
    id = admin.create()
    admin.report(id, {"type": "start"})
    tag = admin.get(f"/v1/jobs/{id}").headers["etag"]
    assert admin.get(f"/v1/jobs/{id}", headers={"if-none-match": tag}).status_code == 304
    statuses = [line["status"] for line in accessed(talkative, path=f"/v1/jobs/{id}")]
    assert statuses == [200, 304]
    assert accessed(talkative, path=f"/v1/jobs/{id}/reports", method="POST", status=200)


def test_http2_is_in_the_access_log_too(tmp_path: Path, certificate: Certificate) -> None:
    flags = ("--host", "localhost", "--http2", "--access-log", *certificate.flags)
    with Server(tmp_path / "data", *flags) as server:
        trust = ("--cacert", str(certificate.authority))
        address = f"{server.url}/healthz?token=secret"
        subprocess.run(["curl", "-sS", "--http2", *trust, address], check=True, timeout=LONG_ENOUGH)
        assert "INFO livejobs.access: 127.0.0.1 GET /healthz 200\n" in server.stderr


def test_a_problem_and_its_line_have_the_same_id(talkative: Server, admin: Api) -> None:
    for sent, kept in (("a-1:b/c=", True), ("", False), ("a b", False), ("x" * 129, False)):
        answer = admin.get("/v1/jobs/none", headers={"x-request-id": sent})
        id = problem(answer, 404, "job_not_found")["request_id"]
        assert answer.headers["x-request-id"] == id
        assert (id == sent) == kept
        [line] = accessed(talkative, request_id=id)
        assert line["status"] == 404
    face = admin.get("/api/jobs/none", headers={"x-request-id": "face-1"})
    assert face.headers["x-request-id"] == "face-1"


def test_lines_are_counted_by_their_level(talkative: Server) -> None:
    def counted() -> int:
        text = httpx.get(f"{talkative.url}/metrics").text
        prefix = 'livejobs_log_lines_total{level="info"} '
        return int(
            float(next(it for it in text.splitlines() if it.startswith(prefix))[len(prefix) :])
        )

    assert counted() == counted() - 1  # the line of the request before


def test_without_the_setting_there_is_no_access_log_and_no_made_id(server: Server) -> None:
    with Api(server.url) as api, connect(f"{server.url.replace('http', 'ws')}/v1/ws?token=x"):
        answer = api.get("/v1/jobs/none")
        assert "request_id" not in problem(answer, 404, "job_not_found")
        assert "x-request-id" not in answer.headers
        sent = api.get("/v1/jobs/none", headers={"x-request-id": "mine"})
        assert problem(sent, 404, "job_not_found")["request_id"] == "mine"
    assert "none" not in server.stderr
    assert "token" not in server.stderr
    assert server.stderr.startswith("WARNING livejobs: Open: there are no keys")


class Broken(MemoryStore):
    async def commit(self, changes: object, on: object = None) -> list[int]:
        raise RuntimeError("A bug.")


def test_a_bug_gets_an_id_that_its_traceback_has(tmp_path: Path) -> None:
    live = LiveJobs(Settings(data=tmp_path), store=Broken())
    with TestClient(create_app(live), raise_server_exceptions=False) as browser:
        answer = browser.post("/v1/jobs", headers={"host": "localhost"})
        id = answer.json()["request_id"]
        assert answer.status_code == 500
        assert answer.headers["x-request-id"] == id
        assert SANE.fullmatch(id)
    with TestClient(create_app(live)) as browser, pytest.raises(RuntimeError) as caught:
        browser.post("/v1/jobs", headers={"x-request-id": "mine"})
    assert "This was request mine." in caught.value.__notes__


# The lines themselves


def record(message: str, *arguments: object, **extra: object) -> logging.LogRecord:
    made = logging.LogRecord("livejobs.x", logging.WARNING, "", 1, message, arguments, None)
    vars(made).update(extra)
    return made


def test_a_traceback_is_one_line_of_json() -> None:
    try:
        raise ValueError("wrong\nin two lines")
    except ValueError as error:
        note(error, "r1")
        failed = record("It failed.")
        failed.exc_info = sys.exc_info()
    text = Json(worker=2).format(failed)
    assert "\n" not in text
    line = json.loads(text)
    assert (line["worker"], line["request_id"]) == (2, "r1")
    assert line["error"].startswith("Traceback")
    assert "in two lines" in line["error"]
    assert "This was request r1." in line["error"]
    plain = Text(worker=2).format(failed)
    assert plain.startswith("WARNING livejobs.x worker 2: It failed.\nTraceback")


@given(st.text(), st.text())
def test_any_text_can_be_logged(message: str, path: str) -> None:
    half = chr(0xDC00)  # as in a file name that is not UTF-8
    line = json.loads(Json().format(record("%s", message + half, path=path + half)))
    assert line["message"].endswith("\\udc00")
    assert Text().format(record("%s", message))


@pytest.mark.parametrize(
    "text",
    [
        f"GET /v1/events?token={PASSWORD}&a=1",
        f"Authorization: Bearer {PASSWORD}",
        f"{{'authorization': 'bearer {PASSWORD}'}}".replace("bearer", "Bearer"),
        f"postgresql://me:{PASSWORD}@host/db is away",
        f"the key lj_abcdefgh_{PASSWORD} is bad",
        f"the token eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.{PASSWORD}",
    ],
)
def test_what_looks_like_a_credential_is_cut(text: str) -> None:
    assert PASSWORD not in without_secrets(text)
    assert "…" in without_secrets(text)
    assert PASSWORD not in Text().format(record("%s", text))
    assert PASSWORD not in Json().format(record("%s", text, path=text))


@pytest.mark.parametrize(
    "text", ["", "http://host:8000/v1", "a token is required", "key lj_x", "me@host: no", "a=1&b=2"]
)
def test_other_text_stays(text: str) -> None:
    assert without_secrets(text) == text


def test_unknown_levels_are_not_counted() -> None:
    counting = Lines()
    for level in (5, logging.DEBUG, logging.WARNING, logging.ERROR, logging.CRITICAL):
        made = record("x")
        made.levelno, made.levelname = level, logging.getLevelName(level)
        assert counting.filter(made)
    assert counting.counts == {("debug",): 1, ("info",): 0, ("warning",): 1, ("error",): 2}
