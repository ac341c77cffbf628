"""A server with access control: its first admin key, and callers with keys and tokens."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx2 as httpx
import jwt
from websockets.sync.client import ClientConnection, connect

from tests.support.server import Server

ADMIN = "the-first-admin-key"
KEYED = {"LIVEJOBS_ADMIN_KEY": ADMIN}
Client = httpx.Client
EVENTS = {"accept": "text/event-stream"}
TEXT = {"accept": "text/plain"}


def client(server: Server, key: str | None = ADMIN, **headers: str) -> Client:
    own = {"authorization": f"Bearer {key}"} if key else {}
    return Client(base_url=server.url, headers=own | headers, timeout=30)


def make_key(admin: Client, name: str, scope: str = "report", **more: Any) -> dict[str, Any]:
    made: dict[str, Any] = admin.post(
        "/v1/keys", json={"name": name, "scopes": [scope], **more}
    ).json()
    return made


def make_token(asker: Client, **asked: Any) -> str:
    return str(asker.post("/v1/tokens", json=asked).json()["token"])


def events(answer: httpx.Response) -> Iterator[dict[str, str]]:
    event: dict[str, str] = {}
    for line in answer.iter_lines():
        if line:
            name, _, value = line.partition(": ")
            event[name] = value
        elif event:
            yield event
            event = {}


def claims(token: str) -> Any:
    return jwt.decode(token, options={"verify_signature": False})


def socket(server: Server, key: str | None, **headers: str) -> ClientConnection:
    own = {"authorization": f"Bearer {key}"} if key else {}
    return connect(server.url.replace("http", "ws") + "/v1/ws", additional_headers=own | headers)
