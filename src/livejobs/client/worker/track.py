"""Loops that report: `for item in job.track(items)`.

The loop only counts. The reporter looks at the count when it is about to send, so that nothing in
the loop reads a clock, and the last count is seen even while one item takes long.
"""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

if TYPE_CHECKING:
    from livejobs.client.sending.channel import Channel

T = TypeVar("T")


class Tracked(Protocol):
    """What a loop asks of its job."""

    raises: bool
    """A cancel is raised within the loop."""

    def live(self) -> Channel | None:
        """None: there is nobody to report to, or the job has ended. May raise Cancelled."""

    def cancel(self) -> None:
        """Raise Cancelled."""


class Count:
    """How far a loop is: the main progress of its job, or a step of it. The loop writes `n`."""

    __slots__ = ("_channel", "_said", "_said_total", "n", "step", "stop", "total")

    def __init__(self, channel: Channel, total: Any, step: str | None) -> None:
        self.n: Any = 0
        self.total = total
        self.step = step  # None: the main progress
        self.stop = False  # the loop raises Cancelled at its next item
        self._channel = channel
        self._said: Any = None
        self._said_total = total

    def poll(self) -> None:
        n, total = self.n, self.total
        if n == self._said and total == self._said_total:
            return
        said = {"current": n}
        if total is not None:
            said["total"] = total
        self._said, self._said_total = n, total
        if self.step is None:
            self._channel.progress(said)
        else:
            self._channel.step(self.step, said)


def begin(
    channel: Channel,
    total: Any,
    name: str | None,
    title: str | None,
    unit: str | None,
    make: Callable[[Channel, Any, str | None], Count] = Count,
) -> Count:
    """The first open loop of a job is its progress; those within it, or beside it, are steps."""

    def place() -> Count:
        taken = [source.step for source in channel.sources if isinstance(source, Count)]
        main = name is None and None not in taken
        count = make(channel, total, None if main else name or _unused(taken))
        channel.sources.append(count)
        return count

    # Within a finalizer of just this thread the place is not known in time: then it only loops.
    count = channel.guard.run(place) or make(channel, total, name or "loop")
    if count.step is None:
        given = {"total": total, "unit": unit, "message": title}
        channel.progress({key: value for key, value in given.items() if value is not None})
    else:
        said = {"status": "running", "current": 0, "total": total, "title": title}
        channel.step(count.step, {key: value for key, value in said.items() if value is not None})
    return count


def _unused(taken: list[str | None]) -> str:
    """Loops without a name take turns with few steps, one for each level."""
    level = 2
    while f"Level {level}" in taken:
        level += 1
    return f"Level {level}"


def end(channel: Channel, count: Count, *, whole: bool) -> None:
    """`whole`: the loop has come to its end. Another may go on, or have failed: the job's own end
    tells."""
    if channel.remove(count) and whole and count.step is not None:
        channel.step(count.step, {"status": "succeeded", "current": count.n})


def length(iterable: Any) -> int | None:
    try:
        return len(iterable)
    except TypeError:
        return None


class Track(Generic[T]):
    """An iterable that reports each time it is iterated."""

    def __init__(
        self,
        job: Tracked,
        iterable: Iterable[T],
        total: Any,
        *,
        name: str | None,
        title: str | None,
        unit: str | None,
    ) -> None:
        self._job = job
        self._iterable = iterable
        self._total = length(iterable) if total is None else total
        self._shown = (name, title, unit)

    def __len__(self) -> int:
        return len(self._iterable)  # type: ignore[arg-type]  # TypeError, as without us

    def __iter__(self) -> Iterator[T]:
        channel = self._job.live()
        if channel is None:
            return iter(self._iterable)
        return self._counted(channel)

    def _counted(self, channel: Channel) -> Iterator[T]:
        count = begin(channel, self._total, *self._shown)
        count.stop = self._job.raises and channel.cancelled
        watch = Watch(self._job, channel, count) if self._job.raises else None
        whole = False
        n = 0
        try:
            for item in self._iterable:
                if count.stop:
                    self._job.cancel()
                yield item
                n += 1
                count.n = n
            whole = True
        finally:
            if watch is not None:
                channel.remove(watch)
            end(channel, count, whole=whole)


class Watch:
    """Tells a loop to stop when its job was cancelled: the loop itself only looks at a flag."""

    def __init__(self, job: Tracked, channel: Channel, count: Count) -> None:
        self._channel = channel
        self._count = count
        channel.add(self)

    def poll(self) -> None:
        self._count.stop = self._channel.cancelled


class AsyncTrack(Generic[T]):
    def __init__(
        self,
        job: Tracked,
        iterable: AsyncIterable[T],
        total: Any,
        *,
        name: str | None,
        title: str | None,
        unit: str | None,
    ) -> None:
        self._job = job
        self._iterable = iterable
        self._total = length(iterable) if total is None else total
        self._shown = (name, title, unit)

    async def __aiter__(self) -> AsyncIterator[T]:
        channel = self._job.live()
        count = None if channel is None else begin(channel, self._total, *self._shown)
        whole = False
        try:
            async for item in self._iterable:
                self._job.live()  # raises Cancelled where that was asked for
                yield item
                if count is not None:
                    count.n += 1
            whole = True
        finally:
            if channel is not None and count is not None:
                end(channel, count, whole=whole)
