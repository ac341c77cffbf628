"""`livejobs import`."""

from __future__ import annotations

from pathlib import Path

import click

from livejobs.cli.figures import number
from livejobs.cli.operator.copying import Bars, print_counts, settings_of, summary
from livejobs.cli.operator.serve import EPILOG, setting_options
from livejobs.copies.folder import Folder
from livejobs.copies.incoming import importing
from livejobs.copies.incoming.checking import Found


@click.command("import", epilog=EPILOG)
@click.argument("path", type=click.Path(path_type=Path))
@click.option("--dry-run", is_flag=True, help="Only check, and count what would be imported.")
@click.option(
    "--merge",
    is_flag=True,
    help="Import into a database that has other jobs. Jobs that it has stay as they are.",
)
@click.option(
    "--no-keys",
    is_flag=True,
    help="Import only jobs and files: no keys, no webhooks and no audit trail.",
)
@setting_options
def import_(path: Path, dry_run: bool, merge: bool, no_keys: bool, **flags: object) -> None:
    """Read the export in the folder PATH into the database and the file area of the settings.

    No server may use them meanwhile. The whole export is checked before anything is written. Run
    the command again after an interruption, and it continues.
    """
    settings = settings_of(flags)
    choice = importing.Choice(merge=merge, keys=not no_keys)
    if dry_run:
        found = importing.survey(settings, Folder(path), choice)
        report(found, "Would import")
        return
    with Bars() as bars:
        found = importing.import_jobs(settings, Folder(path), bars, choice)
    report(found, "Imported")


def report(found: Found, done: str) -> None:
    print_counts(found.counts)
    there = ""
    if found.there:
        there = f" The database had {number(found.there)} of the jobs already."
    click.echo(f"{done} {summary(found.counts)}.{there}", err=True)
