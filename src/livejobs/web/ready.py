"""Answers that are made as bytes once and sent many times."""

from __future__ import annotations

from typing import NamedTuple, TypeAlias

from msgspec import Struct
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from livejobs.web import http
from livejobs.web.tags import names, quote, tags

Headers: TypeAlias = tuple[tuple[bytes, bytes], ...]


class Answer(Struct, frozen=True):
    status: int
    headers: Headers
    head: bytes  # the headers as they are sent over HTTP/1.1, with the empty line
    body: bytes

    def with_header(self, name: bytes, value: bytes) -> Answer:
        return answer_of(self.status, (*self.headers, (name, value)), self.body)


def answer_of(status: int, headers: Headers, body: bytes = b"") -> Answer:
    lines = [b"%b: %b\r\n" % header for header in headers]
    return Answer(status, headers, b"".join([*lines, b"\r\n"]), body)


def answer_of_json(body: bytes, *more: tuple[bytes, bytes], media_type: str = http.JSON) -> Answer:
    kind, length = media_type.encode(), b"%d" % len(body)
    headers = (*more, (b"content-type", kind), (b"content-length", length))
    return answer_of(200, headers, body)


async def give(answer: Answer, scope: Scope, send: Send) -> None:
    powers = scope["app"].powers
    if not powers.answer_at_once(send, answer.status, answer.head, answer.body):
        headers = list(answer.headers)  # a layer in between may add to them
        await send({"type": "http.response.start", "status": answer.status, "headers": headers})
        await send({"type": "http.response.body", "body": answer.body})


class Given(Response):
    """An answer as a handler returns it."""

    def __init__(self, answer: Answer) -> None:
        self.status_code = answer.status  # for layers that read it
        self.background = None
        self._answer = answer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await give(self._answer, scope, send)


class Ready(NamedTuple):
    """Both answers to a poll of one state."""

    tag: bytes  # identifies the state
    cursor: bytes  # the same, for clients that ignore a queued job's place
    whole: Answer
    not_modified: Answer

    @property
    def size(self) -> int:
        return len(self.whole.body)

    def to(self, scope: Scope) -> Answer:
        """The answer to this request, by its If-None-Match."""
        known = http.once(_known, scope)
        same = known is not None and names(known, self.tag, self.cursor)
        return self.not_modified if same else self.whole


def _known(scope: Scope) -> list[bytes] | None:
    return tags(scope["headers"], b"if-none-match")


def ready(body: bytes, tag: str, *more: tuple[bytes, bytes], media_type: str = http.JSON) -> Ready:
    """`tag` is the one of a slot, or only its cursor."""
    quoted, cursor = quote(tag), quote(tag.partition("+")[0])
    headers = (
        (b"cache-control", b"private, no-cache"),
        (b"vary", http.VARY.encode()),
        (b"etag", b"W/" + quoted),
        *more,
    )
    whole = answer_of_json(body, *headers, media_type=media_type)
    return Ready(quoted, cursor, whole, answer_of(304, headers))
