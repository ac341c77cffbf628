"""Python's logging as the job's log."""

from __future__ import annotations

import logging
from typing import Final

from livejobs.client.worker import block
from livejobs.client.worker.fields import Level
from livejobs.client.worker.job import WorkerJob

OWN: Final = "livejobs.client"  # what the SDK says of itself would go round in circles


class LogHandler(logging.Handler):
    """Log records become lines of the job: of the given one, else of the current one.

    `logging.getLogger().addHandler(livejobs.LogHandler())` is all that a program needs.
    """

    def __init__(self, job: WorkerJob | None = None, level: int | str = logging.NOTSET) -> None:
        super().__init__(level)
        self._job = job
        # Asked before the handler's lock is taken, so that the reporter never waits for it.
        self.addFilter(_is_not_ours)

    def emit(self, record: logging.LogRecord) -> None:
        try:
            job = self._job or block.current()
            job.record(self.format(record), level_of(record.levelno), record.name, record.created)
        except Exception:  # noqa: BLE001 - logging has its own way to report it
            self.handleError(record)


def _is_not_ours(record: logging.LogRecord) -> bool:
    return record.name != OWN and not record.name.startswith(OWN + ".")


def level_of(number: int) -> Level:
    if number >= logging.ERROR:
        return "error"
    if number >= logging.WARNING:
        return "warning"
    return "info" if number >= logging.INFO else "debug"
