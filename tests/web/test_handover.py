"""Streams and downloads run after the framework's layers only where nothing is around or inside the
app; everywhere else they run in place."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from starlette.middleware.gzip import GZipMiddleware
from starlette.types import Message, Receive, Send

from livejobs import LiveJobs, Settings, create_app
from livejobs.powers import NONE, Powers
from livejobs.store.memory import MemoryStore
from livejobs.web.handover import HANDOVER, Handover, hand_over


@pytest.mark.parametrize(
    ("direct", "wrapped", "handed_over"),
    [(True, False, True), (True, True, False), (False, False, False), (None, False, False)],
)
async def test_a_stream_is_handed_over_only_if_our_runner_called_the_bare_app(
    tmp_path: Path, direct: bool | None, wrapped: bool, handed_over: bool
) -> None:
    powers = NONE  # another server
    if direct is not None:
        powers = Powers(called_directly=lambda scope, send: bool(direct))
    async with LiveJobs(Settings(data=tmp_path), store=MemoryStore(), powers=powers) as live:
        await live.create(id="j")
        app = await asyncio.to_thread(create_app, live)
        if wrapped:
            app.add_middleware(GZipMiddleware)
        scope = {
            "type": "http", "method": "GET", "path": "/v1/jobs/j/events", "query_string": b"",
            "headers": [(b"host", b"localhost")],
        }  # fmt: skip
        sent: list[Message] = []

        async def receive() -> Message:
            return {"type": "http.disconnect"}

        async def send(message: Message) -> None:
            sent.append(message)

        await app(scope, receive, send)
        assert sent[0]["status"] == 200
        assert (scope["headers"] == []) == handed_over  # they are freed with the layers
        assert (HANDOVER in scope) == handed_over  # else the scope is not ours to change


async def test_work_that_is_handed_over_runs_when_the_layers_have_returned() -> None:
    done: list[str] = []

    async def work(receive: Receive, send: Send) -> None:
        done.append("work")

    async def receive() -> Message:
        raise AssertionError

    async def send(message: Message) -> None:
        raise AssertionError

    handover = Handover()
    await hand_over(work, {HANDOVER: handover, "headers": []}, receive, send)
    done.append("layers")
    await handover.run(receive, send)
    await handover.run(receive, send)  # once only
    await hand_over(work, {HANDOVER: None, "headers": []}, receive, send)
    assert done == ["layers", "work", "work"]
