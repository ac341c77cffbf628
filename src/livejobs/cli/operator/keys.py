"""`livejobs key` and `livejobs token`. They work on a running server over HTTP, or on a data
directory that no server uses."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Protocol, TypeVar

import click
import httpx2

from livejobs import clock
from livejobs.access.keyring import Grant, Keyring, check_name, load_secret, new_key, operator
from livejobs.cli.reach import HINTS, sentence
from livejobs.client.errors import Unreachable
from livejobs.config import ROWS
from livejobs.core.access import LADDER, Scope, highest
from livejobs.core.errors import Invalid
from livejobs.core.times import wire_time
from livejobs.private import make_folder
from livejobs.store.audit import AuditRecord
from livejobs.store.base import StoreUnusable
from livejobs.store.choice import store_of
from livejobs.store.keys import Key

T = TypeVar("T")
Row = Mapping[str, Any]


class Seconds(click.IntRange):
    name = "number of seconds"  # of which click's error speaks


class Refused(Exception):
    """The command failed: why, and what to do."""


class Keys(Protocol):
    def create(self, name: str, scopes: list[Scope], projects: list[str], until: str | None) -> Row:
        """Create a key. The row has its secret as `key`."""

    def all(self) -> list[Row]:
        """Return all keys, without their secrets."""

    def revoke(self, id: str) -> None:
        """End a key, its tokens and the streams that they opened."""

    def token(self, jobs: list[str], project: str | None, scopes: list[Scope], seconds: int) -> Row:
        """Create a token: `token` and `expires_at`."""


class ServerKeys:
    """The keys of a running server, over HTTP."""

    def __init__(self, url: str, key: str | None) -> None:
        headers = {"authorization": f"Bearer {key}"} if key else {}
        self._http = httpx2.Client(base_url=url, headers=headers, timeout=30)

    def create(self, name: str, scopes: list[Scope], projects: list[str], until: str | None) -> Row:
        body = {"name": name, "scopes": scopes, "projects": projects or None, "expires_at": until}
        return self._request("POST", "/v1/keys", body)

    def all(self) -> list[Row]:
        keys: list[Row] = self._request("GET", "/v1/keys")["keys"]
        return keys

    def revoke(self, id: str) -> None:
        self._request("DELETE", f"/v1/keys/{id}")

    def token(self, jobs: list[str], project: str | None, scopes: list[Scope], seconds: int) -> Row:
        body = {
            "jobs": jobs or None,
            "project": project,
            "scopes": scopes,
            "ttl_seconds": seconds,
        }
        return self._request("POST", "/v1/tokens", body)

    def _request(self, method: str, path: str, body: object = None) -> Row:
        try:
            answer = self._http.request(method, path, json=body)
        except httpx2.HTTPError as error:
            raise Refused(sentence(Unreachable(str(error)), str(self._http.base_url))) from None
        if answer.is_success:
            row: Row = answer.json() if answer.content else {}
            return row
        raise Refused(_detail(answer) + HINTS.get(str(answer.status_code), ""))


def _detail(answer: httpx2.Response) -> str:
    try:
        return str(answer.json()["detail"])
    except (ValueError, KeyError, TypeError):
        return f"The server answered {answer.status_code}."


class FolderKeys:
    """The keys in a data directory, or in a database. The store's lock refuses it while a server
    uses it."""

    def __init__(self, folder: Path, database: str | None) -> None:
        self._folder = folder
        self._database = database

    def create(self, name: str, scopes: list[Scope], projects: list[str], until: str | None) -> Row:
        async def create(ring: Keyring) -> Row:
            check_name(name)
            if any(key.name == name for key in ring.all()):
                raise Refused(f"A key named {name!r} exists already. Choose another name.")
            expires_at = (
                None if until is None else int(datetime.fromisoformat(until).timestamp() * 1000)
            )
            key, secret = new_key(
                name,
                tuple(scopes),
                tuple(projects) or None,
                now=clock.now_ms(),
                expires_at=expires_at,
            )
            await ring.add(key, self._audit("key.create", key))
            return {**_row(key), "key": secret}

        return self._with_keys(create)

    def all(self) -> list[Row]:
        async def listed(ring: Keyring) -> list[Row]:
            return [_row(key) for key in ring.all()]

        return self._with_keys(listed)

    def revoke(self, id: str) -> None:
        async def revoke(ring: Keyring) -> None:
            key = ring.get(id)
            assert key is not None, "revoke gets an id from the list"
            await ring.revoke(id, self._audit("key.revoke", key))

        self._with_keys(revoke)

    def token(self, jobs: list[str], project: str | None, scopes: list[Scope], seconds: int) -> Row:
        async def mint(ring: Keyring) -> Row:
            until = clock.now_ms() + seconds * 1000
            grant = Grant(
                highest(scopes),
                (project,) if project else None,
                frozenset(jobs) if jobs else None,
                until,
            )
            token = ring.mint(operator(), grant, clock.now_ms())
            return {"token": token, "expires_at": wire_time(until)}

        return self._with_keys(mint)

    def _audit(self, action: str, key: Key) -> AuditRecord:
        detail = {"key": key.id, "name": key.name}
        return AuditRecord(clock.now_ms(), operator().name, action, detail=detail)

    def _with_keys(self, use: Callable[[Keyring], Awaitable[T]]) -> T:
        async def opened() -> T:
            store = store_of(self._folder, self._database)
            await store.open()
            try:
                ring = Keyring(store)
                secret = await asyncio.to_thread(load_secret, self._folder / "token-secret")
                await ring.load(secret)
                return await use(ring)
            finally:
                await store.close()

        make_folder(self._folder)
        try:
            return asyncio.run(opened())
        except Invalid as error:
            raise Refused(error.detail) from None
        except StoreUnusable as error:
            raise Refused(
                f"{error} To use a running server, give its address as --url and an admin key as "
                "LIVEJOBS_KEY."
            ) from None


def _row(key: Key) -> Row:
    return {
        "id": key.id,
        "name": key.name,
        "scopes": list(key.scopes),
        "projects": None if key.projects is None else list(key.projects),
        "created_at": wire_time(key.created_at),
        "expires_at": wire_time(key.expires_at),
        "last_used_at": wire_time(key.last_used_at),
    }


# The commands


def place(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options that say where the keys are. --url wins over --data."""
    for option in (
        click.option(
            "--key",
            "credential",
            envvar="LIVEJOBS_KEY",
            help="Admin key for --url. All users of this machine can read options in the process "
            "list, so set LIVEJOBS_KEY instead.",
        ),
        click.option("--url", envvar="LIVEJOBS_URL", help="Address of a running server."),
        click.option(
            "--data",
            envvar="LIVEJOBS_DATA",
            default="livejobs-data",
            show_default=True,
            type=click.Path(path_type=Path),
            help="Without --url: use this data directory. No server may run on it.",
        ),
        click.option(
            "--database",
            envvar="LIVEJOBS_DATABASE",
            help="Without --url: use this PostgreSQL database. No server may run on it.",
        ),
    ):
        command = option(command)
    return command


def keys_at(data: Path, database: str | None, url: str | None, credential: str | None) -> Keys:
    if database is not None:
        database = ROWS["database"].read(database, "database")
    return ServerKeys(url, credential) if url else FolderKeys(data, database)


SCOPES = click.Choice(LADDER)
INCLUDES = "Each scope includes those before it in the list."


@click.group()
def key() -> None:
    """Create, list and revoke API keys."""


@key.command()
@click.option(
    "--name",
    required=True,
    help="Name of the key. It becomes the owner of jobs that the key creates.",
)
@click.option(
    "--scope",
    "scopes",
    multiple=True,
    type=SCOPES,
    required=True,
    help=f"What it may do. {INCLUDES}",
)
@click.option(
    "--project",
    "projects",
    multiple=True,
    help="Only this project; can be repeated. Without it: all projects.",
)
@click.option(
    "--expires-in",
    type=Seconds(1),
    metavar="SECONDS",
    help="Lifetime. Without it: until the key is revoked.",
)
@place
def create(
    name: str,
    scopes: tuple[Scope, ...],
    projects: tuple[str, ...],
    expires_in: int | None,
    data: Path,
    database: str | None,
    url: str | None,
    credential: str | None,
) -> None:
    """Create a key and print it. It can't be shown again."""
    until = None
    if expires_in is not None:
        until = (clock.now() + timedelta(seconds=expires_in)).isoformat()
    made = keys_at(data, database, url, credential).create(
        name, list(scopes), list(projects), until
    )
    click.echo(made["key"])
    click.echo(f"Created key {made['id']} ({name}). Keep it: it can't be shown again.", err=True)


@key.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object a line.")
@place
def list_keys(
    as_json: bool, data: Path, database: str | None, url: str | None, credential: str | None
) -> None:
    """List all keys, without their secrets."""
    rows = keys_at(data, database, url, credential).all()
    for row in rows:
        click.echo(json.dumps(row) if as_json else _line(row))
    if not rows:
        click.echo("There are no keys.", err=True)


def _line(row: Row) -> str:
    projects = "all projects" if row["projects"] is None else ",".join(row["projects"])
    ends = f"until {row['expires_at']}" if row["expires_at"] else "does not expire"
    used = row["last_used_at"] or "never"
    return f"{row['id']}  {row['name']:<20}  {row['scopes'][-1]:<7} {projects}  {ends}  used {used}"


@key.command()
@click.argument("id_or_name")
@place
def revoke(
    id_or_name: str, data: Path, database: str | None, url: str | None, credential: str | None
) -> None:
    """End a key, its tokens and the streams that they opened."""
    keys = keys_at(data, database, url, credential)
    row = _named(keys.all(), id_or_name)
    keys.revoke(row["id"])
    click.echo(f"Revoked key {row['id']} ({row['name']}).", err=True)


def _named(rows: list[Row], id_or_name: str) -> Row:
    """Find a key. Several can have one name, in different projects."""
    found = [row for row in rows if row["id"] == id_or_name]
    found = found or [row for row in rows if row["name"] == id_or_name]
    if not found:
        raise Refused(f"There is no key {id_or_name!r}. `livejobs key list` shows all keys.")
    if len(found) > 1:
        ids = ", ".join(row["id"] for row in found)
        raise Refused(f"{len(found)} keys are named {id_or_name!r}. Give an id instead: {ids}.")
    return found[0]


@click.command()
@click.option(
    "--job",
    "jobs",
    multiple=True,
    help="Only this job; can be repeated. Without it: all jobs of the project.",
)
@click.option("--project", help="Only this project. Without it: all that your key may use.")
@click.option(
    "--scope",
    "scopes",
    multiple=True,
    type=SCOPES,
    default=("view",),
    show_default=True,
    help=f"What it may do. {INCLUDES}",
)
@click.option(
    "--ttl",
    type=Seconds(1, 86_400),
    default=900,
    show_default=True,
    metavar="SECONDS",
    help="Lifetime.",
)
@place
def token(
    jobs: tuple[str, ...],
    project: str | None,
    scopes: tuple[Scope, ...],
    ttl: int,
    data: Path,
    database: str | None,
    url: str | None,
    credential: str | None,
) -> None:
    """Create a short-lived token for a browser, and print it."""
    made = keys_at(data, database, url, credential).token(list(jobs), project, list(scopes), ttl)
    click.echo(made["token"])
