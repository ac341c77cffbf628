"""The drills, short. `scripts/drill` runs them at full size: see docs/drills.md."""

from __future__ import annotations

import random
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.crash import (
    backup,
    clock,
    database,
    full_disk,
    hostile,
    kill,
    nodes,
    refuse,
    stop,
    uploads,
    worker,
)
from tests.support.needs import need
from tests.support.postgres import Postgres

Damage = Callable[[Path], None]
# A worker's rest between two requests, where a drill lasts as long as its fault: without it, the
# load would take both processors from the other tests all the time.
GAP = 0.1
SLACK = 10  # the bounds of the hostile clients hold on an idle machine


def seed() -> int:
    """Print the seed, so that a failure can be repeated."""
    chosen = random.randrange(10**6)
    print(f"seed {chosen}")
    return chosen


async def test_acknowledged_reports_survive_kill_9(tmp_path: Path) -> None:
    await kill.drill(3, tmp_path / "data", seed(), print, longest=0.6)


async def test_a_pause_loses_nothing_and_a_stop_ends_in_time(tmp_path: Path) -> None:
    # The docs promise 10 s, on a machine with time. A silent body alone could take 30.
    await stop.drill(2, tmp_path / "data", seed(), print, in_time=25, gap=GAP)


def test_files_are_whole_or_not_there_after_kill_9(tmp_path: Path) -> None:
    uploads.drill(2, tmp_path / "data", seed(), print)


@pytest.mark.parametrize("how", ["full-disk --cycles 2 --tight", "full-disk-uploads --cycles 1"])
def test_a_full_disk_is_reported_and_survived(how: str) -> None:
    need(full_disk.possible(), "a small disk needs the right to mount (root)")
    drill = [sys.executable, "-m", "tests.crash", "--forked", *how.split(), "--inside"]
    command = [*full_disk.namespace(), *drill]
    root = Path(__file__).parents[2]
    done = subprocess.run(
        command, cwd=root, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


BRIEF = [
    name for name in hostile.ATTACKS if not name.startswith(("50 who", "500 long", "1,000 sub"))
]


@pytest.mark.parametrize("name", BRIEF)
def test_a_hostile_client_costs_no_more_than_it_sends(name: str, tmp_path: Path) -> None:
    row = hostile.attempt(tmp_path / "data", name, hostile.ATTACKS[name], SLACK)
    print(hostile.HEADING, row, sep="\n")
    assert row.good(SLACK), str(row)


async def test_a_clock_that_jumps_breaks_nothing(tmp_path: Path) -> None:
    need(clock.library() is not None, "moving the clock needs Debian's package libfaketime")
    await clock.drill(1, tmp_path, seed(), print, gap=GAP)


async def test_a_backup_under_load_can_be_restored_anywhere(tmp_path: Path) -> None:
    with Postgres() as postgres:
        await backup.drill(1, tmp_path, seed(), print, longest=0.6, postgres=postgres)


async def test_nothing_acknowledged_is_lost_while_postgresql_is_away(tmp_path: Path) -> None:
    await database.drill(3, tmp_path / "data", seed(), print, stopped=1, gap=GAP)


async def test_nothing_acknowledged_is_lost_whichever_node_is_away(tmp_path: Path) -> None:
    await nodes.drill(["kill", "apart"], 1, tmp_path, seed(), print, silence=1, gap=GAP)


def test_a_worker_loses_nothing_while_the_server_is_away(tmp_path: Path) -> None:
    worker.drill(0.2, tmp_path, print, ends=[True])


@pytest.fixture(scope="module")
def stopped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The data of a server that stopped normally."""
    data = tmp_path_factory.mktemp("refuse") / "stopped"
    refuse.database(data, killed=False)
    return data


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The data of a killed server, whose log is not in the database yet."""
    data = tmp_path_factory.mktemp("refuse") / "killed"
    refuse.database(data, killed=True)
    assert (data / "livejobs.db-wal").stat().st_size
    return data


def named(damage: Damage) -> str:
    return damage.__name__


@pytest.mark.parametrize("damage", refuse.DAMAGES, ids=named)
def test_a_damaged_database_is_refused_and_not_changed(
    damage: Damage, stopped: Path, tmp_path: Path
) -> None:
    assert refuse.DAMAGES[damage] in refuse.refusal(refuse.damaged(stopped, tmp_path, damage))


@pytest.mark.parametrize("damage", refuse.WITH_LOG, ids=named)
def test_a_damaged_database_with_a_log_is_served_whole_or_refused(
    damage: Damage, killed: Path, tmp_path: Path
) -> None:
    refuse.served_or_refused(refuse.damaged(killed, tmp_path, damage))


def test_a_read_only_folder_is_refused(stopped: Path) -> None:
    need(full_disk.possible(), "a read-only folder needs the right to mount (root)")
    assert "Can't write in" in refuse.refusal(stopped, *refuse.read_only(stopped))


def test_a_second_server_is_refused_and_the_first_goes_on(stopped: Path) -> None:
    assert "in use by another livejobs server" in refuse.second_server(stopped)
