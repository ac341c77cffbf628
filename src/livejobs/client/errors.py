"""What the SDK raises, and when.

Reporting raises nothing but Cancelled, where that was asked for. Reading raises

- Refused: the server answered, and the answer is no;
- Unreachable: no answer came, or (as Unavailable) the answer is "not now";
- Corrupt: a file that was downloaded is not what the server has;
- TimeoutError: Python's own, where the caller gave a time.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


class Cancelled(BaseException):
    """Somebody asked to cancel the job, and it was opened with `raise_on_cancel=True`.

    As asyncio's CancelledError it is no Exception, so that `except Exception` around one item
    does not swallow it. The job's own `with` block stops it.
    """

    def __init__(self, job: str) -> None:
        super().__init__(f"Job {job!r} was asked to cancel.")
        self.job = job


class Refused(Exception):
    """The server answered, and the answer is no."""

    def __init__(self, status: int, problem: Mapping[str, Any]) -> None:
        self.status = status
        self.problem = problem
        self.code = str(problem.get("code") or status)
        self.detail = str(problem.get("detail") or f"HTTP status {status}")
        super().__init__(f"{self.detail} ({self.code})")


class Unreachable(Exception):
    """The server could not be asked, or did not answer in time."""


class Unavailable(Refused, Unreachable):
    """The server answered, and the answer is "not now"."""


class Corrupt(Exception):
    """A file that was downloaded twice does not have the digest that the server says."""
