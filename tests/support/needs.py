"""Programs that a test needs and that may not be installed."""

from __future__ import annotations

import pytest


def need(there: object, reason: str) -> None:
    """Skip the test, which CI counts as a failure (tests/conftest.py)."""
    if not there:
        pytest.skip(f"NOT TRIED: {reason}")
