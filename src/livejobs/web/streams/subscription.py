"""What a subscription shows: its job or feed, from which position on, and to whom."""

from __future__ import annotations

from livejobs.core.access import Principal, require_project
from livejobs.core.errors import Invalid
from livejobs.live.channel import Viewer
from livejobs.live.frames import Wire
from livejobs.live.options import Filter, Options
from livejobs.live.sink import Sink
from livejobs.service import LiveJobs
from livejobs.web import http
from livejobs.web.streams import events as streams
from livejobs.web.streams.protocol import LONGEST_NAME, Feed, Subscribe


class Watch:
    """A subscription that a message asks for: first its job is looked up, then it begins."""

    def __init__(self, live: LiveJobs, by: Principal, message: Subscribe) -> None:
        self._live = live
        self._by = by
        self._message = message
        self.foreign = False
        self._since: int | None = None

    async def prepare(self) -> None:
        message, live = self._message, self._live
        if message.job is not None:
            self._slot = await live.find(message.job, self._by)
            project = self._slot.head.project
        else:
            assert message.feed is not None, "the message has a job or a feed"
            self._filter = filter_of(self._by, message.feed)
            project = self._filter.project
        self._since, self.foreign = await streams.position(live, project, message.since)

    def begin(self, sink: Sink, wire: Wire) -> Viewer:
        message, hub = self._message, self._live.hub
        options = Options(message.view, message.logs, message.rate)
        if message.job is not None:
            return hub.watch_job(sink, wire, self._slot, options, self._since, message.tail)
        return hub.watch_feed(sink, wire, self._filter, options, self._since, message.limit)


def filter_of(by: Principal, feed: Feed) -> Filter:
    project = feed.project or by.default_project
    require_project(by, project)
    return Filter(
        project=project,
        statuses=_names(feed, "status"),
        types=_names(feed, "type"),
        tags=_names(feed, "tag"),
        ids=streams.seen_ids(by, None if feed.jobs is None else _names(feed, "jobs")),
        parent=feed.parent,
        owner=feed.owner,
    )


def sees(by: Principal, viewer: Viewer) -> bool:
    channel = viewer.channel
    if channel is None or not by.may("view"):
        return False
    if channel.slot is not None:
        return by.sees(channel.slot.head)
    return by.sees_project(channel.filter.project) and (
        by.jobs is None or (bool(channel.filter.ids) and channel.filter.ids <= by.jobs)
    )


def _names(feed: Feed, field: str) -> frozenset[str]:
    """At most as many as a query may have: each is kept as long as the subscription lasts."""
    value = getattr(feed, field)
    names = value.split(",") if isinstance(value, str) else value
    if len(names) > http.NAMES or any(len(name) > LONGEST_NAME for name in names):
        bounds = f"at most {http.NAMES} names of at most {LONGEST_NAME} characters"
        raise Invalid.at(f"/feed/{field}", f"'{field}' takes {bounds}.")
    return frozenset(names) - {""}
