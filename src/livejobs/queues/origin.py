"""Which task sends another one: what a task sends is a child of the first task of its chain."""

from __future__ import annotations

from contextvars import ContextVar
from typing import Final

from livejobs.queues.run import Run

ROOT: Final = "livejobs_root"  # in a message, for libraries whose messages have room for it

_root: ContextVar[str | None] = ContextVar(ROOT, default=None)
_run: ContextVar[Run | None] = ContextVar("livejobs_run", default=None)


def root_of(run: Run) -> str | None:
    """Before the run has ended."""
    channel = run.job.channel
    if channel is None:
        return None
    known = run.task.parent if isinstance(run.task.parent, str) else channel.parent
    return known or run.job.id


def enter(run: Run) -> None:
    """From now on this thread or asyncio task sends as the task of this run."""
    _root.set(root_of(run))
    _run.set(run)


def leave() -> None:
    _root.set(None)
    _run.set(None)


def root() -> str | None:
    return _root.get()


def own(id: str) -> Run | None:
    """The run of this thread or asyncio task, if it is of this task. The next attempt of the same
    task may have begun elsewhere in the process, so the id alone does not tell."""
    run = _run.get()
    return run if run is not None and run.task.id == id else None
