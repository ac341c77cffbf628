"""`livejobs restore`."""

from __future__ import annotations

import click

from livejobs.backups import restoring
from livejobs.cli.operator.copying import Bars, print_counts, settings_of, summary
from livejobs.cli.operator.serve import EPILOG, setting_options
from livejobs.config import Settings


@click.command(epilog=EPILOG)
@click.argument("source")
@click.option("--at", "name", metavar="NAME", help="Restore this backup, not the newest one.")
@click.option("--list", "only_list", is_flag=True, help="Only list the backups.")
@click.option("--dry-run", is_flag=True, help="Only check the backup: every digest is compared.")
@setting_options
def restore(source: str, name: str | None, only_list: bool, dry_run: bool, **flags: object) -> None:
    """Restore jobs and files from SOURCE, where `livejobs backup` wrote them.

    The database of the settings must be empty, and no server may use it. Run the command again
    after an interruption, and it continues. Clients that were connected load their jobs anew.
    """
    settings = settings_of(flags)
    if only_list:
        print_list(settings, source)
        return
    with Bars() as bars:
        act = restoring.verify if dry_run else restoring.restore
        manifest = act(settings, source, bars, name)
    print_counts(manifest.counts)
    done = "Checked" if dry_run else "Restored"
    click.echo(f"{done} backup {manifest.name}: {summary(manifest.counts)}.", err=True)


def print_list(settings: Settings, source: str) -> None:
    for it in restoring.names(settings, source):
        click.echo(f"{it.name}  {summary(it.counts)}")
