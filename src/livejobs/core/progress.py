"""Percent, rate and ETA of a job, from its reports. None of them is NaN, negative or infinite.

The rate is decayed work over decayed time, so it starts unbiased and follows a change of speed
within about one time constant. It is None until the warm-up is over.
"""

from __future__ import annotations

from math import exp
from typing import Final, Literal, NamedTuple

from msgspec.structs import replace

from livejobs.core.model import Head, Number, Pace, Progress, Step

TIME_CONSTANT: Final = 20.0  # seconds
WARM_UP: Final = 2_000  # milliseconds
SAMPLE: Final = 50  # milliseconds; reports that are closer make one sample
FARTHEST_ETA: Final = 10 * 365 * 86_400.0  # beyond ten years it means nothing


def fraction(current: Number | None, total: Number | None) -> float | None:
    """Done over total, within 0 and 1; None when there is no total."""
    if not total or total <= 0:
        return None
    return min(1.0, max(0.0, (current or 0) / total))


def step_fraction(step: Step) -> float | None:
    """None for a running step of unknown length."""
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
    if progress.reported is not None:
        return progress.reported / 100
    if progress.current is not None and progress.total:
        return fraction(progress.current, progress.total)
    if steps and progress.current is None:
        return steps_fraction(steps)
    return fraction(progress.current, progress.total)


def as_percent(part: float | None) -> int | None:
    # The sum of a thousand thirds may be slightly less than 1.
    return None if part is None else min(100, int(part * 100 + 1e-9))


def percent(head: Head) -> int | None:
    if head.status == "succeeded":
        return 100
    return as_percent(job_fraction(head.progress, head.steps))


def counted(current: Number, total: Number | None, unit: str | None) -> str:
    """For people: 420 of 1000 frames."""
    of = "" if total is None else f" of {_plain(total)}"
    return f"{_plain(current)}{of} {unit or ''}".rstrip()


def _plain(value: Number) -> str:
    """Without an exponent where there is a whole number, and without the noise of floats."""
    return str(int(value)) if value == int(value) else f"{value:.15g}"


class Measure(NamedTuple):
    """The value that the rate follows, and its end."""

    unit: Literal["current", "percent"]
    value: float
    goal: float | None


def measure(progress: Progress, steps: tuple[Step, ...]) -> Measure | None:
    if progress.current is not None:
        return Measure("current", progress.current, progress.total)
    part = job_fraction(progress, steps)
    return None if part is None else Measure("percent", part * 100, 100)


def paced(progress: Progress, steps: tuple[Step, ...], now: int) -> Progress:
    """Update the rate and the ETA."""
    last = progress.pace
    if last is not None and 0 <= now - last.at < SAMPLE:
        return progress
    measured = measure(progress, steps)
    if measured is None:
        return progress
    pace = _sample(last, measured, now)
    rate = _rate(pace, now)
    return replace(
        progress,
        pace=pace,
        rate=_significant(rate) if rate is not None and measured.unit == "current" else None,
        eta=_eta(measured, rate),
    )


def _sample(pace: Pace | None, measured: Measure, now: int) -> Pace:
    # Start again when work is undone, the unit changes, or the clock is set back.
    if pace is None or pace.unit != measured.unit or measured.value < pace.value or now < pace.at:
        return Pace(measured.unit, now, measured.value, now, 0.0, 0.0)
    passed = (now - pace.at) / 1000
    decay = exp(-passed / TIME_CONSTANT)
    return Pace(
        pace.unit,
        now,
        measured.value,
        pace.since,
        pace.work * decay + (measured.value - pace.value),
        pace.time * decay + passed,
    )


def _rate(pace: Pace, now: int) -> float | None:
    if pace.time <= 0 or now - pace.since < WARM_UP:
        return None
    return pace.work / pace.time


def _eta(measured: Measure, rate: float | None) -> float | None:
    if rate is None or rate <= 0 or not measured.goal:
        return None
    left = max(0.0, measured.goal - measured.value) / rate
    return round(left, 1) if left <= FARTHEST_ETA else None


def _significant(value: float) -> float:
    return float(f"{value:.4g}")
