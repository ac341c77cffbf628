"""The table of settings."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import msgspec

from livejobs.config.formats import (
    COLLECTOR,
    DATABASE,
    NAMES,
    NAMES_OR_NONE,
    ORIGIN,
    PATH,
    PREFIX_OF_LINKS,
    RATE,
    SECONDS,
    SECONDS_OR_NONE,
    SENDFILE,
    SIZE,
    STORE,
    SWITCH,
    TEXT,
    TIMES_BY_NAME,
    Format,
    choice,
    whole,
)

PREFIX = "LIVEJOBS_"
FOLDER = "file://"  # begins the URL of a folder
RETENTION = 604_800.0  # a week: by default the disk does not fill up


class SettingError(Exception):
    """A wrong setting: its name, its source, and what is wrong with it."""

    def __init__(self, name: str, source: str, wrong: str) -> None:
        self.name, self.source, self.wrong = name, source, wrong

    def __str__(self) -> str:
        source = "" if self.source == self.name else f" ({self.source})"
        return f"{self.name}{source}: {self.wrong}"


@dataclass(frozen=True)
class Setting:
    """One row of the table."""

    name: str
    default: Any
    format: Format
    help: str
    secret: bool

    @property
    def flag(self) -> str:
        return "--" + self.name.replace("_", "-")

    @property
    def variable(self) -> str:
        return PREFIX + self.name.upper()

    def read(self, value: object, source: str) -> Any:
        try:
            return self.format.read(value)
        except (msgspec.ValidationError, RuntimeError):  # RuntimeError: "~" without a home
            raise SettingError(self.name, source, self._takes(value)) from None

    def _takes(self, value: object) -> str:
        shown = "" if self.secret else f", not {str(value)[:60]!r}"
        return f"takes {self.format.takes}{shown}"


def setting(default: Any, format: Format, help: str, *, secret: bool = False) -> Any:
    row = {"format": format, "help": help, "secret": secret}
    return field(default=default, metadata=row, repr=not secret)


@dataclass(frozen=True, kw_only=True)
class Settings:
    # process and storage
    host: str = setting("127.0.0.1", TEXT, "Address to listen on.")
    port: int = setting(8000, whole(0, 65535), "Port to listen on; 0 picks a free one.")
    data: Path = setting(Path("livejobs-data"), PATH, "Folder for the database and the files.")
    database: str | None = setting(
        None,
        DATABASE,
        "Keep jobs in this PostgreSQL database, not in the data folder.",
        secret=True,  # it may hold a password
    )
    workers: int = setting(
        1, whole(1, 64), "Processes that serve together; more than 1 need a database."
    )
    files: str | None = setting(
        None, STORE, "Keep files in this object store, or in this folder that all nodes share."
    )
    sendfile: str | None = setting(
        None, SENDFILE, "Response header that makes the nginx or Apache in front send files."
    )
    files_redirect: bool = setting(
        False, SWITCH, "Redirect downloads to the object store, with links valid for an hour."
    )
    config: Path | None = setting(None, PATH, "TOML file with settings.")
    base_path: str = setting(
        "", PREFIX_OF_LINKS, "Prefix of every link, for an app mounted at this path."
    )
    log_level: str = setting(
        "info", choice("debug", "info", "warning", "error"), "Lowest level logged to stderr."
    )
    log_format: str = setting("text", choice("text", "json"), "Format of the log.")
    access_log: bool = setting(False, SWITCH, "Log each request.")
    otlp_endpoint: str | None = setting(
        None, COLLECTOR, "Send traces to this OpenTelemetry collector (OTLP over HTTP)."
    )
    # access
    open: bool = setting(False, SWITCH, "Give every client full access, without keys.")
    admin_key: str | None = setting(
        None,
        TEXT,
        "The first admin key. Avoid the flag: all users of the machine can read it.",
        secret=True,
    )
    admin_key_file: Path | None = setting(None, PATH, "File that contains the first admin key.")
    jwks_url: str | None = setting(
        None, TEXT, "URL of the public keys (JWKS) of an outside token issuer."
    )
    jwt_issuer: str | None = setting(None, TEXT, "Issuer (iss) that outside tokens must have.")
    jwt_audience: str | None = setting(None, TEXT, "Audience (aud) that outside tokens must have.")
    allowed_hosts: tuple[str, ...] = setting(
        (), NAMES, "Host names that the server accepts in requests."
    )
    cors_origins: tuple[str, ...] = setting((), NAMES, "Origins of trusted web pages.")
    faces: tuple[str, ...] | None = setting(
        None, NAMES_OR_NONE, "Faces (other APIs) to serve; if not set, all without a prefix."
    )
    tasks_public: bool = setting(False, SWITCH, "Serve the tasks face without credentials.")
    metrics_public: bool = setting(False, SWITCH, "Serve /metrics without credentials.")
    public_url: str | None = setting(
        None, ORIGIN, "Scheme and host at which people reach the server, for links in messages."
    )
    webhook_allow_private: tuple[str, ...] = setting(
        (), NAMES, "Hosts and networks that webhooks may reach although they are not public."
    )
    # limits
    max_body_bytes: int = setting(1 << 20, SIZE, "Largest request body, or NDJSON line.")
    max_head_bytes: int = setting(128 << 10, SIZE, "Largest current state of a job.")
    max_line_bytes: int = setting(16 << 10, SIZE, "Longest log line.")
    max_batch: int = setting(1000, whole(1), "Most reports in one array.")
    max_queued: int = setting(100_000, whole(1), "Most jobs waiting to start.")
    max_unfinished: int | None = setting(None, whole(1), "Most unfinished jobs in one project.")
    max_subscriptions: int = setting(100, whole(1), "Most subscriptions on one connection.")
    max_connections: int | None = setting(
        None, whole(1), "Most connections; if not set, as many as the descriptor limit allows."
    )
    max_connections_per_address: int | None = setting(
        None, whole(1), "Most connections from one address (IPv6: from one /64)."
    )
    max_connections_per_key: int | None = setting(
        None, whole(1), "Most streams and sockets with one credential."
    )
    min_free_bytes: int = setting(
        16 << 20, SIZE, "Free disk space below which /readyz answers 503."
    )
    rate_read: str | None = setting(None, RATE, "Most read requests from one caller.")
    rate_report: str | None = setting(None, RATE, "Most report requests from one caller.")
    # files
    files_roots: tuple[str, ...] = setting(
        (), NAMES, "Folders from which workers may attach files by path."
    )
    max_file_bytes: int = setting(10 << 30, SIZE, "Largest file.")
    max_project_bytes: int | None = setting(None, SIZE, "Most bytes of files in one project.")
    # time
    retention_seconds: float = setting(
        RETENTION,
        SECONDS_OR_NONE,
        "How long to keep a finished job and its files; 0: until it is deleted.",
    )
    retention_types: tuple[tuple[str, float], ...] = setting(
        (), TIMES_BY_NAME, "How long to keep finished jobs of a type; 0: until they are deleted."
    )
    retention_projects: tuple[tuple[str, float], ...] = setting(
        (), TIMES_BY_NAME, "The same by project, for jobs whose type has no time of its own."
    )
    keep_log_lines: int | None = setting(
        None, whole(1), "Most log lines to keep of one job; the oldest are removed."
    )
    keep_log_bytes: int | None = setting(None, SIZE, "Most bytes of log to keep of one job.")
    keep_results: int | None = setting(
        None, whole(1), "Most results, and most item errors, to keep of one job."
    )
    keep_result_bytes: int | None = setting(
        None, SIZE, "Most bytes of results, and of item errors, to keep of one job."
    )
    heartbeat_timeout: float = setting(
        60.0, SECONDS, "A running job stalls when its worker is silent for this long."
    )
    lost_after: float = setting(
        3600.0, SECONDS, "A running job fails when its worker is silent for this long."
    )
    # transport
    http2: bool = setting(False, SWITCH, "Also serve HTTP/2, over TLS.")
    ssl_certfile: Path | None = setting(None, PATH, "Certificate chain, for HTTPS.")
    ssl_keyfile: Path | None = setting(None, PATH, "Private key of the certificate.")

    def __post_init__(self) -> None:
        for row in TABLE:
            value = getattr(self, row.name)
            if value is not None or row.default is not None:
                row.read(value, row.name)
        if self.admin_key is not None and self.admin_key_file is not None:
            raise SettingError("admin_key", "admin_key_file", "set only one of the two")
        outside = [self.jwks_url, self.jwt_issuer, self.jwt_audience]
        if any(outside) and not all(outside):
            raise SettingError("jwks_url", "jwt_issuer, jwt_audience", "set all three or none")
        if (self.ssl_certfile is None) != (self.ssl_keyfile is None):
            raise SettingError("ssl_certfile", "ssl_keyfile", "set both or neither")
        if self.workers > 1 and self.database is None:
            raise SettingError(
                "workers", "workers", "more than 1 need a PostgreSQL database: set database"
            )
        if self.files_redirect and self.object_store is None:
            raise SettingError(
                "files_redirect", "files_redirect", "needs an object store: set files"
            )
        if self.sendfile and self.object_store:
            raise SettingError("sendfile", "files", "can't be used with files in an object store")
        if self.http2 and self.ssl_certfile is None:
            raise SettingError(
                "http2", "http2", "needs ssl_certfile: HTTP/2 is served only over TLS"
            )

    @property
    def object_store(self) -> str | None:
        """The URL of the object store for files, if there is one."""
        return None if (self.files or FOLDER).startswith(FOLDER) else self.files

    @property
    def files_folder(self) -> Path:
        """The folder for files or, with an object store, for those that are not complete."""
        if self.files is not None and self.object_store is None:
            return Path(unquote(self.files.removeprefix(FOLDER)))
        return self.data / "files"


TABLE = tuple(Setting(row.name, row.default, **row.metadata) for row in fields(Settings))
ROWS = {row.name: row for row in TABLE}
