"""Counts over time: what is counted, and what follows from the counts."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Sequence
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from livejobs.core.history import (
    RANGES,
    RUN,
    History,
    moves,
    points,
    run_class,
    seconds_of,
    total,
)
from livejobs.core.model import STATUSES, Head, Status

MINUTES = RANGES["hour"]
NOW = 1_000 * MINUTES.step + 5
lives = st.lists(
    st.tuples(st.integers(0, NOW), st.lists(st.sampled_from(STATUSES[:2]), max_size=3),
              st.none() | st.sampled_from(STATUSES[2:]), st.integers(0, 60_000)),
    max_size=20,
)  # fmt: skip


def head(status: Status, at: int, began: int | None = None) -> Head:
    ended = at if status in STATUSES[2:] else None
    return Head("j", "p", "o", 0, at, 0, status=status, started_at=began, completed_at=ended)


def of(heads: Sequence[Sequence[Head]]) -> History:
    """The history of these lives of jobs, each a sequence of heads."""
    steps: defaultdict[int, Counter[int]] = defaultdict(Counter)
    now = Counter(life[-1].status for life in heads)
    for life in heads:
        for before, after in pairwise([None, *life]):
            assert after is not None
            for what, n in moves(before, after):
                steps[MINUTES.begin(after.updated_at)][what] += n
    return History({status: now[status] for status in STATUSES}, steps)


@given(lives)
def test_what_was_queued_or_running_at_the_end_of_each_step_is_known(
    drawn: list[tuple[int, list[Status], Status | None, int]],
) -> None:
    heads = []
    for at, statuses, end, apart in drawn:
        words: list[Status] = ["queued", *statuses, *([end] if end else [])]
        heads.append([head(word, min(NOW, at + n * apart)) for n, word in enumerate(words)])
    for point in points(of(heads), MINUTES, NOW):
        upto = point.at + MINUTES.step
        there = [[it for it in life if it.updated_at < upto] for life in heads]
        states = Counter(life[-1].status for life in there if life)
        assert (point.queued, point.running) == (states["queued"], states["running"])


def test_a_range_has_all_its_points_with_or_without_moves() -> None:
    for range in RANGES.values():
        found = points(History(dict.fromkeys(STATUSES, 0), {}), range, NOW)
        assert len(found) == range.points
        assert {b.at - a.at for a, b in pairwise(found)} == {range.step}
        assert found[-1].at <= NOW < found[-1].at + range.step
        assert {(it.created, it.queued, it.p50) for it in found} == {(0, 0, None)}


def test_a_move_later_than_now_is_in_no_point_but_known() -> None:
    """The system's clock was set back."""
    history = of([[head("queued", NOW + 10 * MINUTES.step)]])
    assert {(it.created, it.queued) for it in points(history, MINUTES, NOW)} == {(0, 0)}


@given(st.integers(1, 10**12))
def test_a_run_time_is_at_most_five_percent_off(ms: int) -> None:
    assert math.isclose(seconds_of(run_class(ms)), ms / 1000, rel_tol=0.05)


def test_a_run_time_of_no_or_negative_length_is_counted() -> None:
    assert run_class(0) == run_class(-5) == RUN
    assert seconds_of(RUN) == 0


@given(st.lists(st.integers(1, 10**7), min_size=1, max_size=50))
def test_percentiles_are_near_those_of_the_run_times_themselves(runs: list[int]) -> None:
    history = of([[head("queued", 5), head("succeeded", NOW, NOW - ms)] for ms in runs])
    found = points(history, MINUTES, NOW)
    for point in (found[-1], total(found, history)):
        for mine, part in ((point.p50, 0.5), (point.p95, 0.95)):
            assert mine is not None
            exact = sorted(runs)[math.ceil(part * len(runs)) - 1] / 1000
            assert math.isclose(mine, exact, rel_tol=0.05)


@pytest.mark.parametrize("end", STATUSES[2:])
def test_a_job_that_never_ran_has_no_run_time(end: Status) -> None:
    found = points(of([[head("queued", NOW), head(end, NOW)]]), MINUTES, NOW)[-1]
    assert (found.created, found.queued, found.p50) == (1, 0, None)
    assert found.succeeded + found.failed + found.cancelled == getattr(found, end) == 1
