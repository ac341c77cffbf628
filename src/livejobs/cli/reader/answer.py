"""`livejobs answer`."""

from __future__ import annotations

import json
from typing import Any

import click

from livejobs.cli.reach import job_argument, reads
from livejobs.client.reader.client import Client


@click.command()
@job_argument
@click.argument("value")
@click.option(
    "--n",
    type=click.IntRange(min=1),
    help="Answer only if the job waits for the question with this number.",
)
@click.option("--text", is_flag=True, help="VALUE is text, even if it looks like JSON.")
@reads
def answer(client: Client, job: str, value: str, n: int | None, text: bool) -> None:
    """Answer what a job waits for.

    VALUE is JSON, such as true or 3. Anything else is text. `livejobs watch JOB` shows the
    question.
    """
    client.answer(job, value if text else _read(value), n)
    click.echo(f"Job {job} has the answer.")


def _read(value: str) -> Any:
    try:
        return json.loads(value)
    except (ValueError, RecursionError):
        return value
