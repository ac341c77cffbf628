"""What a test needs that may not be installed."""

from __future__ import annotations

import os

import pytest


def need(there: object, what: str) -> None:
    """Where all is to be tried, nothing is left out."""
    if not there and "CI" not in os.environ:
        pytest.skip(f"NOT TRIED: {what}")
    assert there, what
