"""arq: `livejobs.arq.install(WorkerSettings)`, and `install(pool)` where jobs are enqueued.

arq's hooks around a job hear neither of its result nor of a job that ends before its function is
called, as an aborted one does. So the functions are wrapped, and so are the two methods of arq's
Worker that end a job.
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable, Coroutine, MutableMapping
from dataclasses import replace
from typing import Any, Final, Unpack

try:
    from arq.connections import ArqRedis
    from arq.jobs import Job, deserialize_result
    from arq.worker import JobExecutionFailed, Retry, RetryJob, Worker, func
except ImportError as error:
    raise ImportError("livejobs.arq needs arq: install 'arq'.") from error

from livejobs.client.errors import Cancelled
from livejobs.queues import origin
from livejobs.queues.base import Bridge, Options
from livejobs.queues.quiet import quietly
from livejobs.queues.run import Run
from livejobs.queues.task import Task

NAME: Final = "livejobs"  # in the context of a worker, and on what was changed already
MARK: Final = "_livejobs"  # on a class that was
CANCELLED: Final = "The job was cancelled."
STOPPED: Final = "The worker stopped."
UNKNOWN: Final = "unknown"

Function = Callable[..., Coroutine[Any, Any, Any]]
Context = MutableMapping[str, Any]


def install(settings: Any, *, terminate: bool = False, **options: Unpack[Options]) -> None:
    """Show each job of arq. `settings`: the WorkerSettings, or a pool that enqueues jobs.
    `terminate`: cancel the coroutine of a running job when it is cancelled; else it has to look at
    `livejobs.current().cancelled`."""
    bridge = Bridge("arq", **options)
    if isinstance(settings, ArqRedis):
        _watch_pool(settings, bridge)
    else:
        _watch_worker(settings, bridge, terminate=terminate)


# Where a job is enqueued


def _watch_pool(pool: ArqRedis, bridge: Bridge) -> None:
    original = pool.enqueue_job
    if hasattr(original, NAME):  # installed before
        return

    @functools.wraps(original)
    async def enqueue_job(function: str, *args: Any, **options: Any) -> Job | None:
        job = await original(function, *args, **options)
        if job is not None:  # None: there is one with this id already
            queue = options.get("_queue_name") or pool.default_queue_name
            kwargs = {name: it for name, it in options.items() if not name.startswith("_")}
            bridge.sent(Task(job.job_id, function, queue, args, kwargs, parent=origin.root()))
        return job

    setattr(enqueue_job, NAME, bridge)
    pool.enqueue_job = enqueue_job  # type: ignore[method-assign] # there is no hook


# Where it runs


def _watch_worker(settings: Any, bridge: Bridge, *, terminate: bool) -> None:
    fields = settings if isinstance(settings, dict) else vars(settings)
    startup = fields.get("on_startup")
    if hasattr(startup, NAME):  # installed before
        return

    async def on_startup(context: Context) -> None:
        context[NAME] = bridge
        _watch_pool(context["redis"], bridge)
        if startup is not None:
            await startup(context)

    setattr(on_startup, NAME, bridge)
    watched = functools.partial(_watched, bridge, terminate)
    changed = {
        "on_startup": on_startup,
        "functions": [_in(func(one), watched) for one in fields.get("functions") or ()],
        "cron_jobs": [_in(one, watched) for one in fields.get("cron_jobs") or ()],
    }
    for name, value in changed.items():
        settings.update({name: value}) if settings is fields else setattr(settings, name, value)
    _watch_ends()


def _in(function: Any, watched: Callable[[str, Function], Function]) -> Any:
    return replace(function, coroutine=watched(function.name, function.coroutine))


def _watched(bridge: Bridge, terminate: bool, name: str, function: Function) -> Function:
    @functools.wraps(function)
    async def run_it(context: Context, *args: Any, **kwargs: Any) -> Any:
        queue = context["redis"].default_queue_name
        task = Task(context["job_id"], name, queue, args, kwargs)
        run = await bridge.begin_async(task, queue=queue)
        if run.refused:
            raise JobExecutionFailed(CANCELLED)
        origin.enter(run)
        if terminate:
            _stop_on_cancel(run)
        try:
            return await _shown(run, function(context, *args, **kwargs), terminate=terminate)
        finally:
            run.leave()

    return run_it


def _stop_on_cancel(run: Run) -> None:
    task, loop = asyncio.current_task(), asyncio.get_running_loop()
    assert task is not None

    def stop() -> None:
        loop.call_soon_threadsafe(task.cancel)

    run.on_cancel(stop)


async def _shown(run: Run, work: Coroutine[Any, Any, Any], *, terminate: bool) -> Any:
    try:
        value = await work
    except Exception as error:  # whatever the task raises, arq must get it
        _say(run, error)
        raise
    except (Cancelled, asyncio.CancelledError) as error:
        # arq would run the job again after the one, and end itself after the other.
        if isinstance(error, Cancelled) or (terminate and run.cancelled):
            run.cancel()
            raise JobExecutionFailed(CANCELLED) from None
        raise
    run.succeed(value)
    return value


def _say(run: Run, error: BaseException) -> None:
    if isinstance(error, Retry | RetryJob):
        run.retry(error)
    elif isinstance(error, asyncio.CancelledError):
        run.cancel()
    else:
        run.fail(error)


# Where arq ends a job


def _watch_ends() -> None:
    if not hasattr(Worker, MARK):
        setattr(Worker, MARK, True)
        # There is no hook.
        Worker.finish_job = _finishing(Worker.finish_job)  # type: ignore[method-assign]
        Worker.finish_failed_job = _failing(Worker.finish_failed_job)  # type: ignore[method-assign]


def _finishing(original: Function) -> Function:
    """After the function has ended. A function that was cancelled was aborted, or has taken too
    long, or runs again since its worker stops: only the worker knows."""

    @functools.wraps(original)
    async def finish_job(
        worker: Worker, job_id: str, finish: bool, result_data: bytes | None, *more: Any
    ) -> None:
        run = _ended(worker, job_id)
        if run is not None:
            if finish:
                _say(run, _error(worker, result_data)[1])
            else:
                run.retry(STOPPED)
            await run.close_async()  # before another worker may start it
        await original(worker, job_id, finish, result_data, *more)

    return finish_job


def _failing(original: Function) -> Function:
    """A job that ends before its function is called."""

    @functools.wraps(original)
    async def finish_failed_job(worker: Worker, job_id: str, result_data: bytes | None) -> None:
        await original(worker, job_id, result_data)
        bridge = worker.ctx.get(NAME)
        if bridge is not None:
            name, error = _error(worker, result_data)
            task = Task(job_id, name, worker.queue_name)
            if isinstance(error, asyncio.CancelledError):
                bridge.cancelled(task)
            else:
                bridge.failed(task, error)

    return finish_failed_job


def _ended(worker: Worker, job_id: str) -> Run | None:
    bridge: Bridge | None = worker.ctx.get(NAME)
    return None if bridge is None else bridge.ended(job_id)


def _error(worker: Worker, result_data: bytes | None) -> tuple[str, BaseException]:
    """The name of the function, and its error. Where results are not kept, it was cancelled."""
    found = None
    if result_data is not None:
        found = quietly(deserialize_result)(result_data, deserializer=worker.job_deserializer)
    if found is None or not isinstance(found.result, BaseException):
        return (found.function if found else UNKNOWN), asyncio.CancelledError()
    return found.function, found.result
