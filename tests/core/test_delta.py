"""A client that applies the deltas has the same job as the server."""

from __future__ import annotations

from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from livejobs.core.delta import EMPTY, Delta, apply, diff, merge
from livejobs.core.model import KINDS
from tests.support.strategies import json_values, names

values = json_values | st.sampled_from([0, 1, False, True, [1], [True], {"a": 0}, {"a": False}])
# A job has all of its fields from its start. These stand for fields of a fixed shape and for fields
# that hold any JSON.
FIELDS = {"status": names, "attempt": st.integers(0, 3), "meta": values, "result": values}
views = st.fixed_dictionaries(FIELDS)
lists = st.dictionaries(
    st.sampled_from(KINDS), st.lists(st.integers(), max_size=3).map(tuple), max_size=3
)
deltas = st.builds(Delta, st.dictionaries(st.sampled_from([*FIELDS]), values, max_size=3), lists)
jobs = views | st.builds(lambda a, b: {**a, **b}, views, lists)


def as_seen(job: Any) -> Any:
    """A form in which 1 and True differ, as they do in JSON."""
    return msgspec.json.encode(job, order="sorted")


@given(views, views)
def test_applying_a_difference_gives_the_newer_view(old: Any, new: Any) -> None:
    assert as_seen(apply(old, Delta(diff(old, new), {}))) == as_seen(new)


@given(views)
def test_a_view_does_not_differ_from_itself(view: Any) -> None:
    copy = msgspec.json.decode(msgspec.json.encode(view))
    assert diff(view, copy) == {}


@given(views, views)
def test_a_difference_holds_only_what_differs(old: Any, new: Any) -> None:
    assert all(as_seen(old[name]) != as_seen(value) for name, value in diff(old, new).items())


@given(jobs, st.lists(deltas, max_size=5))
def test_applying_merged_deltas_is_applying_them_one_by_one(job: Any, deltas: list[Delta]) -> None:
    merged, one_by_one = EMPTY, job
    for delta in deltas:
        merged = merge(merged, delta)
        one_by_one = apply(one_by_one, delta)
    assert as_seen(apply(job, merged)) == as_seen(one_by_one)


@given(deltas, deltas, deltas)
def test_it_does_not_matter_which_are_merged_first(a: Delta, b: Delta, c: Delta) -> None:
    assert as_seen(merge(merge(a, b), c)) == as_seen(merge(a, merge(b, c)))


@given(jobs, deltas)
def test_applying_leaves_the_old_view_as_it_was(job: Any, delta: Delta) -> None:
    before = as_seen(job)
    apply(job, delta)
    assert as_seen(job) == before


@given(names)
def test_a_field_that_was_not_there_is_new_even_as_null(name: str) -> None:
    assert diff({}, {name: None}) == {name: None}
