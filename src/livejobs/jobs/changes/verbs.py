"""Each kind of report as a call, for in-process code."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

from livejobs.core import reports as say
from livejobs.jobs.changes.reporting import Receipt


class Verbs(ABC):
    @abstractmethod
    async def report(self, *reports: say.AnyReport | Mapping[str, Any]) -> Receipt:
        """Apply all of the reports, or none."""

    async def start(self, **worker: Any) -> Receipt:
        return await self.report(say.Start(worker=worker or None))

    async def progress(self, **fields: Any) -> Receipt:
        """current, advance, total, percent, unit, message."""
        return await self.report(say.Progress(**fields))

    async def step(self, name: str, **fields: Any) -> Receipt:
        return await self.report(say.Step(name=name, **fields))

    async def log(self, message: str, **fields: Any) -> Receipt:
        return await self.report(say.Log(message=message, **fields))

    async def result(self, value: Any) -> Receipt:
        return await self.report(say.Result(value=value))

    async def error(self, message: str, **fields: Any) -> Receipt:
        """One item has failed; the job continues."""
        return await self.report(say.Error(message=message, **fields))

    async def count(self, **counters: float) -> Receipt:
        return await self.report(say.Count(counters=counters))

    async def meta(self, **values: Any) -> Receipt:
        """Merge these values into the job's meta; None removes a value."""
        return await self.report(say.Meta(set=values))

    async def heartbeat(self) -> Receipt:
        return await self.report(say.Heartbeat())

    async def retry(self, error: str | None = None) -> Receipt:
        """Send the job back to its queue, for another attempt."""
        return await self.report(say.Retry(error=error))

    async def cancelled(self) -> Receipt:
        """The job has ended because that was requested."""
        return await self.report(say.Cancelled())

    async def succeed(self, result: Any = None) -> Receipt:
        return await self.report(say.Succeed(result=result))

    async def fail(self, message: str, **fields: Any) -> Receipt:
        return await self.report(say.Fail(message=message, **fields))
