"""`livejobs jobs`."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from itertools import islice
from typing import Any, Final

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from livejobs.cli.figures import age, percent, since
from livejobs.cli.looks import LOOKS, badge, bar, fitted, name_of, state_of, terminal
from livejobs.cli.reach import reads
from livejobs.cli.text import escaped, plain
from livejobs.client.reader.client import Client

STATUSES: Final = ("queued", "running", "succeeded", "failed", "cancelled")
PAGE: Final = 1000
NARROW: Final = 76  # columns: below this, a job takes two lines
WIDE: Final = 120  # columns: from here on there is room for more facts
BAR: Final = 16  # columns
COLUMNS: Final = ("id", "status", "percent", "type", "title", "created_at", "project")

Job = Mapping[str, Any]


class Statuses(click.Choice[str]):
    """Statuses, separated by commas."""

    def convert(self, value: Any, param: Any, ctx: Any) -> str:
        return ",".join(super(Statuses, self).convert(one, param, ctx) for one in value.split(","))


@click.command(
    epilog="Into a pipe, the command prints a line for each job, with these columns separated by "
    f"tabs: {', '.join(COLUMNS)}."
)
@click.option(
    "--status", type=Statuses(STATUSES), multiple=True,
    help="Only jobs of this status. Repeat it, or separate several by commas.",
)  # fmt: skip
@click.option("--type", help="Only jobs of this type.")
@click.option(
    "--q",
    metavar="TEXT",
    help="Only jobs with this text in the id or title: at least 3 characters.",
)
@click.option("--project", help="Only jobs of this project; * for all that you may see.")
@click.option(
    "--limit", type=click.IntRange(1, 100_000), default=50, show_default=True,
    help="List at most this many jobs.",
)  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print each job as a JSON object on a line.")
@reads
def jobs(
    client: Client,
    status: Sequence[str],
    type: str | None,
    q: str | None,
    project: str | None,
    limit: int,
    as_json: bool,
) -> None:
    """List jobs, newest first."""
    filters = {"status": status or None, "type": type, "q": q, "project": project}
    found = islice(client.list(limit=min(limit, PAGE), **filters), limit)
    out = terminal()
    if as_json or not out.is_terminal:
        for job in found:
            click.echo(json.dumps(job) if as_json else as_row(job))
        return
    printed(out, list(found))


def as_row(job: Job) -> str:
    facts = {**job, "percent": job["progress"]["percent"]}
    values = (facts[name] for name in COLUMNS)
    return "\t".join("" if value is None else escaped(str(value)) for value in values)


def printed(out: Console, found: Sequence[Job]) -> None:
    if not found:
        out.print("No jobs.")
        return
    unicode = out.encoding.startswith("utf")
    if out.width < NARROW:
        for job in found:
            out.print(_two_lines(job, out.width, unicode=unicode), soft_wrap=True)
        return
    out.print(_table(found, wide=out.width >= WIDE, unicode=unicode))


def _two_lines(job: Job, width: int, *, unicode: bool) -> Text:
    head = badge(state_of(job), unicode=unicode).append(f" {percent(job)}".rstrip())
    head.append(f"  {name_of(job)}", "bold")
    return fitted(head, width).append(f"\n  {plain(job['id'])}", "dim")


def _table(found: Sequence[Job], *, wide: bool, unicode: bool) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    table.add_column("STATUS", no_wrap=True)
    table.add_column("", justify="right", no_wrap=True)
    if wide:
        table.add_column("", no_wrap=True)
    table.add_column("TITLE", no_wrap=True, overflow="ellipsis", ratio=1)
    if wide:
        table.add_column("TYPE", no_wrap=True, overflow="ellipsis", max_width=16)
    table.add_column("AGE", justify="right", no_wrap=True)
    table.add_column("ID", no_wrap=True, overflow="fold")
    table.expand = True
    for job in found:
        table.add_row(*_cells(job, wide=wide, unicode=unicode))
    return table


def _cells(job: Job, *, wide: bool, unicode: bool) -> list[Text]:
    state = state_of(job)
    queued = state == "queued"  # nothing is done yet: a bar would only be in the way
    cells = [badge(state, unicode=unicode)]
    cells.append(Text("" if queued else percent(job), LOOKS[state].style))
    if wide:
        value = job["progress"]["percent"]
        cells.append(Text() if queued else bar(value, BAR, state, unicode=unicode))
    cells.append(Text(name_of(job)))
    if wide:
        cells.append(Text(plain(job["type"] or ""), "dim"))
    return [
        *cells,
        Text(age(since(job["created_at"])), "dim"),
        Text(plain(job["id"]), "dim"),
    ]
