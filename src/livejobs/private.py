"""Files and folders that other users of the machine can't open: a database holds what jobs said,
and who may see it."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Final

FILE: Final = 0o600
FOLDER: Final = 0o700
SHARED: Final = 0o750  # a folder from which another server of our group sends files
_OTHERS: Final = 0o007


def make_folder(path: Path, mode: int = FOLDER) -> None:
    """The folder, and those above it that are missing."""
    if not path.is_dir():
        make_folder(path.parent, mode)
        path.mkdir(mode, exist_ok=True)


def close_to_others(path: Path, mode: int) -> None:
    """As earlier versions did not. What its owner has opened to a group only stays open to it."""
    with suppress(OSError):  # it is not there, or not ours to change
        if path.stat().st_mode & _OTHERS:
            path.chmod(mode)
