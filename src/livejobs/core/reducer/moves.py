"""Which moves a job may make: a table, and the error for a move of a finished job."""

from __future__ import annotations

from typing import Final, Literal, TypeAlias

from livejobs.core.errors import Conflict
from livejobs.core.model import Head, Status

Event: TypeAlias = Literal[
    "report", "retry", "succeed", "fail", "cancelled",
    "cancel", "force_cancel", "stall", "lose", "file",
]  # fmt: skip

# From a status, on an event, to a status. A finished status has no row. Every report is first a
# "report", which starts a queued job; so the other events of a worker come to a running job.
MOVES: Final[dict[tuple[Status, Event], Status]] = {
    # from the worker
    ("queued", "report"): "running",
    ("running", "report"): "running",
    ("running", "retry"): "queued",
    ("running", "succeed"): "succeeded",
    ("running", "fail"): "failed",
    ("running", "cancelled"): "cancelled",
    # from a client
    ("queued", "cancel"): "cancelled",
    ("running", "cancel"): "running",  # the worker decides when the job ends
    ("queued", "force_cancel"): "cancelled",
    ("running", "force_cancel"): "cancelled",
    # from the server, when the worker is silent
    ("running", "stall"): "running",
    ("running", "lose"): "failed",
    # an uploaded or attached file is not a report, and starts nothing
    ("queued", "file"): "queued",
    ("running", "file"): "running",
}


class Finished(Conflict):
    title = "The job has finished"
    default_code = "job_finished"

    def __init__(self, head: Head) -> None:
        super().__init__(
            f"Job {head.id!r} has {head.status}; a finished job never changes.",
            extra={"job_status": head.status},
        )


def may(head: Head, event: Event) -> bool:
    return (head.status, event) in MOVES
