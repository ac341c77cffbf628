"""Histograms count as Prometheus defines it."""

from __future__ import annotations

import asyncio
import math
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from livejobs.telemetry import lag
from livejobs.telemetry.histogram import NUMBERS, SECONDS, Histogram
from livejobs.telemetry.lag import LoopLag

VALUES = st.lists(st.one_of(st.floats(0, 1e6), st.sampled_from((0, *SECONDS, *NUMBERS))))


@given(VALUES, st.sampled_from([SECONDS, NUMBERS, (0,)]))
def test_each_bound_counts_the_values_that_are_not_above_it(
    values: list[float], bounds: tuple[float, ...]
) -> None:
    histogram = Histogram(bounds)
    for value in values:
        histogram.add(value)
    expected = [(bound, sum(it <= bound for it in values)) for bound in (*bounds, math.inf)]
    assert histogram.up_to() == expected
    assert histogram.sum == pytest.approx(sum(values))


async def test_a_loop_that_is_held_up_lags(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lag, "EVERY", 0.001)
    measured = LoopLag()
    running = asyncio.create_task(measured.run())
    await asyncio.sleep(0)
    time.sleep(0.1)  # noqa: ASYNC251 - holds up the loop, which is what is measured
    await asyncio.sleep(0.001)  # the timer of the measurement is due before this one
    running.cancel()
    assert measured.seconds.sum >= 0.09
