"""`livejobs get`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

import click
from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    ProgressColumn,
    Task,
    TaskProgressColumn,
    TextColumn,
)
from rich.table import Column
from rich.text import Text

from livejobs.cli.figures import size
from livejobs.cli.looks import tail, terminal
from livejobs.cli.reach import NO, fail, job_argument, reads
from livejobs.cli.text import escaped, plain
from livejobs.client.reader.asking import PIECE, where
from livejobs.client.reader.client import Client

File = Mapping[str, Any]

ROOM: Final = 52  # columns for the bar and the figures, beside the name
NARROW: Final = 60


@click.command(
    epilog="While a file is incomplete, it has the suffix .part. Run the command again after an "
    "interruption, and it continues with the bytes that are missing. A file that is there already "
    "and has the right digest is not downloaded again. Into a "
    "pipe, the paths of the files are printed, one a line."
)
@job_argument
@click.argument("names", nargs=-1, metavar="[NAME]...")
@click.option(
    "-o", "--output", metavar="DIR", default=".", show_default="the current folder",
    type=click.Path(path_type=Path, file_okay=False),
    help="The folder for the files. It is created if it does not exist.",
)  # fmt: skip
@reads
def get(client: Client, job: str, names: Sequence[str], output: Path) -> None:
    """Download a job's files: those with these names, or all of them.

    The command goes on where a connection breaks, and checks each file's SHA-256 digest.
    """
    found = client.get(job)
    files = chosen(found, names)
    prepare(output)
    out, screen = terminal(), terminal(stderr=True)
    for file in files:
        target = where(found, file["name"], output).target
        if not already_there(file, target):
            fetch(client, job, file, output, screen)
        elif screen.is_terminal:
            screen.print(f"{plain(file['name'])} is there already.")
        if not out.is_terminal:  # for the next program; a person has seen the bar
            click.echo(escaped(str(target)))


def chosen(job: Mapping[str, Any], names: Sequence[str]) -> list[File]:
    """The job's files with these names, or all of them."""
    files: dict[str, File] = {file["name"]: file for file in job["files"]}
    for name in names:
        if name not in files:
            there = ", ".join(files) or "none"
            fail(NO, f"Job {job['id']} has no file {name!r}. Its files: {there}.")
    if not files:
        fail(NO, f"Job {job['id']} has no files.")
    return [files[name] for name in dict.fromkeys(names)] or list(files.values())


def prepare(output: Path) -> None:
    try:
        output.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        fail(NO, f"The folder {output} cannot be created: {error.strerror}.")


def already_there(file: File, target: Path) -> bool:
    """Whether the target is this file. The size is compared first, since reading takes long."""
    if file["sha256"] is None or not target.is_file() or target.stat().st_size != file["size"]:
        return False
    digest = sha256()
    with target.open("rb") as opened:
        while piece := opened.read(PIECE):
            digest.update(piece)
    return bool(digest.hexdigest() == file["sha256"])


class Figures(ProgressColumn):
    """The bytes that are there, of how many, and how fast they come. `short`: only the first."""

    def __init__(self, *, short: bool) -> None:
        super().__init__(Column(no_wrap=True))
        self._short = short

    def render(self, task: Task) -> Text:
        total = "" if task.total is None else f" of {size(task.total)}"
        if task.finished or self._short:
            return Text(size(task.completed))
        speed = "" if task.speed is None else f"  {size(task.speed)}/s"
        return Text(f"{size(task.completed)}{total}{speed}")


def fetch(client: Client, job: str, file: File, output: Path, screen: Console) -> None:
    name = plain(file["name"])
    columns = (
        TextColumn(tail(name, max(8, screen.width - ROOM)), markup=False),
        BarColumn(bar_width=None, complete_style="cyan", finished_style="green"),
        TaskProgressColumn(),
        Figures(short=screen.width < NARROW),
    )
    try:
        with Progress(*columns, console=screen, disable=not screen.is_terminal) as bars:
            bar = bars.add_task("", total=file["size"])
            client.download(
                job, file["name"], output, came=lambda there: bars.update(bar, completed=there)
            )
    except OSError as error:
        fail(NO, f"{name} cannot be written: {error.strerror or error}.")
