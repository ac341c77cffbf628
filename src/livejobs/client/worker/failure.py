"""What is reported of an exception: whether it is a failure, its message, its traceback."""

from __future__ import annotations

import traceback
from typing import Final

TRACE: Final = 32 * 1024  # bytes of a traceback: its end is what tells


def is_failure(error: BaseException) -> bool:
    """All other exceptions ask the program to stop."""
    if isinstance(error, SystemExit):
        return error.code not in (None, 0)
    return isinstance(error, Exception)


def described(error: BaseException) -> str:
    if isinstance(error, SystemExit):
        said = error.code if isinstance(error.code, str) else f"Exit code {error.code}"
        return said or "SystemExit"
    try:
        text = str(error)
    except Exception:  # noqa: BLE001 - the exception's own code may raise anything
        text = ""
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def formatted(error: BaseException) -> str:
    """The traceback, without the values of local variables."""
    try:
        text = "".join(traceback.format_exception(error))
    except Exception:  # noqa: BLE001 - the exception's own code may raise anything
        text = "".join(traceback.format_tb(error.__traceback__)) + type(error).__name__
    data = text.encode("utf-8", "replace")
    return text if len(data) <= TRACE else "…" + data[-TRACE:].decode("utf-8", "ignore")
