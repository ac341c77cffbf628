"""Status, progress, results and files of long-running jobs, live.

A worker reports on its job, to the server that LIVEJOBS_URL names:

    with livejobs.job("export", title="Nightly export", total=10) as job:
        for part in job.track(parts):
            ...

A program has the server inside:

    async with LiveJobs(Settings()) as live:
        job = await live.create(title="Nightly export")
        await job.progress(current=1, total=10)

Names are loaded on use: a worker loads nothing of the server.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from livejobs.client.aio import AsyncWorkerJob
    from livejobs.client.errors import Cancelled
    from livejobs.client.job import WorkerJob, adopt, current, job
    from livejobs.client.logs import LogHandler
    from livejobs.client.process import flush, statistics
    from livejobs.client.task import task
    from livejobs.config import Settings
    from livejobs.service import Job, LiveJobs
    from livejobs.web.app import create_app

_PLACES: Final = {
    "AsyncWorkerJob": "livejobs.client.aio",
    "Cancelled": "livejobs.client.errors",
    "Job": "livejobs.service",
    "LiveJobs": "livejobs.service",
    "LogHandler": "livejobs.client.logs",
    "Settings": "livejobs.config",
    "WorkerJob": "livejobs.client.job",
    "adopt": "livejobs.client.job",
    "create_app": "livejobs.web.app",
    "current": "livejobs.client.job",
    "flush": "livejobs.client.process",
    "job": "livejobs.client.job",
    "statistics": "livejobs.client.process",
    "task": "livejobs.client.task",
}

__all__ = [
    "AsyncWorkerJob",
    "Cancelled",
    "Job",
    "LiveJobs",
    "LogHandler",
    "Settings",
    "WorkerJob",
    "adopt",
    "create_app",
    "current",
    "flush",
    "job",
    "statistics",
    "task",
]


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(_PLACES[name]), name)
    globals()[name] = value  # found without us from now on
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
