"""`livejobs watch`."""

from __future__ import annotations

import json
from typing import Any

import click

from livejobs.cli.looks import terminal
from livejobs.cli.reach import Server, complete_job, on_server, tell
from livejobs.cli.watch.board import JOBS, RATE, Board
from livejobs.cli.watch.portrait import LOG
from livejobs.cli.watch.screen import as_line
from livejobs.cli.watch.session import Session, print_final
from livejobs.client.reader.client import Client


@click.command(
    epilog="""Into a pipe, each change is one line: the time in UTC, the job (for several), the
status, the percentage, the amount and the message. Jobs that have ended before are left out.

\b
Keys:
  up, down, j, k  select a job          enter  show the job with its log
  f               filter: the status of jobs, or the level of log lines
  /               filter by text        esc    go back
  c               cancel the job        q      quit"""
)
@click.argument("job", required=False, shell_complete=complete_job)
@click.option("--project", help="Show the jobs of this project.")
@click.option("--type", help="Show only jobs of this type.")
@click.option(
    "--json", "as_json", is_flag=True, help="Print each state as a JSON object on a line."
)
@on_server
def watch(
    server: Server, job: str | None, project: str | None, type: str | None, as_json: bool
) -> None:
    """Show a job live, or without JOB all jobs of a project.

    The command ends when the job has ended, and leaves its final state on the screen. It goes on
    after a restart of the server, and misses nothing.
    """
    if job is not None and (project or type):
        raise click.UsageError("Give a JOB, or --project and --type, but not both.")
    feed = {"project": project, "type": type}
    out = terminal()
    with server.client() as client:
        if as_json or not out.is_terminal or out.is_dumb_terminal:
            print_changes(client, server.url, job, as_json=as_json, **feed)
        elif job is None:
            next(client.list(limit=1, **feed), None)  # a server that refuses does so here
            Session(server, client, out, None, **feed).run()
        elif (found := client.get(job))["completed_at"] is not None:
            print_final(out, found, list(client.logs(job, tail=LOG)))
        else:
            Session(server, client, out, job).run()


def print_changes(client: Client, url: str, job: str | None, *, as_json: bool, **feed: Any) -> None:
    """A line for each change. Only what is on the line counts as one. Of the jobs that a feed
    begins with, those that have ended are left out."""
    printed: dict[str, str] = {}  # by the job's id, the newest ones
    ready = job is not None
    board = Board()

    def cut() -> None:
        if not board.away:
            tell(f"No answer from {url}. Trying again.")
        board.cut()

    for event in client.events(job, cut=cut, rate=RATE, **feed):
        state = board.take(event)
        ready = ready or event.name == "ready"
        if state is None:
            continue
        # A job that was printed may have ended while a first stream was cut before its `ready`.
        if not ready and state["completed_at"] is not None and state["id"] not in printed:
            continue
        line = json.dumps(state) if as_json else as_line(state, named=job is None)
        if printed.pop(state["id"], None) != line:
            click.echo(line if as_json else f"{state['updated_at']} {line}")
        printed[state["id"]] = line
        if len(printed) > JOBS:
            del printed[next(iter(printed))]
