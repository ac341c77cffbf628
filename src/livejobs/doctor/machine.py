"""The machine: the data folder, the disk, the limits and the clock."""

from __future__ import annotations

import ctypes
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from livejobs.config import SettingError, Settings
from livejobs.doctor.finding import Finding, failure, ok, warning
from livejobs.server.runner import RESERVED_DESCRIPTORS, connection_cap

FULL: Final = 100 << 20  # bytes that are left
NEARLY_FULL: Final = 1 << 30
NEARLY: Final = 0.05  # of the disk
FEW_CONNECTIONS: Final = 1_000
OTHERS: Final = 0o007
UNSYNCHRONIZED: Final = 0x0040  # STA_UNSYNC of adjtimex(2)
SECRETS: Final = ("livejobs.db", "token-secret")


def look(settings: Settings) -> Iterator[Finding]:
    yield from _folder(settings.data)
    places = {settings.data, settings.files_folder}
    there = [_existing(place) for place in sorted(places, reverse=True)]
    for place in {path.stat().st_dev: path for path in there}.values():
        yield _disk(place)
    yield _limits(settings)
    yield _clock()


def _existing(path: Path) -> Path:
    """The path, or the folder above it that is there."""
    path = path.absolute()
    return path if path.exists() else _existing(path.parent)


def _folder(data: Path) -> Iterator[Finding]:
    there = _existing(data)
    if not there.is_dir():
        yield failure("data folder", f"{there} is not a folder.", "Give a folder as --data.")
        return
    if not os.access(there, os.R_OK | os.W_OK | os.X_OK):
        yield failure(
            "data folder",
            f"{there} can't be written by this user.",
            f"chown it to the user of the server, or run this as that user: chown USER {there}",
        )
        return
    if there != data.absolute():
        yield ok("data folder", f"{data} is not there yet. The first start creates it.")
        return
    if not is_owner(there):
        yield warning(
            "data folder",
            f"{data} belongs to another user than the one who runs this.",
            f"Run the command as the user of the server: sudo -u {_owner(there)} livejobs doctor",
        )
        return
    open_ones = [path.name for path in _private(data) if path.stat().st_mode & OTHERS]
    if open_ones:
        yield warning(
            "data folder",
            f"Other users of this machine can open: {', '.join(open_ones)}.",
            f"chmod o-rwx {data} and these files",
        )
    else:
        yield ok("data folder", f"{data} is writable, and closed to other users.")


def is_owner(path: Path) -> bool:
    """What another user writes there, the server may not be able to use."""
    return path.stat().st_uid == os.geteuid()


def _owner(path: Path) -> str:
    try:
        return path.owner()
    except KeyError:  # a user of a container has no name here
        return f"#{path.stat().st_uid}"


def _private(data: Path) -> Iterator[Path]:
    """What must be closed to others; all that is in a closed folder is closed."""
    if data.stat().st_mode & OTHERS:
        yield from (data / name for name in SECRETS if (data / name).exists())


def _disk(place: Path) -> Finding:
    disk = shutil.disk_usage(place)
    left = f"{disk.free / 1e9:,.1f} GB of {disk.total / 1e9:,.1f} GB free at {place}."
    remedy = "Free some space, lower retention_seconds, or move the folder to a larger disk."
    if disk.free < FULL:
        return failure("disk", left, remedy)
    if disk.free < NEARLY_FULL or disk.free < NEARLY * disk.total:
        return warning("disk", left, remedy)
    return ok("disk", left)


def _limits(settings: Settings) -> Finding:
    remedy = (
        "Raise the limit of open files: LimitNOFILE=65536 in the systemd unit, or ulimit -n 65536 "
        "before the start."
    )
    try:
        cap = connection_cap(settings)
    except SettingError as error:
        return failure("connections", f"max_connections {error.wrong}.", remedy)
    found = f"{cap:,} connections at once; {RESERVED_DESCRIPTORS} descriptors are reserved."
    if cap < FEW_CONNECTIONS and settings.max_connections is None:
        return warning("connections", found, remedy)
    return ok("connections", found)


class _Timex(ctypes.Structure):
    """The first fields of `struct timex`, and room for the rest."""

    _fields_ = (
        ("modes", ctypes.c_uint),
        ("offset", ctypes.c_long),
        ("freq", ctypes.c_long),
        ("maxerror", ctypes.c_long),
        ("esterror", ctypes.c_long),
        ("status", ctypes.c_int),
        ("rest", ctypes.c_char * 512),
    )


def _clock() -> Finding:
    try:
        timex = _Timex()
        adjtimex = ctypes.CDLL(None).adjtimex
    except (OSError, AttributeError):
        return ok("clock", "This system does not say whether its clock is synchronized.")
    if adjtimex(ctypes.byref(timex)) < 0 or not timex.status & UNSYNCHRONIZED:
        return ok("clock", "The kernel has no doubt about the clock.")
    return warning(
        "clock",
        "The kernel says that no time service sets the clock.",
        "Run chrony or systemd-timesyncd. In a container, do so on its host.",
    )
