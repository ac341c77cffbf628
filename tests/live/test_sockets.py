"""Sockets that close early, and messages that are not valid, at a real server."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from tests.support.api import Api, hear
from tests.support.server import Server

KEY = "secret-of-the-admin"
CROWD = 100


@pytest.fixture
def closed(tmp_path: Path) -> Iterator[Server]:
    """A server with access control."""
    with Server(tmp_path / "data", env={"LIVEJOBS_ADMIN_KEY": KEY}) as server:
        yield server


@pytest.fixture
def admin(closed: Server) -> Iterator[Api]:
    with Api(closed.url) as api:
        api.headers["authorization"] = f"Bearer {KEY}"
        yield api


def address(server: Server, path: str = "/v1/ws") -> str:
    return server.url.replace("http", "ws", 1) + path


def numbers(api: Api) -> dict[str, int]:
    """The gauges of /metrics, by name."""
    lines = [line for line in api.get("/metrics").text.splitlines() if line[0] != "#"]
    return {name: int(float(value)) for name, value in (line.rsplit(" ", 1) for line in lines)}


def until(api: Api, name: str, expected: int) -> None:
    while numbers(api)[name] != expected:
        api.get("/healthz")


@pytest.mark.parametrize("path", ["/v1/ws", "/v1/jobs/j"])
def test_a_socket_closed_before_it_is_authenticated_leaves_nothing_behind(
    closed: Server, admin: Api, path: str
) -> None:
    admin.put("/v1/jobs/j")
    for _ in range(2):
        with ExitStack() as stack:
            for _ in range(CROWD):
                stack.enter_context(connect(address(closed, path)))
            here = numbers(admin)
            assert here["livejobs_connections"] == CROWD + 1
            assert here['livejobs_viewers{kind="socket"}'] == 0
        until(admin, "livejobs_connections", 1)
    closed.signal(signal.SIGTERM)
    assert closed.wait() == 0
    assert "Traceback" not in closed.stderr
    assert "did not end" not in closed.stderr


def test_a_stop_does_not_wait_for_sockets_without_a_credential(closed: Server, admin: Api) -> None:
    with connect(address(closed)) as silent:
        closed.signal(signal.SIGTERM)
        assert closed.wait() == 0
        with pytest.raises(ConnectionClosed) as closing:
            silent.recv()
        assert closing.value.rcvd is not None
        assert closing.value.rcvd.code in (1001, 1012)
    assert "Traceback" not in closed.stderr


def test_a_socket_counts_as_a_viewer_once_it_is_authenticated(closed: Server, admin: Api) -> None:
    admin.put("/v1/jobs/j")
    with connect(address(closed)) as socket:
        send(socket, op="auth", id=1, token=KEY)
        assert hear(socket) == {"op": "ack", "id": 1}
        until(admin, 'livejobs_viewers{kind="socket"}', 1)
        send(socket, op="subscribe", id=2, job="j")
        assert [hear(socket)["op"] for _ in range(2)] == ["ack", "snapshot"]
    until(admin, 'livejobs_viewers{kind="socket"}', 0)


def send(socket: ClientConnection, **message: Any) -> None:
    socket.send(json.dumps(message))


@pytest.mark.parametrize(
    "wrong",
    [
        {"op": "subscribe", "job": "j", "view": "sideways"},
        {"op": "subscribe", "job": "j", "rate": 1e9},
        {"op": "subscribe", "job": ["j"]},
        {"op": "subscribe", "job": "j", "colour": "red"},
        {"op": "sing"},
        {"job": "j"},
    ],
)
@pytest.mark.parametrize("id", [7, "seven"])
def test_an_error_names_the_message_that_it_answers(
    shared: Server, id: int | str, wrong: dict[str, Any]
) -> None:
    with connect(address(shared)) as socket:
        send(socket, id=id, **wrong)
        error = hear(socket)
        assert (error["op"], error["id"], error["code"]) == ("error", id, "bad_message")


@pytest.mark.parametrize("id", [[7], 1.5, "x" * 101])
def test_an_error_has_no_id_if_that_of_the_message_is_not_valid(shared: Server, id: Any) -> None:
    with connect(address(shared)) as socket:
        send(socket, op="ping", id=id)
        error = hear(socket)
        assert (error["id"], error["code"]) == (None, "bad_message")
