"""Celery: `livejobs.celery.install(app)`, where the app is made, for senders and workers alike."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Unpack

try:
    from celery import group, signals, uuid
    from celery.exceptions import Ignore, Reject
except ImportError as error:
    raise ImportError("livejobs.celery needs Celery 5: install 'celery'.") from error

from livejobs.client.errors import Cancelled
from livejobs.client.sending.process import flush
from livejobs.client.worker.job import AT_THE_END
from livejobs.queues.base import Bridge, Options
from livejobs.queues.quiet import quietly
from livejobs.queues.run import Run
from livejobs.queues.task import Task

OWN: Final = "celery.*"  # tasks of Celery itself, such as celery.chord_unlock
MARK: Final = "_livejobs"  # on what was changed already
SIZE: Final = "livejobs_group"  # header of a message: how many tasks its group has


def install(app: Any, *, terminate: bool = False, **options: Unpack[Options]) -> None:
    """Show each task of the app as a job. `terminate`: kill a running task whose job is cancelled;
    else it has to look at `livejobs.current().cancelled`."""
    if getattr(app, MARK, None) is not None:
        return
    options["exclude"] = (*options.get("exclude", ()), OWN)
    bridge = Bridge("celery", **options)
    listener = Listener(app, bridge, terminate=terminate)
    setattr(app, MARK, listener)
    if not _listeners:
        count_groups()
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
        self, sender: str, headers: dict[str, Any], body: Any, routing_key: str | None, **_: Any
    ) -> None:
        if "id" not in headers or not isinstance(body, tuple) or _sender(sender) is not self:
            return  # without an id it is protocol 1
        run = self.bridge.run(headers["id"])
        if run is not None:
            _sent_again(run, headers)
            return
        if headers.get("group") in _sizes:
            headers[SIZE] = _sizes[headers["group"]]
        args, kwargs, embedded = body
        chord = embedded.get("chord")
        self.bridge.sent(described(sender, headers, routing_key, chord, args, kwargs))

    # In the worker

    def worker_begins(self, sender: Any, **_: Any) -> None:
        """Signals cannot refuse a task; `before_start` and `run` can. Tracers are built later."""
        if sender.app is self.app:
            for task in self.app.tasks.values():
                refusing(type(task))
                stopping(task)

    def begins(self, sender: Any, task: Any, args: Any, kwargs: Any, **_: Any) -> None:
        if task.app is not self.app:
            return
        about = of_request(task.name, task.request)
        run = self.bridge.begin(about, queue=about.queue, worker=task.request.hostname)
        setattr(task.request, MARK, run)
        if self.terminate and not run.refused:
            revoke = functools.partial(self.app.control.revoke, about.id, terminate=True)
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
            known = request.id == task_id  # not after a hard time limit
            about = of_request(sender.name, request) if known else Task(task_id, sender.name)
            self.bridge.failed(about, exception)
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
            self.bridge.cancelled(of_request(sender.name, request))

    def unknown(self, sender: Any, name: str, id: str, exc: BaseException, **_: Any) -> None:
        if sender.app is self.app:
            self.bridge.failed(Task(id, name), exc)


def _sent_again(run: Run, headers: dict[str, Any]) -> None:
    """The task's own `retry` or `replace`. The server has to know before another worker begins
    the next attempt."""
    above = run.task.parent
    if isinstance(above, Task) and above.total:
        headers[SIZE] = above.total
    run.retry(sys.exc_info()[1])
    run.settle()


_listeners: list[Listener] = []
_sizes: dict[str, int] = {}  # of the groups that are being sent, by id


def count_groups() -> None:
    """Signals do not show how many tasks a group has."""
    original = group.apply_async

    @functools.wraps(original)
    def apply_async(self: Any, *args: Any, **options: Any) -> Any:
        id = options.get("task_id") or self.options.get("task_id") or uuid()
        size = quietly(_size_of)(self)
        if not size:
            return original(self, *args, **options)
        _sizes[id] = size
        try:
            return original(self, *args, **{**options, "task_id": id})
        finally:
            _sizes.pop(id, None)

    group.apply_async = apply_async


def _size_of(sent: Any) -> int | None:
    """None: it holds other than plain tasks, or tasks that are not shown."""
    plain = all(not task.get("subtask_type") for task in sent.tasks)
    names = [task["task"] for task in sent.tasks] if plain else []
    shown = all(_sender(name).bridge.wants(name) for name in names)
    return len(names) if shown else None


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
            raise _revoked(self)
        return before(self, task_id, args, kwargs)

    setattr(before_start, MARK, True)
    kind.before_start = before_start


def stopping(task: Any) -> None:
    """A task that raises Cancelled ends as revoked. Celery's processes survive only what is an
    Exception."""
    original = task.run
    if getattr(original, MARK, False):
        return

    @functools.wraps(original)
    def run(*args: Any, **kwargs: Any) -> Any:
        try:
            return original(*args, **kwargs)
        except Cancelled:
            if task.request.called_directly:
                raise
            raise _revoked(task) from None

    setattr(run, MARK, True)
    task.run = run


def _revoked(task: Any) -> Exception:
    task.backend.mark_as_revoked(task.request.id, "cancelled", request=task.request)
    ignore: Exception = Ignore("The job was cancelled.")
    return ignore


def of_request(name: str, request: Any) -> Task:
    fields = ("id", "root_id", "parent_id", "group", SIZE)
    headers = {field: getattr(request, field, None) for field in fields}
    queue = (request.delivery_info or {}).get("routing_key")
    args, kwargs = request.args or (), request.kwargs or {}
    return described(name, headers, queue, request.chord, args, kwargs)


def described(
    name: str,
    headers: Mapping[str, Any],
    queue: str | None,
    chord: Any,
    args: Sequence[Any],
    kwargs: Mapping[str, Any],
) -> Task:
    """Tasks of a chord are children of its body, those of a group children of the group. What a
    task sends, and the later tasks of a chain, are children of the first one."""
    root = headers.get("root_id") if headers.get("parent_id") else None
    group_id, size = headers.get("group"), headers.get(SIZE)
    above = Task(group_id, "group", parent=root, total=size) if group_id and size else None
    return Task(
        headers["id"],
        name,
        queue,
        args,
        kwargs,
        parent=chord_of(chord, root) or above or root,
        tags=(f"group:{group_id}",) if group_id else (),
    )


def chord_of(body: Any, root: str | None) -> Task | None:
    """The body of the chord, which runs when all of its tasks have succeeded."""
    if not body:
        return None
    options = body.get("options") or {}
    id = options.get("task_id")
    return Task(id, body["task"], options.get("queue"), parent=root) if id else None
