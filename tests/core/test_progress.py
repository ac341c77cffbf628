"""Percent, rate and ETA make sense or are None, whatever is reported at whatever time."""

from __future__ import annotations

from collections.abc import Iterable
from math import isfinite

import pytest
from hypothesis import given
from hypothesis import strategies as st

from livejobs.core.model import Head, Progress, Step
from livejobs.core.progress import (
    FARTHEST_ETA,
    SAMPLE,
    as_percent,
    counted,
    fraction,
    job_fraction,
    paced,
    percent,
    step_fraction,
)
from tests.support.strategies import amounts, maybe, names

statuses = st.sampled_from(["pending", "running", "succeeded", "failed", "skipped"])
steps = st.lists(
    st.builds(Step, names, weight=amounts, status=statuses, current=maybe(amounts),
              total=maybe(amounts)),
    max_size=4,
).map(tuple)  # fmt: skip
told = st.builds(
    Progress, reported=maybe(st.integers(0, 100)), current=maybe(amounts), total=maybe(amounts)
)
# Milliseconds that pass between reports; clocks are also set back.
passing = st.sampled_from([0, 1, SAMPLE - 1, SAMPLE, 1000, 10**6, 10**12, -1, -3_600_000])


def follow(seen: Iterable[tuple[float, int]], total: float | None = None) -> Progress:
    """The progress after these values, each some milliseconds after the one before."""
    progress, now = Progress(total=total), 0
    for value, passed in seen:
        now += passed
        progress = paced(
            Progress(current=value, total=total, pace=progress.pace, rate=progress.rate), (), now
        )
    return progress


@given(maybe(amounts), maybe(amounts))
def test_a_fraction_is_within_0_and_1_or_none(current: float | None, total: float | None) -> None:
    part = fraction(current, total)
    assert part is None or 0 <= part <= 1


@given(told, steps)
def test_percent_is_a_whole_number_from_0_to_100_or_none(
    progress: Progress, steps: tuple[Step, ...]
) -> None:
    shown = as_percent(job_fraction(progress, steps))
    assert shown is None or (type(shown) is int and 0 <= shown <= 100)
    assert all((as_percent(step_fraction(step)) or 0) in range(101) for step in steps)


@given(st.lists(st.tuples(told, steps, passing), max_size=8))
def test_rate_and_eta_are_never_nan_negative_or_infinite(
    samples: list[tuple[Progress, tuple[Step, ...], int]],
) -> None:
    kept, now = Progress(), 10**12
    for progress, some_steps, passed in samples:
        now += passed
        with_pace = Progress(progress.reported, progress.current, progress.total, pace=kept.pace)
        kept = paced(with_pace, some_steps, now)
        assert kept.rate is None or (isfinite(kept.rate) and kept.rate >= 0)
        assert kept.eta is None or (isfinite(kept.eta) and 0 <= kept.eta <= FARTHEST_ETA)


@given(st.integers(1, 1000), st.integers(SAMPLE, 1000))
def test_a_steady_worker_has_its_own_rate(each: int, every: int) -> None:
    """From its end on the warm-up leaves nothing behind: the estimate is unbiased at once."""
    reports = 2000 // every + 2
    progress = follow(((each * n, every) for n in range(reports)), total=each * 100_000)
    assert progress.rate == pytest.approx(each * 1000 / every, rel=1e-3)
    left = each * (100_000 - reports + 1)
    assert progress.eta == pytest.approx(left / (each * 1000 / every), rel=1e-3, abs=0.1)


def test_a_rate_means_nothing_before_the_warm_up_has_passed() -> None:
    assert follow([(0, 0), (10, 1999)]).rate is None
    assert follow([(0, 0), (10, 2000)]).rate == 5.0


def test_a_change_of_speed_is_followed_within_a_few_time_constants() -> None:
    slow = [(n, 1000) for n in range(60)]
    fast = [(60 + 10 * n, 1000) for n in range(60)]
    assert follow(slow).rate == pytest.approx(1, rel=0.01)
    assert follow([*slow, *fast]).rate == pytest.approx(10, rel=0.06)


def test_reports_closer_than_a_sample_are_joined_and_lose_no_work() -> None:
    burst = [(n, 1) for n in range(3001)]
    assert follow(burst).rate == pytest.approx(1000, rel=0.05)


def test_time_without_work_slows_the_rate_and_is_not_forgotten() -> None:
    assert follow([(0, 0), (100, 10_000)]).rate == 10
    assert follow([(0, 0), (100, 10_000), (100, 10_000)]).rate == pytest.approx(3.8, abs=0.1)


def test_work_undone_starts_the_measuring_anew() -> None:
    assert follow([(0, 0), (100, 5000), (10, 1000)]).rate is None


def test_a_clock_set_back_starts_the_measuring_anew() -> None:
    assert follow([(0, 0), (100, 5000), (200, -1000)]).rate is None


def test_a_goal_that_is_reached_has_an_eta_of_zero() -> None:
    assert follow([(0, 0), (120, 5000)], total=100).eta == 0.0


def test_an_end_past_ten_years_has_no_eta() -> None:
    assert follow([(0, 0), (1e-9, 5000)], total=2**53).eta is None


def test_without_a_total_there_is_a_rate_and_no_eta() -> None:
    progress = follow([(0, 0), (100, 5000)])
    assert (progress.rate, progress.eta) == (20.0, None)


def test_percent_alone_has_an_eta_and_no_rate() -> None:
    start = paced(Progress(reported=0), (), 0)
    later = paced(Progress(reported=50, pace=start.pace), (), 10_000)
    assert (later.rate, later.eta) == (None, 10.0)


@pytest.mark.parametrize(
    ("progress", "steps", "shown"),
    [
        (Progress(), (), None),
        (Progress(reported=42, current=1, total=2), (), 42),
        (Progress(current=1, total=3), (), 33),
        (Progress(current=5), (), None),
        (Progress(total=5), (), 0),
        (Progress(current=5, total=0), (), None),
        (Progress(current=9, total=5), (), 100),
        (Progress(), (Step("a", status="succeeded"), Step("b")), 50),
        (Progress(), (Step("a", status="succeeded", weight=3), Step("b")), 75),
        (Progress(), (Step("a", status="skipped"), Step("b", status="failed")), 50),
        (Progress(), (Step("a", status="running", current=1, total=4), Step("b")), 12),
        (Progress(), (Step("a", status="running"),), 0),
        (Progress(), (Step("a", weight=0),), None),
        (Progress(), tuple(Step(str(n), status="succeeded", weight=1 / 3) for n in range(30)), 100),
        (Progress(current=1, total=10), (Step("a", status="succeeded"),), 10),
        (Progress(total=10), (Step("a", status="succeeded"), Step("b")), 50),
    ],
)
def test_percent_is_reported_or_follows_from_other_reports(
    progress: Progress, steps: tuple[Step, ...], shown: int | None
) -> None:
    assert as_percent(job_fraction(progress, steps)) == shown


def test_a_job_that_succeeded_is_at_100_whatever_was_reported() -> None:
    head = Head("j", "default", "me", 0, 0, 0, status="succeeded", progress=Progress(reported=3))
    assert percent(head) == 100


def test_a_job_that_failed_stays_where_it_was() -> None:
    head = Head("j", "default", "me", 0, 0, 0, status="failed", progress=Progress(reported=3))
    assert percent(head) == 3


def test_29_of_100_is_29_and_99_point_9_is_not_yet_100() -> None:
    assert as_percent(0.29) == 29
    assert as_percent(0.999) == 99


@pytest.mark.parametrize(
    ("amount", "words"),
    [
        ((420, 1000, "frames"), "420 of 1000 frames"),
        ((1234567, 2e6, None), "1234567 of 2000000"),
        ((2**53, None, "bytes"), "9007199254740992 bytes"),
        ((0.1 + 0.2, 1.5, "GB"), "0.3 of 1.5 GB"),
        ((0, None, None), "0"),
    ],
)
def test_an_amount_is_worded_without_an_exponent(
    amount: tuple[float, float | None, str | None], words: str
) -> None:
    assert counted(*amount) == words
