"""Jobs and what may be said about them, at random and at the edges."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from livejobs.core import reports as say
from livejobs.core.model import LEVELS

EDGES = [0, 1, 0.0, 5e-324, 1e-9, 0.1, 99.999, 100, 2**53 - 1, 2**53, float(2**53)]
texts = st.text(max_size=8)  # has no lone surrogates, as JSON can't carry them
names = st.sampled_from(["a", "b", "c"])
amounts = st.sampled_from(EDGES) | st.integers(0, 200) | st.floats(0, 2**53, allow_subnormal=True)
signed = amounts | amounts.map(lambda amount: -amount)
percents = st.floats(0, 100)
json_values: st.SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=6,
)
objects = st.dictionaries(texts, json_values, max_size=3)
_numbers = st.fixed_dictionaries(
    {},
    optional={
        "producer": st.sampled_from(["p", "q"]),
        "n": st.integers(1, 6),
        "answered": st.integers(1, 3),
    },
).map(lambda said: said if "producer" in said else {k: said[k] for k in said if k != "n"})


def short(strategy: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """The same strategy with a short name: Hypothesis warns of the long names that others get."""

    @st.composite
    def drawn(draw: st.DrawFn) -> Any:
        return draw(strategy)

    return drawn()


producers = short(_numbers)


def maybe(strategy: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.none() | strategy


def said(kind: str, needed: Any = None, **optional: st.SearchStrategy[Any]) -> Any:
    """Reports of a type as they come over the wire, numbered or not."""
    fields = st.fixed_dictionaries(dict(needed or {}), optional=optional)
    return st.builds(lambda a, b: {"type": kind, **a, **b}, fields, producers)


retries = maybe(texts | st.fixed_dictionaries({"message": texts}, optional={"detail": json_values}))
_going_on: st.SearchStrategy[dict[str, Any]] = st.one_of(
    said("start", worker=maybe(objects)),
    said("heartbeat"),
    said(
        "progress",
        current=amounts,
        advance=amounts,
        total=amounts,
        percent=percents,
        unit=texts,
        message=texts,
    ),
    said(
        "step",
        {"name": names},
        status=st.sampled_from(["pending", "running", "succeeded", "failed", "skipped"]),
        title=texts,
        current=amounts,
        total=amounts,
        weight=amounts,
    ),
    said(
        "log",
        {"message": texts},
        level=st.sampled_from(LEVELS),
        source=texts,
        at=st.sampled_from(["1970-01-01T00:00:00Z", "2026-01-02T03:04:05.678+02:00"]),
    ),
    said("result", {"value": json_values}),
    said("error", {"message": texts}, item=maybe(texts | st.integers(0, 9)), detail=json_values),
    said("count", {"counters": st.dictionaries(names, signed, max_size=2)}),
    said("meta", {"set": objects}),
    said("ask", {"prompt": names}, schema=st.sampled_from([None, {"type": "boolean"}])),
)
going_on = short(_going_on)
_ending: st.SearchStrategy[dict[str, Any]] = st.one_of(
    said("retry", error=retries),
    said("succeed", result=json_values),
    said("fail", {"message": texts}, code=texts, detail=json_values),
    said("cancelled"),
)
ending = short(_ending)
# Ends are rare, or nothing much would happen before them.
wire_reports = st.one_of(going_on, going_on, going_on, going_on, ending)

new_jobs: st.SearchStrategy[say.NewJob] = st.builds(
    say.NewJob,
    type=maybe(names),
    title=maybe(texts),
    total=maybe(amounts),
    unit=maybe(texts),
    steps=st.lists(
        names | st.builds(say.PlannedStep, name=names, weight=amounts, total=maybe(amounts)),
        max_size=3,
        unique_by=lambda step: step if isinstance(step, str) else step.name,
    ),
    meta=objects,
    tags=st.lists(names, max_size=3),
    ttl_seconds=maybe(st.sampled_from([0.001, 60.0])),
)
