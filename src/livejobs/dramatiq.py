"""Dramatiq: `livejobs.dramatiq.install(broker)`, where the broker is made."""

from __future__ import annotations

import sys
import threading
from collections.abc import Mapping
from typing import Any, Unpack

try:
    from dramatiq import Broker, Message, MessageProxy, Middleware
    from dramatiq.common import q_name
    from dramatiq.middleware import Interrupt, SkipMessage
    from dramatiq.threading import raise_thread_exception
except ImportError as error:
    raise ImportError("livejobs.dramatiq needs Dramatiq: install 'dramatiq'.") from error

from livejobs.client.errors import Cancelled
from livejobs.queues import origin
from livejobs.queues.base import Bridge, Options
from livejobs.queues.run import Run
from livejobs.queues.task import Task


class Terminated(Interrupt):
    """Raised in the thread of an actor whose job somebody asked to cancel."""


def install(broker: Broker, *, terminate: bool = False, **options: Unpack[Options]) -> None:
    """Show each message as a job. `terminate`: raise `Terminated` in a running actor whose job is
    cancelled; else it has to look at `livejobs.current().cancelled`."""
    if any(isinstance(one, Jobs) for one in broker.middleware):
        return
    bridge = Bridge("dramatiq", **options)
    # First in the list, so that it hears of the end last: when it is clear that the message is not
    # retried.
    broker.add_middleware(Jobs(bridge, terminate=terminate))
    broker.middleware.insert(0, broker.middleware.pop())
    broker.add_middleware(NoRetry())


class Jobs(Middleware):
    def __init__(self, bridge: Bridge, *, terminate: bool) -> None:
        self._bridge = bridge
        self._terminate = terminate
        self._ending = threading.Lock()  # so that only an actor is interrupted

    # Where a message is sent

    def before_enqueue(self, broker: Broker, message: Message[Any], delay: int) -> None:
        """A message that is sent again while it runs is retried. The server has to know before
        another worker can begin the next attempt."""
        run = origin.own(message.message_id)
        if run is not None:
            self._forget(run)
            run.retry(sys.exception())
            run.settle()
        elif (root := origin.root()) is not None:
            message.options.setdefault(origin.ROOT, root)

    def after_enqueue(self, broker: Broker, message: Message[Any], delay: int) -> None:
        if origin.own(message.message_id) is None:
            self._bridge.sent(described(message))

    # Where it runs

    def before_process_message(self, broker: Broker, message: MessageProxy) -> None:
        run = self._bridge.begin(described(message), queue=q_name(message.queue_name))
        if run.refused:
            raise SkipMessage("The job was cancelled.")
        origin.enter(run)
        if self._terminate:
            self._interrupt_on_cancel(run, message)

    def _interrupt_on_cancel(self, run: Run, message: MessageProxy) -> None:
        thread = threading.get_ident()

        def interrupt() -> None:
            with self._ending:
                if self._bridge.run(run.task.id) is run:
                    message.options["max_retries"] = 0
                    # Dramatiq gives no types here.
                    raise_thread_exception(thread, Terminated)  # type: ignore[no-untyped-call]

        run.on_cancel(interrupt)

    def after_process_message(
        self,
        broker: Broker,
        message: MessageProxy,
        *,
        result: Any = None,
        exception: BaseException | None = None,
    ) -> None:
        run = self._left(message)
        if run is None:
            return
        if exception is None:
            run.succeed(result)
        elif isinstance(exception, Cancelled | Terminated):
            run.cancel()
        else:
            run.fail(exception)  # has no effect after a retry: the first end counts
        run.close()
        if exception is not None and message.failed:
            self._fail_callback(run.task, exception)

    def after_skip_message(self, broker: Broker, message: MessageProxy) -> None:
        """Another middleware leaves the message out. It has failed if it is too old, for one."""
        run = self._left(message)
        if run is None:
            return
        reason = sys.exception()
        if message.failed and reason is not None:
            run.fail(reason)
            self._fail_callback(run.task, reason)
        else:
            run.cancel()
        run.close()

    def _left(self, message: MessageProxy) -> Run | None:
        run = origin.own(message.message_id)
        if run is not None:
            self._forget(run)
        origin.leave()
        return run

    def _forget(self, run: Run) -> None:
        with self._ending:
            if self._bridge.run(run.task.id) is run:
                self._bridge.ended(run.task.id)

    def _fail_callback(self, task: Task, error: BaseException) -> None:
        """It is never sent when a message of its group has failed."""
        if isinstance(task.parent, Task):
            self._bridge.failed(task.parent, error)


class NoRetry(Middleware):
    """Last in the list, so that it hears of the end before the middleware that retries."""

    def after_process_message(
        self,
        broker: Broker,
        message: MessageProxy,
        *,
        result: Any = None,
        exception: BaseException | None = None,
    ) -> None:
        if isinstance(exception, Cancelled):
            message.options["max_retries"] = 0


def described(message: Message[Any] | MessageProxy) -> Task:
    """Messages of a group are children of its callback, which runs when all of them have succeeded.
    What an actor sends, and the later messages of a pipeline, are children of the first one."""
    callback = callback_of(message.options)
    parent = described(callback) if callback else message.options.get(origin.ROOT)
    return Task(
        message.message_id,
        message.actor_name,
        q_name(message.queue_name),
        message.args,
        message.kwargs,
        parent=None if parent == message.message_id else parent,
    )


def callback_of(options: Mapping[str, Any]) -> Message[Any] | None:
    """In a pipeline the last message has it."""
    while target := options.get("pipe_target"):
        options = target["options"]
    callbacks = options.get("group_completion_callbacks")
    return Message(**callbacks[0]) if callbacks else None
