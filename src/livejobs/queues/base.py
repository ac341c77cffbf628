"""What every queue's integration does; each one maps its library's own signals on it.

    bridge.sent(task)                  when a task is sent: its job is created, queued
    run = bridge.begin(task, queue=…)  in the worker, before the task; `run.refused`: leave it out
    run.succeed(value)                 or fail(error), retry(error), cancel()
    run.close()                        in the same thread or task as `begin`
    bridge.cancelled(task)             revoked before a worker had it

None of it raises, and without a URL none of it does anything.
"""

from __future__ import annotations

import asyncio
import atexit
import os
import threading
import weakref
from collections.abc import Callable, Sequence
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any, Final, TypedDict

import livejobs.client.sending.process  # noqa: F401 - its exit handler has to be there first
from livejobs.client.settings import URL
from livejobs.client.worker.block import Block, job, silent
from livejobs.client.worker.failure import described, formatted
from livejobs.queues.patience import Patience
from livejobs.queues.quiet import logger, quietly
from livejobs.queues.run import Run, settle
from livejobs.queues.task import Task, creation

if TYPE_CHECKING:
    from livejobs.client.sending.channel import Channel

WAITING: Final = 1000  # jobs of sent tasks that the server has not answered for
RUNS: Final = 20  # of the same task after its end: more are not shown

Title = Callable[..., str]


class Options(TypedDict, total=False):
    """What `install` takes, for every library."""

    url: str | None
    key: str | None
    include: Sequence[str] | None  # patterns of task names, as `app.reports.*`
    exclude: Sequence[str]
    results: bool
    title: Title | None  # called with the task's arguments, returns the job's title


class Bridge:
    """One installation: what its options are, and which tasks run in this process."""

    def __init__(
        self,
        library: str,
        *,
        url: str | None = None,
        key: str | None = None,
        include: Sequence[str] | None = None,
        exclude: Sequence[str] = (),
        results: bool = True,
        title: Title | None = None,
    ) -> None:
        """`library`: its name. The others: see Options."""
        self.library = library
        self.results = results
        self._where: dict[str, Any] = {"url": url, "key": key}
        self._include = include
        self._exclude = exclude
        self._title = title
        self._runs: dict[str, Run] = {}
        self._waiting: weakref.WeakSet[Channel] = weakref.WeakSet()
        self._patience = Patience()
        self._pid = os.getpid()
        atexit.register(self._at_exit)  # runs before the handler that was registered first

    def wants(self, name: str) -> bool:
        if any(fnmatchcase(name, pattern) for pattern in self._exclude):
            return False
        return self._include is None or any(fnmatchcase(name, one) for one in self._include)

    def _shows(self, task: Task) -> bool:
        """The server is asked for first: without one, a task costs next to nothing."""
        if not (self._where["url"] or os.environ.get(URL)):
            return False
        return task.total is not None or self.wants(task.name)

    def job(self, task: Task, nth: int = 1) -> Block:
        """The task's job, which is created with the first report."""
        if not self._shows(task):
            return silent()
        return job(**creation(task, self.library, self._title_of(task), nth), **self._where)

    def _title_of(self, task: Task) -> str:
        found = None
        if self._title is not None and task.total is None:
            found = quietly(self._title)(*task.args, **task.kwargs)
        return str(found) if found else task.name.replace(":", ".").rpartition(".")[2]

    # Where the task does not run

    @quietly
    def sent(self, task: Task) -> None:
        """Create the job, queued. Costs the sender no more than putting it in a queue."""
        if not self._shows(task):
            return
        if isinstance(task.parent, Task):
            self.sent(task.parent)
        if len(self._waiting) >= WAITING:
            logger.debug("A job is created when its task starts: too many wait to be created.")
            return
        made = self.job(task)
        channel = made.channel
        if channel is not None:
            self._waiting.add(channel)
            made.create()

    def _at_exit(self) -> None:
        """While the server is away, jobs that wait are left to the workers: to keep each of them
        safe on disk would take long."""
        for channel in tuple(self._waiting):
            if channel.away and not channel.outbox.last:
                channel.outbox.over = True

    @quietly
    def cancelled(self, task: Task) -> None:
        """The queue has dropped the task."""
        made = self.job(task)
        channel = made.channel
        made.end_cancelled()
        self._settle_later(task, channel)

    @quietly
    def failed(self, task: Task, error: BaseException) -> None:
        """Somebody else than the task's own process says so, such as its parent."""
        made = self.job(task)
        channel = made.channel
        made.fail(described(error), type(error).__name__, formatted(error))
        self._settle_later(task, channel)

    # Where it runs

    def begin(self, task: Task, **worker: Any) -> Run:
        """Waits a moment to hear whether the job was cancelled. `worker`: beside host and pid."""
        run = self._made(task, worker)
        return self._entered(quietly(self._asked)(run, worker) or run)

    async def begin_async(self, task: Task, **worker: Any) -> Run:
        run = self._made(task, worker)
        if run.job.channel is not None:
            asked = await asyncio.to_thread(quietly(self._asked), run, worker)
            run = asked or run
        return self._entered(run)

    def run(self, id: str) -> Run | None:
        """The attempt of this task that runs in this process."""
        self._forget_parent()
        return self._runs.get(id)

    def ended(self, id: str) -> Run | None:
        """The same, the last time: `close` it."""
        self._forget_parent()
        return self._runs.pop(id, None)

    def _asked(self, run: Run, worker: dict[str, Any]) -> Run:
        run.ask()
        for nth in range(2, RUNS + 1):
            if not run.finished:
                break
            run = self._made(run.task, worker, nth)
            run.ask()
        return run

    def _made(self, task: Task, worker: dict[str, Any], nth: int = 1) -> Run:
        above = task.parent if isinstance(task.parent, Task) else None
        block = quietly(self.job)(task, nth) or silent()
        parent = quietly(self.job)(above) if above else None
        return Run(
            task, block, parent or silent(), results=self.results, worker=worker,
            patience=self._patience,
        )  # fmt: skip

    def _entered(self, run: Run) -> Run:
        run.enter()
        self._forget_parent()
        if run.refused:
            self._settle_later(run.task, run.job.channel)
        else:
            self._runs[run.task.id] = run
        return run

    def _forget_parent(self) -> None:
        """In a child made by fork: what runs in the parent does not run here."""
        if self._pid != os.getpid():
            self._pid = os.getpid()
            self._runs.clear()
            self._patience = Patience()

    def _settle_later(self, task: Task, channel: Channel | None) -> None:
        """A task that did not run may be the last of its group."""
        if channel is not None and isinstance(task.parent, Task) and task.parent.total:
            act, said = quietly(settle), (task, channel, self._patience)
            threading.Thread(target=act, args=said, daemon=True).start()
