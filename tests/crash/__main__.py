"""scripts/drill NAME [options]"""

from __future__ import annotations

import asyncio
import random
import sys
import tempfile
from pathlib import Path
from typing import Any

import click

from tests.crash import (
    backup,
    clock,
    database,
    full_disk,
    hostile,
    kill,
    node_drills,
    nodes,
    refuse,
    stop,
    uploads,
    worker,
)
from tests.crash.checker import Broken
from tests.support.forked import Template
from tests.support.postgres import Postgres
from tests.support.server import Server


@click.group()
@click.option("--forked", is_flag=True, hidden=True)
@click.pass_context
def main(context: click.Context, forked: bool) -> None:
    """Break a real server, and check its guarantees."""
    if forked:  # by a test: a new Python for each server costs half a second of processor time
        Server.template = Template("livejobs.cli.operator.serve")
        context.call_on_close(Server.template.stop)


seeded = click.option("--seed", type=int, default=lambda: random.randrange(10**6))


@main.command("kill")
@click.option("--rounds", default=100)
@seeded
def kill_(rounds: int, seed: int) -> None:
    """kill -9 at random moments under load."""
    click.echo(f"seed {seed}")
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(kill.drill(rounds, Path(folder) / "data", seed, click.echo))


@main.command("full-disk")
@click.option("--cycles", default=12)
@seeded
@click.option("--inside", is_flag=True, hidden=True)
@click.option("--tight", is_flag=True, hidden=True)
def full_disk_(cycles: int, seed: int, inside: bool, tight: bool) -> None:
    """The disk fills up and gets room again."""
    if not inside:
        here = sys.executable, "-m", "tests.crash", "full-disk", "--inside"
        full_disk.enter(*here, "--cycles", str(cycles), "--seed", str(seed))
    click.echo(f"seed {seed}")
    room = full_disk.TIGHT if tight else full_disk.WIDE
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(full_disk.drill(cycles, Path(folder) / "disk", seed, click.echo, room))


@main.command("stop")
@click.option("--rounds", default=10)
@seeded
def stop_(rounds: int, seed: int) -> None:
    """SIGSTOP and SIGCONT, SIGTERM and SIGINT under load, with every kind of stream open."""
    click.echo(f"seed {seed}")
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(stop.drill(rounds, Path(folder) / "data", seed, click.echo))


@main.command("refuse")
def refuse_() -> None:
    """Start with damaged databases."""
    with tempfile.TemporaryDirectory() as folder:
        refuse.drill(Path(folder), click.echo)


@main.command("hostile")
def hostile_() -> None:
    """What little a client sends, and how much the server does and keeps for it."""
    with tempfile.TemporaryDirectory() as folder:
        hostile.drill(Path(folder), click.echo)


@main.command("clock")
@click.option("--rounds", default=5)
@seeded
def clock_(rounds: int, seed: int) -> None:
    """The clock jumps forward and back."""
    if clock.library() is None:
        sys.exit("please install: apt-get install libfaketime")
    click.echo(f"seed {seed}")
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(clock.drill(rounds, Path(folder), seed, click.echo))


@main.command("uploads")
@click.option("--rounds", default=20)
@seeded
def uploads_(rounds: int, seed: int) -> None:
    """kill -9 at random moments during uploads."""
    click.echo(f"seed {seed}")
    with tempfile.TemporaryDirectory() as folder:
        uploads.drill(rounds, Path(folder) / "data", seed, click.echo)


@main.command("full-disk-uploads")
@click.option("--cycles", default=5)
@seeded
@click.option("--inside", is_flag=True, hidden=True)
def full_disk_uploads_(cycles: int, seed: int, inside: bool) -> None:
    """The disk fills up during uploads and gets room again."""
    if not inside:
        here = sys.executable, "-m", "tests.crash", "full-disk-uploads", "--inside"
        full_disk.enter(*here, "--cycles", str(cycles), "--seed", str(seed))
    click.echo(f"seed {seed}")
    with tempfile.TemporaryDirectory() as folder:
        uploads.full(cycles, Path(folder) / "disk", seed, click.echo)


@main.command("backup")
@click.option("--rounds", default=20)
@click.option("--source", type=click.Choice(["sqlite", "postgresql"]), default="sqlite")
@seeded
def backup_(rounds: int, source: str, seed: int) -> None:
    """Backups under full load, restored on SQLite, on PostgreSQL and back."""
    click.echo(f"seed {seed}")
    with tempfile.TemporaryDirectory() as folder, Postgres() as postgres:
        url = None if source == "sqlite" else postgres.database("source")
        drill = backup.drill(
            rounds, Path(folder), seed, click.echo, postgres=postgres, database=url
        )
        asyncio.run(drill)


@main.command("database")
@click.option("--rounds", default=40)
@seeded
def database_(rounds: int, seed: int) -> None:
    """PostgreSQL is killed, stopped and cut off, and the server killed, under load."""
    click.echo(f"seed {seed}")
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(database.drill(rounds, Path(folder) / "data", seed, click.echo))


PARTS = (*nodes.FAULTS, *node_drills.ALONE)


@main.command("nodes")
@click.argument("parts", nargs=-1, type=click.Choice(PARTS))
@click.option("--rounds", default=3)
@click.option("--silence", default=nodes.AWAY, help="Seconds.")
@click.option("--reports", default=1000, help="Of each of two writers.")
@click.option("--jobs", default=8, help="Of the SDK, during a rolling restart.")
@click.option("--lines", default=2000, help="Of each of these jobs.")
@click.option("--viewers", default=1000, help="During a rolling restart.")
@seeded
@click.option("--inside", is_flag=True, hidden=True)
def nodes_(parts: tuple[str, ...], seed: int, inside: bool, **sizes: Any) -> None:
    """Three nodes on one PostgreSQL: all of this fails in turn, or only the given PARTS."""
    parts = parts or PARTS
    if "full-disk" in parts and not inside:
        told = [f"--{name}={value}" for name, value in (*sizes.items(), ("seed", seed))]
        full_disk.enter(sys.executable, "-m", "tests.crash", "nodes", *parts, *told, "--inside")
    click.echo(f"seed {seed}")
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)  # for the user postgres, whose small disk is in it
        chosen = node_drills.Sizes(**sizes)
        asyncio.run(node_drills.run(parts, chosen, Path(folder), seed, click.echo))


@main.command("worker")
@click.option("--outage", default=30.0, help="Seconds.")
def worker_(outage: float) -> None:
    """The server is away while a worker runs, and while it ends."""
    with tempfile.TemporaryDirectory() as folder:
        worker.drill(outage, Path(folder), click.echo)


@main.command("forks")
@click.option("--runs", default=200)
def forks_(runs: int) -> None:
    """Pools of eight processes that report to one job and to their own."""
    with tempfile.TemporaryDirectory() as folder:
        worker.forks(runs, Path(folder), click.echo)


if __name__ == "__main__":
    try:
        main(standalone_mode=True)
    except Broken as error:
        click.echo(f"BROKEN:\n{error}", err=True)
        sys.exit(1)
