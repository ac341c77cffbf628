"""What `livejobs export` and `livejobs import` share: the settings, the bars and the table."""

from __future__ import annotations

import os
from collections.abc import Mapping
from types import TracebackType
from typing import Final, Self

import click
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn
from rich.table import Table

from livejobs.cli.figures import number, size
from livejobs.cli.looks import terminal
from livejobs.cli.operator.serve import warn, warn_about
from livejobs.cli.text import plain
from livejobs.config import Settings, load
from livejobs.copies.counts import Count, Counts, total_jobs
from livejobs.core.model import STATUSES

COLUMNS: Final = ("project", *STATUSES, "entries", "files", "bytes")


def settings_of(flags: Mapping[str, object]) -> Settings:
    warn_about(flags)
    return load(flags, os.environ)


class Bars:
    """How far a copy is, while it runs. Into a pipe only the warnings are printed."""

    def __init__(self) -> None:
        screen = terminal(stderr=True)
        columns = TextColumn("{task.description}"), BarColumn(), TaskProgressColumn()
        self._bars = Progress(
            *columns, console=screen, disable=not screen.is_terminal, transient=True
        )
        self._jobs = self._bars.add_task("jobs", total=None)
        self._files = self._bars.add_task("files", total=None, visible=False)

    def __enter__(self) -> Self:
        self._bars.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._bars.stop()

    def begin(self, counts: Counts) -> None:
        self._bars.update(self._jobs, total=total_jobs(counts))
        bytes = sum(count.bytes for count in counts.values())
        self._bars.update(self._files, total=bytes, visible=bool(bytes))

    def jobs(self, n: int = 1) -> None:
        self._bars.advance(self._jobs, n)

    def bytes(self, n: int) -> None:
        self._bars.advance(self._files, n)

    def warn(self, text: str) -> None:
        warn(plain(text))


def print_counts(counts: Counts) -> None:
    """A table; into a pipe, the same columns with tabs between them."""
    out = terminal()
    if not out.is_terminal:
        for project, count in counts.items():
            click.echo("\t".join([project, *map(str, _numbers(count))]))
        return
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    for name in COLUMNS:
        table.add_column(name.upper(), justify="left" if name == "project" else "right")
    for project, count in counts.items():
        *numbers, bytes = _numbers(count)
        table.add_row(project, *map(number, numbers), size(bytes))
    out.print(table)


def _numbers(count: Count) -> list[int]:
    by_status = (count.jobs.get(status, 0) for status in STATUSES)
    return [*by_status, count.entries, count.files, count.bytes]


def summary(counts: Counts) -> str:
    """`3 jobs, 12 entries and 2 files (1.2 MB)`."""
    entries = sum(count.entries for count in counts.values())
    files = sum(count.files for count in counts.values())
    bytes = size(sum(count.bytes for count in counts.values()))
    jobs = _named(total_jobs(counts), "job")
    return f"{jobs}, {_named(entries, 'entry', 'entries')} and {_named(files, 'file')} ({bytes})"


def _named(count: int, one: str, many: str | None = None) -> str:
    return f"{number(count)} {one if count == 1 else many or one + 's'}"
