"""RQ: `livejobs.rq.install(queue)`, in a module that senders and tasks both import.

RQ has no signals, so some of its classes' methods are wrapped: those that create, perform, end and
cancel a job. They do nothing for jobs of queues that are not installed.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from typing import Any, Final, Unpack

try:
    from rq import Queue, Worker, get_current_job
    from rq.command import send_stop_job_command
    from rq.job import Job, Retry
except ImportError as error:
    raise ImportError("livejobs.rq needs RQ: install 'rq'.") from error

from livejobs.client import errors
from livejobs.queues.base import Bridge, Options
from livejobs.queues.quiet import quietly
from livejobs.queues.run import Run
from livejobs.queues.task import Task

SYNC: Final = "sync"  # the worker's name in a queue with is_async=False
STOPPED: Final = "_stopped_job_id"  # of a worker: the job that it was told to stop


class Cancelled(Exception):
    """Ends an RQ job whose job was cancelled in the queue."""


class WorkHorseKilled(Exception):
    """The process of the task ended without an end of the task."""


class RetriesUsed(Exception):
    """The task returned a Retry once more than it allows."""


class Installed:
    def __init__(self, bridge: Bridge, *, terminate: bool) -> None:
        self.bridge = bridge
        self.terminate = terminate


_queues: dict[str, Installed] = {}  # by name


def install(queue: Queue, *, terminate: bool = False, **options: Unpack[Options]) -> None:
    """Show each task of the queue as a job. `terminate`: stop a running task whose job is
    cancelled; else it has to look at `livejobs.current().cancelled`."""
    if queue.name in _queues:
        return
    if not _queues:
        _wrap_all()
    bridge = Bridge("rq", **options)
    _queues[queue.name] = Installed(bridge, terminate=terminate)
    running = get_current_job()
    if running is not None and running.origin == queue.name:
        # A worker imports the module of a task when it runs the task: it has begun by now.
        begin(running)


def _wrap_all() -> None:
    _wrap(Queue, "create_job", _creating)
    _wrap(Job, "perform", _performing)
    _wrap(Job, "cancel", _cancelling)
    for name, wrapper in (
        ("handle_job_success", _succeeding),
        ("handle_job_retry", _retrying),
        ("handle_job_failure", _failing),
    ):
        owner = next(kind for kind in Worker.__mro__ if name in vars(kind))
        _wrap(owner, name, wrapper)


def _wrap(kind: type, name: str, wrapper: Callable[..., Any]) -> None:
    original = getattr(kind, name)

    @functools.wraps(original)
    def wrapped(self: Any, *args: Any, **kwargs: Any) -> Any:
        return wrapper(original, self, *args, **kwargs)

    setattr(kind, name, wrapped)


# In the sender


def _creating(original: Any, queue: Queue, *args: Any, **kwargs: Any) -> Job:
    job: Job = original(queue, *args, **kwargs)
    there = _queues.get(queue.name)
    if there is not None:
        _tell(there.bridge.sent, job)
    return job


def _cancelling(original: Any, job: Job, *args: Any, **kwargs: Any) -> Any:
    answer = original(job, *args, **kwargs)
    there = _queues.get(job.origin)
    if there is not None and there.bridge.run(job.id) is None:
        _tell(there.bridge.cancelled, job)
    return answer


@quietly
def _tell(verb: Callable[[Task], None], job: Job) -> None:
    verb(task_of(job))


# In the worker


def _performing(original: Any, job: Job) -> Any:
    begin(job)
    if job.worker_name != SYNC:
        return original(job)  # the worker's methods hear of the end
    try:
        value = original(job)
    except errors.Cancelled:
        _close(_ended(job), Run.cancel)
        raise
    except BaseException as error:  # whatever the task raises, RQ must get it
        _close(_ended(job), Run.fail, error)
        raise
    _close(_ended(job), Run.succeed, value)
    return value


def _close(run: Run | None, end: Callable[..., None], *said: Any) -> None:
    if run is not None:
        end(run, *said)
        run.close()


def begin(job: Job) -> None:
    there = _queues.get(job.origin)
    task = quietly(task_of)(job)
    if there is None or task is None or there.bridge.run(job.id) is not None:
        return
    run = there.bridge.begin(task, queue=job.origin, worker=job.worker_name)
    if run.refused:
        raise Cancelled("The job was cancelled.")
    if there.terminate:
        run.on_cancel(functools.partial(_stop, run, job))


def _stop(run: Run, job: Job) -> None:
    """The worker kills this process."""
    run.cancel()
    run.settle()
    send_stop_job_command(job.connection, job.id, serializer=job.serializer)


def _succeeding(original: Any, worker: Worker, job: Job, *args: Any, **kwargs: Any) -> Any:
    value = job._result  # not to be had otherwise before it is stored
    _close(_ended(job), Run.succeed, value)
    return original(worker, job, *args, **kwargs)


def _retrying(
    original: Any, worker: Worker, job: Job, queue: Queue, retry: Retry, *args: Any, **kwargs: Any
) -> Any:
    """The task has returned a Retry."""
    if job.number_of_retries and job.number_of_retries >= retry.max:
        error = RetriesUsed(f"The task has used all of its {retry.max} retries.")
        _close(_ended(job), Run.fail, error)
    else:
        _close(_ended(job), Run.retry)
    return original(worker, job, queue, retry, *args, **kwargs)


def _failing(original: Any, worker: Worker, job: Job, *args: Any, **kwargs: Any) -> Any:
    error = sys.exc_info()[1]
    cancelled = isinstance(error, Cancelled | errors.Cancelled)
    if cancelled:
        job.retries_left = 0
        _close(_ended(job), Run.cancel)
    else:
        _failed(worker, job, error, kwargs.get("exc_string", ""))
    answer = original(worker, job, *args, **kwargs)
    if cancelled:
        quietly(job.cancel)()
    return answer


@quietly
def _failed(worker: Worker, job: Job, error: BaseException | None, text: str) -> None:
    run = _ended(job)
    if run is None:
        _killed(worker, job, text)
        return
    if job.should_retry:
        run.retry(error)
    else:
        run.fail(error or WorkHorseKilled(text))
    run.close()


def _killed(worker: Worker, job: Job, text: str) -> None:
    """The worker has lost the process of the task. Another attempt sees that itself."""
    there = _queues.get(job.origin)
    if there is None:
        return
    if getattr(worker, STOPPED, None) == job.id:
        there.bridge.cancelled(task_of(job))
    elif not job.should_retry:
        there.bridge.failed(task_of(job), WorkHorseKilled(text))


def _ended(job: Job) -> Run | None:
    there = _queues.get(job.origin)
    return None if there is None else there.bridge.ended(job.id)


def task_of(job: Job) -> Task:
    """A job that depends on others is a child of the first of them."""
    group = getattr(job, "group_id", None)
    first = next(iter(job._dependency_ids), None)  # `dependency_ids` would ask Redis
    return Task(
        job.id,
        job.func_name or "task",
        job.origin,
        job.args,
        job.kwargs,
        parent=first,
        tags=(f"group:{group}",) if group else (),
    )
