"""What `/metrics` shows beside the plain numbers: histograms, states, and numbers with labels.

Every label has a fixed set of values, so the number of series does not grow with jobs or clients.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from math import isinf
from typing import Any, Final, Literal, TypeAlias, get_args

from prometheus_client import Metric
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
)

from livejobs.live.channel import Shown
from livejobs.live.frames import Transport
from livejobs.service import LiveJobs
from livejobs.service.health import Census, Check
from livejobs.telemetry.histogram import Histogram

Kind: TypeAlias = Literal["gauge", "counter"]
Values: TypeAlias = Mapping[Any, float]  # by tuples with the values of the labels

FAMILIES: Final = {"gauge": GaugeMetricFamily, "counter": CounterMetricFamily}
HISTOGRAMS: Final = {
    "commit_seconds": "Time that the store takes for a transaction.",
    "commit_changes": "Changes in a transaction.",
    "loop_lag_seconds": "How late the event loop runs what is due.",
}


def labelled(
    kind: Kind, name: str, help: str, labels: Sequence[str], values: Values
) -> CounterMetricFamily | GaugeMetricFamily:
    family: CounterMetricFamily | GaugeMetricFamily
    family = FAMILIES[kind](f"livejobs_{name}", help, labels=labels)
    for of, value in values.items():
        family.add_metric(of, value)
    return family


async def measured(live: LiveJobs, most_connections: int | None) -> list[Metric]:
    health = live.health
    hub = live.hub
    free = await health.disk.free()
    return [
        *map(_histogram, HISTOGRAMS, live.histograms().values()),
        _watchers(hub.watchers()),
        *_of_jobs(await health.census()),
        _ready(health.given(free)),
        *_disk(free),
        _limits(live, most_connections),
    ]


def _histogram(name: str, histogram: Histogram) -> Metric:
    buckets = [(_bound(most), total) for most, total in histogram.up_to()]
    return HistogramMetricFamily(
        f"livejobs_{name}", HISTOGRAMS[name], buckets=buckets, sum_value=histogram.sum
    )


def _bound(most: float) -> str:
    return "+Inf" if isinf(most) else str(float(most))


def _watchers(counted: Mapping[tuple[Transport, Shown], int]) -> Metric:
    values = {
        (transport, shows): counted.get((transport, shows), 0)
        for transport in get_args(Transport)
        for shows in get_args(Shown)
    }
    help = "Subscriptions, by transport and by what they show."
    return labelled("gauge", "watchers", help, ("transport", "shows"), values)


def _of_jobs(census: Census) -> Iterator[Metric]:
    flagged: Values = {(flag,): number for flag, number in census.flagged.items()}
    help = "Unfinished jobs that have stalled, or that wait for an answer."
    yield labelled("gauge", "jobs_flagged", help, ("flag",), flagged)
    help = "How long the oldest queued job has been in its queue."
    yield labelled("gauge", "longest_queued_seconds", help, (), {(): census.longest_queued})


def _ready(checks: Iterable[Check]) -> Metric:
    values: Values = {(check.name,): int(check.ok) for check in checks}
    return labelled("gauge", "ready", "1 where a check of /readyz is ok.", ("check",), values)


def _disk(free: int | None) -> Iterator[Metric]:
    """Nothing while the disk does not answer: a number would be a guess."""
    if free is not None:
        help = "Free bytes of the disk with the data or, if it has less, with the files."
        yield labelled("gauge", "disk_free_bytes", help, (), {(): free})


def _limits(live: LiveJobs, most_connections: int | None) -> Metric:
    settings = live.settings
    values: dict[tuple[str, ...], float] = {
        ("max_queued",): settings.max_queued,
        ("min_free_bytes",): settings.min_free_bytes,
    }
    if most_connections is not None:
        values["max_connections",] = most_connections
    return labelled("gauge", "limit", "Settings to compare with.", ("limit",), values)
