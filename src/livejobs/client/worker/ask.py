"""Ask a person, and wait for the answer: `job.ask("Publish?", {"type": "boolean"})`."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from livejobs.client.sending.channel import Channel
    from livejobs.client.sending.question import Question


def ask(channel: Channel, prompt: str, schema: Any, timeout: float | None) -> Any:
    settled = threading.Event()
    with _open(channel, channel.ask(_said(prompt, schema), settled.set)) as question:
        settled.wait(None if timeout is None else min(timeout, threading.TIMEOUT_MAX))
    return question.value


async def ask_async(channel: Channel, prompt: str, schema: Any, timeout: float | None) -> Any:
    """Without a thread that waits: the loop could not end before it."""
    loop = asyncio.get_running_loop()
    settled = asyncio.Event()

    def told() -> None:
        with suppress(RuntimeError):  # the loop is closed: nobody waits
            loop.call_soon_threadsafe(settled.set)

    asked = channel.ask(_said(prompt, schema), told)
    with _open(channel, asked) as question, suppress(TimeoutError):
        async with asyncio.timeout(timeout):
            await settled.wait()
    return question.value


def _said(prompt: str, schema: Any) -> Mapping[str, Any]:
    more = {} if schema is None else {"schema": schema}
    return {"type": "ask", "prompt": prompt, **more}


@contextmanager
def _open(channel: Channel, question: Question) -> Iterator[Question]:
    """Meanwhile there are heartbeats, whose answers bring the answer."""
    channel.enter()
    try:
        yield question
    finally:
        channel.leave()
        if not question.settled:
            channel.give_up(question)
