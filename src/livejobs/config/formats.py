"""What values a setting takes, and how they are read from text or TOML."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import unquote

import msgspec
from msgspec import Meta

UNITS = {"KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "TiB": 1 << 40}
TIMES = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86_400}
TEN_YEARS = 315_360_000


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
