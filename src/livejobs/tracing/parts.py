"""Which classes a service is made of: the plain ones or, with traces, those that make spans.

So without traces no report asks whether there are any, and OpenTelemetry is not loaded.
"""

from __future__ import annotations

from collections.abc import Callable, MutableMapping
from contextlib import AbstractContextManager
from typing import Any, Final, NamedTuple, Protocol

from livejobs.jobs.changes.reporting import Reporting
from livejobs.jobs.commit.committer import Committer
from livejobs.live.hub import Hub


class Parts(NamedTuple):
    committer: Callable[..., Committer] = Committer
    reporting: Callable[..., Reporting] = Reporting
    hub: Callable[..., Hub] = Hub


PLAIN: Final = Parts()


class Tracing(Protocol):
    @property
    def parts(self) -> Parts: ...

    def within(self, scope: MutableMapping[str, Any]) -> AbstractContextManager[None]:
        """Spans that are made inside belong to the trace that the request names."""

    async def stop(self) -> None:
        """Send what is left, within a time."""
