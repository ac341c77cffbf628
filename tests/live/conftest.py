"""Async tests of this room run on a loop whose time is set by hand (see by_hand.py)."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping

import pytest
from pytest_asyncio.plugin import LoopFactory

from livejobs import clock
from tests.live.by_hand import HandLoop, hand_loop
from tests.live.world import World


def pytest_asyncio_loop_factories() -> Mapping[str, LoopFactory]:
    return {"by-hand": HandLoop}


@pytest.fixture
async def time_by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    """The wall clock moves with the loop's."""
    monkeypatch.setattr(clock, "now_ms", hand_loop().now_ms)


@pytest.fixture
async def world(time_by_hand: None) -> AsyncIterator[World]:
    async with World() as world:
        yield world


@pytest.fixture(params=["inline", "task"])
async def either(time_by_hand: None, request: pytest.FixtureRequest) -> AsyncIterator[World]:
    """A hub over each kind of sink."""
    async with World(inline=request.param == "inline") as world:
        yield world
