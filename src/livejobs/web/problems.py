"""Errors as answers: application/problem+json (RFC 9457), from our code and the framework's."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any, Final

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from livejobs.core.errors import LivejobsError
from livejobs.service import LiveJobs
from livejobs.web.ids import echoed, request_id, sent_id

MEDIA_TYPE: Final = "application/problem+json"

# Our sentences for errors that the framework raises.
_FRAMEWORK: Final[dict[int, tuple[str, str]]] = {
    404: ("not_found", "There is nothing at this address."),
    405: ("method_not_allowed", "This address does not support this method. See the Allow header."),
    400: ("bad_request", "The request is malformed."),
}


def document(status: int, title: str, code: str, detail: str, **members: Any) -> dict[str, Any]:
    return {
        "type": "about:blank",
        "title": title,
        "status": status,
        "detail": detail,
        "code": code,
        **members,
    }


def of(error: LivejobsError) -> dict[str, Any]:
    members = dict(error.extra)
    if error.errors:
        members["errors"] = [{"pointer": e.pointer, "detail": e.detail} for e in error.errors]
    return document(error.status, error.title, error.code, error.detail, **members)


def answer(
    problem: dict[str, Any], headers: dict[str, str] | None = None, id: str | None = None
) -> Response:
    """`id`: of the request, if it has one."""
    named = {} if id is None else {"request_id": id}
    return Response(
        msgspec.json.encode(problem | named),
        problem["status"],
        {"cache-control": "no-store", **(headers or {}), **echoed(id)},
        MEDIA_TYPE,
    )


async def livejobs_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, LivejobsError)
    live: LiveJobs = request.app.state.live
    live.note_refusal(error)
    headers = dict(error.headers)
    if error.status == 503:
        headers.setdefault("Retry-After", "5")
    return answer(of(error), headers, sent_id(request.scope))


async def framework_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    status = error.status_code
    code, detail = _FRAMEWORK.get(status, ("http_error", str(error.detail)))
    title = HTTPStatus(status).phrase
    problem = document(status, title, code, detail)
    return answer(problem, dict(error.headers or {}), sent_id(request.scope))


UNEXPECTED: Final = "An unexpected error occurred in the server, and was logged. Try again later."


async def unexpected_error(request: Request, error: Exception) -> Response:
    """A bug. The log has the traceback; the client gets none of it."""
    id = request_id(request.scope)
    note(error, id)
    return answer(document(500, "Internal error", "internal", UNEXPECTED), id=id)


def note(error: Exception, id: str) -> None:
    """Give the id of its request to an error that a server logs, in both forms of the log."""
    vars(error)["request_id"] = id
    error.add_note(f"This was request {id}.")


async def client_left(request: Request, error: Exception) -> Response:
    """The client has gone, so nobody reads this answer, and there is nothing to log."""
    return Response(status_code=400)


async def refuse(error: LivejobsError, scope: Scope, receive: Receive, send: Send) -> None:
    """Answer before there is a request object. For a WebSocket, the handshake fails."""
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.close"})
    else:
        await answer(of(error), error.headers, sent_id(scope))(scope, receive, send)


HANDLERS: Final = {
    ClientDisconnect: client_left,
    LivejobsError: livejobs_error,
    HTTPException: framework_error,
    Exception: unexpected_error,
}
