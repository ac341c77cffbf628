"""`livejobs cancel`."""

from __future__ import annotations

import click

from livejobs.cli.reach import job_argument, reads
from livejobs.client.reader.client import Client


@click.command()
@job_argument
@click.option("--force", is_flag=True, help="End the job now, without waiting for its worker.")
@reads
def cancel(client: Client, job: str, force: bool) -> None:
    """Cancel a job.

    A queued job is cancelled at once. The worker of a running job is asked to stop: follow that
    with `livejobs wait JOB`.
    """
    answer = client.cancel(job, force=force)
    if answer["status"] == "cancelled":
        click.echo(f"Job {job} is cancelled.")
    else:
        click.echo(f"The worker of job {job} is asked to stop. `--force` ends the job now.")
