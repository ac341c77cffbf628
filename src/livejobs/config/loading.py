"""Where the settings come from: flags, variables, the TOML file."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec

from livejobs.config.formats import read_text
from livejobs.config.settings import PREFIX, ROWS, TABLE, SettingError, Settings

# Of the SDK and the client commands.
CLIENT_VARIABLES = frozenset(
    f"LIVEJOBS_{name}" for name in ("URL", "KEY", "JOB", "SPOOL", "KILL_AFTER")
)


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
