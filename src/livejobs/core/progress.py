"""How far a job is: percent, rate and ETA from what was said. Never NaN, negative or infinite.

The rate is decayed work over decayed time, so it starts unbiased and follows a change of speed
within about a time constant. It is None until it has been watched for a warm-up.
"""

from __future__ import annotations

from math import exp
from typing import Final, Literal, NamedTuple

from msgspec.structs import replace

from livejobs.core.model import Head, Number, Pace, Progress, Step

TIME_CONSTANT: Final = 20.0  # seconds
WARM_UP: Final = 2_000  # milliseconds
SAMPLE: Final = 50  # milliseconds; closer reports are joined into one sample
FARTHEST_ETA: Final = 10 * 365 * 86_400.0  # past ten years nothing is meant by it


def fraction(current: Number | None, total: Number | None) -> float | None:
    """Done over total, within 0 and 1; None when there is no total."""
    if not total or total <= 0:
        return None
    return min(1.0, max(0.0, (current or 0) / total))


def step_fraction(step: Step) -> float | None:
    """None: it runs, and nobody can know how far it is."""
    if step.status in ("succeeded", "skipped"):
        return 1.0
    known = fraction(step.current, step.total)
    return 0.0 if known is None and step.status == "pending" else known


def steps_fraction(steps: tuple[Step, ...]) -> float | None:
    weight = sum(step.weight for step in steps)
    if weight <= 0:
        return None
    return min(1.0, sum((step_fraction(s) or 0.0) * s.weight for s in steps) / weight)


def job_fraction(progress: Progress, steps: tuple[Step, ...]) -> float | None:
    """An explicit percent wins, then current of total, then the weighted steps."""
    if progress.said is not None:
        return progress.said / 100
    if progress.current is not None and progress.total:
        return fraction(progress.current, progress.total)
    if steps and progress.current is None:
        return steps_fraction(steps)
    return fraction(progress.current, progress.total)


def as_percent(part: float | None) -> int | None:
    # The sum of a thousand thirds may end a hair under 1.
    return None if part is None else min(100, int(part * 100 + 1e-9))


def percent(head: Head) -> int | None:
    if head.status == "succeeded":
        return 100
    return as_percent(job_fraction(head.progress, head.steps))


class Measure(NamedTuple):
    """What the rate is a rate of, and where it ends."""

    unit: Literal["current", "percent"]
    value: float
    goal: float | None


def measure(progress: Progress, steps: tuple[Step, ...]) -> Measure | None:
    if progress.current is not None:
        return Measure("current", progress.current, progress.total)
    part = job_fraction(progress, steps)
    return None if part is None else Measure("percent", part * 100, 100)


def paced(progress: Progress, steps: tuple[Step, ...], now: int) -> Progress:
    """The progress with its rate and ETA as of now."""
    last = progress.pace
    if last is not None and 0 <= now - last.at < SAMPLE:
        return progress  # what came so close together makes one sample
    seen = measure(progress, steps)
    if seen is None:
        return progress
    pace = _sample(last, seen, now)
    rate = _rate(pace, now)
    return replace(
        progress,
        pace=pace,
        rate=_significant(rate) if rate is not None and seen.unit == "current" else None,
        eta=_eta(seen, rate),
    )


def _sample(pace: Pace | None, seen: Measure, now: int) -> Pace:
    # Work undone, another unit, or a clock set back: what was learned no longer holds.
    if pace is None or pace.unit != seen.unit or seen.value < pace.value or now < pace.at:
        return Pace(seen.unit, now, seen.value, now, 0.0, 0.0)
    passed = (now - pace.at) / 1000
    decay = exp(-passed / TIME_CONSTANT)
    return Pace(
        pace.unit,
        now,
        seen.value,
        pace.since,
        pace.work * decay + (seen.value - pace.value),
        pace.time * decay + passed,
    )


def _rate(pace: Pace, now: int) -> float | None:
    if pace.time <= 0 or now - pace.since < WARM_UP:
        return None
    return pace.work / pace.time


def _eta(seen: Measure, rate: float | None) -> float | None:
    if rate is None or rate <= 0 or not seen.goal:
        return None
    left = max(0.0, seen.goal - seen.value) / rate
    return round(left, 1) if left <= FARTHEST_ETA else None


def _significant(value: float) -> float:
    return float(f"{value:.4g}")
