"""The log: a line for each record, as text for people or as JSON for programs."""

from __future__ import annotations

import logging
import re
from datetime import UTC, datetime
from typing import Any, Final

import msgspec

FIELDS: Final = ("request_id", "client", "method", "path", "status", "seconds")  # in `extra`
LEVELS: Final = ("debug", "info", "warning", "error")

# The last line of defence: nothing of ours logs a credential, but a library's error may quote one.
_SECRETS: Final = re.compile(
    r"(?P<query>\btoken=)[^&\s\"']+"
    r"|(?P<scheme>\b(?:Bearer|Basic)\s+)[^\s\"',]+"
    r"|(?P<key>\blj_[a-z0-9]{8}_)[\w-]+"
    r"|(?P<jwt>\beyJ)[\w-]+\.[\w-]+\.[\w-]*"
    r"|(?P<user>\b[a-z][a-z0-9+]*://[^\s:/@]*:)[^\s/@]+(?=@)"
)


def without_secrets(text: str) -> str:
    return _SECRETS.sub(lambda found: f"{found[found.lastgroup or 0]}…", text)


class Text(logging.Formatter):
    def __init__(self, worker: int | None = None) -> None:
        who = "" if worker is None else f" worker {worker}"
        super().__init__(f"%(levelname)s %(name)s{who}: %(message)s")

    def format(self, record: logging.LogRecord) -> str:
        return without_secrets(super().format(record))


class Json(logging.Formatter):
    """One object a line: `at`, `level`, `logger`, `message`, and what is known of the request."""

    def __init__(self, worker: int | None = None) -> None:
        super().__init__()
        self._worker = worker

    def format(self, record: logging.LogRecord) -> str:
        return msgspec.json.encode(self._fields(record)).decode()

    def _fields(self, record: logging.LogRecord) -> dict[str, Any]:
        fields: dict[str, Any] = {
            "at": _time(record.created),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": _whole(without_secrets(record.getMessage())),
        }
        if self._worker is not None:
            fields["worker"] = self._worker
        for name in FIELDS:
            if (value := getattr(record, name, None)) is not None:
                fields[name] = without_secrets(_whole(value)) if isinstance(value, str) else value
        if record.exc_info:
            error = record.exc_info[1]
            fields["error"] = _whole(without_secrets(self.formatException(record.exc_info)))
            if (id := getattr(error, "request_id", None)) is not None:
                fields["request_id"] = id
        return fields


def _time(created: float) -> str:
    at = datetime.fromtimestamp(created, UTC)
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _whole(text: str) -> str:
    """A file name that is not UTF-8 has halves of surrogate pairs, which JSON can't hold."""
    return text.encode("utf-8", "backslashreplace").decode()


class Lines(logging.Filter):
    """Counts the lines of a handler, by level."""

    def __init__(self) -> None:
        super().__init__()
        self.counts = {(level,): 0 for level in LEVELS}

    def filter(self, record: logging.LogRecord) -> bool:
        level = "error" if record.levelno >= logging.ERROR else record.levelname.lower()
        if (level,) in self.counts:
            self.counts[level,] += 1
        return True


def handler(form: str, worker: int | None = None) -> logging.Handler:
    """Writes to stderr."""
    made = logging.StreamHandler()
    made.setFormatter(Json(worker) if form == "json" else Text(worker))
    return made
