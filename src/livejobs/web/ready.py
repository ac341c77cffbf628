"""Answers that are bytes already: of a poll made once for each state of a job, and given with no
request, no response and no encoding."""

from __future__ import annotations

from typing import NamedTuple, TypeAlias

from starlette.types import Scope, Send

from livejobs.web import http

Headers: TypeAlias = tuple[tuple[bytes, bytes], ...]


class Answer(NamedTuple):
    status: int
    headers: Headers
    head: bytes  # the headers as they stand on the wire, with the empty line
    body: bytes


def answer_of(status: int, headers: Headers, body: bytes = b"") -> Answer:
    lines = [b"%b: %b\r\n" % header for header in headers]
    return Answer(status, headers, b"".join([*lines, b"\r\n"]), body)


def answer_of_json(body: bytes, *more: tuple[bytes, bytes]) -> Answer:
    length = b"%d" % len(body)
    headers = (*more, (b"content-type", b"application/json"), (b"content-length", length))
    return answer_of(200, headers, body)


async def give(answer: Answer, scope: Scope, send: Send) -> None:
    powers = scope["app"].powers
    if not powers.answer_at_once(send, answer.status, answer.head, answer.body):
        headers = list(answer.headers)  # a layer in between may add to them
        await send({"type": "http.response.start", "status": answer.status, "headers": headers})
        await send({"type": "http.response.body", "body": answer.body})


class Ready(NamedTuple):
    """What a poll of one state is answered."""

    tag: bytes  # what tells it from others, quoted
    cursor: bytes  # the same, but for who does not mind a queued job's place
    whole: Answer
    not_modified: Answer

    @property
    def size(self) -> int:
        return len(self.whole.body)

    def to(self, known: bytes | None) -> Answer:
        """For who sent this If-None-Match, which compares weakly."""
        if known is None:
            return self.whole
        same = self.tag in known or self.cursor in known or known.strip() == b"*"
        return self.not_modified if same else self.whole


def ready(body: bytes, tag: str, *more: tuple[bytes, bytes]) -> Ready:
    """The tag is a slot's, or the bare cursor."""
    quoted, cursor = f'"{tag}"'.encode(), f'"{tag.partition("+")[0]}"'.encode()
    headers = (
        (b"cache-control", b"private, no-cache"),
        (b"vary", http.VARY.encode()),
        (b"etag", b"W/" + quoted),
        *more,
    )
    return Ready(quoted, cursor, answer_of_json(body, *headers), answer_of(304, headers))
