"""How an answer is sent: as JSON, or as events where there is more to send than a result."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import version
from typing import Any, Final

from starlette.responses import Response

from livejobs.live.sse import ServerSentEvent
from livejobs.mcp import rpc
from livejobs.mcp.call import PREFIX, Form
from livejobs.mcp.rpc import RpcError
from livejobs.web.http import JSONBytes

# The HTTP statuses of errors. A legacy client reads only answers of status 200, so the errors of a
# request that was understood have it there.
STATUSES: Final[Mapping[int, int]] = {
    rpc.PARSE_ERROR: 400,
    rpc.INVALID_REQUEST: 400,
    rpc.INVALID_PARAMS: 400,
    rpc.METHOD_NOT_FOUND: 404,
    rpc.HEADER_MISMATCH: 400,
    rpc.MISSING_CAPABILITY: 400,
    rpc.UNSUPPORTED_VERSION: 400,
}
UNDERSTOOD: Final = frozenset({rpc.INVALID_PARAMS, rpc.METHOD_NOT_FOUND})
NO_STORE: Final = {"cache-control": "no-store"}
SERVER: Final = {"name": "livejobs", "title": "livejobs", "version": version("livejobs")}


def result(form: Form, value: Mapping[str, Any]) -> bytes:
    """The result of a call as a message, as its client reads it."""
    if form.modern:
        meta = {f"{PREFIX}serverInfo": SERVER, **value.get("_meta", {})}
        value = {"resultType": "complete", **value, "_meta": meta}
    return rpc.result(form.id, value)


def json(form: Form, value: Mapping[str, Any]) -> Response:
    return JSONBytes(result(form, value), 200, NO_STORE)


def refused(error: RpcError, id: bytes, *, legacy: bool = False) -> Response:
    status = 200 if legacy and error.code in UNDERSTOOD else STATUSES.get(error.code, 200)
    return JSONBytes(error.document(id), status, NO_STORE)


def line(message: bytes) -> bytes:
    """The same for a message that is one line, at a third of the cost."""
    return b"event: message\ndata: %b\n\n" % message


def event(message: bytes) -> bytes:
    """A message in a stream of events."""
    return ServerSentEvent(message.decode(), event="message", sep="\n").encode()
