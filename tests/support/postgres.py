"""A real PostgreSQL: a cluster of its own in a temporary folder, on a free port, with fsync on."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

from tests.support.needs import need
from tests.support.server import LONG_ENOUGH, hold_port

DEBIAN = Path("/usr/lib/postgresql")
SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "max_connections": "60",
    "shared_buffers": "16MB",
    "autovacuum": "off",  # it would change plans between two looks
    "max_wal_size": "256MB",
}

# Deleting few rows is much faster than making another database.
EMPTY = """DO $$ DECLARE name text; BEGIN
  FOR name IN SELECT relname FROM pg_class WHERE relkind = 'r' AND relname <> 'meta'
    AND relnamespace = 'livejobs'::regnamespace
  LOOP EXECUTE 'DELETE FROM livejobs.' || name; END LOOP;
  ALTER TABLE livejobs.acts ALTER COLUMN n RESTART;
  ALTER TABLE livejobs.deliveries ALTER COLUMN n RESTART; END $$"""


def programs() -> Path | None:
    """Where initdb and postgres are: Debian keeps them out of the path."""
    newest = sorted(DEBIAN.glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    found = str(newest[-1]) if newest else shutil.which("initdb")
    return Path(found).parent if found else None


class Postgres:
    """`url` is a database that nobody uses. Each call of `database` makes another, empty one."""

    def __init__(self, disk: Path | None = None) -> None:
        """`disk`: keep the data there."""
        need(bin := programs(), "PostgreSQL is not installed")
        assert bin is not None
        self._bin = bin
        self._held = hold_port()
        self.port: int = self._held.getsockname()[1]
        self.url = self.url_of("postgres")
        self._folder = tempfile.TemporaryDirectory(dir=disk, ignore_cleanup_errors=True)
        self._data = Path(self._folder.name) / "data"
        self._user: dict[str, Any] = {}
        if os.geteuid() == 0:  # PostgreSQL refuses to run as root
            owner = pwd.getpwnam("postgres")
            os.chown(self._folder.name, owner.pw_uid, owner.pw_gid)
            self._user = {"user": owner.pw_uid, "group": owner.pw_gid, "extra_groups": []}
        self._make()
        self.start()

    def url_of(self, database: str) -> str:
        return f"postgresql://postgres@127.0.0.1:{self.port}/{database}"

    def _make(self) -> None:
        how = ("--auth=trust", "--username=postgres", "--encoding=UTF8", "--locale=C")
        self._run("initdb", "--no-sync", "--pgdata", str(self._data), *how)
        self._configure()

    def serve_network(self, address: str) -> None:
        """Also accept whoever is in this network, from the next start on."""
        self.execute("ALTER SYSTEM SET listen_addresses = '*'")
        with (self._data / "pg_hba.conf").open("a") as file:
            file.write(f"host all all {address} trust\n")

    def _configure(self) -> None:
        text = "".join(f"{name} = '{value}'\n" for name, value in SETTINGS.items())
        with (self._data / "postgresql.conf").open("a") as file:
            file.write(f"{text}port = {self.port}\n")

    def _run(self, program: str, *args: str) -> None:
        command = [str(self._bin / program), *args]
        done = subprocess.run(command, **self._quiet(), check=False)
        assert done.returncode == 0, f"{program} failed"

    def _quiet(self) -> dict[str, Any]:
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        return {**quiet, "cwd": self._folder.name, **self._user}

    def start(self) -> None:
        """Start the server. After a kill, what is left of its sessions can refuse that at first."""
        end = time.monotonic() + LONG_ENOUGH
        while not self._starts():
            assert time.monotonic() < end, "postgres does not start"
            time.sleep(0.05)  # leave the processor to the process that ends

    def _starts(self) -> bool:
        command: list[Path | str] = [self._bin / "postgres", "-D", str(self._data)]
        self.process = subprocess.Popen(command, **self._quiet())
        ready: list[Path | str] = [
            self._bin / "pg_isready",
            "-q",
            "-h",
            "127.0.0.1",
            "-p",
            str(self.port),
        ]
        while self.process.poll() is None:
            if subprocess.run(ready, check=False).returncode == 0:
                return True
            time.sleep(0.05)  # leave the processor to the process that starts
        return False

    def kill(self) -> None:
        """Kill the server and its sessions at once, as a power cut would."""
        for pid in self.pids():
            os.kill(pid, signal.SIGKILL)
        self.process.wait()

    def pids(self) -> Sequence[int]:
        """The server's processes, itself first."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        return [self.process.pid, *map(int, children.read_text().split())]

    def signal(self, number: signal.Signals) -> None:
        """To every process of the server: SIGSTOP stops it, SIGCONT lets it go on."""
        for pid in self.pids():
            os.kill(pid, number)

    def database(self, name: str, *, template: str = "template0") -> str:
        """Create a database, and return its URL."""
        self.execute(f'CREATE DATABASE "{name}" TEMPLATE {template}')
        return self.url_of(name)

    def execute(self, sql: str, *, database: str = "postgres") -> str:
        """Run statements, and return the rows as psql prints them."""
        where = ("-h", "127.0.0.1", "-p", str(self.port), "-U", "postgres", "-d", database)
        done = subprocess.run(
            [self._bin / "psql", "-XqAt", "-v", "ON_ERROR_STOP=1", *where, "-c", sql],
            check=True,
            capture_output=True,
            text=True,
            timeout=LONG_ENOUGH,
        )
        return done.stdout.strip()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        if self.process.poll() is None:
            self.signal(signal.SIGCONT)
            self.process.send_signal(signal.SIGQUIT)  # at once; nobody needs the data any more
            self.process.wait()
        self._held.close()
        self._folder.cleanup()


class Replica(Postgres):
    """A replica of a cluster, which then waits for it with each commit."""

    def __init__(self, primary: Postgres) -> None:
        self._primary = primary
        super().__init__()
        primary.execute("ALTER SYSTEM SET synchronous_standby_names = '*'")
        primary.execute("SELECT pg_reload_conf()")
        self._until(primary, "SELECT count(*) FROM pg_stat_replication WHERE sync_state = 'sync'")

    def _make(self) -> None:
        how = ("--host=127.0.0.1", f"--port={self._primary.port}", "--username=postgres")
        where = ("--write-recovery-conf", "--no-sync", "--checkpoint=fast")
        self._run("pg_basebackup", *how, *where, "--pgdata", str(self._data))
        self._configure()

    def promote(self) -> None:
        self.execute("SELECT pg_promote()")

    @staticmethod
    def _until(where: Postgres, one: str) -> None:
        end = time.monotonic() + LONG_ENOUGH
        while where.execute(one) != "1":
            assert time.monotonic() < end, one
            time.sleep(0.05)  # leave the processor to the replica
