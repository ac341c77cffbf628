"""What a server can do for the app beyond ASGI."""

from __future__ import annotations

from dataclasses import fields

import pytest

from livejobs.powers import NONE, Powers
from livejobs.server.powers import RUNNER
from livejobs.service import LiveJobs
from livejobs.store.memory import MemoryStore


@pytest.mark.parametrize("name", [field.name for field in fields(Powers)])
def test_our_own_runner_has_every_power(name: str) -> None:
    assert getattr(RUNNER, name) != getattr(NONE, name)


def test_a_service_expects_no_powers_of_its_server_unless_it_is_given_some() -> None:
    assert LiveJobs(store=MemoryStore()).powers == NONE


def test_without_powers_everything_goes_through_send() -> None:
    async def send(message: object) -> None:
        """Of another server."""

    assert not NONE.inline(send)
    assert NONE.writer_of(send) is None
    assert NONE.sender_of(send) is None
    assert not NONE.answer_at_once(send, 200, b"", b"")
    assert not NONE.called_directly({}, send)
