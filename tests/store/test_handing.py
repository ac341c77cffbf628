"""The event loop blocks for a moment for what the thread does, and then goes on."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable

import pytest

from livejobs.store.sqlite.handing import Handed
from tests.support.server import LONG_ENOUGH


def start(handed: Handed[str]) -> threading.Thread:
    thread = threading.Thread(target=handed.run, daemon=True)
    thread.start()
    return thread


async def test_a_short_call_has_ended_when_the_loop_goes_on() -> None:
    handed = Handed(lambda _: "done", to_end=True)
    start(handed)
    handed.block(LONG_ENOUGH)
    assert handed.ended
    assert await handed.outcome() == "done"


async def test_of_a_long_call_only_the_begin_is_waited_for() -> None:
    end = threading.Event()

    def call(begun: Callable[[], None]) -> str:
        begun()
        end.wait(LONG_ENOUGH)
        return "done"

    handed = Handed(call, to_end=False)
    start(handed)
    handed.block(LONG_ENOUGH)
    assert not handed.ended
    outcome = asyncio.ensure_future(handed.outcome())
    await asyncio.sleep(0)
    assert not outcome.done()
    end.set()
    assert await outcome == "done"


async def test_the_loop_goes_on_when_a_call_takes_longer() -> None:
    end = threading.Event()

    def call(begun: Callable[[], None]) -> str:
        begun()
        end.wait(LONG_ENOUGH)
        return "done"

    handed = Handed(call, to_end=True)
    start(handed)
    handed.block(0.001)
    assert not handed.ended
    end.set()
    assert await handed.outcome() == "done"


@pytest.mark.parametrize("to_end", [True, False])
async def test_an_exception_before_the_begin_is_raised(to_end: bool) -> None:
    def call(_: Callable[[], None]) -> str:
        raise ZeroDivisionError

    handed = Handed(call, to_end=to_end)
    start(handed)
    handed.block(LONG_ENOUGH)
    with pytest.raises(ZeroDivisionError):
        await handed.outcome()


async def test_a_caller_that_gave_up_is_not_resumed() -> None:
    end = threading.Event()

    def call(_: Callable[[], None]) -> str:
        end.wait(LONG_ENOUGH)
        return "done"

    handed = Handed(call, to_end=True)
    thread = start(handed)
    outcome = asyncio.ensure_future(handed.outcome())
    await asyncio.sleep(0)
    outcome.cancel()
    end.set()
    await asyncio.to_thread(thread.join)
    with pytest.raises(asyncio.CancelledError):
        await outcome
