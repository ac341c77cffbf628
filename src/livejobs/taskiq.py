"""Taskiq: `livejobs.taskiq.install(broker)`, where the broker is made."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Iterator
from functools import partial
from typing import Any, NoReturn, Unpack
from weakref import WeakKeyDictionary

try:
    from taskiq import AsyncBroker, TaskiqMessage, TaskiqMiddleware, TaskiqResult
    from taskiq.exceptions import NoResultError
except ImportError as error:
    raise ImportError("livejobs.taskiq needs Taskiq: install 'taskiq'.") from error

from livejobs.client.errors import Cancelled
from livejobs.queues import origin
from livejobs.queues.base import Bridge, Options
from livejobs.queues.run import Run
from livejobs.queues.task import Task


def install(broker: AsyncBroker, *, terminate: bool = False, **options: Unpack[Options]) -> None:
    """Show each task as a job. `terminate`: cancel the coroutine of a running task whose job is
    cancelled; else it has to look at `livejobs.current().cancelled`."""
    if any(isinstance(one, Jobs) for one in broker.middlewares):
        return
    bridge = Bridge("taskiq", **options)
    broker.add_middlewares(Jobs(bridge, terminate=terminate))


class Refused(dict[str, Any]):
    """Arguments of a task that must not run. Taskiq has no way to leave a task out, so reading its
    arguments raises, and that becomes the task's result."""

    def __init__(self, job: str) -> None:
        super().__init__()
        self._job = job

    def __iter__(self) -> Iterator[str]:
        return self.keys()

    def keys(self) -> NoReturn:
        raise Cancelled(self._job)


class Jobs(TaskiqMiddleware):
    def __init__(self, bridge: Bridge, *, terminate: bool) -> None:
        super().__init__()
        self._bridge = bridge
        self._terminate = terminate
        self._errors: WeakKeyDictionary[Run, BaseException] = WeakKeyDictionary()

    # Where a task is sent

    async def pre_send(self, message: TaskiqMessage) -> TaskiqMessage:
        """A task that is sent again while it runs is retried. The server has to know before another
        worker can start it."""
        run = origin.own(message.task_id)
        if run is not None:
            self._forget(run)
            run.retry(self._errors.get(run))
            await asyncio.to_thread(run.settle)
        elif (root := origin.root()) is not None:
            message.labels.setdefault(origin.ROOT, root)
        return message

    def post_send(self, message: TaskiqMessage) -> None:
        if origin.own(message.task_id) is None:
            self._bridge.sent(self._task(message))

    # Where it runs

    async def pre_execute(self, message: TaskiqMessage) -> TaskiqMessage:
        before = self._bridge.run(message.task_id)
        if before is not None:  # requeued, and its hooks have not run yet
            self._forget(before)
            before.retry()
        run = await self._bridge.begin_async(self._task(message), queue=self._queue(message))
        if run.refused:
            message.labels["retry_on_error"] = False
            message.kwargs = Refused(run.job.id)
            return message
        origin.enter(run)
        self._watch(run, message)
        return message

    def _watch(self, run: Run, message: TaskiqMessage) -> None:
        task, loop = asyncio.current_task(), asyncio.get_running_loop()
        assert task is not None
        task.add_done_callback(partial(self._left, run))

        def stop() -> None:
            loop.call_soon_threadsafe(self._stop, run, task)

        if self._terminate and self._is_async(message):
            run.on_cancel(stop)

    def _stop(self, run: Run, task: asyncio.Task[Any]) -> None:
        """Taskiq takes it for an exception of the coroutine."""
        if self._bridge.run(run.task.id) is run:
            task.cancel()

    def _is_async(self, message: TaskiqMessage) -> bool:
        task = self.broker.find_task(message.task_name)
        return task is not None and inspect.iscoroutinefunction(task.original_func)

    def _left(self, run: Run, task: asyncio.Task[Any]) -> None:
        """Something went wrong around the task, such as another middleware."""
        if self._forget(run):
            error = None if task.cancelled() else task.exception()
            run.fail(error or asyncio.CancelledError("The worker stopped."))

    def _forget(self, run: Run) -> bool:
        found = self._bridge.run(run.task.id) is run
        if found:
            self._bridge.ended(run.task.id)
        return found

    def on_error(
        self, message: TaskiqMessage, result: TaskiqResult[Any], exception: BaseException
    ) -> None:
        run = origin.own(message.task_id)
        if run is not None:
            self._errors[run] = exception
        if isinstance(exception, Cancelled):
            message.labels["retry_on_error"] = False

    async def post_execute(self, message: TaskiqMessage, result: TaskiqResult[Any]) -> None:
        run = origin.own(message.task_id)
        origin.leave()
        if run is not None:
            if self._forget(run):  # else it was retried
                self._end(run, result, self._errors.get(run) or result.error)
            await run.close_async()

    def _end(self, run: Run, result: TaskiqResult[Any], error: BaseException | None) -> None:
        if error is None:
            run.succeed(result.return_value)
        elif isinstance(error, Cancelled) or (
            isinstance(error, asyncio.CancelledError) and run.cancelled
        ):
            run.cancel()
        elif isinstance(result.error, NoResultError):  # there will be one: by another attempt
            run.retry(error)
        else:
            run.fail(error)

    def _queue(self, message: TaskiqMessage) -> str | None:
        found = message.labels.get("queue_name") or getattr(self.broker, "queue_name", None)
        return None if found is None else str(found)

    def _task(self, message: TaskiqMessage) -> Task:
        return Task(
            message.task_id,
            message.task_name,
            queue=self._queue(message),
            args=message.args,
            kwargs=message.kwargs,
            parent=message.labels.get(origin.ROOT),
        )
