"""`livejobs backup`."""

from __future__ import annotations

import click

from livejobs.backups import backing
from livejobs.cli.operator.copying import Bars, print_counts, settings_of, summary
from livejobs.cli.operator.serve import EPILOG, setting_options
from livejobs.copies import exporting


@click.command(epilog=EPILOG)
@click.argument("target")
@click.option(
    "--keep",
    type=click.IntRange(min=1),
    metavar="N",
    help="Remove older backups from TARGET afterwards, and keep the newest N.",
)
@click.option("--dry-run", is_flag=True, help="Only count what a backup would hold.")
@setting_options
def backup(target: str, keep: int | None, dry_run: bool, **flags: object) -> None:
    """Write a backup of all jobs and files to TARGET: a folder, or a URL like s3://bucket/backups.

    The server may run meanwhile. Each run adds a backup, and copies only new files. An interrupted
    run changes no earlier backup; the next one continues with the files.
    """
    settings = settings_of(flags)
    if dry_run:
        counts = exporting.survey(settings)
        print_counts(counts)
        click.echo(f"Would back up {summary(counts)}.", err=True)
        return
    with Bars() as bars:
        manifest = backing.backup(settings, target, bars, keep=keep)
    print_counts(manifest.counts)
    click.echo(f"Made backup {manifest.name}: {summary(manifest.counts)}.", err=True)
