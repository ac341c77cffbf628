"""Statements that write many rows are made of parts.

Each part is one WITH query whose rows, `{}` in its text, come as one array for each column. All
parts of a statement see the database as it was before the statement, so no two of them may write
the same row.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import count
from typing import NamedTuple


class Part(NamedTuple):
    name: str
    text: str
    types: tuple[str, ...]  # of the columns of its rows


def statement(parts: Sequence[Part], last: str) -> str:
    number = count(1)
    withs = []
    for part in parts:
        columns = ", ".join(f"${next(number)}::{type}[]" for type in part.types)
        withs.append(f"{part.name} AS ({part.text.format(f'unnest({columns})')})")
    return f"WITH {', '.join(withs)} {last}"


def only_if(condition: str, parts: Sequence[Part]) -> list[Part]:
    """The same parts, without rows unless the condition holds. It is evaluated before the parts
    touch anything."""
    rows = f"(SELECT * FROM {{}} AS it WHERE {condition})"
    return [Part(it.name, it.text.replace("{}", rows), it.types) for it in parts]
