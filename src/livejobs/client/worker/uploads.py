"""Files of a job: uploaded over a connection of their own, so that reports go on meanwhile."""

from __future__ import annotations

import http.client
import logging
import os
import time
from base64 import b64encode
from collections.abc import Callable, Mapping
from hashlib import sha256
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO, Final

from livejobs.client.plain import encode
from livejobs.client.sending.channel import Channel
from livejobs.client.sending.exchange import AWAY, Answer
from livejobs.client.sending.pace import jittered
from livejobs.client.sending.transport import answer_of, connect, headers_of, path_of

logger: Final = logging.getLogger("livejobs.client")

PIECE: Final = 1024 * 1024
OCTETS: Final = "application/octet-stream"

Attempt = Callable[[], Answer]


def upload(
    channel: Channel,
    source: str | os.PathLike[str] | bytes,
    name: str | None,
    *,
    media_type: str | None,
    timeout: float,
) -> Mapping[str, Any] | None:
    try:
        with _opened(source) as file:
            called = name or _name_of(source)
            return _put(channel, file, called, media_type or _type_of(called), timeout)
    except (OSError, ValueError, TypeError) as error:
        _failed(channel, "upload", name or source, str(error))
        return None


def attach(
    channel: Channel, said: Mapping[str, Any], *, timeout: float
) -> Mapping[str, Any] | None:
    body = encode(said)
    path = path_of(channel.target, channel.id, "files")
    headers = headers_of(channel.target)
    what = said.get("path") or said.get("url")
    return _until(
        channel, "attach", what, lambda: _call(channel, "POST", path, body, headers), timeout
    )


def _put(
    channel: Channel, file: BinaryIO, name: str, kind: str, timeout: float
) -> Mapping[str, Any] | None:
    size, digest = _measured(file)
    path = path_of(channel.target, channel.id, "files", name)
    headers = headers_of(channel.target, kind) | {
        "content-length": str(size),
        "repr-digest": f"sha-256=:{b64encode(digest).decode()}:",
    }

    def attempt() -> Answer:
        file.seek(0)
        return _call(channel, "PUT", path, file, headers)

    return _until(channel, "upload", name, attempt, timeout)


def _until(
    channel: Channel, verb: str, what: Any, attempt: Attempt, timeout: float
) -> Mapping[str, Any] | None:
    """Try again while the server is away, or does not know the job yet."""
    end = time.monotonic() + timeout
    backoff = jittered()
    while True:
        answer = attempt() if _created(channel, end) else Answer(0, error="no answer in time")
        if 200 <= answer.status < 300:
            return answer.said
        now = time.monotonic()
        backoff.failed(now, least=answer.retry_after)
        if not (answer.status in AWAY or answer.status >= 500) or backoff.until >= end:
            _failed(channel, verb, what, answer.reason)
            return None
        time.sleep(backoff.until - now)


def _created(channel: Channel, end: float) -> bool:
    """Wait until the server knows the job: a file cannot come before it."""

    def known() -> bool:
        return channel.outbox.creation is None or channel.outbox.over

    with channel.changed:
        return channel.changed.wait_for(known, max(0.0, end - time.monotonic()))


def _call(
    channel: Channel, method: str, path: str, body: BinaryIO | bytes, headers: Mapping[str, str]
) -> Answer:
    connection = connect(channel.target)
    try:
        connection.request(method, path, body, headers)
        return answer_of(connection.getresponse())
    except (OSError, http.client.HTTPException) as error:
        return _early(connection) or Answer(0, error=f"{type(error).__name__}: {error}")
    finally:
        connection.close()


def _early(connection: http.client.HTTPConnection) -> Answer | None:
    """A server that refuses a file answers, and closes before it has read all of it."""
    try:
        return answer_of(connection.getresponse())
    except (OSError, http.client.HTTPException):
        return None


def _failed(channel: Channel, verb: str, what: Any, reason: str) -> None:
    shown = "bytes" if isinstance(what, bytes) else what
    logger.warning("Job %s: could not %s %s: %s", channel.id, verb, shown, reason)


def _opened(source: str | os.PathLike[str] | bytes) -> BinaryIO:
    return BytesIO(source) if isinstance(source, bytes) else Path(source).open("rb")


def _name_of(source: str | os.PathLike[str] | bytes) -> str:
    if isinstance(source, bytes):
        raise ValueError("bytes need a name")
    return Path(source).name


def _type_of(name: str) -> str:
    # Loaded on use: it reads the system's own tables.
    from mimetypes import guess_type  # noqa: PLC0415 - see above

    kind, coding = guess_type(name)
    return kind if kind and coding is None else OCTETS


def _measured(file: BinaryIO) -> tuple[int, bytes]:
    """Its size and digest. The server refuses it if it changes while it is sent."""
    digest = sha256()
    size = 0
    while piece := file.read(PIECE):
        digest.update(piece)
        size += len(piece)
    return size, digest.digest()
