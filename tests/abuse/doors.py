"""Requests to the doors of open protocols, written by hand."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from typing import Any, Final, NamedTuple

from tests.abuse.crowd import dial
from tests.support.agent import LEGACY

SECONDS: Final = 50  # that a wait lasts if nothing ends it
AIP: Final = "/operations/v1/projects/default/operations"


class Ask(NamedTuple):
    method: str
    path: str
    body: bytes = b""
    type: str = "application/json"
    accept: str = "application/json, text/event-stream"

    def head(self, length: int | None = None) -> bytes:
        lines = [
            f"{self.method} {self.path} HTTP/1.1", "host: 127.0.0.1", "a2a-version: 1.0",
            f"mcp-protocol-version: {LEGACY}", f"accept: {self.accept}",
            f"content-type: {self.type}",
            f"content-length: {len(self.body) if length is None else length}",
        ]  # fmt: skip
        return "\r\n".join([*lines, "", ""]).encode("latin-1")

    def send(self, port: int, *, narrow: bool = False) -> socket.socket:
        sock = dial(port, narrow=narrow)
        sock.sendall(self.head() + self.body)
        return sock


def mcp(method: str, **params: Any) -> bytes:
    message = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
    return json.dumps(message).encode()


def waiting(job: str, **more: Any) -> bytes:
    arguments = {"id": job, "timeout_seconds": SECONDS}
    return mcp("tools/call", name="wait_for_job", arguments=arguments, **more)


def message(**more: Any) -> bytes:
    said = {"messageId": "m", "role": "ROLE_USER", "parts": [{"text": "yes"}], **more}
    return json.dumps({"message": said}).encode()


def streams(job: str) -> dict[str, Ask]:
    """Those that begin at once and last."""
    return {
        "mcp": Ask("POST", "/mcp", waiting(job, _meta={"progressToken": 1})),
        "a2a": Ask("GET", f"/a2a/tasks/{job}:subscribe"),
        "logs": Ask("GET", f"/streams/{job}/logs?offset=-1&live=sse"),
        "results": Ask("GET", f"/streams/{job}/results?offset=-1&live=sse"),
    }


def waits(job: str) -> dict[str, Ask]:
    """Those whose answer comes late."""
    return {
        "mcp": Ask("POST", "/mcp", waiting(job), accept="application/json"),
        "operations": Ask("POST", f"{AIP}/{job}:wait", b'{"timeout": "%ds"}' % SECONDS),
        "a2a": Ask("POST", "/a2a/message:send", message(messageId=job)),
        "streams": Ask("GET", f"/streams/{job}/logs?offset=now&live=long-poll"),
    }


# What hostile clients send

DEEP: Final = 100_000 * b"[" + 100_000 * b"]"
BODIES: Final = {
    "nothing": b"",
    "no JSON": b"\x00\xff{",
    "a list": b"[]",
    "a batch": b"[" + mcp("ping") + b"]",
    "null": b"null",
    "a number": b"1e999",
    "not a number": b'{"timeout": NaN, "message": Infinity}',
    "deep": DEEP,
    "deep inside": b'{"message": ' + DEEP + b', "params": ' + DEEP + b"}",
    "half a character": b'{"message": {"messageId": "\\ud800", "role": "ROLE_USER", "parts": []}}',
    "long": b'{"timeout": "' + 900_000 * b"9" + b's"}',
    "a long number": b'{"jsonrpc": "2.0", "id": ' + 5_000 * b"9" + b', "method": "ping"}',
    "names": b"{" + b",".join(b'"%d": 1' % n for n in range(60_000)) + b"}",
    "too much": 1_100_000 * b" ",
}
TYPES: Final = (
    "application/json", "application/a2a+json", "text/plain", "multipart/form-data; boundary=x",
    "application/json; charset=utf-16", "application/x-www-form-urlencoded", "", "é",
)  # fmt: skip
IDS: Final = (
    "a%2Fb", "%2e%2e%2f%2e%2e", "..%5c..", "%00", "%ff%fe", "%C3%BC", "%F0%9F%9A%80",
    "%ED%A0%80", "%3Acancel", "a%3Acancel", ":cancel", ":", "%20", "%0d%0aset-cookie:%20x", "*",
    "%25", "%2525", "x" * 5_000, "a;b=c", "~", "{id}", "-1", "livejob%3A%2F%2Fj",
)  # fmt: skip
QUERIES: Final = (
    "pageSize=-1&limit=-1&offset=-1", "pageSize=99999999999999999999&limit=1e9", "pageToken=%00",
    "filter=((((((((", "filter=" + "a%3D1%20AND%20" * 500 + "a%3D1", "datetime=../..",
    "datetime=9999-99-99T99:99:99Z", "status=%ff", "minDuration=NaN&maxDuration=-inf",
    "statusTimestampAfter=0000-00-00", "live=sse&offset=%00", "offset=" + "9" * 5_000, "token=x",
    "contextId=%2e%2e&project=%2e%2e&type=%00", "&&&===", "a2a-version=9.9&A2A-Version=1.0",
)  # fmt: skip


def hostile(job: str, over: str) -> Iterator[Ask]:
    """`over`: a job that has ended, for which nobody waits."""
    posts = ("/mcp", "/a2a/message:send", "/a2a/message:stream", f"/a2a/tasks/{job}:cancel",
             f"/a2a/tasks/{job}/pushNotificationConfigs", f"{AIP}/{over}:wait")  # fmt: skip
    for path in posts:
        yield from (Ask("POST", path, body) for body in BODIES.values())
        yield from (Ask("POST", path, b"{}", type) for type in TYPES)
    for id in IDS:
        yield from of_id(id)
    gets = ("/a2a/tasks", AIP, "/ogc/jobs", f"/streams/{job}/logs", f"/ogc/jobs/{job}",
            f"/a2a/tasks/{job}", "/.well-known/agent-card.json")  # fmt: skip
    for path in gets:
        yield from (Ask("GET", f"{path}?{query}") for query in QUERIES)


OF_ID: Final = (
    "/a2a/tasks/{}", "/a2a/tasks/{}:subscribe", "/a2a/tasks/{}/pushNotificationConfigs/{}",
    AIP + "/{}", "/operations/v1/projects/{}/operations", "/ogc/jobs/{}", "/ogc/jobs/{}/results",
    "/streams/{}/logs",
)  # fmt: skip


def of_id(id: str) -> Iterator[Ask]:
    for path in OF_ID:
        yield Ask("GET", path.replace("{}", id))
    for path in (f"/a2a/tasks/{id}:cancel", f"{AIP}/{id}:cancel", f"{AIP}/{id}:wait"):
        yield Ask("POST", path)
    yield Ask("DELETE", f"/ogc/jobs/{id}")
    yield Ask("DELETE", f"{AIP}/{id}")
    for name in ("get_job", "get_logs", "cancel_job", "wait_for_job"):
        yield Ask("POST", "/mcp", mcp("tools/call", name=name, arguments={"id": id}))
    yield Ask("POST", "/mcp", mcp("resources/read", uri=f"livejob://{id}"))
