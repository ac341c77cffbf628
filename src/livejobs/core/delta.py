"""What changed between two views of a job, in the shape a client's reducer takes.

A delta is `set`: top-level fields with their new values, and `append`: entries per list. The
laws, for any views a, b, c of one job: apply(a, diff(a, b)) == b, and applying merge(d1, d2) is
applying d1, then d2.
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

# Fields whose values are the worker's own. Python takes True for 1; who reads JSON does not.
_FREE: Final = frozenset({"meta", "result", "error", "worker"})
_encode = msgspec.json.Encoder(order="deterministic").encode


def diff(old: Fields, new: Fields) -> Fields:
    """The fields whose values differ. Fields never go away; a job has them all from its start."""
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
    """What a client does: assign `set`, extend with `append`."""
    result = {**job, **delta.set}
    for kind, values in delta.append.items():
        result[kind] = [*result.get(kind, ()), *values]
    return result
