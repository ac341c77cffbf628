"""Celery: `livejobs.celery.install(app)`, where the app is made, for senders and workers alike."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Final

try:
    from celery import signals  # type: ignore[import-untyped]
    from celery.exceptions import Ignore, Reject  # type: ignore[import-untyped]
except ImportError as error:
    raise ImportError("livejobs.celery needs Celery 5: install 'celery'.") from error

from livejobs.client.sending.process import flush
from livejobs.client.worker.job import AT_THE_END
from livejobs.queues.base import Bridge, Title
from livejobs.queues.quiet import quietly
from livejobs.queues.run import Run
from livejobs.queues.task import Task

OWN: Final = "celery.*"  # tasks of Celery itself, such as celery.chord_unlock
MARK: Final = "_livejobs"  # on what was changed already


def install(
    app: Any,
    *,
    url: str | None = None,
    key: str | None = None,
    include: Sequence[str] | None = None,
    exclude: Sequence[str] = (),
    results: bool = True,
    terminate: bool = False,
    title: Title | None = None,
) -> None:
    """Show each task of the app as a job. `terminate`: kill a running task whose job is cancelled;
    else it has to look at `livejobs.current().cancelled`."""
    if getattr(app, MARK, None) is not None:
        return
    bridge = Bridge(
        "celery", url=url, key=key, include=include, exclude=(*exclude, OWN), results=results,
        title=title,
    )  # fmt: skip
    listener = Listener(app, bridge, terminate=terminate)
    setattr(app, MARK, listener)
    _listeners.append(listener)
    for signal, receiver in listener.receivers().items():
        signal.connect(_receiver(receiver), weak=False)


class Listener:
    """What Celery's signals mean. They are of all apps of the process."""

    def __init__(self, app: Any, bridge: Bridge, *, terminate: bool) -> None:
        self.app = app
        self.bridge = bridge
        self.terminate = terminate

    def receivers(self) -> dict[Any, Callable[..., None]]:
        return {
            signals.before_task_publish: self.published,
            signals.worker_init: self.worker_begins,
            signals.task_prerun: self.begins,
            signals.task_success: self.succeeded,
            signals.task_failure: self.failed,
            signals.task_postrun: self.ended,
            signals.task_revoked: self.revoked,
            signals.task_unknown: self.unknown,
            signals.worker_process_shutdown: self.process_ends,
        }

    # In the sender

    def published(
        self, sender: str, headers: Mapping[str, Any], body: Any, routing_key: str | None, **_: Any
    ) -> None:
        if "id" not in headers or not isinstance(body, tuple):
            return  # protocol 1
        args, kwargs, embedded = body
        task = described(sender, headers, routing_key, embedded.get("chord"), args, kwargs)
        run = self.bridge.run(task.id)
        if run is not None:
            # The task sends itself again: `retry` or `replace`. The server has to know before
            # another worker begins the next attempt.
            run.retry(sys.exc_info()[1])
            run.settle()
        elif _sender(sender) is self:
            self.bridge.sent(task)

    # In the worker

    def worker_begins(self, sender: Any, **_: Any) -> None:
        """Signals cannot refuse a task; `before_start` can. Tracers are built after this."""
        if sender.app is self.app:
            for task in self.app.tasks.values():
                refusing(type(task))

    def begins(self, sender: Any, task: Any, args: Any, kwargs: Any, **_: Any) -> None:
        if task.app is not self.app:
            return
        about = of_request(task, args, kwargs)
        run = self.bridge.begin(about, queue=about.queue, worker=task.request.hostname)
        setattr(task.request, MARK, run)
        if self.terminate and not run.refused:
            revoke = partial(self.app.control.revoke, about.id, terminate=True)
            run.on_cancel(revoke)

    def succeeded(self, sender: Any, result: Any, **_: Any) -> None:
        run = getattr(sender.request, MARK, None)
        if run is not None:
            run.succeed(result)

    def failed(self, sender: Any, task_id: str, exception: BaseException, **_: Any) -> None:
        if sender.app is not self.app:
            return
        request = sender.request
        run = self.bridge.run(task_id)
        if run is not None:
            run.fail(exception)
        else:  # the worker's main process has found that the task's own process is gone
            self.bridge.failed(Task(task_id, sender.name), exception)
        above = chord_of(request.chord, request.root_id if request.parent_id else None)
        if above is not None:
            self.bridge.failed(above, exception)

    def ended(self, task: Any, task_id: str, retval: Any, state: str, **_: Any) -> None:
        run = self.bridge.ended(task_id) if task.app is self.app else None
        if run is None:
            return
        if isinstance(retval, Reject):
            _rejected(run, retval)
        elif isinstance(retval, Ignore):
            run.cancel()  # it neither succeeded nor failed
        run.close()

    def process_ends(self, **_: Any) -> None:
        flush(AT_THE_END)

    # In the worker's main process

    def revoked(self, sender: Any, request: Any, **_: Any) -> None:
        if sender.app is self.app:
            self.bridge.cancelled(Task(request.id, sender.name))

    def unknown(self, sender: Any, name: str, id: str, exc: BaseException, **_: Any) -> None:
        if sender.app is self.app:
            self.bridge.failed(Task(id, name), exc)


_listeners: list[Listener] = []


def _sender(name: str) -> Listener:
    """The signal does not tell which app sends: the one that has the task, else the first."""
    having = (one for one in _listeners if name in one.app.tasks)
    return next(having, _listeners[0])


def _receiver(function: Callable[..., None]) -> Callable[..., None]:
    quiet = quietly(function)

    def receive(**said: Any) -> None:
        said.pop("signal", None)
        quiet(**said)

    return receive


def _rejected(run: Run, reject: Any) -> None:
    if reject.requeue:
        run.retry("The task was rejected, and is queued again.")
    else:
        run.fail(reject)


def refusing(kind: Any) -> None:
    """A task whose job was cancelled in the queue ends as revoked before it begins."""
    before = kind.before_start
    if getattr(before, MARK, False):
        return

    def before_start(self: Any, task_id: str, args: Any, kwargs: Any) -> Any:
        run = getattr(self.request, MARK, None)
        if run is not None and run.refused:
            self.backend.mark_as_revoked(task_id, "cancelled", request=self.request)
            raise Ignore("The job was cancelled.")
        return before(self, task_id, args, kwargs)

    setattr(before_start, MARK, True)
    kind.before_start = before_start


def of_request(task: Any, args: Any, kwargs: Any) -> Task:
    request = task.request
    headers = {
        "id": request.id,
        "root_id": request.root_id,
        "parent_id": request.parent_id,
        "group": request.group,
    }
    queue = (request.delivery_info or {}).get("routing_key")
    return described(task.name, headers, queue, request.chord, args, kwargs)


def described(
    name: str,
    headers: Mapping[str, Any],
    queue: str | None,
    chord: Any,
    args: Sequence[Any],
    kwargs: Mapping[str, Any],
) -> Task:
    """Tasks of a chord are children of its body. What a task sends, and the later tasks of a
    chain, are children of the first one."""
    root = headers.get("root_id") if headers.get("parent_id") else None
    group = headers.get("group")
    return Task(
        headers["id"],
        name,
        queue,
        args,
        kwargs,
        parent=chord_of(chord, root) or root,
        tags=(f"group:{group}",) if group else (),
    )


def chord_of(body: Any, root: str | None) -> Task | None:
    """The body of the chord, which runs when all of its tasks have succeeded."""
    if not body:
        return None
    options = body.get("options") or {}
    id = options.get("task_id")
    return Task(id, body["task"], options.get("queue"), parent=root) if id else None
