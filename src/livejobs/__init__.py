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
    from livejobs import arq as arq
    from livejobs import celery as celery
    from livejobs import dramatiq as dramatiq
    from livejobs import huey as huey
    from livejobs import rq as rq
    from livejobs import taskiq as taskiq
    from livejobs.app import create_app
    from livejobs.client.errors import Cancelled, Corrupt, Refused, Unavailable, Unreachable
    from livejobs.client.reader.aio import AsyncClient
    from livejobs.client.reader.client import Client
    from livejobs.client.sending.process import flush, statistics
    from livejobs.client.worker.aio import AsyncWorkerJob
    from livejobs.client.worker.block import adopt, current, job
    from livejobs.client.worker.job import WorkerJob
    from livejobs.client.worker.logs import LogHandler
    from livejobs.client.worker.richly import RichProgress
    from livejobs.client.worker.task import task
    from livejobs.client.worker.tqdm import tqdm
    from livejobs.config import Settings
    from livejobs.service import Job, LiveJobs

_PLACES: Final = {
    "AsyncClient": "livejobs.client.reader.aio",
    "AsyncWorkerJob": "livejobs.client.worker.aio",
    "Cancelled": "livejobs.client.errors",
    "Client": "livejobs.client.reader.client",
    "Corrupt": "livejobs.client.errors",
    "Job": "livejobs.service",
    "LiveJobs": "livejobs.service",
    "LogHandler": "livejobs.client.worker.logs",
    "Refused": "livejobs.client.errors",
    "RichProgress": "livejobs.client.worker.richly",
    "Settings": "livejobs.config",
    "Unavailable": "livejobs.client.errors",
    "Unreachable": "livejobs.client.errors",
    "WorkerJob": "livejobs.client.worker.job",
    "adopt": "livejobs.client.worker.block",
    "create_app": "livejobs.app",
    "current": "livejobs.client.worker.block",
    "flush": "livejobs.client.sending.process",
    "job": "livejobs.client.worker.block",
    "statistics": "livejobs.client.sending.process",
    "task": "livejobs.client.worker.task",
    "tqdm": "livejobs.client.worker.tqdm",
}

# Modules. Loading one loads its library, which need not be there: so they are not in `__all__`.
_QUEUES: Final = ("arq", "celery", "dramatiq", "huey", "rq", "taskiq")

__all__ = [
    "AsyncClient",
    "AsyncWorkerJob",
    "Cancelled",
    "Client",
    "Corrupt",
    "Job",
    "LiveJobs",
    "LogHandler",
    "Refused",
    "RichProgress",
    "Settings",
    "Unavailable",
    "Unreachable",
    "WorkerJob",
    "adopt",
    "create_app",
    "current",
    "flush",
    "job",
    "statistics",
    "task",
    "tqdm",
]


def __getattr__(name: str) -> Any:
    if name in _QUEUES:
        value: Any = import_module(f"livejobs.{name}")
    elif name in _PLACES:
        value = getattr(import_module(_PLACES[name]), name)
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = value  # found without us from now on
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, *_QUEUES})
