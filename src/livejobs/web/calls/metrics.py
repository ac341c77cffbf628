"""`/metrics`: the numbers that the server keeps anyway, in the format of Prometheus.

Nothing is counted for this page alone, so it costs nothing where nobody reads it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Mapping
from importlib.metadata import version
from typing import Final, NamedTuple

from prometheus_client import CollectorRegistry, Metric, ProcessCollector, generate_latest
from prometheus_client.core import GaugeMetricFamily, InfoMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.registry import Collector
from starlette.requests import Request
from starlette.responses import Response

from livejobs.service import LiveJobs
from livejobs.web import http
from livejobs.web.calls.measures import Kind, labelled, measured
from livejobs.web.guard import admit


class Row(NamedTuple):
    name: str  # after "livejobs_"
    kind: Kind
    help: str
    of: str | Mapping[str, str]  # the key of statistics(), or one for each value of the label
    label: str = ""


ROWS: Final = (
    Row("jobs", "gauge", "Jobs in memory. Finished ones: only those read last.",
        {"queued": "jobs_queued", "running": "jobs_running",
         "finished": "jobs_finished_in_memory"}, "status"),
    Row("commits", "counter", "Transactions. Each holds all changes that waited for it.",
        "commits"),
    Row("commits_again", "counter",
        "Transactions made again, because another node had committed first.", "commits_again"),
    Row("commits_refused", "counter", "Transactions that the store did not take.",
        "commits_refused"),
    Row("commit_queue", "gauge", "Operations that wait for the next transaction.",
        "commit_queue"),
    Row("reports", "counter", "Reports applied. Repeats of a numbered report do not count.",
        "reports"),
    Row("changes", "counter", "Changes committed. All reports of a request are one change.",
        "changes"),
    Row("nodes", "gauge", "Nodes that use the same database, this one included.", "nodes"),
    Row("leads", "gauge",
        "1 on the node that marks silent jobs, removes expired ones and sends webhooks.", "leads"),
    Row("store_failing", "gauge", "1 while the store refuses writes.", "store_failing"),
    Row("viewers", "gauge", "Open streams (SSE) and sockets (WebSocket).",
        {"stream": "streams", "socket": "sockets"}, "kind"),
    Row("viewers_slow", "gauge", "Viewers that have not yet taken what was sent to them.",
        "connections_slow"),
    Row("subscriptions", "gauge", "Subscriptions to jobs and feeds, of all viewers.",
        "subscriptions"),
    Row("subscriptions_behind", "gauge",
        "Subscriptions that catch up, or wait until their client takes more.",
        "subscriptions_behind"),
    Row("channels", "gauge", "Different subscriptions. Each is encoded once.",
        "channels"),
    Row("deliveries", "counter", "Sends to subscriptions. One can hold several messages.",
        "deliveries"),
    Row("messages", "counter", "Messages in these sends.", "messages"),
    Row("message_bytes", "counter",
        "Bytes of these messages, without what SSE, WebSocket and HTTP add.", "message_bytes"),
    Row("resyncs", "counter", "Times that a subscription caught up, at its start too.",
        "resyncs"),
    Row("downloads", "counter", "Downloads sent to their last byte.", "downloads"),
    Row("download_bytes", "counter", "Bytes of files sent.", "download_bytes"),
    Row("uploads_unfinished", "gauge", "Resumable uploads in progress.", "uploads_unfinished"),
    Row("downloads_arriving", "gauge", "Downloads sent, not yet acknowledged.",
        "downloads_arriving"),
    Row("files_read", "gauge", "Files being sent.", "files_being_read"),
    Row("expired_jobs", "counter", "Jobs removed because their time was over.", "expired_jobs"),
    Row("expired_overdue_seconds", "gauge",
        "How long the oldest job that is still to be removed is over its time.",
        "expired_overdue"),
    Row("entries_removed", "counter",
        "Log lines, results and errors removed: of removed jobs, or beyond what is kept.",
        "entries_removed"),
    Row("entry_bytes_removed", "counter", "Their bytes.", "entry_bytes_removed"),
    Row("files_removed", "counter", "Files removed with their jobs, or replaced.",
        "files_removed"),
    Row("store_bytes_returned", "counter",
        "Bytes by which the SQLite file has shrunk.", "store_bytes_returned"),
    Row("webhook_deliveries", "counter", "Attempts to deliver to a webhook, by outcome.",
        {"delivered": "webhooks_delivered", "retried": "webhooks_retried",
         "failed": "webhooks_failed"}, "outcome"),
    Row("webhook_waiting", "gauge", "Deliveries that wait. On the node that leads.",
        "webhooks_waiting"),
    Row("webhook_sending", "gauge", "Deliveries being sent.", "webhooks_sending"),
    Row("webhook_oldest_seconds", "gauge", "Age of the oldest delivery that waits.",
        "webhooks_oldest_seconds"),
)  # fmt: skip
SUMS: Final = {"jobs_unfinished", "connections"}  # of numbers above


async def exposed(request: Request) -> Response:
    live = http.service(request)
    if not live.settings.metrics_public:
        await admit(live, request.scope, "metrics", "read")
    state = request.app.state
    # Only our own runner knows these.
    admission, connections, lines = (
        getattr(state, name, None) for name in ("admission", "connections", "log_lines")
    )
    families = [
        *_counted(live.statistics()),
        *_refused(live, {} if admission is None else admission.refused),
        *await measured(live, None if admission is None else admission.limit),
    ]
    if connections is not None:
        help = "Connections of all kinds."
        families.append(GaugeMetricFamily("livejobs_connections", help, len(connections)))
    if lines is not None:
        families.append(labelled("counter", "log_lines", "Lines logged.", ("level",), lines))
    body = await asyncio.to_thread(_written, families)  # the process's own are read from files
    headers = {"content-type": CONTENT_TYPE_PLAIN_0_0_4, "cache-control": "no-store"}
    return Response(body, headers=headers)


def _counted(numbers: Mapping[str, int]) -> Iterator[Metric]:
    for row in ROWS:
        by_label = {(): row.of} if isinstance(row.of, str) else {(v,): k for v, k in row.of.items()}
        values = {label: numbers[key] for label, key in by_label.items()}
        yield labelled(row.kind, row.name, row.help, (row.label,) if row.label else (), values)


AT_THE_DOOR: Final = ("max_connections", "max_connections_per_address")


def _refused(live: LiveJobs, at_the_door: Mapping[str, int]) -> Iterator[Metric]:
    refused = dict.fromkeys(AT_THE_DOOR, 0) | live.refusals()
    times = {(limit,): times + at_the_door.get(limit, 0) for limit, times in refused.items()}
    yield labelled("counter", "refused", "Requests refused, by limit.", ("limit",), times)


class _Made(Collector):
    """A collector of metrics that are made already."""

    def __init__(self, families: Iterable[Metric]) -> None:
        self._families = families

    def collect(self) -> Iterable[Metric]:
        return self._families


def _written(families: Iterable[Metric]) -> bytes:
    registry = CollectorRegistry(auto_describe=False)
    build = InfoMetricFamily("livejobs_build", "This server.", {"version": version("livejobs")})
    registry.register(_Made([*families, build]))
    ProcessCollector(registry=registry)
    return generate_latest(registry)
