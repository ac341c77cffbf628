"""A poll's answer as bytes, made once for each state of a job: no request, no response, no
encoding."""

from __future__ import annotations

from typing import Any, NamedTuple

from livejobs.web import http

Message = dict[str, Any]
Headers = list[tuple[bytes, bytes]]


class Ready(NamedTuple):
    tag: bytes  # what tells it from others
    whole: tuple[Message, Message]
    not_modified: tuple[Message, Message]

    @property
    def size(self) -> int:
        return len(self.whole[1]["body"])


def ready(body: bytes, cursor: object, *more: tuple[bytes, bytes]) -> Ready:
    tag = f'W/"{cursor}"'.encode()
    headers: Headers = [
        (b"cache-control", b"private, no-cache"),
        (b"vary", http.VARY.encode()),
        (b"etag", tag),
        *more,
    ]
    bodied: Headers = [
        *headers,
        (b"content-type", b"application/json"),
        (b"content-length", b"%d" % len(body)),
    ]
    return Ready(
        tag,
        (_start(200, bodied), {"type": "http.response.body", "body": body}),
        (_start(304, headers), {"type": "http.response.body", "body": b""}),
    )


def _start(status: int, headers: Headers) -> Message:
    return {"type": "http.response.start", "status": status, "headers": headers}
