"""livejobs doctor names what is wrong, with the remedy, and keeps secrets."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import httpx2
import pytest

from livejobs.doctor.finding import skew
from tests.copies.places import Place, done, logs
from tests.interop.proxies import Nginx
from tests.store.test_upgrades import older
from tests.support.objects import ObjectStore
from tests.support.postgres import Postgres
from tests.support.server import Server


class HoldsBack(BaseHTTPRequestHandler):
    """A proxy that sends an answer on when it has all of it, and knows no WebSocket."""

    upstream = ""

    def do_GET(self) -> None:
        headers = {name: self.headers[name] for name in ("accept", "authorization")}
        with suppress(httpx2.HTTPError):  # the server has stopped
            answer = httpx2.get(f"{self.upstream}{self.path}", headers=headers, timeout=60)
            self.send_response(answer.status_code)
            self.send_header("content-length", str(len(answer.content)))
            self.end_headers()
            self.wfile.write(answer.content)

    def log_message(self, format: str, *args: object) -> None:
        """Nobody reads it."""


@contextmanager
def holding_back(server: Server) -> Iterator[str]:
    handler = type("Handler", (HoldsBack,), {"upstream": server.url})
    proxy = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    proxy.daemon_threads = True
    Thread(target=proxy.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{proxy.server_port}"
    finally:
        proxy.shutdown()
        proxy.socket.close()


def examined(place: Place, *args: str) -> tuple[int, dict[str, dict[str, Any]]]:
    """The exit code, and the findings by check."""
    ended = place.run("doctor", "--json", *args)
    assert ended.stdout, (ended.stderr, ended.exception)
    found = {it["check"]: it for it in json.loads(ended.stdout)["findings"]}
    for it in found.values():
        assert (it["remedy"] is None) == (it["level"] == "ok")
        assert "could not be made" not in it["found"], it
    return ended.exit_code, found


def levels(found: dict[str, dict[str, Any]]) -> dict[str, str]:
    """Without those that depend on how this machine is set up, and how busy it is."""
    apart = ("clock", "database latency")
    return {name: it["level"] for name, it in found.items() if name not in apart}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    key = {"LIVEJOBS_ADMIN_KEY": "a-first-admin-key-of-tests"}
    with Server(tmp_path_factory.mktemp("doctor") / "data", env=key) as running:
        yield running


def test_a_sound_server_has_no_finding(server: Server) -> None:
    place = Place(server.data)
    place.env |= {"LIVEJOBS_ADMIN_KEY": "a-first-admin-key-of-tests"}
    args = ("--url", server.url, "--key", "a-first-admin-key-of-tests")
    code, found = examined(place, *args)
    assert (code, set(levels(found).values())) == (0, {"ok"}), found
    assert {"streams", "websockets", "database", "log", "disk", "files", "keys"} <= set(found)
    assert not list((server.data / "files").glob("??/*"))
    shown = place.run("doctor", *args)
    assert "first-admin-key" not in shown.output
    assert max(map(len, shown.stdout.splitlines())) <= 80
    assert httpx2.get(f"{server.url}/healthz").status_code == 200


def test_a_stream_that_needs_a_key_is_not_called_broken(server: Server) -> None:
    code, found = examined(Place(server.data), "--url", server.url)
    assert (code, found["streams"]["level"]) == (0, "warning")
    assert "LIVEJOBS_KEY" in found["streams"]["remedy"]


def test_a_proxy_that_holds_events_back_is_found(server: Server, tmp_path: Path) -> None:
    place, key = Place(server.data), ("--key", "a-first-admin-key-of-tests")
    with Nginx(server, tmp_path / "nginx") as nginx:
        _, found = examined(place, "--url", nginx.url, *key)
    assert [found[it]["level"] for it in ("public url", "streams", "websockets")] == ["ok"] * 3
    with holding_back(server) as url:
        code, found = examined(place, "--url", url, *key)
    assert (code, found["streams"]["level"]) == (1, "failure")
    assert "a proxy holds them back" in found["streams"]["found"]
    assert "proxy_buffering off" in found["streams"]["remedy"]
    assert found["websockets"]["level"] == "warning"


def test_a_url_without_a_server_is_found(tmp_path: Path) -> None:
    for url in ("http://127.0.0.1:9", "nonsense", "http://[", "http://me:hidden@127.0.0.1:9"):
        code, found = examined(Place(tmp_path), "--url", url)
        assert (code, found["public url"]["level"]) == (1, "failure")
        assert "hidden" not in found["public url"]["found"]


def test_a_damaged_database_is_found_with_the_way_back(tmp_path: Path) -> None:
    place = Place(tmp_path / "data")
    place.fill([(done("a", logs_total=9_000), logs(9_000, 2_500))])  # a start reads only a part
    path = place.data / "livejobs.db"
    assert path.stat().st_size > 16 << 20
    with path.open("r+b") as file:
        file.seek(path.stat().st_size // 2)
        file.write(b"\xff" * 40_000)
    code, found = examined(place)
    assert (code, found["database"]["level"]) == (1, "failure")
    assert f"livejobs restore BACKUP --data {place.data}" in found["database"]["remedy"]
    path.write_bytes(b"my diary\n" * 1000)
    code, found = examined(place)
    assert (code, found["database"]["level"]) == (1, "failure")
    assert f"livejobs restore BACKUP --data {place.data}" in found["database"]["remedy"]
    with closing(sqlite3.connect(tmp_path / "x.db")) as db:
        db.execute("PRAGMA user_version = 99")
        db.execute(f"PRAGMA application_id = {0x4C4A4F42}")
    path.write_bytes((tmp_path / "x.db").read_bytes())
    _, found = examined(place)
    assert found["database"]["remedy"] == "Run that version or a later one."


def test_an_older_schema_is_no_damage(tmp_path: Path) -> None:
    newest, place = Place(tmp_path / "newest"), Place(tmp_path / "data")
    newest.fill([(done("a"), [])])
    place.data.mkdir(0o700)
    older(place.data / "livejobs.db", newest.data / "livejobs.db", 1)
    code, found = examined(place)
    assert (code, found["database"]["level"], "keys" in found) == (0, "ok", False)
    assert "schema 1. The next start migrates it" in found["database"]["found"]


def test_wrong_settings_are_found(tmp_path: Path) -> None:
    place = Place(tmp_path / "data")
    code, found = examined(place, "--port", "none")
    assert (code, found["settings"]["level"]) == (1, "failure")
    assert "whole number from 0 to 65535" in found["settings"]["found"]
    place.env["LIVEJOBS_PROT"] = "1"
    code, found = examined(place, "--host", "0.0.0.0", "--max-connections", "99999999")
    assert code == 1
    assert (found["settings"]["level"], found["keys"]["level"]) == ("warning", "failure")
    assert "LIVEJOBS_PROT" in found["settings"]["found"]
    assert "ulimit -n" in found["connections"]["remedy"]
    _, found = examined(place, "--host", "0.0.0.0", "--open")
    assert found["open"]["level"] == "warning"
    (tmp_path / "file").write_text("x")
    code, found = examined(Place(tmp_path / "file"))
    assert (code, found["data folder"]["level"]) == (1, "failure")
    assert not place.data.exists()


def test_an_open_folder_and_a_missing_file_area_are_found(tmp_path: Path) -> None:
    place = Place(tmp_path / "data")
    place.fill([(done("a"), [])])
    place.data.chmod(0o755)
    (place.data / "token-secret").write_text("x")
    (place.data / "token-secret").chmod(0o644)
    code, found = examined(place, "--files", f"file://{tmp_path}/nowhere")
    assert "token-secret" in found["data folder"]["found"]
    assert (code, found["files"]["level"]) == (1, "failure")


def test_postgresql_and_an_object_store_are_examined(tmp_path: Path) -> None:
    with Postgres() as postgres, ObjectStore() as objects:
        place = Place(tmp_path / "data", postgres.database("examined"))
        place.env |= objects.environment | {"LIVEJOBS_FILES": objects.files}
        code, found = examined(place)
        assert (code, set(levels(found).values())) == (0, {"ok"}), found
        with Server(place.data, env=place.env):
            _, found = examined(place)
        assert (found["shared files"]["level"], found["database"]["level"]) == ("ok", "ok")
        assert objects.objects() == ["some/files/.livejobs-area"]
        postgres.execute("ALTER SYSTEM SET fsync = off")
        postgres.execute("SELECT pg_reload_conf()")
        elsewhere = place.env | {"LIVEJOBS_FILES": "s3://bucket/elsewhere"}
        place.env = elsewhere
        code, found = examined(place)
        assert (code, found["durability"]["level"]) == (1, "failure")
        assert found["shared files"]["level"] == "warning"
        place.env["AWS_ENDPOINT"] = "http://127.0.0.1:9"
        code, found = examined(place)
        assert (code, found["files"]["level"]) == (1, "failure")
    place.env["LIVEJOBS_DATABASE"] = "postgresql://me:secret@127.0.0.1:9/x"
    ended = place.run("doctor")
    assert (ended.exit_code, "secret" in ended.output) == (1, False)
    assert "Start PostgreSQL, or correct the address" in ended.stdout


def test_clocks_that_differ_are_found() -> None:
    assert skew("clock", -1_000, "the database").level == "ok"
    found = skew("clock", -3_500, "the database")
    assert (found.level, "3.5 s behind" in found.found) == ("warning", True)
