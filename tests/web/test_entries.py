"""The entries of a job over REST, in pages."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.api import Api


def numbers(page: Any, kind: str = "logs") -> list[int]:
    return [entry["n"] for entry in page[kind]]


@pytest.mark.parametrize("kind", ["logs", "results", "errors"])
def test_entries_are_paged_through_to_the_last(api: Api, spoken: str, kind: str) -> None:
    found: list[int] = []
    after: int | None = 0
    while after is not None:
        page = api.get(f"/v1/jobs/{spoken}/{kind}?after={after}").json()
        found += numbers(page, kind)
        assert page["next"] == (found[-1] if len(found) < 250 else None)
        after = page["next"]
    assert found == [*range(1, 251)]
    page = api.get(f"/v1/jobs/{spoken}/{kind}?after=240&limit=10").json()
    assert (numbers(page, kind), page["next"]) == ([*range(241, 251)], None)


@pytest.mark.parametrize("after", [250, 2**30 - 1, 2**30, 2**32, 2**53])
def test_past_the_last_entry_there_is_nothing_not_another_kind(
    api: Api, spoken: str, after: int
) -> None:
    for kind in ("logs", "results", "errors"):
        page = api.get(f"/v1/jobs/{spoken}/{kind}?after={after}").json()
        assert page == {kind: [], "next": None}


def test_an_entry_has_its_names(api: Api, spoken: str) -> None:
    entries = {
        kind: api.get(f"/v1/jobs/{spoken}/{kind}?limit=1").json()[kind][0]
        for kind in ("logs", "results", "errors")
    }
    assert {entry.pop("at")[-1] for entry in entries.values()} == {"Z"}
    assert entries == {
        "logs": {"n": 1, "level": "info", "source": "s", "message": "line 1"},
        "results": {"n": 1, "value": {"n": 1}},
        "errors": {"n": 1, "message": "bad 1", "item": 1, "detail": None},
    }


@pytest.mark.parametrize(
    ("level", "share"), [("debug", 250), ("info", 188), ("warning", 125), ("error", 62)]
)
def test_a_level_is_the_least_that_is_shown(api: Api, spoken: str, level: str, share: int) -> None:
    page = api.get(f"/v1/jobs/{spoken}/logs?level={level}&limit=1000").json()
    assert len(page["logs"]) == share


def test_a_tail_is_the_last_lines_in_order(api: Api, spoken: str) -> None:
    page = api.get(f"/v1/jobs/{spoken}/logs?tail=3").json()
    assert (numbers(page), page["next"]) == ([248, 249, 250], None)
    page = api.get(f"/v1/jobs/{spoken}/logs?tail=2&level=error").json()
    assert numbers(page) == [243, 247]
