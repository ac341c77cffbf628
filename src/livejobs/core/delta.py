"""The difference between two views of a job, in the shape that a client's reducer takes.

A delta has `set`, the top-level fields with their new values, and `append`, the new entries of
each list. The laws, for any views of one job: apply(a, diff(a, b)) == b, and applying
merge(d1, d2) equals applying d1, then d2.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NamedTuple, TypeAlias

import msgspec

from livejobs.core.model import EntryKind

Fields: TypeAlias = Mapping[str, Any]
Lists: TypeAlias = Mapping[EntryKind, tuple[Any, ...]]


class Delta(NamedTuple):
    set: Fields
    append: Lists


EMPTY = Delta({}, {})
_ABSENT = object()

# Fields that hold any JSON. True equals 1 in Python, but not in JSON.
_FREE: Final = frozenset({"meta", "result", "error", "worker", "waiting"})
_encode = msgspec.json.Encoder(order="deterministic").encode


def diff(old: Fields, new: Fields) -> Fields:
    """The fields whose values differ. A job has all of its fields from the start."""
    return {
        name: value
        for name, value in new.items()
        if (was := old.get(name, _ABSENT)) is not value
        and (was != value or (name in _FREE and _encode(was) != _encode(value)))
    }


def merge(first: Delta, then: Delta) -> Delta:
    appended = {
        kind: (*first.append.get(kind, ()), *then.append.get(kind, ()))
        for kind in (*first.append, *then.append)
    }
    return Delta({**first.set, **then.set}, appended)


def apply(job: Fields, delta: Delta) -> dict[str, Any]:
    """Assign `set` and extend with `append`, as clients do."""
    result = {**job, **delta.set}
    for kind, values in delta.append.items():
        result[kind] = [*result.get(kind, ()), *values]
    return result
