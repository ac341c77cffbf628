"""A job as its worker sees it: `with livejobs.job("render", total=240) as job:`."""

from __future__ import annotations

import os
import time
from collections.abc import AsyncIterable, Iterable, Mapping
from types import TracebackType
from typing import Any, Final, Self, TypeVar, overload

from livejobs.client.errors import Cancelled
from livejobs.client.plain import shortened
from livejobs.client.worker import opened
from livejobs.client.worker.base import BaseJob
from livejobs.client.worker.failure import TRACE, described, formatted, is_failure
from livejobs.client.worker.fields import (
    LINE,
    Level,
    Number,
    StepStatus,
    given,
    log_lines,
    progress_fields,
    this_worker,
)
from livejobs.client.worker.track import AsyncTrack, Track

T = TypeVar("T")

AT_THE_END: Final = 1.0  # seconds that a block waits for the server before it uses the spool


class WorkerJob(BaseJob):
    """Every call returns at once and raises nothing for what the server or the network does.

    Wrong arguments are handled as follows: an unknown keyword raises TypeError, as in any call. A
    value that the server refuses is dropped, and the reason is logged once.
    """

    def create(self) -> None:
        """Create the job now, queued, for another worker to start. Without this it is created with
        the first report."""
        channel = self.live()
        if channel is not None:
            channel.wake()

    def start(self, **worker: Any) -> None:
        """The work begins. A block calls this itself. From then on silence is filled with
        heartbeats. `worker`: a description of this worker."""
        self._enter()
        self._say("start", {"type": "start", "worker": worker or this_worker()})

    def progress(
        self,
        current: Number | None = None,
        total: Number | None = None,
        *,
        percent: float | None = None,
        unit: str | None = None,
        message: str | None = None,
    ) -> None:
        """How far the job has come. What is not given stays as it is."""
        channel = self._channel
        if channel is None or self._over:
            return
        if channel.cancelled and self.raises:
            self.cancel()
        more = percent is not None or unit is not None or message is not None
        if more or current is None:
            channel.progress(progress_fields(current, total, percent, unit, message))
        else:
            channel.current(current, total)

    def advance(self, by: Number = 1) -> None:
        """So much more is done. Several threads and processes may advance the same job."""
        channel = self._channel
        if channel is None or self._over:
            return
        if channel.cancelled and self.raises:
            self.cancel()
        channel.advance(by)

    def step(
        self,
        name: str,
        status: StepStatus | None = None,
        *,
        title: str | None = None,
        current: Number | None = None,
        total: Number | None = None,
        weight: Number | None = None,
    ) -> None:
        """A part of the job. The first report of a step starts it."""
        channel = self.live()
        if channel is None:
            return
        said = given(status=status, title=title, current=current, total=total, weight=weight)
        if channel.step(name, said):
            self._spill(channel)

    def log(self, message: object, level: Level = "info", *, source: str | None = None) -> None:
        """A line of the job's log. A longer one than the server takes becomes several."""
        if self.live() is not None:
            self.record(str(message), level, source, time.time())

    def record(self, text: str, level: Level, source: str | None, seconds: float) -> None:
        """A line of the log that was written at this time: seconds since 1970. Raises nothing,
        since whoever logs does not know of the job."""
        channel = self._channel
        if channel is None or self._over:
            return
        for said in log_lines(text, level, source, seconds):
            if channel.say("log", said):
                self._spill(channel)

    def result(self, value: Any) -> None:
        """One more result."""
        self._say("result", {"type": "result", "value": value})

    def item_error(
        self, message: object, item: str | Number | None = None, detail: Any = None
    ) -> None:
        """One item failed. The job goes on."""
        text = str(message)
        short = shortened(text, LINE)
        if short != text and detail is None:
            detail = text[:TRACE]
        self._say("error", {"type": "error", "message": short, **given(item=item, detail=detail)})

    def count(self, name: str | None = None, by: Number = 1, /, **counters: Number) -> None:
        """Add to counters: `count("merged")`, `count("merged", 3)`, or `count(merged=3)`."""
        channel = self.live()
        if channel is not None:
            channel.count({name: by, **counters} if name is not None else counters)

    def meta(self, **values: Any) -> None:
        """Facts about the job, merged with those that are there. None removes one."""
        self._say("meta", {"type": "meta", "set": values})

    def ask(
        self, prompt: object, schema: Mapping[str, Any] | None = None, timeout: float | None = None
    ) -> Any:
        """Ask a person, and wait for the answer. `schema`: a JSON Schema that the answer must fit.
        None: the time is over, nobody can be asked, or the question is void, as when the job is
        cancelled or asks another question."""
        channel = self.live()
        if channel is None or channel.cancelled:
            return None
        # Loaded on use: few jobs ask.
        from livejobs.client.worker.ask import ask  # noqa: PLC0415 - see above

        value = ask(channel, str(prompt), schema, timeout)
        if value is None:
            self.live()  # raises Cancelled where that was asked for
        return value

    def heartbeat(self) -> None:
        """The worker is alive. An open block sends this itself."""
        channel = self.live()
        if channel is not None:
            channel.beat()

    def succeed(self, result: Any = None) -> None:
        """End the job. Inside `livejobs run`, the command's exit ends it instead, and the value
        becomes a result."""
        if not self._inside:
            self._end("succeed", {"type": "succeed", "result": result})
        elif result is not None:
            self.result(result)

    def fail(self, message: object, code: str | None = None, detail: Any = None) -> None:
        """End the job as failed. Inside `livejobs run` it is an error, and the job goes on."""
        if self._inside:
            self.item_error(message, detail=detail)
            return
        said = given(code=code, detail=detail)
        self._end("fail", {"type": "fail", "message": shortened(str(message), LINE), **said})

    def end_cancelled(self) -> None:
        """End the job as cancelled."""
        if not self._inside:
            self._end("cancelled", {"type": "cancelled"})

    def retry(self, error: str | None = None) -> None:
        """Send the job back to the queue, for another attempt by another worker."""
        self._say("retry", {"type": "retry", **given(error=error)})
        self._over = True
        self._leave()

    @overload
    def track(self, iterable: Iterable[T], total: Number | None = None, *,
              name: str | None = None, title: str | None = None,
              unit: str | None = None) -> Track[T]: ...  # fmt: skip
    @overload
    def track(self, iterable: AsyncIterable[T], total: Number | None = None, *,
              name: str | None = None, title: str | None = None,
              unit: str | None = None) -> AsyncTrack[T]: ...  # fmt: skip
    def track(
        self,
        iterable: Iterable[T] | AsyncIterable[T],
        total: Number | None = None,
        *,
        name: str | None = None,
        title: str | None = None,
        unit: str | None = None,
    ) -> Track[T] | AsyncTrack[T]:
        """Iterate, and report the progress. A loop within such a loop is a step of the job, by its
        `name` if it has one."""
        if isinstance(iterable, AsyncIterable):
            return AsyncTrack(self, iterable, total, name=name, title=title, unit=unit)
        return Track(self, iterable, total, name=name, title=title, unit=unit)

    def upload(
        self,
        source: str | os.PathLike[str] | bytes,
        name: str | None = None,
        *,
        media_type: str | None = None,
        timeout: float = 60.0,
    ) -> Mapping[str, Any] | None:
        """Upload a file of the job: a path, or its bytes. Waits while the server is away, at most
        `timeout` seconds. Returns the file as the server has it, or None: the reason is logged."""
        channel = self.live()
        if channel is None:
            return None
        # Loaded on use: most jobs have no files.
        from livejobs.client.worker.uploads import upload  # noqa: PLC0415 - see above

        return upload(channel, source, name, media_type=media_type, timeout=timeout)

    def attach(
        self,
        path: str | os.PathLike[str] | None = None,
        *,
        url: str | None = None,
        name: str | None = None,
        media_type: str | None = None,
        timeout: float = 60.0,
    ) -> Mapping[str, Any] | None:
        """Attach a file that lies on the server's own disk, or at a URL. Returns as `upload`."""
        channel = self.live()
        if channel is None:
            return None
        # Loaded on use: most jobs have no files.
        from livejobs.client.worker.uploads import attach  # noqa: PLC0415 - see above

        where = os.fspath(path) if path is not None else None
        said = given(path=where, url=url, name=name, media_type=media_type)
        return attach(channel, said, timeout=timeout)

    def flush(self, timeout: float = 5.0) -> bool:
        """Wait until all reports are acknowledged. False: they are not, and are kept on disk."""
        channel = self._channel
        if channel is None:
            return True
        channel.wake()
        channel.finish(timeout, patient=True)
        return channel.outbox.idle

    # As a block

    def __enter__(self) -> Self:
        self._enter()
        self._token = opened.enter(self)
        if self._owned:
            self.start()
        elif self._begun:
            self._introduce()
        return self

    def _introduce(self) -> None:
        """What the block says of a job that is there already."""
        begun = self._begun
        said = {name: begun[name] for name in ("total", "unit") if name in begun}
        if said:
            self.progress(**said)
        if "meta" in begun:
            self.meta(**begun["meta"])

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool:
        stopped = self._close(error)
        if self._channel is not None:
            self._channel.finish(AT_THE_END)
        return stopped

    def _close(self, error: BaseException | None) -> bool:
        """Say how the block ended. True: the exception was the block's own and goes no further."""
        opened.leave(self, self._token)
        self._token = None
        stopped = isinstance(error, Cancelled) and error.job == self._id
        if self._ends_here():
            self._say_end(error)
        elif error is not None and self._inside and is_failure(error):
            self.item_error(described(error), detail=formatted(error))
        self._over = True
        self._leave()
        return stopped

    def _ends_here(self) -> bool:
        """A child made by fork leaves the same block, and the job is not its to end."""
        return self._owned and not self._over and self._pid == os.getpid()

    def _say_end(self, error: BaseException | None) -> None:
        if error is None and not self._acted:
            self.succeed()
        elif error is None or not is_failure(error):
            self.end_cancelled()
        else:
            self.fail(described(error), type(error).__name__, formatted(error))
