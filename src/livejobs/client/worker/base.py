"""What a worker knows of its job, whether it may still report, and how a report leaves it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from livejobs.client.errors import Cancelled
from livejobs.client.worker import opened

if TYPE_CHECKING:
    from livejobs.client.sending.channel import Channel


class BaseJob:
    """A job without its verbs, which WorkerJob adds."""

    def __init__(
        self,
        channel: Channel | None,
        id: str,
        *,
        owned: bool = False,
        inside: bool = False,
        raise_on_cancel: bool = False,
    ) -> None:
        """`owned`: the block ends the job. `inside`: it runs in a command that will end it."""
        self._channel = channel
        self._id = id
        self._owned = owned
        self._inside = inside
        self._pid = os.getpid()
        self.raises = raise_on_cancel
        self._over = channel is None  # this worker sends nothing more
        self._entered = False  # the channel counts it among those that work
        self._acted = False  # the worker was told that it is cancelled
        self._begun: dict[str, Any] = {}
        self.patient = False  # an async block will see to what it owes the disk
        self.owes = False
        self._token: opened.Token | None = None

    @property
    def id(self) -> str:
        """ "" when there is no server to report to."""
        return self._id

    @property
    def channel(self) -> Channel | None:
        """For other ways to report: None when there is no server to report to."""
        return self.live()

    @property
    def page(self) -> str | None:
        """The address of the job's page. None when there is no server to report to."""
        if self._channel is None:
            return None
        return self._channel.page or f"{self._channel.target.url}/jobs/{self._id}"

    @property
    def cancelled(self) -> bool:
        """Whether somebody asked to cancel the job. A block that is left after this was true ends
        the job as cancelled, unless `succeed` or `fail` was called."""
        if self._channel is not None and self._channel.cancelled:
            self._acted = True
            return True
        return False

    @property
    def saw_cancel(self) -> bool:
        """Whether the worker was told that the job is cancelled."""
        return self._acted

    def __repr__(self) -> str:
        return f"<WorkerJob {self._id or 'that reports nowhere'}>"

    def live(self) -> Channel | None:
        """The channel while the worker may report. Raises Cancelled where that was asked for."""
        channel = self._channel
        if channel is None or self._over:
            return None
        if channel.cancelled and self.raises:
            self.cancel()
        return channel

    def cancel(self) -> None:
        self._acted = True
        raise Cancelled(self._id)

    def _say(self, kind: str, report: Mapping[str, Any]) -> None:
        channel = self.live()
        if channel is not None and channel.say(kind, report):
            self._spill(channel)

    def _spill(self, channel: Channel) -> None:
        """Memory is full. Under asyncio the disk is awaited, unless nobody awaits."""
        if self.patient and channel.outbox.bytes < 2 * channel.share:
            self.owes = True
        else:
            channel.spill()

    def _end(self, kind: str, report: Mapping[str, Any]) -> None:
        """The first end counts. It raises no Cancelled: the work is over anyway."""
        if self._channel is not None and not self._over:
            self._over = True
            self._channel.say(kind, report)
            self._leave()

    def _enter(self) -> None:
        if self._channel is not None and not self._entered:
            self._entered = True
            self._channel.enter()

    def _leave(self) -> None:
        if self._channel is not None and self._entered:
            self._entered = False
            self._channel.leave()
