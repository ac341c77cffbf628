"""What is known of the jobs that are watched: a fold over the events of a stream."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any, Final

from livejobs.client.reader.client import Client
from livejobs.client.reader.sse import Event

Job = Mapping[str, Any]

LINES: Final = 1000  # of the log, the newest ones
JOBS: Final = 500  # the newest ones
RATE: Final = 10  # states a second for a job: more are not seen


class Board:
    """`version` rises with each change."""

    def __init__(self) -> None:
        self.jobs: dict[str, Job] = {}
        self.lines: deque[Mapping[str, Any]] = deque(maxlen=LINES)
        self.away = False  # the stream is cut, and will be opened again
        self.over = False  # nothing more will come
        self.error: Exception | None = None
        self.version = 0

    def take(self, event: Event) -> Job | None:
        """The job, if the event is a new state."""
        self.version += 1
        self.away = False
        job: Job | None = None
        if event.name == "message":
            job = event.value
            self._put(job)
        elif event.name == "logs":
            self.lines += event.value
        elif event.name == "gone":
            self.jobs.pop(event.value["job"], None)
        elif event.name == "reset":  # another database answers: all comes anew
            self.jobs.clear()
            self.lines.clear()
        return job

    def _put(self, job: Job) -> None:
        self.jobs[job["id"]] = job
        if len(self.jobs) > JOBS:
            del self.jobs[self.oldest()]

    def oldest(self) -> str:
        """What is let go of first: finished jobs, then the others."""
        return str(min(self.jobs.values(), key=_rank)["id"])

    def newest_first(self) -> list[Job]:
        """Running jobs, then queued ones, then those that ended."""
        return sorted(self.jobs.values(), key=_rank, reverse=True)

    def cut(self) -> None:
        self.version += 1
        self.away = True


def _rank(job: Job) -> tuple[int, str, str]:
    order = {"running": 2, "queued": 1}.get(job["status"], 0)
    when = job["created_at"] if order else job["completed_at"] or job["created_at"]
    return order, when, job["id"]


class Follower:
    """Fills a board from a stream, in a thread. Hold `lock` while reading the board."""

    def __init__(
        self, client: Client, id: str | None, wake: Callable[[], None], **query: Any
    ) -> None:
        """`wake` is called after each change."""
        self.board = Board()
        self.lock = threading.Lock()
        self.id = id
        self._client = client
        self._wake = wake
        self._query = query
        self._stopped = False
        threading.Thread(target=self._run, name="follower", daemon=True).start()

    def stop(self) -> None:
        """The thread ends with the next event: a ping comes every 15 s."""
        self._stopped = True

    def _run(self) -> None:
        error: Exception | None = None
        try:
            for event in self._client.events(self.id, cut=self._cut, rate=RATE, **self._query):
                if self._stopped:
                    return
                with self.lock:
                    self.board.take(event)
                self._wake()
        except Exception as caught:  # noqa: BLE001 - the thread that waits raises it
            error = caught
        with self.lock:
            self.board.error, self.board.over = error, True
            self.board.version += 1
        self._wake()

    def _cut(self) -> None:
        with self.lock:
            self.board.cut()
        self._wake()
