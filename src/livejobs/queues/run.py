"""One attempt of a task, in the process that works on it."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import threading
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from livejobs.client.worker import opened
from livejobs.client.worker.block import Block
from livejobs.client.worker.failure import described, formatted
from livejobs.client.worker.job import AT_THE_END
from livejobs.queues.group import end_with_the_last
from livejobs.queues.patience import Patience
from livejobs.queues.quiet import quietly
from livejobs.queues.task import Task, job_id

if TYPE_CHECKING:
    from livejobs.client.sending.channel import Channel

ASK: Final = 2.0  # seconds that a task waits to hear whether its job was cancelled
RESULT: Final = 16 * 1024  # bytes of JSON: a larger result is left out


class Run:
    """Verbs queue a report and return at once. The first end counts. None of them raises."""

    def __init__(
        self,
        task: Task,
        job: Block,
        parent: Block,
        *,
        results: bool,
        worker: dict[str, Any],
        patience: Patience,
    ) -> None:
        """`parent`: a job that has to be there before this one can be created as its child."""
        self.task = task
        self.job = job
        self.parent = parent
        self.refused = False  # the job was cancelled before: do not start the task
        self._results = results
        self._patience = patience
        self._worker = {"host": socket.gethostname(), "pid": os.getpid(), **worker}
        self._channel: Channel | None = job.channel
        self._token: opened.Token | None = None
        self._fresh = self._channel is not None and self._channel.outbox.creation is not None

    # Beginning: `ask`, which blocks, then `enter`, in the thread or task that will work.

    def ask(self) -> None:
        """Create the job if it is absent, and wait until the server has said how it stands."""
        for channel in (self.parent.channel, self._channel):
            if channel is not None:
                channel.wake()
                self._patience.wait(channel, partial(_known, channel), ASK)

    @property
    def finished(self) -> bool:
        """The task has ended before, and is run again all the same."""
        channel = self._channel
        if channel is None or not self._fresh or channel.cancelled:
            return False
        return bool(channel.heard.get("completed_at"))

    @quietly
    def enter(self) -> None:
        """The work begins, unless the job was cancelled: `refused` says so."""
        if self._channel is None:
            return
        if self.job.cancelled or self.parent.cancelled:
            self.refused = True
            if self._heard() != "cancelled":
                self.job.end_cancelled()
            return
        if self._fresh and self._heard() == "running":  # by a worker that has gone
            self._say_retry("The worker was lost, and the task runs again.")
        self._token = opened.enter(self.job)
        self.job.start(**self._worker)

    def _heard(self) -> Any:
        return None if self._channel is None else self._channel.heard.get("status")

    def _say_retry(self, error: str) -> None:
        if self._channel is not None:
            self._channel.say("retry", {"type": "retry", "error": error})

    # Ends

    @property
    def cancelled(self) -> bool:
        """Whether somebody asked to cancel the job. Asking has no effect on how it ends."""
        return self._channel is not None and self._channel.cancelled

    @quietly
    def succeed(self, value: Any = None) -> None:
        """A task that saw the cancel and returned nothing has not succeeded."""
        if value is None and self.job.saw_cancel:
            self.job.end_cancelled()
        else:
            self.job.succeed(value if self._results and is_small(value) else None)

    @quietly
    def fail(self, error: BaseException) -> None:
        self.job.fail(described(error), type(error).__name__, formatted(error))

    @quietly
    def retry(self, error: BaseException | str | None = None) -> None:
        """Another attempt follows, in whatever process. A loop that still exists in the traceback
        must not report any more: its progress would start the job again."""
        channel = self._channel
        if channel is not None:
            for source in tuple(channel.sources):
                channel.remove(source)
        said = described(error) if isinstance(error, BaseException) else error
        self.job.retry(said)

    @quietly
    def cancel(self) -> None:
        self.job.end_cancelled()

    @quietly
    def leave(self) -> None:
        """The job is not the current one any more."""
        if self._token is not None:
            opened.leave(self.job, self._token)
            self._token = None

    @quietly
    def settle(self) -> None:
        """Wait until the server has everything, for a moment, else until it is on disk."""
        settle(self.task, self._channel, self._patience)

    def close(self) -> None:
        self.leave()
        self.settle()

    async def close_async(self) -> None:
        self.leave()
        if self._channel is not None:
            await asyncio.shield(asyncio.to_thread(self.settle))

    def on_cancel(self, act: Callable[[], None]) -> None:
        """Call it once, in a thread, when somebody asks to cancel the job while it runs."""
        channel = self._channel
        if channel is None:
            return

        def wait() -> None:
            with channel.changed:
                channel.changed.wait_for(lambda: channel.cancelled or _done(channel))
            if channel.cancelled:
                quietly(act)()

        threading.Thread(target=wait, name="livejobs-cancel", daemon=True).start()


def settle(task: Task, channel: Channel | None, patience: Patience) -> None:
    if channel is None:
        return
    try:
        patience.wait(channel, partial(_settled, channel), AT_THE_END)
    finally:
        channel.keep(sync=True)
    above, box = task.parent, channel.outbox
    if isinstance(above, Task) and above.total and box.idle and not box.resting:
        end_with_the_last(channel.target, job_id(above.id), above.total)


def _known(channel: Channel) -> bool:
    """The server has answered, or does not answer at all now."""
    return channel.outbox.creation is None or channel.outbox.over or channel.away


def _settled(channel: Channel) -> bool:
    return channel.outbox.idle or channel.away or channel.released


def _done(channel: Channel) -> bool:
    return channel.outbox.ended or channel.outbox.over or channel.outbox.resting


def is_small(value: Any) -> bool:
    """Whether JSON can hold the value as it is, in few bytes."""
    try:
        return len(json.dumps(value, allow_nan=False)) <= RESULT
    except (TypeError, ValueError, RecursionError):
        return False
