"""Every error that livejobs answers with, in one tree.

LivejobsError
├── Invalid              422  a field is wrong; `errors` points at it
│   ├── LineTooLong           a log line is longer than allowed
│   ├── HeadTooLarge          the job's current state would be larger than allowed
│   ├── BatchTooLarge    413  more reports in one array than allowed
│   └── IdempotencyMismatch   the key was used with another body
├── BadJson              400  not JSON, or not UTF-8
├── BadCursor            400  a cursor or page token of another database
├── Unauthorized         401  no credential, or a bad one
├── Forbidden            403  the credential is good but does not allow this
├── NotFound             404  there is no such job, or the caller may not see it
├── Conflict             409  the job's state does not allow it
├── BodyTooLarge         413
├── UnsupportedMediaType 415
├── TooMany              429  a quota or a rate; the caller may try again
├── StorageUnavailable   503  the disk refused the write; nothing was acknowledged
└── NotStarted           503  the app's LiveJobs is not running

An error has an HTTP status and a code; the sentence in `detail` says what happened and what to
do. The caller can correct all of them except StorageUnavailable and NotStarted.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar, NamedTuple


class FieldError(NamedTuple):
    """A wrong field: a pointer to it (RFC 6901) and what is expected there."""

    pointer: str
    detail: str


class LivejobsError(Exception):
    status: ClassVar[int] = 500
    title: ClassVar[str] = "Internal error"
    default_code: ClassVar[str] = "internal"

    def __init__(
        self,
        detail: str,
        *,
        code: str | None = None,
        errors: Sequence[FieldError] = (),
        headers: Mapping[str, str] | None = None,
        extra: Mapping[str, object] | None = None,
    ) -> None:
        self.detail = detail
        self.code = code or self.default_code
        self.errors = tuple(errors)
        self.headers = dict(headers or {})
        self.extra = dict(extra or {})  # members of the problem besides the standard ones

    def __str__(self) -> str:
        where = f" at {self.errors[0].pointer!r}" if self.errors else ""
        return f"{self.detail}{where} ({self.code})"


class Invalid(LivejobsError):
    status, title, default_code = 422, "Invalid input", "invalid"

    @classmethod
    def at(cls, pointer: str, detail: str) -> Invalid:
        return cls(detail, errors=[FieldError(pointer, detail)])


class LineTooLong(Invalid):
    default_code = "line_too_long"


class HeadTooLarge(Invalid):
    default_code = "head_too_large"


class BatchTooLarge(Invalid):
    status, default_code = 413, "batch_too_large"


class IdempotencyMismatch(Invalid):
    default_code = "idempotency_mismatch"


class BadJson(LivejobsError):
    status, title, default_code = 400, "Malformed JSON", "bad_json"


class BadCursor(LivejobsError):
    status, title, default_code = 400, "Unusable position", "bad_cursor"


class Unauthorized(LivejobsError):
    status, title, default_code = 401, "Unauthorized", "unauthorized"


class Forbidden(LivejobsError):
    status, title, default_code = 403, "Forbidden", "forbidden"


class NotFound(LivejobsError):
    status, title, default_code = 404, "Not found", "not_found"

    @classmethod
    def job(cls, id: str) -> NotFound:
        return cls(f"There is no job {id!r}.", code="job_not_found")


class Conflict(LivejobsError):
    status, title, default_code = 409, "Conflict", "conflict"


class BodyTooLarge(LivejobsError):
    status, title, default_code = 413, "Body too large", "body_too_large"


class UnsupportedMediaType(LivejobsError):
    status, title, default_code = 415, "Unsupported media type", "unsupported_media_type"


class TooMany(LivejobsError):
    status, title, default_code = 429, "Too many", "too_many"


class StorageUnavailable(LivejobsError):
    status, title, default_code = 503, "Storage unavailable", "storage_unavailable"


class NotStarted(LivejobsError):
    status, title, default_code = 503, "Not started", "not_started"
