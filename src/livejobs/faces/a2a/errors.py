"""Errors as A2A words them. What a client can correct is 400, whatever is wrong with it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from starlette.types import Scope

from livejobs.core.errors import LivejobsError
from livejobs.faces.base import Way
from livejobs.web.http import header

DOMAIN: Final = "a2a-protocol.org"
INFO: Final = "type.googleapis.com/google.rpc.ErrorInfo"
BAD_REQUEST: Final = "type.googleapis.com/google.rpc.BadRequest"
VERSION: Final = "1.0"

STATUSES: Final[Mapping[int, int]] = {409: 400, 415: 400, 422: 400}
# By HTTP status, the words of google.rpc.Code.
CODES: Final[Mapping[int, str]] = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    405: "UNIMPLEMENTED",
    409: "FAILED_PRECONDITION",
    413: "INVALID_ARGUMENT",
    415: "INVALID_ARGUMENT",
    421: "INVALID_ARGUMENT",
    422: "INVALID_ARGUMENT",
    429: "RESOURCE_EXHAUSTED",
    500: "INTERNAL",
    503: "UNAVAILABLE",
}
# The protocol's reasons, by our codes. Another error has its code, in capitals, as its reason.
REASONS: Final[Mapping[str, str]] = {
    "job_not_found": "TASK_NOT_FOUND",
    "webhook_not_found": "TASK_NOT_FOUND",
    "not_found": "METHOD_NOT_FOUND",
    "method_not_allowed": "METHOD_NOT_FOUND",
    "job_finished": "UNSUPPORTED_OPERATION",
    "not_waiting": "UNSUPPORTED_OPERATION",
    "unsupported_media_type": "CONTENT_TYPE_NOT_SUPPORTED",
    "invalid": "INVALID_PARAMS",
    "bad_cursor": "INVALID_PARAMS",
    "bad_json": "INVALID_REQUEST",
    "internal": "INTERNAL_ERROR",
}


class NotCancelable(LivejobsError):
    status, title, default_code = 409, "Not cancelable", "task_not_cancelable"


class Unsupported(LivejobsError):
    status, title, default_code = 409, "Unsupported", "unsupported_operation"


class VersionNotSupported(LivejobsError):
    status, title, default_code = 409, "Version not supported", "version_not_supported"


def refusal(error: LivejobsError, id: str) -> dict[str, Any]:
    reason = REASONS.get(error.code, error.code.upper())
    details: list[dict[str, Any]] = [
        {"@type": INFO, "reason": reason, "domain": DOMAIN, "metadata": {"code": error.code}}
    ]
    if error.errors:
        wrong = [{"field": it.pointer, "description": it.detail} for it in error.errors]
        details.append({"@type": BAD_REQUEST, "fieldViolations": wrong})
    return {
        "error": {
            "code": STATUSES.get(error.status, error.status),
            "status": CODES.get(error.status, "UNKNOWN"),
            "message": error.detail,
            "details": details,
        }
    }


def check_version(scope: Scope, way: Way) -> None:
    """A request without a version is of 0.3. The last part of a version makes no difference."""
    if way.public is not None:  # the card, which tells the version
        return
    asked = header(scope, b"a2a-version") or _in_query(scope)
    if asked.split(".")[:2] != VERSION.split("."):
        without = "without the header A2A-Version, which means 0.3"
        sent = f"with version {asked[:20]!r}" if asked else without
        raise VersionNotSupported(
            f"This server speaks A2A {VERSION}, and this request came {sent}. "
            f"Send 'A2A-Version: {VERSION}'."
        )


def _in_query(scope: Scope) -> str:
    pairs = (it.partition(b"=") for it in scope["query_string"].split(b"&", 100))
    found = (value for name, _, value in pairs if name.lower() == b"a2a-version")
    return next(found, b"").decode("latin-1")
