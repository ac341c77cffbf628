"""One keep-alive connection to the server: a request and its answer, or why there is none."""

from __future__ import annotations

import http.client
import json
import os
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Final
from urllib.parse import quote, urlsplit

# Loaded by the first connection otherwise, in the reporter's thread: a fork at that moment would
# leave its import lock held in the child.
import encodings.idna  # noqa: F401 - isort: skip
from livejobs.client.sending.exchange import Answer, Request
from livejobs.client.settings import Target

CONNECT: Final = 5.0  # seconds
PATIENCE: Final = 30.0  # seconds for an answer: a disk may be slow
LONGEST: Final = 300.0  # seconds of a Retry-After that are respected
JSON: Final = "application/json"


def connect(target: Target, patience: float = PATIENCE) -> http.client.HTTPConnection:
    """Opened by its first request."""
    parts = urlsplit(target.url)
    host = parts.hostname or ""
    if parts.scheme == "https":
        return _Secure(host, parts.port, timeout=patience)
    return _Plain(host, parts.port, timeout=patience)


class _Plain(http.client.HTTPConnection):
    def connect(self) -> None:
        patience, self.timeout = self.timeout, CONNECT
        super().connect()
        self.timeout = patience
        self.sock.settimeout(patience)


class _Secure(http.client.HTTPSConnection):
    def connect(self) -> None:
        patience, self.timeout = self.timeout, CONNECT
        super().connect()
        self.timeout = patience
        self.sock.settimeout(patience)


def path_of(target: Target, job: str, *more: str) -> str:
    parts = ("v1", "jobs", job, *more)
    return urlsplit(target.url).path + "".join("/" + quote(part, safe="") for part in parts)


def headers_of(target: Target, kind: str = JSON) -> dict[str, str]:
    headers = {"content-type": kind, "accept": JSON, "user-agent": "livejobs-python"}
    if target.key:
        headers["authorization"] = f"Bearer {target.key}"
    return headers


class Transport:
    """Used by one thread."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._headers = headers_of(target)
        self._connection = connect(target)

    def send(self, job: str, request: Request, trace: str | None = None) -> Answer:
        """`trace`: the span of the worker that this belongs to."""
        if request.kind == "create":
            return self.call("PUT", path_of(self._target, job), request.body, trace)
        return self.call("POST", path_of(self._target, job, "reports"), request.body, trace)

    def call(self, method: str, path: str, body: bytes, trace: str | None = None) -> Answer:
        """What is sent may be sent twice: reports are numbered, and creating is idempotent."""
        reused = self._connection.sock is not None
        try:
            try:
                return self._once(method, path, body, trace)
            except ConnectionError:  # as by a server that closed it while nothing was sent
                if not reused:
                    raise
                self.close()
                return self._once(method, path, body, trace)
        except (OSError, http.client.HTTPException, ValueError) as error:
            self.close()
            return Answer(0, error=f"{type(error).__name__}: {error}".rstrip(": "))

    def _once(self, method: str, path: str, body: bytes, trace: str | None) -> Answer:
        headers = self._headers if trace is None else {**self._headers, "traceparent": trace}
        self._connection.request(method, path, body, headers)
        return answer_of(self._connection.getresponse())

    def close(self) -> None:
        self._connection.close()

    def abandon(self) -> None:
        """In a child made by fork: close the child's copy of the socket. The buffers around it are
        never closed, since the parent's thread may have held their locks."""
        if self._connection.sock is not None:
            with suppress(OSError):
                os.close(self._connection.sock.detach())
        _abandoned.append(self._connection)


_abandoned: Final[list[http.client.HTTPConnection]] = []  # one for each fork on the way here


def answer_of(response: http.client.HTTPResponse) -> Answer:
    body = response.read()
    return Answer(response.status, _object(body), _seconds(response.getheader("retry-after")))


def _object(body: bytes) -> Mapping[str, Any]:
    """The JSON object of the body. A proxy's page of HTML is an empty one."""
    try:
        said = json.loads(body)
    except ValueError:
        return {}
    return said if isinstance(said, dict) else {}


def _seconds(said: str | None) -> float | None:
    return min(float(said), LONGEST) if said and said.isdecimal() else None
