"""A task as its queue knows it, and the job that shows it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import Any, Final, NamedTuple

from livejobs.client.plain import shortened

_ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:~-]{0,127}")  # of the contract
NAME: Final = 200  # bytes of a type or tag
TITLE: Final = 1000


class Task(NamedTuple):
    """Whoever sends a task and whoever runs it make the same job of it."""

    id: str
    name: str
    queue: str | None = None
    args: Sequence[Any] = ()  # for a title function
    kwargs: Mapping[str, Any] = {}
    parent: Task | str | None = None  # a Task is created first if it is absent; an id is there
    total: int | None = None  # children of a group
    tags: Sequence[str] = ()  # beside the queue's name


def job_id(task: str) -> str:
    """The task's id itself, where it can be the id of a job; else always the same other one."""
    if _ID.fullmatch(task):
        return task
    return "task-" + sha256(task.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def creation(task: Task, library: str, title: str, nth: int = 1) -> dict[str, Any]:
    """The arguments of `livejobs.job`. `nth`: a task that is run again after its end, as by `rq
    requeue`, is another job, since a finished job never changes."""
    name = shortened(task.name, NAME) or "task"
    meta = {"library": library, "task": task.id, "queue": task.queue}
    return {
        "id": job_id(task.id if nth == 1 else f"{task.id}~{nth}"),
        "type": name,
        "title": shortened(title, TITLE) or name,
        "parent": _parent(task.parent),
        "total": task.total,
        "tags": [shortened(tag, NAME) for tag in (task.queue, *task.tags) if tag],
        "meta": {name: value for name, value in meta.items() if value is not None},
    }


def _parent(parent: Task | str | None) -> str | None:
    return job_id(parent.id if isinstance(parent, Task) else parent) if parent else None
