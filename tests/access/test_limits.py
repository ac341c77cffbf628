"""Every limit that can be set: the response past it, and the count of refusals."""

from __future__ import annotations

import json
from collections.abc import Callable
from math import ceil
from pathlib import Path
from typing import Any, NamedTuple

import httpx2 as httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from livejobs.access.limits import Limiter, Rate
from livejobs.config import TABLE
from tests.support.api import Api, hear, problem
from tests.support.server import Server
from tests.web.test_metrics import numbers

DOCS = Path(__file__).parents[2] / "docs" / "access.md"


class Limit(NamedTuple):
    setting: str
    value: str
    code: str
    status: int
    past: Callable[[Api], httpx.Response]  # the response past the limit


def create_twice(api: Api) -> httpx.Response:
    api.create()
    return api.post("/v1/jobs")


def report(*reports: Any) -> Callable[[Api], httpx.Response]:
    return lambda api: api.post(f"/v1/jobs/{api.create()}/reports", json=reports)


def until_refused(method: str) -> Callable[[Api], httpx.Response]:
    def ask(api: Api) -> httpx.Response:
        while (answer := api.request(method, "/v1/jobs")).is_success:
            pass
        return answer

    return ask


def upload(size: int) -> Callable[[Api], httpx.Response]:
    return lambda api: api.put(f"/v1/jobs/{api.create()}/files/f", content=bytes(size))


def stream_twice(api: Api) -> httpx.Response:
    with api.stream("GET", "/v1/events"), api.stream("GET", "/v1/events") as second:
        assert second.status_code != 200  # a 200 would not end
        second.read()
        return second


def connect_twice(api: Api) -> httpx.Response:
    api.get("/healthz")  # and keeps the connection
    return httpx.get(api.url + "/healthz")


rates = st.builds(Rate, st.integers(1, 1000), st.sampled_from([1.0, 60.0, 3600.0]))
pauses = st.lists(st.floats(0, 100), min_size=1, max_size=50)


@given(rates, pauses, st.floats(0, 1e7))
def test_a_rate_allows_its_calls_and_its_retry_after_is_enough(
    rate: Rate, pauses: list[float], now: float
) -> None:
    limiter, begin, taken = Limiter(rate), now, 0
    for pause in pauses:
        now += pause
        while (retry_after := limiter.take("me", now)) == 0:
            taken += 1
        assert taken <= rate.calls + (now - begin) * rate.calls / rate.seconds + 0.01
        now += retry_after
        assert limiter.take("me", now) == 0
        taken += 1
    assert limiter.take("another", now) == 0


@given(rates, st.floats(0, 1e7))
def test_all_calls_of_a_rate_may_come_at_once(rate: Rate, now: float) -> None:
    limiter = Limiter(rate)
    assert [limiter.take("me", now) for _ in range(rate.calls)] == [0] * rate.calls
    # Rounding may make a whole number of seconds a little longer, and so a second more.
    assert 0 < limiter.take("me", now) <= ceil(rate.seconds / rate.calls + 0.001)
    assert limiter.refused == 1


LINE = {"type": "log", "message": "x" * 2000}
LIMITS = [
    Limit("max_queued", "1", "queue_full", 429, create_twice),
    Limit("max_unfinished", "1", "too_many_unfinished", 429, create_twice),
    Limit("rate_read", "2/s", "rate_limited", 429, until_refused("GET")),
    Limit("rate_report", "2/s", "rate_limited", 429, until_refused("POST")),
    Limit("max_body_bytes", "1000", "body_too_large", 413, report(LINE)),
    Limit("max_batch", "2", "batch_too_large", 413, report(*[{"type": "start"}] * 3)),
    Limit("max_line_bytes", "1000", "line_too_long", 422, report(LINE)),
    Limit("max_head_bytes", "2000", "head_too_large", 422,
          report({"type": "meta", "set": {"x": "y" * 2000}})),
    Limit("max_file_bytes", "1000", "file_too_large", 413, upload(1001)),
    Limit("max_project_bytes", "1000", "files_full", 413, upload(1001)),
    Limit("max_connections_per_key", "1", "too_many_connections", 429, stream_twice),
    Limit("max_connections", "1", "too_many_connections", 503, connect_twice),
    Limit("max_connections_per_address", "1", "too_many_from_address", 503, connect_twice),
]  # fmt: skip
ON_SOCKETS = {"max_subscriptions"}


@pytest.mark.parametrize("limit", LIMITS, ids=lambda limit: limit.setting)
def test_a_request_past_a_limit_gets_a_clear_answer_and_is_counted(
    tmp_path: Path, limit: Limit
) -> None:
    flag = f"--{limit.setting.replace('_', '-')}"
    # Public, so that the rate just exceeded does not refuse this request.
    with (
        Server(tmp_path / "data", flag, limit.value, "--metrics-public") as server,
        Api(server.url) as api,
    ):
        assert refusals(api) == {}
        error = problem(limit.past(api), limit.status, limit.code)
        assert error["detail"].endswith(".")
        assert refusals(api) == {limit.setting: 1}


def refusals(api: Api) -> dict[str, float]:
    told = numbers(api)
    assert {label for name, label in told if name == "livejobs_refused_total"} == settings()
    return {
        label: times for (name, label), times in told.items()
        if name == "livejobs_refused_total" and times
    }  # fmt: skip


def settings() -> set[str]:
    return {it.name for it in TABLE if it.name.startswith(("max_", "rate_"))}


def test_every_limit_is_tested_and_its_answer_is_documented() -> None:
    assert {limit.setting for limit in LIMITS} | ON_SOCKETS == settings()
    page = DOCS.read_text()
    assert [limit.code for limit in LIMITS if f"`{limit.code}`" not in page] == []
    assert [name for name in settings() if f"`{name}`" not in page] == []


# On sockets, where there is no status


def socket(api: Api) -> ClientConnection:
    return connect(api.url.replace("http", "ws") + "/v1/ws")


def say(ws: ClientConnection, **message: Any) -> Any:
    ws.send(json.dumps(message))
    while (heard := hear(ws)).get("id") != message["id"]:
        pass
    return heard


def ended(ws: ClientConnection) -> tuple[int, str]:
    with pytest.raises(ConnectionClosed) as closed:
        list(ws)
    assert closed.value.rcvd is not None
    return closed.value.rcvd.code, closed.value.rcvd.reason


def test_a_socket_past_a_limit_gets_an_error_and_is_counted(tmp_path: Path) -> None:
    bounds = {"subscriptions": 1, "batch": 2, "body-bytes": 5000, "unfinished": 1}
    flags = [word for name, most in bounds.items() for word in (f"--max-{name}", str(most))]
    with Server(tmp_path / "data", *flags) as server, Api(server.url) as api:
        job = api.create()
        with socket(api) as ws:
            assert say(ws, op="subscribe", id=1, job=job)["op"] == "ack"
            assert say(ws, op="subscribe", id=2, job=job)["code"] == "too_many_subscriptions"
            many = [{"type": "heartbeat"}] * 3
            assert say(ws, op="report", id=3, job=job, reports=many)["code"] == "batch_too_large"
            ws.send("x" * 5001)  # past the bound, and so far that the frame itself is refused
            assert ended(ws) == (4400, "A message takes at most 5000 bytes.")
        with socket(api) as ws:
            ws.send("x" * 10_001)
            assert ended(ws)[0] == 1009
        told = {"max_subscriptions": 1, "max_batch": 1, "max_body_bytes": 2}
        assert refusals(api) == told


def test_a_socket_past_the_limit_of_its_credential_learns_why(tmp_path: Path) -> None:
    with (
        Server(tmp_path / "data", "--max-connections-per-key", "1") as server,
        Api(server.url) as api,
    ):
        with socket(api) as first, socket(api) as second:
            assert hear(second)["code"] == "too_many_connections"
            code, reason = ended(second)
            assert (code, reason[:15]) == (4429, "This credential")
            assert say(first, op="ping", id=1)["op"] == "pong"
        assert refusals(api) == {"max_connections_per_key": 1}
