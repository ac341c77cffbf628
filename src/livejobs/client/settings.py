"""Where a worker reports: arguments, else the environment."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final, NamedTuple
from urllib.parse import urlsplit

URL: Final = "LIVEJOBS_URL"
KEY: Final = "LIVEJOBS_KEY"
JOB: Final = "LIVEJOBS_JOB"
SPOOL: Final = "LIVEJOBS_SPOOL"


class Target(NamedTuple):
    """A server, the key to report with, and the folder for what it has not received yet."""

    url: str
    key: str | None
    spool: Path


def target(
    url: str | None = None, key: str | None = None, spool: str | os.PathLike[str] | None = None
) -> Target | None:
    """None: there is nowhere to report to. Raises ValueError for a URL that is none."""
    environment = os.environ
    said = url or environment.get(URL)
    if not said:
        return None
    return Target(checked(said), checked_key(key or environment.get(KEY)), spool_folder(spool))


def checked_key(key: str | None) -> str | None:
    """Without white space around it. What a header cannot hold is refused without showing it."""
    key = (key or "").strip()
    if not (key.isascii() and key.isprintable()):
        raise ValueError("the key holds characters that no key has")
    return key or None


def checked(url: str) -> str:
    """The URL without its last slash."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError(f"{url!r} is not the URL of a server: expected http:// or https://")
    _ = parts.port  # raises ValueError for a port that is no number
    return url.rstrip("/")


def outer_job() -> str | None:
    """The job that the surrounding command reports to, and ends."""
    return os.environ.get(JOB) or None


def spool_folder(said: str | os.PathLike[str] | None = None) -> Path:
    chosen = said or os.environ.get(SPOOL)
    return Path(chosen) if chosen else state_folder(sys.platform, os.environ) / "livejobs" / "spool"


def state_folder(platform: str, environment: Mapping[str, str]) -> Path:
    """The place for a user's state, as each platform has it."""
    if platform == "win32":
        local = environment.get("LOCALAPPDATA")
        return Path(local) if local else _home() / "AppData" / "Local"
    if platform == "darwin":
        return _home() / "Library" / "Application Support"
    state = environment.get("XDG_STATE_HOME", "")
    # The specification says to ignore a relative path.
    return Path(state) if state.startswith("/") else _home() / ".local" / "state"


def _home() -> Path:
    try:
        return Path.home()
    except RuntimeError:  # a user without a home, as in some containers
        return Path(os.sep)  # nothing can be written there: memory is all there is
