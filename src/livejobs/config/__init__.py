"""The settings: one table, `Settings`, defines the flags, LIVEJOBS_* variables and TOML keys.

The flag wins, then the variable, then the file. A wrong value stops the start: no
setting is silently ignored. Times are seconds, sizes are bytes.
"""

from __future__ import annotations

from livejobs.config.formats import SWITCH, read_store
from livejobs.config.hosts import is_loopback, own_hosts, refuse_strangers
from livejobs.config.loading import first_admin_key, load, unknown_variables
from livejobs.config.settings import (
    FOLDER,
    PREFIX,
    RETENTION,
    ROWS,
    TABLE,
    Setting,
    SettingError,
    Settings,
)

__all__ = [
    "FOLDER",
    "PREFIX",
    "RETENTION",
    "ROWS",
    "SWITCH",
    "TABLE",
    "Setting",
    "SettingError",
    "Settings",
    "first_admin_key",
    "is_loopback",
    "load",
    "own_hosts",
    "read_store",
    "refuse_strangers",
    "unknown_variables",
]
