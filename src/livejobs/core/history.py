"""How many jobs came, ended and waited, over time.

Time is cut into steps of three lengths: one for each range that can be asked for. Each move of a
job from one status to another adds to the step that it falls in. A step holds sums only, so steps
of many projects can be added. What was queued at the end of a step is not kept either: it follows
from what is queued now, without the moves that came later.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Final, Literal, TypeAlias

from msgspec import Struct

from livejobs.core.model import STATUSES, Head, Status

RangeName: TypeAlias = Literal["hour", "day", "week"]
Step: TypeAlias = Mapping[int, int]  # what was counted in a step, by the numbers below


class Range(Struct, frozen=True):
    step: int  # ms
    points: int  # the last one is not over yet

    def begin(self, at: int) -> int:
        """The beginning of the step that a time falls in."""
        return at - at % self.step

    def since(self, now: int) -> int:
        """The beginning of the first step of the range."""
        return self.begin(now) - (self.points - 1) * self.step


RANGES: Final[Mapping[RangeName, Range]] = {
    "hour": Range(60_000, 60),
    "day": Range(900_000, 96),
    "week": Range(3_600_000, 168),
}
# What is counted. 0 and 1: jobs that became queued or running, less those that left; 2 to 4: jobs
# that ended so. These are the places in STATUSES.
CREATED: Final = len(STATUSES)
RUN: Final = 16  # and above: jobs that ran for a time of this class
CLASSES: Final = 8  # of run times, for each doubling: a class is 9 % wide


def moves(before: Head | None, after: Head | None) -> Iterator[tuple[int, int]]:
    """What a change of a job adds to, and how much."""
    if before is None:
        yield CREATED, 1
    elif not before.finished:
        yield STATUSES.index(before.status), -1
    if after is None:
        return
    yield STATUSES.index(after.status), 1
    if after.finished and after.started_at is not None and after.completed_at is not None:
        yield run_class(after.completed_at - after.started_at), 1


def run_class(ms: int) -> int:
    return RUN + (round(CLASSES * math.log2(ms)) + 1 if ms >= 1 else 0)


def seconds_of(run_class: int) -> float:
    """The middle of a class of run times, which is at most 5 % off."""
    power = (run_class - RUN - 1) / CLASSES
    return float(f"{2**power / 1000:.3g}") if run_class > RUN else 0.0


class History(Struct, frozen=True):
    """What a store knows of some projects: how many jobs there are now, and the steps of a range,
    by their beginning. Steps without a move are absent."""

    now: Mapping[Status, int]
    steps: Mapping[int, Step]


class Point(Struct, frozen=True):
    at: int  # the beginning of the step
    created: int
    succeeded: int
    failed: int
    cancelled: int
    queued: int  # at the end of the step
    running: int
    p50: float | None  # seconds that jobs ran which ended in this step; None: no job ended
    p95: float | None


def points(history: History, range: Range, now: int) -> Sequence[Point]:
    """The points of a range, oldest first. They are made backwards, from what is there now."""
    queued, running = history.now["queued"], history.now["running"]
    found: list[Point] = []
    since = range.since(now)
    ats = {*_ats(range, now), *history.steps}  # after a clock was set back, some are later than now
    for at in sorted(ats, reverse=True):
        step = history.steps.get(at, {})
        if since <= at <= now:
            found.append(_point(at, step, max(0, queued), max(0, running)))
        queued -= step.get(0, 0)
        running -= step.get(1, 0)
    return found[::-1]


def _ats(range_: Range, now: int) -> Sequence[int]:
    return [range_.since(now) + n * range_.step for n in range(range_.points)]


def total(points: Sequence[Point], history: History) -> Point:
    """The sum of all points. `queued` and `running` are those of now."""
    sums = Counter[int]()
    for point in points:
        sums.update(history.steps.get(point.at, {}))
    return _point(points[0].at, sums, history.now["queued"], history.now["running"])


def _point(at: int, step: Step, queued: int, running: int) -> Point:
    succeeded, failed, cancelled = (step.get(STATUSES.index(it), 0) for it in STATUSES[2:])
    runs = sorted((what, n) for what, n in step.items() if what >= RUN)
    p50, p95 = _percentile(runs, 0.5), _percentile(runs, 0.95)
    return Point(at, step.get(CREATED, 0), succeeded, failed, cancelled, queued, running, p50, p95)


def _percentile(runs: Sequence[tuple[int, int]], part: float) -> float | None:
    """The nearest-rank percentile of jobs by class of run time."""
    left = math.ceil(part * sum(n for _, n in runs))
    for run_class, n in runs:
        left -= n
        if left <= 0:
            return seconds_of(run_class)
    return None
