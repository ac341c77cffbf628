"""rich's progress display, as the job's progress: `with livejobs.RichProgress() as progress:`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.progress import Progress

from livejobs.client.worker import block
from livejobs.client.worker.track import Count, begin, end

if TYPE_CHECKING:
    from livejobs.client.sending.channel import Channel

MOST = 50  # tasks of a display that are steps of the job


class RichProgress(Progress):
    """Its first task is the job's progress, all others are steps. It is otherwise rich's own."""

    _tasks_of: Tasks | None = None

    def start(self) -> None:
        super().start()
        channel = block.current().channel
        if channel is not None and self._tasks_of is None:
            self._tasks_of = Tasks(self, channel)

    def stop(self) -> None:
        super().stop()
        tasks, self._tasks_of = self._tasks_of, None
        if tasks is not None:
            tasks.close()


class Tasks:
    """Reads the display's tasks when the reporter is about to send."""

    def __init__(self, progress: Progress, channel: Channel) -> None:
        self._progress = progress
        self._channel = channel
        self._counts: dict[int, Count] = {}
        channel.add(self)

    def poll(self) -> None:
        for task in tuple(self._progress.tasks)[:MOST]:
            count = self._counts.get(task.id)
            if count is None:
                count = self._counts[task.id] = self._begun(task)
            count.n, count.total = task.completed, task.total

    def _begun(self, task: Any) -> Count:
        # The display's second task and all later ones are named, so that they become steps.
        name = f"{task.id + 1} {task.description}"[:200] if self._counts else None
        return begin(self._channel, task.total, name, task.description, None)

    def close(self) -> None:
        self._channel.remove(self)
        for count in self._counts.values():
            end(self._channel, count, whole=count.total is not None and count.n >= count.total)
