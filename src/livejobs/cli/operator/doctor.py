"""`livejobs doctor`."""

from __future__ import annotations

import asyncio
import os
import sys
from collections import Counter
from collections.abc import Sequence
from typing import Final

import click
import msgspec
from rich.table import Table
from rich.text import Text

from livejobs.cli.looks import part, terminal
from livejobs.cli.operator.serve import EPILOG, setting_options
from livejobs.cli.text import plain
from livejobs.doctor.checks import examine
from livejobs.doctor.finding import Finding, Level

STYLES: Final[dict[Level, str]] = {"ok": "green", "warning": "yellow", "failure": "red"}


@click.command(epilog=EPILOG)
@click.option("--url", envvar="LIVEJOBS_URL", show_envvar=True, help="The URL that clients use.")
@click.option(
    "--key",
    envvar="LIVEJOBS_KEY",
    show_envvar=True,
    help="A key for --url. Other users of this machine can read options, so prefer the variable.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")
@setting_options
def doctor(url: str | None, key: str | None, as_json: bool, **flags: object) -> None:
    """Check settings, folders, disk, database, files, keys, limits and clock, and name remedies.

    With --url, also check that proxies pass on event streams and WebSockets. Give the settings of
    the server. It may run meanwhile. The exit code is 1 if something must be repaired, else 0.
    """
    findings = asyncio.run(examine(flags, os.environ, url, key))
    if as_json:
        rows = [msgspec.to_builtins(finding) for finding in findings]
        click.echo(msgspec.json.format(msgspec.json.encode({"findings": rows})))
    else:
        show(findings)
    sys.exit(int(any(finding.level == "failure" for finding in findings)))


def show(findings: Sequence[Finding]) -> None:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), show_header=False)
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for it in findings:
        table.add_row(Text(it.level, STYLES[it.level]), it.check, _told(it))
    out = terminal()
    out.print(table)
    out.print()
    out.print(summary(findings))


def _told(finding: Finding) -> Text:
    told = Text().append(plain(finding.found))
    if finding.remedy is not None:
        told.append("\n").append(part(f"→ {plain(finding.remedy)}", "bold"))
    return told


def summary(findings: Sequence[Finding]) -> str:
    count = Counter(finding.level for finding in findings)
    failed, warned = count["failure"], count["warning"]
    if not failed and not warned:
        return f"All {count['ok']} checks are fine."
    names = (_named(failed, "failure"), _named(warned, "warning"))
    return f"{' and '.join(filter(None, names))}; {count['ok']} checks are fine."


def _named(count: int, word: str) -> str:
    return f"{count} {word}{'' if count == 1 else 's'}" if count else ""
