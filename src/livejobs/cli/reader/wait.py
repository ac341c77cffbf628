"""`livejobs wait`."""

from __future__ import annotations

from typing import Final

import click

from livejobs.cli.reach import fail, job_argument, reads, tell
from livejobs.client.reader.client import Client

CODES: Final = {"succeeded": 0, "failed": 1, "cancelled": 3}
TIMEOUT: Final = 4


@click.command(
    epilog="""\b
Exit codes:
  0  the job succeeded
  1  the job failed; the reason is on stderr
  2  wrong usage, no server, or no such job
  3  the job was cancelled
  4  the time is over; the job goes on

If the server goes away while the command waits, it tries again for about a minute."""
)
@job_argument
@click.option("--timeout", type=click.FloatRange(min=0), metavar="S", help="Seconds to wait.")
@reads
def wait(client: Client, job: str, timeout: float | None) -> None:
    """Wait until a job has ended. The exit code shows how it ended."""
    found = client.get(job)  # without a server, this fails at once
    if found["completed_at"] is None:
        try:
            found = client.wait(job, timeout)
        except TimeoutError:
            fail(TIMEOUT, f"Job {job} has not ended after {timeout:g} seconds.")
    if found["error"] is not None:
        tell(f"Job {job} failed: {found['error']['message']}")
    click.get_current_context().exit(CODES[found["status"]])
