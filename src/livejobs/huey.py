"""Huey: `livejobs.huey.install(huey)`, where the Huey is made."""

from __future__ import annotations

import functools
import sys
import threading
from collections.abc import Callable
from typing import Any, Final, Unpack

try:
    from huey import signals
    from huey.exceptions import CancelExecution
except ImportError as error:
    raise ImportError("livejobs.huey needs Huey 2.5 or later: install 'huey'.") from error

from livejobs.client.errors import Cancelled
from livejobs.client.worker.job import AT_THE_END
from livejobs.queues.base import Bridge, Options
from livejobs.queues.origin import root_of
from livejobs.queues.quiet import quietly
from livejobs.queues.task import Task

HOOK: Final = "livejobs"
MARK: Final = "_livejobs"  # on a Huey that was changed already


class Refused(CancelExecution):  # type: ignore[misc] # the library has no types
    """The job was cancelled before its task started."""


def install(huey: Any, **options: Unpack[Options]) -> None:
    """Show each task as a job. A running task whose job is cancelled has to look at
    `livejobs.current().cancelled`: Huey cannot stop it."""
    if hasattr(huey, MARK):
        return
    bridge = Bridge("huey", **options)
    setattr(huey, MARK, Jobs(huey, bridge))


class Jobs:
    def __init__(self, huey: Any, bridge: Bridge) -> None:
        self._huey = huey
        self._bridge = bridge
        self._lock = threading.Lock()
        self._local = threading.local()  # `next`: what this thread enqueues next, and its parent
        self._last = False
        huey.signal(signals.SIGNAL_ENQUEUED)(self._sent)
        huey.signal(signals.SIGNAL_REVOKED, signals.SIGNAL_EXPIRED)(self._dropped)
        huey.signal(signals.SIGNAL_CANCELED)(self._left_out)
        huey.signal(signals.SIGNAL_INTERRUPTED)(self._interrupted)
        huey.on_startup(HOOK)(self._be_last)
        huey.pre_execute(HOOK)(self._begin)
        huey.post_execute(HOOK)(self._end)

    def _be_last(self) -> None:
        """Other hooks may leave a task out, and the signal of that is the same as that of a task
        that stops by itself. So the job starts after all of them."""
        with self._lock:
            if not self._last:
                self._huey.unregister_pre_execute(HOOK)
                self._huey.pre_execute(HOOK)(self._begin)
                self._last = True

    # Where a task does not run

    def _sent(self, signal: str, task: Any) -> None:
        root = getattr(self._local, "next", {}).get(task.id)
        about = self._described(task, root)
        self._bridge.sent(about)
        if root is not None:  # before a worker that knows of no parent creates the job
            quietly(self._bridge.job(about).flush)(AT_THE_END)

    def _dropped(self, signal: str, task: Any) -> None:
        self._bridge.cancelled(self._described(task))

    def _left_out(self, signal: str, task: Any) -> None:
        """By another hook, if the job has not started. `_end` hears of a task that stops."""
        refused = isinstance(sys.exception(), Refused)
        if not refused and self._bridge.run(task.id) is None:
            self._bridge.cancelled(self._described(task))

    def _interrupted(self, signal: str, task: Any) -> None:
        """The consumer stops. Whether somebody enqueues the task again is not known here: if not,
        the job is lost, as when the consumer is killed."""
        run = self._bridge.run(task.id)
        if run is not None:
            run.job.log("The consumer stopped before the task had ended.", "warning")

    # Where it runs

    def _begin(self, task: Any) -> None:
        run = self._bridge.begin(self._described(task), queue=self._huey.name)
        if run.refused:
            raise Refused
        task.execute = functools.partial(_executed, task.execute)

    def _end(self, task: Any, value: Any, exception: BaseException | None) -> None:
        vars(task).pop("execute", None)
        run = self._bridge.ended(task.id)
        if run is None:
            return
        following = (one for one in (task.on_complete, task.on_error) if one is not None)
        self._local.next = dict.fromkeys((one.id for one in following), root_of(run))
        if exception is None:
            run.succeed(value)
        elif task.retries:
            run.retry(exception)
        elif isinstance(exception, CancelExecution):
            run.cancel()
        else:
            run.fail(exception)
        run.close()

    def _described(self, task: Any, root: str | None = None) -> Task:
        """Tasks of a chord are children of its callback, and the later tasks of a pipeline are
        children of the first one."""
        callback = callback_of(task)
        return Task(
            task.id,
            f"{type(task).__module__}.{task.name}",
            self._huey.name,
            task.args,
            task.kwargs,
            parent=self._described(callback) if callback is not None else root,
        )


def _executed(execute: Callable[[], Any]) -> Any:
    """An exception that is no Exception would end the consumer's thread."""
    try:
        return execute()
    except Cancelled:
        raise CancelExecution(retry=False) from None


def callback_of(task: Any) -> Any:
    """Of the task's chord, which Huey has since version 3. In a pipeline the last task has it."""
    while task.on_complete is not None:
        task = task.on_complete
    chord = getattr(task, "chord_config", None)
    return None if chord is None else chord.callback
