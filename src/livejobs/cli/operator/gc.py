"""`livejobs gc`."""

from __future__ import annotations

import logging

import click
from rich.table import Table

from livejobs.cli.figures import number, size
from livejobs.cli.looks import terminal
from livejobs.cli.operator.copying import settings_of
from livejobs.cli.operator.serve import EPILOG, setting_options
from livejobs.config import SettingError
from livejobs.copies import surplus
from livejobs.copies.surplus import Amount, Surplus


@click.command(epilog=EPILOG)
@click.option(
    "--dry-run", is_flag=True, help="Only show what would be removed. A server may be running."
)
@click.option(
    "--vacuum",
    is_flag=True,
    help="Also write the SQLite file anew, without its free space. This takes twice its size.",
)
@setting_options
def gc(dry_run: bool, vacuum: bool, **flags: object) -> None:
    """Remove jobs, logs and files whose time is over.

    A running server does this by itself, all the time. So the command is for the data folder of a
    server that is stopped; with --database, other nodes may run. --dry-run shows what would be
    removed.
    """
    settings = settings_of(flags)
    if vacuum and settings.database is not None:
        raise SettingError("--vacuum", "database", "PostgreSQL frees space by itself (autovacuum)")
    logging.getLogger("livejobs").setLevel(logging.ERROR)
    before = surplus.look(settings)
    print_surplus(before)
    if dry_run:
        click.echo(f"Would remove {summary(before)}.", err=True)
        return
    surplus.collect(settings)
    if vacuum:
        surplus.vacuum(settings)
    click.echo(f"Removed {summary(before)}.", err=True)
    if before.space.size:
        click.echo(shrunk(before, surplus.look(settings)), err=True)


def rows(it: Surplus) -> list[tuple[str, Amount]]:
    return [
        ("expired jobs", it.jobs),
        ("  their logs, results and errors", it.entries),
        ("  their files", it.files),
        ("entries cut off, or of removed jobs", it.leftovers),
        ("files that no job has", it.orphans),
    ]


def print_surplus(found: Surplus) -> None:
    """A table; into a pipe, its rows with tabs between the columns."""
    out = terminal()
    if not out.is_terminal:
        for name, amount in rows(found):
            click.echo(f"{name.strip()}\t{amount.count}\t{amount.bytes}")
        if found.space.size:
            click.echo(f"free in the database file\t\t{found.space.free}")
        return
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    table.add_column("WHAT")
    table.add_column("COUNT", justify="right")
    table.add_column("SIZE", justify="right")
    for name, amount in rows(found):
        table.add_row(
            name, number(amount.count), size(amount.bytes) if amount.bytes else "",
            style="" if amount.count else "dim",
        )  # fmt: skip
    if found.space.size:
        table.add_row("free in the database file", "", size(found.space.free))
    out.print(table)


def summary(found: Surplus) -> str:
    """`3 jobs, and 12 entries and files (1.2 MB)`."""
    rest, jobs = found.removable, found.jobs.count
    named = f"{number(jobs)} {'job' if jobs == 1 else 'jobs'}"
    return f"{named}, and {number(rest.count)} entries and files ({size(rest.bytes)})"


def shrunk(before: Surplus, after: Surplus) -> str:
    line = f"The database file had {size(before.space.size)}, and has {size(after.space.size)}."
    if after.space.shrinks:
        return line
    return f"{line} It was created by an older version, and shrinks only with --vacuum."
