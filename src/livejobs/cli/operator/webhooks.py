"""`livejobs webhook`: list webhooks and their deliveries, test, replay."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, Final
from urllib.parse import quote

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from livejobs.cli.figures import age, since
from livejobs.cli.looks import Look, part, terminal
from livejobs.cli.reach import NO, fail, reads
from livejobs.cli.text import escaped, plain
from livejobs.client.reader.client import Client

Row = Mapping[str, Any]

LOOKS: Final = {
    "waiting": Look("○", "o", "yellow"),
    "delivered": Look("✓", "+", "green"),
    "failed": Look("✗", "x", "red"),
    "active": Look("●", "*", "green"),
    "ended": Look("■", "-", "red"),
}
WIDE: Final = 100  # columns: from here on there is room for the job and the time
HOOK_COLUMNS: Final = ("id", "state", "format", "events", "project", "url")
DELIVERY_COLUMNS: Final = ("n", "state", "event", "job", "at", "attempts", "code", "error")


@click.group()
def webhook() -> None:
    """List, test and replay webhooks. They need a key with the scope admin."""


@webhook.command("list")
@click.argument("webhook", required=False)
@click.option("--project", default="*", show_default=True, help="Only webhooks of this project.")
@click.option("--job", help="The webhooks of this job.")
@click.option(
    "--limit", type=click.IntRange(1, 100_000), default=20, show_default=True,
    help="List at most this many deliveries.",
)  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object a line.")
@reads
def list_(
    client: Client, webhook: str | None, project: str, job: str | None, limit: int, as_json: bool
) -> None:
    """List webhooks. With the id of a WEBHOOK, list its deliveries, newest first."""
    if webhook is None:
        where = {"project": project} if job is None else {"job": job}
        rows = [_hook(it) for it in client.call("GET", "/v1/webhooks", params=where)["webhooks"]]
        show(rows, HOOK_COLUMNS, hooks_table, "No webhooks.", as_json=as_json)
    else:
        rows = list(islice(deliveries(client, webhook), limit))
        show(rows, DELIVERY_COLUMNS, deliveries_table, "No deliveries.", as_json=as_json)


@webhook.command()
@click.argument("webhook")
@reads
def test(client: Client, webhook: str) -> None:
    """Send a made-up job to the receiver, and print its answer. The exit code is 1 if the receiver
    did not take it."""
    said = client.call("POST", f"{path(webhook)}/test")
    if said["delivered"]:
        click.echo(f"The receiver took the test: {said['code']} in {said['ms']} ms.")
    else:
        click.echo(plain(said["error"]))
        sys.exit(1)


@webhook.command()
@click.argument("webhook")
@click.argument("deliveries", nargs=-1, type=click.IntRange(1), metavar="[N]...")
@click.option("--failed", is_flag=True, help="All that have failed.")
@reads
def replay(client: Client, webhook: str, deliveries: Sequence[int], failed: bool) -> None:
    """Send deliveries again.

    `livejobs webhook list WEBHOOK` shows their numbers.
    """
    if failed == bool(deliveries):
        fail(NO, "Give the numbers of deliveries, or --failed.")
    numbers = failed_ones(client, webhook) if failed else list(deliveries)
    for n in numbers:
        client.call("POST", f"{path(webhook)}/deliveries/{n}/replay")
    if not numbers:
        click.echo("No delivery has failed.")
        return
    many = "1 delivery waits" if len(numbers) == 1 else f"{len(numbers)} deliveries wait"
    click.echo(f"{many} to be sent again.")


def path(webhook: str) -> str:
    return f"/v1/webhooks/{quote(webhook, safe='')}"


def deliveries(client: Client, webhook: str) -> Iterator[Row]:
    before: int | None = None
    while True:
        params = {"limit": "100"} | ({} if before is None else {"before": str(before)})
        page = client.call("GET", f"{path(webhook)}/deliveries", params=params)
        yield from page["deliveries"]
        before = page["next"]
        if before is None:
            return


def failed_ones(client: Client, webhook: str) -> list[int]:
    """Those that failed and were not delivered by a later replay, the oldest first."""
    done: set[tuple[str, str, str]] = set()
    found = []
    for it in deliveries(client, webhook):
        what = (it["job"], it["event"], it["at"])
        if it["state"] == "failed" and what not in done:
            found.append(it["n"])
        done.add(what)
    return found[::-1]


def _hook(it: Row) -> Row:
    return {**it, "state": "active" if it["ended"] is None else "ended"}


def show(
    rows: Sequence[Row], columns: Sequence[str], table: Any, none: str, *, as_json: bool
) -> None:
    out = terminal()
    if as_json or not out.is_terminal:
        for row in rows:
            click.echo(json.dumps(row) if as_json else line(row, columns))
    elif rows:
        out.print(table(rows, out))
    else:
        out.print(none)


def line(row: Row, columns: Sequence[str]) -> str:
    values = (row[name] for name in columns)
    return "\t".join(
        "" if it is None else escaped(",".join(it) if isinstance(it, list) else str(it))
        for it in values
    )


def _state(row: Row, out: Console) -> Text:
    look = LOOKS[row["state"]]
    mark = look.mark if out.encoding.startswith("utf") else look.ascii
    return part(f"{mark} {row['state']}", look.style)


def _table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    table.expand = True
    for name in columns:
        grows = name in ("URL", "ANSWER", "EVENTS")
        table.add_column(name, no_wrap=True, overflow="ellipsis", ratio=1 if grows else None)
    return table


def hooks_table(rows: Sequence[Row], out: Console) -> Table:
    wide = out.width >= WIDE
    table = _table("STATE", *(("FORMAT", "EVENTS") if wide else ()), "URL", "ID")
    for row in rows:
        more = (Text(row["format"]), Text(", ".join(row["events"]), "dim")) if wide else ()
        id = Text(row["id"], "dim")
        table.add_row(_state(row, out), *more, Text(plain(row["url"])), id)
    return table


def deliveries_table(rows: Sequence[Row], out: Console) -> Table:
    table = _table("N", "STATE", "EVENT", "AGE", "JOB", "ANSWER")
    for row in rows:
        event = f"{row['event']}{' ↻' if row['replay'] else ''}"
        answer = row["error"] or (f"{row['code']} in {row['ms']} ms" if row["code"] else "")
        tries = f" · {row['attempts']} attempts" if row["attempts"] > 1 else ""
        table.add_row(
            Text(str(row["n"]), "dim"),
            _state(row, out),
            Text(event),
            Text(age(since(row["at"])), "dim"),
            Text(_short(plain(row["job"]), 30 if out.width >= WIDE else 14), "dim"),
            Text(plain(answer) + tries),
        )
    return table


def _short(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}…"
