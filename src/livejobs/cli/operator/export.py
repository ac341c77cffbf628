"""`livejobs export`."""

from __future__ import annotations

from pathlib import Path

import click

from livejobs.cli.operator.copying import Bars, print_counts, settings_of, summary
from livejobs.cli.operator.serve import EPILOG, setting_options
from livejobs.copies import exporting
from livejobs.copies.folder import Folder


@click.command(epilog=EPILOG)
@click.argument("path", type=click.Path(path_type=Path))
@click.option("--dry-run", is_flag=True, help="Only count what an export would hold.")
@click.option(
    "--leave-files",
    is_flag=True,
    help="Leave files where they are. Import with the same --files then.",
)
@click.option(
    "--no-webhooks", is_flag=True, help="Leave webhooks out, since the folder has their secrets."
)
@setting_options
def export(
    path: Path, dry_run: bool, leave_files: bool, no_webhooks: bool, **flags: object
) -> None:
    """Write all jobs, with files, keys, webhooks and the audit trail, to the folder PATH.

    The server may run meanwhile: the export has the jobs as they were when it began. Run the
    command again after an interruption, and it continues. Run it again after a change of jobs, and
    it copies only new files.
    """
    settings = settings_of(flags)
    if dry_run:
        counts = exporting.survey(settings)
        print_counts(counts)
        click.echo(f"Would export {summary(counts)}.", err=True)
        return
    with Bars() as bars:
        counts = exporting.export(
            settings, Folder(path), bars, leave_files=leave_files, hooks=not no_webhooks
        )
    print_counts(counts)
    click.echo(f"Exported {summary(counts)}.", err=True)
