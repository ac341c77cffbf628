"""Which job is the current one: the innermost open block of this thread or task."""

from __future__ import annotations

import contextvars
from typing import Any

Token = contextvars.Token[Any]

_innermost: contextvars.ContextVar[Any] = contextvars.ContextVar("livejobs_job", default=None)
_open: dict[int, Any] = {}  # of the whole process, by identity: a thread of a pool has no context


def enter(job: Any) -> Token:
    _open[id(job)] = job
    return _innermost.set(job)


def leave(job: Any, token: Token | None) -> None:
    _open.pop(id(job), None)
    if token is not None:
        try:
            _innermost.reset(token)
        except ValueError:  # left in another context than it was entered in, as generators may be
            if _innermost.get() is job:
                _innermost.set(None)


def innermost() -> Any:
    """None: there is none, or it is not clear which."""
    job = _innermost.get()
    if job is not None and id(job) in _open:
        return job
    jobs = tuple(_open.values())
    return jobs[0] if len(jobs) == 1 else None
