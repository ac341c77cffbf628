"""The access log: a line for each answer, when it begins. So a stream has its line at its start.

uvicorn's own line has neither the time nor the request's id, and can't be read as JSON.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from typing import Any, Final
from urllib.parse import quote

from livejobs import clock
from livejobs.web.ids import request_id

log: Final = logging.getLogger("livejobs.access")

_ODD: Final = re.compile(r"[^!-~]")


class AccessLine:
    """uvicorn's access logger, for one request."""

    __slots__ = ("_began", "_id", "_scope")

    def __init__(self, scope: Any) -> None:
        self._scope = scope
        self._id = request_id(scope)  # at once: the app may copy the scope, and answer with the id
        self._began = clock.monotonic()

    def info(self, _format: str, *arguments: Any) -> None:
        """Called by uvicorn, with the status as the last argument."""
        scope = self._scope
        seconds = round(clock.monotonic() - self._began, 6)
        more = {"seconds": seconds, "request_id": self._id}
        write(_client(scope), scope["method"], path_of(scope), arguments[-1], **more)


def write(client: str, method: str, path: str, status: int, **more: Any) -> None:
    extra = {"client": client, "method": method, "path": path, "status": status, **more}
    log.info("%s %s %s %s", client, method, path, status, extra=extra)


def path_of(scope: Any) -> str:
    query = scope["query_string"].decode("latin-1")
    path = quote(scope["path"])
    return _ODD.sub(lambda odd: quote(odd[0]), f"{path}?{query}" if query else path)


def _client(scope: Any) -> str:
    client: Sequence[Any] | None = scope.get("client")
    return str(client[0]) if client else "-"


class Handshakes(logging.Filter):
    """uvicorn logs the handshake of a WebSocket as information about an error, with its whole
    address. Here it is a line of the access log, or of none."""

    def __init__(self, level: int, *, shown: bool) -> None:
        super().__init__()
        self._level = level
        self._shown = shown

    def filter(self, record: logging.LogRecord) -> bool:
        if '"WebSocket' not in str(record.msg):
            return record.levelno >= self._level
        if self._shown and isinstance(record.args, tuple):
            self._write(record.args, accepted="accepted" in record.msg)
        return False

    @staticmethod
    def _write(arguments: Sequence[Any], *, accepted: bool) -> None:
        address, path, *status = arguments
        client = str(address).rpartition(":")[0]
        write(client or "-", "GET", str(path), status[0] if status else 101 if accepted else 403)
