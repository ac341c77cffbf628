"""Reports that end an attempt: its worker gives up, or the job has ended."""

from __future__ import annotations

from msgspec.structs import force_setattr as put

from livejobs.core import reports as say
from livejobs.core.model import Failure
from livejobs.core.reducer.draft import Draft


def retry(draft: Draft, report: say.Retry, now: int) -> None:
    if draft.head.cancel_requested:  # a worker that gives up on such a job need not start it again
        draft.move("cancelled")
        return
    draft.move("retry")
    draft.begin_again()
    draft.put(
        attempt=draft.head.attempt + 1,
        error=_failure(report.error),
        worker=None,
        queued_at=now,
        started_at=None,
    )


def _failure(error: str | say.Reason | None) -> Failure | None:
    if error is None:
        return None
    if isinstance(error, str):
        return Failure(error)
    return Failure(error.message, error.code, error.detail)


def succeed(draft: Draft, report: say.Succeed, now: int) -> None:
    draft.move("succeed")
    put(draft.head, "result", report.result)


def fail(draft: Draft, report: say.Fail, now: int) -> None:
    draft.move("fail")
    put(draft.head, "error", Failure(report.message, report.code, report.detail))


def cancelled(draft: Draft, report: say.Cancelled, now: int) -> None:
    draft.move("cancelled")
