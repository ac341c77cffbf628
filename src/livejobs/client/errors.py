"""What the SDK raises, and when. Reporting raises nothing but Cancelled, where it was asked for."""

from __future__ import annotations


class Cancelled(BaseException):
    """Somebody asked to cancel the job, and it was opened with `raise_on_cancel=True`.

    As asyncio's CancelledError it is no Exception, so that `except Exception` around one item
    does not swallow it. The job's own `with` block stops it.
    """

    def __init__(self, job: str) -> None:
        super().__init__(f"Job {job!r} was asked to cancel.")
        self.job = job
