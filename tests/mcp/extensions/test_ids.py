"""Ids of tasks: only this server makes them, and each is for one job."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from livejobs.access.keyring import Keyring
from livejobs.core.model import ID_PATTERN, Head
from livejobs.mcp.extensions.ids import LONGEST, id_of, job_of
from livejobs.store.memory import MemoryStore

KEYRING = Keyring(MemoryStore())
ids = st.from_regex(ID_PATTERN, fullmatch=True)
times = st.integers(0, 2**45)


def head(id: str, at: int = 0) -> Head:
    return Head(id, "default", "anonymous", at, at, at)


@given(ids, times)
def test_the_id_of_a_task_leads_back_to_its_job(id: str, at: int) -> None:
    made = id_of(KEYRING, head(id, at))
    assert job_of(KEYRING, made) == id
    assert len(made) <= LONGEST
    assert made.isascii()
    assert made.isprintable()


@given(ids, times, times)
def test_a_later_job_of_the_same_id_has_another_task(id: str, at: int, later: int) -> None:
    same = id_of(KEYRING, head(id, at)) == id_of(KEYRING, head(id, later))
    assert same == (at == later)


@given(ids, st.data())
def test_an_id_that_was_changed_leads_nowhere(id: str, data: st.DataObject) -> None:
    made = id_of(KEYRING, head(id))
    at = data.draw(st.integers(0, len(made.partition(".")[0]) - 1))
    other = data.draw(st.sampled_from("Ab0-").filter(lambda it: it != made[at]))
    assert job_of(KEYRING, made[:at] + other + made[at + 1 :]) is None


@given(st.text(max_size=40) | st.from_regex(r"[\w-]{0,9}\.[\w-]{0,30}", fullmatch=True))
def test_no_text_leads_to_a_job_by_chance(text: str) -> None:
    assert job_of(KEYRING, text) is None


@pytest.mark.parametrize("text", ["", ".", "..", "a" * 100_000, "e30.e30", "\ud800.x"])
def test_odd_texts_lead_nowhere(text: str) -> None:
    assert job_of(KEYRING, text) is None


def test_another_server_does_not_know_the_id() -> None:
    assert job_of(Keyring(MemoryStore()), id_of(KEYRING, head("teaser"))) is None
