"""The settings: one table, `Settings`, defines the flags, LIVEJOBS_* variables and TOML keys.

The flag wins, then the variable, then the file. A wrong value stops the start: no
setting is silently ignored. Times are seconds, sizes are bytes.
"""

from __future__ import annotations

import ipaddress
import re
import tomllib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import unquote

import msgspec
from msgspec import Meta

PREFIX = "LIVEJOBS_"
# Of the SDK and the client commands.
CLIENT_VARIABLES = frozenset(
    f"LIVEJOBS_{name}" for name in ("URL", "KEY", "JOB", "SPOOL", "KILL_AFTER")
)
UNITS = {"KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "TiB": 1 << 40}
TIMES = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86_400}
FOLDER = "file://"  # begins the URL of a folder
TEN_YEARS = 315_360_000
RETENTION = 604_800.0  # a week: by default the disk does not fill up


class SettingError(Exception):
    """A wrong setting: its name, its source, and what is wrong with it."""

    def __init__(self, name: str, source: str, wrong: str) -> None:
        self.name, self.source, self.wrong = name, source, wrong

    def __str__(self) -> str:
        source = "" if self.source == self.name else f" ({self.source})"
        return f"{self.name}{source}: {self.wrong}"


@dataclass(frozen=True)
class Format:
    """What values a setting takes. `read` accepts text (of a flag or variable), a TOML value, and
    a value that it returned itself."""

    takes: str
    read: Callable[[Any], Any]
    metavar: str


def convert(value: object, type: object) -> Any:
    return msgspec.convert(value, type, strict=False)


def whole(least: int, most: int = 2**53) -> Format:
    span = f"of at least {least}" if most == 2**53 else f"from {least} to {most}"
    type = Annotated[int, Meta(ge=least, le=most)]
    return Format(f"a whole number {span}", lambda value: convert(value, type), "N")


def choice(*words: str) -> Format:
    pattern = f"^({'|'.join(words)})$"
    type = Annotated[str, Meta(pattern=pattern)]
    return Format(f"one of {', '.join(words)}", lambda value: convert(value, type), "WORD")


def read_text(value: object) -> str:
    return str(convert(value, Annotated[str, Meta(pattern=r"^[^\x00-\x1f\x7f]+\Z")]))


def read_path(value: object) -> Path:
    return value if isinstance(value, Path) else Path(read_text(value)).expanduser()


def read_size(value: object) -> int:
    if isinstance(value, str) and (match := re.fullmatch(r"([0-9]{1,9}) ?([KMGT]iB)", value)):
        value = int(match[1]) * UNITS[match[2]]
    return int(convert(value, Annotated[int, Meta(ge=1, le=2**53)]))


def read_seconds(value: object) -> float:
    return float(convert(value, Annotated[float, Meta(gt=0, le=TEN_YEARS)]))


def read_seconds_or_none(value: object) -> float:
    return float(convert(value, Annotated[float, Meta(ge=0, le=TEN_YEARS)]))


def read_times(value: object) -> tuple[tuple[str, float], ...]:
    """Seconds by name. A tuple, since settings never change."""
    if isinstance(value, str):
        parts = [part.rpartition("=") for part in value.split(",")]
        pairs: list[Any] = [(name.strip(), time.strip()) for name, _, time in parts]
    else:
        pairs = list(value if isinstance(value, tuple) else convert(value, dict[str, Any]).items())
    times = {read_text(name): read_time(time) for name, time in pairs}
    if len(times) < len(pairs):
        raise msgspec.ValidationError("a name that is given twice")
    return tuple(times.items())


def read_time(value: object) -> float:
    match = re.fullmatch(r"([0-9.]{1,20}) ?([smhd]?)", value) if isinstance(value, str) else None
    if match:
        return read_seconds_or_none(convert(match[1], float) * TIMES[match[2]])
    if isinstance(value, bool | str):  # msgspec would take true for 1
        raise msgspec.ValidationError("not a time")
    return read_seconds_or_none(value)


def read_rate(value: object) -> str:
    return str(convert(value, Annotated[str, Meta(pattern=r"^[1-9][0-9]{0,8}/s\Z")]))


def read_names(value: object) -> tuple[str, ...]:
    parts = value.split(",") if isinstance(value, str) else convert(value, list[str])
    return tuple(read_text(part.strip()) for part in parts)


def read_names_or_none(value: object) -> tuple[str, ...]:
    return () if value == "" else read_names(value)


def read_store(value: object) -> str:
    pattern = r"^((s3|gs|az)://[!-~]+|file:///[!-~]+)\Z"
    url = str(convert(value, Annotated[str, Meta(pattern=pattern)]))
    read_path(unquote(url))  # without control characters
    return url


def read_database(value: object) -> str:
    return str(convert(value, Annotated[str, Meta(pattern=r"^postgres(ql)?://[!-~]+\Z")]))


def read_prefix(value: object) -> str:
    return str(convert(value, Annotated[str, Meta(pattern=r"^((/[A-Za-z0-9._~-]+)+)?\Z")]))


def read_origin(value: object) -> str:
    pattern = r"^https?://[A-Za-z0-9.\-\[\]:]+\Z"
    return str(convert(value, Annotated[str, Meta(pattern=pattern)]))


TEXT = Format("text", read_text, "TEXT")
PATH = Format("a path", read_path, "PATH")
SIZE = Format('bytes, like 1048576 or "1MiB"', read_size, "SIZE")
SECONDS = Format("seconds, more than 0", read_seconds, "SECONDS")
SECONDS_OR_NONE = Format("seconds, 0 or more", read_seconds_or_none, "SECONDS")
COLLECTOR = Format(
    'a URL, like "http://127.0.0.1:4318"',
    lambda value: convert(value, Annotated[str, Meta(pattern=r"^https?://[!-~]+\Z")]),
    "URL",
)
TIMES_BY_NAME = Format(
    'names and times, like "a=3600, b=12h", or a TOML table', read_times, "NAME=TIME,…"
)
DATABASE = Format('"postgresql://user@host/name"', read_database, "URL")
STORE = Format('"s3://bucket/prefix", or a URL with gs://, az:// or file:///', read_store, "URL")
SENDFILE = Format(
    '"x-accel-redirect:/location" or "x-sendfile"',
    lambda value: convert(
        value, Annotated[str, Meta(pattern=r"^(x-sendfile|x-accel-redirect:(/[\w.~-]+)+)\Z")]
    ),
    "HEADER",
)
RATE = Format('requests per second, like "200/s"', read_rate, "RATE")
NAMES = Format("names separated by commas, or a TOML array", read_names, "NAMES")
NAMES_OR_NONE = Format(
    "names separated by commas, or a TOML array; empty for none", read_names_or_none, "NAMES"
)
PREFIX_OF_LINKS = Format('a path without a slash at the end, like "/jobs"', read_prefix, "PATH")
ORIGIN = Format('a URL without a path, like "https://jobs.example"', read_origin, "URL")
SWITCH = Format("true or false", lambda value: convert(value, bool), "")


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


def load(flags: Mapping[str, object], environ: Mapping[str, str]) -> Settings:
    """The settings from flags (by name; None is not given), variables and the TOML file."""
    given = {name: (source, value) for name, source, value in _given(flags, environ)}
    if "config" in given:
        source, value = given["config"]
        given = dict(_from_toml(ROWS["config"].read(value, source), source)) | given
    return Settings(
        **{name: ROWS[name].read(value, source) for name, (source, value) in given.items()}
    )


def _given(
    flags: Mapping[str, object], environ: Mapping[str, str]
) -> Iterator[tuple[str, str, object]]:
    for row in TABLE:
        if flags.get(row.name) is not None:
            yield row.name, row.flag, flags[row.name]
        elif row.variable in environ:
            yield row.name, row.variable, environ[row.variable]


def _from_toml(path: Path, source: str) -> Iterator[tuple[str, tuple[str, object]]]:
    for name, value in _toml(path, source).items():
        if name not in ROWS or name == "config":
            raise SettingError(name[:60], f"{path.name}: {name[:60]}", "there is no such setting")
        yield name, (f"{path.name}: {name}", value)


def _toml(path: Path, source: str) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise SettingError(
            "config", source, f"can't read {str(path)!r}: {error.strerror}"
        ) from None
    except ValueError as error:  # not TOML, not UTF-8
        raise SettingError("config", source, f"{str(path)!r} is not TOML: {error}") from None


def unknown_variables(environ: Mapping[str, str]) -> list[str]:
    """LIVEJOBS_* variables that are no setting: most likely misspelt."""
    known = {row.variable for row in TABLE} | CLIENT_VARIABLES
    return sorted(name for name in environ if name.startswith(PREFIX) and name not in known)


def first_admin_key(settings: Settings) -> str | None:
    """The key from the settings, or from its file."""
    path = settings.admin_key_file
    if path is None:
        return settings.admin_key
    try:
        return read_text(path.read_text("utf-8").strip())
    except OSError as error:
        wrong = f"can't be read: {error.strerror}"
    except (UnicodeDecodeError, msgspec.ValidationError):
        wrong = "must contain one line: the key"
    raise SettingError("admin_key_file", str(path), wrong)


LOOPBACK = frozenset({"localhost", "127.0.0.1", "[::1]"})


def is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def own_hosts(settings: Settings) -> frozenset[str] | None:
    """The host names to accept; None: any. Bound to loopback, the server refuses other names:
    a foreign page could point its own name at 127.0.0.1 and reach the server through its
    visitor's browser (DNS rebinding)."""
    if is_loopback(settings.host):
        return LOOPBACK | {settings.host, *settings.allowed_hosts}
    return frozenset(settings.allowed_hosts) or None


def refuse_strangers(settings: Settings) -> None:
    """Without keys every client is admin. So listen only on loopback, unless `open` is set."""
    if not settings.open and not is_loopback(settings.host):
        raise SettingError(
            "host",
            settings.host,
            "other machines can reach this address, and there are no keys. Set "
            "LIVEJOBS_ADMIN_KEY=… to create one, or allow everyone with --open",
        )
