"""Why a copy can't be made or used. Each message is a sentence for the operator, with a remedy."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from livejobs.core.errors import LivejobsError


class CannotCopy(Exception):
    """The command ends with exit code 1."""


class WrongPlace(CannotCopy):
    """The folder or the database is not the right one: exit code 2."""


class NoDatabase(WrongPlace):
    """There is no database of livejobs there."""


class Damaged(CannotCopy):
    """A file of the export is not as `export` wrote it."""

    def __init__(self, file: str, wrong: str, line: int | None = None) -> None:
        where = "" if line is None else f" at line {line}"
        super().__init__(
            f"{file} of the export is damaged{where}: {wrong}. Delete that file, run "
            "`livejobs export` into the folder again, and then this command."
        )


AGAIN: Final = "the command again: it continues where it stopped."


@contextmanager
def sentences() -> Iterator[None]:
    """Raise what a disk or a store refuses as CannotCopy."""
    try:
        yield
    except OSError as error:
        where = error.filename or "The disk"
        raise CannotCopy(
            f"{where} can't be used: {error.strerror}. Correct this, and run {AGAIN}"
        ) from error
    except LivejobsError as error:
        raise CannotCopy(f"{error.detail} Run {AGAIN}") from error
