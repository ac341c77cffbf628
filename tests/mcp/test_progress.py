"""Notifications of progress to a waiting client, in any order of states."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from livejobs.core.model import Head, Progress, Status, Stored
from livejobs.jobs.state import Slot
from livejobs.mcp.tools.progress import Telling

NEW = Head("j", "default", "o", 0, 0, 0)
STATES = st.tuples(
    st.none() | st.integers(0, 100), st.none() | st.sampled_from(["a", "b", "„\u2028\n"])
)


def job() -> Slot:
    return Slot(Stored(NEW, 1), "e", "", None)


def move(slot: Slot, percent: int | None, message: str | None, status: Status = "running") -> None:
    progress = Progress(reported=percent, message=message)
    slot.take(replace(NEW, status=status, progress=progress), slot.seq + 1, ())


def told(telling: Telling, slot: Slot) -> dict[str, Any] | None:
    message = telling.next(slot)
    if message is None:
        return None
    assert b"\n" not in message
    params: dict[str, Any] = json.loads(message)["params"]
    return params


@given(st.lists(STATES, max_size=20))
def test_progress_rises_each_time_and_no_higher_percent_is_left_out(
    states: list[tuple[int | None, str | None]],
) -> None:
    slot, telling, highest = job(), Telling(b'"t"'), -1
    for percent, message in states:
        move(slot, percent, message)
        params = told(telling, slot)
        if params is None:
            assert percent is None or percent <= highest
            continue
        assert params["progressToken"] == "t"
        assert params["progress"] > highest
        highest = params["progress"]
        assert params.get("total") == (None if percent is None else 100)
        assert percent is None or params["progress"] == percent
        assert params["message"]


@given(st.lists(STATES, min_size=1, max_size=20))
def test_a_state_is_told_once(states: list[tuple[int | None, str | None]]) -> None:
    slot, telling = job(), Telling(b"0")
    for percent, message in states:
        move(slot, percent, message)
        telling.next(slot)
        assert telling.next(slot) is None


def test_each_client_is_told_by_its_own_token_and_from_the_state_in_which_it_began() -> None:
    slot = job()
    early, late = Telling(b"1"), Telling(b"2")
    move(slot, 80, None)
    assert told(early, slot) == {
        "progressToken": 1, "progress": 80, "total": 100, "message": "running",
    }  # fmt: skip
    move(slot, 5, "again")
    assert told(early, slot) is None
    assert told(late, slot) == {
        "progressToken": 2, "progress": 5, "total": 100, "message": "again",
    }  # fmt: skip


def test_the_message_tells_where_the_job_is() -> None:
    slot = job()
    slot.take(
        replace(
            NEW,
            status="running",
            progress=Progress(current=0.3, total=1_500_000, unit="frames", message="Pass 2"),
        ),
        2,
        (),
    )
    params = told(Telling(b"0"), slot)
    assert params is not None
    assert params["message"] == "Pass 2: 0.3 of 1500000 frames"
