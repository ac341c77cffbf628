"""`livejobs logs`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

import click
from rich.console import Console
from rich.text import Text

from livejobs.cli.figures import clock, number
from livejobs.cli.looks import LEVELS, part, terminal
from livejobs.cli.reach import job_argument, reads
from livejobs.cli.text import escaped, lines_of, plain
from livejobs.client.reader.client import Client

MOST: Final = 1000  # lines of a tail: what the server gives at once

Entry = Mapping[str, Any]


@click.command(
    epilog="In a terminal, times are local. Into a pipe, each entry is one line: its time in UTC, "
    "its level, its source or -, and its message, separated by tabs. Control characters are "
    "printed as escapes."
)
@job_argument
@click.option("-f", "--follow", is_flag=True, help="Go on with new lines until the job has ended.")
@click.option("--level", type=click.Choice(list(LEVELS)), help="Only lines of at least this level.")
@click.option("--tail", type=click.IntRange(1, MOST), metavar="N", help="Only the last N lines.")
@click.option("--json", "as_json", is_flag=True, help="Print each entry as a JSON object.")
@reads
def logs(
    client: Client, job: str, follow: bool, level: str | None, tail: int | None, as_json: bool
) -> None:
    """Print a job's log.

    With --follow, the command goes on after a restart of the server, and misses no line.
    """
    out = terminal()
    whole, last = level is None and tail is None, 0
    for entry in client.logs(job, level=level, tail=tail, follow=follow):
        if whole and entry["n"] > last + 1:
            removed = entry["n"] - 1 - last
            click.echo(f"livejobs: {number(removed)} earlier lines were removed", err=True)
        last = entry["n"]
        if as_json:
            click.echo(json.dumps(entry))
        elif out.is_terminal:
            printed(out, entry)
        else:
            click.echo(as_row(entry))


def as_row(entry: Entry) -> str:
    source = escaped(entry["source"] or "-")
    return "\t".join((entry["at"], entry["level"], source, escaped(entry["message"])))


def printed(out: Console, entry: Entry) -> None:
    for line in as_lines(entry):
        out.print(line, soft_wrap=True)


def as_lines(entry: Entry) -> list[Text]:
    """As a person reads it. The lines of a message stand under each other."""
    first, *rest = lines_of(entry["message"])
    style = LEVELS[entry["level"]]
    level = "" if entry["level"] == "info" else entry["level"]
    head = part(clock(entry["at"]), "dim").append(f" {level:<7} ", style)
    indent = len(head)
    if entry["source"]:
        head.append(f"{plain(entry['source'])} ", "dim")
    return [head.append(first, style), *(Text(" " * indent + line, style) for line in rest)]
